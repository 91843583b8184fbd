"""What joining files and spreadsheets do to a manifest is passed over or taken as meant, and told."""

import codecs
import gzip
import io
import json
from pathlib import Path

import pytest

from batchjobs.jobs import BadRow, Job
from batchjobs.manifest import Notes, read_rows
from batchjobs.options import Defaults
from tests.manifest.reading import PROVIDERS, read_error, read_manifest

BOM = "\ufeff"


def read_with_notes(content: str | bytes) -> tuple[list[Job], list[str]]:
    """Read a manifest of good rows; gives what is told of it, too."""
    notes = Notes()
    data = content.encode() if isinstance(content, str) else content
    rows = list(
        read_rows(
            io.BytesIO(data),
            name="talks",
            folder=Path(),
            providers=PROVIDERS,
            defaults=Defaults(),
            notes=notes,
        )
    )
    jobs = [row for row in rows if isinstance(row, Job)]
    assert len(jobs) == len(rows), rows
    return jobs, list(notes.tell("talks"))


@pytest.mark.parametrize(
    ("content", "ids", "where"),
    [
        ("id,text,speaker\n1,a,x\nid,text,speaker\n2,b,y\n", ["1", "2"], "line 3"),
        ("id,text\n1,a\n ID , Text \n2,b\n", ["1", "2"], "line 3"),
        (f"{BOM}id;text\r\n1;a\r\n{BOM}id;text\r\n2;b\r\n", ["1", "2"], "line 3"),
        ('"id","text"\n1,a\n"id","text"\n2,b\n', ["1", "2"], "line 3"),
        ("id,text,,\n1,a,,\nid,text,,\n2,b,,\n", ["1", "2"], "line 3"),
        ("speaker,id,text\nx,1,a\nspeaker,id,text\ny,2,b\n", ["1", "2"], "line 3"),
        ("id,نص,text\n1,x,a\nid,نص,text\n2,y,b\n", ["1", "2"], "line 3"),
        ("id,text\n1,a\nid,text\nid,text\n2,b\nid,text\n", ["1", "2"], "lines 3, 4, 6"),
        ('{"id":"1","text":"a"}\n{"id":"id","text":"text"}\n', ["1"], "line 2"),
    ],
)
def test_a_header_that_stands_again_is_no_job(content: str, ids: list[str], where: str) -> None:
    """`cat a.csv b.csv` has it in its middle; it is passed over, and said."""
    jobs, (told,) = read_with_notes(content)
    assert [job.id for job in jobs] == ids
    assert "the header stands there" in told
    assert f"({where})" in told


def test_the_only_column_again_is_no_text(tmp_path: Path) -> None:
    """Of a list of texts the header is the word 'text'; in JSON Lines, which has none, it is a text."""
    jobs, told = read_with_notes("text\nألف\ntext\nباء\n")
    assert [job.text for job in jobs] == ["ألف", "باء"]
    assert len(told) == 1
    jobs, told = read_with_notes("text\nText\n TEXT\n")  # written so, it is somebody's text
    assert ([job.text for job in jobs], told) == (["Text", " TEXT"], [])
    (job,) = read_manifest(tmp_path, '{"text": "text"}\n')
    assert isinstance(job, Job)
    assert read_with_notes("id,text\ntake,take\nspeed,audio book\n")[1] == []


def test_joined_gzip_files_are_read_as_joined_files(tmp_path: Path) -> None:
    """`cat a.csv.gz b.csv.gz` is one stream of two members, each with its mark and header."""
    parts = [
        gzip.compress(f"{BOM}id,text\n{number},نصّ\n".encode(), mtime=0) for number in (1, 2, 3)
    ]
    jobs, told = read_with_notes(b"".join(parts))
    assert [job.id for job in jobs] == ["1", "2", "3"]
    assert len(told) == 1


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_byte_order_mark_at_a_rows_start_is_no_part_of_an_id(form: str) -> None:
    """Editors put it before each of the files that were joined, whether with a header or not."""
    rows = ["id,text\na,one\n", "b,two\n", '"c","three"\n']
    if form == "jsonl":
        rows = [f'{{"id": "{name}", "text": "x"}}\n' for name in "abc"]
    mark = codecs.BOM_UTF8
    jobs, told = read_with_notes(b"".join(mark + row.encode() for row in rows))
    assert [job.id for job in jobs] == ["a", "b", "c"]
    assert told == []


def test_inside_a_quoted_text_the_mark_is_the_texts() -> None:
    """Texts are sent exactly as they stand."""
    (job,), _ = read_with_notes(f'id,text\na,"one\n{BOM}two"\n')
    assert job.text == f"one\n{BOM}two"


@pytest.mark.parametrize(
    "content",
    [
        "id,text,,\r\n1,a,,\r\n2,b,,\r\n",
        'id,text\r\n1,a,\r\n2,"b, c",,\r\n',
        "sep=;;\r\nid;text;\r\n1;a;\r\n2;b;\r\n",
        "id\ttext\t\t\r\n1\ta\r\n2\tb\t\t\t\r\n",
        "id,,text\n1,,a\n2, ,b\n",
    ],
)
def test_columns_without_a_name_and_a_value_are_no_mistake(content: str) -> None:
    """Excel and LibreOffice write them after a cell there was once touched."""
    jobs, told = read_with_notes(content)
    assert [job.id for job in jobs] == ["1", "2"]
    assert all("" not in job.row for job in jobs)
    assert told == []


