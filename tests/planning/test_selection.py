"""Rows that are left for later: outside a sample, or not needed for coverage."""

from collections import Counter

import pytest

from batchjobs.checkpoint import Checkpoint
from batchjobs.planning.plan import Action
from tests.planning.desk import Desk

VOICES = ("ar-1", "ar-2")


def _library(rows: int = 400) -> list[dict[str, object]]:
    return [
        {"id": f"r{n}", "text": f"نص رقم {n} " + "كلمة " * (n % 20), "voice_id": VOICES[n % 2]}
        for n in range(rows)
    ]


def _now(actions: dict[str, str]) -> set[str]:
    return {name for name, action in actions.items() if action == "new"}


def test_a_sample_has_its_share_of_every_voice_and_length(desk: Desk) -> None:
    """Ten in a hundred of each voice's shortest, longest and middle ones."""
    table = _library()
    chosen = _now(desk.plan(table, pilot=0.1))
    rows = {str(row["id"]): row for row in table}
    voices = Counter(str(rows[name]["voice_id"]) for name in chosen)
    assert voices == {"ar-1": 20, "ar-2": 20}
    lengths = sorted(len(str(rows[name]["text"])) for name in chosen)
    longest = max(len(str(row["text"])) for row in table)
    assert lengths[4] < longest / 3
    assert lengths[-5] > longest * 2 / 3


def test_a_sample_that_is_run_again_does_not_grow(desk: Desk) -> None:
    """What is done is part of it, whatever is around it; the next run does the rest."""
    table = _library(200)
    bought = desk.run(table, pilot=0.1)
    assert len(bought) == 24  # of eight groups of 25, three each
    assert desk.run(table, pilot=0.1) == []
    again = desk.plan(table)
    assert {name for name, action in again.items() if action == "done"} == set(bought)


def test_a_sample_of_a_known_manifest_counts_what_is_not_staged(desk: Desk) -> None:
    """An unchanged manifest is not read again: its finished rows are in the sample all the same."""
    table = _library(200)
    bought = desk.run(table, pilot=0.1)
    with Checkpoint.open(desk.folder) as checkpoint:
        checkpoint.staging.begin()
        desk.made(table, checkpoint, fingerprint="same", pilot=0.1)
        checkpoint.staging.adopt({"fingerprint": "same"})
        made = desk.made(table, checkpoint, fingerprint="same", pilot=0.1)
        assert made.to_buy.rows == 0
        assert made.by_action[Action.DONE].rows == len(bought)


def test_even_a_small_voice_is_in_a_sample(desk: Desk) -> None:
    """A single row of a voice is the whole of it."""
    table: list[dict[str, object]] = [
        *_library(100),
        {"id": "only", "text": "وحيد", "voice_id": "ar-3"},
    ]
    assert "only" in _now(desk.plan(table, pilot=0.01))


def test_coverage_leaves_texts_that_bring_nothing_new(desk: Desk) -> None:
    """Of texts that say the same in other words, the ones that hold the pairs are bought."""
    table: list[dict[str, object]] = [
        {"id": "long", "text": "سلام سلام سلام سلام"},
        {"id": "short", "text": "سلام"},
        {"id": "marked", "text": "سَلام"},
    ]
    actions = desk.plan(table, select="coverage")
    assert actions == {"long": "later", "short": "new", "marked": "new"}


def test_coverage_keeps_to_its_characters(desk: Desk) -> None:
    """As many texts as can be paid, no more."""
    table: list[dict[str, object]] = [{"id": c, "text": f"{c}{c}{c}"} for c in "ابتث"]
    assert len(_now(desk.plan(table, select="coverage", max_characters=7))) == 2
    assert len(_now(desk.plan(table, select="coverage", max_characters=9))) == 3


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_limit_holds_within_a_sample(desk: Desk, share: float) -> None:
    """Both at once: the first N of the sample."""
    assert len(_now(desk.plan(_library(40), pilot=share, limit=3))) == 3
