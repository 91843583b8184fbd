"""The manifests' own columns: united, with one type each, none lost and none taken for another."""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batchjobs
from batchjobs.dataset.columns import Column, ColumnKind, OwnColumns, as_text, convert_row
from batchjobs.errors import MissingExtraError
from batchjobs.options.dataset import ExportSettings
from tests.dataset.runs import make_run


@pytest.mark.parametrize(
    ("values", "kind", "converted"),
    [
        (["007", "1e5"], ColumnKind.TEXT, ["007", "1e5"]),
        ([1, None, 3], ColumnKind.WHOLE, [1, None, 3]),
        ([1, 1.5], ColumnKind.NUMBER, [1.0, 1.5]),
        ([True, False], ColumnKind.FLAG, [True, False]),
        ([True, 1], ColumnKind.TEXT, ["true", "1"]),
        ([1, "x"], ColumnKind.TEXT, ["1", "x"]),
        ([2**70], ColumnKind.TEXT, [str(2**70)]),
        ([1, 2**63], ColumnKind.TEXT, ["1", str(2**63)]),
        ([{"a": ["ب"]}, [1, 2]], ColumnKind.TEXT, ['{"a":["ب"]}', "[1,2]"]),
        (["2026-01-01", 1.5], ColumnKind.TEXT, ["2026-01-01", "1.5"]),
        (["", None], ColumnKind.TEXT, ["", None]),
    ],
)
def test_a_column_has_one_type(
    values: list[object], kind: ColumnKind, converted: list[object]
) -> None:
    """Whatever its values are, it holds all of them; a text is the text that it was."""
    own = OwnColumns(is_reserved=lambda _: False)
    rows = [own.take({"c": value}) for value in values]
    assert own.columns() == (Column("c", kind),)
    assert [next(iter(convert_row(own.columns(), row))) for row in rows] == converted


def test_what_a_dataset_says_itself_is_no_column_of_the_manifest() -> None:
    """The text, the voice and where the result stands are there already."""
    own = OwnColumns(is_reserved=lambda _: False)
    row = {"id": "1", "text": "x", "voice_id": "v", "output": "a.wav", "reference": "y", "speed": 1}
    assert own.take(row) == {"reference": "y", "speed": 1}


def test_names_stay_different() -> None:
    """Also where the name that one would get is another column's."""
    own = OwnColumns(is_reserved=lambda name: name.endswith("_file_name"))
    row = {"audio_": 0, "seconds": 1, "row_seconds": 2, "a_file_name": 3, "row_a_file_name_": 4}
    found = own.take(row)
    assert sorted(map(int, map(str, found.values()))) == [0, 1, 2, 3, 4]
    assert len(found) == len(row)
    assert own.take(dict(reversed(row.items()))) == found


def test_text_is_text() -> None:
    """Nothing is nothing, and JSON all else."""
    assert [as_text(each) for each in (None, "x", True, {"a": None})] == [
        "",
        "x",
        "true",
        '{"a":null}',
    ]


def test_numbers_that_only_json_can_hold_are_no_loss(tmp_path: Path) -> None:
    """A number beyond 64 bits, as a manifest of JSON lines may have it, is text."""
    rows: list[dict[str, object]] = [{"id": "a", "text": "x", "n": 2**70}, {"id": "b", "text": "y"}]
    report = batchjobs.export(make_run(tmp_path / "run", rows), ExportSettings(form="parquet"))
    table = pq.read_table(next(report.path.glob("data/*")))
    assert table.schema.field("n").type == pa.string()
    assert table["n"].to_pylist() == [str(2**70), None]


@pytest.mark.parametrize(
    ("package", "changes"),
    [
        ("pyarrow", {"form": "hf"}),
        ("pyarrow", {"form": "parquet"}),
        ("av", {"loudness_lufs": -20.0}),
    ],
)
def test_a_library_that_is_missing_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, changes: dict[str, object]
) -> None:
    """Before anything is written; forms that need none go on."""
    run = make_run(tmp_path / "run", [{"id": "a", "text": "x", "seconds": 0.6}])
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=package) as error:
        batchjobs.export(run, ExportSettings(**changes))  # type: ignore[arg-type]
    assert "batchjobs[dataset]" in error.value.hint
    for form in ("nemo", "lhotse", "webdataset", "ljspeech"):
        assert batchjobs.export(run, ExportSettings(form=form)).rows == 1
