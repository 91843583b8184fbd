"""Cells become what they say: typed values, texts of several lines, declared delimiters."""

import csv
import io
import json
from pathlib import Path

import pytest

from batchjobs.jobs import BadRow, Job
from tests.manifest.reading import SENTENCE, read_error, read_job, read_manifest


def test_jsonl_values_keep_their_types_in_the_row(tmp_path: Path) -> None:
    """Numbers may be numbers, null is empty, nested values of other columns travel."""
    row = {
        "id": 7,
        "text": SENTENCE,
        "speed": 1,
        "stability": "0.5",
        "take": 3,
        "audio": None,
        "voice_id": None,
        "meta": {"tags": ["a", 1.5, None, True]},
    }
    job = read_job(tmp_path, json.dumps(row) + "\n", ending=".jsonl")
    assert job.id == "7"
    assert job.text == SENTENCE
    assert job.take == 3
    assert job.row == row


@pytest.mark.parametrize(
    "content",
    [
        'id,text\n1,"Well, I say,\nhello, you\nbye"\n',
        'id,text\n1,"Dear John,\n\nall is well"\n',
        'id,text\n1,"first line, with comma\nsecond one,too long to be an id"\n',
        'id,text\n1,"قال: نعم،\nثم قال: لا"\n',
        'id,text\n1,"He said ""hi, there""\nand, so\n""quoted"",x"\n',
        'id,text,speed\n1,"a\nb,c,d",1\n',
        'text\n"one, two\n\nthree"\n',
        'id,text,audio\n1,"a\nb,c,d",\n',
        'id,text\n1,"a\n,b\nc"\n',
        'id,text\n1,"a\nb,"\n',
        'text,voice_id\n"line one\nline two",v\n',
        'text,note,voice_id\n"line one\nline two","note\nof two lines",v\n',
        'text,speed\n"hello\nwell,fast\n",1\n',
        'text,note,voice_id\n"one,two,three","a\nb",v\n',
    ],
)
def test_a_text_of_several_lines_is_one_row(tmp_path: Path, content: str) -> None:
    """Prose with commas is not taken for rows."""
    (tmp_path / "d").touch()
    job = read_job(tmp_path, content)
    assert job.text == next(csv.DictReader(io.StringIO(content, newline="")))["text"]


def test_a_blank_line_is_no_row_and_one_inside_quotes_is_text(tmp_path: Path) -> None:
    """With one column only the quotes tell them apart."""
    assert read_job(tmp_path, 'text\n  \n"a\n  \nb"\n').text == "a\n  \nb"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_lines_of_delimiters_only_are_blank_as_spreadsheets_leave_them(
    tmp_path: Path, delimiter: str
) -> None:
    """A table that was longer once ends in rows of empty cells, and may have them in its middle."""
    lines = ["id,text", ",", "a,Hello", ",,,", " , ", "b,Again", ",", ",", ""]
    content = "\r\n".join(lines).replace(",", delimiter)
    rows = read_manifest(tmp_path, content)
    assert [(row.line, row.id) for row in rows] == [(3, "a"), (6, "b")]
    assert all(isinstance(row, Job) for row in rows)


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "\ufeffsep=;"])
def test_a_delimiter_may_be_declared_as_spreadsheets_do(tmp_path: Path, first: str) -> None:
    """The line is no header; what it names goes, whatever the header would suggest."""
    for ending in (".csv", ""):
        rows = read_manifest(tmp_path, f"{first}\r\ntext;note\r\nHello;a, b\r\n", ending=ending)
        (job,) = rows
        assert isinstance(job, Job)
        assert (job.text, job.row["note"], job.line) == ("Hello", "a, b", 3)
    shown = read_error(tmp_path, "sep=|\ntext|note\nHello|b\n")
    assert "talks:1: '|' is no delimiter of ours" in shown


def test_a_decimal_comma_is_told_how_to_write_it(tmp_path: Path) -> None:
    """A spreadsheet of most countries writes 1,1; which nobody can tell from a thousand."""
    (row,) = read_manifest(tmp_path, "text;speed\nHello;1,1\n")
    assert isinstance(row, BadRow)
    assert (row.message, row.hint) == ("'1,1' is no number", "write 1.1, with a point")


def test_many_sets_of_columns_are_all_checked(tmp_path: Path) -> None:
    """JSON Lines whose every row has other columns is read all the same."""
    content = "".join(f'{{"text": "a", "column {number}": 1}}\n' for number in range(1100))
    assert all(isinstance(row, Job) for row in read_manifest(tmp_path, content))
