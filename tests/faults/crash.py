"""Kills real runs at random moments and at every change of the disk, and counts what it cost.

    python -m tests.faults.crash --long          # 1,000 random kills, every point, 200 nested pairs
    python -m tests.faults.crash --kills 50      # less

prints a table with seed and commit, and exits with 1 if anything was lost, paid again or corrupt.
The oracle stands outside: the server's ledger of sessions, the tones that each text must give, and
the checkpoint as a copy of it reads.
"""

import argparse
import concurrent.futures
import contextlib
import itertools
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.clocks import PATIENCE_SECONDS
from tests.commands import ROOT
from tests.faults.bench import Bench, benches, strace_is_missing
from tests.faults.driver import CALLS
from tests.faults.oracle import HEADER, Case, Toll, Work

__all__ = [
    "LANES",
    "Point",
    "Strike",
    "commit_id",
    "every_point",
    "every_point_in_process",
    "nested",
    "random_kills",
    "until_survived",
]

LANES = 2


def commit_id() -> str:
    """The commit that the figures are of; starred if the tree has changes of the product."""
    git = ["git", "-C", str(ROOT)]
    named = subprocess.run(
        [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "batchjobs"], check=False)
    return (named.stdout.strip() or "unknown") + ("*" if changed.returncode else "")


# -- kills at random moments ---------------------------------------------------------------------


def random_kills(
    bench: Bench, work: Work, kills: int, dice: random.Random, *, forked: float = 0.0
) -> Toll:
    """Kill runs at random moments, over and over, one run folder after another.

    Args:
        bench: Where.
        work: What is to be done.
        kills: How many processes to kill.
        dice: When.
        forked: Share of the runs that are forked, which is quicker, and not started as a command.
    """
    toll = Toll()
    while toll.faults < kills:
        case = Case(bench, work, f"random kill {toll.faults + 1}")
        while toll.faults + case.toll.faults < kills:
            code = (
                _killed_fork(case, dice) if dice.random() < forked else _killed_command(case, dice)
            )
            case.judge(was_killed=code == -signal.SIGKILL)
            if code == 0:
                break
            if code != -signal.SIGKILL:
                case.note("wrong", f"a run ended with {code}")
        toll.add(case.finish())
        shutil.rmtree(case.folder.parent)
    return toll


def _killed_command(case: Case, dice: random.Random) -> int:
    bench = case.bench
    command = [sys.executable, "-m", "batchjobs", *bench.command(case, "-q")]
    with (case.folder.parent / "stderr").open("ab") as stderr:
        process = subprocess.Popen(
            command, cwd=bench.folder, env=bench.environment, stderr=stderr, stdout=stderr
        )
    # Most of a process's life before its first session is Python's; little of it is worth a kill.
    if dice.random() < 0.85:
        while process.poll() is None and not bench.ledger.has_grown():
            time.sleep(0.002)
        moment = dice.uniform(0, 0.35)
    else:
        moment = dice.uniform(0.05, 0.5)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(moment)
    process.kill()
    return process.wait(PATIENCE_SECONDS)


def _killed_fork(case: Case, dice: random.Random) -> int:
    with case.bench.forked(case) as child:
        time.sleep(dice.uniform(0, 0.4))
        child.kill()
        return child.wait()


# -- kills at every point ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Point:
    """The `count`-th call of this kind."""

    call: str
    count: int

    def __str__(self) -> str:
        """How to name it."""
        return f"{self.call} {self.count}"


Strike = Callable[[Bench, Point], tuple[bool, Toll]]


def every_point(
    several: Sequence[Bench],
    work: Work,
    *,
    calls: Sequence[str] = tuple(CALLS),
    broken: str = "",
    step: int = 1,
) -> Toll:
    """Kill a run once at each, or each so-manieth, of its disk calls, and let each recover."""

    def strike(bench: Bench, point: Point) -> tuple[bool, Toll]:
        case = Case(bench, work, str(point))
        code = bench.struck(case, point.call, 1 + (point.count - 1) * step, broken=broken)
        return _recovered(case, point.call, code, broken)

    toll = Toll()
    for call in calls:
        toll.add(until_survived(several, strike, call))
    return toll


def every_point_in_process(several: Sequence[Bench], work: Work, *, step: int = 1) -> Toll:
    """Do the same without strace: the run kills itself at each, or each so-manieth, disk call."""

    def strike(bench: Bench, point: Point) -> tuple[bool, Toll]:
        case = Case(bench, work, str(point))
        code = bench.run(case, die_at=1 + (point.count - 1) * step)
        return _recovered(case, point.call, code, "")

    return until_survived(several, strike, "in-process")


