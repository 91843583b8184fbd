"""The audio of a synthesis: where it goes, who judges it, and the result that refers to it."""

from dataclasses import dataclass, replace
from typing import Final, Generic, Protocol, TypeVar

from batchjobs.jobs import Doubt, Ending, Evidence, Sign, Verdict
from batchjobs.speech import BYTES_PER_SAMPLE

_HALF_SAMPLE_SEVERITY: Final = 0.02
SLOWEST_PACE: Final = 0.1
"""Audio that comes slower than this times real time is a stalled service, whatever it drips."""
_PACE_GRACE_SECONDS: Final = 30.0
_MOST_SECONDS: Final = 60.0
_MOST_SECONDS_PER_CHARACTER: Final = 3.0
"""No speech is as slow: bounds what a runaway service can make us hold."""


class AudioSink(Protocol):
    """Takes the samples as they come, and has them afterwards: its owner's, not ours."""

    sample_rate: int

    def add(self, pcm: bytes) -> None:
        """Take what has come."""

    def drop(self, count: int) -> None:
        """Take back the last bytes."""

    def seal(self) -> None:
        """Know that no more comes."""


_Sink = TypeVar("_Sink", bound=AudioSink)
_Sink_contra = TypeVar("_Sink_contra", bound=AudioSink, contravariant=True)


class TtsJudge(Protocol[_Sink_contra]):
    """Says whether audio is plausible for the text it is to speak."""

    @property
    def minimum_seconds(self) -> float:
        """Less audio than this cannot be all of it."""

    def is_ample(self, pcm: _Sink_contra, sample_rate: int) -> bool:
        """Say whether a short silence after this audio may mean the end."""

    def verdict(self, pcm: _Sink_contra, sample_rate: int, ending: Ending) -> Verdict:
        """Say what speaks for and against complete audio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TtsResult(Generic[_Sink]):
    """A synthesis that was paid for, and why we believe that it is whole, or do not.

    Attributes:
        pcm: 16-bit mono samples, in the sink that was handed in.
        sample_rate: In hertz.
        evidence: What was seen of the session.
        doubts: What speaks against it; none if it counts as done.
        support: What speaks for it, a clause each.
    """

    pcm: _Sink
    sample_rate: int
    evidence: Evidence
    doubts: tuple[Doubt, ...] = ()
    support: tuple[str, ...] = ()


class AudioIntake(Generic[_Sink]):
    """Counts the samples that come, and hands them on to the sink.

    Args:
        sink: Where they go.
        characters: Of the text that is spoken.

    Attributes:
        sample_rate: In hertz; 0 until some audio has come.
        size_bytes: How many bytes have come.
        seconds: How much audio that is.
    """

    def __init__(self, sink: _Sink, *, characters: int) -> None:
        self.sink = sink
        self._most_seconds = _MOST_SECONDS + _MOST_SECONDS_PER_CHARACTER * characters
        self.sample_rate = 0
        self.size_bytes = 0
        self.seconds = 0.0

    def add(self, pcm: bytes, sample_rate: int) -> None:
        """Take the next samples, at the rate of those before."""
        if not self.sample_rate:
            self.sample_rate = self.sink.sample_rate = sample_rate
        self.sink.add(pcm)
        self.size_bytes += len(pcm)
        self.seconds = self.size_bytes / (BYTES_PER_SAMPLE * sample_rate)

    def find_excess(self) -> Doubt | None:
        """Find that far more has come than the text can take."""
        if self.seconds <= self._most_seconds:
            return None
        return Doubt(sign=Sign.LONG, message="far more audio came than the text can take")

    def is_late(self, elapsed_seconds: float) -> bool:
        """Whether so long after the first audio there is far too little of it."""
        is_due = elapsed_seconds > _PACE_GRACE_SECONDS
        return is_due and self.seconds < elapsed_seconds * SLOWEST_PACE

    def end(self) -> tuple[Doubt, ...]:
        """Cut off half a sample at the end, and close the sink; say what speaks against the audio."""
        odd_bytes = self.size_bytes % BYTES_PER_SAMPLE
        if odd_bytes:
            self.sink.drop(odd_bytes)
            self.size_bytes -= odd_bytes
            self.seconds = self.size_bytes / (BYTES_PER_SAMPLE * self.sample_rate)
        self.sink.seal()
        if not odd_bytes:
            return ()
        shown = "the audio ended in half a sample, which was cut off"
        return (Doubt(sign=Sign.BROKEN, message=shown, severity=_HALF_SAMPLE_SEVERITY),)


def judge_result(
    intake: AudioIntake[_Sink],
    judge: TtsJudge[_Sink],
    *,
    judged_as: Ending,
    evidence: Evidence,
    doubts: tuple[Doubt, ...],
    support: tuple[str, ...] = (),
) -> TtsResult[_Sink]:
    """Make a result of the audio that came, with what the judge says of it.

    Args:
        intake: What came; it has ended.
        judge: Says whether it is plausible.
        judged_as: The ending, as far as the judge may trust it.
        evidence: What was seen, but for the length of the audio.
        doubts: What speaks against it already.
        support: What speaks for it already.
    """
    verdict = judge.verdict(intake.sink, intake.sample_rate, judged_as)
    return TtsResult(
        pcm=intake.sink,
        sample_rate=intake.sample_rate,
        doubts=add_doubts(doubts, verdict.doubts),
        support=support + verdict.support,
        evidence=replace(evidence, received_audio_seconds=round(intake.seconds, 6)),
    )


def add_doubts(seen: tuple[Doubt, ...], judged: tuple[Doubt, ...]) -> tuple[Doubt, ...]:
    """Add a judge's doubts to those that the session showed, which go before others of their sign."""
    known = {doubt.sign for doubt in seen}
    return seen + tuple(doubt for doubt in judged if doubt.sign not in known)
