"""Speaks one text through one connection."""

import functools
from collections.abc import Callable

import trio
from trio_websocket import ConnectionClosed

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.jobs import Segment
from batchjobs.protocol.tts import TtsClient
from batchjobs.protocol.tts_audio import TtsJudge, TtsResult
from batchjobs.session.attempt import Attempt
from batchjobs.session.endpoint import Endpoint
from batchjobs.session.exchange import Exchange
from batchjobs.session.pool import ConnectionPool


class TtsSession:
    """Speaks one text through one connection.

    Args:
        endpoint: The way to the provider.
        segment: The text and how to speak it.
        texts: The text, cut into messages.
        judge: Says whether the audio is plausible.
        pool: Connections opened beforehand, if the run opens any.
        on_proven: Called when the service first does useful work.
        audio: Where the audio goes; by default it stays in memory.
        quiet_seconds: A quiet time below the provider's, where the audio is ample.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        segment: Segment,
        *,
        texts: list[str],
        judge: TtsJudge[ReceivedAudio],
        pool: ConnectionPool | None = None,
        on_proven: Callable[[], None] = lambda: None,
        audio: ReceivedAudio | None = None,
        quiet_seconds: float | None = None,
    ) -> None:
        provider, ways, speech = endpoint.provider, endpoint.provider.tts_auth, segment.speech
        assert speech is not None
        self._endpoint = endpoint
        make_machine: Callable[[float], TtsClient[ReceivedAudio]] = functools.partial(
            TtsClient,
            texts=texts,
            speech=speech,
            provider=provider,
            key=endpoint.key if "init" in ways else "",
            judge=judge,
            sink=ReceivedAudio() if audio is None else audio,
            quiet_seconds=quiet_seconds,
        )
        request = (endpoint.target(provider.tts_path, ways), endpoint.headers(ways))
        self._attempt = Attempt(endpoint, request, make_machine, on_proven, pool=pool)

    @property
    def was_connected(self) -> bool:
        """Whether the service took the connection, with the key if that travels in the request."""
        return self._attempt.machine is not None

    @property
    def sent_characters(self) -> int:
        """Characters sent, also of a session that failed or was cancelled."""
        machine = self._attempt.machine
        return machine.sent_characters if machine else 0

    @property
    def sent_audio_seconds(self) -> float:
        """Always 0: a synthesis sends no audio."""
        return 0.0

    async def run(self) -> TtsResult[ReceivedAudio]:
        """Open the connection, speak the text, close.

        Raises:
            SessionError: The attempt failed; the class says what to do about it.
        """
        with self._endpoint.redactor.redact_errors():
            return (await self._attempt.run(_converse)).course.result()


async def _converse(exchange: Exchange, machine: TtsClient[ReceivedAudio]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_send_texts, exchange, machine)
        await exchange.listen()
        nursery.cancel_scope.cancel()


async def _send_texts(exchange: Exchange, machine: TtsClient[ReceivedAudio]) -> None:
    while not machine.course.has_ended:
        exchange.wake = trio.Event()
        payload = machine.next_payload()
        if payload is None:
            await exchange.wake.wait()
            continue
        try:
            await exchange.connection.send_message(payload)
        except ConnectionClosed:
            return  # the listener sees it too, and with it what came before
        exchange.note_sent()
