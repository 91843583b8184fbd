"""The checkpoint on a real disk: its lock, its transactions, its ledger, and what it reads back."""

import fcntl
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchjobs.checkpoint import (
    FILE_NAME,
    AttemptEnd,
    AttemptStart,
    Checkpoint,
    FileRecord,
    JobRecord,
    Row,
    SourceRecord,
)
from batchjobs.errors import (
    ConfigurationError,
    DiskError,
    DiskFullError,
    NoRunError,
    OutputError,
    RunLockedError,
)
from batchjobs.jobs import Ending, Evidence, Kind, Status

_ARABIC = "مَرْحَبًا ‌بِكُـــم‍ ٤٥ x"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a run folder that is not there yet."""
    return tmp_path / "outputs" / "تجربة #1?%20"


def _row(position: int, **changes: object) -> Row:
    values: dict[str, object] = {
        "position": position,
        "line": position + 1,
        "id": f"r{position}",
        "place": f"audio/r{position}.wav",
        "key": f"k{position}",
        "action": "new",
        "kind": "tts",
        "provider": "local",
        "characters": 10,
        "seconds": 0.0,
        "output": f"audio/r{position}.wav",
        "job": b"{}",
    }
    return Row(**(values | changes))  # type: ignore[arg-type]


def _done(number: int, **changes: object) -> JobRecord:
    values: dict[str, object] = {
        "id": f"r{number}",
        "key": f"k{number}",
        "kind": Kind.TTS,
        "status": Status.DONE,
        "output": f"audio/r{number}.wav",
        "provider": "local",
        "attempts": 1,
        "audio_seconds": 1.5,
    }
    return JobRecord(**(values | changes))  # type: ignore[arg-type]


def _failed(number: int, **changes: object) -> JobRecord:
    settled: dict[str, object] = {
        "status": Status.FAILED,
        "output": "",
        "error_class": "permanent",
        "audio_seconds": 0.0,
    }
    return _done(number, **(settled | changes))


def _start(number: int) -> AttemptStart:
    return AttemptStart(key=f"k{number}", job=f"r{number}", provider="local", started_at=1.0)


def _end(number: int, result: str, **changes: object) -> AttemptEnd:
    values: dict[str, object] = {"number": number, "ended_at": 2.0, "result": result}
    return AttemptEnd(**(values | changes))  # type: ignore[arg-type]


def _adopt(checkpoint: Checkpoint, *rows: Row) -> None:
    checkpoint.begin_staging()
    checkpoint.stage(rows)
    checkpoint.adopt_staged({})


def _python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, arguments)]


# -- opening and the lock ----------------------------------------------------------------------


def test_a_commit_survives_a_power_cut(folder: Path) -> None:
    """The log is on, every commit is synced, and the file is where it is said to be."""
    with Checkpoint.open(folder) as checkpoint, checkpoint._database.reading() as database:
        assert checkpoint.folder == folder
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA synchronous").fetchone() == (2,)
        assert database.execute("PRAGMA user_version").fetchone() == (4,)
        assert Path(database.execute("PRAGMA database_list").fetchone()[2]).name == FILE_NAME


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_new_folder_is_synced_into_those_above_it(tmp_path: Path) -> None:
    """Each folder made is on the disk before anything in it is paid for."""
    code = "import sys; from batchjobs.checkpoint import Checkpoint as C; from pathlib import Path"
    code += "; C.open(Path(sys.argv[1])).close()"
    log = tmp_path / "calls"
    traced = ["strace", "-f", "-y", "-o", str(log), "-e", "trace=mkdir,fsync,fdatasync"]
    subprocess.run([*traced, *_python(code, tmp_path / "a" / "b")], check=True)
    calls = log.read_text()
    made, first = calls.index("mkdir("), calls.index(FILE_NAME)
    for above in (tmp_path, tmp_path / "a"):
        assert made < calls.index(f"<{above}>)") < first


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_disk_that_cannot_lock_is_told_as_that(tmp_path: Path) -> None:
    """A file system without locks ends in a sentence with what to do, not in a surprise."""
    code = "import sys; from batchjobs.checkpoint import Checkpoint as C; from pathlib import Path"
    code += "; C.open(Path(sys.argv[1]))"
    injected = ["strace", "-f", "-qq", "-e", "trace=flock", "-e", "inject=flock:error=ENOLCK"]
    ended = subprocess.run(
        [*injected, *_python(code, tmp_path / "run")], capture_output=True, text=True, check=False
    )
    assert "OutputError: cannot lock" in ended.stderr
    assert "on a disk of this machine" in ended.stderr


def test_a_second_run_is_refused_at_once(folder: Path) -> None:
    """Whoever comes second is told so, and whoever comes after the first has closed is let in."""
    with Checkpoint.open(folder), pytest.raises(RunLockedError) as caught:
        Checkpoint.open(folder)
    assert caught.value.exit_code == 75
    assert str(folder) in caught.value.message
    Checkpoint.open(folder).close()


def test_a_look_sees_a_run_and_keeps_none_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A status at the very moment of a run's start does not make it fail."""
    with Checkpoint.open(folder) as held:
        assert held.is_running()
        with Checkpoint.read(folder) as looking:
            assert looking.is_running()
    with Checkpoint.read(folder) as looking:
        assert not looking.is_running()
    glance = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(glance, fcntl.LOCK_SH)
    monkeypatch.setattr("batchjobs.checkpoint.database.time.sleep", lambda _: os.close(glance))
    Checkpoint.open(folder).close()


