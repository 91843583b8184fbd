"""The library runs a manifest as the command line does, within trio too."""

import io
import threading
from pathlib import Path

import pytest
import trio

import batchjobs
from batchjobs.process.signals import SignalNote
from batchjobs.progress import Event, JobFinished, RunFinished, RunStarted
from batchjobs.runner import RunEnd, Runner
from tests.api.manifests import MANIFEST


def test_a_run_gives_a_report_and_results(manifest: Path) -> None:
    """Plan, run, read the results, look and verify, all from Python."""
    options = batchjobs.Options(engine="tone")
    assert batchjobs.plan(manifest, options).to_buy.rows == 3
    report = batchjobs.run(str(manifest), options)
    assert (report.exit_code, report.error, report.signal_number) == (0, None, 0)
    assert report.folder == Path("outputs/three")
    assert [line["id"] for line in batchjobs.read_results(report.folder)] == ["a", "b", "c"]
    assert batchjobs.status(report.folder).done == 3
    assert batchjobs.verify(report.folder) == batchjobs.VerifyReport(checked=3)


def test_a_run_folder_may_be_named_by_text(manifest: Path) -> None:
    """As a manifest may: whoever runs "three.csv" looks at "outputs/three"."""
    batchjobs.run("three.csv", batchjobs.Options(engine="tone", output="spoken"))
    assert len(list(batchjobs.read_results("spoken"))) == 3
    assert batchjobs.status("spoken").done == 3
    assert batchjobs.verify("spoken") == batchjobs.VerifyReport(checked=3)


def test_a_run_tells_an_observer_of_every_job(manifest: Path) -> None:
    """The observer is told of each job once it is on the disk."""
    told: list[Event] = []
    batchjobs.run(manifest, batchjobs.Options(engine="tone"), observe=told.append)
    finished = [event.record.id for event in told if isinstance(event, JobFinished)]
    assert sorted(finished) == ["a", "b", "c"]


@pytest.mark.parametrize("kind", [RunStarted, RunFinished])
def test_an_observer_that_fails_takes_no_report_away(manifest: Path, kind: type[Event]) -> None:
    """Neither at the beginning, where nothing would run, nor at the end; it is told no more then."""
    told: list[Event] = []

    def broken(event: Event) -> None:
        told.append(event)
        if isinstance(event, kind):
            raise BrokenPipeError("stdout is gone")

    report = batchjobs.run(manifest, batchjobs.Options(engine="tone"), observe=broken)
    assert (report.exit_code, report.summary.done) == (0, 3)
    assert isinstance(told[-1], kind)


def test_a_run_that_leaves_rows_out_is_no_success(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever mistake of ours it was: exit 0 means that every row has its answer."""

    async def forgets(_: Runner, __: SignalNote) -> RunEnd:
        return RunEnd()

    options = batchjobs.Options(engine="tone", limit=2)
    assert batchjobs.run(manifest, options).exit_code == 0
    monkeypatch.setattr(Runner, "run", forgets)
    report = batchjobs.run(manifest, batchjobs.Options(engine="tone"))
    assert report.exit_code == 70
    assert isinstance(report.error, batchjobs.errors.InternalError)
    assert report.error.message.endswith(": 1")


def test_progress_is_told_of_rows_checked_and_jobs_verified(manifest: Path) -> None:
    """Long checks can be watched."""
    checked: list[int] = []
    options = batchjobs.Options(engine="tone")
    report = batchjobs.run(manifest, options, progress=checked.append)
    assert checked == [3]
    batchjobs.verify(report.folder, progress=checked.append)
    assert checked == [3, 1, 2, 3]


def test_a_manifest_can_be_an_open_stream(tmp_path: Path) -> None:
    """A stream is as good as a file, given a run folder."""
    stream = io.BytesIO(MANIFEST.encode())
    with pytest.raises(batchjobs.errors.UsageError):
        batchjobs.plan(stream)
    plan = batchjobs.plan(stream, batchjobs.Options(output=tmp_path / "streamed"))
    assert plan.rows == 3


def test_a_run_in_a_thread_leaves_signals_to_the_program(manifest: Path) -> None:
    """Only the main thread can listen for signals: a run in another one goes without."""
    reports: list[batchjobs.RunReport] = []
    options = batchjobs.Options(engine="tone")
    thread = threading.Thread(target=lambda: reports.append(batchjobs.run(manifest, options)))
    thread.start()
    thread.join()
    assert [report.exit_code for report in reports] == [0]


async def test_a_run_within_trio_can_be_cancelled_and_continued(manifest: Path) -> None:
    """Cancelling run_async leaves a run that the next call continues, buying nothing twice."""
    seen: list[str] = []

    def stop_after_one(event: Event) -> None:
        if isinstance(event, JobFinished):
            seen.append(event.record.id)
            scope.cancel()

    slow = batchjobs.Options(engine="tone", faults=("slow:2",), concurrency=1)
    with trio.CancelScope() as scope:
        await batchjobs.run_async(manifest, slow, observe=stop_after_one)
    assert scope.cancelled_caught
    report = await batchjobs.run_async(manifest, batchjobs.Options(engine="tone"))
    assert report.exit_code == 0
    assert report.summary.done == 3
    again = [line["id"] for line in batchjobs.read_results(report.folder)]
    assert again == ["a", "b", "c"]
    assert batchjobs.status(report.folder).done == 3
    assert report.summary.attempts <= 3 + 1
