"""A manifest that cannot be run says where and why."""

import gzip
import io
import os
from pathlib import Path

import pytest

from batchjobs.errors import ManifestError, UsageError
from batchjobs.jobs import Job
from batchjobs.manifest import read_rows
from batchjobs.manifest.source import ROW_LIMIT_BYTES
from batchjobs.options import Defaults
from tests.manifest.reading import PROVIDERS, SENTENCE, read_error, read_manifest


@pytest.mark.parametrize(
    ("content", "start", "words"),
    [
        ("", "talks: ", "empty"),
        ("\ufeff", "talks: ", "empty"),
        (" \n\r\n\t", "talks: ", "blank"),
        ("\u00a0\n", "talks:1: ", "header"),
        ("id,text\n", "talks:1: ", "no row"),
        ("\n\nid,text\n\n", "talks:1: ", "no row"),
        ("hello,world\na,b\n", "talks:1: ", "the header is missing"),
        ("\nمرحبا\n", "talks:2: ", "the header is missing"),
        ("text,voiceid\na,b\n", "talks:1: column 'voiceid': ", "did you mean 'voice_id'?"),
        ("Text, TEXT\na,b\n", "talks:1: column 'text': ", "twice"),
        ("id,text\n1,a\ntext,id\nb,2\n", "talks:3: ", "another header stands here (text, id)"),
        ("id,text\n1,a\nID,Audio\n2,b.wav\n", "talks:3: ", "another header"),
        ("id,text,\n1,a,\n2,b, c\n", "talks:1: ", "line 3 has ' c' in it"),
        (",text\n0,a\n", "talks:1: ", "column 1 of the header has no name"),
        ("text;VOICE\na;1\n", "talks:1: column 'VOICE': ", "did you mean 'voice_id'?"),
        ("model,text\na,1\n", "talks:1: column 'model': ", "did you mean 'model_id'?"),
        ("txt\na\n", "talks:1: column 'txt': ", "did you mean 'text'?"),
        ("file\na\n", "talks:1: column 'file': ", "'audio' or 'text_file'?"),
        ("id,wav\n1,a\n", "talks:1: column 'wav': ", "did you mean 'audio'?"),
        ("text,format\na,b\n", "talks:1: column 'format': ", "did you mean 'output_format'?"),
        ("text,output format\na,b\n", "talks:1: column 'output format'", "'output_format'?"),
        ("text,id,text\na,b,c\n", "talks:1: column 'text': ", "twice"),
        ("text,x,x\na,b,c\n", "talks:1: column 'x': ", "twice"),
        ("text,,x\na,b,c\n", "talks:1: ", "column 2 of the header has no name"),
        ("text, \na,b\n", "talks:1: ", "column 2 of the header has no name"),
        ('id,"text\n1,hello"\n2,x\n', "talks:1: ", "several lines"),
        ('id,"text"x\n1,hello\n', "talks:1: ", "header cannot be read"),
        ('id,"text\n1,hello\n', "talks:1: ", "header cannot be read"),
        ("text\nhello\n".encode("utf-16"), "talks: ", "iconv"),
        ("text\nhello\n".encode("utf-16-le"), "talks: ", "UTF-16"),
        ("text\nhello\n".encode("utf-16-be"), "talks: ", "UTF-16"),
        ("text\nhello\n".encode("utf-32"), "talks: ", "UTF-16"),
        ("text\nhello\n".encode("utf-32-be"), "talks: ", "UTF-16"),
        ("text\nhello\n".encode("utf-32-le"), "talks: ", "UTF-16"),
        (b"text\na\nb\xff\n", "talks:3: ", "not UTF-8 at byte 2"),
        ("text\nمرحبا\n".encode("cp1256"), "talks:2: ", "WINDOWS-1256"),
        (b"text\n\xed\xa0\x80\n", "talks:2: ", "not UTF-8"),
        (b'{"text": "\xff"}\n', "talks:1: ", "not UTF-8"),
        (b"text\na\0b\n", "talks:2: ", "NUL"),
        (b'{"text": "a"}\n{"text": "\0"}\n', "talks:2: ", "NUL"),
        (b"\0" * 100, "talks:1: ", "NUL"),
        ('[{"text": "a"}]', "talks: ", "JSON array"),
        (b"PK\x03\x04rest", "talks: ", "spreadsheet"),
        (gzip.compress(b"text\nhello\n", mtime=0)[:-9], "talks: ", "cut off"),
        (gzip.compress(b"text\nhello\n", mtime=0)[:-1] + b"x", "talks: ", "damaged"),
        (gzip.compress(b"text\nhello\n", mtime=0) + b"trash", "talks: ", "damaged"),
        (gzip.compress(b"", mtime=0), "talks: ", "empty"),
        # promise 18: quotes
        ('id,text\n1,"hello\n2,world\n', "talks:2: ", "never closed"),
        ('id,text\n0,"a\nb"\n1,"hello\n2,"world"\n', "talks:4: ", "middle of a field"),
        ('id,text\n1,"hello\n2,world"\n', "talks:2: ", "swallows line 3"),
        ('id,text\n1,ok\n2,"hello\n3,a\n4,b\n5,c"\n6,d\n', "talks:3: ", "swallows line 4"),
        ('id,text\n"1,hello\n2,world"\n', "talks:2: ", "swallows line 2"),
        ('id,text,voice_id\n1,"a\nb","v\n2,x,y"\n', "talks:3: ", "swallows line 4"),
        ('text,voice_id\n"a,v\nb",v\n', "talks:2: ", "swallows line 2"),
        ('id,text,voice_id\n1,"a,v\n2,b,v\n3,c",v\n', "talks:2: ", "swallows line 3"),
        ('id;text\n1;"hello\n2;world"\n', "talks:2: ", "swallows line 3"),
        ('id\ttext\n1\t"hello\n2\tworld"\n', "talks:2: ", "swallows line 3"),
        ('id,text\n1, x\n"2", "y"\n3,"z\n4, w"\n5,"\n6,q\n"\n', "talks:6: ", "swallows line 7"),
        ('text,speed\n"hello,1\nworld,1.1\n",1\n', "talks:2: ", "swallows line"),
        ('a,text\n"x\ny",z\n"1","hello\n2,world"\n', "talks:4: ", "swallows line 5"),
        ('text\n"hello\n\nnever\n', "talks:2: ", "never closed"),
    ],
)
def test_a_manifest_that_cannot_be_run_says_where_and_why(
    tmp_path: Path, content: bytes | str, start: str, words: str
) -> None:
    """The message begins with the place, and says what to do."""
    message = read_error(tmp_path, content)
    assert message.startswith(start)
    assert words in message


