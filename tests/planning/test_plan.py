"""A plan counts, sums and keeps what it must, and writes nothing by itself."""

import gc
import pathlib
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest

from batchjobs.checkpoint import Checkpoint
from batchjobs.files.shelf import Shelf
from batchjobs.jobs import BadRow, Job, Kind
from batchjobs.options import Options
from batchjobs.planning.intact import is_intact
from batchjobs.planning.make_plan import make_plan
from batchjobs.planning.plan import TO_BUY, TO_DO, Action, BadRowsError
from batchjobs.providers import BUILT_IN, change_provider
from tests.builders import make_record, make_speech
from tests.planning.desk import Desk, text_rows, write_sound


def test_planning_without_a_run_writes_nothing(desk: Desk) -> None:
    """Neither a folder nor a file is made, also for recordings."""
    write_sound(desk.home / "a.wav")
    before = sorted(desk.home.rglob("*"))
    with Checkpoint.none(desk.folder) as checkpoint:
        made = desk.made([{"id": "a", "audio": "a.wav"}], checkpoint)
    assert made.to_buy.rows == 1
    assert sorted(path for path in desk.home.rglob("*") if path.name != "m.csv") == before


def test_planning_beside_a_run_changes_nothing(desk: Desk) -> None:
    """A plan read-only over a finished run may meet recordings that the run never saw."""
    desk.run(text_rows("one"))
    write_sound(desk.home / "a.wav")
    with Checkpoint.read(desk.folder) as checkpoint:
        made = desk.made([*text_rows("one"), {"id": "a", "audio": "a.wav"}], checkpoint)
        assert made.by_action[Action.NEW].rows == 1
        assert made.by_action[Action.DONE].rows == 1
        assert checkpoint.lookups.find_source(str(desk.home / "a.wav")) is None
        assert [row.id for row, _ in checkpoint.rows.stream_outcomes()] == ["r1"]


def test_bad_rows_are_counted_and_the_first_hundred_kept(desk: Desk) -> None:
    """All are counted, a hundred are shown, the rest is a number; nothing is adopted."""
    desk.run(text_rows("one"))
    table = [{"id": f"b{n}", "text": "bad", "speed": f"x{n}"} for n in range(1_200)]
    table[1_199] = {"id": "ok", "text": "fine", "speed": ""}
    with pytest.raises(BadRowsError) as caught:
        desk.plan(table)
    assert caught.value.total == 1_199
    assert len(caught.value.rows) == 100
    assert str(caught.value).endswith("… and 1,099 more")
    assert "--skip-bad-rows" in caught.value.hint
    assert str(caught.value).count("\n") == 100
    with Checkpoint.open(desk.folder) as checkpoint:
        assert [row.id for row, _ in checkpoint.rows.stream_outcomes()] == ["r1"]
        made = desk.made(table, checkpoint, skip_bad_rows=True)
        assert made.by_action[Action.BAD].rows == 1_199
        assert len(made.bad_rows) == 100
        assert made.to_do == 1_200
        assert made.rows == 1_200


def test_many_rows_in_which_the_same_is_wrong_are_one_line(desk: Desk) -> None:
    """As far as they follow each other: a voice that is missing is no hundred lines, three rows are three."""
    empty = {*range(3), *range(4, 15)}
    table = [{"id": f"b{n}", "text": "" if n in empty else "fine"} for n in range(20)]
    with pytest.raises(BadRowsError) as caught:
        desk.plan(table)
    why = "column 'text': is empty, and so are 'text_file' and 'audio'; give exactly one of"
    told = [line.partition(":")[2] for line in caught.value.message.splitlines()]
    shown = [each.partition(" text, ")[0] for each in told]
    assert shown == [f"{where}: {why}" for where in ("2", "3", "4", "6 to 16")]
    assert (len(caught.value.rows), caught.value.total) == (14, 14)


def test_bad_rows_that_are_skipped_can_be_read_back(desk: Desk) -> None:
    """A skipped row carries its line, column and message, also beyond a limit."""
    table = [{"id": "a", "text": "one"}, {"id": "b", "text": ""}, {"id": "c", "text": "three"}]
    for limit in (None, 0, 1):
        made = desk.plan(table, skip_bad_rows=True, limit=limit)
        assert made["b"] == "bad"
        with Checkpoint.read(desk.folder) as checkpoint:
            rows = [row.read() for row, _ in checkpoint.rows.stream_outcomes()]
        assert isinstance(rows[0], Job)
        assert isinstance(rows[1], BadRow)
        assert (rows[1].line, rows[1].column) == (3, "text")


def test_a_limit_is_used_up_by_work_only(desk: Desk) -> None:
    """Bad rows, finished and kept ones do not count, so that every limited run gets further."""
    table = [{"id": f"b{n}", "text": ""} for n in range(3)] + text_rows(
        "one", "two", "three", "one"
    )
    bought: list[str] = []
    for _ in range(5):
        bought += desk.run(table, skip_bad_rows=True, limit=1)
    assert bought == ["r1", "r2", "r3"]
    assert (
        list(desk.plan(table, skip_bad_rows=True, limit=0).values()) == ["bad"] * 3 + ["done"] * 4
    )


