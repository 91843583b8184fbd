"""The library says the truth: what it was told counts, and an end that is no good one is heard."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import pytest
import trio

import batchjobs
from batchjobs.api import endpoints
from batchjobs.outputs.summary import RunSummary
from batchjobs.planning.plan import Plan, Work
from batchjobs.process.signals import SignalNote
from batchjobs.progress import Event, JobFinished, Observer
from batchjobs.runner import RunEnd, Runner
from tests.commands import ROOT

TONE = batchjobs.Options(engine="tone", concurrency=1)
SHORT = "id,text\nأ,السَّلامُ عليكم ٣٤\nب,Hello to everybody here\nج,كلمـــة وأخرى\n"


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manifest of three rows, in an empty current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "three.csv"
    path.write_text(SHORT, encoding="utf-8")
    return path


def _done(folder: Path) -> list[object]:
    """The ids in results.jsonl, as the file stands."""
    lines = (folder / "results.jsonl").read_bytes().splitlines()
    return [json.loads(line)["id"] for line in lines]


def _struck(number: int) -> Observer:
    """Send this process a signal once a job is done."""

    def strike(event: Event) -> None:
        if isinstance(event, JobFinished):
            os.kill(os.getpid(), number)

    return strike


# -- what was told -----------------------------------------------------------------------------


def test_a_provider_named_beside_the_voice_is_the_provider(manifest: Path) -> None:
    """`Defaults` has a provider: whoever names it there is not given the local one in silence."""
    speech = batchjobs.Defaults(provider="munsit", voice_id="v")
    assert batchjobs.plan(manifest, batchjobs.Options(speech=speech)).providers == ("munsit",)
    both = batchjobs.Options(provider="munsit", speech=speech)
    assert batchjobs.plan(manifest, both).providers == ("munsit",)
    assert batchjobs.plan(manifest, batchjobs.Options()).providers == ("local",)


@pytest.mark.parametrize("other", ["local", "faseeh"])
def test_two_providers_are_refused(manifest: Path, other: str) -> None:
    """Also if one of them is the local one: which is meant, nobody can tell."""
    speech = batchjobs.Defaults(provider="munsit", voice_id="v")
    with pytest.raises(batchjobs.errors.UsageError, match=f"'{other}', and 'munsit'"):
        batchjobs.run(manifest, batchjobs.Options(provider=other, speech=speech))
    assert not Path("outputs").exists()


# -- how it ended ------------------------------------------------------------------------------


def _report(**told: Any) -> batchjobs.RunReport:
    plan = Plan(rows=9, by_action={}, to_buy=Work(), cost_by_currency={})
    base: dict[str, Any] = {
        "folder": Path("مجلد"),
        "exit_code": 0,
        "summary": RunSummary(),
        "plan": plan,
    }
    return batchjobs.RunReport(**(base | told))


def test_a_good_end_raises_nothing(manifest: Path) -> None:
    """The report is given back, so that it can be asked and kept in one line."""
    report = batchjobs.run(manifest, TONE).raise_for_status()
    assert report.summary.done == 3


def test_failed_jobs_are_raised_with_their_number_and_where_to_look(manifest: Path) -> None:
    """Whoever forgets to look at the exit code does not go on as if all were there."""
    options = batchjobs.Options(engine="tone", faults=("error:40001",))
    report = batchjobs.run(manifest, options)
    with pytest.raises(batchjobs.errors.JobsFailedError, match="3 failed") as caught:
        report.raise_for_status()
    error = caught.value
    assert (error.failed, error.suspect, error.folder) == (3, 0, Path("outputs/three"))
    assert error.exit_code == report.exit_code
    assert Path(error.hint.split()[0]).is_file()


def test_suspect_jobs_are_raised_too() -> None:
    """A result in doubt is no good end either."""
    report = _report(summary=RunSummary(suspect=2_000))
    with pytest.raises(batchjobs.errors.JobsFailedError, match="مجلد, 2,000 are suspect"):
        report.raise_for_status()


def test_what_stopped_the_run_is_raised() -> None:
    """The error itself, before the failed jobs that it left and the signal that came with it."""
    error = batchjobs.errors.KeyRefusedError("no")
    with pytest.raises(batchjobs.errors.KeyRefusedError):
        _report(error=error, signal_number=2, summary=RunSummary(failed=1)).raise_for_status()
    with pytest.raises(KeyboardInterrupt):
        _report(signal_number=2, summary=RunSummary(failed=1)).raise_for_status()
    with pytest.raises(SystemExit) as caught:
        _report(signal_number=15, exit_code=143).raise_for_status()
    assert caught.value.code == 143


# -- signals -----------------------------------------------------------------------------------


def test_ctrl_c_ends_a_loop_of_runs(manifest: Path) -> None:
    """It drains, the results are written, and then it is the KeyboardInterrupt that was meant."""

    def loop() -> None:
        for name in ("one", "two"):
            options = batchjobs.Options(engine="tone", concurrency=1, output=name)
            batchjobs.run(manifest, options, observe=_struck(signal.SIGINT))

    with pytest.raises(KeyboardInterrupt):
        loop()
    assert not Path("two").exists()
    summary = json.loads(Path("one/summary.json").read_bytes())
    assert summary["exit_code"] == 130
    assert summary["done"] == len(_done(Path("one"))) > 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_the_program_s_own_is_called_once_the_results_are_there(
    manifest: Path,
) -> None:
    """If it returns, so does the run, with the signal in its report."""
    seen: list[tuple[int, bool]] = []
    before = signal.signal(
        signal.SIGTERM,
        lambda number, _: seen.append((number, Path("outputs/three/summary.json").is_file())),
    )
    try:
        report = batchjobs.run(manifest, TONE, observe=_struck(signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [(signal.SIGTERM, True)]
    assert (report.signal_number, report.exit_code) == (signal.SIGTERM, 143)


def test_a_program_without_a_handler_dies_of_its_signal(manifest: Path) -> None:
    """As it would without us, but with its results written."""
    script = (
        "import os, signal, batchjobs\n"
        "from batchjobs.progress import JobFinished\n"
        "def strike(event):\n"
        "    if isinstance(event, JobFinished):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "batchjobs.run('three.csv', batchjobs.Options(engine='tone'), observe=strike)\n"
        "print('went on')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, ""), done.stderr
    assert _done(Path("outputs/three"))


# -- ends that nobody meant --------------------------------------------------------------------


async def test_a_cancelled_run_leaves_its_results(manifest: Path) -> None:
    """Who cancels does not have to run it again to get at what was paid for."""

    def stop_after_one(event: Event) -> None:
        if isinstance(event, JobFinished):
            scope.cancel()

    slow = batchjobs.Options(engine="tone", faults=("slow:2",), concurrency=1)
    with trio.CancelScope() as scope:
        await batchjobs.run_async(manifest, slow, observe=stop_after_one)
    assert scope.cancelled_caught
    folder = Path("outputs/three")
    assert _done(folder) == ["أ"]
    summary = json.loads((folder / "summary.json").read_bytes())
    assert (summary["done"], summary["not_run"], summary["exit_code"]) == (1, 2, None)


def test_a_run_that_breaks_leaves_its_results(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake of ours is raised as what it is, and takes away nothing that was paid for."""
    work = Runner.run

    async def breaks(runner: Runner, noted: SignalNote) -> RunEnd:
        await work(runner, noted)
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(Runner, "run", breaks)
    with pytest.raises(ZeroDivisionError):
        batchjobs.run(manifest, TONE)
    assert _done(Path("outputs/three")) == ["أ", "ب", "ج"]
    summary = json.loads(Path("outputs/three/summary.json").read_bytes())
    assert (summary["exit_code"], summary["error"]) == (70, "ours")


