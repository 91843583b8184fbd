"""A run in a bucket: its owner killed, paused and met by another, at requests of its; nothing is lost.

A part of ``python -m tests.proofs.bucket``, which takes every request in turn.
"""

import contextlib
import dataclasses
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clocks import PATIENCE_SECONDS, until
from tests.clusters import workers_of
from tests.custody.runs import (
    Scene,
    check_bought_once,
    check_whole,
    hold_and_take_over,
    kill_and_take_over,
    meet_another_owner,
    pause_and_take_over,
)
from tests.s3 import Bucket
from tests.s3_faults import Act, Fault, fault_proxy
from tests.whole_runs import ledger_of, run_server

pytestmark = pytest.mark.unmeasured


@pytest.fixture
def scene(bucket: Bucket, tmp_path: Path) -> Iterator[Scene]:
    """Give a manifest, a place in a bucket, and a server that counts."""
    folder = tmp_path / f"scene-{bucket.name}"
    folder.mkdir()
    ledger = folder / "ledger.jsonl"
    ledger.touch()
    with run_server(folder, "--engine", "tone", "--ledger", ledger) as base_url:
        yield Scene(folder=folder, bucket=bucket, base_url=base_url, ledger=ledger, rows=4)


def interrupt(process: subprocess.Popen[bytes], *, every_seconds: float) -> None:
    """Press Ctrl-C again and again until a process has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None:
        assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(every_seconds)


@pytest.mark.parametrize(
    ("act", "at", "stays"),
    [
        (Act.KILL_AFTER, 8, True),  # it has claimed the place, and not said so yet
        (Act.KILL_AFTER, 22, False),
        (Act.KILL_BEFORE, 29, False),
        (Act.KILL_AFTER, 29, True),
    ],
)
def test_an_owner_killed_at_a_request_loses_nothing(
    scene: Scene, act: Act, at: int, *, stays: bool
) -> None:
    """Whoever goes on with the run, here or elsewhere, buys what was open again, and nothing else."""
    assert kill_and_take_over(scene, at, act, stays=stays)
    check_bought_once(scene, kills=1)


def test_an_owner_that_was_only_paused_writes_nothing_more(scene: Scene) -> None:
    """It comes back once another has finished the run, and ends with 75."""
    pause_and_take_over(scene, 27)


@pytest.mark.parametrize("target", ["/segments/", "/audio/"])
def test_what_a_paused_owner_had_sent_arrives_late_and_does_no_harm(
    scene: Scene, target: str
) -> None:
    """It takes no object's place, is no result, and what of it nothing needs goes with the next run."""
    late = hold_and_take_over(scene, target)
    # The held one at least: once it goes on, it may send others before it sees whose the run is.
    assert late or target != "/segments/"
    assert all(name.startswith("segments/") for name in late)
    sessions = scene.ledger.read_bytes()
    second = scene.folder / "second"
    scene.finish(second)
    check_whole(scene, second)
    assert scene.ledger.read_bytes() == sessions


def test_a_second_owner_is_refused_while_the_first_goes_on(scene: Scene) -> None:
    """It is told whose the run is and what to do; the first notices nothing."""
    said = meet_another_owner(scene, 20)
    assert f"{scene.folder}/first/outputs/" in said
    assert "--take-over" in said


def test_a_second_signal_waits_for_no_store_that_is_busy(scene: Scene) -> None:
    """While results go up: the run ends, and no more is bought again than after a kill."""
    scene.write()
    busy = Fault(act=Act.ANSWER, status=503, method="PUT", target="/audio/", times=9_999)
    with fault_proxy(scene.bucket.endpoint, busy) as proxy:
        process = scene.start(proxy, scene.folder / "first")
        until(lambda: proxy.count("PUT", "/audio/"))
        interrupt(process, every_seconds=1.0)
        assert process.returncode in {74, -signal.SIGINT}  # the latter, if it was writing reports
    scene.finish(scene.folder / "first")
    check_whole(scene, scene.folder / "first")
    check_bought_once(scene, kills=1)


@pytest.mark.parametrize("target", ["/probe-", "/journal/", "/owner.json"])
def test_a_signal_ends_a_run_that_waits_for_its_store_to_begin(scene: Scene, target: str) -> None:
    """Nothing is spent by then; a first one is noted, and a second one ends it at once."""
    scene.write()
    silent = Fault(act=Act.DELAY, target=target, seconds=9_999, times=999)
    with fault_proxy(scene.bucket.endpoint, silent) as proxy:
        process = scene.start(proxy, scene.folder / "first")
        until(lambda: proxy.count(target=target))
        interrupt(process, every_seconds=0.1)
        assert process.returncode in {-signal.SIGINT, 130}
    assert not ledger_of(scene.ledger)
    scene.finish(scene.folder / "first")
    check_whole(scene, scene.folder / "first")


def test_workers_and_a_bucket_outlive_a_worker_and_the_owner(scene: Scene) -> None:
    """A worker is killed, then the owner; elsewhere the run goes on with workers, and one of them is killed.

    The owner puts there what its workers wrote. Nothing is lost, and no more is bought again than was
    open at the three kills.
    """
    scene = dataclasses.replace(scene, rows=24)
    scene.write()
    kills: list[int] = []

    def kill_worker() -> None:
        pid = workers_of(proxy.victim)[0]
        os.kill(pid, signal.SIGKILL)
        kills.append(pid)

    struck = Fault(act=Act.CALL, at=3, method="PUT", target="/audio/", hook=kill_worker)
    killed = Fault(act=Act.KILL_AFTER, at=9, method="PUT", target="/audio/")
    with fault_proxy(scene.bucket.endpoint, struck, killed) as proxy:
        process = scene.start(proxy, scene.folder / "first", "--workers", "2")
        assert process.wait(PATIENCE_SECONDS) == -signal.SIGKILL
    second = scene.folder / "second"
    with fault_proxy(scene.bucket.endpoint, struck) as proxy:
        process = scene.start(proxy, second, "--workers", "2", "--take-over")
        assert process.wait(PATIENCE_SECONDS) == 0
    assert len(kills) == 2
    check_whole(scene, second)
    check_bought_once(scene, kills=3)
