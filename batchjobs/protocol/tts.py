"""The client's side of a text-to-speech session: what to send, how long to wait, when it ends."""

import enum
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, assert_never

import msgspec

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.errors import MuteError, SessionError, SuspectError, TimedOutError, TransientError
from batchjobs.jobs import Doubt, Ending, Evidence, Sign, SpeechSettings, Verdict
from batchjobs.protocol import error_codes, messages
from batchjobs.protocol.conversation import TTS, Conversation, State
from batchjobs.protocol.messages import Role
from batchjobs.providers import Provider

__all__ = ["Judge", "SpeechResult", "TtsClient"]

_BYTES_PER_SAMPLE: Final = 2
_SLOWEST_PACE: Final = 0.1
"""Audio that comes slower than this times real time is a stalled service, whatever it drips."""
_PACE_GRACE_SECONDS: Final = 30.0
_MOST_SECONDS: Final = 60.0
_MOST_SECONDS_PER_CHARACTER: Final = 3.0
"""No speech is as slow: bounds what a runaway service can make us hold."""
_ABNORMAL_CLOSE: Final = 1006
_HALF_SAMPLE_SEVERITY: Final = 0.02
_RATE_CHANGE_SEVERITY: Final = 0.5


class Judge(Protocol):
    """Says whether audio is plausible for the text it is to speak."""

    @property
    def minimum_seconds(self) -> float:
        """Less audio than this cannot be all of it."""

    def is_ample(self, pcm: ReceivedAudio, sample_rate: int) -> bool:
        """Say whether a short silence after this audio may mean the end."""

    def verdict(self, pcm: ReceivedAudio, sample_rate: int, ending: Ending) -> Verdict:
        """Say what speaks for and against complete audio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechResult:
    """A synthesis that was paid for, and why we believe that it is whole, or do not.

    Attributes:
        pcm: 16-bit mono samples.
        sample_rate: In hertz.
        evidence: What was seen of the session.
        doubts: What speaks against it; none if it counts as done.
        support: What speaks for it, a clause each.
    """

    pcm: ReceivedAudio
    sample_rate: int
    evidence: Evidence
    doubts: tuple[Doubt, ...] = ()
    support: tuple[str, ...] = ()


class _Phase(enum.Enum):
    INITIALISING = enum.auto()
    SENDING = enum.auto()
    AWAITING_AUDIO = enum.auto()
    LISTENING = enum.auto()
    DRAINING = enum.auto()
    ENDED = enum.auto()


_OVERDUE: Final = {
    _Phase.INITIALISING: "the service did not answer the first message",
    _Phase.SENDING: "the service stopped taking text",
    _Phase.AWAITING_AUDIO: "no audio came",
}


class TtsClient:
    """Speaks one text through one connection, without any I/O.

    The adapter sends what `next_payload` gives, tells what it received and what time it is, wakes
    the machine at `wait_until`, and stops when `ended`.

    Args:
        texts: The text, cut into the messages to send; joined they are what is billed.
        speech: How to speak it.
        provider: Deadlines, and what is known of the service's manners.
        key: The key, if it travels in the init message; else empty.
        judge: Says whether the audio is plausible.
        now: The time, in seconds of a monotonic clock.
        received: Where the audio goes.
        quiet_seconds: A quiet time below the provider's, for audio that the judge finds ample.
    """

    def __init__(
        self,
        *,
        texts: Sequence[str],
        speech: SpeechSettings,
        provider: Provider,
        key: str,
        judge: Judge,
        now: float,
        received: ReceivedAudio | None = None,
        quiet_seconds: float | None = None,
    ) -> None:
        self._conversation = Conversation(TTS, Role.CLIENT)
        self._provider = provider
        self._judge = judge
        self._asked_rate = speech.sample_rate
        self._opened_at = now
        self._progress_at = now
        self._phase = _Phase.INITIALISING
        self._outgoing: deque[messages.Message] = deque([_init_message(speech, key)])
        last = len(texts) - 1
        self._most_seconds = _MOST_SECONDS + _MOST_SECONDS_PER_CHARACTER * sum(map(len, texts))
        self._texts = [messages.Text(text=text, flush=i == last) for i, text in enumerate(texts)]
        self._received = ReceivedAudio() if received is None else received
        self._received_bytes = 0
        self._messages = 0
        self._short_quiet_seconds = quiet_seconds
        self._silent_seconds = 0.0
        self._is_ample = True
        self._sample_rate = 0
        self._first_audio_at: float | None = None
        self._last_audio_at: float | None = None
        self._late_audio = False
        self._sent_all_at = now
        self._longest_gap_seconds = 0.0
        self._final_seen = False
        self._sent_characters = 0
        self._result: SpeechResult | SessionError | None = None

    # -- what the adapter asks ------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether the outcome is decided."""
        return self._phase is _Phase.ENDED

    @property
    def proven(self) -> bool:
        """Whether the service has done useful work for us: the key is good."""
        return self._messages > 0

    @property
    def sent_characters(self) -> int:
        """Characters of text sent so far: what a service may bill, whatever comes of it."""
        return self._sent_characters

    def result(self) -> SpeechResult:
        """Give the audio and the evidence.

        Raises:
            SessionError: The attempt failed; the class says how.
        """
        if isinstance(self._result, SpeechResult):
            return self._result
        raise self._result or TransientError("the session was given up before its end")

    @property
    def wait_until(self) -> float:
        """When to call `woken` if nothing else happens."""
        provider = self._provider
        match self._phase:
            case _Phase.INITIALISING | _Phase.SENDING:
                deadline = self._progress_at + provider.ready_seconds
            case _Phase.AWAITING_AUDIO:
                deadline = self._sent_all_at + provider.first_audio_seconds
            case _Phase.LISTENING:
                deadline = self._progress_at + self._quiet_seconds()
            case _Phase.DRAINING if not self.proven:
                deadline = self._sent_all_at + provider.first_audio_seconds
            case _Phase.DRAINING:
                deadline = self._progress_at + provider.drain_seconds
            case _Phase.ENDED:
                deadline = self._progress_at
            case _:
                assert_never(self._phase)
        return min(deadline, self._limit())

    def _limit(self) -> float:
        spoken = self._judge.minimum_seconds
        return self._opened_at + self._provider.session_limit_seconds + spoken / _SLOWEST_PACE

    def _quiet_seconds(self) -> float:
        """How long a silent line has to be to mean the end.

        As long as there is less audio than the text can possibly take, or none since the last text,
        a pause is a pause: waiting costs nothing, a second purchase does.
        """
        last = self._last_audio_at
        answered = last is not None and last >= self._sent_all_at
        if not answered or self._received_seconds() < self._judge.minimum_seconds:
            return max(self._provider.first_audio_seconds, self._provider.quiet_seconds)
        seconds = self._provider.quiet_seconds
        return min(seconds, self._short_seconds()) if self._is_ample else seconds

    def _short_seconds(self) -> float:
        """The shortest silence that may mean the end, of audio that is ample.

        An empty message marked `isFinal` ends a part of the audio, not always all of it.
        """
        seconds = self._provider.quiet_seconds
        if self._final_seen:
            seconds = min(self._provider.final_quiet_seconds, seconds)
        if self._short_quiet_seconds is not None:
            seconds = min(self._short_quiet_seconds, seconds)
        return seconds

    @property
    def has_payload(self) -> bool:
        """Whether there is a message to send now."""
        return bool(self._outgoing) and not self.ended

    def next_payload(self) -> str | None:
        """Give the next message to send, if one may be sent now."""
        if self.ended or not self._outgoing:
            return None
        message = self._outgoing.popleft()
        if isinstance(message, messages.Text):
            self._sent_characters += len(message.text)
        return self._conversation.send(message)

    # -- what the adapter tells -----------------------------------------------------------------

    def sent(self, now: float) -> None:
        """The last payload has gone out."""
        if self._phase is not _Phase.SENDING:
            return
        self._progress_at = now
        if self._outgoing:
            return
        self._sent_all_at = now
        if self._provider.close_drains:
            self._ask_to_close(now)
        else:
            self._phase = _Phase.LISTENING if self.proven else _Phase.AWAITING_AUDIO

    def received(self, payload: str | bytes, now: float) -> None:
        """A message came."""
        if self.ended:
            return
        try:
            message = self._conversation.receive(payload)
        except SessionError as error:
            self._fail(error)
            return
        match message:
            case messages.Ready() if self._phase is _Phase.INITIALISING:
                self._outgoing.extend(self._texts)
                self._phase = _Phase.SENDING
                self._progress_at = now
            case messages.Audio():
                self._received_audio(message, now)
            case messages.Failure(code=code, message=text):
                self._fail(error_codes.from_code(code, text))
            case _:
                return

    def closed(self, code: int | None, reason: str, now: float) -> None:
        """The connection closed or broke; a break without a close message has code 1006."""
        if self.ended:
            return
        normal = error_codes.is_normal_close(code)
        if self._phase is _Phase.DRAINING and self.proven:
            # After a quiet time the audio was complete before the peer dropped the line.
            if normal or (code == _ABNORMAL_CLOSE and self._was_quiet()):
                self._finish(self._ending_of_drain(), code, now)
                return
        elif self._phase is _Phase.LISTENING and normal:
            self._finish(Ending.CLOSED_BY_SERVER, code, now)
            return
        if normal and self._has_asked and not self.proven:
            self._fail(MuteError("the service closed without any audio"))
            return
        when = "in mid-audio" if self.proven else "before any audio"
        self._fail(error_codes.from_close(code, reason, when=when))

    def woken(self, now: float) -> None:
        """The time `wait_until` has come; does nothing if it has moved on."""
        if self.ended or now < self.wait_until:
            return
        overdue = self._overdue(now)
        if overdue:
            is_mute = self._has_asked and not self.proven
            self._time_out(overdue, now, MuteError if is_mute else TimedOutError)
        elif self._phase is _Phase.LISTENING:
            self._end_of_quiet(now)
        else:
            self._finish(Ending.QUIET, None, now)

    # -- inside ---------------------------------------------------------------------------------

    @property
    def _has_asked(self) -> bool:
        """Whether all of the text was sent, and nothing but audio is to come."""
        return self._phase in {_Phase.AWAITING_AUDIO, _Phase.DRAINING}

    def _overdue(self, now: float) -> str:
        """Say what should have come by now; empty if silence was to be expected."""
        if now >= self._limit() and self._still_coming(now):
            return "audio still came at the session's time limit"
        if self._phase is _Phase.DRAINING and not self.proven:
            return "no audio came"
        if self._phase is _Phase.DRAINING and self._provider.close_drains:
            return "the audio stopped before the service closed"
        return _OVERDUE.get(self._phase, "")

    def _end_of_quiet(self, now: float) -> None:
        """Ask to close, unless the silence was a short one and there may be more to come."""
        if self._is_ample and self._quiet_seconds() < self._provider.quiet_seconds:
            self._is_ample = self._judge.is_ample(self._received, self._sample_rate)
            if now < self.wait_until:
                return
        self._silent_seconds = self._quiet_seconds()
        self._ask_to_close(now)

    def _ask_to_close(self, now: float) -> None:
        self._outgoing.append(messages.CloseConnection())
        self._phase = _Phase.DRAINING
        self._progress_at = now

    def _was_quiet(self) -> bool:
        """Whether we asked to close because of a quiet time, and nothing has belied it since."""
        draining = self._phase is _Phase.DRAINING
        return draining and not self._provider.close_drains and not self._late_audio

    def _still_coming(self, now: float) -> bool:
        last = self._last_audio_at
        fresh = last is not None and now - last < self._provider.quiet_seconds
        return fresh and not self._was_quiet()

    def _ending_of_drain(self) -> Ending:
        if not self._provider.close_drains:
            return Ending.QUIET
        asked = self._conversation.state is State.CLOSING
        return Ending.DRAINED if asked else Ending.CLOSED_BY_SERVER

    def _received_audio(self, audio: messages.Audio, now: float) -> None:
        self._final_seen = audio.is_final and not audio.pcm
        if not audio.pcm:
            return  # an empty message is no progress: only audio feeds a deadline
        rate = audio.sample_rate or self._sample_rate or self._asked_rate
        if self._sample_rate not in {0, rate}:
            shown = f"the sample rate changed from {self._sample_rate} to {rate}"
            doubt = Doubt(sign=Sign.BROKEN, message=shown, severity=_RATE_CHANGE_SEVERITY)
            self._finish(Ending.STOPPED, None, now, doubt)
            return
        self._sample_rate = rate
        if self._first_audio_at is None or self._last_audio_at is None:
            self._first_audio_at = now
        else:
            gap = now - self._last_audio_at
            self._longest_gap_seconds = max(self._longest_gap_seconds, gap)
        self._received.sample_rate = rate
        self._received.add(audio.pcm)
        self._received_bytes += len(audio.pcm)
        self._messages += 1
        self._progress_at = now
        self._last_audio_at = now
        self._is_ample = True
        if self._phase is _Phase.AWAITING_AUDIO:
            self._phase = _Phase.LISTENING
        self._late_audio = self._phase is _Phase.DRAINING
        self._check_amount(now - self._first_audio_at, now)

    def _check_amount(self, elapsed: float, now: float) -> None:
        if self._received_seconds() > self._most_seconds:
            shown = "far more audio came than the text can take"
            self._finish(Ending.STOPPED, None, now, Doubt(sign=Sign.LONG, message=shown))
            return
        if elapsed > _PACE_GRACE_SECONDS and self._received_seconds() < elapsed * _SLOWEST_PACE:
            self._time_out("the audio came slower than a tenth of its own pace", now)

    def _received_seconds(self) -> float:
        rate = self._sample_rate or self._asked_rate
        return self._received_bytes / (_BYTES_PER_SAMPLE * rate)

    def _finish(self, ending: Ending, close_code: int | None, now: float, *seen: Doubt) -> None:
        """End with what came, whatever speaks against it: it was paid for."""
        pcm = self._received
        doubts = seen + self._cut_to_whole_samples()
        pcm.seal()
        if not pcm:
            self._fail(SuspectError("half a sample of audio came, and nothing more"))
            return
        was_quiet = close_code is None or not self._late_audio
        judged_as = self._judged_as(ending, was_quiet=was_quiet)
        verdict = self._judge.verdict(pcm, self._sample_rate, judged_as)
        self._phase = _Phase.ENDED
        first = self._first_audio_at if self._first_audio_at is not None else now
        known = {doubt.sign for doubt in doubts}
        self._result = SpeechResult(
            pcm=pcm,
            sample_rate=self._sample_rate,
            doubts=doubts + tuple(doubt for doubt in verdict.doubts if doubt.sign not in known),
            support=self._shown_by(ending, was_quiet=was_quiet) + verdict.support,
            evidence=Evidence(
                ending=ending,
                close_code=close_code,
                messages=self._messages,
                first_result_seconds=round(max(0.0, first - self._sent_all_at), 4),
                longest_gap_seconds=round(self._longest_gap_seconds, 4),
                session_seconds=round(now - self._opened_at, 4),
                sent_characters=self._sent_characters,
                received_audio_seconds=round(self._received_seconds(), 6),
            ),
        )

    def _cut_to_whole_samples(self) -> tuple[Doubt, ...]:
        odd = len(self._received) % _BYTES_PER_SAMPLE
        if not odd:
            return ()
        self._received.drop(odd)
        self._received_bytes -= odd
        shown = "the audio ended in half a sample, which was cut off"
        return (Doubt(sign=Sign.BROKEN, message=shown, severity=_HALF_SAMPLE_SEVERITY),)

    def _judged_as(self, ending: Ending, *, was_quiet: bool) -> Ending:
        """A silence below the provider's quiet time, or one that was belied, is a mere close."""
        was_short = self._silent_seconds < self._provider.quiet_seconds
        shows_little = ending is Ending.QUIET and (was_short or not was_quiet)
        return Ending.CLOSED_BY_SERVER if shows_little else ending

    def _shown_by(self, ending: Ending, *, was_quiet: bool) -> tuple[str, ...]:
        match ending:
            case Ending.QUIET if not was_quiet:
                return ("asked to close, the service sent more, and closed",)
            case Ending.QUIET if self._late_audio:
                return ("asked to close, the service sent more, and then nothing",)
            case Ending.QUIET:
                return (f"the line was silent for {self._silent_seconds:.3g} s",)
            case Ending.DRAINED:
                return ("asked to close, the service sent what was pending and closed",)
            case Ending.CLOSED_BY_SERVER:
                return ("the service closed normally by itself",)
            case _:
                return ()

    def _time_out(self, what: str, now: float, error: type[TimedOutError] = TimedOutError) -> None:
        elapsed = now - self._opened_at
        self._fail(error(f"{what} ({elapsed:.1f} s into the session)"))

    def _fail(self, error: SessionError) -> None:
        self._phase = _Phase.ENDED
        self._result = error
        self._received.discard()


def _init_message(speech: SpeechSettings, key: str) -> messages.InitConnection:
    return messages.InitConnection(
        model_id=speech.model_id,
        voice_id=speech.voice_id,
        voice_settings=messages.VoiceSettings(
            stability=speech.stability,
            similarity_boost=speech.similarity_boost,
            speed=speech.speed,
        ),
        output_format=speech.output_format,
        x_api_key=key or msgspec.UNSET,
    )