@pytest.mark.parametrize("byte", [b"\xff", b"\0"])
@pytest.mark.parametrize("rows", [[b'"%b"', b"%b"], [b'{"text": "%b"}']], ids=["csv", "jsonl"])
def test_what_stands_before_a_broken_line_is_read(
    tmp_path: Path, rows: list[bytes], byte: bytes
) -> None:
    """Rows come until the line that cannot be read, however many lines are read at once."""
    sentence = SENTENCE.encode()
    lines = [row % (sentence + b" %d" % number) for row in rows for number in range(3_000)]
    if len(rows) > 1:
        lines.insert(0, b"text")
    broken = len(lines) // 2
    lines[broken] = lines[broken].replace(sentence, byte)
    source = io.BytesIO(b"\n".join(lines))
    rows_read = read_rows(
        source, name="m", folder=tmp_path, providers=PROVIDERS, defaults=Defaults(voice_id="v")
    )
    found: list[int] = []
    with pytest.raises(ManifestError, match=f"m:{broken + 1}: "):
        found.extend(row.line for row in rows_read)
    assert found == list(range(lines[0].startswith(b"text") + 1, broken + 1))


@pytest.mark.parametrize(
    ("ending", "content", "words"),
    [
        (".gz", b"text\nhello\n", "not gzip"),
        (".csv.gz", b"text\nhello\n", "not gzip"),
        (".csv", b"[1]\n", "the header is missing"),
        (".csv", b'{"text": "a"}\n', "the header is missing"),
        (".jsonl", "\u00a0\n".encode(), "no row"),
        (".jsonl", b"[1]\n", "JSON array"),
    ],
)
def test_an_ending_that_says_otherwise_is_an_error(
    tmp_path: Path, ending: str, content: bytes, words: str
) -> None:
    """What a file is called must be what it is."""
    assert words in read_error(tmp_path, content, ending=ending)


