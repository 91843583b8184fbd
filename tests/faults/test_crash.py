"""Kills cost at most what was open: at random, at every disk call, in recovery; mistakes show."""

import concurrent.futures
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import tally
from tests.clocks import until
from tests.faults import crash
from tests.faults.bench import Bench, benches, strace_is_missing
from tests.faults.commands import summary
from tests.faults.driver import CALLS
from tests.faults.oracle import HEADER, Case, Toll, Work

SEED = 20_240_817
MISSING = strace_is_missing()


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Bench]]:
    """Two quick servers, each with runs of its own."""
    with benches(tmp_path_factory.mktemp("quick"), crash.LANES) as made:
        yield made


@pytest.fixture(scope="module")
def paced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Bench]]:
    """Two servers whose sessions last a tenth of a second."""
    with benches(tmp_path_factory.mktemp("paced"), crash.LANES, "--pace", 10) as made:
        yield made


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """One text and one recording."""
    return Work.made(tmp_path_factory.mktemp("small"), speech=1, recordings=1, concurrency=2)


def check(toll: Toll, fault: str, how: str) -> None:
    """Print a line of the table, and fail if a promise was broken."""
    print(f"\nseed {SEED}\n{HEADER}\n{toll.line(fault, how)}")
    figures = {name: getattr(toll, name) for name in ("runs", "lost", "repeated", "corrupt")}
    tally.count(cases=toll.faults, **figures)
    assert not toll.bad, "\n".join(toll.notes)


