"""A power cut at any moment of a recorded run loses nothing that was told; mistakes show."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import power
from tests.faults.bench import Bench, benches, strace_is_missing
from tests.faults.disk import Recording
from tests.faults.doubted import Doubted
from tests.faults.oracle import Work
from tests.faults.power_recording import record, record_accept
from tests.tally import count

SEED = 20_240_817
MISSING = strace_is_missing()

pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"{MISSING}; SQLite's writes cannot be seen without it"
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A quick server, with runs of its own."""
    with benches(tmp_path_factory.mktemp("quick"), 1) as (made,):
        yield made


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """Two texts, a recording, and a row that asks what the first one asks."""
    folder = tmp_path_factory.mktemp("work")
    return Work.made(folder, speech=2, recordings=1, copies=1, concurrency=2)


@pytest.mark.parametrize(
    ("what", "killed_at"),
    [("a run", []), ("a run after two kills", [("rename", 1), ("fdatasync", 4)])],
)
def test_the_power_may_go_at_any_moment(
    bench: Bench, work: Work, what: str, killed_at: list[tuple[str, int]]
) -> None:
    """At every cut, what was told is done, files are whole or absent, sessions are counted."""
    recording = record(bench, work, killed_at=killed_at)
    tally = power.check_states(recording, work, bench, seed=SEED, most=2_000, mixed=2, continued=6)
    print(f"\nseed {SEED}\n{power.HEADER}\n{tally.line(what)}")
    count(cases=tally.cuts, runs=tally.continued, corrupt=tally.bad, lost=tally.bad)
    assert not tally.bad, "\n".join(tally.notes[:20])
    assert tally.cuts > 150
    assert tally.states > 250
    assert tally.continued == 6


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A quick server whose speech is silence."""
    with benches(tmp_path_factory.mktemp("silent"), 1, "--fault", "silence") as (made,):
        yield made


@pytest.fixture(scope="module")
def doubted(silent: Bench, tmp_path_factory: pytest.TempPathFactory) -> Doubted:
    """A text whose audio is in doubt, and a recording."""
    return Doubted.made(tmp_path_factory.mktemp("doubted"), silent)


def test_the_power_may_go_while_something_is_in_doubt_or_accepted(
    silent: Bench, doubted: Doubted
) -> None:
    """At every cut, what was told to be kept is there, and what was told to be accepted is done."""
    recording = record_accept(silent, doubted)
    tally = power.check_states(
        recording, doubted.work, silent, seed=SEED, most=900, mixed=1, continued=4, doubted=doubted
    )
    print(f"\nseed {SEED}\n{power.HEADER}\n{tally.line('a run, and what accepts it')}")
    count(cases=tally.cuts, runs=tally.continued, corrupt=tally.bad, lost=tally.bad)
    assert not tally.bad, "\n".join(tally.notes[:20])
    assert tally.cuts > 150
    assert tally.continued == 4


def test_an_accept_that_does_not_wait_for_the_disk_is_noticed(
    silent: Bench, doubted: Doubted
) -> None:
    """Without the folder's sync, what was kept or accepted has no name after the cut."""
    recording = record_accept(silent, doubted, broken="no-folder-sync")
    signs = ("s0 is suspect, but", "s0 is done, but")
    tally = power.check_states(
        recording, doubted.work, silent, seed=SEED, most=900, mixed=1, doubted=doubted, until=signs
    )
    assert tally.has_noted(signs)


@pytest.mark.parametrize(
    ("broken", "sign"),
    [
        ("no-folder-sync", "is missing"),
        ("no-file-sync", "holds something else"),
        ("commit-first", "is missing"),
        ("commits-not-synced", "was told to be done, and is not"),
        ("attempts-counted-after", "sessions were begun"),
    ],
)
def test_a_run_that_does_not_wait_for_the_disk_is_noticed(
    bench: Bench, work: Work, broken: str, sign: str
) -> None:
    """Each sync left out, each order turned round, gives states that break a promise."""
    recording = record(bench, work, broken=broken)
    tally = power.check_states(recording, work, bench, seed=SEED, most=1_000, mixed=2, until=[sign])
    print(f"\nseed {SEED}\n{power.HEADER}\n{tally.line(broken)}")
    assert tally.has_noted([sign])


# -- the model itself ----------------------------------------------------------------------------


def states_of(tmp_path: Path, *calls: str) -> list[dict[str, bytes | None]]:
    """The different states that a cut after these calls may leave."""
    log = tmp_path / "log"
    lines = [call if call[0] == "2" else f"1 {call}" for call in calls]  # the thread, the call
    log.write_text("\n".join(lines), encoding="ascii")
    recording = Recording(Path("/r"), Path("/r/stdout"))
    recording.read(log)
    dice = random.Random(SEED)
    found = [state for _, state in recording.states(len(calls), dice, 50)]
    return [dict(items) for items in {tuple(sorted(state.items())) for state in found}]


def hexed(text: str) -> str:
    """A string as strace -xx shows it."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in text.encode()) + '"'


WRITTEN = (
    f"openat(AT_FDCWD, {hexed('/r/.a.part')}, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0666) = 3",
    f"write(3, {hexed('whole')}, 5) = 5",
)
RENAMED = f"rename({hexed('/r/.a.part')}, {hexed('/r/a')}) = 0"
FOLDER_SYNCED = (
    f"openat(AT_FDCWD, {hexed('/r')}, O_RDONLY|O_CLOEXEC|O_DIRECTORY) = 4",
    "fsync(4) = 0",
)


def test_an_unsynced_file_may_be_lost_torn_or_nameless(tmp_path: Path) -> None:
    """Renamed without any sync, a file may be absent, empty, in part, or under either name."""
    states = states_of(tmp_path, *WRITTEN, RENAMED)
    assert {} in states
    assert {"a": b""} in states
    assert {".a.part": b"whole"} in states
    assert {"a": b"whole"} in states
    assert any(0 < len(state.get("a") or b"") < 5 for state in states)


def test_a_synced_file_is_whole_under_whichever_name_it_has(tmp_path: Path) -> None:
    """After the file's sync only its name is open; after the folder's, nothing is."""
    synced = states_of(tmp_path, *WRITTEN, "fsync(3) = 0", RENAMED)
    assert sorted(map(str, synced)) == sorted(
        map(str, [{}, {".a.part": b"whole"}, {"a": b"whole"}])
    )
    assert states_of(tmp_path, *WRITTEN, "fsync(3) = 0", RENAMED, *FOLDER_SYNCED) == [
        {"a": b"whole"}
    ]


def test_a_write_during_a_sync_is_not_synced_by_it(tmp_path: Path) -> None:
    """Only what was written before a sync began is durable when it ends."""
    states = states_of(
        tmp_path,
        *WRITTEN,
        *FOLDER_SYNCED,
        "fsync(3 <unfinished ...>",
        f"2 pwrite64(3, {hexed('W')}, 1, 0) = 1",
        "<... fsync resumed>) = 0",
    )
    assert {".a.part": b"whole"} in states
    assert {".a.part": b"Whole"} in states