def test_the_lock_dies_with_its_holder_and_what_was_committed_stays(folder: Path) -> None:
    """A process killed outright leaves no lock, and a ledger that tells what it had begun."""
    code = """
import sys, time
from pathlib import Path
from batchjobs.checkpoint import AttemptStart, Checkpoint
checkpoint = Checkpoint.open(Path(sys.argv[1]))
checkpoint.commit(starts=[AttemptStart(key="k", job="j", provider="p", started_at=1.0)])
print("ready", flush=True)
time.sleep(60)
"""
    with subprocess.Popen(_python(code, folder), stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        with pytest.raises(RunLockedError):
            Checkpoint.open(folder)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with Checkpoint.open(folder) as checkpoint:
            assert checkpoint.recover(5.0) == {"k": 1}


@pytest.mark.parametrize("is_above", [False, True])
def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, *, is_above: bool) -> None:
    """A file in the way of the folder, or of one above it, ends in 73 with what to do."""
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(OutputError) as caught:
        Checkpoint.open(tmp_path / "file" / "run" if is_above else tmp_path / "file")
    assert "--output" in caught.value.hint
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_damaged_file_is_told_with_what_to_do(folder: Path) -> None:
    """Bytes that are no database end in 74 with a hint, both ways; the lock is let go."""
    folder.mkdir(parents=True)
    (folder / FILE_NAME).write_bytes(b"not a database at all " * 400)
    for way in (Checkpoint.open, Checkpoint.read, Checkpoint.open):
        with pytest.raises(DiskError) as caught:
            way(folder)
        assert "damaged" in caught.value.message
        assert "backup" in caught.value.hint


def test_damage_further_in_is_told_the_same(folder: Path) -> None:
    """Pages overwritten in the middle, and a record that is no JSON, are damage too."""
    with Checkpoint.open(folder) as checkpoint:
        _adopt(checkpoint, *(_row(number) for number in range(1, 400)))
        checkpoint.commit(records=[_done(number) for number in range(1, 400)])
        with checkpoint._database.transaction() as database:
            database.execute("UPDATE jobs SET record = x'7b' WHERE id = 'r7'")
            database.execute("UPDATE jobs SET record = 'text' WHERE id = 'r8'")
        for number in (7, 8):
            with pytest.raises(DiskError, match="damaged"):
                checkpoint.records([f"r{number}"])
        with pytest.raises(DiskError, match="damaged"):
            list(checkpoint.outcomes())
    content = bytearray((folder / FILE_NAME).read_bytes())
    content[8192 : len(content) - 4096] = b"\xff" * (len(content) - 12288)
    (folder / FILE_NAME).write_bytes(content)
    with Checkpoint.open(folder) as checkpoint, pytest.raises(DiskError, match="damaged"):
        list(checkpoint.outcomes())


