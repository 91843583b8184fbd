"""Runs in a bucket whose owner is killed at a request of its, and taken over from another folder."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.canary import KEY
from tests.clocks import PATIENCE_SECONDS, until
from tests.s3 import Bucket
from tests.s3_faults import Act, Fault, FaultProxy, fault_proxy
from tests.whole_runs import ARABIC, batchjobs, environment, ledger_of, results, write_manifest

__all__ = [
    "CONCURRENCY",
    "Scene",
    "check_bought_once",
    "check_whole",
    "hold_and_take_over",
    "kill_and_take_over",
    "meet_another_owner",
    "pause_and_take_over",
]

CONCURRENCY: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A manifest, a place in a bucket, and a speech server that counts.

    Args:
        folder: Where all of it is.
        bucket: The bucket.
        base_url: Of the speech server.
        ledger: What that has written down.
        rows: How many rows there are; the last is long, if `is_long`.
        is_long: Whether the last row has several segments.
    """

    folder: Path
    bucket: Bucket
    base_url: str
    ledger: Path
    rows: int
    is_long: bool = True

    def write(self) -> Path:
        """Write the manifest, with texts that no other scene has."""
        rows = [
            {"id": f"r{number}", "text": f"{ARABIC[number % 7]} {self.folder.name} {number}"}
            for number in range(self.rows)
        ]
        if self.is_long:
            sentences = [f"{ARABIC[0]} {self.folder.name} {number}." for number in range(40)]
            rows[-1]["text"] = " ".join(sentences)
        return write_manifest(self.folder / "bucket.csv", rows)

    def command(self, *others: str) -> list[object]:
        """Give the command that runs it."""
        place = self.bucket.url(f"runs/{self.folder.name}")
        return [
            "run",
            self.folder / "bucket.csv",
            "-o",
            place,
            *("--base-url", self.base_url, "-c", CONCURRENCY, "-q", "--attempts", 20),
            *others,
        ]

    def start(self, proxy: FaultProxy, where: Path, *others: str) -> subprocess.Popen[bytes]:
        """Start the run in a folder, by way of a proxy that knows it."""
        where.mkdir(exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "batchjobs", *map(str, self.command(*others))],
            cwd=where,
            env=environment(BATCHJOBS_LOCAL_KEY=KEY) | self.bucket.environment(proxy.url),
            stderr=subprocess.DEVNULL,
        )
        proxy.victim = process.pid
        return process

    def finish(self, where: Path, *others: str) -> None:
        """Run it to its end in a folder."""
        where.mkdir(exist_ok=True)
        batchjobs(*self.command(*others), cwd=where, BATCHJOBS_LOCAL_KEY=KEY)


def kill_and_take_over(scene: Scene, at: int, act: Act, *, stays: bool = False) -> bool:
    """Kill the owner at one of its requests, and finish the run from another folder, or the same.

    Args:
        scene: What is run.
        at: At which request of the owner's, from 1.
        act: `Act.KILL_BEFORE` or `Act.KILL_AFTER`.
        stays: Whether it goes on in the same folder.

    Returns:
        Whether the owner was killed: it had as many requests.
    """
    scene.write()
    first = scene.folder / "first"
    with fault_proxy(scene.bucket.endpoint, Fault(act=act, at=at)) as proxy:
        process = scene.start(proxy, first)
        code = process.wait(PATIENCE_SECONDS)
    then = first if stays else scene.folder / "second"
    scene.finish(then, *([] if stays else ["--take-over"]))
    check_whole(scene, then)
    return code == -9


def check_whole(scene: Scene, where: Path) -> None:
    """See that nothing is lost: every row is done, and every file is what the checkpoint says."""
    run = where / "outputs" / scene.folder.name
    done = results(run)
    assert [line["id"] for line in done] == [f"r{number}" for number in range(scene.rows)]
    batchjobs("verify", run, cwd=where)
    place = f"runs/{scene.folder.name}"
    names = {name.removeprefix(f"{place}/") for name in scene.bucket.keys(place)}
    assert {f"audio/r{number}.wav" for number in range(scene.rows)} <= names
    assert not [name for name in names if name.startswith(("segments/", "suspect/"))]
    assert not [path for path in run.rglob("*") if path.name.endswith((".part", ".wav"))]


