"""Rows that were staged in packs are the rows that they would be in the table, for whoever asks."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from batchjobs.checkpoint import Checkpoint, Mold, NewRows, Row, outline, packs
from batchjobs.checkpoint.staging import Prices, Staging
from tests.builders import ARABIC, make_record, make_row

_ACTIONS: Final = ["new", "follow", "later", "dear", "bad"]
_MOLDS: Final = [
    Mold("local", b'{"id":%b,"line":%b,"text":%b,"output":%b,"row":{"text":%b,"n":%b}}', b""),
    Mold("munsit", b'{"id":%b,"line":%b,"text":%b,"output":%b,"row":{"n":%b,"100%%":%b}}', b""),
]


def make_page(first: int, count: int = 5, twin: str = "") -> NewRows:
    """Make rows in two manners; perhaps the last has the id, place or key of the first of all."""
    numbers = range(first, first + count)
    ids = [f"r{number:03}" for number in numbers]
    outputs = [f"audio/r{number:03}.wav" for number in numbers]
    digests = [number.to_bytes(32, "big") for number in numbers]
    if twin == "id":
        ids[-1] = "r001"
    elif twin == "place":
        outputs[-1] = "audio/r001.wav"
    elif twin == "key":
        digests[-1] = (1).to_bytes(32, "big")
    return NewRows(
        first_position=first,
        first_line=first + 1,
        ids=ids,
        places=outputs,
        digests=digests,
        outputs=outputs,
        folders={"audio": outputs[0]},
        texts=[f"{ARABIC} ٣ قـال\u200d\u200c {number}" for number in numbers],
        own_outputs=outputs,
        columns=["text", "n"],
        cells=[None, [f'"{number % 2}\\' for number in numbers]],
        molds=_MOLDS,
        mold_numbers=bytes(number % 2 for number in numbers),
    )


def stage(checkpoint: Checkpoint, twin: str, *, is_packed: bool) -> None:
    """Stage pages with single rows before, between and behind them."""
    staging = checkpoint.staging
    staging.begin()
    pages: list[list[Row] | NewRows] = [
        [make_row(1, id="r001", place="audio/r001.wav", key=f"{1:064x}")],
        make_page(2),
        [make_row(7), make_row(8, action="bad", place=None, key="")],
        make_page(9, twin=twin),
        [make_row(14, id="z", action="dear", provider="munsit")],
    ]
    for page in pages:
        if not isinstance(page, NewRows):
            staging.add(page)
        elif is_packed:
            staging.add_new(page)
        else:
            staging.add(page.list_rows())


def count_written(checkpoint: Checkpoint) -> int:
    """Count the rows in the table."""
    return checkpoint._database.select_number("SELECT count(*) FROM temp.staged")


@pytest.mark.parametrize(
    "ask",
    [
        lambda staging: staging.find_twins(),
        lambda staging: staging.take(10),
        lambda staging: staging.find_at("audio/r003.wav"),
        lambda staging: staging.find_dearest(Prices("munsit", 1.0, 0.0)),
        lambda staging: [staging.is_taken(place) for place in ("audio", "audio/r011.wav", "x")],
        lambda staging: staging.add_if_free(make_row(15, id="r004")),
        lambda staging: staging.mark_followers(["new"], "follow"),
        lambda staging: staging.postpone_beyond(["new"], 4),
        lambda staging: [
            staging.refuse_dear(["new"], Prices("munsit", 1.0, 0.0), 2.0),
            staging.find_dearest(Prices("munsit", 1.0, 0.0)),
        ],
        lambda staging: staging.keep_only(["new"], [3, 9]),
        lambda staging: staging.keep_sample(["new"], 0.4),
        lambda staging: [staging.sum_rows(), staging.count_voices(["new"])],
        lambda staging: [staging._outline.spoil(), staging.sum_rows()],
        lambda staging: [staging._outline.spoil(), staging.count_voices(["new"])],
    ],
)
@pytest.mark.parametrize("twin", ["", "id", "place", "key"])
def test_whatever_is_asked_packs_answer_as_the_table(
    folder: Path, twin: str, ask: Callable[[Staging], object]
) -> None:
    """Rows, sums, twins, followers, samples; and the rows that are there then, with what was changed."""
    told = []
    for is_packed in (False, True):
        with Checkpoint.none(folder) as checkpoint:
            stage(checkpoint, twin, is_packed=is_packed)
            assert (count_written(checkpoint) == 1) is is_packed
            answer = ask(checkpoint.staging)
            told.append((answer, list(checkpoint.staging.stream(_ACTIONS)), list_sums(checkpoint)))
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("first", "ask"),
    [
        (10, lambda staging: staging.meets_adopted()),
        (10, lambda staging: staging.sum_rows()),
        (10, lambda staging: staging.count_orphans()),
        (10, lambda staging: staging.count_replaced(lambda _: True)),
        (30, lambda staging: staging.meets_adopted()),
        (30, lambda staging: staging.adopt({})),
    ],
)
def test_packs_beside_adopted_rows_and_results_answer_as_the_table(
    folder: Path, tmp_path: Path, first: int, ask: Callable[[Staging], object]
) -> None:
    """Those that were there before, perhaps with an id and a place of what was added."""
    told = []
    for number, is_packed in enumerate((False, True)):
        with Checkpoint.open(folder if is_packed else tmp_path / f"{number}") as checkpoint:
            staging = checkpoint.staging
            staging.begin()
            staging.add([make_row(1, id="r011", place="x"), make_row(2, place="audio/r012.wav")])
            staging.adopt({})
            checkpoint.commit(records=[make_record(id="r012"), make_record(id="r013")])
            staging.begin(keeps_rest=True)
            if is_packed:
                staging.add_new(make_page(first))
            else:
                staging.add(make_page(first).list_rows())
            answer = ask(staging)
            rows = list(checkpoint.rows.stream_to_do(_ACTIONS))
            told.append((answer, len(rows), {row.id: row for row in rows}))
    assert told[0] == told[1]


def list_sums(checkpoint: Checkpoint) -> list[tuple[object, ...]]:
    """List what the rows come to."""
    return sorted(map(tuple, checkpoint.staging.sum_rows()))


def test_packs_are_adopted_without_being_written_twice(folder: Path, tmp_path: Path) -> None:
    """The rows of a run are the same whether packs are written to where they stay or were asked for before."""

    def adopt(where: Path, *, asks: bool, is_packed: bool) -> list[Row]:
        with Checkpoint.open(where) as checkpoint:
            stage(checkpoint, "", is_packed=is_packed)
            if asks:
                list(checkpoint.staging.stream(_ACTIONS))
            assert (count_written(checkpoint) == 1) is (is_packed and not asks)
            checkpoint.staging.adopt({})
            checkpoint.staging.begin(keeps_rest=True)
            assert not count_written(checkpoint)
            return list(checkpoint.rows.stream_to_do(_ACTIONS))

    rows = adopt(folder, asks=False, is_packed=True)
    assert [row.position for row in rows] == list(range(1, 15))
    assert rows == adopt(tmp_path / "asked", asks=True, is_packed=True)
    assert rows == adopt(tmp_path / "table", asks=False, is_packed=False)


def test_what_fails_as_it_is_written_out_is_whole_afterwards(folder: Path) -> None:
    """A disk that is full in the middle: nothing is half there, and once there is room all of it is."""
    with Checkpoint.none(folder) as checkpoint:
        stage(checkpoint, "", is_packed=True)
        with pytest.MonkeyPatch.context() as patch:
            write = packs.write

            def fail(connection: sqlite3.Connection, table: str, rows: NewRows | list[Row]) -> None:
                write(connection, table, rows)
                if not isinstance(rows, NewRows):
                    raise KeyboardInterrupt

            patch.setattr(packs, "write", fail)
            with pytest.raises(KeyboardInterrupt):
                list(checkpoint.staging.stream(_ACTIONS))
        assert count_written(checkpoint) == 1
        assert [row.position for row in checkpoint.staging.stream(_ACTIONS)] == list(range(1, 15))


@pytest.mark.parametrize("twin", ["", "id", "place", "key"])
def test_ids_and_places_in_any_order_are_compared_in_their_packs(folder: Path, twin: str) -> None:
    """Rows are written out only if two have one, or if there are too many to compare in memory."""
    is_met = twin in {"id", "place"}
    with Checkpoint.none(folder) as checkpoint:
        stage(checkpoint, twin, is_packed=True)
        assert checkpoint.staging.find_twins() == [13] * is_met
        assert count_written(checkpoint) == (14 if is_met else 1)
    with Checkpoint.none(folder) as checkpoint, pytest.MonkeyPatch.context() as patch:
        patch.setattr(outline, "_MOST_KEYS", 12)
        stage(checkpoint, twin, is_packed=True)
        assert checkpoint.staging.find_twins() == [13] * is_met
        assert count_written(checkpoint) == 14


@pytest.mark.parametrize("known", ["r7", "r003", "a", "z"])
def test_a_bad_row_has_an_id_that_another_may_have(folder: Path, known: str) -> None:
    """In the table, in a pack of columns or of rows, before or behind it."""
    with Checkpoint.none(folder) as checkpoint:
        staging = checkpoint.staging
        staging.begin()
        staging.add([make_row(1, id="a")])
        staging.add_new(make_page(2))
        staging.add([make_row(7), make_row(8, id="z", action="bad", place=None, key="")])
        staging.add([make_row(9, id=known, action="bad", place=None, key="")])
        assert staging.find_twins() == [9]