def test_a_file_of_another_version_is_refused_and_left_as_it_is(folder: Path) -> None:
    """Neither a later schema nor somebody's own database is touched."""
    folder.mkdir(parents=True)
    path = folder / FILE_NAME
    for version, shown in ((5, "schema 5"), (0, "schema 0")):
        path.unlink(missing_ok=True)
        foreign = sqlite3.connect(path)
        foreign.execute("CREATE TABLE mine (x)")
        foreign.execute(f"PRAGMA user_version = {version}")
        foreign.close()
        content = path.read_bytes()
        for way in (Checkpoint.open, Checkpoint.read):
            with pytest.raises(ConfigurationError, match=shown):
                way(folder)
        assert path.read_bytes() == content


def test_a_file_that_cannot_be_understood_is_told(folder: Path) -> None:
    """A file in some later format of SQLite is trouble, not a folder that cannot be written."""
    Checkpoint.open(folder).close()
    content = bytearray((folder / FILE_NAME).read_bytes())
    content[44:48] = b"\0\0\0\x09"
    (folder / FILE_NAME).write_bytes(content)
    for way in (Checkpoint.open, Checkpoint.read):
        with pytest.raises(DiskError, match="unsupported file format"):
            way(folder)


def test_a_run_killed_before_its_first_write_is_no_run_and_can_be_begun(folder: Path) -> None:
    """An empty file is not another version's: to look finds no run, to run makes one."""
    folder.mkdir(parents=True)
    (folder / FILE_NAME).touch()
    with pytest.raises(NoRunError):
        Checkpoint.read(folder)
    with Checkpoint.open(folder) as checkpoint:
        assert not checkpoint.has_begun()
        _adopt(checkpoint, _row(1))
        assert checkpoint.has_begun()


# -- looking -----------------------------------------------------------------------------------


def test_no_run_is_told(folder: Path, tmp_path: Path) -> None:
    """A folder without a run, or none at all, ends in a sentence; nothing is made."""
    for place in (folder, tmp_path):
        with pytest.raises(NoRunError) as caught:
            Checkpoint.read(place)
        assert "batchjobs run" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_standing_in_for_no_run_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    """A plan without a run knows nothing, and writes nothing."""
    with Checkpoint.none(folder) as checkpoint:
        checkpoint.begin_staging()
        checkpoint.stage([_row(1)])
        checkpoint.remember_sources(
            [SourceRecord(path="/x", bytes=1, modified_ns=1, sha256="s", seconds=1.0)]
        )
        assert checkpoint.source("/x") is None
        assert not checkpoint.has_begun()
        assert checkpoint.totals().rows == 0
    assert list(tmp_path.iterdir()) == []


def test_a_live_run_can_be_looked_at(folder: Path) -> None:
    """A reader sees each commit as it comes, plans beside the run, and cannot write."""
    with Checkpoint.open(folder) as writer:
        _adopt(writer, _row(1), _row(2))
        with Checkpoint.read(folder) as reader:
            assert reader.totals().done == 0
            writer.commit(records=[_done(1)])
            assert reader.totals().done == 1
            assert reader.settings() == writer.settings()
            reader.begin_staging()
            reader.stage([_row(1), _row(3)])
            assert reader.orphans() == 0
            reader.remember_sources(
                [SourceRecord(path="/x", bytes=1, modified_ns=1, sha256="s", seconds=1.0)]
            )
            with pytest.raises(OutputError):
                reader.commit(records=[_done(2)])
            with pytest.raises(OutputError):
                reader.adopt_staged({})
            writer.commit(records=[_failed(2)])
            assert reader.totals().failed == 1
        assert writer.source("/x") is None


def test_totals_come_from_one_moment(folder: Path) -> None:
    """While another process commits, failures by class add up to the failures."""
    with Checkpoint.open(folder) as writer:
        _adopt(writer, *(_row(number) for number in range(1, 301)))
        stopping = threading.Event()

        def write() -> None:
            for number in range(1, 301):
                writer.commit(records=[_failed(number)])
            stopping.set()

        thread = threading.Thread(target=write)
        with Checkpoint.read(folder) as reader:
            thread.start()
            while not stopping.is_set():
                totals = reader.totals()
                assert sum(totals.errors.values()) == totals.failed
        thread.join()


def _fail_in(database: sqlite3.Connection) -> None:
    database.execute("ROLLBACK")
    database.execute("SELECT 1 FROM absent")