def test_a_row_beyond_the_limit_buys_nothing_for_others(desk: Desk) -> None:
    """Nobody follows a row that waits."""
    table = [
        {"id": "a", "text": "one", "output": "a.mp3"},
        {"id": "b", "text": "one", "output": "b.wav"},
    ]
    assert desk.plan(table, limit=1) == {"a": "new", "b": "later"}
    assert desk.plan(table, limit=0) == {"a": "later", "b": "later"}


def test_what_it_costs_is_summed_per_currency(desk: Desk) -> None:
    """Purchases are priced, copies and followers are not, currencies stay apart, free is named."""
    priced = change_provider(
        BUILT_IN["munsit"], {"stt_price_per_hour": 36.0, "currency": "AED"}, where="x"
    )
    free = change_provider(BUILT_IN["faseeh"], {"tts_price_per_million_characters": 0.0}, where="x")
    other = replace(BUILT_IN["faseeh"], name="other")
    shop = Desk(
        home=desk.home,
        providers={**BUILT_IN, "munsit": priced, "faseeh": free, "other": other},
    )
    write_sound(desk.home / "a.wav", 2.0)
    text = "ا" * 1_000
    table = [
        {"id": "1", "text": text, "provider": "munsit"},
        {"id": "2", "text": text, "provider": "munsit"},
        {"id": "3", "text": text, "provider": "other"},
        {"id": "4", "text": text, "provider": "faseeh"},
        {"id": "5", "text": text, "provider": "local"},
        {"id": "6", "audio": "a.wav", "provider": "munsit"},
    ]
    seen: list[int] = []
    with Checkpoint.none(desk.folder) as checkpoint:
        made = make_plan(
            shop.rows(table),
            checkpoint=checkpoint,
            providers=shop.providers,
            options=Options(),
            name="m.csv",
            progress=seen.append,
        )
    assert seen == [6]
    assert made.cost_by_currency == {"AED": 0.0867, "USD": 0.0667}
    assert made.to_buy.rows == 5
    assert made.to_buy.characters == 4_000
    assert made.to_buy.seconds == pytest.approx(2.0)
    assert made.to_buy.currency == "XXX"
    assert made.by_action[Action.FOLLOW].characters == 1_000
    assert made.by_action[Action.FOLLOW].currency == "AED"
    assert made.unpriced == {"faseeh": (Kind.TTS,)}
    assert made.providers == ("faseeh", "local", "munsit", "other")
    assert made.speech_seconds == pytest.approx(4_000 / 13)
    assert set(made.by_action) == set(Action)
    assert priced.cost_of(characters=0, seconds=3_600) == 36.0


def test_the_format_option_names_the_default_files(desk: Desk) -> None:
    """Another format is a copy where it can be one, and never touches a row's own output."""
    table = [
        {"id": "a", "text": "one", "output": ""},
        {"id": "b", "text": "two", "output": "b.wav"},
    ]
    desk.run(table)
    assert desk.plan(table, audio_format="flac") == {"a": "copy", "b": "done"}


def test_a_record_without_files_is_not_intact(desk: Desk) -> None:
    """A result with nothing to show is not there."""
    record = make_record()
    assert not is_intact(Shelf(desk.folder), record)


def _many(count: int) -> Iterator[Job]:
    speech = make_speech()
    for number in range(count):
        text = f"جُملَة رقم {number}"
        yield Job(
            id=f"r{number}",
            line=number + 2,
            kind=Kind.TTS,
            provider="local",
            text=text,
            speech=speech,
            row={"id": f"r{number}", "text": text},
        )


def test_memory_does_not_grow_with_the_manifest(desk: Desk) -> None:
    """Between its 15,000th and its 20,000th row a plan takes less than 13 bytes a row: 6 of each key."""
    held = []

    def measure(count: int) -> None:
        if count == 14_000:
            tracemalloc.start()
        elif count in {15_000, 20_000}:
            gc.collect()
            # But for the names that pathlib keeps in the interpreter's one table of them.
            others = tracemalloc.Filter(inclusive=False, filename_pattern=pathlib.__file__)
            traces = tracemalloc.take_snapshot().filter_traces([others])
            held.append(sum(trace.size for trace in traces.traces))

    try:
        with Checkpoint.none(desk.folder) as checkpoint:
            made = make_plan(
                _many(20_000),
                checkpoint=checkpoint,
                providers=BUILT_IN,
                options=Options(),
                name="m.csv",
                progress=measure,
            )
    finally:
        tracemalloc.stop()
    assert made.by_action[Action.NEW].rows == 20_000
    assert held[1] - held[0] < 65_000


def test_the_actions_that_touch_rows_are_told_apart() -> None:
    """Whatever buys is something to do; what is done, kept, suspect or later is not."""
    assert set(TO_BUY) < set(TO_DO)
    assert set(Action) - set(TO_DO) == {
        Action.DONE,
        Action.KEPT,
        Action.SUSPECT,
        Action.LATER,
    }
