"""The audio of a synthesis: where it goes, who judges it, and the result that refers to it."""

from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from batchjobs.jobs import Doubt, Ending, Evidence, Sign, Verdict
from batchjobs.speech import BYTES_PER_SAMPLE

_HALF_SAMPLE_SEVERITY: Final = 0.02


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

    Attributes:
        sample_rate: In hertz; 0 until some audio has come.
        size_bytes: How many bytes have come.
        seconds: How much audio that is.
    """

    def __init__(self, sink: _Sink) -> None:
        self.sink = sink
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