def test_what_the_disk_has_taken_back_is_not_taken_back_again(folder: Path) -> None:
    """SQLite ends a transaction by itself when the disk fails: the trouble is told, not that."""
    with Checkpoint.open(folder) as checkpoint:
        for way in (checkpoint._database.snapshot, checkpoint._database.transaction):
            with pytest.raises(DiskError, match="no such table"), way() as database:
                _fail_in(database)


@pytest.fixture
def visible() -> Iterator[Path]:
    """Give a folder that other users may look into."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        yield place


def _look_unprivileged(folder: Path) -> Checkpoint:
    """Look at a folder as somebody who may not write there."""
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    if os.geteuid():
        return Checkpoint.read(folder)
    os.seteuid(65_534)
    try:
        return Checkpoint.read(folder)
    finally:
        os.seteuid(0)


def test_a_finished_run_in_a_folder_that_cannot_be_written(visible: Path) -> None:
    """A copy on a read-only disk can be looked at, and is left without a trace."""
    with Checkpoint.open(visible / "run") as checkpoint:
        _adopt(checkpoint, _row(1), _row(2))
        checkpoint.commit(records=[_done(1, text=_ARABIC)])
    with _look_unprivileged(visible / "run") as reader:
        assert reader.totals().done == 1
        assert reader.records(["r1"])["r1"].text == _ARABIC
    assert [path.name for path in (visible / "run").iterdir()] == [FILE_NAME]


def test_a_killed_run_is_not_shown_without_its_log(visible: Path) -> None:
    """Without leave to read the log properly, an old state is not passed off as the run's."""
    with Checkpoint.open(visible / "run") as checkpoint:
        _adopt(checkpoint, _row(1))
        checkpoint.commit(records=[_done(1)])
        shutil.copytree(visible / "run", visible / "whole")
        (visible / "torn").mkdir()
        for ending in ("", "-wal"):
            name = f"{FILE_NAME}{ending}"
            shutil.copy(visible / "run" / name, visible / "torn" / name)
    with pytest.raises(OutputError, match="killed") as caught:
        _look_unprivileged(visible / "torn")
    assert "copy the folder" in caught.value.hint
    with _look_unprivileged(visible / "whole") as reader:
        assert reader.totals().done == 1


# -- planning ----------------------------------------------------------------------------------


def test_staged_rows_wait_apart_from_the_last_runs(folder: Path) -> None:
    """Until a plan is adopted the last one stands; then the new one does, settings too."""
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.begin_staging()
        checkpoint.stage([_row(1), _row(2)])
        checkpoint.adopt_staged({"manifest": _ARABIC, "x": "1"})
        checkpoint.begin_staging()
        checkpoint.stage([_row(1, id=_ARABIC, job=_ARABIC.encode())])
        assert [row.id for row in checkpoint.rows_to_do(["new"])] == ["r1", "r2"]
        checkpoint.adopt_staged({"x": "2"})
        assert checkpoint.settings() == {"manifest": _ARABIC, "x": "2"}
        rows = list(checkpoint.rows_to_do(["new"]))
    assert rows == [_row(1, id=_ARABIC, job=_ARABIC.encode())]
    with Checkpoint.read(folder) as reader:
        assert list(reader.rows_to_do(["new"])) == rows


def test_taken_ids_and_places_come_back_with_their_holders(folder: Path) -> None:
    """Within a batch and across batches, the first keeps its id and place; bad rows share none."""
    with Checkpoint.none(folder) as checkpoint:
        checkpoint.begin_staging()
        bad = [_row(number, place=None, output="") for number in (8, 9)]
        taken_id = _row(2, id="r1", place="other")
        taken_place = _row(3, place="audio/r1.wav")
        both = _row(4, id="r1", place="audio/r5.wav")
        five = _row(5)
        late = _row(6, place="audio/r5.wav")
        checkpoint.stage([_row(1), taken_id, five, taken_place])
        checkpoint.stage([both, late, *bad])
        assert checkpoint.index_staged() == [2, 3, 4, 5, 6]
        assert checkpoint.take_staged(2) == (taken_id, _row(1))
        assert checkpoint.take_staged(3) == (taken_place, _row(1))
        assert checkpoint.take_staged(4) == (both, _row(1))
        assert checkpoint.take_staged(5) == (five, None)  # what had its place has gone
        checkpoint.stage([five])
        assert checkpoint.take_staged(6) == (late, five)
        assert sum(total[3] for total in checkpoint.staged_totals()) == 4
        assert checkpoint.stage_if_free(late) == five
        assert checkpoint.stage_if_free(_row(6)) is None
        assert checkpoint.take_staged(6) == (_row(6), None)


