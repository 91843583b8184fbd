"""The checkpoint on a real disk: its lock, its files, and damage that is told."""

import fcntl
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import ConfigurationError, DiskError, NoRunError, OutputError, RunLockedError
from batchjobs.files.run_folder import CHECKPOINT
from tests.builders import adopt, make_record, make_row


def _python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, arguments)]


def test_a_commit_survives_a_power_cut(folder: Path) -> None:
    """The log is on, every commit is synced, and the file is where it is said to be."""
    with Checkpoint.open(folder) as checkpoint, checkpoint._database.use() as database:
        assert checkpoint.folder == folder
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA synchronous").fetchone() == (2,)
        assert database.execute("PRAGMA user_version").fetchone() == (9,)
        assert Path(database.execute("PRAGMA database_list").fetchone()[2]).name == CHECKPOINT


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_new_folder_is_synced_into_those_above_it(tmp_path: Path) -> None:
    """Each folder made is on the disk before anything in it is paid for."""
    code = "import sys; from batchjobs.checkpoint import Checkpoint as C; from pathlib import Path"
    code += "; C.open(Path(sys.argv[1])).close()"
    log = tmp_path / "calls"
    traced = ["strace", "-f", "-y", "-o", str(log), "-e", "trace=mkdir,fsync,fdatasync"]
    subprocess.run([*traced, *_python(code, tmp_path / "a" / "b")], check=True)
    calls = log.read_text()
    made, first = calls.index("mkdir("), calls.index(CHECKPOINT)
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
    monkeypatch.setattr("batchjobs.checkpoint.lock.time.sleep", lambda _: os.close(glance))
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
    (folder / CHECKPOINT).write_bytes(b"not a database at all " * 400)
    for way in (Checkpoint.open, Checkpoint.read, Checkpoint.open):
        with pytest.raises(DiskError) as caught:
            way(folder)
        assert "damaged" in caught.value.message
        assert "backup" in caught.value.hint


def test_damage_further_in_is_told_the_same(folder: Path) -> None:
    """Pages overwritten in the middle, and a record that is no JSON, are damage too."""
    with Checkpoint.open(folder) as checkpoint:
        adopt(checkpoint, *(make_row(number) for number in range(1, 400)))
        checkpoint.commit(records=[make_record(number) for number in range(1, 400)])
        with checkpoint._database.transaction() as database:
            database.execute("UPDATE jobs SET record = x'7b' WHERE id = 'r7'")
            database.execute("UPDATE jobs SET record = 'text' WHERE id = 'r8'")
        for number in (7, 8):
            with pytest.raises(DiskError, match="damaged"):
                checkpoint.lookups.find([f"r{number}"])
        with pytest.raises(DiskError, match="damaged"):
            list(checkpoint.rows.stream_outcomes())
    content = bytearray((folder / CHECKPOINT).read_bytes())
    content[16384 : len(content) - 4096] = b"\xff" * (len(content) - 20480)
    (folder / CHECKPOINT).write_bytes(content)
    with pytest.raises(DiskError, match="damaged"), Checkpoint.open(folder) as checkpoint:
        list(checkpoint.rows.stream_outcomes())


def test_a_file_of_another_version_is_refused_and_left_as_it_is(folder: Path) -> None:
    """Neither a later schema nor somebody's own database is touched."""
    folder.mkdir(parents=True)
    path = folder / CHECKPOINT
    for version, shown in ((10, "schema 10"), (0, "schema 0")):
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
    content = bytearray((folder / CHECKPOINT).read_bytes())
    content[44:48] = b"\0\0\0\x09"
    (folder / CHECKPOINT).write_bytes(content)
    for way in (Checkpoint.open, Checkpoint.read):
        with pytest.raises(DiskError, match="unsupported file format"):
            way(folder)


def test_a_run_killed_before_its_first_write_is_no_run_and_can_be_begun(folder: Path) -> None:
    """An empty file is not another version's: to look finds no run, to run makes one."""
    folder.mkdir(parents=True)
    (folder / CHECKPOINT).touch()
    with pytest.raises(NoRunError):
        Checkpoint.read(folder)
    with Checkpoint.open(folder) as checkpoint:
        assert not checkpoint.has_begun()
        adopt(checkpoint, make_row(1))
        assert checkpoint.has_begun()
