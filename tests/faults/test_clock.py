"""A wall clock that is set while a run goes on changes nothing: it is for display only."""

import re
import time
from pathlib import Path

import pytest

from tests.clocks import PATIENCE_SECONDS
from tests.faults.commands import Oracle, command, run_server, start_command, write_manifest


@pytest.mark.parametrize("bug", ["steps", "steps-and-wall-clock-limit"])
def test_a_clock_that_is_set_holds_nothing_up(tmp_path: Path, bug: str) -> None:
    """Set by hours and a day, forth and back, eight times a second: rate, waits and end hold.

    Twenty sessions at ten a second, some refused with Retry-After, take their two seconds. A
    limiter that goes by the wall clock starts them all at once, or not within the day.
    """
    patience = 5 if "limit" in bug else PATIENCE_SECONDS
    manifest = write_manifest(tmp_path / "rows.csv", 20)
    with run_server(tmp_path, "--fault", "throttle-handshake:1@0.05", "--seed", 3) as server:
        words = command(
            *("run", manifest, "--base-url", server.base_url, "-o", "run", "--rate", "10/s", "-q"),
            broken=bug,
        )
        process = start_command(words, cwd=tmp_path)
        began = time.monotonic()
        while process.poll() is None and time.monotonic() - began < patience:
            time.sleep(0.01)
        took = time.monotonic() - began
        is_held_up = process.poll() is None
        process.kill()
        process.communicate()
        if "limit" in bug:
            assert is_held_up or took < 1.9
            return
        assert process.returncode == 0
        assert took >= 1.9
        Oracle(folder=tmp_path / "run", rows=20).holds_after(server.bought(), repeats=0)


def test_only_display_reads_the_wall_clock() -> None:
    """No limit, machine or session asks for the time of day."""
    package = Path(__file__).parents[2] / "batchjobs"
    wall = re.compile(r"\btime\.time(_ns)?\(|datetime\.now|monotonic_ns")
    found = {
        str(path.relative_to(package))
        for folder in ("limits", "limits.py", "protocol", "session", "plausibility.py")
        for path in [*package.glob(folder), *package.glob(f"{folder}/*.py")]
        if path.is_file() and wall.search(path.read_text(encoding="utf-8"))
    }
    assert found == set()