def test_sums_are_per_action_kind_and_provider(folder: Path) -> None:
    """Staged rows are counted with their characters and seconds."""
    with Checkpoint.none(folder) as checkpoint:
        checkpoint.begin_staging()
        checkpoint.stage([_row(1), _row(2), _row(3, provider="munsit"), _row(4, action="done")])
        checkpoint.stage([_row(5, kind="stt", characters=0, seconds=2.5)])
        assert sorted(checkpoint.staged_totals()) == [
            ("done", "tts", "local", 1, 10, 0.0, 1),
            ("new", "stt", "local", 1, 0, 2.5, 1),
            ("new", "tts", "local", 2, 20, 0.0, 2),
            ("new", "tts", "munsit", 1, 10, 0.0, 1),
        ]


@pytest.mark.parametrize(
    ("endings", "actions"),
    [
        ("wav wav wav", "new follow follow"),
        ("wav flac mp3 ogg", "new follow follow follow"),
        ("mp3 wav mp3 flac", "follow new follow follow"),
        ("mp3 mp3 ogg ogg", "new follow new follow"),
        ("MP3 mp3 Wav", "follow follow new"),
        ("txt txt", "new follow"),
    ],
)
def test_one_purchase_serves_every_format_that_can_be_made_of_it(
    folder: Path, endings: str, actions: str
) -> None:
    """The exact format is bought wherever it stands, others follow if a copy can serve them."""
    with Checkpoint.none(folder) as checkpoint:
        checkpoint.begin_staging()
        rows = [
            _row(number, key="k", output=f"{number}.{ending}")
            for number, ending in enumerate(endings.split(), 1)
        ]
        checkpoint.stage([*rows, _row(8), _row(9, key="k", action="done")])
        checkpoint.mark_followers(["new", "changed"], "follow")
        with checkpoint._database.reading() as database:
            query = "SELECT action FROM temp.staged ORDER BY position"
            found = [row[0] for row in database.execute(query)]
    assert " ".join(found) == f"{actions} new done"


def test_beyond_a_limit_rows_wait(folder: Path) -> None:
    """The first rows to do are left, the others with these actions wait."""
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.begin_staging()
        checkpoint.stage([_row(n, action="done" if n % 2 else "new") for n in range(1, 9)])
        checkpoint.drop_staged_beyond(["new", "changed"], 3)
        checkpoint.adopt_staged({})
        assert [row.position for row in checkpoint.rows_to_do(["new"])] == [2, 4, 6]
        assert [row.position for row in checkpoint.rows_to_do(["later"])] == [8]


def test_orphans_are_finished_jobs_without_a_row(folder: Path) -> None:
    """A failed job that has left the manifest is no orphan."""
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.commit(records=[_done(1), _done(2), _failed(3)])
        checkpoint.begin_staging()
        checkpoint.stage([_row(1)])
        assert checkpoint.orphans() == 1


def test_what_is_known_of_jobs_is_found_again_exactly(folder: Path) -> None:
    """Records come back as they went in, by id, by key, and as failures."""
    evidence = Evidence(
        ending=Ending.DRAINED,
        close_code=1000,
        messages=3,
        first_result_seconds=0.1,
        longest_gap_seconds=0.2,
        session_seconds=0.3,
    )
    record = _done(
        1,
        id=_ARABIC,
        text="ﷺ ـــ\u200d\u202b٣\u202c",
        evidence=evidence,
        files=(FileRecord(path="audio/ض.wav", bytes=5, sha256="s"),),
        cost=0.1 + 0.2,
    )
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.commit(records=[record, _done(2, key="k1"), _failed(3, key="k1")])
        assert checkpoint.records([_ARABIC, "nobody"]) == {_ARABIC: record}
        assert checkpoint.records([]) == {}
        assert checkpoint.keys_with_donors(["k1", "k3"]) == {"k1"}
        assert {donor.id for donor in checkpoint.donors("k1")} == {_ARABIC, "r2"}
        assert checkpoint.donors("none") == []
        failure = checkpoint.failure_of("k1")
        assert failure is not None
        assert failure.id == "r3"
        assert checkpoint.failure_of("k2") is None


