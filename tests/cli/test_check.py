"""The command `check`: what it says, its exit codes, and its JSON."""

import json
from pathlib import Path

import pytest

from tests.commands import Command
from tests.planted import make_texts, plant, say_with_fault
from tests.whole_runs import batchjobs, write_manifest

TEXTS = make_texts(6, words=(12, 14))


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """Give a finished run one of whose clips is silent."""
    rows = [{"id": f"r{place}", "text": text} for place, text in enumerate(TEXTS)]
    manifest = write_manifest(tmp_path / "talks.csv", rows)
    batchjobs("run", manifest, "--engine", "tone", "-o", "run", cwd=tmp_path)
    from batchjobs.server.engines.tone import ToneSynthesiser

    pcm = say_with_fault("silent", TEXTS[2], ToneSynthesiser(), other="", rate=24_000, voice="v")
    plant(tmp_path / "run", {"r2": (pcm, 24_000)})
    return tmp_path / "run"


def test_the_command_tells_prices_verdicts_and_the_next_step(run_folder: Path) -> None:
    """Before it buys what that takes, then what is bad and what to do; afterwards the bill."""
    there = run_folder.parent
    (there / "batchjobs.toml").write_text(
        "[providers.local]\ntts_price_per_million_characters = 1000.0\nstt_price_per_hour = 36.0\n",
        encoding="utf-8",
    )
    found = batchjobs("check", "run", cwd=there, expect=1)
    assert "to hear: 6 clips" in found.stderr
    assert "USD" in found.stderr.splitlines()[0]
    assert "r2: there is no sound in it" in found.stdout
    assert "6 of 6 clips checked, 5 good, 1 bad" in found.stdout
    assert "--regenerate" in found.stdout.splitlines()[-1]
    again = batchjobs("check", "run", "--regenerate", "2", "--budget", "5", cwd=there, expect=0)
    assert f"to buy again: 1 clip, {len(TEXTS[2])} characters" in again.stderr
    assert f"quality: {len(TEXTS[2])} characters, 0." in again.stdout
    assert "1 clip replaced by a better take" in again.stdout
    status = batchjobs("status", "run", cwd=there).stdout
    assert "checked: 6 good" in status
    assert f"quality: {len(TEXTS[2])} characters" in status


def test_the_json_has_every_bad_clip(run_folder: Path) -> None:
    """One document on the standard output, and nothing else there."""
    found = batchjobs("check", "run", "--json", "--sample", "100%", cwd=run_folder.parent, expect=1)
    told = json.loads(found.stdout)
    assert told["verdicts"] == {"good": 5, "bad": 1}
    assert [each["id"] for each in told["bad"]] == ["r2"]
    assert told["bad"][0]["reasons"] == ["there is no sound in it"]
    table = batchjobs("results", "run", "--to", "csv", cwd=run_folder.parent).stdout
    assert "check.verdict" in table.splitlines()[0]


def test_a_check_that_ends_early_says_how_to_go_on_in_words_of_the_command_line(
    run_folder: Path,
) -> None:
    """What is to be given are options, not the names that a program knows them by."""
    there = run_folder.parent
    away = ("--base-url", "ws://127.0.0.1:9/api/v1")
    ended = batchjobs("check", "run", *away, cwd=there, expect=69, BATCHJOBS_LOCAL_KEY="k" * 16)
    assert "check --base-url and the network" in ended.stderr
    assert ended.stdout.splitlines()[-1].endswith(f"batchjobs check run {' '.join(away)}")
    (there / "batchjobs.toml").write_text("[providers.local]\nstt_price_per_hour = 36.0\n")
    ended = batchjobs("check", "run", "--budget", "0.01", cwd=there, expect=80)
    assert "raise --budget to" in ended.stderr
    assert "Options." not in ended.stderr


def test_where_the_scores_are_is_told(run_folder: Path) -> None:
    """Who asks for them is shown the page that has them: they change no verdict."""
    found = batchjobs("check", "run", "--quality", cwd=run_folder.parent, expect=1)
    assert found.stdout.splitlines()[-1].startswith("the scores, voice by voice: ")
    assert found.stdout.splitlines()[-1].endswith("batchjobs report run")


@pytest.mark.parametrize("share", ["0%", "101%", "many", "-1", "nan"])
def test_a_share_that_is_none_is_refused(command: Command, share: str) -> None:
    """As usage, with what to give, before anything is looked at."""
    ended = command("check", "run", "--sample", share)
    assert (ended.code, "no share" in ended.err) == (2, True)