def pause_and_take_over(scene: Scene, at: int) -> None:
    """Pause the owner at one of its requests, finish the run from another folder, and let it go on.

    Args:
        scene: What is run.
        at: At which request of the owner's, from 1.
    """
    scene.write()
    stopped = threading.Event()

    def pause() -> None:
        os.kill(proxy.victim, signal.SIGSTOP)
        stopped.set()

    fault = Fault(act=Act.CALL, at=at, hook=pause)
    with fault_proxy(scene.bucket.endpoint, fault) as proxy:
        first = scene.folder / "first"
        process = scene.start(proxy, first)
        assert stopped.wait(PATIENCE_SECONDS)
        # The request at which it stopped is answered by then: it is no later one.
        until(lambda: bool(proxy.requests[at - 1].status))
        second = scene.folder / "second"
        scene.finish(second, "--take-over")
        check_whole(scene, second)
        before = scene.bucket.objects()
        process.send_signal(signal.SIGCONT)
        code = process.wait(PATIENCE_SECONDS)
        # Paused at its last words, it had done all there was to do.
        had_ended = code == 0 and len(results(first / "outputs" / scene.folder.name)) == scene.rows
        assert code == 75 or had_ended, code
        after = scene.bucket.objects()
        late = {name for name in after if name not in before}
        assert {name: after.get(name) for name in before} == before
        # A request that was on its way as it stopped arrives late (3 of 96 times at load 12); see
        # `hold_and_take_over`.
        assert all("/segments/" in name for name in late), late
    check_bought_once(scene, kills=1)


def hold_and_take_over(scene: Scene, target: str) -> set[str]:
    """Pause the owner while it puts an object, let that arrive after the run was finished by another.

    Args:
        scene: What is run.
        target: A regular expression for the object's place.

    Returns:
        What arrived so, below the place of the run.
    """
    scene.write()
    stopped, goes_on = threading.Event(), threading.Event()

    def pause() -> None:
        os.kill(proxy.victim, signal.SIGSTOP)
        stopped.set()

    fault = Fault(act=Act.HOLD, method="PUT", target=target, hook=pause, until=goes_on)
    with fault_proxy(scene.bucket.endpoint, fault) as proxy:
        first, second = scene.folder / "first", scene.folder / "second"
        process = scene.start(proxy, first)
        try:
            assert stopped.wait(PATIENCE_SECONDS)
            until(lambda: [seen.status for seen in proxy.requests].count(0) == 1)
            scene.finish(second, "--take-over")
            check_whole(scene, second)
            before = scene.bucket.objects()
        finally:
            goes_on.set()
        until(lambda: all(seen.status for seen in proxy.requests))
        process.send_signal(signal.SIGCONT)
        assert process.wait(PATIENCE_SECONDS) == 75
        after = scene.bucket.objects()
        assert {name: after[name] for name in before} == before
    check_bought_once(scene, kills=1)
    place = f"runs/{scene.folder.name}/"
    return {name.removeprefix(place) for name in after if name not in before}


def meet_another_owner(scene: Scene, at: int) -> str:
    """Begin a second run in the same place while the first is at one of its requests.

    Args:
        scene: What is run.
        at: At which request of the first owner's, from 1.

    Returns:
        What the second was told.
    """
    scene.write()
    said: list[str] = []
    second = scene.folder / "second"
    second.mkdir()

    def begin() -> None:
        done = batchjobs(*scene.command(), cwd=second, expect=75, BATCHJOBS_LOCAL_KEY=KEY)
        said.append(done.stderr)

    fault = Fault(act=Act.CALL, at=at, hook=begin)
    with fault_proxy(scene.bucket.endpoint, fault) as proxy:
        process = scene.start(proxy, scene.folder / "first")
        assert process.wait(PATIENCE_SECONDS) == 0
    check_whole(scene, scene.folder / "first")
    assert check_bought_once(scene, kills=0) == 0
    return said[0]


def check_bought_once(scene: Scene, *, kills: int) -> int:
    """See that at most the sessions that were open were bought again; gives how many were.

    Args:
        scene: What was run.
        kills: How often the owner was killed.
    """
    ended = Counter(
        str(line["text_sha256"])
        for line in ledger_of(scene.ledger)
        if line["event"] == "end" and line["complete"]
    )
    repeated = sum(ended.values()) - len(ended)
    assert repeated <= kills * CONCURRENCY, ended
    return repeated
