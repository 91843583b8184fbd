"""A hand on a real run: fewer sessions, a pause, a larger limit, a requeue; and all of it survives SIGKILL."""

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.canary import KEY
from tests.clocks import PATIENCE_SECONDS, until
from tests.whole_runs import (
    ARABIC,
    batchjobs,
    environment,
    ledger_of,
    run_server,
    summary,
    write_manifest,
)

pytestmark = pytest.mark.unmeasured

ROWS = 1_000
"""At 32 sessions of a second or two they last for as long as it may take an order to be given."""


@contextmanager
def start(folder: Path, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """Start the command; it is ended with the block, if it has not ended."""
    with (folder / "said.txt").open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "batchjobs", *map(str, arguments)],
            cwd=folder,
            env=environment(BATCHJOBS_LOCAL_KEY=KEY),
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE_SECONDS)


def ctl(folder: Path, *arguments: object) -> dict[str, Any]:
    """Ask the run, once it can be asked."""
    said = ""

    def is_answered() -> bool:
        nonlocal said
        done = batchjobs("ctl", folder, *arguments, "--json", cwd=folder.parent, expect=None)
        said = done.stdout
        # One that was killed has left its socket.
        assert done.returncode == 0 or "asked" in done.stderr, done.stderr
        return done.returncode == 0

    until((folder / "control.sock").is_socket)
    until(is_answered)
    return dict(json.loads(said))


def open_at_starts(ledger: Path) -> list[int]:
    """Say how many sessions the server had open at each start."""
    counts, now_open = [], 0
    for line in ledger_of(ledger):
        now_open += 1 if line["event"] == "start" else -1
        if line["event"] == "start":
            counts.append(now_open)
    return counts


def count_open(ledger: Path) -> int:
    """Count the sessions that are open."""
    events = Counter(line["event"] for line in ledger_of(ledger))
    return events["start"] - events["end"]


@pytest.mark.long
def test_fewer_sessions_and_a_pause_hold_at_once_and_after_a_kill(tmp_path: Path) -> None:
    """From 32 to 4: from the answer on none starts beyond four; and so after SIGKILL, and paused."""
    rows = [{"id": f"s{n}", "text": f"{ARABIC[n % 7]} {n}"} for n in range(ROWS)]
    manifest = write_manifest(tmp_path / "slower.csv", rows)
    folder, ledger = tmp_path / "outputs" / "slower", tmp_path / "ledger.jsonl"
    with run_server(tmp_path, "--engine", "tone", "--pace", 2, "--ledger", ledger) as base_url:
        command = ("run", manifest, "--base-url", base_url, "-c", 32, "-o", folder)
        with start(tmp_path, *command) as process:
            until(lambda: ledger.exists() and max(open_at_starts(ledger), default=0) == 32)
            assert ctl(folder, "set", "concurrency=4")["said"] == "concurrency 4 (was 32)"
            began = len(open_at_starts(ledger))
            until(lambda: len(open_at_starts(ledger)) >= began + 8)
            assert max(open_at_starts(ledger)[began:]) <= 4
            process.send_signal(signal.SIGKILL)
        until(lambda: count_open(ledger) == 0)
        began = len(open_at_starts(ledger))
        with start(tmp_path, *command) as process:
            until(lambda: len(open_at_starts(ledger)) >= began + 8)
            assert max(open_at_starts(ledger)[began:]) == 4
            assert ctl(folder, "pause")["run"]["state"] == "paused"
            until(lambda: count_open(ledger) == 0)
            process.send_signal(signal.SIGKILL)
        began = len(open_at_starts(ledger))
        with start(tmp_path, *command) as process:
            told = ctl(folder, "tell")["run"]
            assert (told["state"], told["sessions_open"]) == ("paused", 0)
            assert told["settings"]["concurrency"] == "4"
            assert f"-m batchjobs ctl {folder} resume" in (tmp_path / "said.txt").read_text()
            status = batchjobs("status", folder, cwd=tmp_path).stdout
            assert "paused" in status
            assert len(open_at_starts(ledger)) == began
            ctl(folder, "set", "concurrency=256")
            ctl(folder, "resume")
            assert process.wait(PATIENCE_SECONDS) == 0
    assert summary(folder)["done"] == ROWS
    batchjobs("verify", folder, cwd=tmp_path)
    assert not (folder / "control.sock").exists()
    ended = Counter(
        str(line["text_sha256"])
        for line in ledger_of(ledger)
        if line["event"] == "end" and line["complete"]
    )
    assert len(ended) == ROWS
    assert ended.total() - ROWS <= 8


def test_a_larger_limit_and_a_requeue_go_on_after_a_kill(tmp_path: Path) -> None:
    """A run waits at its limit with two failed rows; both orders are kept through SIGKILL."""
    rows = [{"id": f"b{n}", "text": f"{ARABIC[n % 7]} {n}"} for n in range(24)]
    manifest = write_manifest(tmp_path / "more.csv", rows)
    folder, ledger = tmp_path / "outputs" / "more", tmp_path / "ledger.jsonl"
    faults = ("--fault", "error:40001#2")
    limit = sum(len(row["text"]) for row in rows[:8])
    server = ("--engine", "tone", "--pace", 20, "--ledger", ledger, *faults)
    with run_server(tmp_path, *server) as base_url:
        waits = ("--max-characters", limit, "--at-limit", "wait")
        command = ("run", manifest, "--base-url", base_url, "-c", 2, "-o", folder, *waits)
        with start(tmp_path, *command) as process:
            until(lambda: "waiting for more" in (tmp_path / "said.txt").read_text())
            told = ctl(folder, "tell")["run"]
            assert (told["state"], told["failed"]) == ("waiting", 2)
            said = ctl(folder, "requeue", "--class", "all")["said"]
            assert said == "2 failed jobs go again"
            process.send_signal(signal.SIGKILL)
        with start(tmp_path, *command) as process:
            until(lambda: (tmp_path / "said.txt").read_text().count("waiting for more") == 2)
            ctl(folder, "set", "max-characters=100000")
            process.send_signal(signal.SIGKILL)
        with start(tmp_path, *command) as process:
            assert process.wait(PATIENCE_SECONDS) == 0
    counted = summary(folder)
    assert (counted["done"], counted["failed"]) == (24, 0)
    batchjobs("verify", folder, cwd=tmp_path)


@pytest.mark.long
def test_a_drained_run_ends_as_by_sigterm_and_the_same_command_goes_on(tmp_path: Path) -> None:
    """Open sessions are kept, it says who asked, and nothing is bought twice."""
    rows = [{"id": f"d{n}", "text": f"{ARABIC[n % 7]} {n}"} for n in range(60)]
    manifest = write_manifest(tmp_path / "drained.csv", rows)
    folder, ledger = tmp_path / "outputs" / "drained", tmp_path / "ledger.jsonl"
    with run_server(tmp_path, "--engine", "tone", "--pace", 8, "--ledger", ledger) as base_url:
        command = ("run", manifest, "--base-url", base_url, "-c", 4, "-o", folder)
        with start(tmp_path, *command) as process:
            until(lambda: ledger.exists() and len(open_at_starts(ledger)) >= 8)
            ctl(folder, "drain")
            assert process.wait(PATIENCE_SECONDS) == -signal.SIGTERM
        assert "asked for by process" in (tmp_path / "said.txt").read_text()
        assert 0 < summary(folder)["done"] < 60
        with start(tmp_path, *command) as process:
            assert process.wait(PATIENCE_SECONDS) == 0
    assert summary(folder)["done"] == 60
    assert sum(line["event"] == "end" for line in ledger_of(ledger)) == 60
