"""The programs that measure whole runs come to their end, and notice what is missing."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.server import Canned, started

ROOT = Path(__file__).parents[1]
SESSIONS = 6


def program(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, timeout=100, check=False
    )


def report_of(name: str, *arguments: object) -> dict[str, float]:
    """Run a program that must succeed; give its report."""
    ended = program(name, *arguments)
    assert ended.returncode == 0, ended.stderr
    report: dict[str, float] = json.loads(ended.stdout)
    return report


@pytest.fixture(scope="module")
def canned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canned]:
    """A canned server."""
    with started(tmp_path_factory.mktemp("canned")) as server:
        yield server


@pytest.mark.parametrize("audio_format", ["wav", "mp3"])
def test_our_pipeline_and_the_script_make_the_same_of_the_same(
    canned: Canned, tmp_path: Path, audio_format: str
) -> None:
    """Our pipeline and the script people would write report the same counts of the same rows."""
    arguments = ["--url", canned.ws, "--sessions", SESSIONS, "--format", audio_format]
    arguments += ["--scratch", tmp_path]
    ours = report_of("ours.pipeline", *arguments)
    peer = report_of("peers.files_script", *arguments)
    for count, expected in (("sessions", 6), ("messages", 120), ("bytes", 2_880_000)):
        assert ours[count] == peer[count] == expected
    assert 0 < ours["turn_p99_seconds"] <= ours["turn_max_seconds"]
    assert min(ours["cpu_seconds"], peer["cpu_seconds"]) > 0
    assert min(ours["lag_p99_seconds"], peer["lag_p99_seconds"]) >= 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["ours.pipeline", "peers.files_script"])
def test_a_file_that_lacks_a_message_is_noticed(name: str, tmp_path: Path) -> None:
    """A service that keeps the end of the audio to itself makes either program fail."""
    with started(tmp_path, lossy=True) as server:
        ended = program(name, "--url", server.ws, "--sessions", 2)
    assert ended.returncode == 1
    assert "frames and not 240000" in ended.stderr
    assert not ended.stdout


@pytest.mark.parametrize("what", ["fresh", "skip"])
def test_planning_is_measured_as_whole_commands(what: str, tmp_path: Path) -> None:
    """Planning new rows and finished ones is measured, and a second time with what is there."""
    arguments = (what, "--sessions", 30, "--scratch", tmp_path)
    first = report_of("ours.planning", *arguments)
    made = sorted(path.name for path in tmp_path.iterdir())
    second = report_of("ours.planning", *arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == made
    for report in (first, second):
        assert report["sessions"] == 30
        assert min(report["wall_seconds"], report["cpu_seconds"], report["peak_bytes"]) > 0


def test_a_finished_run_that_lacks_a_file_is_not_skipped(tmp_path: Path) -> None:
    """What is measured as skipped is looked at: with a file gone there is something to do."""
    arguments = ("ours.planning", "skip", "--sessions", 3, "--scratch", tmp_path)
    report_of(*arguments)
    next(tmp_path.rglob("*.wav")).unlink()
    ended = program(*arguments)
    assert ended.returncode == 1
    assert "no key for the provider" in ended.stderr


def test_the_start_of_commands_is_measured() -> None:
    """Help and the first connection take longer than an interpreter that does nothing."""
    report = report_of("ours.start", "--rounds", 3)
    assert report["python_seconds"] > 0
    assert 0 < report["help_extra_seconds"] < report["first_session_extra_seconds"]
