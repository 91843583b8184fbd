"""The client's side of a speech-to-text session: pacing, settling, when the transcript stands."""

import enum
from dataclasses import dataclass
from typing import Final, Protocol, assert_never

from batchjobs.errors import SessionError, SuspectError, TimedOutError, TransientError
from batchjobs.jobs import Doubt, Ending, Evidence, Sign, Verdict
from batchjobs.protocol import codec, error_codes, messages
from batchjobs.protocol.codec import ChunkEncoding
from batchjobs.protocol.conversation import STT, Conversation
from batchjobs.protocol.messages import Role
from batchjobs.providers import Provider

__all__ = ["SAMPLE_RATE", "TRANSCRIPTION_ERROR", "SttClient", "TranscriptJudge", "TranscriptResult"]

SAMPLE_RATE: Final = 16_000
"""Samples a second of the audio sent; 16 kHz mono 16-bit is the services' safe format."""
TRANSCRIPTION_ERROR: Final = "transcription_error"
"""The code of failures told in free text: worth one more try, not more."""
_BYTES_PER_SECOND: Final = SAMPLE_RATE * 2
_REVISIONS: Final = 4.0
"""A shortened settling time is at least so many times what a revision took in the same session."""
_STEADY_REPLIES: Final = 2
"""With so many, one for each chunk, a service is taken to answer every chunk."""
_CHANGING_SEVERITY: Final = 0.5
"""What a transcript that still changes has to lose is its end."""


class TranscriptJudge(Protocol):
    """Says whether a transcript can be that of the audio which was sent for it; one a session."""

    def hear(self, pcm: bytes) -> None:
        """Take the next 16 kHz mono samples that are sent."""

    def verdict(self, text: str) -> Verdict:
        """Say what speaks for and against a transcript of all that was heard."""
        ...


