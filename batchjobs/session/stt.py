"""Transcribes one recording through one connection."""

import functools
import itertools
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Final

import trio
from trio_websocket import ConnectionClosed

from batchjobs.audio import decoding
from batchjobs.errors import PermanentError, RecordingError
from batchjobs.protocol.stt import SAMPLE_RATE, SttClient, SttJudge, SttResult
from batchjobs.session.attempt import Attempt
from batchjobs.session.endpoint import Endpoint
from batchjobs.session.exchange import Exchange
from batchjobs.session.pool import ConnectionPool

RECORDING_CODE: Final = "recording"
"""The code of attempts that a damaged recording ended: the service has no part in it."""
_CHUNKS_A_HOP: Final = 8


class SttSession:
    """Transcribes one recording through one connection.

    Args:
        endpoint: The way to the provider.
        chunks: The recording's 16 kHz mono samples, in chunks of the provider's length.
        pool: Connections opened beforehand, if the run opens any.
        on_proven: Called when the service first does useful work.
        settle_seconds: A settling time below the provider's.
        judge: Says whether the transcript can be that of the audio; None doubts nothing.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        chunks: AsyncGenerator[bytes, None],
        pool: ConnectionPool | None = None,
        on_proven: Callable[[], None] = lambda: None,
        settle_seconds: float | None = None,
        judge: SttJudge | None = None,
    ) -> None:
        provider, ways = endpoint.provider, endpoint.provider.stt_auth
        self._endpoint = endpoint
        self._chunks = chunks
        self._damage: PermanentError | None = None
        make_machine = functools.partial(
            SttClient,
            provider=provider,
            encoding=endpoint.encoding,
            settle_seconds=settle_seconds,
            judge=judge,
        )
        target = endpoint.target(provider.stt_path, ways, model=provider.stt_model)
        request = (target, endpoint.headers(ways))
        self._attempt = Attempt(
            endpoint, request, make_machine, self._converse, on_proven, pool=pool
        )

    @property
    def was_connected(self) -> bool:
        """Whether the service took the connection, with the key if that travels in the request."""
        return self._attempt.machine is not None

    @property
    def sent_characters(self) -> int:
        """Always 0: a transcription sends no text."""
        return 0

    @property
    def sent_audio_seconds(self) -> float:
        """Seconds of audio sent, also of a session that failed or was cancelled."""
        machine = self._attempt.machine
        return machine.sent_seconds if machine else 0.0

    async def run(self) -> SttResult:
        """Open the connection, send the recording, wait for the transcript, close.

        Raises:
            SessionError: The attempt failed; the class says what to do about it.
        """
        with self._endpoint.redactor.redact_errors():
            async with aclosing(self._chunks):
                machine = await self._attempt.run()
            if self._damage is not None:
                raise self._damage
            return machine.course.result()

    async def _converse(self, exchange: Exchange, machine: SttClient) -> None:
        if not await exchange.is_fresh():
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_audio, exchange, machine, nursery)
            await exchange.listen()
            nursery.cancel_scope.cancel()

    async def _send_audio(
        self, exchange: Exchange, machine: SttClient, nursery: trio.Nursery
    ) -> None:
        try:
            async for pcm in self._chunks:
                if machine.next_chunk_at > trio.current_time():
                    await trio.sleep_until(machine.next_chunk_at)
                await exchange.connection.send_message(machine.write_chunk(pcm))
                exchange.note_sent()
        except ConnectionClosed:
            return  # the listener sees it too
        except RecordingError as error:
            self._damage = PermanentError(error.message, code=RECORDING_CODE, hint=error.hint)
            nursery.cancel_scope.cancel()
            return
        machine.note_all_sent(trio.current_time())
        exchange.rearm()


async def recording_chunks(path: Path, chunk_seconds: float) -> AsyncGenerator[bytes, None]:
    """Decode a recording as it is needed, in worker threads, a few chunks a hop.

    Yields:
        16 kHz mono 16-bit samples, `chunk_seconds` of them each.

    Raises:
        RecordingError: The recording is damaged.
    """
    chunks = decoding.pcm_chunks(path, sample_rate=SAMPLE_RATE, chunk_seconds=chunk_seconds)
    while True:
        a_few = itertools.islice(chunks, _CHUNKS_A_HOP)
        batch = await trio.to_thread.run_sync(list, a_few)
        for chunk in batch:
            yield chunk
        if len(batch) < _CHUNKS_A_HOP:
            return
