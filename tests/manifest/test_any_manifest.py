"""Whatever bytes there are: rows come back exactly, or it is told."""

import csv
import io
from pathlib import Path
from typing import Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchjobs.errors import ManifestError
from tests.manifest.reading import read_error, read_manifest

_CELL_CHARACTERS = st.sampled_from("abc 12,;\t\"'\n\rمرحبا،ًـ\u200d\u200f٣😀é\u2028\u0085\u00a0")


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cells=st.lists(
        st.tuples(st.text(_CELL_CHARACTERS, max_size=12), st.text(_CELL_CHARACTERS, max_size=30)),
        min_size=1,
        max_size=6,
    ),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
)
def test_csv_comes_back_cell_by_cell(
    tmp_path: Path,
    cells: list[tuple[str, str]],
    delimiter: str,
    end: str,
    quoting: Literal[0, 1, 2],
) -> None:
    """What Python's writer writes is read back exactly, or refused for holding a row in a cell."""
    if quoting == csv.QUOTE_MINIMAL:  # that writer leaves the other line ends without quotes
        plain = [[cell.replace("\r", "\n").replace("\n", end) for cell in row] for row in cells]
        cells = [(spoken, note) for spoken, note in plain]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(["text", "note", "voice_id"])
    writer.writerows([(spoken, note, "v") for spoken, note in cells])
    try:
        rows = read_manifest(tmp_path, text.getvalue())
    except ManifestError as error:
        assert "swallows" in error.message  # noqa: PT017
        assert any(delimiter in cell and {"\r", "\n"} & set(cell) for row in cells for cell in row)
        return
    assert [tuple(row.row.values()) for row in rows] == [(*row, "v") for row in cells]


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    start=st.sampled_from([b"", b"text\n", b"id,text\n", b'{"text": "a"}\n', b"\x1f\x8b\x08\0"]),
    rest=st.binary(max_size=60)
    | st.lists(st.sampled_from(list(b'",\n\r1a{}[]:\\u;\t \0\xd9\x85')), max_size=60).map(bytes),
    ending=st.sampled_from(["", ".csv", ".jsonl", ".gz"]),
)
def test_any_bytes_end_in_rows_or_a_manifest_error(
    tmp_path: Path, start: bytes, rest: bytes, ending: str
) -> None:
    """Nothing a file may hold is a crash."""
    try:
        rows = read_manifest(tmp_path, start + rest, ending=ending)
    except ManifestError as error:
        assert error.message.startswith("talks:")  # noqa: PT017
    else:
        assert rows


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    count=st.integers(2, 30),
    opened=st.integers(0, 28),
    swallowed=st.integers(1, 28),
)
def test_two_stray_quotes_never_lose_a_row(
    tmp_path: Path, count: int, opened: int, swallowed: int
) -> None:
    """However far apart, the error names the line where the first one stands."""
    lines = [f"{number},جملة رقم {number}" for number in range(count)]
    opened %= count - 1
    closed = min(count - 1, opened + swallowed)
    lines[opened] = lines[opened].replace(",", ',"')
    lines[closed] += '"'
    message = read_error(tmp_path, "id,text\n" + "\n".join(lines) + "\n")
    assert message.startswith(f"talks:{opened + 2}: ")
