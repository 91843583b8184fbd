"""Transcribes one recording through one connection, on either of the two sockets."""

import contextlib
import functools
import itertools
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final, TypeAlias

import trio
from trio_websocket import ConnectionClosed

from batchjobs.audio import decoding
from batchjobs.audio.source import ALL_CHANNELS, Heard
from batchjobs.errors import PermanentError, RecordingError, SessionError
from batchjobs.jobs import Hearing
from batchjobs.protocol import error_codes, listen
from batchjobs.protocol.listen import FRAME_SECONDS, ListenClient, bills_more
from batchjobs.protocol.stt import SAMPLE_RATE, SttClient, SttJudge, SttResult
from batchjobs.providers import Provider
from batchjobs.session.attempt import Attempt
from batchjobs.session.connect import Request
from batchjobs.session.endpoint import Endpoint
from batchjobs.session.exchange import Exchange
from batchjobs.session.pool import ConnectionPool
from batchjobs.speech import BYTES_PER_SAMPLE, Channels
from batchjobs.websocket.frames import send_in_pieces, send_texts

RECORDING_CODE: Final = "recording"
"""The code of attempts that a damaged recording ended: the service has no part in it."""
_HOP_SECONDS: Final = 8.0
"""Of audio that is decoded at once: hops to a thread have their price."""

_ENOUGH_AT_ONCE_BYTES: Final = 160 * 1024
"""Of chunks: two of a second. Three or four take 0.95 to 1.02 of the time, and 1.2 to 2.3 MiB more."""
_FRAME_BYTES: Final = round(FRAME_SECONDS * SAMPLE_RATE) * BYTES_PER_SAMPLE
_USUAL_TARGET_BYTES: Final = 8_000
"""Of a request line that all servers take; nginx and others refuse 8,190."""

_Machine: TypeAlias = SttClient | ListenClient


class SttSession:
    """Transcribes one recording through one connection.

    Args:
        endpoint: The way to the provider.
        chunks: The recording's 16 kHz mono samples, in chunks of the provider's length.
        pool: Connections opened beforehand, if the run opens any.
        on_proven: Called when the service first does useful work.
        settle_seconds: A settling time below the provider's.
        judge: Says whether the transcript can be that of the audio; None doubts nothing.
        hotwords: Words to expect, where the protocol knows them.
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
        hotwords: Sequence[str] = (),
    ) -> None:
        provider = endpoint.provider
        self._endpoint = endpoint
        self._chunks = chunks
        self._damage: PermanentError | None = None
        make_machine: Callable[[float], _Machine]
        if provider.stt_protocol == "listen":
            make_machine = functools.partial(ListenClient, provider=provider, judge=judge)
        else:
            make_machine = functools.partial(
                SttClient,
                provider=provider,
                encoding=endpoint.encoding,
                settle_seconds=settle_seconds,
                judge=judge,
            )
        self._request = _request_of(endpoint, hotwords)
        self._attempt: Attempt[_Machine] = Attempt(
            endpoint,
            self._request,
            make_machine,
            on_proven,
            pool=pool,
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
                machine = await self._open()
            if self._damage is not None:
                raise self._damage
            result = machine.course.result()
            if dropped := result.evidence.dropped_hotwords:
                shown = ", ".join(map(error_codes.quote, dropped))
                self._endpoint.warn_once(f"does not take these hot words: {shown}")
            if isinstance(machine, ListenClient) and machine.has_times_of_turns:
                self._endpoint.warn_once(
                    "the times of its words go back from turn to turn, and are not used: try "
                    f'listen_times = "turn" below [providers.{self._endpoint.provider.name}]'
                )
            if bills_more(result.evidence):
                more = (
                    "its receipts have more than was sent: see billed_audio_seconds in the results"
                )
                self._endpoint.warn_once(more)
            return result

    async def _open(self) -> _Machine:
        """Run the attempt; a request that many servers find too long is told of.

        Raises:
            SessionError: The attempt failed.
        """
        size = len(self._request[0])
        if size <= _USUAL_TARGET_BYTES:
            return await self._attempt.run(self._converse)
        self._endpoint.warn_once(
            f"its hot words make a request line of {size:,} bytes, and many servers take 8,000"
        )
        try:
            return await self._attempt.run(self._converse)
        except SessionError as error:
            if not self.was_connected and not error.hint:
                error.hint = f"its hot words make a request line of {size:,} bytes: try fewer"
            raise

    async def _converse(self, exchange: Exchange, machine: _Machine) -> None:
        if not await exchange.is_fresh():
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_audio, exchange, machine, nursery)
            if isinstance(machine, ListenClient):
                nursery.start_soon(_keep_alive, exchange, machine)
            await exchange.listen()
            nursery.cancel_scope.cancel()

    async def _send_audio(
        self, exchange: Exchange, machine: _Machine, nursery: trio.Nursery
    ) -> None:
        try:
            if isinstance(machine, ListenClient):
                await self._send_frames(exchange, machine)
            else:
                await self._send_chunks(exchange, machine)
            # First: the answer may be here before the message is known to be sent.
            end = machine.write_end()
            machine.note_all_sent(trio.current_time())
            exchange.rearm()
            if end is not None:
                await exchange.connection.send_message(end)
        except ConnectionClosed:
            return  # the listener sees it too
        except RecordingError as error:
            self._damage = PermanentError(error.message, code=RECORDING_CODE, hint=error.hint)
            nursery.cancel_scope.cancel()

    async def _send_frames(self, exchange: Exchange, machine: ListenClient) -> None:
        async for pcm in self._chunks:
            machine.plan_chunk(pcm)
            if machine.next_chunk_at > trio.current_time():
                await trio.sleep_until(machine.next_chunk_at)
            frames = machine.write_chunk(pcm)
            await send_in_pieces(exchange.connection, frames, _FRAME_BYTES)
            exchange.note_sent()

    async def _send_chunks(self, exchange: Exchange, machine: SttClient) -> None:
        """Send chunks in their time, and a few at once where the next one's has come, too."""
        due: list[bytes] = []
        async for pcm in self._chunks:
            if machine.next_chunk_at > trio.current_time():
                await trio.sleep_until(machine.next_chunk_at)
            due.append(machine.write_chunk(pcm))
            is_enough = sum(map(len, due)) >= _ENOUGH_AT_ONCE_BYTES
            if is_enough or machine.next_chunk_at > trio.current_time():
                await send_texts(exchange.connection, due)
                exchange.note_sent()
        if due:
            await send_texts(exchange.connection, due)
            exchange.note_sent()