class _Trusting:
    """Doubts nothing."""

    def hear(self, pcm: bytes) -> None:
        """Take no notice."""

    def verdict(self, text: str) -> Verdict:  # noqa: ARG002
        """Find nothing for or against."""
        return Verdict()


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptResult:
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
        word_end_seconds: About when each of its words ends, from the start of the audio, as the
            growth of the transcript shows; empty if it does not.
    """

    text: str
    verbatim: str
    evidence: Evidence
    doubts: tuple[Doubt, ...] = ()
    support: tuple[str, ...] = ()
    revision_seconds: float = 0.0
    settled_seconds: float = 0.0
    word_end_seconds: tuple[float, ...] = ()


class _Phase(enum.Enum):
    SENDING = enum.auto()
    AWAITING = enum.auto()
    SETTLING = enum.auto()
    ENDED = enum.auto()


class SttClient:
    """Transcribes one recording through one connection, without any I/O.

    The adapter asks `payload_of` for each chunk of audio when `next_chunk_at` has come, says when
    it has `sent` it and when it `sent_all`, tells what it received, and wakes the machine at
    `wait_until`.

    Args:
        provider: Pace, chunk form, deadlines, and what is known of the service's manners.
        now: The time, in seconds of a monotonic clock.
        encoding: How to write the chunks.
        settle_seconds: A settling time below the provider's, for a transcript that is revised soon or
            not at all.
        judge: Told of the audio that is sent, and asked about the transcript; None doubts nothing.
    """

    def __init__(
        self,
        *,
        provider: Provider,
        now: float,
        encoding: ChunkEncoding = ChunkEncoding.COMPACT,
        settle_seconds: float | None = None,
        judge: TranscriptJudge | None = None,
    ) -> None:
        self._conversation = Conversation(STT, Role.CLIENT, encoding=encoding)
        self._provider = provider
        self._judge: TranscriptJudge = judge or _Trusting()
        self._opened_at = now
        self._progress_at = now
        self._sent_all_at = now
        self._changed_at = now
        self._phase = _Phase.SENDING
        self._chunks = 0
        self._sent_bytes = 0
        self._text: str | None = None
        self._words: list[str] = []
        self._word_ends: list[float] = []
        self._replies = 0
        self._replied_since_chunk = False
        self._answers_each = True
        self._first_reply_at: float | None = None
        self._last_reply_at = now
        self._longest_gap_seconds = 0.0
        self._short_settle_seconds = settle_seconds
        self._revision_seconds = 0.0
        self._result: TranscriptResult | SessionError | None = None

    # -- what the adapter asks ------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether the outcome is decided."""
        return self._phase is _Phase.ENDED

    @property
    def has_payload(self) -> bool:
        """Never: the recording's chunks are the adapter's to bring."""
        return False

    @property
    def proven(self) -> bool:
        """Whether the service has done useful work for us: the key is good."""
        return self._replies > 0

    @property
    def sent_seconds(self) -> float:
        """Seconds of audio sent so far: what a service may bill, whatever comes of it."""
        return self._sent_bytes / _BYTES_PER_SECOND

    @property
    def next_chunk_at(self) -> float:
        """The earliest time for the next chunk, by the provider's pace."""
        if not self._provider.pace:
            return self._opened_at
        return self._opened_at + self.sent_seconds / self._provider.pace

    @property
    def wait_until(self) -> float:
        """When to call `woken` if nothing else happens."""
        provider = self._provider
        pace = provider.pace or 1.0
        sending_seconds = self.sent_seconds / min(1.0, pace)
        limit = self._opened_at + provider.session_limit_seconds + sending_seconds
        match self._phase:
            case _Phase.SENDING:
                wait = provider.ready_seconds + (provider.chunk_seconds / pace)
                deadline = self._progress_at + wait
            case _Phase.AWAITING:
                deadline = self._sent_all_at + provider.first_transcript_seconds
            case _Phase.SETTLING:
                deadline = self._settled_at()
            case _Phase.ENDED:
                deadline = self._progress_at
            case _:
                assert_never(self._phase)
        return min(deadline, limit)

    def _settled_at(self) -> float:
        """When the transcript will stand if nothing more comes, or be given up."""
        provider = self._provider
        sent = self._sent_all_at
        if self._answers_missing():
            # A busy server still owes answers: as long as they come, none is the last.
            return max(self._last_reply_at, sent) + provider.settle_seconds
        cap = sent + max(provider.settle_limit_seconds, provider.settle_seconds)
        if not self._replied_since_chunk or self._seems_to_owe_one():
            # What stands may not hold the last words yet: they have their own time to come.
            wait = max(provider.first_transcript_seconds, provider.settle_seconds)
            return min(sent + wait, cap)
        return min(max(self._changed_at, sent) + self._settle_seconds(), cap)

    def _settle_seconds(self) -> float:
        """How long the transcript has to stand unchanged: long enough for this session's own ways."""
        asked = self._provider.settle_seconds
        if self._short_settle_seconds is None:
            return asked
        return min(asked, max(self._short_settle_seconds, _REVISIONS * self._revision_seconds))

    def result(self) -> TranscriptResult:
        """Give the transcript and the evidence.

        Raises:
            SessionError: The attempt failed; the class says how.
        """
        if isinstance(self._result, TranscriptResult):
            return self._result
        raise self._result or TransientError("the session was given up before its end")

    def payload_of(self, pcm: bytes) -> str:
        """Write the next chunk of 16 kHz mono samples as its message."""
        whole = self._provider.chunk_form == "wav" or not self._chunks
        data = codec.wav_of(pcm, SAMPLE_RATE) if whole else pcm
        self._answers_each = self._answers_each and 0 <= self._chunks - self._replies <= 1
        self._chunks += 1
        self._replied_since_chunk = False
        self._sent_bytes += len(pcm)
        self._judge.hear(pcm)
        return self._conversation.send(messages.AudioChunk(data))

    # -- what the adapter tells -----------------------------------------------------------------

    def sent(self, now: float) -> None:
        """The last payload has gone out."""
        self._progress_at = now

    def sent_all(self, now: float) -> None:
        """The recording has ended and all of it was sent."""
        if self.ended:
            return
        self._sent_all_at = now
        self._phase = _Phase.SETTLING if self.proven else _Phase.AWAITING
        if self.proven and not self._answers_missing() and self._provider.transcript_per_chunk:
            self._finish(Ending.ANSWERED, None, now)

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
            case messages.Transcription(text=text):
                self._received_text(text, now)
            case messages.TranscriptionError(message=text):
                shown = f"the recogniser failed: {error_codes.quoted(text)}".rstrip(": ")
                self._fail(TransientError(shown, code=TRANSCRIPTION_ERROR))
            case messages.Failure(code=code, message=text):
                self._fail(error_codes.from_code(code, text))
            case _:
                return

    def closed(self, code: int | None, reason: str, now: float) -> None:
        """The connection closed or broke; a break without a close message has code 1006."""
        if self.ended:
            return
        if self._phase is _Phase.SETTLING and error_codes.is_normal_close(code):
            self._finish(Ending.CLOSED_BY_SERVER, code, now)
            return
        sending = self._phase is _Phase.SENDING
        when = "before all audio was sent" if sending else "before the transcript stood"
        self._fail(error_codes.from_close(code, reason, when=when))

    def woken(self, now: float) -> None:
        """The time `wait_until` has come; does nothing if it has moved on."""
        if now < self.wait_until:
            return
        elapsed = now - self._opened_at
        match self._phase:
            case _Phase.SENDING:
                shown = f"the service stopped taking audio ({elapsed:.1f} s into the session)"
                self._fail(TimedOutError(shown))
            case _Phase.AWAITING:
                shown = f"no transcript came ({elapsed:.1f} s into the session)"
                self._fail(TimedOutError(shown))
            case _Phase.SETTLING:
                self._settle(now)
            case _Phase.ENDED:
                return
            case _:
                assert_never(self._phase)

    # -- inside ---------------------------------------------------------------------------------

    def _seems_to_owe_one(self) -> bool:
        """Whether every chunk but one has had its answer, of a service that need not give any.

        The answer to the chunk before the last may come after the last was sent: it is not the last.
        """
        return self._answers_each and _STEADY_REPLIES <= self._replies == self._chunks - 1

    def _answers_missing(self) -> bool:
        return self._provider.transcript_per_chunk and self._replies < self._chunks

    def _received_text(self, text: str, now: float) -> None:
        if self._first_reply_at is None:
            self._first_reply_at = now
        else:
            self._longest_gap_seconds = max(self._longest_gap_seconds, now - self._last_reply_at)
        was_answered = self._replied_since_chunk
        self._last_reply_at = now
        self._replied_since_chunk = True
        self._replies += 1
        if text != self._text:
            if was_answered:
                stood = now - max(self._changed_at, self._progress_at)
                self._revision_seconds = max(self._revision_seconds, stood)
            self._text = text
            self._changed_at = now
            self._note_growth(text)
        if self._phase is _Phase.SENDING:
            return
        self._phase = _Phase.SETTLING
        if self._provider.transcript_per_chunk and not self._answers_missing():
            self._finish(Ending.ANSWERED, None, now)

    def _note_growth(self, text: str) -> None:
        """Note what is new in a transcript: it was said in what was heard since the last one.

        The service revises: a word that has changed, and all that follow it, are new.
        """
        words = text.split()
        pairs = zip(words, self._words, strict=False)
        same = next((at for at, (new, old) in enumerate(pairs) if new != old), None)
        if same is None:
            same = min(len(words), len(self._words))
        # Half a chunk before its end: no word is then further off than the other half.
        ended = max(0.0, self._heard_seconds - self._provider.chunk_seconds / 2)
        self._word_ends = self._word_ends[:same] + [ended] * (len(words) - same)
        self._words = words

    @property
    def _heard_seconds(self) -> float:
        """How much of the audio the last transcript is of."""
        if self._provider.transcript_per_chunk:
            return min(self.sent_seconds, self._replies * self._provider.chunk_seconds)
        return self.sent_seconds

    @property
    def _known_ends(self) -> tuple[float, ...]:
        """The ends of the words, if the transcript grew while the audio was sent."""
        if not self._word_ends or self._word_ends[0] == self._word_ends[-1]:
            return ()
        return tuple(round(end, 3) for end in self._word_ends)

    def _settle(self, now: float) -> None:
        unchanged = max(self._changed_at, self._sent_all_at) + self._settle_seconds()
        is_short = now < unchanged and not self._answers_missing()
        self._finish(Ending.UNSETTLED if is_short else Ending.SETTLED, None, now)

    def _finish(self, ending: Ending, close_code: int | None, now: float) -> None:
        verbatim = self._text or ""
        if self._answers_missing() and ending is Ending.SETTLED:
            ending = Ending.UNSETTLED
        doubts = self._unsettled(ending, now)
        if doubts and not verbatim.strip():
            hint = "send slower (--pace), or raise settle_limit_seconds"
            self._fail(SuspectError(doubts[0].message, hint=hint))
            return
        self._phase = _Phase.ENDED
        first = self._first_reply_at if self._first_reply_at is not None else now
        verdict = self._judge.verdict(verbatim)
        self._result = TranscriptResult(
            text=verbatim.strip(),
            verbatim=verbatim,
            doubts=doubts + verdict.doubts,
            support=verdict.support,
            revision_seconds=self._revision_seconds,
            settled_seconds=self._settle_seconds() if ending is Ending.SETTLED else 0.0,
            word_end_seconds=self._known_ends,
            evidence=Evidence(
                ending=ending,
                close_code=close_code,
                messages=self._replies,
                first_result_seconds=round(first - self._opened_at, 4),
                longest_gap_seconds=round(self._longest_gap_seconds, 4),
                session_seconds=round(now - self._opened_at, 4),
                sent_audio_seconds=round(self.sent_seconds, 6),
            ),
        )

    def _unsettled(self, ending: Ending, now: float) -> tuple[Doubt, ...]:
        """Say what was still to come when the transcript was taken."""
        if self._answers_missing():
            return (
                Doubt(
                    sign=Sign.UNSETTLED,
                    message=f"the transcript stopped after {self._replies} of {self._chunks} answers",
                    severity=1.0 - self._replies / self._chunks,
                    start_seconds=self._heard_seconds,
                    end_seconds=self.sent_seconds,
                ),
            )
        if ending is not Ending.UNSETTLED:
            return ()
        late = now - self._sent_all_at
        message = f"the transcript still changed {late:.1f} s after the last audio"
        return (Doubt(sign=Sign.UNSETTLED, message=message, severity=_CHANGING_SEVERITY),)

    def _fail(self, error: SessionError) -> None:
        self._phase = _Phase.ENDED
        self._result = error
