"""The programs that measure whole runs come to their end, and notice what is missing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.run_cases import CASES
from tests.benchmarks.server import start_server
from tests.canary import KEY
from tests.clocks import PATIENCE_SECONDS
from tests.commands import ROOT


def program(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE_SECONDS, check=False
    )


def report_of(name: str, *arguments: object) -> dict[str, float]:
    """Run a program that must succeed; give its report."""
    ended = program(name, *arguments)
    assert ended.returncode == 0, ended.stderr
    report: dict[str, float] = json.loads(ended.stdout)
    return report


@pytest.mark.long
@pytest.mark.unmeasured
def test_the_quick_form_runs_every_case_of_whole_runs(tmp_path: Path) -> None:
    """The command runs our pipeline and the script on equal work, plans, skips, and starts."""
    names = [case.name for case in CASES]
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "tests.benchmarks", "--quick", "--json", str(figures)]
    done = subprocess.run(
        [*command, "--only", *names], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    content = json.loads(figures.read_text(encoding="utf-8"))
    rows = {row["name"]: row["value"] for row in content["rows"]}
    assert list(rows) == [row.name for case in CASES for row in case.rows]
    assert all(value > 0 for name, value in rows.items() if name != "growth-memory")
    for ending in ("wav", "flac", "mp3"):
        (ours,), (peer,), *_ = content["cases"][f"job-{ending}"].values()
        assert ours["bytes"] == peer["bytes"] == 4 * 480_000
        assert ours["turn_p99_seconds"] > 0
        assert ours["turn_max_seconds"] > 0


@pytest.mark.parametrize("name", ["ours.pipeline", "peers.files_script", "peers.durable_script"])
def test_a_file_that_lacks_a_message_is_noticed(name: str, tmp_path: Path) -> None:
    """A service that keeps the end of the audio to itself makes either program fail."""
    with start_server(tmp_path, lossy=True) as server:
        ended = program(name, "--url", server.ws, "--sessions", 2)
    assert ended.returncode == 1
    assert "frames and not 240000" in ended.stderr
    assert not ended.stdout


@pytest.mark.unmeasured
def test_a_finished_run_that_lacks_a_file_is_not_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a file gone there is something to do, which is noticed, and not bought with our key."""
    monkeypatch.setenv("MUNSIT_API_KEY", KEY)
    arguments = ("ours.planning", "skip", "--sessions", 3, "--scratch", tmp_path)
    assert report_of(*arguments)["sessions"] == 3
    assert report_of(*arguments)["sessions"] == 3  # what is there is used again
    next(tmp_path.rglob("*.wav")).unlink()
    ended = program(*arguments)
    assert ended.returncode == 1
    assert "no key for the provider" in ended.stderr