def test_a_thousand_equal_jobs_offer_some_donors(folder: Path) -> None:
    """A copy need not read the records of all other copies."""
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.commit(records=[_done(number, key="k") for number in range(1000)])
        assert 1 < len(checkpoint.donors("k")) <= 50


def test_of_many_equal_jobs_those_that_can_become_anything_are_offered(folder: Path) -> None:
    """A hundred MP3s hide no WAV: a FLAC that is asked for now is copied from it, not bought."""
    lossy = [_done(number, key="k", output=f"audio/{number}.MP3") for number in range(100)]
    exact = _done(0, id="zz", key="k", output="audio/zz.wav")
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.commit(records=[*lossy, exact])
        donors = checkpoint.donors("k")
    assert donors[0].id == "zz"
    assert donors[1].can_become("audio/more.mp3")
    assert any(donor.can_become("audio/new.flac") for donor in donors)


@pytest.mark.parametrize(
    ("held", "wanted", "expected"),
    [
        ("a.wav", "b.wav", True),
        ("a.wav", "b.mp3", True),
        ("a.flac", "b.WAV", True),
        ("a.MP3", "b.mp3", True),
        ("a.mp3", "b.wav", False),
        ("a.ogg", "b.mp3", False),
        ("a.txt", "b.txt", True),
    ],
)
def test_what_a_result_can_become(held: str, wanted: str, *, expected: bool) -> None:
    """An exact format becomes any other; one with losses only itself."""
    assert _done(1, output=held).can_become(wanted) is expected


def test_recordings_are_remembered(folder: Path) -> None:
    """What was read of a recording is kept, and replaced when it is read anew."""
    old = SourceRecord(path="/س.wav", bytes=1, modified_ns=2**62, sha256="a", seconds=1.25)
    new = SourceRecord(path="/س.wav", bytes=2, modified_ns=2**62 + 1, sha256="b", seconds=2.5)
    with Checkpoint.open(folder) as checkpoint:
        assert checkpoint.source(old.path) is None
        checkpoint.remember_sources([old])
        assert checkpoint.source(old.path) == old
        checkpoint.remember_sources([new])
    with Checkpoint.read(folder) as reader:
        assert reader.source(old.path) == new


# -- whose files they are ----------------------------------------------------------------------


def test_files_are_owned_by_their_paths(folder: Path) -> None:
    """A begun attempt and a result own the planned path, and no other, for good."""
    with Checkpoint.open(folder) as checkpoint:
        _adopt(checkpoint, _row(1), _row(2), _row(3))
        assert not checkpoint.owns("audio/r1.wav")
        checkpoint.commit(starts=[_start(1)])
        checkpoint.commit(records=[_done(2, output="other/r2.flac")])
        _adopt(checkpoint, _row(3))
        assert checkpoint.owns("audio/r1.wav")
        assert checkpoint.owns("other/r2.flac")
        assert not checkpoint.owns("audio/mine.wav")
        assert not checkpoint.owns("audio/r3.wav")
        checkpoint.commit(records=[_done(2, output="moved.flac")])
        assert checkpoint.owns("other/r2.flac")


def test_a_copy_owns_its_file_before_it_is_committed(folder: Path) -> None:
    """A run killed between a copy's rename and its commit can be continued."""
    with Checkpoint.open(folder) as checkpoint:
        _adopt(checkpoint, _row(1, action="copy"), _row(2, action="follow"), _row(3))
        assert checkpoint.owns("audio/r1.wav")
        assert checkpoint.owns("audio/r2.wav")
        assert not checkpoint.owns("audio/r3.wav")
        # Also if the next plan, which is cancelled as well, has nothing to copy any more.
        _adopt(checkpoint, _row(2), _row(3))
        assert checkpoint.owns("audio/r1.wav")
        assert checkpoint.owns("audio/r2.wav")
        assert not checkpoint.owns("audio/r3.wav")


