"""The client's side of a session on ``/listen``: what was heard stands when the receipt has come."""

import logging
from dataclasses import replace
from typing import Final

from batchjobs.errors import TimedOutError, TransientError
from batchjobs.jobs import Doubt, Ending, Evidence, Sign, Verdict
from batchjobs.protocol import error_codes, listen_messages
from batchjobs.protocol.client import Course
from batchjobs.protocol.conversation import LISTEN, Conversation, Phase
from batchjobs.protocol.listen_messages import Trait, UtteranceEnd
from batchjobs.protocol.listen_turns import HeardTurns
from batchjobs.protocol.messages import Role
from batchjobs.protocol.stt import SAMPLE_RATE, SttJudge, SttResult
from batchjobs.providers import Provider

FRAME_SECONDS: Final = 0.2
"""Of audio in one message; the service takes 20 to 200 ms."""
_CHUNK_SECONDS: Final = 4.0
"""Of audio that goes out at once: 20 messages of 128 KB, which a slow line takes in time."""
_logger = logging.getLogger(__name__)
_BYTES_PER_SECOND: Final = SAMPLE_RATE * 2
_AHEAD_SECONDS: Final = 58.0
"""The service closes a session that is more than 60 seconds ahead of real time."""
_KEEP_ALIVE_SECONDS: Final = 5.0
"""It closes one that has sent nothing for 12."""
_TOLERANCE_SECONDS: Final = 1.0
_TOLERANCE_SHARE: Final = 0.02
"""By how much the receipt may differ from what was sent."""


