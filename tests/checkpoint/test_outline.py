"""What was counted as rows were staged is what the database says of them."""

import random
from pathlib import Path

import msgspec
import pytest

from batchjobs.checkpoint import Checkpoint, Row
from batchjobs.checkpoint.outline import StagedTotal, have_no_twins
from batchjobs.checkpoint.staging import VoiceUse
from batchjobs.jobs import Job, Kind, SpeechSettings
from tests.builders import ARABIC, make_record, make_row

_ACTIONS = ("new", "changed", "done", "bad")


def make_rows(count: int, seed: int) -> list[Row]:
    """Make rows of several sorts, with texts that look like a job's own fields."""
    dice = random.Random(seed)
    rows = []
    for position in range(1, count + 1):
        action = dice.choice(_ACTIONS)
        text = dice.choice([ARABIC, '"speech":{"voice_id":"no"},"audio":"', '\\",\\"audio\\":'])
        speech = SpeechSettings(voice_id=dice.choice(["v", "صوت", text]), model_id="m")
        job = Job(
            id=text,
            line=1,
            kind=Kind.TTS,
            provider="local",
            text=text,
            speech=speech,
            row={"t": text},
        )
        rows.append(
            make_row(
                position,
                action=action,
                kind="" if action == "bad" else "tts",
                provider="" if action == "bad" else dice.choice(["local", "munsit"]),
                place=None if action == "bad" else f"audio/{position}.wav",
                characters=dice.randint(0, 99),
                seconds=dice.randint(0, 8) / 4,
                segments=dice.randint(1, 3),
                job=b'{"line":1}' if action == "bad" else msgspec.json.encode(job),
            )
        )
    return rows


def ask(checkpoint: Checkpoint) -> tuple[list[StagedTotal], list[VoiceUse]]:
    """Ask for the sums and the voices."""
    staging = checkpoint.staging
    return staging.sum_rows(), staging.count_voices(["new", "changed"])


@pytest.mark.parametrize("seed", range(5))
def test_sums_and_voices_are_those_of_the_database(folder: Path, seed: int) -> None:
    """Whether rows were only added, or one was taken out and put back, so that all is asked anew."""
    rows = make_rows(200, seed)
    with Checkpoint.none(folder) as checkpoint:
        checkpoint.staging.begin()
        checkpoint.staging.add(rows[:70])
        checkpoint.staging.add(rows[70:])
        counted = ask(checkpoint)
        taken, _ = checkpoint.staging.take(7)
        checkpoint.staging.add([taken])
        assert ask(checkpoint) == counted
        checkpoint.staging.postpone_beyond(["new"], 3)
        later, _ = ask(checkpoint)
        assert sum(total.rows for total in later if total.action == "new") == 3


def test_what_was_changed_is_not_as_it_was_counted(folder: Path) -> None:
    """A change that changes nothing leaves the sums, one that does is in them."""
    with Checkpoint.none(folder) as checkpoint:
        checkpoint.staging.begin()
        checkpoint.staging.add([make_row(number) for number in range(1, 9)])
        before = ask(checkpoint)
        checkpoint.staging.postpone_beyond(["new"], 8)
        assert ask(checkpoint) == before
        checkpoint.staging.keep_only(["new"], [1, 2])
        totals, voices = ask(checkpoint)
        assert [(total.action, total.rows) for total in totals] == [("later", 6), ("new", 2)]
        assert sum(use.rows for use in voices) == 2
        checkpoint.staging.begin()
        assert ask(checkpoint) == ([], [])


@pytest.mark.parametrize("orders", ["up", "down", "mixed"])
def test_twins_are_found_in_any_order(folder: Path, orders: str) -> None:
    """Ids and places that count up are known to be unique; in any other order they are compared."""
    numbers = list(range(1, 31))
    dice = random.Random(3)
    names = {"up": numbers, "down": numbers[::-1], "mixed": dice.sample(numbers, 30)}[orders]
    rows = [
        make_row(number, id=f"r{name:02}", place=f"p{name:02}", key=f"k{name}")
        for number, name in zip(numbers, names, strict=True)
    ]
    for twins in ({}, {9: "id"}, {9: "place"}, {9: "id", 30: "place"}):
        staged = list(rows)
        for position, column in twins.items():
            staged[position - 1] = staged[position - 1]._replace(
                **{column: getattr(rows[3], column)}
            )
        with Checkpoint.none(folder) as checkpoint:
            checkpoint.staging.begin()
            for first in range(0, 30, 7):
                checkpoint.staging.add(staged[first : first + 7])
            assert checkpoint.staging.find_twins() == sorted(twins)
            assert checkpoint.staging.find_at("p17") is not None
            assert checkpoint.staging.is_taken("p17")
            assert not checkpoint.staging.is_taken("p")