async def _keep_alive(exchange: Exchange, machine: ListenClient) -> None:
    """Send signs of life while there is no audio to send."""
    with contextlib.suppress(ConnectionClosed):  # the listener sees it too
        while machine.course.is_sending:
            now = trio.current_time()
            if now < machine.keep_alive_at:
                await trio.sleep_until(machine.keep_alive_at)
                continue
            await exchange.connection.send_message(machine.write_keep_alive())
            exchange.note_sent()


def _request_of(endpoint: Endpoint, hotwords: Sequence[str]) -> Request:
    """Say what to connect to, and what to expect there."""
    provider, ways = endpoint.provider, endpoint.provider.stt_auth
    if provider.stt_protocol != "listen":
        target = endpoint.target(provider.stt_path, ways, model=provider.stt_model)
        return target, endpoint.headers(ways)
    asked = {
        "encoding": "linear16",
        "sample_rate": str(SAMPLE_RATE),
        "channels": "1",
        "language": "ar",
        "interim_results": "false",  # only what is final counts
        "endpointing": str(provider.listen_endpointing_ms),
        "smart_turn": "false",
    }
    if hotwords:
        asked["hotwords"] = ",".join(hotwords)
    target = endpoint.target(
        provider.listen_path, ways, model=provider.stt_model, key_name="api_key", asked=asked
    )
    return target, endpoint.headers(ways)


def chunk_seconds_of(provider: Provider) -> float:
    """Say how much audio is sent to a service at once."""
    if provider.stt_protocol == "listen":
        return listen.chunk_seconds_of(provider)
    return provider.chunk_seconds


def to_heard(hearing: Hearing) -> Heard:
    """Say what is decoded of a recording of which one session hears all that is asked."""
    channel = {Channels.LEFT: (0,), Channels.RIGHT: (1,)}.get(hearing.channels, ())
    return Heard(channels=channel, track=hearing.track)


async def recording_chunks(
    path: Path, chunk_seconds: float, heard: Heard = ALL_CHANNELS
) -> AsyncGenerator[bytes, None]:
    """Decode a recording as it is needed, in worker threads, a few chunks a hop.

    Args:
        path: The recording.
        chunk_seconds: Length of a chunk.
        heard: What of it.

    Yields:
        16 kHz mono 16-bit samples, `chunk_seconds` of them each.

    Raises:
        RecordingError: The recording is damaged.
    """
    chunks = decoding.pcm_chunks(
        path, sample_rate=SAMPLE_RATE, chunk_seconds=chunk_seconds, gain=None, heard=heard
    )
    chunks_a_hop = max(1, round(_HOP_SECONDS / chunk_seconds))
    while True:
        a_few = itertools.islice(chunks, chunks_a_hop)
        batch = await trio.to_thread.run_sync(list, a_few)
        for chunk in batch:
            yield chunk
        if len(batch) < chunks_a_hop:
            return