# -- running -----------------------------------------------------------------------------------


def test_attempts_that_a_killed_process_left_open_are_lost(folder: Path) -> None:
    """They are closed and counted, but only those since the last attempt that told its end."""
    with Checkpoint.open(folder) as checkpoint:
        numbers = checkpoint.commit(starts=[_start(1), _start(2), _start(1)])
        assert numbers == [1, 2, 3]
        assert checkpoint.recover(9.0) == {"k1": 2, "k2": 1}
        assert checkpoint.recover(9.5) == {"k1": 2, "k2": 1}
        fourth = checkpoint.commit(starts=[_start(1)])[0]
        checkpoint.commit(ends=[_end(fourth, "throttled")])
        assert checkpoint.recover(10.0) == {"k2": 1}
        checkpoint.commit(starts=[_start(1)])
        assert checkpoint.recover(11.0) == {"k1": 1, "k2": 1}
        assert checkpoint.totals().attempts_lost == 4
        with checkpoint._database.reading() as database:
            query = "SELECT ended_at FROM attempts ORDER BY number"
            ends = [row[0] for row in database.execute(query)]
        assert ends == [9.0, 9.0, 9.0, 2.0, 11.0]


def test_a_job_set_aside_for_its_crashes_can_be_tried_again(folder: Path) -> None:
    """Once its failure is on record, the attempts that led to it count against it no more."""
    with Checkpoint.open(folder) as checkpoint:
        for count in range(1, 6):
            checkpoint.commit(starts=[_start(1)])
            assert checkpoint.recover(2.0) == {"k1": count}
        checkpoint.commit(records=[_failed(1, error_class="crashed")])
        assert checkpoint.recover(3.0) == {}
        checkpoint.commit(starts=[_start(1)])
        assert checkpoint.recover(4.0) == {"k1": 1}
        assert checkpoint.totals().attempts_lost == 6


def test_a_commit_is_whole_or_absent(folder: Path) -> None:
    """One statement that fails takes back all that came before it in the same commit."""
    with Checkpoint.open(folder) as checkpoint:
        _adopt(checkpoint, _row(1))
        number = checkpoint.commit(starts=[_start(1)])[0]
        broken = _failed(2, error_class=None)
        with pytest.raises(DiskError):
            checkpoint.commit(
                starts=[_start(2)], ends=[_end(number, "done")], records=[_done(1), broken]
            )
        assert checkpoint.records(["r1", "r2"]) == {}
        assert checkpoint.recover(3.0) == {"k1": 1}
        with pytest.raises(TypeError):
            checkpoint.commit(records=[_done(1), _done(2, text=object())])
        assert checkpoint.records(["r1"]) == {}
        checkpoint.commit(records=[_done(1)])
        assert checkpoint.totals().done == 1


def test_a_full_disk_is_told_and_nothing_is_called_done(folder: Path) -> None:
    """No room for a commit is exit 74 with its own advice; with room again the run goes on."""
    with Checkpoint.open(folder) as checkpoint:
        _adopt(checkpoint, _row(1))
        with checkpoint._database.reading() as database:
            pages = database.execute("PRAGMA page_count").fetchone()[0]
            database.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(DiskFullError) as caught:
            checkpoint.commit(records=[_done(1, text="x" * 1_000_000)])
        assert "make room" in caught.value.hint
        assert checkpoint.totals().done == 0
        with checkpoint._database.reading() as database:
            database.execute("PRAGMA max_page_count = 1000000")
        checkpoint.commit(records=[_done(1, text="x" * 1_000_000)])
        assert checkpoint.totals().done == 1


def test_a_disk_that_fails_is_told(folder: Path) -> None:
    """Any other trouble with the file is a disk error with what to do."""
    with Checkpoint.open(folder) as checkpoint:
        with checkpoint._database.reading() as database:
            database.execute("DROP TABLE attempts")
        with pytest.raises(DiskError) as caught:
            checkpoint.totals()
        assert "check the disk" in caught.value.hint


def test_a_job_takes_over_a_place_with_its_file(folder: Path) -> None:
    """Whoever's result now stands at a path, the one before it no longer does."""
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.commit(records=[_done(1)])
        checkpoint.commit(records=[_done(2, output="audio/r1.wav")])
        assert checkpoint.records(["r1", "r2"]).keys() == {"r2"}
        checkpoint.commit(records=[_failed(3), _failed(4)])
        assert checkpoint.records(["r3", "r4"]).keys() == {"r3", "r4"}