@pytest.mark.parametrize("few", [0, 30], ids=["as many", "as few"])
def test_twins_among_texts_are_noticed(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the same page or on another, of any script; what only looks alike is no twin."""
    monkeypatch.setattr("batchjobs.checkpoint.outline._FEW_KEYS", few)
    pages = [["السلام", "السَّلام", "السـلام"], ["1", "١"], [], ["می\u200cخواهم", "میخواهم"]]
    assert have_no_twins(pages)
    assert not have_no_twins([*pages, ["١"]])
    assert not have_no_twins([["سلام", "سلام"]])
    assert have_no_twins([])


@pytest.mark.parametrize("few", [0, 30], ids=["as many", "as few"])
def test_followers_are_found_among_any_keys(
    folder: Path, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every key is another one nothing follows, and one that is there twice does."""
    monkeypatch.setattr("batchjobs.checkpoint.outline._FEW_KEYS", few)
    for twin, form in (
        (None, "{:064x}"),
        (20, "{:064x}"),
        (None, "k{}"),
        (20, "k{}"),
        (None, "{:x}"),
    ):
        keys = [form.format(number << 240) for number in range(1, 31)]
        rows = [make_row(number, key=key) for number, key in enumerate(keys, 1)]
        if twin is not None:
            rows[twin - 1] = rows[twin - 1]._replace(key=keys[2])
        with Checkpoint.none(folder) as checkpoint:
            checkpoint.staging.begin()
            checkpoint.staging.add(rows)
            checkpoint.staging.mark_followers(["new"], "follow")
            found = [row.position for row in checkpoint.staging.stream(["follow"])]
            assert found == ([] if twin is None else [twin])


def test_what_adopted_rows_come_to_is_remembered_until_something_changes(folder: Path) -> None:
    """It is kept with the report of them, and asked anew once that is dropped or another one."""

    def count(checkpoint: Checkpoint) -> dict[str, int]:
        checkpoint.staging.begin(keeps_rest=True)
        totals = checkpoint.staging.sum_rows()
        checkpoint.staging.count_orphans()
        checkpoint.staging.adopt({})
        return {total.action: total.rows for total in totals}

    def finish(checkpoint: Checkpoint, number: int) -> None:
        row = make_row(number)
        checkpoint.commit(records=[make_record(id=row.id, key=row.key, output=row.output)])

    with Checkpoint.open(folder) as checkpoint:
        checkpoint.staging.begin()
        checkpoint.staging.add([make_row(number) for number in range(1, 5)])
        checkpoint.staging.adopt({})
        finish(checkpoint, 1)
        assert count(checkpoint) == {"done": 1, "later": 3}
        assert not {"rest", "orphans"} & checkpoint.read_settings().keys()  # there is no report
        checkpoint.keep_report("first")
        assert count(checkpoint) == {"done": 1, "later": 3}
        assert {"rest", "orphans"} <= checkpoint.read_settings().keys()
        with checkpoint._database.transaction() as connection:
            connection.execute("UPDATE rows SET action = 'nobody asks'")
        assert count(checkpoint) == {"done": 1, "later": 3}  # it is remembered, indeed
        finish(checkpoint, 2)
        assert count(checkpoint) == {"done": 2, "later": 2}
        checkpoint.keep_report("second")
        assert count(checkpoint) == {"done": 2, "later": 2}
        finish(checkpoint, 3)
        checkpoint.keep_report("third")
    with Checkpoint.open(folder) as checkpoint:
        assert count(checkpoint) == {"done": 3, "later": 1}
        checkpoint.staging.begin(keeps_rest=True)
        checkpoint.staging.add([make_row(4, action="new")])
        assert max(checkpoint.staging.sum_rows()).action == "new"
        assert {total.action for total in checkpoint.staging.sum_rows()} == {"done", "new"}
