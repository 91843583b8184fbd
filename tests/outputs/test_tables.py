"""A table of results holds every fact in a cell, runs nothing, and reads back as what it was."""

import csv
import io
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchjobs.outputs.tables import csv_pieces, flatten, guard

ARABIC = "السَّلامُ \u200fعَلَيْكُـــم\u200d\u200c ٣٤٫٥ \u2028 abc\u202e"


def _table(
    results: Sequence[Mapping[str, object]], statuses: Sequence[str] = ()
) -> list[dict[str, str]]:
    content = b"".join(csv_pieces(lambda: results, statuses)).decode()
    return list(csv.DictReader(io.StringIO(content, newline="")))


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+cmd",
        "-قال: لا",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1",
        "- a dash",
        "-٣",
        "=-5",
    ],
)
def test_what_a_spreadsheet_would_run_has_an_apostrophe(text: str) -> None:
    """Whatever the row says; nothing else of it is changed."""
    assert guard(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", ARABIC, "5", "-5", "+0.5", "-12.25", "a=b", "'=1", " -"])
def test_what_is_harmless_stays_as_it_is(text: str) -> None:
    """Numbers with a sign are numbers, and most texts are just texts."""
    assert guard(text) == text


def test_nested_facts_have_columns_and_lists_are_json() -> None:
    """What is ours is spread out; what a row holds of its own stays in one cell."""
    result = {
        "text": ARABIC,
        "meta": {"=x": [1, None]},
        "files": ["audio/أ.wav"],
        "evidence": {"ending": "drained", "close_code": None},
        "kept": {"for": [], "evidence": {"ending": "quiet"}},
        "no_speech": False,
        "cost": 0.5,
        "row": {"id": 5, "line": "-x"},
    }
    assert flatten(result) == {
        "text": ARABIC,
        "meta": '{"=x":[1,null]}',
        "files": '["audio/أ.wav"]',
        "evidence.ending": "drained",
        "evidence.close_code": "",
        "kept.for": "[]",
        "kept.evidence.ending": "quiet",
        "no_speech": "false",
        "cost": "0.5",
        "row.id": "5",
        "row.line": "'-x",
    }


def test_a_column_called_like_a_spread_one_goes_below_row() -> None:
    """It is not lost to ours."""
    cells = flatten({"evidence.ending": "mine", "evidence": {"ending": "drained"}})
    assert cells == {"evidence.ending": "drained", "row.evidence.ending": "mine"}


def test_rows_with_different_columns_share_a_table() -> None:
    """Its header has all of them once; a cell that a row does not have is empty."""
    first, second = _table([{"id": "a", "x": 1}, {"id": "b", "=y": "نص"}])
    assert (first["x"], first["'=y"]) == ("1", "")
    assert (second["x"], second["'=y"]) == ("", "نص")


@pytest.mark.parametrize("status", ["done", "failed", "suspect", "not_run"])
def test_a_table_of_nothing_has_its_columns(status: str) -> None:
    """Whoever reads it can rely on them before the first job is done."""
    (header,) = b"".join(csv_pieces(list, [status])).decode().splitlines()
    assert header.startswith("id,line,status")
    assert ("evidence.ending" in header, "error.class" in header) == (
        status in {"done", "suspect"},
        status in {"failed", "suspect"},
    )


def test_many_rows_come_in_pieces_and_in_order() -> None:
    """No piece holds them all, and none of them is lost between two."""
    results = [{"id": f"r{n}", "text": "ن" * 1_000} for n in range(2_000)]
    pieces = list(csv_pieces(lambda: results, ["done"]))
    assert len(pieces) > 2
    read = csv.DictReader(io.StringIO(b"".join(pieces).decode(), newline=""))
    assert [row["id"] for row in read] == [result["id"] for result in results]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_every_text_comes_back(texts: list[str]) -> None:
    """With quotes, separators, line ends of all systems, marks of direction; NUL included."""
    results = [{"id": str(n), "text": text} for n, text in enumerate(texts)]
    for row, text in zip(_table(results), texts, strict=True):
        assert row["text"] in {text, f"'{text}"}