class ListenClient:
    """Transcribes one recording through one connection, without any I/O.

    The adapter shows each chunk to `plan_chunk`, asks `write_chunk` for it when `next_chunk_at` has come,
    and sends it in frames of `FRAME_SECONDS`; it asks `write_end` when there are no more, notes when each went out, says what it
    received, and wakes the machine at `wait_until`.
    While it has nothing to send, `keep_alive_at` says when to send what `write_keep_alive` gives.

    Args:
        now: The time, in seconds of a monotonic clock.
        provider: Pace and deadlines.
        judge: Told of the audio that is sent, and asked about the transcript; None doubts nothing.

    Attributes:
        course: How far the session has come, and its outcome.
    """

    def __init__(self, now: float, *, provider: Provider, judge: SttJudge | None = None) -> None:
        self._conversation = Conversation(LISTEN, Role.CLIENT)
        self.course: Course[SttResult] = Course(Phase.SENDING, now)
        self._provider = provider
        self._next_seconds = chunk_seconds_of(provider)
        self._judge = judge
        self._progress_at = now
        self._heard_at = now
        self._sent_bytes = 0
        self._heard = HeardTurns()
        self._dropped_hotwords: tuple[str, ...] = ()

    # -- what the adapter asks ------------------------------------------------------------------

    @property
    def has_payload(self) -> bool:
        """Never: the recording's frames are the adapter's to bring."""
        return False

    @property
    def sent_seconds(self) -> float:
        """Seconds of audio sent so far: what a service may bill, whatever comes of it."""
        return self._sent_bytes / _BYTES_PER_SECOND

    @property
    def next_chunk_at(self) -> float:
        """The earliest time for the next chunk: by the pace, and behind the service's window."""
        sent, pace = self.sent_seconds, self._provider.listen_pace
        after = max(0.0, sent + self._next_seconds - _AHEAD_SECONDS)
        if pace:
            after = max(after, sent / pace)
        return self.course.opened_at + after

    @property
    def keep_alive_at(self) -> float:
        """When to send a sign of life, if nothing else has gone out by then."""
        return self._progress_at + _KEEP_ALIVE_SECONDS

    @property
    def wait_until(self) -> float:
        """When to call `wake` if nothing else happens."""
        provider, course = self._provider, self.course
        limit = course.opened_at + provider.session_limit_seconds + self.sent_seconds
        if course.is_sending:
            deadline = max(self._progress_at, self.next_chunk_at) + provider.ready_seconds
        else:
            deadline = max(course.sent_all_at, self._heard_at) + provider.receipt_seconds
        return min(deadline, limit)

    def plan_chunk(self, pcm: bytes) -> None:
        """Take note of the chunk that goes out next: of what the window has room for, none waits."""
        self._next_seconds = len(pcm) / _BYTES_PER_SECOND

    def write_chunk(self, pcm: bytes) -> bytes:
        """Write the next chunk of 16 kHz mono samples, of `chunk_seconds_of` the provider at most."""
        self._sent_bytes += len(pcm)
        if self._judge is not None:
            self._judge.hear(pcm)
        written = self._conversation.send(listen_messages.AudioFrame(pcm))
        assert isinstance(written, bytes)
        return written

    def write_keep_alive(self) -> str | bytes:
        """Write the sign of life."""
        return self._conversation.send(listen_messages.KeepAlive())

    def write_end(self) -> str | bytes | None:
        """Write that all audio was sent."""
        return self._conversation.send(listen_messages.CloseStream())

    @property
    def has_times_of_turns(self) -> bool:
        """Whether the times of words go back, as those do that count from each turn's start."""
        return self._provider.listen_times == "session" and self._heard.go_back

    # -- what the adapter reports ---------------------------------------------------------------

    def note_sent(self, now: float) -> None:
        """Note that the last payload has gone out."""
        self._progress_at = now

    def note_all_sent(self, now: float) -> None:
        """Note that the recording has ended, all of it was sent, and the service was told so."""
        if self.course.is_sending:
            self.course.note_all_sent(now)

    def receive(self, payload: str | bytes, now: float) -> None:
        """Take a message of the service."""
        self._heard_at = now
        match self.course.read(self._conversation, payload):
            case listen_messages.Opened() as opened:
                self._dropped_hotwords = opened.dropped_hotwords
            case listen_messages.Results() as results:
                self.course.note_result(now)
                self._heard.take(results)
            case listen_messages.SpeechStarted() | UtteranceEnd() | Trait() as of_a_turn:
                self._heard.note(of_a_turn)
            case listen_messages.ListenError(recoverable=False) as error:
                self.course.decide(error_codes.from_listen_error(error.code, error.message))
            case listen_messages.ListenError() as error:
                shown = error_codes.quote(f"{error.code} {error.message}".strip())
                _logger.info("the service goes on after an error: %s", shown)
            case listen_messages.Receipt(audio_seconds_billed=seconds):
                self._finish(seconds, now)
            case _:
                return

    def receive_close(self, code: int | None, reason: str, now: float) -> None:
        """Take the end of the connection; a break without a close message has code 1006."""
        del now  # a receipt is what counts, whenever the connection goes
        course = self.course
        if course.has_ended:
            return
        when = "before all audio was sent" if course.is_sending else "before the receipt"
        course.decide(error_codes.from_listen_close(code, reason, when=when))

    def wake(self, now: float) -> None:
        """Do what is due if `wait_until` has come; else nothing."""
        course = self.course
        if course.has_ended or now < self.wait_until:
            return
        what = "the service stopped taking audio" if course.is_sending else "no receipt came"
        course.time_out(what, now, TimedOutError)

    # -- inside ---------------------------------------------------------------------------------

    def _finish(self, billed_seconds: float, now: float) -> None:
        """Take the receipt: all was heard."""
        course = self.course
        if course.is_sending:
            shown = "the service ended the session before all audio was sent"
            course.decide(TransientError(shown, code="receipt"))
            return
        verbatim = self._heard.text
        doubts = self._find_doubts(billed_seconds)
        verdict = Verdict() if self._judge is None else self._judge.verdict(verbatim)
        words, traits = self._heard.place(
            self._provider.listen_times,
            verdict.silences,
            self.sent_seconds,
            self._provider.listen_endpointing_ms / 1_000,
        )
        evidence = course.evidence(Ending.RECEIPT, None, now, asked_at=course.opened_at)
        course.decide(
            SttResult(
                text=verbatim.strip(),
                verbatim=verbatim,
                doubts=doubts + verdict.doubts,
                support=verdict.support,
                word_start_seconds=tuple(round(word.start, 3) for word in words),
                word_end_seconds=tuple(round(word.end, 3) for word in words),
                silences=verdict.silences,
                traits=traits,
                evidence=replace(
                    evidence,
                    sent_audio_seconds=round(self.sent_seconds, 6),
                    billed_audio_seconds=billed_seconds,
                    dropped_hotwords=self._dropped_hotwords,
                ),
            )
        )

    def _find_doubts(self, billed_seconds: float) -> tuple[Doubt, ...]:
        """Say what the receipt, and what was never made final, put in doubt."""
        sent, doubts = self.sent_seconds, []
        if sent - billed_seconds > _tolerance(sent):
            doubts.append(
                Doubt(
                    sign=Sign.UNHEARD,
                    message=f"of {sent:.1f} s that were sent the receipt has {billed_seconds:.1f} s",
                    severity=1.0 - billed_seconds / sent,
                )
            )
        if self._heard.interim.strip():
            message = "its last words were never made final"
            doubts.append(Doubt(sign=Sign.UNSETTLED, message=message, severity=0.5))
        return tuple(doubts)


def bills_more(evidence: Evidence) -> bool:
    """Say whether a receipt has more than was sent, beyond what rounding explains."""
    sent = evidence.sent_audio_seconds
    return evidence.billed_audio_seconds - sent > _tolerance(sent)


def chunk_seconds_of(provider: Provider) -> float:
    """Say how much audio is sent to a service at once: little where it is to come at a pace."""
    return FRAME_SECONDS if provider.listen_pace else _CHUNK_SECONDS


def _tolerance(sent_seconds: float) -> float:
    return max(_TOLERANCE_SECONDS, sent_seconds * _TOLERANCE_SHARE)
