"""A disk or a checkpoint that fails stops the run, and nothing is called done."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import soundfile
import trio

from batchjobs.checkpoint import Checkpoint, Row
from batchjobs.checkpoint.database import Database
from batchjobs.checkpoint.rows import Rows
from batchjobs.errors import BatchjobsError, DiskError, InternalError, OutputError
from batchjobs.files.run_folder import SEGMENTS
from batchjobs.progress import Event, JobFinished, RunStopping
from batchjobs.runner import Runner, state
from tests.builders import audio_message
from tests.runner.runs import RATE, TEXT, Failing, job, jobs, run_rows, speech_for
from tests.streams import Peer

# Deadlines of a few seconds and a disk in threads: on the machine's own clock it would depend on it.
pytestmark = pytest.mark.usefixtures("standing_clock")


async def test_a_target_that_cannot_be_replaced_stops_the_run(tmp_path: Path) -> None:
    """What the disk refuses is told as an error, and never as done."""

    def block(event: Event) -> None:
        if isinstance(event, JobFinished) and event.record.id == "000":
            (tmp_path / "audio/003.wav").mkdir()

    run = await run_rows(tmp_path, jobs(30), observe=block)
    assert isinstance(run.end.error, OutputError)
    assert "003" not in run.records
    assert len(run.service.streams) < 20
    assert len(run.of(RunStopping)) == 1


@pytest.mark.parametrize(
    ("error", "told"), [(DiskError("gone"), DiskError), (ZeroDivisionError(), InternalError)]
)
@pytest.mark.parametrize("commits", [0, 1, 2, 5, 9])
async def test_a_failed_commit_stops_the_run(
    commits: int, error: Exception, told: type[BatchjobsError], tmp_path: Path
) -> None:
    """Wherever it strikes: the run returns with the error, and tells nothing as done after it."""
    Failing.commits_left, Failing.error = commits, error
    run = await run_rows(tmp_path, jobs(30), opener=Failing)
    assert type(run.end.error) is told
    assert set(run.records) == {e.record.id for e in run.of(JobFinished)}
    again = await run_rows(tmp_path, jobs(30))
    assert again.statuses == {"done": 30}


class ReadOnly(Checkpoint):
    """A checkpoint that cannot be written."""

    def recover(self, now: float) -> dict[str, int]:
        """Fail."""
        raise OutputError("it is read-only")


async def test_a_checkpoint_that_cannot_be_written_is_told_before_anything_is_spent(
    tmp_path: Path,
) -> None:
    """A read-only checkpoint ends the run with no connection."""
    run = await run_rows(tmp_path, jobs(3), opener=ReadOnly)
    assert isinstance(run.end.error, OutputError)
    assert not run.service.streams


class UnreadableRows(Rows):
    """Rows that cannot be read beyond the first page."""

    def stream_to_do(self, actions: Iterable[str]) -> Iterator[Row]:
        """Give rows, then fail."""
        rows = list(itertools.islice(super().stream_to_do(actions), 200))
        yield from rows
        if rows:
            raise DiskError("the disk is gone")


class Unreadable(Checkpoint):
    """A checkpoint whose rows cannot be read beyond the first page."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.rows = UnreadableRows(database)


async def test_rows_that_cannot_be_read_stop_the_run_and_what_is_open_finishes(
    tmp_path: Path,
) -> None:
    """The feeder's disk error is the run's end, not its crash."""
    run = await run_rows(tmp_path, jobs(205), opener=Unreadable)
    assert type(run.end.error) is DiskError
    assert run.statuses["done"] >= 195
    assert run.open_attempts == 0


async def streams_slowly(peer: Peer) -> None:
    """Send the audio in pieces, with time in between for a disk to follow."""
    await peer.begin()
    pcm = speech_for(await peer.text())
    for start in range(0, len(pcm), 4_000):
        await peer.send(audio_message(pcm[start : start + 4_000], RATE))
        await trio.sleep(0.002)
    await peer.until_asked_to_close()
    await peer.connection.aclose(1000)


@pytest.mark.parametrize("ending", ["wav", "flac"])
async def test_a_run_with_little_memory_for_audio_brings_all_of_it_home(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most of the audio goes through scratch files; the results are exact and nothing is left."""
    seen: set[int] = set()

    def spools() -> int:
        return len(list(tmp_path.glob(f"{SEGMENTS}/*.spool")))

    async def look(_: Runner) -> None:
        while True:
            seen.add(spools())
            await trio.sleep(0.001)

    monkeypatch.setattr(state, "AUDIO_MEMORY_BYTES", 40_000)
    leftover = tmp_path / SEGMENTS / f"{'a' * 64}.1.spool"
    leftover.parent.mkdir()
    leftover.write_bytes(b"of a run that was killed")
    rows = [job(f"{n}", TEXT * 4 + f" {n}", output=f"{n}.{ending}") for n in range(8)]
    run = await run_rows(
        tmp_path,
        rows,
        streams_slowly,
        during=look,
    )
    assert run.statuses == {"done": 8}
    assert max(seen) > 1
    assert not (tmp_path / SEGMENTS).exists()
    for row in rows:
        pcm, _ = soundfile.read(tmp_path / row.output, dtype="int16")
        assert pcm.tobytes() == speech_for(row.text)


async def test_a_disk_that_is_full_of_received_audio_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """74 and room to make, and the sessions that are open come home."""
    monkeypatch.setattr(state, "AUDIO_MEMORY_BYTES", 40_000)
    (tmp_path / SEGMENTS).symlink_to(tmp_path / "nowhere")
    run = await run_rows(
        tmp_path,
        [job(f"{n}", TEXT * 4 + f" {n}") for n in range(12)],
        streams_slowly,
    )
    assert isinstance(run.end.error, BatchjobsError)
    assert "segments" in run.end.error.message
    assert 1 <= run.statuses["done"] < 12
    assert run.statuses.keys() == {"done"}
