"""Whole runs of the command with workers that are processes: what Dask starts, and what it refuses."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from batchjobs.checkpoint import Checkpoint
from tests.clocks import PATIENCE_SECONDS, until
from tests.whole_runs import batchjobs, environment, results, write_manifest

TEXTS = ("مَرْحَبًا بِكُمْ", "مرحبـــا ١٢٣", "می\u200cخواهم بروم", "Hello مرحبا ٢٠٢٦")
RUN = ("run", "m.csv", "--engine", "tone", "--workers", "2")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Write a manifest of different texts."""
    rows = [{"id": f"r{n}", "text": f"{TEXTS[n % len(TEXTS)]} {n}"} for n in range(12)]
    return write_manifest(tmp_path / "m.csv", rows)


def start(folder: Path, *more: object) -> subprocess.Popen[str]:
    """Start a run in the background."""
    return subprocess.Popen(
        [sys.executable, "-m", "batchjobs", *RUN, *map(str, more)],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def is_one_done(folder: Path) -> bool:
    """Whether a job of the run is done."""
    return any((folder / "outputs/m/audio").glob("*.wav"))


def has_none_alive(processes: list[psutil.Process]) -> bool:
    """Whether all of these have ended."""
    return not [each for each in processes if each.is_running() and each.status() != "zombie"]


@pytest.fixture
def slow_run(manifest: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """A run that takes a while, with all its processes, once its first job is done."""
    process = start(manifest.parent, "--fault", "slow:0.5", "-c", 2)
    until(lambda: is_one_done(manifest.parent) or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    family = psutil.Process(process.pid).children(recursive=True)
    yield process, family
    for each in [process, *family]:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    process.communicate(timeout=PATIENCE_SECONDS)


def test_a_run_with_workers_does_all_and_leaves_nothing(manifest: Path) -> None:
    """All jobs are done, verified, and neither a scratch file nor a note is left."""
    batchjobs(*RUN, "-c", 4, cwd=manifest.parent)
    folder = manifest.parent / "outputs/m"
    assert len(results(folder)) == 12
    batchjobs("verify", "outputs/m", cwd=manifest.parent)
    assert not (folder / "segments").exists()
    assert not (folder / ".workers").exists()
    again = batchjobs(*RUN, cwd=manifest.parent)
    assert "12 of 12 jobs were done" in again.stdout


def test_one_signal_lets_sessions_end_and_leaves_no_process(
    slow_run: tuple[subprocess.Popen[str], list[psutil.Process]], manifest: Path
) -> None:
    """Ctrl-C in a terminal reaches the whole group: what is open ends, and is kept."""
    process, family = slow_run
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == -signal.SIGINT
    until(lambda: has_none_alive(family))
    with Checkpoint.read(manifest.parent / "outputs/m") as checkpoint:
        assert checkpoint.totals.count_rows().done >= 1
    batchjobs(*RUN, cwd=manifest.parent)
    batchjobs("verify", "outputs/m", cwd=manifest.parent)


def test_after_sigkill_of_the_owner_no_process_stays(
    slow_run: tuple[subprocess.Popen[str], list[psutil.Process]], manifest: Path
) -> None:
    """Its workers end by themselves, and the same command continues. None of them listens to others."""
    process, family = slow_run
    listening = [
        each.laddr.ip
        for one in (psutil.Process(process.pid), *family)
        for each in one.net_connections("inet")
        if each.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 3  # a scheduler and two workers
    assert {*listening} == {"127.0.0.1"}
    process.kill()
    process.communicate(timeout=PATIENCE_SECONDS)
    until(lambda: has_none_alive(family))
    batchjobs(*RUN, cwd=manifest.parent)
    assert len(results(manifest.parent / "outputs/m")) == 12


def test_a_worker_that_is_killed_is_replaced(
    slow_run: tuple[subprocess.Popen[str], list[psutil.Process]],
) -> None:
    """Its sessions go again on the other, or on the new one, and all is done."""
    process, family = slow_run
    workers = [each for each in family if "spawn_main" in " ".join(each.cmdline())]
    assert len(workers) == 2
    workers[0].kill()
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, said


def test_a_cluster_that_is_not_there_costs_nothing(manifest: Path) -> None:
    """A sentence, and 69; no plan is adopted."""
    refused = batchjobs(*RUN[:-2], "--cluster", "tcp://127.0.0.1:9", cwd=manifest.parent, expect=69)
    assert "no cluster answers at tcp://127.0.0.1:9" in refused.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--workers", "0"], 2, "not a number of workers"),
        (["--workers", "two"], 2, "not a number of workers"),
        (["--workers", "2", "--cluster", "tcp://127.0.0.1:9"], 2, "two ways"),
        (["--workers", "2", "--preopen"], 2, "--preopen is for one process"),
        (["--cluster", "tcp://192.0.2.1:8786"], 78, "open to all between"),
        (["--cluster", "tls://192.0.2.1:8786"], 78, "needs certificates"),
        (["--cluster", "http://127.0.0.1"], 78, "not the address of a cluster's scheduler"),
        (
            ["--cluster", "tcp://127.0.0.1:9", "--cluster-ca", "m.csv"],
            78,
            "for a cluster with tls://",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(
    manifest: Path, words: list[str], code: int, said: str
) -> None:
    """Each has its sentence and its code, before anything is made."""
    refused = batchjobs(*RUN[:-2], *words, cwd=manifest.parent, expect=code)
    assert said in refused.stderr
    assert not (manifest.parent / "outputs/m").exists()
