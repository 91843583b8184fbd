"""What a plan says: actions, work, money, bad rows."""

import enum
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from batchjobs.errors import ManifestError
from batchjobs.jobs import BadRow, Kind
from batchjobs.planning.coverage import Coverage

_FEW_ROWS: Final = 10
"""So many with the same mistake are each named by their own lines."""


class Action(enum.StrEnum):
    """What a run does about a row."""

    NEW = "new"
    CHANGED = "changed"
    RETRY = "retry"
    REMAKE = "remake"
    """It was done, but its files are gone, or cannot become the format that is asked now."""
    COPY = "copy"
    """The same was bought before, for another row or under another name."""
    FOLLOW = "follow"
    """An earlier row of this manifest will buy the same."""
    BAD = "bad"
    DONE = "done"
    KEPT = "kept"
    """It failed for a reason that will not pass, and stays failed."""
    SUSPECT = "suspect"
    """Its result is kept, and in doubt."""
    LATER = "later"
    """Left for another run by a limit, a sample or a choice."""
    DEAR = "dear"
    """It would cost more than a row may: it fails, and is bought once the limit is higher."""


TO_BUY: Final = (Action.NEW, Action.CHANGED, Action.RETRY, Action.REMAKE)
TO_DO: Final = (*TO_BUY, Action.COPY, Action.FOLLOW, Action.BAD, Action.DEAR)


class BadRowsError(ManifestError):
    """Rows of the manifest cannot be run.

    Args:
        name: The manifest, for messages.
        rows: The bad rows, the first hundred.
        total: How many there are.
    """

    def __init__(self, name: str, rows: Sequence[BadRow], total: int) -> None:
        lines = [some[0].describe(name, to_line=some[-1].line) for some in _join_alike(rows)]
        if total > len(rows):
            lines.append(f"… and {total - len(rows):,} more")
        super().__init__(
            "\n".join(lines),
            hint="nothing was spent; mend the rows, or pass --skip-bad-rows to run the others",
        )
        self.rows = tuple(rows)
        self.total = total

    def describe(self) -> str:
        """Give the rows, one a line."""
        return self.message


def _join_alike(rows: Iterable[BadRow]) -> Iterator[list[BadRow]]:
    """Put many rows together that follow each other with the same mistakes: an option is missing, not they.

    A few are named one by one, each by a line that an editor jumps to.
    """
    # What is on the next line and comes next is as far from its number as what is before it.
    numbered = itertools.groupby(
        enumerate(rows), lambda each: (each[1].line - each[0], each[1].mistakes)
    )
    for _, group in numbered:
        some = [row for _, row in group]
        yield from [some] if len(some) > _FEW_ROWS else ([row] for row in some)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A sum over rows: how many, the sessions they take, what is to be sent, and what it costs.

    Over several currencies (``XXX``) the cost means nothing: see `Plan.cost_by_currency`.
    """

    rows: int = 0
    sessions: int = 0
    characters: int = 0
    seconds: float = 0.0
    cost: float = 0.0
    currency: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What is to be bought of whom.

    Attributes:
        provider: Its name.
        kind: Text to speech or speech to text.
        model: The model that does it; empty if none is named to the service.
        engine: The local server's engine, which does it whatever model is named.
        voice: Who speaks; empty for a transcription.
        rows: How many rows ask for just this.
    """

    provider: str
    kind: Kind
    model: str
    engine: str = ""
    voice: str = ""
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded:
    """Rows that name no model, whose results were bought when another one was the default.

    Attributes:
        provider: Of whom.
        kind: Text to speech or speech to text.
        model: The default of then; empty if none was named to the service.
        wanted: The default of now, with which they would be bought again.
        rows: How many.
    """

    provider: str
    kind: Kind
    model: str
    wanted: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run of this manifest would do.

    Attributes:
        rows: Rows in the manifest.
        by_action: Work per action; every action is there.
        to_buy: Work that needs sessions.
        cost_by_currency: Of `to_buy`.
        unpriced: Providers some of whose prices are not known, among those that would be paid,
            and what for.
        speech_seconds: Estimated length of the speech to make.
        orphans: Finished jobs in the run folder that the manifest no longer has.
        bad_rows: The first bad rows.
        absent: Recordings that were read before and cannot be read now. What is done of them stays;
            rows of theirs that have no result are among the bad ones, and keep no other from its own.
        absent_rows: What is wrong with the first of them.
        providers: The providers that would be used.
        uses: What would be bought of them: models and voices, the most used first, a thousand at most.
        copied_providers: Those that would be used only if what is to be copied is damaged.
        replaced: Finished results that were paid for and that another provider would replace, though
            no row names it: how many, by (theirs, the other).
        superseded: What was paid for and would be bought again only because the default model is
            another one now.
        tells_all: Whether the rows, as planned, are the whole manifest: none is bad, none has its
            text in another file. Then an unchanged manifest need not be read again.
        notes: What was passed over or odd as the manifest and its recordings were read, a sentence each.
        heard_apart: Rows to buy whose channels are heard apart: silence and channels that are the same are
            found as they are cut, so that what they take is the most that it can be.
        coverage: What the texts that a choice takes hold of all; None if all are taken.
        advice: What to know of the options that were given, a sentence each.
        dearest: What the dearest of the rows costs that cost more than a row may, by currency.
    """

    rows: int
    by_action: Mapping[Action, Work]
    to_buy: Work
    cost_by_currency: Mapping[str, float]
    unpriced: Mapping[str, tuple[Kind, ...]] = field(default_factory=dict)
    speech_seconds: float = 0.0
    orphans: int = 0
    bad_rows: tuple[BadRow, ...] = ()
    absent: int = 0
    absent_rows: tuple[BadRow, ...] = ()
    providers: tuple[str, ...] = ()
    uses: tuple[Use, ...] = ()
    copied_providers: tuple[str, ...] = ()
    replaced: Mapping[tuple[str, str], int] = field(default_factory=dict)
    superseded: tuple[Superseded, ...] = ()
    tells_all: bool = True
    notes: tuple[str, ...] = ()
    heard_apart: int = 0
    coverage: Coverage | None = None
    advice: tuple[str, ...] = ()
    dearest: Mapping[str, float] = field(default_factory=dict)

    @property
    def to_do(self) -> int:
        """Rows that a run would touch."""
        return sum(self.by_action[action].rows for action in TO_DO)
