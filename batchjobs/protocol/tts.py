"""The client's side of a text-to-speech session: what to send, how long to wait, when it ends."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Generic, TypeVar, assert_never

import msgspec

from batchjobs.errors import MuteError, SuspectError, TimedOutError
from batchjobs.jobs import Doubt, Ending, Sign, SpeechSettings
from batchjobs.protocol import close_codes, error_codes, messages
from batchjobs.protocol.client import Course
from batchjobs.protocol.conversation import TTS, Conversation, Phase, State, Step
from batchjobs.protocol.messages import Role
from batchjobs.protocol.tts_audio import (
    SLOWEST_PACE,
    AudioIntake,
    AudioSink,
    TtsJudge,
    TtsResult,
    judge_result,
)
from batchjobs.providers import Provider

_Sink = TypeVar("_Sink", bound=AudioSink)

_RATE_CHANGE_SEVERITY: Final = 0.5
_OVERDUE: Final = {
    Phase.INITIALISING: "the service did not answer the first message",
    Phase.SENDING: "the service stopped taking text",
    Phase.STREAMING: "the service stopped taking text",
    Phase.AWAITING: "no audio came",
    Phase.CLOSING: "no audio came",
}
_MUTE: Final = frozenset({Phase.AWAITING, Phase.CLOSING})
"""In these the service has all of the text, and has not made a sound."""


class TtsClient(Generic[_Sink]):
    """Speaks one text through one connection, without any I/O.

    The adapter sends what `next_payload` gives, says what it received and what time it is, wakes
    the machine at `wait_until`, and stops when its `course` has ended.

    Args:
        now: The time, in seconds of a monotonic clock.
        texts: The text, cut into the messages to send; joined they are what is billed.
        speech: How to speak it.
        provider: Deadlines, and what is known of the service's manners.
        key: The key, if it travels in the init message; else empty.
        judge: Says whether the audio is plausible.
        sink: Where the audio goes.
        quiet_seconds: A quiet time below the provider's, for audio that the judge finds ample.

    Attributes:
        course: How far the session has come, and its outcome.
        sent_characters: What a service may bill so far, whatever comes of it.
    """

    def __init__(
        self,
        now: float,
        *,
        texts: Sequence[str],
        speech: SpeechSettings,
        provider: Provider,
        key: str,
        judge: TtsJudge[_Sink],
        sink: _Sink,
        quiet_seconds: float | None = None,
    ) -> None:
        self._conversation = Conversation(TTS, Role.CLIENT)
        self.course: Course[TtsResult[_Sink]] = Course(Phase.INITIALISING, now)
        self._provider = provider
        self._judge = judge
        self._outgoing: deque[messages.Message] = deque([_init_message(speech, key)])
        last = len(texts) - 1
        self._texts = [messages.Text(text=text, flush=i == last) for i, text in enumerate(texts)]
        self.sent_characters = 0
        self._progress_at = now
        self._intake = AudioIntake(sink, characters=sum(map(len, texts)))
        self._asked_rate = speech.sample_rate
        self._was_final = False
        self._has_late_audio = False
        self._short_quiet_seconds = quiet_seconds
        self._silent_seconds = 0.0
        self._is_ample = True

    # -- what the adapter asks ------------------------------------------------------------------

    @property
    def wait_until(self) -> float:
        """When to call `wake` if nothing else happens."""
        provider, course = self._provider, self.course
        match course.phase:
            case Phase.LISTENING:
                deadline = self._progress_at + self._quiet_seconds()
            case Phase.DRAINING:
                deadline = self._progress_at + provider.drain_seconds
            case Phase.INITIALISING | Phase.SENDING | Phase.STREAMING:
                deadline = self._progress_at + provider.ready_seconds
            case Phase.AWAITING | Phase.CLOSING:
                deadline = course.sent_all_at + provider.first_audio_seconds
            case Phase.ENDED:
                deadline = self._progress_at
            case _:
                assert_never(course.phase)
        return min(deadline, self._limit())

    def _limit(self) -> float:
        spoken = self._judge.minimum_seconds
        return self.course.opened_at + self._provider.session_limit_seconds + spoken / SLOWEST_PACE

    def _quiet_seconds(self) -> float:
        """Return how long the line has to be silent to mean the end.

        As long as there is less audio than the text can possibly take, or none since the last text,
        a pause is a pause: waiting costs nothing, a second purchase does.
        """
        has_answered = self.course.last_result_at >= self.course.sent_all_at
        if not has_answered or self._intake.seconds < self._judge.minimum_seconds:
            return max(self._provider.first_audio_seconds, self._provider.quiet_seconds)
        seconds = self._provider.quiet_seconds
        if not self._is_ample:
            return seconds
        if self._was_final:  # this ends a part of the audio, not always all of it
            seconds = min(self._provider.final_quiet_seconds, seconds)
        if self._short_quiet_seconds is not None:
            seconds = min(self._short_quiet_seconds, seconds)
        return seconds

    @property
    def has_payload(self) -> bool:
        """Whether there is a message to send now."""
        return bool(self._outgoing) and not self.course.has_ended

    def next_payload(self) -> str | bytes | None:
        """Return the next message to send, if one may be sent now."""
        if not self.has_payload:
            return None
        message = self._outgoing.popleft()
        if isinstance(message, messages.Text):
            self.sent_characters += len(message.text)
        return self._conversation.send(message)

    # -- what the adapter reports ---------------------------------------------------------------

    def note_sent(self, now: float) -> None:
        """Note that the last payload has gone out."""
        if not self.course.is_sending:
            return
        self._progress_at = now
        if self._outgoing:
            return
        self.course.note_all_sent(now)
        if self._provider.close_drains:
            self._ask_to_close(now)

    def receive(self, payload: str | bytes, now: float) -> None:
        """Take a message of the service."""
        match self.course.read(self._conversation, payload):
            case messages.Audio() as audio:
                self._take_audio(audio, now)
            case messages.Ready() if self.course.phase is Phase.INITIALISING:
                self._outgoing.extend(self._texts)
                self.course.advance(Step.READY)
                self._progress_at = now
            case _:
                return

    def receive_close(self, code: int | None, reason: str, now: float) -> None:
        """Take the end of the connection; a break without a close message has code 1006."""
        course = self.course
        is_normal = error_codes.is_normal_close(code)
        match course.phase:
            case Phase.ENDED:
                return
            case Phase.LISTENING if is_normal:
                self._finish(Ending.CLOSED_BY_SERVER, code, now)
            # After a quiet time the audio was complete before the peer dropped the line.
            case Phase.DRAINING if is_normal or (
                code == close_codes.ABNORMAL and self._was_quiet()
            ):
                self._finish(self._ending_of_drain(), code, now)
            case Phase.AWAITING | Phase.CLOSING if is_normal:
                course.decide(MuteError("the service closed without any audio"))
            case _:
                when = "in mid-audio" if course.is_proven else "before any audio"
                course.decide(error_codes.from_close(code, reason, when=when))

    def wake(self, now: float) -> None:
        """Do what is due if `wait_until` has come; else nothing."""
        course = self.course
        if course.has_ended or now < self.wait_until:
            return
        overdue = self._overdue(now)
        if overdue:
            kind = MuteError if course.phase in _MUTE else TimedOutError
            course.time_out(overdue, now, kind)
        elif course.phase is Phase.LISTENING:
            self._end_quiet(now)
        else:
            self._finish(Ending.QUIET, None, now)

    # -- inside ---------------------------------------------------------------------------------

    def _overdue(self, now: float) -> str:
        """Say what should have come by now; empty if silence was to be expected."""
        course = self.course
        is_fresh = now - course.last_result_at < self._provider.quiet_seconds
        is_coming = course.is_proven and is_fresh and not self._was_quiet()
        if is_coming and now >= self._limit():
            return "audio still came at the session's time limit"
        if course.phase is Phase.DRAINING and self._provider.close_drains:
            return "the audio stopped before the service closed"
        return _OVERDUE.get(course.phase, "")

    def _end_quiet(self, now: float) -> None:
        """Ask to close, unless the silence was a short one and there may be more to come."""
        if self._is_ample and self._quiet_seconds() < self._provider.quiet_seconds:
            self._is_ample = self._judge.is_ample(self._intake.sink, self._intake.sample_rate)
            if now < self.wait_until:
                return
        self._silent_seconds = self._quiet_seconds()
        self._ask_to_close(now)

    def _ask_to_close(self, now: float) -> None:
        self._outgoing.append(messages.CloseConnection())
        self.course.advance(Step.CLOSE)
        self._progress_at = now

    def _was_quiet(self) -> bool:
        """Say whether we asked to close because of a quiet time, and nothing has belied it since."""
        is_draining = self.course.phase is Phase.DRAINING
        return is_draining and not self._provider.close_drains and not self._has_late_audio

    def _ending_of_drain(self) -> Ending:
        if not self._provider.close_drains:
            return Ending.QUIET
        has_asked = self._conversation.state is State.CLOSING
        return Ending.DRAINED if has_asked else Ending.CLOSED_BY_SERVER

    def _take_audio(self, audio: messages.Audio, now: float) -> None:
        self._was_final = audio.is_final and not audio.pcm
        if not audio.pcm:
            return  # an empty message is no progress: only audio feeds a deadline
        intake = self._intake
        rate = audio.sample_rate or intake.sample_rate or self._asked_rate
        if rate != intake.sample_rate and intake.sample_rate:
            shown = f"the sample rate changed from {intake.sample_rate} to {rate}"
            doubt = Doubt(sign=Sign.BROKEN, message=shown, severity=_RATE_CHANGE_SEVERITY)
            self._finish(Ending.STOPPED, None, now, doubt)
            return
        intake.add(audio.pcm, rate)
        self.course.note_result(now)
        self._progress_at = now
        self._is_ample = True
        self._has_late_audio = self.course.phase is Phase.DRAINING
        elapsed = now - self.course.first_result_at
        if excess := intake.find_excess():
            self._finish(Ending.STOPPED, None, now, excess)
        elif intake.is_late(elapsed):
            slow = "the audio came slower than a tenth of its own pace"
            self.course.time_out(slow, now)

    def _finish(self, ending: Ending, close_code: int | None, now: float, *seen: Doubt) -> None:
        """End with what came, whatever speaks against it: it was paid for."""
        course, intake = self.course, self._intake
        doubts = seen + intake.end()
        if not intake.size_bytes:
            course.decide(SuspectError("half a sample of audio came, and nothing more"))
            return
        was_quiet = close_code is None or not self._has_late_audio
        evidence = course.evidence(ending, close_code, now, asked_at=course.sent_all_at)
        course.decide(
            judge_result(
                intake,
                self._judge,
                judged_as=self._ending_to_judge(ending, was_quiet=was_quiet),
                evidence=replace(evidence, sent_characters=self.sent_characters),
                doubts=doubts,
                support=self._describe_end(ending, was_quiet=was_quiet),
            )
        )

    def _ending_to_judge(self, ending: Ending, *, was_quiet: bool) -> Ending:
        """Return the ending as the judge takes it: too short or belied, a silence is a mere close."""
        was_short = self._silent_seconds < self._provider.quiet_seconds
        shows_little = ending is Ending.QUIET and (was_short or not was_quiet)
        return Ending.CLOSED_BY_SERVER if shows_little else ending

    def _describe_end(self, ending: Ending, *, was_quiet: bool) -> tuple[str, ...]:
        match ending:
            case Ending.QUIET if not was_quiet:
                return ("asked to close, the service sent more, and closed",)
            case Ending.QUIET if self._has_late_audio:
                return ("asked to close, the service sent more, and then nothing",)
            case Ending.QUIET:
                return (f"the line was silent for {self._silent_seconds:.3g} s",)
            case Ending.DRAINED:
                return ("asked to close, the service sent what was pending and closed",)
            case Ending.CLOSED_BY_SERVER:
                return ("the service closed normally by itself",)
            case _:
                return ()


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