@pytest.mark.parametrize("kills", [16, pytest.param(50, marks=pytest.mark.long)])
def test_kills_at_random_moments(paced: list[Bench], tmp_path: Path, kills: int) -> None:
    """SIGKILLs of whole runs: 0 lost, 0 paid again, at most the open sessions repeated."""
    work = Work.made(tmp_path / "w", speech=40, recordings=2, copies=3, concurrency=4)
    total = Toll()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        dice = [random.Random(SEED + lane) for lane in range(len(paced))]
        lanes = [
            pool.submit(
                crash.random_kills, bench, work, kills // len(paced), lane_dice, forked=0.75
            )
            for bench, lane_dice in zip(paced, dice, strict=True)
        ]
        for lane in lanes:
            total.add(lane.result())
    check(total, "SIGKILL at a random moment", "the real command, or forked")
    assert total.faults == kills
    assert total.most_repeated <= work.concurrency


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.long)])
def test_a_kill_at_every_disk_call(several: list[Bench], small: Work, step: int) -> None:
    """Killed once at each fsync, write, rename … until a run survives, everything recovers.

    The quick suite strikes at each third.
    """
    if MISSING:
        print(f"{MISSING}: the in-process twin takes its place")
        toll = crash.every_point_in_process(several, small, step=step)
        least = {"in-process": 40}
    else:
        toll = crash.every_point(several, small, step=step)
        least = {"fsync": 10, "fdatasync": 10, "rename": 5, "pwrite64": 60, "write": 3, "unlink": 2}
    check(toll, "SIGKILL at every disk call", ", ".join(f"{n} {c}" for c, n in toll.points.items()))
    assert all(toll.points[call] >= count // step for call, count in least.items())


def test_the_in_process_twin_of_strace_strikes_too(several: list[Bench], small: Work) -> None:
    """Where there is no strace, a run that kills itself at its disk calls recovers alike."""
    toll = crash.every_point_in_process(several, small, step=4)
    check(toll, "SIGKILL at every fourth disk call", "in-process")
    assert toll.faults >= 10


def test_a_kill_during_the_recovery_from_a_kill(several: list[Bench], small: Work) -> None:
    """A run killed at one disk call, its recovery at another, ends right the third time."""
    if MISSING:
        toll = Toll()
        dice = random.Random(SEED)
        for _ in range(10):
            case = Case(several[0], small, "nested")
            for _ in range(2):
                code = several[0].run(case, die_at=dice.randint(1, 50))
                case.judge(was_killed=code == -signal.SIGKILL)
            toll.add(case.finish())
    else:
        most = {"fsync": 14, "fdatasync": 15, "rename": 6, "pwrite64": 100, "unlink": 9, "write": 5}
        toll = crash.nested(several, small, 10, SEED, most=most)
    check(toll, "SIGKILL in a run and its recovery", "nested pairs")
    assert toll.faults > 10


# -- what crashes the process is set aside -------------------------------------------------------


def crash_thrice(bench: Bench, work: Work, broken: str = "") -> tuple[int, list[str], int]:
    """Kill three runs in their first session; gives the fourth's exit code, notes and sessions."""
    case = Case(bench, work, "crashing job")
    for _ in range(3):
        with bench.forked(case, "-q", "--attempts", 3, broken=broken) as child:
            until(bench.ledger.has_grown)
            child.kill()
            assert child.wait() == -signal.SIGKILL
        case.judge(was_killed=True)
    with bench.forked(case, "-q", "--attempts", 3, broken=broken) as child:
        code = child.wait()
    sessions = sum(line["event"] == "start" for line in bench.ledger.settled())
    return code, case.toll.notes, sessions


@pytest.fixture
def hangs_thrice(tmp_path: Path) -> Iterator[Bench]:
    """A server whose first three sessions never end: no run comes to its end before it is killed."""
    with benches(tmp_path / "hangs", 1, "--fault", "hang#3") as (bench,):
        yield bench


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """One text."""
    return Work.made(tmp_path_factory.mktemp("single"), speech=1, concurrency=1)


def test_a_job_that_crashes_the_process_is_set_aside(hangs_thrice: Bench, single: Work) -> None:
    """Attempts are on the disk before they start: after three crashes no fourth session opens."""
    code, notes, sessions = crash_thrice(hangs_thrice, single)
    tally.count(cases=3, runs=4, lost=0, corrupt=0)
    assert (code, notes, sessions) == (1, [], 0)


# -- mistakes that must be noticed ---------------------------------------------------------------

needs_strace = pytest.mark.skipif(bool(MISSING), reason=f"{MISSING}; the mistake needs its timing")


def test_attempts_counted_after_they_start_are_noticed(hangs_thrice: Bench, single: Work) -> None:
    """A run that counts its attempts only when they end is caught, by two oracles."""
    code, notes, sessions = crash_thrice(hangs_thrice, single, "attempts-counted-after")
    assert any("attempts on the disk" in note for note in notes)
    assert sessions == 1
    assert code == 0


@needs_strace
def test_a_commit_before_the_rename_is_noticed(several: list[Bench], small: Work) -> None:
    """A run that says done and then renames is caught by kills at its renames."""
    toll = crash.every_point(several, small, calls=["rename"], broken="commit-first")
    assert toll.corrupt
    assert any("is done, but" in note and "is missing" in note for note in toll.notes)


@needs_strace
def test_a_torn_tail_that_is_glued_is_noticed(several: list[Bench], small: Work) -> None:
    """A run that writes on behind what a killed one left is caught by kills at its fsyncs."""
    toll = crash.every_point(several, small, calls=["fsync"], broken="torn-tail-glued")
    assert toll.corrupt


SLOW_DISK = ("-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:delay_enter=100000")


def sessions_lost_to_a_kill(bench: Bench, work: Work, broken: str) -> tuple[int, list[str]]:
    """Kill a run on a slow disk that has bought ahead; gives the sessions lost, and what is wrong."""
    case = Case(bench, work, "slow disk")

    def is_ahead() -> bool:
        bought = bench.ledger.count('"complete":true')
        if bought < 3:  # the first goes alone
            return False
        return bought - summary(case.folder)["done"] > work.concurrency or bought >= 12

    with bench.strace(case, SLOW_DISK, "-q", broken=broken) as child:
        until(is_ahead)
        child.kill()
        child.wait()
    case.judge(was_killed=True)
    return case.toll.repeated, case.toll.notes


@needs_strace
def test_a_slot_released_before_the_commit_is_noticed(several: list[Bench], tmp_path: Path) -> None:
    """On a slow disk a kill repeats at most the open sessions, unless slots are released early."""
    work = Work.made(tmp_path, speech=60, concurrency=3)
    kept, right = sessions_lost_to_a_kill(several[0], work, "")
    broken, wrong = sessions_lost_to_a_kill(several[0], work, "slot-released-early")
    print(f"\nlost to one kill at 3 sessions: {kept}; with slots released early: {broken}")
    tally.count(runs=1, repeated=kept, lost=0, corrupt=0)
    assert not right
    assert kept <= work.concurrency < broken
    assert any("lost to one kill" in note for note in wrong)


def test_every_call_that_changes_a_disk_is_struck() -> None:
    """The list of calls has those that this system's runs make."""
    assert {"fsync", "fdatasync", "rename", "write", "pwrite64", "unlink"} <= set(CALLS)


# -- what a kill leaves under an old name --------------------------------------------------------


@pytest.mark.parametrize("how", ["bought", "copied"])
def test_an_edit_that_is_undone_after_a_kill_is_not_taken_for_done(
    several: list[Bench], tmp_path: Path, how: str
) -> None:
    """Killed between a file's rename and its commit, the old result is not believed by its size."""
    work = Work.made(tmp_path, speech=2, concurrency=1)
    bench, case = several[0], Case(several[0], work, how)
    case.finish()
    output = case.folder / "audio" / "s0.wav"
    first, copy = output.read_bytes(), tmp_path / "copy"
    shutil.copytree(case.folder, copy)
    manifest = work.manifest.read_text(encoding="utf-8")
    texts = [line.split(",")[1] for line in manifest.splitlines()[1:]]
    edited = texts[1] if how == "copied" else texts[0][:-1] + "7"
    assert len(edited) == len(texts[0])
    for point in range(1, 60):
        work.manifest.write_text(manifest.replace(texts[0], edited, 1), encoding="utf-8")
        assert bench.run(case, die_at=point) == -signal.SIGKILL
        if output.read_bytes() != first:
            break
        shutil.rmtree(case.folder)
        shutil.copytree(copy, case.folder)
    assert len(output.read_bytes()) == len(first)
    work.manifest.write_text(manifest, encoding="utf-8")
    assert bench.run(case) == 0
    assert output.read_bytes() == first
    case.check_end()
    assert not case.toll.notes
