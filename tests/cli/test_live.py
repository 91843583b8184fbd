"""A run that is watched: told when something has changed, until it has ended."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from batchjobs.api.status import RunStatus
from batchjobs.cli import live
from tests.commands import Command


def make_finder(*done: int) -> Callable[[], RunStatus]:
    """Make a look at a run that finds so many done, and at last that it has ended."""
    found = iter(done)
    rest = [len(done)]

    def find() -> RunStatus:
        rest[0] -= 1
        return RunStatus(
            command="",
            working_folder="",
            is_running=rest[0] > 0,
            rows=9,
            done=next(found),
            manifest="محاضرات.csv",
        )

    return find


def describe(found: RunStatus) -> Iterator[str]:
    """Say how many are done."""
    yield f"{found.done} done"


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Do not wait, and say for how long it would have been."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


def test_what_has_changed_is_told_until_the_run_has_ended(
    capsys: pytest.CaptureFixture[str], waits: list[float]
) -> None:
    """A line with its time; nothing where nothing is new."""
    live.watch_status(make_finder(1, 1, 2, 2), describe, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == ["1 done", "2 done", "2 done"]
    assert len(waits) == 3
    assert min(waits) >= 2.0


def test_as_json_it_is_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    """With the same names as without --watch."""
    live.watch_status(make_finder(1, 1, 3), describe, as_json=True)
    told: list[dict[str, Any]] = list(map(json.loads, capsys.readouterr().out.splitlines()))
    assert [each["done"] for each in told] == [1, 3]
    assert list(told[0])[:2] == ["manifest", "command"]
    assert [each["is_running"] for each in told] == [True, False]


def test_on_a_terminal_it_is_drawn_anew(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look clears what the last one said."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    live.watch_status(make_finder(1, 1, 2), describe, as_json=False)
    looks = capsys.readouterr().out.split("\x1b[H\x1b[J")[1:]
    assert [look.splitlines()[1] for look in looks] == ["1 done", "1 done", "2 done"]


def test_where_no_run_goes_on_it_is_told_once(command: Command, greeting: object) -> None:
    """And the command ends."""
    command("run", greeting, "--engine", "tone")
    ended = command("status", "outputs/greeting", "--watch")
    assert ended.code == 0
    assert "2 of 2 jobs done" in ended.out
    assert command("status", "nowhere", "--watch").code == 2
