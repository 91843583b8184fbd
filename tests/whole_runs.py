"""Whole runs in processes of their own: a server, the command line, and what they wrote."""

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.canary import KEY
from tests.clocks import PATIENCE_SECONDS
from tests.commands import ROOT

ARABIC = (
    "السَّلامُ عَلَيْكُمْ وَرَحْمَةُ اللهِ وَبَرَكاتُهُ.",
    "صباح الخير، كيف حالك اليوم؟",
    "وُلِدَ عام ١٩٤٨ في قرية تبعد ٢٥ كيلومترًا.",
    "نستخدم مكتبة trio مع WebSocket لإنجاز العمل بسرعة!",
    "العربية لغةٌ جميـــلة؛ فاستمع إليها على مهل.",
    "قال: «لن أعود…» ثم مضى، ولم يلتفت\u200f.",
    "می\u200cخواهم لا\u200dإله\nإلا الله",
)

ENGLISH = (
    "Every row of this file is one job.",
    "It cost $3.50, i.e. 12% more than in 1998 – said Dr. Smith.",
    'He said: "Run it again", and nothing was done twice; good!',
    "naïve café, Ångström, 東京, 🎧 and a tab\tin the middle",
)

WITH_WORKERS = "TESTS_WITH_WORKERS"
"""The variable that says with how many workers the commands of tests are to run."""

here_only = pytest.mark.skipif(
    bool(os.environ.get(WITH_WORKERS)), reason="what it strikes is elsewhere with workers"
)


def environment(**more: str) -> dict[str, str]:
    """The environment of a command: nobody's settings but the test's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BATCHJOBS_")}
    return kept | {"PYTHONPATH": str(ROOT)} | ask_for_workers() | more


def ask_for_workers() -> dict[str, str]:
    """The setting that has every command's sessions elsewhere, if all tests are to be run so."""
    workers = os.environ.get(WITH_WORKERS)
    return {"BATCHJOBS_WORKERS": workers} if workers else {}


def batchjobs(
    *arguments: object, cwd: Path, expect: int | None = 0, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "batchjobs", *map(str, arguments)],
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    if expect is not None:
        assert done.returncode == expect, done.stdout + done.stderr
    return done


@contextmanager
def run_server(folder: Path, *arguments: object) -> Iterator[str]:
    """Serve in the background for as long as the block lasts; gives the base URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "batchjobs", "serve", "--port", "0", *map(str, arguments)],
        cwd=folder,
        env=environment(BATCHJOBS_LOCAL_KEY=KEY),
        stdout=subprocess.PIPE,
        text=True,
    )
    said = process.stdout
    assert said is not None
    try:
        found = re.search(r"ws://\S+", said.readline())
        assert found is not None
        yield found[0]
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
        said.close()


def write_manifest(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Write a CSV manifest with the columns of its first row."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def results(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's results.jsonl."""
    return [json.loads(line) for line in (folder / "results.jsonl").read_bytes().splitlines()]


def summary(folder: Path) -> dict[str, Any]:
    """A run's summary.json."""
    return dict(json.loads((folder / "summary.json").read_bytes()))


def ledger_of(path: Path) -> list[dict[str, Any]]:
    """What a server wrote down about its sessions."""
    return [json.loads(line) for line in path.read_text().splitlines()]
