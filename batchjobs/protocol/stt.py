"""The client's side of a speech-to-text session: pacing, settling, when the transcript stands."""

from dataclasses import dataclass, replace
from typing import Final, Protocol

from batchjobs.errors import SuspectError, TransientError
from batchjobs.jobs import Doubt, Ending, Evidence, Sign, SpeakerTrait, Verdict
from batchjobs.protocol import codec, error_codes, messages
from batchjobs.protocol.client import Course
from batchjobs.protocol.codec import ChunkEncoding
from batchjobs.protocol.conversation import STT, Conversation, Phase
from batchjobs.protocol.growth import Growth
from batchjobs.protocol.messages import Role
from batchjobs.providers import Provider

SAMPLE_RATE: Final = 16_000
"""Samples a second of the audio sent; 16 kHz mono 16-bit is the services' safe format."""
TRANSCRIPTION_ERROR: Final = "transcription_error"
"""The code of failures that come as free text: worth one more try, not more."""
_BYTES_PER_SECOND: Final = SAMPLE_RATE * 2
_REVISIONS: Final = 4.0
"""A shortened settling time is at least so many times what a revision took in the same session."""
_STEADY_REPLIES: Final = 2
"""With so many, one for each chunk, a service is taken to answer every chunk."""
_CHANGING_SEVERITY: Final = 0.5
"""What a transcript that still changes has to lose is its end."""


