"""The command `review`: says what it did, and what to type next."""

import json
from pathlib import Path

from tests.api.test_review import decide
from tests.commands import Command


def test_it_says_what_was_done_and_how_to_buy_again(command: Command, greeting: Path) -> None:
    """And the command that it names does so."""
    assert command("run", greeting).code == 0
    run = Path("outputs/greeting")
    decisions = decide(run, {"a": "reject", "b": "drop"})
    ended = command("review", run, decisions)
    assert ended.code == 0
    assert "1 rejected; 1 dropped from exports" in ended.out
    assert f"run {greeting}" in ended.out.splitlines()[-1]
    assert "rejected" in command("status", run).out
    told = json.loads(command("review", run, decisions, "--json").out)
    assert told["known"] == 2
    assert command("run", greeting).code == 0
    assert not (run / "suspect").exists()


def test_what_is_wrong_is_named(command: Command, greeting: Path) -> None:
    """With the exit code of bad input, and nothing is changed."""
    assert command("run", greeting).code == 0
    run = Path("outputs/greeting")
    decisions = decide(run, {"a": "reject", "nobody": "drop"})
    ended = command("review", run, decisions)
    assert ended.code == 65
    assert "line 2: there is no job 'nobody' in this run" in ended.err
    assert "nothing was changed" in ended.err
    assert command("status", run).code == 0
