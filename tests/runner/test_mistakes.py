"""Mistakes of ours fail one job, or stop the run if they go on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from batchjobs.errors import DiskError, InternalError
from batchjobs.jobs import Status
from batchjobs.outputs import writing
from batchjobs.outputs.writing import Written
from batchjobs.progress import Event
from batchjobs.runner import RunEnd
from batchjobs.runner.service import Service
from tests import streams
from tests.runner.books import LONG, run_book
from tests.runner.runs import OPTIONS, Failing, job, jobs, obeys, run_rows

# Deadlines of a few seconds and a disk in threads: on the machine's own clock it would depend on it.
pytestmark = pytest.mark.usefixtures("standing_clock")


class Clumsy:
    """A `dial` that raises something unforeseen for some connections."""

    def __init__(
        self, service: streams.Service, strikes: Callable[[int], Exception | None]
    ) -> None:
        self.service = service
        self.strikes = strikes
        self.calls = 0

    async def __call__(self, host: str, port: int, context: object) -> trio.abc.Stream:
        """Connect or raise."""
        self.calls += 1
        error = self.strikes(self.calls)
        if error is not None:
            raise error
        return await self.service.dial(host, port, context)


@pytest.mark.parametrize("error", [ZeroDivisionError("ours"), InternalError("ours")])
async def test_a_surprise_fails_one_job(
    error: Exception, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its record names the mistake, the log has the traceback, the others go on."""
    async with trio.open_nursery() as nursery:
        service = streams.Service(nursery, talk=obeys)
        clumsy = Clumsy(service, lambda call: error if call == 3 else None)
        run = await run_rows(tmp_path, jobs(10), dial=clumsy)
        nursery.cancel_scope.cancel()
    assert run.end.error is None
    assert run.statuses == {"done": 9, "failed": 1}
    (failed,) = [r for r in run.records.values() if r.status is Status.FAILED]
    assert failed.error_class == "internal"
    assert failed.error_message == f"{type(error).__name__}: ours"
    assert "Traceback" in caplog.text
    assert [r for _, r, _, _ in run.attempts].count("internal") == 1
    assert run.open_attempts == 0


async def test_five_surprises_alike_stop_the_run(tmp_path: Path) -> None:
    """Exit 70, before a manifest is burnt; different ones do not add up."""
    async with trio.open_nursery() as nursery:
        service = streams.Service(nursery, talk=obeys)
        clumsy = Clumsy(service, lambda call: ZeroDivisionError() if call > 4 else None)
        run = await run_rows(tmp_path / "alike", jobs(40), dial=clumsy)
        assert isinstance(run.end.error, InternalError)
        # Each of the four that work may end between two of the others, and begin the count anew.
        assert run.statuses["failed"] in range(5, 5 * 5 + 5)
        kinds = [ZeroDivisionError, ValueError]
        mixed = Clumsy(service, lambda call: kinds[call % 2]() if call > 4 else None)
        one = replace(OPTIONS, concurrency=1)
        run = await run_rows(tmp_path / "mixed", jobs(40), dial=mixed, run_options=one)
        assert run.end.error is None
        assert run.statuses == {"done": 4, "failed": 36}
        nursery.cancel_scope.cancel()


async def test_a_surprise_that_cannot_be_written_down_stops_the_run(tmp_path: Path) -> None:
    """The disk's error is the greater one."""
    Failing.commits_left, Failing.error = 1, DiskError("gone")

    async def clumsy(host: str, port: int, context: object) -> trio.abc.Stream:
        raise ZeroDivisionError

    run = await run_rows(tmp_path, jobs(3), dial=clumsy, opener=Failing)
    assert type(run.end.error) is DiskError
    assert not run.records


async def test_a_surprise_while_a_result_is_written_closes_the_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent is in the ledger and in the record, once."""
    write = writing.write_speech

    def stumble(folder: Path, output: str, *others: Any) -> Written:
        if output.endswith("a.wav"):
            raise ZeroDivisionError
        return write(folder, output, *others)

    monkeypatch.setattr(writing, "write_speech", stumble)
    run = await run_rows(tmp_path, [job("a"), job("b")])
    assert run.end == RunEnd()
    assert run.open_attempts == 0
    assert run.statuses == {"done": 1, "failed": 1}
    sent = len(job("a").text)
    assert ("a", "internal", "", sent) in run.attempts
    assert run.records["a"].cost == sent


async def test_a_surprise_after_a_segment_is_bought_costs_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The segment is durable by then: its job is put together all the same."""

    def stumble(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Service, "learn_result", stumble)
    run = await run_book(tmp_path, [job("b", LONG)], obeys)
    assert run.end == RunEnd()
    assert run.statuses == {"done": 1}


async def test_an_observer_that_fails_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Paid work goes on without it, and no done job turns into a failed one."""

    def broken(event: Event) -> None:
        raise BrokenPipeError("stdout is gone")

    run = await run_rows(tmp_path, jobs(8), observe=broken)
    assert run.end == RunEnd()
    assert run.statuses == {"done": 8}
    assert "observer" in caplog.text