@pytest.mark.parametrize(
    ("path", "words"),
    [("none.csv", "no such file"), (".", "is a folder"), ("a\0b.csv", "cannot be read")],
)
def test_a_path_that_cannot_be_opened_says_why(tmp_path: Path, path: str, words: str) -> None:
    """A wrong path is a bad manifest, not a crash."""
    rows = read_rows(
        tmp_path / path, name="talks", folder=tmp_path, providers=PROVIDERS, defaults=Defaults()
    )
    with pytest.raises(ManifestError, match=words):
        next(rows)


def test_a_stream_that_breaks_says_so(tmp_path: Path) -> None:
    """A read error in the middle names the system's reason; a closed stream is one, too."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "rb", buffering=0) as stream, pytest.raises(ManifestError, match="cannot be"):  # noqa: PTH123
        next(read_rows(stream, name="-", folder=tmp_path, providers=PROVIDERS, defaults=Defaults()))
    closed = io.BytesIO()
    closed.close()
    with pytest.raises(ManifestError, match="closed file"):
        next(read_rows(closed, name="-", folder=tmp_path, providers=PROVIDERS, defaults=Defaults()))


def test_a_decompression_bomb_is_stopped(tmp_path: Path) -> None:
    """Past 64 MiB, more than 200 times the packed size is refused."""
    data = gzip.compress(b"text\n" + (b"a" * 1_048_575 + b"\n") * 70, 9, mtime=0)
    assert "bomb" in read_error(tmp_path, data)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"text\n" + b"a" * (ROW_LIMIT_BYTES + 300_000), "talks:2: the line is longer"),
        (b" " * (ROW_LIMIT_BYTES + 300_000), "talks:1: the line is longer"),
        (
            b'text\n"' + (b"a" * 9_999 + b"\n") * (ROW_LIMIT_BYTES // 9_000),
            "talks:2: the row goes on",
        ),
        (b'{"text": "' + b"a" * (ROW_LIMIT_BYTES + 300_000), "talks:1: the line is longer"),
    ],
)
def test_an_endless_row_is_stopped(tmp_path: Path, content: bytes, words: str) -> None:
    """No row fills the memory, by its length or by a quote that never closes."""
    assert words in read_error(tmp_path, content)


def test_wrong_defaults_are_the_callers_mistake(tmp_path: Path) -> None:
    """An option out of range is told once, not once a row."""
    with pytest.raises(UsageError, match="default for 'speed': 3"):
        read_manifest(tmp_path, "text\na\n", defaults=Defaults(speed=3))
    with pytest.raises(UsageError, match="default for 'output_format': 'mp3'"):
        read_manifest(tmp_path, "text\na\n", defaults=Defaults(output_format="mp3"))


@pytest.mark.parametrize("name", ["dialects", "Dialect", "dialect_id", "dialekt"])
def test_a_column_like_dialect_is_somebodys_own(tmp_path: Path, name: str) -> None:
    """Such manifests ran before there was that column, and their ids and results stay the same."""
    (job,) = read_manifest(tmp_path, f"text,{name}\nhello,najdi\n")
    assert isinstance(job, Job)
    assert job.row == {"text": "hello", name: "najdi"}
