"""A check that is killed while it hears and while it buys: by the service's own ledger, nothing twice."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import pytest

from batchjobs.files.run_folder import CHECK, CHECKPOINT, TAKES
from batchjobs.server.engines.tone import ToneSynthesiser
from tests.canary import KEY
from tests.clocks import PATIENCE_SECONDS
from tests.planted import FAULTS, choose_faults, make_texts, plant, say_with_fault
from tests.whole_runs import (
    batchjobs,
    environment,
    ledger_of,
    results,
    run_server,
    summary,
    write_manifest,
)

pytestmark = pytest.mark.unmeasured

RATE = 24_000
TEXTS = make_texts(30, seed=8, words=(12, 14))


def _count(folder: Path) -> int:
    """How many jobs of a run are done by now."""
    with suppress(sqlite3.Error):
        uri = f"file:{folder / CHECKPOINT}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as database:
            return int(database.execute("SELECT count(*) FROM jobs").fetchone()[0])
    return 0


def _kill_once_it_has(words: list[str], folder: Path, count: int) -> None:
    """Kill the command as soon as a run below it has so many results."""
    process = subprocess.Popen(
        words, cwd=folder.parent.parent, env=environment(BATCHJOBS_LOCAL_KEY=KEY)
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and _count(folder) < count:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE_SECONDS)


def test_a_killed_check_hears_and_buys_nothing_twice(tmp_path: Path) -> None:
    """All five faults are named and mended, and only sessions that a kill struck are there twice."""
    rows = [{"id": f"r{place}", "text": text} for place, text in enumerate(TEXTS)]
    planted = dict(choose_faults([row["id"] for row in rows], FAULTS))
    texts = {row["id"]: row["text"] for row in rows}
    write_manifest(tmp_path / "talks.csv", rows)
    ledger, folder = tmp_path / "ledger", tmp_path / "run"
    with run_server(tmp_path, "--engine", "tone", "--ledger", ledger, "--pace", 60) as url:
        batchjobs(
            "run",
            "talks.csv",
            "-o",
            "run",
            "--base-url",
            url,
            cwd=tmp_path,
            BATCHJOBS_LOCAL_KEY=KEY,
        )
        speaker = ToneSynthesiser()
        plant(
            folder,
            {
                name: (
                    say_with_fault(
                        fault, texts[name], speaker, other=TEXTS[0][::-1], rate=RATE, voice="v"
                    ),
                    RATE,
                )
                for name, fault in planted.items()
            },
        )
        # As slow as that, there is time to kill it between two answers.
        arguments = ["check", "run", "--base-url", url, "--regenerate", "2"]
        arguments += ["-c", "2", "-q", "--pace", "60"]
        words = [sys.executable, "-m", "batchjobs", *arguments]
        _kill_once_it_has(words, folder / CHECK, 3)
        _kill_once_it_has(words, folder / CHECK, 15)
        _kill_once_it_has(words, folder / TAKES, 1)
        _kill_once_it_has(words, folder / TAKES, 4)
        batchjobs(*arguments, cwd=tmp_path, BATCHJOBS_LOCAL_KEY=KEY)
    assert summary(folder)["checks"] == {"good": 30}
    with closing(sqlite3.connect(folder / CHECKPOINT)) as database:
        query = "SELECT id FROM checks WHERE take = 0 AND verdict = 'bad'"
        assert {row[0] for row in database.execute(query)} == set(planted)
    lost = 0
    for below in (CHECK, TAKES):
        with closing(sqlite3.connect(folder / below / CHECKPOINT)) as database:
            found = database.execute("SELECT key, result FROM attempts").fetchall()
        lost += sum(result == "lost" for _, result in found)
        done = Counter(key for key, result in found if result == "done")
        assert set(done.values()) == {1}
    ends = [line for line in ledger_of(ledger) if line["event"] == "end" and line["complete"]]
    spoken = [line for line in ends if line["kind"] == "tts"]
    assert len(spoken) <= len(rows) + len(planted) + lost
    assert {line["id"] for line in results(folder)} == texts.keys()
    batchjobs("verify", "run", cwd=tmp_path)
