"""Kills whatever has to do with a result in doubt, at every disk call: a run, a retry, `accept`.

    python -m tests.faults.doubt --long          # every point, by strace and by its twin
    python -m tests.faults.doubt --step 5        # each fifth

One row's audio is digital silence each time, so it always ends suspect; a recording beside it is
good. Whatever is killed, and when: what was kept is paid for once, and once it is accepted it stands
under the final name, byte by byte.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.bench import Bench, benches, strace_is_missing
from tests.faults.crash import LANES, Point, commit_id, until_survived
from tests.faults.doubted import Doubted, DoubtedCase
from tests.faults.driver import CALLS
from tests.faults.oracle import (
    HEADER,
    Toll,
)

__all__ = ["HEADER", "LIVES", "TWIN", "kills"]

TWIN = "in-process"
"""In place of a system call: the process kills itself."""


# -- what is killed ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What is killed at each of its disk calls, and what is done then.

    Attributes:
        what: It, in words.
        is_begun: Whether something is kept in doubt already.
        arguments: The command that is killed.
        code: How it ends if it survives.
        settle: What is done after it; given the number of the kill.
        is_bettered: Whether it brings a better result than the one that is kept.
    """

    what: str
    is_begun: bool
    arguments: Callable[[DoubtedCase], list[str]]
    code: int
    settle: Callable[[DoubtedCase, int], None]
    is_bettered: bool = False


def _run_on(case: DoubtedCase, _: int) -> None:
    """Run again until the text is in doubt: it was paid for once, and once for each that is lost."""
    case.do(case.run(), 1)
    if not case.kept:
        case.note("lost", "nothing is kept of the text")
    if case.paid != 1 + case.destroyed:
        case.note("again", f"{case.paid} sessions paid, {case.destroyed} of them destroyed")
    case.accept_and_check()


def _accept_on(case: DoubtedCase, number: int) -> None:
    """Accept again, every second time after a run, which buys nothing."""
    if number % 2 == 0:
        case.do(case.run(), 1 if case.kept else 0)
    case.accept_and_check()


def _accept_either(case: DoubtedCase, number: int) -> None:
    """Accept whichever of the two is kept, every second time after a run, which buys nothing."""
    if not case.kept:
        case.note("lost", "neither is kept")
    _accept_on(case, number)


LIVES = {
    "run": Life(
        what="a run whose result is in doubt",
        is_begun=False,
        arguments=DoubtedCase.run,
        code=1,
        settle=_run_on,
    ),
    "accept": Life(
        what="`accept --all`",
        is_begun=True,
        arguments=DoubtedCase.accept,
        code=0,
        settle=_accept_on,
    ),
    "retry": Life(
        what="`run --retry-failed` that brings a better one",
        is_begun=True,
        arguments=DoubtedCase.retry,
        code=1,
        settle=_accept_either,
        is_bettered=True,
    ),
}


def kills(
    several: Sequence[Bench],
    doubted: Doubted,
    life: Life,
    *,
    calls: Sequence[str] = tuple(CALLS),
    step: int = 1,
    broken: str = "",
) -> Toll:
    """Kill a command at each, or each so-manieth, of its disk calls, and go on from there.

    Args:
        several: Where.
        doubted: What is to be done.
        life: What is killed.
        calls: At which calls; `TWIN` for those that the process counts itself.
        step: How many calls from one kill to the next.
        broken: A mistake for the command to make.
    """

    def strike(bench: Bench, point: Point) -> tuple[bool, Toll]:
        case = DoubtedCase(bench, doubted, f"{life.what}, {point}", is_begun=life.is_begun)
        count, arguments = 1 + (point.count - 1) * step, life.arguments(case)
        if point.call == TWIN:
            code = bench.run(case, arguments=arguments, broken=broken, die_at=count)
        else:
            code = bench.struck(case, point.call, count, arguments=arguments, broken=broken)
        was_killed = code == -signal.SIGKILL
        case.judge(was_killed=was_killed)
        case.toll.points[point.call] += was_killed
        if not was_killed and code != life.code:
            case.note("wrong", f"it ended with {code}")
        if not was_killed and life.is_bettered and case.kept != doubted.better:
            case.note("wrong", "the better one is not what is kept")
        case.rebought = frozenset()
        life.settle(case, point.count)
        shutil.rmtree(case.folder.parent)
        return not was_killed, case.toll

    toll = Toll()
    for call in calls:
        toll.add(until_survived(several, strike, call))
    return toll


# -- the long form -------------------------------------------------------------------------------


def main() -> int:
    """Kill at every point, or at each so-manieth; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true", help="every point")
    parser.add_argument("--step", type=int, default=5)
    given = parser.parse_args()
    print(f"commit {commit_id()}\n\n{HEADER}", flush=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        tolls = list(_shown(Path(name), 1 if given.long else given.step))
    for toll in tolls:
        print(*(f"  {note}" for note in toll.notes), sep="\n", end="")
    return 1 if any(toll.bad for toll in tolls) else 0


def _shown(folder: Path, step: int) -> Iterator[Toll]:
    began = time.monotonic()
    how = {CALLS: "strace inject", (TWIN,): "in-process twin"}
    if missing := strace_is_missing():
        print(f"  {missing}: the in-process twin stands in", flush=True)
        del how[CALLS]
    with (
        benches(folder / "silent", LANES, "--fault", "silence") as silent,
        benches(folder / "torn", LANES, "--fault", "half-sample") as torn,
    ):
        doubted = Doubted.made(folder / "work", silent[0])
        for name, life in LIVES.items():
            for calls, shown in how.items():
                several = torn if name == "retry" else silent
                toll = kills(several, doubted, life, calls=calls, step=step)
                print(toll.line(f"SIGKILL at every disk call of {life.what}", shown), flush=True)
                print("  " + ", ".join(f"{n} {call}" for call, n in toll.points.items()))
                yield toll
    print(f"  {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
