"""What a case of the benchmark is: programs that do the same work, and rows of figures about them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

__all__ = [
    "Case",
    "Figure",
    "Measure",
    "Medians",
    "Program",
    "Row",
    "difference",
    "highest_held",
    "ratio",
    "share_of_ideal",
    "value",
]

Medians: TypeAlias = Mapping[str, Mapping[str, float]]
"""A program's label to what it reports, each number the median of all rounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program that prints the meter's report as its last line.

    In the arguments ``{ws}``, ``{wss}`` and ``{ca}`` are the canned server's, and ``{scratch}`` is a
    folder that lasts as long as the benchmark.

    Attributes:
        module: Its module below ``tests.benchmarks``.
        arguments: Its command line.
        quick: What the quick form adds; the later one of two equal options counts.
        checkout: The folder of another checkout to take it from; None for this one.
    """

    module: str
    arguments: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    checkout: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What a row of the table shows.

    Attributes:
        value: What is compared with the goal.
        ours: What it was made of, on our side.
        peer: The same on the peer's side; None without a peer.
        unit: Of `ours` and `peer`: ``s``, ``B``, or nothing.
        value_unit: Of `value`: nothing for a ratio.
    """

    value: float
    ours: float
    peer: float | None = None
    unit: str = ""
    value_unit: str = ""


Measure: TypeAlias = Callable[[Medians], Figure]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the table.

    Attributes:
        name: Its table in ``goals.toml``, which says what it is and what it should be.
        measure: Makes its figure of a case's medians.
        peer: What the table calls the other side; empty without one.
    """

    name: str
    measure: Measure
    peer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Programs that are run in turns, and what is made of their reports.

    Attributes:
        name: How the command line calls it.
        programs: By label.
        rows: What the table shows of it.
        rounds: How often, if not as often as the others: for what takes minutes.
        is_same_work: Whether each session of each program has as many messages and bytes; not where two
            sockets of one service are compared.
    """

    name: str
    programs: Mapping[str, Program]
    rows: tuple[Row, ...]
    rounds: int | None = None
    is_same_work: bool = True


def _unit(key: str) -> str:
    if key.endswith("_seconds"):
        return "s"
    return "B" if key.endswith("bytes") else ""


def _per_session(report: Mapping[str, float], key: str) -> float:
    return report[key] / report["sessions"]


def ratio(key: str, ours: str, peer: str, *, per_session: bool = True) -> Measure:
    """Divide ours by the peer's.

    Args:
        key: Of the report.
        ours: Label of our program.
        peer: Label of the peer's.
        per_session: Whether to compare what one session takes.
    """

    def measure(medians: Medians) -> Figure:
        if per_session:
            one, other = (_per_session(medians[label], key) for label in (ours, peer))
        else:
            one, other = (medians[label][key] for label in (ours, peer))
        return Figure(value=one / other if other else 0.0, ours=one, peer=other, unit=_unit(key))

    return measure


def value(key: str, ours: str) -> Measure:
    """Give what one program reports as it is."""

    def measure(medians: Medians) -> Figure:
        found = medians[ours][key]
        return Figure(value=found, ours=found, unit=_unit(key), value_unit=_unit(key))

    return measure


def difference(key: str, ours: str, peer: str) -> Measure:
    """Give what ours takes beyond the peer's."""

    def measure(medians: Medians) -> Figure:
        one, other = (medians[label][key] for label in (ours, peer))
        unit = _unit(key)
        return Figure(value=one - other, ours=one, peer=other, unit=unit, value_unit=unit)

    return measure


def share_of_ideal(ours: str, *, session_seconds: float, concurrency: int) -> Measure:
    """Give how much of what a paced service allows was achieved.

    Args:
        ours: Label of the program, which reports its ``wall_seconds``.
        session_seconds: What the service takes for each session.
        concurrency: Sessions open at once.
    """

    def measure(medians: Medians) -> Figure:
        report = medians[ours]
        ideal = report["sessions"] * session_seconds / concurrency
        wall = report["wall_seconds"]
        return Figure(value=ideal / wall, ours=wall, peer=ideal, unit="s")

    return measure


def highest_held(ladder: Sequence[int], *, lag_seconds: float) -> Measure:
    """Give the most sessions at once whose loop was late by no more than this, 99 times in 100.

    Args:
        ladder: How many at once, rising; each is the label of its program, too.
        lag_seconds: How late is too late.
    """

    def measure(medians: Medians) -> Figure:
        held = 0
        for count in ladder:
            if str(count) not in medians or medians[str(count)]["lag_p99_seconds"] > lag_seconds:
                break
            held = count
        return Figure(value=held, ours=held)

    return measure
