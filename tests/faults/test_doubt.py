"""What is in doubt is paid for once, whatever is killed: the run, a retry, or who accepts it."""

from collections.abc import Iterator

import pytest

from tests import tally
from tests.faults.bench import Bench, benches, strace_is_missing
from tests.faults.crash import LANES
from tests.faults.doubt import HEADER, LIVES, TWIN, kills
from tests.faults.doubted import Doubted
from tests.faults.oracle import Toll

MISSING = strace_is_missing()
needs_strace = pytest.mark.skipif(bool(MISSING), reason=f"{MISSING}; the twin below stands in")


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Bench]]]:
    """For each life: two servers whose speech is silence, or ends in half a sample."""
    place = tmp_path_factory.mktemp("doubt")
    with (
        benches(place / "silent", LANES, "--fault", "silence") as silent,
        benches(place / "torn", LANES, "--fault", "half-sample") as torn,
    ):
        yield {"run": silent, "accept": silent, "retry": torn}


@pytest.fixture(scope="module")
def doubted(services: dict[str, list[Bench]], tmp_path_factory: pytest.TempPathFactory) -> Doubted:
    """A text whose audio is in doubt each time, a recording that is not, and a run of both."""
    return Doubted.made(tmp_path_factory.mktemp("doubted"), services["run"][0])


def check(toll: Toll, fault: str, how: str) -> None:
    """Print a line of the table, and fail if a promise was broken."""
    print(f"\n{HEADER}\n{toll.line(fault, how)}")
    figures = {name: getattr(toll, name) for name in ("runs", "lost", "repeated", "corrupt")}
    tally.count(cases=toll.faults, **figures)
    assert not toll.bad, "\n".join(toll.notes)


@needs_strace
@pytest.mark.parametrize(
    ("name", "call", "step", "least"),
    [("run", "fsync", 3, 3), ("accept", "pwrite64", 12, 3), ("retry", "rename", 2, 2)],
)
def test_a_kill_at_disk_calls_loses_nothing_in_doubt(
    services: dict[str, list[Bench]],
    doubted: Doubted,
    name: str,
    call: str,
    step: int,
    least: int,
) -> None:
    """Bought once and once for each kill before its commit; accepted byte by byte, bought by none."""
    toll = kills(services[name], doubted, LIVES[name], calls=[call], step=step)
    check(toll, f"SIGKILL at calls of {LIVES[name].what}", f"strace inject, {call}")
    assert toll.points[call] >= least


@pytest.mark.parametrize(
    ("name", "step", "least"), [("run", 8, 6), ("accept", 4, 6), ("retry", 6, 4)]
)
def test_a_process_that_kills_itself_loses_nothing_in_doubt(
    services: dict[str, list[Bench]], doubted: Doubted, name: str, step: int, least: int
) -> None:
    """The same at the calls of Python's own, and before and after each transaction."""
    toll = kills(services[name], doubted, LIVES[name], calls=[TWIN], step=step)
    check(toll, f"SIGKILL at calls of {LIVES[name].what}", "in-process twin")
    assert toll.points[TWIN] >= least


# -- mistakes that must be noticed ---------------------------------------------------------------

SYNCS = [TWIN] if MISSING else ["fsync"]
"""Some strike between a file's rename and the commit that says so."""


def test_an_accept_that_moves_what_is_kept_is_noticed(
    services: dict[str, list[Bench]], doubted: Doubted
) -> None:
    """Killed between the move and the commit, what was paid for is in no place that is known."""
    toll = kills(services["accept"], doubted, LIVES["accept"], calls=SYNCS, broken="accept-moves")
    assert any("s0 is suspect, but suspect/s0.wav: is missing" in note for note in toll.notes)


def test_a_better_one_written_over_what_is_kept_is_noticed(
    services: dict[str, list[Bench]], doubted: Doubted
) -> None:
    """Killed between the rename and the commit, the record is of one and the file of the other."""
    toll = kills(
        services["retry"], doubted, LIVES["retry"], calls=SYNCS, broken="kept-written-over"
    )
    assert any("s0 is suspect, but suspect/s0.wav" in note for note in toll.notes)
