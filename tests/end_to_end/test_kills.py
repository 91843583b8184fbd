"""Real kills and signals: nothing is lost, nothing is bought twice."""

import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.canary import KEY
from tests.clocks import PATIENCE_SECONDS, until
from tests.whole_runs import (
    ARABIC,
    ENGLISH,
    batchjobs,
    environment,
    ledger_of,
    run_server,
    summary,
    write_manifest,
)

pytestmark = pytest.mark.unmeasured


@pytest.mark.parametrize("times", [5, pytest.param(10, marks=pytest.mark.long)])
def test_a_run_killed_at_random_loses_and_repeats_nothing(tmp_path: Path, times: int) -> None:
    """After SIGKILLs at random moments every output is right, and no finished job is repeated."""
    dice = random.Random(7)
    rows = [{"id": f"k{n}", "text": f"{ARABIC[n % 7]} {n}"} for n in range(150)]
    manifest = write_manifest(tmp_path / "kills.csv", rows)
    ledger = tmp_path / "ledger.jsonl"
    concurrency = 4
    with run_server(tmp_path, "--engine", "tone", "--pace", 12, "--ledger", ledger) as base_url:
        command = (
            "run",
            manifest,
            "--base-url",
            base_url,
            "-c",
            concurrency,
            "-q",
            "--attempts",
            12,
        )
        kills = 0
        for _ in range(times):
            process = subprocess.Popen(
                [sys.executable, "-m", "batchjobs", *map(str, command)],
                cwd=tmp_path,
                env=environment(BATCHJOBS_LOCAL_KEY=KEY),
            )
            try:
                process.wait(dice.uniform(0.5, 1.6))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.wait(PATIENCE_SECONDS)
        batchjobs(*command, cwd=tmp_path, BATCHJOBS_LOCAL_KEY=KEY)
    assert kills >= times - 2
    folder = tmp_path / "outputs" / "kills"
    counted = summary(folder)
    assert (counted["rows"], counted["done"], counted["failed"]) == (150, 150, 0)
    assert batchjobs("verify", folder, cwd=tmp_path).returncode == 0
    assert not list(folder.rglob("*.part"))
    ended = Counter(
        str(line["text_sha256"])
        for line in ledger_of(ledger)
        if line["event"] == "end" and line["complete"]
    )
    repeated = sum(ended.values()) - len(ended)
    assert len(ended) == 150
    assert repeated <= kills * concurrency
    assert counted["attempts_lost"] >= repeated


def test_ctrl_c_ends_by_its_signal_and_the_next_run_continues(tmp_path: Path) -> None:
    """SIGINT drains, tells how to continue, and ends by SIGINT; nothing is bought twice."""
    rows = [{"id": f"c{n}", "text": f"{ENGLISH[0]} {n}"} for n in range(60)]
    manifest = write_manifest(tmp_path / "stopped.csv", rows)
    ledger = tmp_path / "ledger.jsonl"
    with run_server(tmp_path, "--engine", "tone", "--pace", 8, "--ledger", ledger) as base_url:
        command = ("run", manifest, "--base-url", base_url, "-c", 4)
        process = subprocess.Popen(
            [sys.executable, "-m", "batchjobs", *map(str, command)],
            cwd=tmp_path,
            env=environment(BATCHJOBS_LOCAL_KEY=KEY),
            stdout=subprocess.PIPE,
            text=True,
        )
        until(lambda: ledger.exists() and ledger.read_text().count('"end"') >= 6)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == -signal.SIGINT
        assert "continue: " in output.splitlines()[-1]
        first = summary(tmp_path / "outputs" / "stopped")
        assert 0 < int(str(first["done"])) < 60
        assert first["done"] == 60 - int(str(first["not_run"]))
        batchjobs(*command, cwd=tmp_path, BATCHJOBS_LOCAL_KEY=KEY)
    ended = Counter(
        str(line["text_sha256"])
        for line in ledger_of(ledger)
        if line["event"] == "end" and line["complete"]
    )
    assert len(ended) == 60
    assert set(ended.values()) == {1}


@pytest.mark.long
def test_a_book_killed_on_the_way_is_whole_and_bought_once(tmp_path: Path) -> None:
    """From EPUB to M4B: the small form of ``tests/proofs/audiobook.py``."""
    from tests.books import alice, kalila
    from tests.proofs.audiobook import proven

    chapters = [*((title, text[:12]) for title, text in alice()[:2]), kalila()]
    print(proven(tmp_path, chapters, 2, 7))