def test_a_run_that_did_not_begin_leaves_the_last_one_s_results(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has changed: the files say what they said."""
    folder = batchjobs.run(manifest, TONE).folder
    before = (folder / "summary.json").read_bytes()

    def missing(*_: object, **__: object) -> NoReturn:
        raise batchjobs.errors.ConfigurationError("its extra is not installed")

    monkeypatch.setattr(endpoints, "local_server", missing)
    manifest.write_text(SHORT + "د,نص جديد\n", encoding="utf-8")
    with pytest.raises(batchjobs.errors.ConfigurationError):
        batchjobs.run(manifest, TONE)
    assert (folder / "summary.json").read_bytes() == before


# -- event loops -------------------------------------------------------------------------------


async def test_a_run_within_trio_says_what_to_call(manifest: Path) -> None:
    """Two loops of trio cannot be in one thread; nothing is planned before that is told."""
    with pytest.raises(batchjobs.errors.UsageError) as caught:
        batchjobs.run(manifest, TONE)
    assert "run_async" in caught.value.hint
    assert not await trio.Path("outputs/three").exists()


def test_asyncio_is_told_what_to_do_and_that_works(manifest: Path) -> None:
    """Awaited where trio does not run, it says by which line it runs there."""

    async def within_asyncio() -> batchjobs.RunReport:
        with pytest.raises(batchjobs.errors.UsageError) as caught:
            await batchjobs.run_async(manifest, TONE)
        assert "asyncio.to_thread(batchjobs.run, …)" in caught.value.hint
        return await asyncio.to_thread(batchjobs.run, manifest, TONE)

    assert asyncio.run(within_asyncio()).raise_for_status().summary.done == 3


# -- the package -------------------------------------------------------------------------------


def test_the_package_has_its_version_and_its_types() -> None:
    """Both where Python's tools look for them."""
    assert batchjobs.__version__ == version("batchjobs")
    assert Path(batchjobs.__file__).with_name("py.typed").is_file()
