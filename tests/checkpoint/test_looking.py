"""Looking at a checkpoint beside its run, or without one, changes nothing."""

import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchjobs.checkpoint import Checkpoint, SourceRecord
from batchjobs.errors import DiskError, NoRunError, OutputError
from batchjobs.files.run_folder import CHECKPOINT
from tests.builders import (
    ARABIC,
    TO_VERSION_4,
    TO_VERSION_5,
    adopt,
    make_failed_record,
    make_record,
    make_row,
)


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
        checkpoint.staging.begin()
        checkpoint.staging.add([make_row(1)])
        checkpoint.lookups.remember_sources(
            [SourceRecord(path="/x", bytes=1, modified_ns=1, sha256="s", seconds=1.0)]
        )
        assert checkpoint.lookups.find_source("/x") is None
        assert not checkpoint.has_begun()
        assert checkpoint.totals.count_rows().rows == 0
    assert list(tmp_path.iterdir()) == []


def test_a_live_run_can_be_looked_at(folder: Path) -> None:
    """A reader sees each commit as it comes, plans beside the run, and cannot write."""
    with Checkpoint.open(folder) as writer:
        adopt(writer, make_row(1), make_row(2))
        with Checkpoint.read(folder) as reader:
            assert reader.totals.count_rows().done == 0
            writer.commit(records=[make_record(1)])
            assert reader.totals.count_rows().done == 1
            assert reader.read_settings() == writer.read_settings()
            reader.staging.begin()
            reader.staging.add([make_row(1), make_row(3)])
            assert reader.staging.count_orphans() == 0
            reader.lookups.remember_sources(
                [SourceRecord(path="/x", bytes=1, modified_ns=1, sha256="s", seconds=1.0)]
            )
            with pytest.raises(OutputError):
                reader.commit(records=[make_record(2)])
            with pytest.raises(OutputError):
                reader.staging.adopt({})
            writer.commit(records=[make_failed_record(2)])
            assert reader.totals.count_rows().failed == 1
        assert writer.lookups.find_source("/x") is None


@pytest.mark.parametrize("to_earlier", [TO_VERSION_4, TO_VERSION_5], ids=["4", "5"])
def test_a_plan_beside_an_earlier_run_knows_what_there_was_not(
    folder: Path, to_earlier: str
) -> None:
    """What stands in for the tables that came later stays there while rows are planned."""
    with Checkpoint.open(folder) as checkpoint:
        adopt(checkpoint, make_row(1))
    earlier = sqlite3.connect(folder / CHECKPOINT)
    earlier.executescript(f"{to_earlier} PRAGMA wal_checkpoint;")
    earlier.close()
    with Checkpoint.read(folder) as looking:
        looking.staging.begin()
        looking.staging.add([make_row(1)])
        assert looking.lookups.find_shape("/x", 0) is None
        assert looking.lookups.find_source("/x") is None
        assert looking.groups.stream() is not None
        assert looking.totals.sum_accounts() == []
        assert looking.totals.count_rows().rows == 1


def test_totals_come_from_one_moment(folder: Path) -> None:
    """While another process commits, failures by class add up to the failures."""
    with Checkpoint.open(folder) as writer:
        adopt(writer, *(make_row(number) for number in range(1, 301)))
        stopping = threading.Event()

        def write() -> None:
            for number in range(1, 301):
                writer.commit(records=[make_failed_record(number)])
            stopping.set()

        thread = threading.Thread(target=write)
        with Checkpoint.read(folder) as reader:
            thread.start()
            while not stopping.is_set():
                totals = reader.totals.count_rows()
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
        adopt(checkpoint, make_row(1), make_row(2))
        checkpoint.commit(records=[make_record(1, text=ARABIC)])
    with _look_unprivileged(visible / "run") as reader:
        assert reader.totals.count_rows().done == 1
        assert reader.lookups.find(["r1"])["r1"].text == ARABIC
    assert [path.name for path in (visible / "run").iterdir()] == [CHECKPOINT]


def test_a_killed_run_is_not_shown_without_its_log(visible: Path) -> None:
    """Without leave to read the log properly, an old state is not passed off as the run's."""
    with Checkpoint.open(visible / "run") as checkpoint:
        adopt(checkpoint, make_row(1))
        checkpoint.commit(records=[make_record(1)])
        shutil.copytree(visible / "run", visible / "whole")
        (visible / "torn").mkdir()
        for ending in ("", "-wal"):
            name = f"{CHECKPOINT}{ending}"
            shutil.copy(visible / "run" / name, visible / "torn" / name)
    with pytest.raises(OutputError, match="killed") as caught:
        _look_unprivileged(visible / "torn")
    assert "copy the folder" in caught.value.hint
    with _look_unprivileged(visible / "whole") as reader:
        assert reader.totals.count_rows().done == 1
