"""The recorder: nothing is told before it is durable, and everybody who waits is told something."""

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from batchjobs.checkpoint import Checkpoint, JobRecord
from batchjobs.errors import BatchjobsError, InternalError, OutputError
from batchjobs.files.atomic import write_part
from batchjobs.runner.recorder import Recorder
from tests.builders import make_end, make_record, make_start
from tests.clocks import PATIENCE_SECONDS

START = make_start()


class Watched(Checkpoint):
    """A checkpoint that counts its commits, and waits or fails in them when told to."""

    commits = 0
    gate: threading.Event | None = None
    failure: Exception | None = None

    def commit(self, **content: Sequence[Any]) -> list[int]:
        """Commit, unless told otherwise."""
        self.commits += 1
        if self.gate is not None:
            assert self.gate.wait(PATIENCE_SECONDS)
        if self.failure is not None:
            raise self.failure
        return super().commit(**content)


def record(name: str) -> JobRecord:
    """Make a finished job."""
    return make_record(id=name, key=name, output=f"{name}.wav")


@asynccontextmanager
async def recording(folder: Path) -> AsyncIterator[tuple[Watched, Recorder]]:
    """Run a recorder as the runner does."""
    with Watched.open(folder) as checkpoint:
        recorder = Recorder(checkpoint)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(recorder.run)
            yield checkpoint, recorder
            recorder.close()


async def test_attempts_get_numbers_that_are_on_the_disk(tmp_path: Path) -> None:
    """An attempt has begun once another reader of the file can see it."""
    async with recording(tmp_path) as (_, recorder):
        numbers = [await recorder.begin(START) for _ in range(3)]
        assert len(set(numbers)) == 3
        with Checkpoint.read(tmp_path) as reader:
            assert reader.totals.count_rows().attempts == 3


async def test_what_is_told_is_published_and_committed(tmp_path: Path) -> None:
    """File first, then the transaction, then the word."""
    async with recording(tmp_path) as (_, recorder):
        number = await recorder.begin(START)
        target = tmp_path / "صوت.wav"
        write_part(target, b"sound")
        assert not target.exists()
        end = make_end(number, characters=5)
        await recorder.finish(end=end, record=record("a"), targets=[target])
        assert target.read_bytes() == b"sound"
        with Checkpoint.read(tmp_path) as reader:
            assert list(reader.lookups.find(["a"])) == ["a"]
            assert reader.totals.count_rows().characters_sent == 5


async def test_a_slow_disk_makes_larger_groups(tmp_path: Path) -> None:
    """What comes while a commit is under way goes together in the next one; each gets its number."""
    async with recording(tmp_path) as (checkpoint, recorder):
        checkpoint.gate = threading.Event()
        numbers: dict[int, int] = {}

        async def begin(index: int) -> None:
            numbers[index] = await recorder.begin(make_start(index))

        async with trio.open_nursery() as nursery:
            for index in range(500):
                nursery.start_soon(begin, index)
            await trio.testing.wait_all_tasks_blocked()
            assert not numbers
            checkpoint.gate.set()
        assert sorted(numbers.values()) == list(range(1, 501))
        assert checkpoint.commits <= 5


async def test_after_a_failed_write_nothing_more_is_called_done(tmp_path: Path) -> None:
    """The whole group is told the error, and everything after it."""
    async with recording(tmp_path) as (checkpoint, recorder):
        target = tmp_path / "taken.wav"
        target.mkdir()
        write_part(target, b"sound")
        with pytest.raises(OutputError):
            await recorder.finish(record=record("a"), targets=[target])
        with pytest.raises(OutputError):
            await recorder.finish(record=record("b"))
        with pytest.raises(OutputError):
            await recorder.begin(START)
        assert checkpoint.commits == 0
        assert checkpoint.lookups.find(["a", "b"]) == {}


async def test_an_unforeseen_error_is_told_and_leaves_nobody_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake of ours in the commit is an error to those who wait shielded, and no deadlock."""
    errors: list[BatchjobsError] = []
    async with recording(tmp_path) as (checkpoint, recorder):
        checkpoint.failure = ZeroDivisionError("ours")

        async def finish(name: str) -> None:
            with trio.CancelScope(shield=True):
                try:
                    await recorder.finish(record=record(name))
                except BatchjobsError as error:
                    errors.append(error)

        async with trio.open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(finish, name)
    assert [type(error) for error in errors] == [InternalError] * 3
    assert "ZeroDivisionError" in errors[0].message
    assert "Traceback" in caplog.text


async def test_a_cancelled_recorder_still_serves_those_who_wait(tmp_path: Path) -> None:
    """Cancelling the run from outside loses no outcome that somebody is bringing home."""
    with Watched.open(tmp_path) as checkpoint:
        recorder = Recorder(checkpoint)

        async def brings(name: str) -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await recorder.finish(record=record(name))

        async def stops(name: str) -> None:
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()

        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(recorder.run)
                try:
                    async with trio.open_nursery() as workers:
                        for name in ("a", "b"):
                            workers.start_soon(brings, name)
                        workers.start_soon(stops, "")
                finally:
                    recorder.close()
        assert scope.cancelled_caught
        assert set(checkpoint.lookups.find(["a", "b"])) == {"a", "b"}


async def test_what_comes_at_short_intervals_is_committed_together(
    tmp_path: Path, standing_clock: object
) -> None:
    """The first does not wait; those that follow it within a moment are one commit."""
    async with recording(tmp_path) as (checkpoint, recorder):
        began = trio.current_time()
        await recorder.begin(START)
        assert trio.current_time() == began
        async with trio.open_nursery() as nursery:
            for milliseconds in range(8):
                await trio.sleep(0.001)
                nursery.start_soon(recorder.begin, START)
                assert milliseconds < 8
        assert checkpoint.commits == 2
        assert trio.current_time() == pytest.approx(began + 0.01, abs=0.003)
