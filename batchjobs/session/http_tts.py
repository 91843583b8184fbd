"""Speaks one text through one request over HTTP."""

from collections.abc import Callable

import trio

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.errors import SessionError, TransientError
from batchjobs.jobs import Segment
from batchjobs.protocol.http_speech import HttpSpeechClient, http_path, http_request
from batchjobs.protocol.tts_audio import TtsJudge, TtsResult
from batchjobs.session.error_map import FOREIGN, translate
from batchjobs.session.http_line import HttpLine


class HttpTtsSession:
    """Speaks one text through one request.

    Args:
        line: The connections.
        segment: The text and how to speak it.
        judge: Says whether the audio is plausible.
        on_proven: Called when the service first does useful work.
        audio: Where the audio goes; by default it stays in memory.
    """

    def __init__(
        self,
        line: HttpLine,
        segment: Segment,
        *,
        judge: TtsJudge[ReceivedAudio],
        on_proven: Callable[[], None] = lambda: None,
        audio: ReceivedAudio | None = None,
    ) -> None:
        assert segment.speech is not None
        self._line = line
        self._endpoint = line.endpoint
        self._text = segment.text
        self._speech = segment.speech
        self._judge = judge
        self._on_proven = on_proven
        self._sink = ReceivedAudio() if audio is None else audio
        self._machine: HttpSpeechClient[ReceivedAudio] | None = None
        self._scope = trio.CancelScope()
        self._shield = trio.CancelScope()
        self._was_proven = False

    @property
    def was_connected(self) -> bool:
        """Whether the service took the text, as far as is known."""
        return self._machine is not None and self._machine.is_taken

    @property
    def sent_characters(self) -> int:
        """Characters sent, also of a session that failed or was cancelled."""
        return self._machine.sent_characters if self._machine else 0

    @property
    def sent_audio_seconds(self) -> float:
        """Always 0: a synthesis sends no audio."""
        return 0.0

    async def run(self) -> TtsResult[ReceivedAudio]:
        """Ask, take the audio, and see its end.

        Raises:
            SessionError: The attempt failed; the class says what to do about it.
        """
        with self._endpoint.redactor.redact_errors():
            with self._shield:
                await self._ask()
            if self._machine is None:
                raise TransientError("the session was given up before its end")
            return self._machine.course.result()

    async def _ask(self) -> None:
        """Have the exchange, up to the machine's deadline, and let the machine know how it ended."""
        error: SessionError | None = None
        try:
            with self._scope:
                await self._exchange()
        except SessionError as failure:
            error = failure
        except FOREIGN as failure:
            error = translate(failure, was_open=self._machine is not None)
        machine = self._machine
        if machine is None:
            if error is not None:
                raise error
        elif error is not None:
            machine.receive_break(error)
        else:
            machine.wake(trio.current_time())

    async def _exchange(self) -> None:
        provider, ways = self._endpoint.provider, self._endpoint.provider.tts_auth
        is_bearer = "bearer" in ways and "header" not in ways
        async with self._line.requests.post(
            self._endpoint.target(http_path(provider, self._speech.model_id), ()),
            http_request(self._text, self._speech),
            self._endpoint.headers(("bearer",) if is_bearer else ("header",)),
            on_sending=self._begin,
            on_sent=self._note_sent,
        ) as answer:
            machine = self._machine
            assert machine is not None
            machine.receive_head(answer.status_code, answer.headers, trio.current_time())
            self._rearm(machine)
            # Closed, it ends by an error, and leaves none of the library's generators half read.
            if machine.course.has_ended:
                await answer.aclose()
            async for data in answer.aiter_raw():
                machine.receive_body(data, trio.current_time())
                self._rearm(machine)
                if machine.course.has_ended:
                    await answer.aclose()
            machine.receive_end(trio.current_time())
            self._rearm(machine)

    def _begin(self) -> None:
        """Begin: what is being sent may be billed."""
        self._machine = HttpSpeechClient(
            trio.current_time(),
            text=self._text,
            speech=self._speech,
            provider=self._endpoint.provider,
            judge=self._judge,
            sink=self._sink,
        )
        self._rearm(self._machine)

    def _note_sent(self) -> None:
        if self._machine is not None:
            self._machine.note_sent(trio.current_time())
            self._rearm(self._machine)

    def _rearm(self, machine: HttpSpeechClient[ReceivedAudio]) -> None:
        """Follow the machine's deadline; what is decided is paid for, and nothing takes it back."""
        if not self._was_proven and machine.course.is_proven:
            self._was_proven = True
            self._on_proven()
        if machine.course.has_ended:
            self._scope.deadline = float("inf")
            self._shield.shield = True
        else:
            self._scope.deadline = machine.wait_until
