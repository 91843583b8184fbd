"""A book that is edited, killed at every disk call on the way: only what was changed is bought.

All calls, one after the other: ``python -m tests.faults.test_edited_book``.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from batchjobs.audio import decoding
from batchjobs.server.engines.tone import ToneRecogniser
from batchjobs.text import split_segments
from tests.canary import KEY
from tests.commands import ROOT
from tests.whole_runs import environment, ledger_of, run_server

LIMIT = 250
CONFIG = f"[providers.local]\ntext_limit_characters = {LIMIT}\n"
PROSE = (ROOT / "tests" / "prose" / "kalila.txt").read_text(encoding="utf-8")
EDITED = PROSE.replace("واستوحش", "واستوحش من وحدته")


def write(home: Path, text: str) -> None:
    """Write the manifest and the settings."""
    row = {"id": "book", "text": text}
    (home / "book.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    (home / "batchjobs.toml").write_text(CONFIG, encoding="utf-8")


def run(home: Path, base_url: str, strike_at: int = 0) -> int:
    """Run the manifest; killed at a disk call, if one is given."""
    command = [sys.executable, "-m", "tests.faults.struck_book", str(strike_at), base_url]
    settled = environment(BATCHJOBS_LOCAL_KEY=KEY)
    settled = {name: value for name, value in settled.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(command, cwd=home, env=settled, capture_output=True, check=False)
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr.decode()
    return done.returncode


def sold(ledger: Path) -> Counter[str]:
    """How often each text was spoken to its end."""
    lines = ledger_of(ledger) if ledger.exists() else []
    return Counter(str(line["text_sha256"]) for line in lines if line.get("complete"))


def digests(text: str) -> set[str]:
    """The texts of the segments, as the ledger has them."""
    cut = split_segments(text, limit_characters=LIMIT)
    return {hashlib.sha256(segment.text.encode()).hexdigest() for segment in cut}


def heard(path: Path) -> str:
    """What was spoken."""
    pcm = b"".join(decoding.pcm_chunks(path, sample_rate=16_000))
    return ToneRecogniser().start().accept(pcm, 16_000)


def struck(home: Path, base_url: str, ledger: Path, done: Path, strike_at: int) -> bool:
    """Edit, kill, continue, check; false if there is no such disk call any more."""
    place = home / f"at{strike_at}"
    shutil.copytree(done, place)
    write(place, EDITED)
    before = sold(ledger)
    was_killed = run(place, base_url, strike_at) != 0
    assert run(place, base_url) == 0
    bought = sold(ledger) - before
    changed = digests(EDITED) - digests(PROSE)
    assert set(bought) == changed, f"at disk call {strike_at}: {len(bought)} of {len(changed)}"
    assert bought.total() <= len(changed) + 2 * was_killed
    assert heard(place / "run" / "audio" / "book.wav") == EDITED
    assert not (place / "run" / "segments").exists()
    shutil.rmtree(place)
    return was_killed


def every(home: Path, step: int) -> tuple[int, int]:
    """Kill at every so many disk calls until a run survives; gives the kills and the calls."""
    ledger = home / "ledger.jsonl"
    done = home / "done"
    done.mkdir()
    write(done, PROSE)
    kills = 0
    with run_server(home, "--engine", "tone", "--ledger", ledger) as base_url:
        assert run(done, base_url) == 0
        assert set(sold(ledger)) == digests(PROSE)
        strike_at = 1
        while struck(home, base_url, ledger, done, strike_at):
            kills += 1
            strike_at += step
    return kills, strike_at


@pytest.mark.parametrize("step", [23, pytest.param(9, marks=pytest.mark.long)])
def test_an_edited_book_killed_anywhere_buys_only_what_was_changed(
    tmp_path: Path, step: int
) -> None:
    """In the old file, in the new one, or in a file of its own: what was bought is found."""
    kills, calls = every(tmp_path, step=step)
    print(f"{kills} kills in {calls} disk calls: nothing unchanged was bought again")
    assert kills >= 45 // step


def main() -> int:
    """Kill at every single call."""
    with tempfile.TemporaryDirectory() as name:
        kills, calls = every(Path(name), step=1)
    print(f"{kills} kills in {calls} disk calls: 0 lost, nothing unchanged was bought again")
    return 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
