"""Groups of recordings under real kills: no transcript is ever there that its parts do not make."""

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.canary import KEY
from tests.clocks import PATIENCE_SECONDS
from tests.tapes import write_side, write_tape_manifest
from tests.whole_runs import batchjobs, environment, ledger_of, run_server, summary

pytestmark = pytest.mark.unmeasured

TAPES, SIDES = 6, 4


def text_of(tape: int, side: int, edition: int) -> str:
    """What is said on a side."""
    return f"الشَّريطُ {tape} الوجهُ {side} والنســخة {edition}."


def check_transcripts(folder: Path, editions: dict[int, set[int]]) -> int:
    """See that every transcript that stands there is whole and of one of these editions; gives how many."""
    found = 0
    for tape, allowed in editions.items():
        path = folder / "transcripts" / f"tape{tape}.txt"
        if path.is_file():
            found += 1
            wholes = {
                "\n".join(text_of(tape, side, each) for side in range(SIDES)) for each in allowed
            }
            assert path.read_text("utf-8") in wholes
    return found


def test_groups_killed_at_any_moment_are_whole_or_not_there(tmp_path: Path) -> None:
    """While sides are bought, bought anew and joined, ten SIGKILLs leave no transcript that mixes editions.

    At the end each is whole, `verify` agrees, and no side was bought twice but for open sessions.
    """
    dice = random.Random(14)
    editions = dict.fromkeys(range(TAPES), 1)

    def record(tape: int) -> None:
        for side in range(SIDES):
            write_side(tmp_path / f"{tape}-{side}.wav", text_of(tape, side, editions[tape]))

    for tape in range(TAPES):
        record(tape)
    rows = [
        {
            "id": f"t{tape}s{side}",
            "audio": f"{tape}-{side}.wav",
            "group": f"tape{tape}",
            "part": side + 1,
        }
        for tape in range(TAPES)
        for side in range(SIDES)
    ]
    manifest = write_tape_manifest(tmp_path / "tapes.csv", rows)
    folder, ledger, kills = tmp_path / "outputs" / "tapes", tmp_path / "ledger.jsonl", 0
    with run_server(tmp_path, "--engine", "tone", "--ledger", ledger) as base_url:
        command = ("run", manifest, "--base-url", base_url, "-c", 2, "-q", "--attempts", 20)
        for number in range(10):
            process = subprocess.Popen(
                [sys.executable, "-m", "batchjobs", *map(str, command)],
                cwd=tmp_path,
                env=environment(BATCHJOBS_LOCAL_KEY=KEY),
            )
            try:
                process.wait(dice.uniform(0.5, 1.8))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.wait(PATIENCE_SECONDS)
            check_transcripts(folder, {tape: {editions[tape]} for tape in range(TAPES)})
            if (
                number % 2
            ):  # one tape is recorded anew; the old transcript stands until the next run begins
                tape = dice.randrange(TAPES)
                editions[tape] += 1
                record(tape)
                (folder / "transcripts" / f"tape{tape}.txt").unlink(missing_ok=True)
        batchjobs(*command, cwd=tmp_path, BATCHJOBS_LOCAL_KEY=KEY)
    found = summary(folder)
    assert (found["done"], [each["waits_for"] for each in found["groups"]]) == (
        TAPES * SIDES,
        [[]] * TAPES,
    )
    assert check_transcripts(folder, {tape: {editions[tape]} for tape in range(TAPES)}) == TAPES
    for tape in range(TAPES):
        told = json.loads((folder / "transcripts" / f"tape{tape}.json").read_bytes())
        assert told["text"].count("\n") == SIDES - 1
    assert batchjobs("verify", folder, cwd=tmp_path).returncode == 0
    assert not list(folder.rglob("*.part"))
    ended = [line for line in ledger_of(ledger) if line["event"] == "end" and line["complete"]]
    sides = SIDES * sum(editions.values())
    assert len(ended) <= sides + 2 * kills
