"""The command `ctl`: what it refuses by itself, and what it prints of a run's answer."""

import json
from pathlib import Path

import pytest

from batchjobs.api import control
from batchjobs.limits import Price
from batchjobs.runner.requests import AccountState, Reply, Request, RunFacts, ServiceState, Set
from tests.commands import Command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("explode",), "is not one of"),
        (("set",), "give NAME=VALUE"),
        (("set", "concurrency"), "is not NAME=VALUE"),
        (("requeue",), "name jobs by their ids"),
        (("pause", "now"), "takes nothing else"),
        (("tell", "--class", "suspect"), "--class is for requeue"),
        (("tell",), "there is no run in outputs"),
    ],
)
def test_what_cannot_be_asked_is_said_and_ends_with_2(
    command: Command, folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    """Usage, and a folder without a run."""
    (folder / "outputs").mkdir()
    ended = command("ctl", "outputs", *arguments)
    assert ended.code == 2
    assert said in ended.err


def test_a_run_that_has_ended_is_not_asked(command: Command, greeting: Path) -> None:
    """Nor is it by its manifest; the sentence says to start it."""
    command("run", greeting, "--engine", "tone")
    ended = command("ctl", greeting, "pause")
    assert ended.code == 2
    assert "no run is going on in outputs/greeting" in ended.err


def test_how_a_run_stands_is_printed_in_a_few_lines(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In words, and as JSON what the run has answered."""
    facts = RunFacts(
        state="waiting",
        paused_since=0.0,
        folder="/talks",
        pid=123,
        began_at=0.0,
        sessions_open=3,
        done=4000,
        suspect=1,
        failed=2,
        waiting=7,
        settings={"concurrency": "8", "budget": "50"},
        spent=Price(money=1.5, characters=100, audio_seconds=0.0),
        limit_reached="--budget 50 leaves no room for 'درس'",
        services=[
            ServiceState(
                provider="munsit", sessions_open=3, concurrency=8, most=8, waits_seconds=12.0
            ),
            ServiceState(
                provider="two",
                sessions_open=1,
                concurrency=4,
                most=9,
                accounts=[
                    AccountState(
                        account="KEY_1", sessions_open=1, concurrency=4, spent=1.25, budget=20.0
                    ),
                    AccountState(account="KEY_2", sessions_open=0, concurrency=0, has_left=True),
                ],
            ),
        ],
    )
    asked: list[Request] = []

    def answer(_: Path, request: Request) -> Reply:
        asked.append(request)
        return Reply(run=facts, said="budget 50 (was 20)" if isinstance(request, Set) else "")

    monkeypatch.setattr(control, "ask", answer)
    told = command("ctl", "talks", "tell")
    assert told.code == 0
    lines = told.out.splitlines()
    assert lines[0].startswith("waiting; process 123")
    assert lines[1:] == [
        "in this run: 4,000 done, 1 suspect, 2 failed; 3 sessions open, 7 waiting for another try",
        "munsit: 3 of 8 sessions, none starts for 12 s",
        "two: 1 of 4 sessions",
        "  KEY_1: 1 of 4 sessions, spent 1.25 of 20",
        "  KEY_2: 0 of 0 sessions, takes no more in this run",
        "concurrency 8, budget 50",
        "spent in all runs here: 1.5, 100 characters",
        "limit reached: --budget 50 leaves no room for 'درس'",
    ]
    assert command("ctl", "talks", "set", "budget=50").out == "budget 50 (was 20)\n"
    assert asked[-1] == Set(values={"budget": "50"})
    answer_line = json.loads(command("ctl", "talks", "tell", "--json").out)["run"]
    assert answer_line["pid"] == 123
    assert answer_line["spent"] == {"money": 1.5, "characters": 100, "audio_seconds": 0.0}
