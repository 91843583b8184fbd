"""How fast and how patiently a run works, what it may cost, and how it ended."""

from collections.abc import Callable
from dataclasses import dataclass, field

from batchjobs.audio.pauses import SpeechDetector
from batchjobs.errors import BatchjobsError
from batchjobs.limits import Budget, RetryPolicy
from batchjobs.options import Options, Pauses

__all__ = ["RunEnd", "RunSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How fast and how patiently to run, and what it may cost.

    Attributes:
        concurrency: Sessions open at once, per provider; 0 finds it out; None asks the provider.
        preopens: Whether connections for the next sessions are opened beforehand. They count: half
            of the concurrency is then sessions.
        starts_per_second: Sessions started a second; 0 means no limit.
        retries: When to try again.
        grace_seconds: After the first signal, how long open sessions may go on.
        handles_signals: Whether to listen for signals; not in somebody else's event loop.
        budget: What may be spent, with what has been; None for no limit.
        pauses: Silence between the segments of a long text.
        detector: Makes what finds the speech in a long recording; None goes by its level.
        rebuys_doubted: Whether segments that are in doubt are bought again.
        audio_memory_bytes: Received audio held in memory, over all sessions; more goes to files.
    """

    concurrency: int | None = None
    preopens: bool = False
    starts_per_second: float = 0.0
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    grace_seconds: float = 30.0
    handles_signals: bool = True
    budget: Budget | None = None
    pauses: Pauses = field(default_factory=lambda: Options().pauses)
    detector: Callable[[], SpeechDetector] | None = None
    rebuys_doubted: bool = False
    audio_memory_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How a run ended.

    Attributes:
        error: What stopped it; None if it came to its end.
        signal_number: The signal that stopped it; 0 if none did.
    """

    error: BatchjobsError | None = None
    signal_number: int = 0
