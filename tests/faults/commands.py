"""Commands for the fault tests: started as users start them, served and judged from outside."""

import csv
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec import structs

import batchjobs
from tests import tally
from tests.canary import KEY
from tests.clocks import PATIENCE_SECONDS, until
from tests.whole_runs import ask_for_workers

__all__ = [
    "KEY",
    "Oracle",
    "Served",
    "command",
    "environment",
    "resume_run",
    "run_command",
    "run_server",
    "start_command",
    "summary",
    "until",
    "write_manifest",
]

ROOT = Path(__file__).parents[2]


def environment(**more: str) -> dict[str, str]:
    """The environment of a command: nobody's settings but the test's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("BATCHJOBS_") and not name.endswith("_API_KEY")
    }
    return kept | {"PYTHONPATH": str(ROOT), "BATCHJOBS_LOCAL_KEY": KEY} | ask_for_workers() | more


def command(*arguments: object, broken: str = "") -> list[str]:
    """The words of a command line; `broken` names a variant of `broken.py` to run in its place."""
    if broken and ask_for_workers():
        pytest.skip("only the owner would be the broken variant")
    program = ["-m", "tests.faults.broken", broken] if broken else ["-m", "batchjobs"]
    return [sys.executable, *program, *map(str, arguments)]


def start_command(
    words: Sequence[str],
    *,
    cwd: Path,
    prepare: Callable[[], None] | None = None,
    stdin: int = subprocess.DEVNULL,
    **more: str,
) -> subprocess.Popen[str]:
    """Start a command and leave it running; its streams are pipes."""
    tally.count(runs=int("run" in words))
    return subprocess.Popen(
        words,
        cwd=cwd,
        env=environment(**more),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,  # noqa: PLW1509  # no thread runs here
    )


def run_command(
    words: Sequence[str],
    *,
    cwd: Path,
    expect: int | None = 0,
    prepare: Callable[[], None] | None = None,
    **more: str,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, and check its exit code."""
    tally.count(runs=int("run" in words))
    done = subprocess.run(
        words,
        cwd=cwd,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        preexec_fn=prepare,
    )
    if expect is not None:
        assert done.returncode == expect, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server of another process, and what it has seen."""

    base_url: str
    ledger: Path = field(repr=False)

    def events(self) -> list[dict[str, object]]:
        """The ledger's lines so far."""
        lines = self.ledger.read_bytes().splitlines() if self.ledger.exists() else []
        return [json.loads(line) for line in lines]

    def bought(self) -> Counter[str]:
        """How often each text was spoken to its end."""
        return Counter(
            str(line["text_sha256"])
            for line in self.events()
            if line["event"] == "end" and line["complete"]
        )

    def count(self, event: str) -> int:
        """How many sessions have started, or ended."""
        return sum(line["event"] == event for line in self.events())


@contextmanager
def run_server(folder: Path, *arguments: object) -> Iterator[Served]:
    """Serve tones in the background for as long as the block lasts."""
    ledger = folder / f"ledger-{time.monotonic_ns()}.jsonl"
    words = command("serve", "--port", 0, "--engine", "tone", "--ledger", ledger, *arguments)
    process = subprocess.Popen(
        words, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        found = re.search(r"ws://\S+", process.stdout.readline())
        assert found is not None
        yield Served(base_url=found[0], ledger=ledger)
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
        assert process.stdout is not None
        process.stdout.close()


def resume_run(manifest: Path, server: "Served", folder: Path) -> None:
    """Run the same again, in this process, to its end: nothing strikes it any more."""
    key_file = manifest.with_name("key")
    key_file.touch(0o600)
    key_file.write_text(KEY, encoding="utf-8")
    options = batchjobs.Options(base_url=server.base_url, output=folder, key_file=key_file)
    tally.count(runs=1)
    report = batchjobs.run(manifest, options)
    assert report.exit_code == 0, report.error


def write_manifest(path: Path, rows: Sequence[Mapping[str, object]] | int) -> Path:
    """Write a CSV manifest: these rows, or so many different ones."""
    if isinstance(rows, int):
        rows = [{"id": f"r{n}", "text": f"صباح الخير، row {n}"} for n in range(rows)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def summary(folder: Path) -> dict[str, int]:
    """Where a run stands, by its checkpoint."""
    found = structs.asdict(batchjobs.status(folder))
    return {name: value for name, value in found.items() if isinstance(value, int)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Oracle:
    """What must hold of a run folder whatever struck the run."""

    folder: Path
    rows: int

    def holds_amid(self) -> dict[str, int]:
        """After a fault: counts add up, and what is called done is there, whole."""
        counted = summary(self.folder)
        answered = counted["done"] + counted["failed"] + counted["not_run"]
        found = batchjobs.verify(self.folder)
        tally.count(lost=counted["rows"] - answered, corrupt=len(found.wrong))
        assert answered == counted["rows"]
        assert counted["rows"] in {0, self.rows}
        assert found == batchjobs.VerifyReport(checked=counted["done"])
        return counted

    def holds_after(self, bought: Counter[str], *, repeats: int) -> dict[str, int]:
        """After the run that came to its end: all done, at most `repeats` bought again."""
        counted = self.holds_amid()
        assert (counted["done"], counted["failed"]) == (self.rows, 0)
        assert len(bought) == self.rows
        repeated = sum(bought.values()) - len(bought)
        tally.count(lost=self.rows - counted["done"], repeated=repeated)
        assert repeated <= repeats, f"{repeated} bought again"
        assert not list(self.folder.rglob("*.part"))
        print(f"lost 0, repeated {repeated} of at most {repeats}, corrupt 0")
        return counted