def _recovered(case: Case, call: str, code: int, broken: str) -> tuple[bool, Toll]:
    """Judge what a kill left, and what a run after it makes of that."""
    was_killed = code == -signal.SIGKILL
    case.judge(was_killed=was_killed)
    case.toll.points[call] += was_killed
    if was_killed:
        case.finish(broken=broken)
    elif code:
        case.note("wrong", f"the run ended with {code}")
    else:
        case.check_end()
    shutil.rmtree(case.folder.parent)
    return not was_killed, case.toll


def until_survived(several: Sequence[Bench], strike: Strike, call: str) -> Toll:
    """Strike at 1, 2, 3 … until a run survives, the benches taking turns."""

    def lane(number: int) -> Toll:
        toll = Toll()
        for count in itertools.count(number + 1, len(several)):
            survived, found = strike(several[number], Point(call, count))
            toll.add(found)
            if survived:
                return toll
        raise AssertionError

    total = Toll()
    with concurrent.futures.ThreadPoolExecutor(len(several)) as pool:
        for toll in pool.map(lane, range(len(several))):
            total.add(toll)
    return total


def nested(
    several: Sequence[Bench], work: Work, pairs: int, seed: int, *, most: Mapping[str, int]
) -> Toll:
    """Kill a run at one point, its recovery at another, and let that recover.

    Args:
        several: Where.
        work: What is to be done.
        pairs: How many pairs of points.
        seed: Of the dice that choose them.
        most: For each call, about how many points a run has.
    """

    def lane(number: int) -> Toll:
        dice = random.Random(f"{seed} {number}")
        bench, toll = several[number], Toll()
        for _ in range(number, pairs, len(several)):
            points = [_thrown(dice, most) for _ in range(dice.choice((2, 2, 2, 3)))]
            case = Case(bench, work, ", then ".join(map(str, points)))
            for point in points:
                code = bench.struck(case, point.call, point.count)
                case.judge(was_killed=code == -signal.SIGKILL)
                case.toll.points[point.call] += code == -signal.SIGKILL
                if code not in {0, -signal.SIGKILL}:
                    case.note("wrong", f"a run ended with {code}")
            toll.add(case.finish())
            shutil.rmtree(case.folder.parent)
        return toll

    total = Toll()
    with concurrent.futures.ThreadPoolExecutor(len(several)) as pool:
        for toll in pool.map(lane, range(len(several))):
            total.add(toll)
    return total


def _thrown(dice: random.Random, most: Mapping[str, int]) -> Point:
    call = dice.choices(list(most), weights=[count**0.5 for count in most.values()])[0]
    return Point(call, dice.randint(1, most[call]))


# -- the long form -------------------------------------------------------------------------------


def main() -> int:
    """Do the long form, or what was asked for; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true", help="1,000 kills and 200 nested pairs")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    kills, pairs = (1_000, 200) if given.long else (given.kills, given.pairs)
    print(f"seed {given.seed}, commit {commit_id()}\n\n{HEADER}", flush=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        tolls = list(_shown(Path(name), kills, pairs, given.seed))
    for toll in tolls:
        print(*(f"  {note}" for note in toll.notes), sep="\n", end="")
    return 1 if any(toll.bad for toll in tolls) else 0


def _shown(folder: Path, kills: int, pairs: int, seed: int) -> Iterator[Toll]:
    began = time.monotonic()

    def show(toll: Toll, fault: str, how: str) -> Toll:
        print(toll.line(fault, how), flush=True)
        return toll

    big = Work.made(folder / "big", speech=50, recordings=2, copies=3, concurrency=4)
    small = Work.made(folder / "small", speech=1, recordings=1, concurrency=2)
    with benches(folder / "paced", LANES, "--pace", 10) as several:
        total = Toll()
        with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
            dice = [random.Random(f"{seed} {lane}") for lane in range(LANES)]
            for toll in pool.map(
                random_kills, several, [big] * LANES, [kills // LANES] * LANES, dice
            ):
                total.add(toll)
        yield show(total, "SIGKILL at a random moment", "real command, 4 sessions at once")
        print(f"  at most {total.most_repeated} repeated by one kill", flush=True)
    missing = strace_is_missing()
    with benches(folder / "quick", LANES) as several:
        if missing:
            print(f"  {missing}: the in-process twin stands in", flush=True)
        else:
            points = every_point(several, small)
            yield show(points, "SIGKILL at every disk call", "strace inject, enumerated")
            print("  " + ", ".join(f"{n} {call}" for call, n in points.points.items()), flush=True)
            both = nested(several, small, pairs, seed, most=points.points)
            yield show(both, "SIGKILL at two or three, nested", "strace inject, pairs at random")
        twin = every_point_in_process(several, small)
        yield show(twin, "SIGKILL at every disk call", "in-process twin, enumerated")
    print(f"  {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
