"""The table of a benchmark's figures beside their goals."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.case import Figure, Row
from tests.benchmarks.driver import Runs

__all__ = ["Goal", "Line", "goals", "lines_of", "programs_shown", "shown"]

_GOALS: Final = Path(__file__).with_name("goals.toml")
_PROGRAM_HEADINGS: Final = (
    "case",
    "program",
    "sessions",
    "CPU a session",
    "wall",
    "peak memory",
    "lag p99",
    "lag max",
    "server",
)
_HEADINGS: Final = ("what", "peer", "ours", "theirs", "figure", "goal", "stretch", "met", "server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a row should come to.

    Attributes:
        what: What the row is about.
        goal: Decides how the benchmark ends; None where a row only informs.
        stretch: What we want; None if there is nothing beyond the goal.
        at_least: Whether more is better.
    """

    what: str
    goal: float | None = None
    stretch: float | None = None
    at_least: bool = False

    def met_by(self, value: float, wanted: float | None) -> bool | None:
        """Say whether a figure is as good as wanted; None if nothing is wanted."""
        if wanted is None:
            return None
        return value >= wanted if self.at_least else value <= wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One measured row.

    Attributes:
        row: The row.
        figure: What was measured.
        goal: What it should come to.
        server_share: How busy the server was, in processors.
    """

    row: Row
    figure: Figure
    goal: Goal
    server_share: float

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        return self.goal.met_by(self.figure.value, self.goal.goal)

    @property
    def verdict(self) -> str:
        """What the table says of it."""
        if self.is_met is None:
            return ""
        if not self.is_met:
            return "NO"
        return "stretch" if self.goal.met_by(self.figure.value, self.goal.stretch) else "yes"

    def as_record(self) -> dict[str, object]:
        """Give all of it for the JSON file."""
        figure = asdict(self.figure)
        return {
            "name": self.row.name,
            "peer": self.row.peer,
            "theirs": figure.pop("peer"),
            **figure,
            **asdict(self.goal),
            "met": self.is_met,
            "server_share": round(self.server_share, 4),
        }


def goals() -> dict[str, Goal]:
    """Read ``goals.toml``."""
    tables = tomllib.loads(_GOALS.read_text(encoding="utf-8"))
    return {name: Goal(**table) for name, table in tables.items()}


def lines_of(runs: Runs, known: Mapping[str, Goal]) -> list[Line]:
    """Make the rows of a case."""
    return [
        Line(
            row=row,
            figure=row.measure(runs.medians),
            goal=known[row.name],
            server_share=runs.server_share,
        )
        for row in runs.case.rows
    ]


def shown(lines: Iterable[Line], *, is_judged: bool = True) -> str:
    """Write the table, as Markdown.

    Args:
        lines: The rows.
        is_judged: Whether to say which goals are met.
    """
    return _aligned([_HEADINGS, *(_cells(line, is_judged=is_judged) for line in lines)])


def programs_shown(runs: Iterable[Runs]) -> str:
    """Write the table of what each program took, as Markdown."""
    cells = [
        (one.case.name, label, *_taken(median))
        for one in runs
        for label, median in one.medians.items()
    ]
    return _aligned([_PROGRAM_HEADINGS, *cells])


def _taken(median: Mapping[str, float]) -> tuple[str, ...]:
    cpu, sessions = median.get("cpu_seconds"), median.get("sessions")
    return (
        _amount(sessions, ""),
        _amount(cpu / sessions if cpu is not None and sessions else None, "s"),
        _amount(median.get("wall_seconds"), "s"),
        _amount(median.get("peak_bytes"), "B"),
        _amount(median.get("lag_p99_seconds"), "s"),
        _amount(median.get("lag_max_seconds"), "s"),
        f"{median['server_share']:.0%}" if "server_share" in median else "",
    )


def _aligned(cells: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rows = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([rows[0], rule, *rows[1:]])


def _cells(line: Line, *, is_judged: bool) -> tuple[str, ...]:
    figure, goal = line.figure, line.goal
    unit = figure.value_unit
    return (
        goal.what,
        line.row.peer,
        _amount(figure.ours, figure.unit),
        _amount(figure.peer, figure.unit),
        _amount(figure.value, unit),
        _amount(goal.goal, unit),
        _amount(goal.stretch, unit),
        line.verdict if is_judged else "",
        f"{line.server_share:.0%}" if line.server_share else "",
    )


def _amount(number: float | None, unit: str) -> str:
    """Write a number as people read it."""
    match number, unit:
        case None, _:
            return ""
        case _, "s" if abs(number) < 1:
            return f"{number * 1000:.3g} ms"
        case _, "s":
            return f"{number:.2f} s"
        case _, "B" if abs(number) < 1 << 20:
            return f"{number / 1024:.0f} KiB"
        case _, "B":
            return f"{number / (1 << 20):.1f} MiB"
        case _:
            return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
