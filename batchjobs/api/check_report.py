"""Which clips a check takes, and what it found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from batchjobs.checkpoint import CheckRecord, CheckVerdict
from batchjobs.errors import BatchjobsError
from batchjobs.outputs.summary import RunSummary
from batchjobs.process import signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which clips a check takes, how often they may be bought again, and if they get scores; see `check`."""

    sample: float = 1.0
    worst: int | None = None
    regenerate: int = 0
    scores: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What a check found.

    Attributes:
        folder: The run folder.
        exit_code: What the command would exit with.
        clips: Finished clips that the run has.
        verdicts: How many of those checked have each verdict; what was not heard has none.
        bad: What was found of the clips that are bad.
        bought_again: Takes that stand in the folder of the takes for rows that are, or were, bad.
        improved: Ids of rows whose clip was replaced by a better take just now.
        summary: Of the run, with what checks have cost so far.
        is_stored: Whether the verdicts are in the checkpoint: not while a run goes on in the folder.
        error: What stopped it; None if it came to its end.
        signal_number: The signal that stopped it; 0 if none did.
    """

    folder: Path
    exit_code: int
    summary: RunSummary
    clips: int = 0
    verdicts: Mapping[CheckVerdict, int] = field(default_factory=dict)
    bad: tuple[CheckRecord, ...] = ()
    bought_again: int = 0
    improved: tuple[str, ...] = ()
    is_stored: bool = True
    error: BatchjobsError | None = None
    signal_number: int = 0

    def raise_for_status(self) -> Self:
        """Raise if it did not come to its end; gives the report back if it did.

        Bad clips are what a check is to find: they raise nothing.

        Raises:
            BatchjobsError: What stopped it.
            KeyboardInterrupt: A signal stopped it.
        """
        if self.error is not None:
            raise self.error
        if self.signal_number:
            raise signals.Interrupted(self.signal_number)
        return self
