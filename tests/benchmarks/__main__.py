"""The benchmark, in one command: measures, compares with the goals, prints one table.

    python -m tests.benchmarks [--quick] [--rounds 5] [--only NAME ...] [--programs] [--json FILE]
    python -m tests.benchmarks --against CHECKOUT  # before and after a change, in one run

It ends with 1 if a goal is missed, and with 2 if a program fails or does not do what it is measured
for: that case has no rows then. The quick form only shows that everything runs: it judges no time.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.benchmarks import machine, table
from tests.benchmarks.against import compared, goals_of
from tests.benchmarks.case import Case
from tests.benchmarks.cases import CASES
from tests.benchmarks.driver import Runs, allow_many_files, run_all

_ROUNDS: Final = 5


def main() -> int:
    """Run what the command line asks for; give the exit code."""
    given = _arguments()
    cases = _chosen(given.only)
    known = table.goals()
    if given.against:
        cases = compared(cases, given.against.resolve())
        known = goals_of(cases)
    described = machine.describe_machine() | {"two_core_speedup_before": _told_speedup()}
    allow_many_files()
    runs, failures = run_all(
        cases, rounds=given.rounds, is_quick=given.quick, scratch=given.scratch, tell=tell
    )
    described["two_core_speedup_after"] = _told_speedup()
    lines = [line for one in runs for line in table.lines_of(one, known)]
    print(table.shown(lines, is_judged=not given.quick))
    if given.programs:
        print(table.programs_shown(runs))
    print("; ".join(f"{key}: {shown}" for key, shown in described.items()))
    if given.json:
        _write(given.json, runs, lines, described)
    for failure in failures:
        tell(f"FAILED: {failure}")
    return 2 if failures else _exit_code(lines, is_quick=given.quick)


def _told_speedup() -> float:
    """Tell whether there are two whole processors, and give what they bring."""
    speedup = machine.two_core_speedup()
    tell(f"two threads hash {speedup:.2f} times as fast as one")
    if speedup < machine.SPEEDUP_WANTED:
        tell(
            f"WARNING: that is less than {machine.SPEEDUP_WANTED}: there are no two processors "
            "for us, and wall times, lag and throughput mean little"
        )
    return round(speedup, 2)


def tell(line: str) -> None:
    """Say what is going on, beside the table."""
    print(line, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Measure, and compare with the goals."
    )
    parser.add_argument("--quick", action="store_true", help="a handful of sessions, no judgement")
    parser.add_argument("--rounds", type=int, help=f"runs of each program ({_ROUNDS}; quick: 1)")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="cases, or how their names begin"
    )
    parser.add_argument("--programs", action="store_true", help="also show what each program took")
    parser.add_argument("--json", type=Path, help="write all figures and versions to this file")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CHECKOUT",
        help="compare with another checkout in place of the peers",
    )
    parser.add_argument("--scratch", type=Path, help="where files are written (the system's place)")
    given = parser.parse_args()
    if given.against and not (given.against / "tests/benchmarks/ours").is_dir():
        parser.error(f"{given.against} is no checkout of batchjobs with a benchmark")
    given.rounds = given.rounds or (1 if given.quick else _ROUNDS)
    return given


def _chosen(names: list[str]) -> list[Case]:
    if not names:
        return list(CASES)
    for name in names:
        if not any(case.name.startswith(name) for case in CASES):
            known = ", ".join(case.name for case in CASES)
            sys.exit(f"there is no case {name!r}; there are {known}")
    return [case for case in CASES if case.name.startswith(tuple(names))]


def _write(
    path: Path, runs: list[Runs], lines: list[table.Line], described: Mapping[str, object]
) -> None:
    content = {
        "machine": described,
        "rows": [line.as_record() for line in lines],
        "cases": {one.case.name: one.reports for one in runs},
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _exit_code(lines: list[table.Line], *, is_quick: bool) -> int:
    missed = [line for line in lines if line.is_met is False]
    if is_quick:
        print("quick form: nothing is judged")
        return 0
    for line in missed:
        print(f"missed: {line.goal.what}, {line.figure.value:.3g} (goal {line.goal.goal:g})")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
