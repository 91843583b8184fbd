"""Starts, ends and outcomes are durable, whole or absent."""

import threading
from pathlib import Path

import pytest

from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import DiskError, DiskFullError
from batchjobs.jobs import Status
from tests.builders import adopt, make_end, make_failed_record, make_record, make_row, make_start


def test_attempts_that_a_killed_process_left_open_are_lost(folder: Path) -> None:
    """They are closed and counted, but only those since the last attempt that told its end."""
    with Checkpoint.open(folder) as checkpoint:
        numbers = checkpoint.commit(starts=[make_start(1), make_start(2), make_start(1)])
        assert numbers == [1, 2, 3]
        assert checkpoint.recover(9.0) == {"k1": 2, "k2": 1}
        assert checkpoint.recover(9.5) == {"k1": 2, "k2": 1}
        fourth = checkpoint.commit(starts=[make_start(1)])[0]
        checkpoint.commit(ends=[make_end(fourth, "throttled")])
        assert checkpoint.recover(10.0) == {"k2": 1}
        checkpoint.commit(starts=[make_start(1)])
        assert checkpoint.recover(11.0) == {"k1": 1, "k2": 1}
        assert checkpoint.totals.count_rows().attempts_lost == 4
        with checkpoint._database.use() as database:
            query = "SELECT ended_at FROM attempts ORDER BY number"
            ends = [row[0] for row in database.execute(query)]
        assert ends == [9.0, 9.0, 9.0, 2.0, 11.0]


def test_a_job_set_aside_for_its_crashes_can_be_tried_again(folder: Path) -> None:
    """Once its failure is on record, the attempts that led to it count against it no more."""
    with Checkpoint.open(folder) as checkpoint:
        for count in range(1, 6):
            checkpoint.commit(starts=[make_start(1)])
            assert checkpoint.recover(2.0) == {"k1": count}
        checkpoint.commit(records=[make_failed_record(1, error_class="crashed")])
        assert checkpoint.recover(3.0) == {}
        checkpoint.commit(starts=[make_start(1)])
        assert checkpoint.recover(4.0) == {"k1": 1}
        assert checkpoint.totals.count_rows().attempts_lost == 6


def test_a_commit_is_whole_or_absent(folder: Path) -> None:
    """One statement that fails takes back all that came before it in the same commit."""
    with Checkpoint.open(folder) as checkpoint:
        adopt(checkpoint, make_row(1))
        number = checkpoint.commit(starts=[make_start(1)])[0]
        broken = make_failed_record(2, error_class=None)
        with pytest.raises(DiskError):
            checkpoint.commit(
                starts=[make_start(2)],
                ends=[make_end(number, "done")],
                records=[make_record(1), broken],
            )
        assert checkpoint.lookups.find(["r1", "r2"]) == {}
        assert checkpoint.recover(3.0) == {"k1": 1}
        with pytest.raises(TypeError):
            checkpoint.commit(records=[make_record(1), make_record(2, text=object())])
        assert checkpoint.lookups.find(["r1"]) == {}
        checkpoint.commit(records=[make_record(1)])
        assert checkpoint.totals.count_rows().done == 1


def test_a_full_disk_is_told_and_nothing_is_called_done(folder: Path) -> None:
    """No room for a commit is exit 74 with its own advice; with room again the run goes on."""
    with Checkpoint.open(folder) as checkpoint:
        adopt(checkpoint, make_row(1))
        with checkpoint._database.use() as database:
            pages = database.execute("PRAGMA page_count").fetchone()[0]
            database.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(DiskFullError) as caught:
            checkpoint.commit(records=[make_record(1, text="x" * 1_000_000)])
        assert "make room" in caught.value.hint
        assert checkpoint.totals.count_rows().done == 0
        with checkpoint._database.use() as database:
            database.execute("PRAGMA max_page_count = 1000000")
        checkpoint.commit(records=[make_record(1, text="x" * 1_000_000)])
        assert checkpoint.totals.count_rows().done == 1


def test_a_disk_that_fails_is_told(folder: Path) -> None:
    """Any other trouble with the file is a disk error with what to do."""
    with Checkpoint.open(folder) as checkpoint:
        with checkpoint._database.use() as database:
            database.execute("DROP TABLE attempts")
        with pytest.raises(DiskError) as caught:
            checkpoint.totals.count_rows()
        assert "check the disk" in caught.value.hint


def test_a_job_takes_over_a_place_with_its_file(folder: Path) -> None:
    """Whoever's result now stands at a path, the one before it no longer does."""
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.commit(records=[make_record(1)])
        checkpoint.commit(records=[make_record(2, output="audio/r1.wav")])
        assert checkpoint.lookups.find(["r1", "r2"]).keys() == {"r2"}
        checkpoint.commit(records=[make_failed_record(3), make_failed_record(4)])
        assert checkpoint.lookups.find(["r3", "r4"]).keys() == {"r3", "r4"}


def test_a_failure_forgets_no_result(folder: Path) -> None:
    """An edit that fails leaves what was bought before for whoever undoes it, once and not for ever."""
    with Checkpoint.open(folder) as checkpoint:
        adopt(checkpoint, make_row(1, key="new"))
        checkpoint.commit(records=[make_record(1)])
        for _ in range(2):
            checkpoint.commit(records=[make_failed_record(1, key="new")])
            assert checkpoint.lookups.find(["r1"])["r1"].status is Status.FAILED
            assert [donor.id for donor in checkpoint.lookups.find_donors("k1")] == ["r1"]
        assert (checkpoint.totals.count_rows().failed, checkpoint.totals.count_rows().done) == (
            1,
            0,
        )
        assert [record.id for record in checkpoint.lookups.stream_done()] == ["r1"]
        checkpoint.commit(records=[make_record(1)])
        assert [record.key for record in checkpoint.lookups.stream_done()] == ["k1"]
        checkpoint.commit(records=[make_failed_record(1)])
        assert list(checkpoint.lookups.stream_done()) == []


def test_rows_stream_while_outcomes_are_committed(folder: Path) -> None:
    """More rows than a page come in order, each once, with commits from another thread between."""
    count = 1_700
    with Checkpoint.open(folder) as checkpoint:
        adopt(checkpoint, *(make_row(number) for number in range(1, count + 1)))
        seen = []
        for row in checkpoint.rows.stream_to_do(["new", "changed"]):
            seen.append(row.position)
            if row.position % 100 == 0:
                arguments = {
                    "records": [make_record(row.position)],
                    "starts": [make_start(row.position)],
                }
                thread = threading.Thread(target=checkpoint.commit, kwargs=arguments)
                thread.start()
                thread.join()
        assert seen == list(range(1, count + 1))
        assert checkpoint.totals.count_rows().done == 17
        outcomes = list(checkpoint.rows.stream_outcomes())
        assert [row.position for row, _ in outcomes] == seen
        assert [row.position for row, record in outcomes if record] == list(range(100, 1701, 100))
        assert list(checkpoint.rows.stream_to_do([])) == []


def test_finished_jobs_stream_by_id(folder: Path) -> None:
    """More than a page of them, each once, also those the manifest has lost."""
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.commit(records=[make_record(number) for number in range(1_200)])
        checkpoint.commit(records=[make_failed_record(5_000)])
        ids = [record.id for record in checkpoint.lookups.stream_done()]
    assert ids == sorted(f"r{number}" for number in range(1_200))
