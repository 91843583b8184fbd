"""Runs a case's programs in turns, a fresh process each time, and checks that all did the same."""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from tests.benchmarks.case import Case, Medians, Program
from tests.benchmarks.server import Canned, start_server

__all__ = ["BenchmarkError", "Report", "Runs", "allow_many_files", "measured", "run_all"]

Report: TypeAlias = dict[str, float]

_ROOT: Final = Path(__file__).parents[2]
_TIME_LIMIT_SECONDS: Final = 3_600.0
_COUNTS: Final = ("messages", "bytes")


class BenchmarkError(Exception):
    """A program failed, or did not do the work that it is measured for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """All that the programs of one case reported.

    Attributes:
        case: The case.
        reports: Every round's report, by the program's label.
    """

    case: Case
    reports: Mapping[str, list[Report]] = field(default_factory=dict)

    @property
    def medians(self) -> Medians:
        """The median of every number, by label."""
        return {
            label: {
                key: statistics.median(report[key] for report in rounds)
                for key in rounds[0]
                if all(key in report for report in rounds)
            }
            for label, rounds in self.reports.items()
        }

    @property
    def server_share(self) -> float:
        """How busy the server was at most, in processors, while one of the programs ran."""
        return max(
            (median.get("server_share", 0.0) for median in self.medians.values()), default=0.0
        )


def run_all(
    cases: Iterable[Case],
    *,
    rounds: int,
    is_quick: bool,
    scratch: Path | None,
    tell: Callable[[str], None],
) -> tuple[list[Runs], list[str]]:
    """Run cases against a server of their own; one that fails takes no other with it.

    Args:
        cases: The cases.
        rounds: How often each program runs, if its case does not say less.
        is_quick: Whether in the quick form.
        scratch: Where files are written; None for the system's place.
        tell: Told what is about to run, and what failed.

    Returns:
        What was measured, and what is wrong with the cases that failed.
    """
    runs: list[Runs] = []
    failures: list[str] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=scratch)))
        server = stack.enter_context(start_server(folder))
        for case in cases:
            often = rounds if case.rounds is None else min(case.rounds, rounds)
            try:
                made = measured(case, server, folder, rounds=often, is_quick=is_quick, tell=tell)
            except BenchmarkError as error:
                failures.append(f"{case.name}: {error}")
                tell(failures[-1])
            else:
                runs.append(made)
    return runs, failures


def measured(
    case: Case,
    server: Canned,
    scratch: Path,
    *,
    rounds: int,
    is_quick: bool,
    tell: Callable[[str], None],
) -> Runs:
    """Run a case's programs in turns.

    Args:
        case: The case.
        server: What they talk to.
        scratch: A folder for what they leave.
        rounds: How often each runs.
        is_quick: Whether in the quick form.
        tell: Told what is about to run.

    Raises:
        BenchmarkError: A program failed, or did other work than the others.
    """
    reports: dict[str, list[Report]] = {label: [] for label in case.programs}
    labels = list(case.programs)
    for number in range(rounds):
        first = number % len(labels)  # who comes first in a round is another one each time
        for label in labels[first:] + labels[:first]:
            tell(f"{case.name} {number + 1}/{rounds}: {label}")
            command = _command(case.programs[label], server, scratch, is_quick=is_quick)
            root = case.programs[label].checkout or _ROOT
            reports[label].append(_report_of(label, command, server, root))
    if case.is_same_work:
        _check_same_work(case.name, reports)
    return Runs(case=case, reports=reports)


def allow_many_files() -> None:
    """Let the programs have as many connections as the system lets anybody have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _command(program: Program, server: Canned, scratch: Path, *, is_quick: bool) -> list[str]:
    places = {"ws": server.ws, "wss": server.wss, "ca": server.ca, "scratch": scratch}
    given = program.arguments + (program.quick if is_quick else ())
    arguments = [argument.format_map(places) for argument in given]
    return [sys.executable, "-m", f"tests.benchmarks.{program.module}", *arguments]


def _report_of(label: str, command: list[str], server: Canned, root: Path) -> Report:
    """Run one program, and add to its report what the server did meanwhile."""
    before = server.counters()
    # This checkout goes before any other that is installed. Workers import it again, and what is installed
    # was compiled once: else three processes spend a second of their run on that.
    environment = {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(
        command,
        cwd=root,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=_TIME_LIMIT_SECONDS,
        check=False,
    )
    after = server.counters()
    if done.returncode:
        raise BenchmarkError(f"{label} ended with {done.returncode}: {' '.join(command)}")
    said = json.loads(done.stdout.splitlines()[-1])
    report = {key: number for key, number in said.items() if isinstance(number, int | float)}
    if report.get("messages") and "wall_seconds" in report:
        cpu = after.cpu_seconds - before.cpu_seconds
        report |= {"server_cpu_seconds": cpu, "server_share": cpu / report["wall_seconds"]}
        report["received_bytes"] = after.received_bytes - before.received_bytes
        served = {
            "sessions": after.sessions - before.sessions,
            "messages": after.messages - before.messages,
        }
        _check_served(label, report, served)
    return report


def _check_served(label: str, report: Report, served: Mapping[str, int]) -> None:
    for key, count in served.items():
        if report[key] != count:
            raise BenchmarkError(
                f"{label} reports {report[key]:.0f} {key}, but the server counted {count}"
            )


def _check_same_work(name: str, reports: Mapping[str, Iterable[Report]]) -> None:
    """See that each session of each program had the same messages and bytes."""
    found: dict[tuple[float, ...], str] = {}
    for label, rounds in reports.items():
        for report in rounds:
            if report.get("messages"):
                work = tuple(report[key] / report["sessions"] for key in _COUNTS)
                found.setdefault(work, label)
    if len(found) > 1:
        shown = "; ".join(
            f"{label}: {messages:g} messages of {size:g} bytes in all"
            for (messages, size), label in found.items()
        )
        raise BenchmarkError(f"the programs of {name} did different work a session: {shown}")