def test_empty_columns_hide_no_stray_quote(tmp_path: Path) -> None:
    """A quote that swallows rows is found in a table with columns too many, too."""
    for end in (",", ",,"):
        content = f'id,text,\n1,"hello{end}\n2,world"{end}\n'
        assert "swallows line 3" in read_error(tmp_path, content)


def test_rows_without_their_empty_end_are_taken_and_told(tmp_path: Path) -> None:
    """ONLYOFFICE leaves it out; but who a row is and what it asks for has to be there."""
    jobs, (told,) = read_with_notes("id,text,voice_id,note\r\n1,a\r\n2,b,,x\r\n3,c,ar\r\n")
    assert [job.row["note"] for job in jobs] == ["", "x", ""]
    assert "2 rows end before the last columns (lines 2, 4)" in told
    for content in ("id,voice_id,text\n1,ar\n", "text,id\na\n", "id,text,speed\n1,cut of"):
        (row,) = read_manifest(tmp_path, content)
        assert isinstance(row, BadRow), content


@pytest.mark.parametrize(
    "content",
    [
        "ID, Text ,VOICE_ID,Speaker\n1,a,ar,x\n",
        '{"ID": "1", " Text": "a", "Voice_ID ": "ar", "Speaker": "x"}\n',
    ],
)
def test_a_columns_name_may_have_capitals_and_spaces_about_it(content: str) -> None:
    """A known column is meant; any other keeps its name as it stands."""
    (job,), told = read_with_notes(content)
    assert job.row == {"id": "1", "text": "a", "voice_id": "ar", "Speaker": "x"}
    assert told == []


@pytest.mark.parametrize(
    "made",
    "1.23457E+11|1E+05|1,5E+12|Mar-01|1-Mar|01-مارس|03/01/2026|5/4/26|2026-03-01 00:00:00|12-Dec-2026".split(
        "|"
    ),
)
def test_an_id_that_a_spreadsheet_made_is_told(made: str) -> None:
    """It runs, since it may be meant; whoever joins the results to the old table reads why not."""
    jobs, (told,) = read_with_notes(f'id;text\n"{made}";a\nb;c\n')
    assert [job.id for job in jobs] == [made, "b"]
    assert (
        f"1 id looks like a number or date that a spreadsheet made of something else ('{made}'"
        in told
    )


@pytest.mark.parametrize("own", ["2026-03-01", "007", "3-1", "mar", "1e5x", "الفصل-1", "E+05"])
def test_an_id_that_people_write_is_not_told(own: str) -> None:
    """A plain date is an id as good as any."""
    assert read_with_notes(f"id,text\n{own},a\n")[1] == []


def test_many_of_a_kind_are_counted() -> None:
    """A million such rows are a line of text."""
    rows = "".join(f"{number}E+12,a\n" for number in range(1, 10))
    _, (told,) = read_with_notes(f"id,text\n{rows}")
    assert told.startswith("talks: 9 ids look like numbers or dates")
    assert "'1E+12' on line 2, '2E+12' on line 3, '3E+12' on line 4 and 6 more" in told


@pytest.mark.parametrize(
    ("columns", "cells", "told"),
    [
        ("chanels", "apart", "1 row has a column that travels along unread ('chanels' on line 2)"),
        ("hot_words", "الرياض", "unread ('hot_words' on line 2)"),
        ("channel", "left", "unread ('channel' on line 2)"),
        ("channel", "2", ""),  # as data sets have it
        ("channel", "", ""),
        ("chanels,channels", "apart,mix", ""),
        ("keywords", "الرياض", ""),
        ("group,part", "شريط,side A", "1 row names a group, and a part that is no whole number"),
        ("group,part", "شريط,0", "'0' on line 2"),
        ("group,part", "شريط,٢", ""),
        ("group,part", "شريط,", ""),
    ],
)
def test_what_a_recording_s_row_says_in_vain_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: str, cells: str, told: str
) -> None:
    """Its column is somebody's own, or was meant as one of ours: whoever wrote it can tell."""
    monkeypatch.chdir(tmp_path)
    Path("a.wav").touch()
    _, notes = read_with_notes(f"id,audio,{columns}\n1,a.wav,{cells}\n")
    assert len(notes) == bool(told)
    assert told in "".join(notes)


@pytest.mark.parametrize("code", [0x01, 0x0C, 0x1B, 0x7F, 0x85, 0x9F])
def test_a_control_character_in_a_text_is_told_and_sent(code: int) -> None:
    """Tools leave them where they lose a sign: nobody hears it, and a page of a thousand is read alike."""
    rows = [f"r{n},مرحبا {n}\n" for n in range(600)]
    rows[400] = f"r400,مرحبا{chr(code)} بكم\n"
    jobs, told = read_with_notes("id,text\n" + "".join(rows))
    assert jobs[400].text == f"مرحبا{chr(code)} بكم"
    (line,) = told
    assert line.startswith(f"talks: 1 text holds a control character ('U+{code:04X}' on line 402)")
    given = [{"id": "1", "text": f"a{chr(code)}"}, {"id": "2", "text": f"{chr(code)}b"}]
    (line,) = read_with_notes("".join(f"{json.dumps(row)}\n" for row in given))[1]
    assert "2 texts hold control characters" in line


def test_what_belongs_into_a_text_is_not_told() -> None:
    """Tabs, line ends, joiners, marks of direction, tatweel and marks."""
    text = "a\tb\r\nم\u200cن\u200d \u200f٣\u200e ـ \u2028\u00a0\u064b\u0651\ufeff"
    jobs, told = read_with_notes(json.dumps({"id": "1", "text": text}) + "\n")
    assert ([job.text for job in jobs], told) == ([text], [])