class SttJudge(Protocol):
    """Says whether a transcript can be that of the audio which was sent for it; one a session."""

    def hear(self, pcm: bytes) -> None:
        """Take the next 16 kHz mono samples that are sent."""

    def verdict(self, text: str) -> Verdict:
        """Say what speaks for and against a transcript of all that was heard."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SttResult:
    """A transcript and why we believe it, or not; empty text means that no speech was heard.

    Attributes:
        text: The transcript, without white space at its ends.
        verbatim: The same as it came: the parts of a recording are joined with what white space
            they have.
        evidence: Why it counts as complete.
        doubts: What speaks against it; without any it is done.
        support: What speaks for it.
        revision_seconds: The longest time it had stood before a revision: a change after the last
            chunk had an answer already; 0 if there was none.
        settled_seconds: How long it had to stand before it was taken; 0 if the service itself said
            that it was the last.
        word_start_seconds: When each of its words begins, from the start of the audio, if the service
            says so itself; empty if it does not.
        word_end_seconds: About when each of its words ends, as the growth of the transcript shows, or
            as the service says; empty if neither does.
        silences: Where the audio has no sound that can be speech, in seconds: (begin, end).
        traits: What was noticed of the speakers, if the service says so.
    """

    text: str
    verbatim: str
    evidence: Evidence
    doubts: tuple[Doubt, ...] = ()
    support: tuple[str, ...] = ()
    revision_seconds: float = 0.0
    settled_seconds: float = 0.0
    word_start_seconds: tuple[float, ...] = ()
    word_end_seconds: tuple[float, ...] = ()
    silences: tuple[tuple[float, float], ...] = ()
    traits: tuple[SpeakerTrait, ...] = ()


class SttClient:
    """Transcribes one recording through one connection, without any I/O.

    The adapter asks `write_chunk` for each chunk of audio when `next_chunk_at` has come, notes when
    it went out and when all have, says what it received, and wakes the machine at `wait_until`.

    Args:
        now: The time, in seconds of a monotonic clock.
        provider: Pace, chunk form, deadlines, and what is known of the service's manners.
        encoding: How to write the chunks.
        settle_seconds: A settling time below the provider's, for a transcript that is revised soon or
            not at all.
        judge: Told of the audio that is sent, and asked about the transcript; None doubts nothing.

    Attributes:
        course: How far the session has come, and its outcome.
    """

    def __init__(
        self,
        now: float,
        *,
        provider: Provider,
        encoding: ChunkEncoding = ChunkEncoding.COMPACT,
        settle_seconds: float | None = None,
        judge: SttJudge | None = None,
    ) -> None:
        self._conversation = Conversation(STT, Role.CLIENT, encoding=encoding)
        self.course: Course[SttResult] = Course(Phase.SENDING, now)
        self._provider = provider
        self._judge = judge
        self._progress_at = now
        self._changed_at = now
        self._chunks = 0
        self._under_way = 0
        self._sent_bytes = 0
        self._text: str | None = None
        self._growth = Growth()
        self._has_replied_since_chunk = False
        self._answers_each = True
        self._short_settle_seconds = settle_seconds
        self._revision_seconds = 0.0

    # -- what the adapter asks ------------------------------------------------------------------

    @property
    def has_payload(self) -> bool:
        """Never: the recording's chunks are the adapter's to bring."""
        return False

    @property
    def sent_seconds(self) -> float:
        """Seconds of audio sent so far: what a service may bill, whatever comes of it."""
        return self._sent_bytes / _BYTES_PER_SECOND

    @property
    def next_chunk_at(self) -> float:
        """The earliest time for the next chunk, by the provider's pace."""
        if not self._provider.pace:
            return self.course.opened_at
        return self.course.opened_at + self.sent_seconds / self._provider.pace

    @property
    def wait_until(self) -> float:
        """When to call `wake` if nothing else happens."""
        provider, course = self._provider, self.course
        pace = provider.pace or 1.0
        sending_seconds = self.sent_seconds / min(1.0, pace)
        limit = course.opened_at + provider.session_limit_seconds + sending_seconds
        match course.phase:
            case Phase.SENDING | Phase.STREAMING:
                wait_seconds = provider.ready_seconds + provider.chunk_seconds / pace
                # Each chunk has its time, also where several go out at once.
                deadline = self._progress_at + wait_seconds * max(1, self._under_way)
            case Phase.AWAITING:
                deadline = course.sent_all_at + provider.first_transcript_seconds
            case Phase.LISTENING:
                deadline = self._settles_at()
            case _:
                deadline = self._progress_at
        return min(deadline, limit)

    def _settles_at(self) -> float:
        """Return when the transcript will stand if nothing more comes, or be given up."""
        provider = self._provider
        sent = self.course.sent_all_at
        if self._owes_answers():
            # A busy server still owes answers: as long as they come, none is the last.
            return max(self.course.last_result_at, sent) + provider.settle_seconds
        cap = sent + max(provider.settle_limit_seconds, provider.settle_seconds)
        if not self._has_replied_since_chunk or self._seems_to_owe_one():
            # What stands may not hold the last words yet: they have their own time to come.
            wait = max(provider.first_transcript_seconds, provider.settle_seconds)
            return min(sent + wait, cap)
        return min(max(self._changed_at, sent) + self._settle_seconds(), cap)

    def _settle_seconds(self) -> float:
        """Return how long the transcript has to stand unchanged, by what this session has shown."""
        asked = self._provider.settle_seconds
        if self._short_settle_seconds is None:
            return asked
        return min(asked, max(self._short_settle_seconds, _REVISIONS * self._revision_seconds))

    def write_chunk(self, pcm: bytes) -> bytes:
        """Write the next chunk of 16 kHz mono samples as its message, a text in UTF-8."""
        whole = self._provider.chunk_form == "wav" or not self._chunks
        data = codec.wav_of(pcm, SAMPLE_RATE) if whole else pcm
        self._answers_each = self._answers_each and 0 <= self._chunks - self.course.results <= 1
        self._chunks += 1
        self._has_replied_since_chunk = False
        self._sent_bytes += len(pcm)
        if self._judge is not None:
            self._judge.hear(pcm)
        self._under_way += 1
        written = self._conversation.send(messages.AudioChunk(data))
        assert isinstance(written, bytes)
        return written

    def write_end(self) -> str | bytes | None:
        """Nothing marks the end of the audio."""
        return None

    # -- what the adapter reports ---------------------------------------------------------------

    def note_sent(self, now: float) -> None:
        """Note that all chunks written so far have gone out."""
        self._progress_at = now
        self._under_way = 0

    def note_all_sent(self, now: float) -> None:
        """Note that the recording has ended, and all of it was sent."""
        if not self.course.is_sending:
            return
        self.course.note_all_sent(now)
        self._finish_if_answered(now)

    def receive(self, payload: str | bytes, now: float) -> None:
        """Take a message of the service."""
        match self.course.read(self._conversation, payload):
            case messages.Transcription(text=text):
                self._take_text(text, now)
            case messages.TranscriptionError(message=text):
                shown = f"the recogniser failed: {error_codes.quote(text)}".rstrip(": ")
                self.course.decide(TransientError(shown, code=TRANSCRIPTION_ERROR))
            case _:
                return

    def receive_close(self, code: int | None, reason: str, now: float) -> None:
        """Take the end of the connection; a break without a close message has code 1006."""
        course = self.course
        if course.has_ended:
            return
        if course.phase is Phase.LISTENING and error_codes.is_normal_close(code):
            self._finish(Ending.CLOSED_BY_SERVER, code, now)
            return
        when = "before all audio was sent" if course.is_sending else "before the transcript stood"
        course.decide(error_codes.from_close(code, reason, when=when))

    def wake(self, now: float) -> None:
        """Do what is due if `wait_until` has come; else nothing."""
        course = self.course
        if course.has_ended or now < self.wait_until:
            return
        if course.phase is Phase.LISTENING:
            self._settle(now)
            return
        what = "the service stopped taking audio" if course.is_sending else "no transcript came"
        course.time_out(what, now)

    # -- inside ---------------------------------------------------------------------------------

    def _seems_to_owe_one(self) -> bool:
        """Say whether every chunk but one has its answer, of a service that need not give any.

        The answer to the chunk before the last may come after the last was sent: it is not the last.
        """
        return self._answers_each and _STEADY_REPLIES <= self.course.results == self._chunks - 1

    def _owes_answers(self) -> bool:
        return self._provider.transcript_per_chunk and self.course.results < self._chunks

    def _take_text(self, text: str, now: float) -> None:
        was_answered = self._has_replied_since_chunk
        self.course.note_result(now)
        self._has_replied_since_chunk = True
        if text != self._text:
            if was_answered:
                stood = now - max(self._changed_at, self._progress_at)
                self._revision_seconds = max(self._revision_seconds, stood)
            self._text = text
            self._changed_at = now
            # Half a chunk before its end: no word is then further off than the other half.
            ended = max(0.0, self._heard_seconds - self._provider.chunk_seconds / 2)
            self._growth.note(text, ended)
        self._finish_if_answered(now)

    def _finish_if_answered(self, now: float) -> None:
        """Finish if every chunk has been sent and has the answer that the service owes it."""
        is_listening = self.course.phase is Phase.LISTENING
        if is_listening and self._provider.transcript_per_chunk and not self._owes_answers():
            self._finish(Ending.ANSWERED, None, now)

    @property
    def _heard_seconds(self) -> float:
        """How much of the audio the last transcript is of."""
        if self._provider.transcript_per_chunk:
            return min(self.sent_seconds, self.course.results * self._provider.chunk_seconds)
        return self.sent_seconds

    @property
    def _known_ends(self) -> tuple[float, ...]:
        """The ends of the words, if any came before all of the audio was sent."""
        ends = self._growth.ends
        if not ends or ends[0] >= self.sent_seconds - self._provider.chunk_seconds / 2:
            return ()
        return tuple(round(end, 3) for end in ends)

    def _settle(self, now: float) -> None:
        unchanged = max(self._changed_at, self.course.sent_all_at) + self._settle_seconds()
        is_short = now < unchanged or self._owes_answers()
        self._finish(Ending.UNSETTLED if is_short else Ending.SETTLED, None, now)

    def _finish(self, ending: Ending, close_code: int | None, now: float) -> None:
        course, verbatim = self.course, self._text or ""
        doubts = self._find_unsettled(ending, now)
        if doubts and not verbatim.strip():
            hint = "send slower (--pace), or raise settle_limit_seconds"
            course.decide(SuspectError(doubts[0].message, hint=hint))
            return
        verdict = Verdict() if self._judge is None else self._judge.verdict(verbatim)
        evidence = course.evidence(ending, close_code, now, asked_at=course.opened_at)
        result = SttResult(
            text=verbatim.strip(),
            verbatim=verbatim,
            doubts=doubts + verdict.doubts,
            support=verdict.support,
            revision_seconds=self._revision_seconds,
            settled_seconds=self._settle_seconds() if ending is Ending.SETTLED else 0.0,
            word_end_seconds=self._known_ends,
            silences=verdict.silences,
            evidence=replace(evidence, sent_audio_seconds=round(self.sent_seconds, 6)),
        )
        course.decide(result)

    def _find_unsettled(self, ending: Ending, now: float) -> tuple[Doubt, ...]:
        """Say what was still to come when the transcript was taken."""
        answers = self.course.results
        if self._owes_answers():
            return (
                Doubt(
                    sign=Sign.UNSETTLED,
                    message=f"the transcript stopped after {answers} of {self._chunks} answers",
                    severity=1.0 - answers / self._chunks,
                    start_seconds=self._heard_seconds,
                    end_seconds=self.sent_seconds,
                ),
            )
        if ending is not Ending.UNSETTLED:
            return ()
        late = now - self.course.sent_all_at
        message = f"the transcript still changed {late:.1f} s after the last audio"
        return (Doubt(sign=Sign.UNSETTLED, message=message, severity=_CHANGING_SEVERITY),)
