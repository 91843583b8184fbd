"""The cases as a comparison with another checkout of the product: each program of ours from both."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.benchmarks.case import Case, Row, ratio
from tests.benchmarks.table import Goal

__all__ = ["MOST", "compared", "goals_of"]

MOST: Final = 1.03
"""A change that makes nothing faster may not make it slower than this, beyond what a run varies."""
_FIGURES: Final = ("cpu_seconds", "wall_seconds", "peak_bytes")
_OTHER_FIGURES: Final = {
    "memory": ("held_bytes",),
    # A service at its own pace takes the time; what a checkout may add is processor time.
    "paced": ("cpu_seconds", "peak_bytes"),
    "throughput": ("cpu_seconds", "wall_seconds"),
    "start": ("help_extra_seconds", "first_session_extra_seconds"),
}
"""By the first word of a case's name."""


def compared(cases: Iterable[Case], checkout: Path) -> list[Case]:
    """Make of each case one a program of ours: from here, and from the other checkout.

    Args:
        cases: The cases of the table.
        checkout: A folder with the other checkout: its ``tests.benchmarks`` must take the same
            arguments.
    """
    return [made for case in cases for made in _compared(case, checkout)]


def goals_of(cases: Iterable[Case]) -> dict[str, Goal]:
    """Say of every row that it should not be worse than before."""
    return {row.name: Goal(what=row.name, goal=MOST) for case in cases for row in case.rows}


def _compared(case: Case, checkout: Path) -> Iterator[Case]:
    ours = {
        label: program
        for label, program in case.programs.items()
        if program.module.startswith("ours.")
    }
    for label, program in ours.items():
        name = case.name if len(ours) == 1 else f"{case.name}, {label}"
        yield Case(
            name=name,
            programs={"here": program, "there": replace(program, checkout=checkout)},
            rows=tuple(
                Row(
                    name=f"{name}: {key}",
                    measure=ratio(key, "here", "there", per_session=False),
                    peer="the other checkout",
                )
                for key in _OTHER_FIGURES.get(case.name.split("-")[0], _FIGURES)
            ),
            rounds=case.rounds,
        )