def test_a_failure_forgets_no_result(folder: Path) -> None:
    """An edit that fails leaves what was bought before for whoever undoes it, once and not for ever."""
    with Checkpoint.open(folder) as checkpoint:
        _adopt(checkpoint, _row(1, key="new"))
        checkpoint.commit(records=[_done(1)])
        for _ in range(2):
            checkpoint.commit(records=[_failed(1, key="new")])
            assert checkpoint.records(["r1"])["r1"].status is Status.FAILED
            assert [donor.id for donor in checkpoint.donors("k1")] == ["r1"]
        assert (checkpoint.totals().failed, checkpoint.totals().done) == (1, 0)
        assert [record.id for record in checkpoint.done_records()] == ["r1"]
        checkpoint.commit(records=[_done(1)])
        assert [record.key for record in checkpoint.done_records()] == ["k1"]
        checkpoint.commit(records=[_failed(1)])
        assert list(checkpoint.done_records()) == []


def test_rows_stream_while_outcomes_are_committed(folder: Path) -> None:
    """More rows than a page come in order, each once, with commits from another thread between."""
    count = 1_700
    with Checkpoint.open(folder) as checkpoint:
        _adopt(checkpoint, *(_row(number) for number in range(1, count + 1)))
        seen = []
        for row in checkpoint.rows_to_do(["new", "changed"]):
            seen.append(row.position)
            if row.position % 100 == 0:
                arguments = {"records": [_done(row.position)], "starts": [_start(row.position)]}
                thread = threading.Thread(target=checkpoint.commit, kwargs=arguments)
                thread.start()
                thread.join()
        assert seen == list(range(1, count + 1))
        assert checkpoint.totals().done == 17
        outcomes = list(checkpoint.outcomes())
        assert [row.position for row, _ in outcomes] == seen
        assert [row.position for row, record in outcomes if record] == list(range(100, 1701, 100))
        assert list(checkpoint.rows_to_do([])) == []


def test_finished_jobs_stream_by_id(folder: Path) -> None:
    """More than a page of them, each once, also those the manifest has lost."""
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.commit(records=[_done(number) for number in range(1_200)])
        checkpoint.commit(records=[_failed(5_000)])
        ids = [record.id for record in checkpoint.done_records()]
    assert ids == sorted(f"r{number}" for number in range(1_200))


# -- sums --------------------------------------------------------------------------------------


def test_totals_add_up(folder: Path) -> None:
    """Rows are done, failed or not run; only outcomes of what is asked now count."""
    with Checkpoint.open(folder) as checkpoint:
        _adopt(checkpoint, *(_row(number) for number in range(1, 8)))
        numbers = checkpoint.commit(starts=[_start(number) for number in range(1, 6)])
        ends = [
            _end(numbers[0], "done", characters=10),
            _end(numbers[1], "done", audio_seconds=2.5),
            _end(numbers[2], "timeout", characters=7, code="x", message="y"),
            _end(numbers[3], "done", characters=3),
        ]
        records = [
            _done(1),
            _done(2, kind=Kind.STT, audio_seconds=2.5, error_class="no_speech"),
            _failed(3, error_class="timeout"),
            _failed(4, error_class="timeout"),
            _failed(5),
            _done(6, key="what was asked before"),
            _done(9),
        ]
        checkpoint.commit(ends=ends, records=records)
        totals = checkpoint.totals()
        sent = checkpoint.sent_by_provider()
    assert (totals.rows, totals.done, totals.failed, totals.not_run) == (7, 2, 3, 2)
    assert totals.no_speech == 1
    assert totals.errors == {"timeout": 2, "permanent": 1}
    assert list(totals.errors) == ["timeout", "permanent"]
    assert totals.characters_sent == 20
    assert totals.audio_seconds_sent == 2.5
    assert totals.audio_seconds_done == 4.0
    assert (totals.attempts, totals.attempts_lost) == (5, 0)
    assert sorted(sent) == [("local", False, 7, 0.0), ("local", True, 13, 2.5)]
