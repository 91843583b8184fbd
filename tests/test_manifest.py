"""What the manifest reader promises: every row an answer, every error its line and column."""

import csv
import dataclasses
import gzip
import io
import json
import os
import resource
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchjobs.errors import ManifestError, UsageError
from batchjobs.jobs import BadRow, Job, Kind, derived_id
from batchjobs.manifest import KNOWN_COLUMNS, Defaults, read_rows
from batchjobs.manifest.source import ROW_LIMIT_BYTES
from batchjobs.providers import BUILT_IN, Provider

_PROVIDERS = {
    **BUILT_IN,
    "mute": Provider(name="mute", base_url="", key_variable="K", tts_path=""),
    "short": Provider(
        name="short", base_url="", key_variable="K", voice="v", text_limit_characters=5
    ),
}
_SENTENCE = "مَرْحَبًا بِكُمْ، عندي ٣ كتب و laptop جديـــد\u200f."


def _rows(
    folder: Path,
    content: bytes | str,
    *,
    ending: str = "",
    defaults: Defaults | None = None,
    input_root: Path | None = None,
) -> list[Job | BadRow]:
    data = content.encode() if isinstance(content, str) else content
    source: Path | io.BytesIO = io.BytesIO(data)
    if ending:
        source = folder / f"talks{ending}"
        source.write_bytes(data)
    return list(
        read_rows(
            source,
            name="talks",
            folder=folder,
            providers=_PROVIDERS,
            defaults=defaults or Defaults(),
            input_root=input_root,
        )
    )


def _job(folder: Path, content: bytes | str, **options: object) -> Job:
    (job,) = _rows(folder, content, **options)  # type: ignore[arg-type]
    assert isinstance(job, Job), job
    return job


def _bad(folder: Path, content: bytes | str, **options: object) -> BadRow:
    (row,) = _rows(folder, content, **options)  # type: ignore[arg-type]
    assert isinstance(row, BadRow), row
    return row


def _error(folder: Path, content: bytes | str, **options: object) -> str:
    with pytest.raises(ManifestError) as caught:
        _rows(folder, content, **options)  # type: ignore[arg-type]
    assert caught.value.hint
    return str(caught.value)


# -- good manifests --------------------------------------------------------------------------------


def test_a_row_becomes_a_job_with_everything_it_says(tmp_path: Path) -> None:
    """Every column lands in its field; unknown columns travel along untouched."""
    columns = {
        "id": "a-1",
        "text": _SENTENCE,
        "voice_id": "v",
        "model_id": "m",
        "stability": "0",
        "similarity_boost": "1",
        "speed": "١.١",
        "output_format": "pcm_8000",
        "output": "فصل/01.wav",
        "take": "2",
        "provider": "munsit",
        "speaker": " sp ",
    }
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerow(columns)
    job = _job(tmp_path, text.getvalue())
    assert job.id == "a-1"
    assert not job.id_is_derived
    assert job.line == 2
    assert job.kind is Kind.TTS
    assert job.provider == "munsit"
    assert job.text == _SENTENCE
    assert job.speech is not None
    assert dataclasses.astuple(job.speech) == ("v", "m", 0.0, 1.0, 1.1, "pcm_8000")
    assert job.output == "فصل/01.wav"
    assert job.take == 2
    assert job.row == columns


def test_a_recording_becomes_a_transcription_job(tmp_path: Path) -> None:
    """The path is absolute, the reference kept, and columns for speech do not disturb."""
    (tmp_path / "تسجيل 1.wav").write_bytes(b"RIFF")
    job = _job(
        tmp_path,
        "audio,reference,output,speed,take,voice_id\nتسجيل 1.wav,نص صحيح,t/1.txt,fast,x,\n",
    )
    assert job.kind is Kind.STT
    assert job.audio == str((tmp_path / "تسجيل 1.wav").resolve())
    assert job.reference == "نص صحيح"
    assert job.output == "t/1.txt"
    assert job.speech is None
    assert job.text == ""
    assert job.take == 0


def test_a_missing_id_is_derived_from_the_content_and_not_the_position(tmp_path: Path) -> None:
    """The same row has the same id wherever it stands."""
    first, second, third = _rows(tmp_path, "id,text\n,one\n,two\n,one\n")
    assert isinstance(first, Job)
    assert first.id_is_derived
    assert first.id == third.id == derived_id({"id": "", "text": "one"})
    assert first.id != second.id


def test_empty_cells_take_the_defaults_then_the_providers(tmp_path: Path) -> None:
    """Precedence is row, command line, provider."""
    defaults = Defaults(
        provider="faseeh",
        voice_id="dv",
        model_id="dm",
        stability=0.1,
        similarity_boost=0.2,
        speed=0.9,
        output_format="pcm_16000",
    )
    content = "text,voice_id,speed,stability,take\nhello,,, ,\n"
    job = _job(tmp_path, content, defaults=defaults)
    assert job.provider == "faseeh"
    assert dataclasses.astuple(job.speech) == ("dv", "dm", 0.1, 0.2, 0.9, "pcm_16000")  # type: ignore[arg-type]
    local = _job(tmp_path, content)
    assert local.provider == "local"
    assert dataclasses.astuple(local.speech) == (  # type: ignore[arg-type]
        BUILT_IN["local"].voice,
        BUILT_IN["local"].tts_model,
        0.5,
        0.75,
        1.0,
        "pcm_24000",
    )


def test_jsonl_values_keep_their_types_in_the_row(tmp_path: Path) -> None:
    """Numbers may be numbers, null is empty, nested values of other columns travel."""
    row = {
        "id": 7,
        "text": _SENTENCE,
        "speed": 1,
        "stability": "0.5",
        "take": 3,
        "audio": None,
        "voice_id": None,
        "meta": {"tags": ["a", 1.5, None, True]},
    }
    job = _job(tmp_path, json.dumps(row) + "\n", ending=".jsonl")
    assert job.id == "7"
    assert job.text == _SENTENCE
    assert job.take == 3
    assert job.row == row


@pytest.mark.parametrize("ending", ["", ".csv", ".tsv", ".txt", ".CSV", ".data", ".csv.gz", ".gz"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv_is_read_in_every_dialect(
    tmp_path: Path, ending: str, delimiter: str, end: str, mark: str
) -> None:
    """Comma, semicolon or tab; any line end; with or without BOM; packed or not; path or stream."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    cells = [["id", "text"], ["1", 'a, "b"; c\td'], ["2", f"x{end}y"], ["3", _SENTENCE]]
    writer.writerows(cells)
    data = (mark + text.getvalue() + end + "  " + end).encode()
    if ending.endswith("gz"):
        data = gzip.compress(data, mtime=0)
    jobs = _rows(tmp_path, data, ending=ending)
    assert [list(job.row.values()) for job in jobs] == cells[1:]
    assert [job.line for job in jobs] == [2, 3, 5]


@pytest.mark.parametrize("ending", ["", ".jsonl", ".ndjson", ".data", ".jsonl.gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_jsonl_is_read_from_everywhere(tmp_path: Path, ending: str, end: str) -> None:
    """Blank lines count as lines; only a line feed ends one."""
    text = "a\u2028b\u2029c\u0085d"
    row = json.dumps({"text": text}, ensure_ascii=False)
    data = f"\ufeff{end}{row}{end} {end}{row}".encode()
    if ending.endswith("gz"):
        data = gzip.compress(data, mtime=0)
    jobs = _rows(tmp_path, data, ending=ending)
    assert [(job.line, job.row["text"]) for job in jobs] == [(2, text), (4, text)]


def test_gzip_of_several_members_with_padding_is_one_manifest(tmp_path: Path) -> None:
    """Appended and padded archives are read to their end."""
    data = (
        gzip.compress(b"text\none\n", mtime=0)
        + b"\0" * 512
        + gzip.compress(b"two\n", mtime=0)
        + b"\0" * 8
    )
    assert [job.row["text"] for job in _rows(tmp_path, data)] == ["one", "two"]


def test_a_stream_that_gives_byte_by_byte_is_read_alike(tmp_path: Path) -> None:
    """No decision hangs on how many bytes a pipe hands over at a time."""

    class Dribble(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 1, 1))

    plain = b'\xef\xbb\xbf\r\nid,text\r\n1,"a\r\nb"\r\n2,\xd9\x85\r\n'
    for data in (plain, gzip.compress(plain, mtime=0)):
        stream = Dribble(data)
        rows = read_rows(
            stream, name="-", folder=tmp_path, providers=_PROVIDERS, defaults=Defaults()
        )
        assert [(row.line, row.row["text"]) for row in rows] == [(3, "a\r\nb"), (5, "م")]
        assert not stream.closed


def test_a_column_beside_its_own_name_is_no_misspelling(tmp_path: Path) -> None:
    """Next to 'text' a column 'texts' is somebody's own, and travels."""
    job = _job(tmp_path, "text,texts,voice,idx,voice_id\na,b,c,d,v\n")
    assert job.row == {"text": "a", "texts": "b", "voice": "c", "idx": "d", "voice_id": "v"}


def test_the_columns_are_those_the_rules_know() -> None:
    """The table for help texts has every column of the design, each with its meaning."""
    names = (
        "id text text_file audio voice_id model_id stability similarity_boost speed output_format "
        "reference output take provider"
    )
    assert " ".join(KNOWN_COLUMNS) == names
    assert all(KNOWN_COLUMNS.values())


def test_memory_does_not_grow_with_the_manifest(tmp_path: Path) -> None:
    """Ten times the rows need the same memory."""

    def peak(rows: int) -> int:
        path = tmp_path / "big.csv.gz"
        with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as file:
            file.write("text\n")
            file.writelines(f"{_SENTENCE * 20} {number}\n" for number in range(rows))
        tracemalloc.start()
        try:
            count = sum(
                isinstance(row, Job)
                for row in read_rows(
                    path,
                    name="big",
                    folder=tmp_path,
                    providers=_PROVIDERS,
                    defaults=Defaults(),
                )
            )
            assert count == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(5_000) < peak(1_000) * 1.2


# -- manifests that cannot be read at all ----------------------------------------------------------


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
        ("Text\na\n", "talks:1: column 'Text': ", "did you mean 'text'?"),
        ("text, speed\na,1\n", "talks:1: column ' speed': ", "did you mean 'speed'?"),
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
    message = _error(tmp_path, content)
    assert message.startswith(start)
    assert words in message


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
    assert words in _error(tmp_path, content, ending=ending)


@pytest.mark.parametrize(
    ("path", "words"),
    [("none.csv", "no such file"), (".", "is a folder"), ("a\0b.csv", "cannot be read")],
)
def test_a_path_that_cannot_be_opened_says_why(tmp_path: Path, path: str, words: str) -> None:
    """A wrong path is a bad manifest, not a crash."""
    rows = read_rows(
        tmp_path / path, name="talks", folder=tmp_path, providers=_PROVIDERS, defaults=Defaults()
    )
    with pytest.raises(ManifestError, match=words):
        next(rows)


def test_a_stream_that_breaks_says_so(tmp_path: Path) -> None:
    """A read error in the middle names the system's reason; a closed stream is one, too."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "rb", buffering=0) as stream, pytest.raises(ManifestError, match="cannot be"):  # noqa: PTH123
        next(
            read_rows(stream, name="-", folder=tmp_path, providers=_PROVIDERS, defaults=Defaults())
        )
    closed = io.BytesIO()
    closed.close()
    with pytest.raises(ManifestError, match="closed file"):
        next(
            read_rows(closed, name="-", folder=tmp_path, providers=_PROVIDERS, defaults=Defaults())
        )


def test_a_decompression_bomb_is_stopped(tmp_path: Path) -> None:
    """Past 64 MiB, more than 200 times the packed size is refused."""
    data = gzip.compress(b"text\n" + (b"a" * 1_048_575 + b"\n") * 70, 9, mtime=0)
    assert "bomb" in _error(tmp_path, data)


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
    assert words in _error(tmp_path, content)


def test_wrong_defaults_are_the_callers_mistake(tmp_path: Path) -> None:
    """An option out of range is told once, not once a row."""
    with pytest.raises(UsageError, match="default for 'speed': 3"):
        _rows(tmp_path, "text\na\n", defaults=Defaults(speed=3))
    with pytest.raises(UsageError, match="default for 'output_format': 'mp3'"):
        _rows(tmp_path, "text\na\n", defaults=Defaults(output_format="mp3"))


# -- quotes that are in order ----------------------------------------------------------------------


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
    job = _job(tmp_path, content)
    assert job.text == next(csv.DictReader(io.StringIO(content, newline="")))["text"]


# -- rows that are wrong ---------------------------------------------------------------------------

_LONG = "x" * 1001


@pytest.mark.parametrize(
    ("content", "column", "words"),
    [
        ("id,text\n1\n", "", "has 1 field, the header on line 1 has 2"),
        ("id,text\n1,a,b\n", "", "has 3 fields, the header on line 1 has 2"),
        ("id,text\n1,,\n", "", "has 3 fields"),
        ('id,text\n1,"a"b\n', "", "closing quote"),
        ('id,text,speed\n1,"a\nb"\n', "", "has 2 fields"),
        ("id,text,x\n,,y\n", "text", "exactly one of text, text_file and audio"),
        ("id,text\n1,\n", "text", "exactly one"),
        ("id\n1\n", "text", "exactly one"),
        ("text,audio\na,b.wav\n", "audio", "beside 'text'"),
        ("text,text_file,audio\n,a,b\n", "audio", "beside 'text_file'"),
        ("id,text\n1,  \n", "text", "is blank"),
        ("text,x\n\u00a0\u3000,\n", "text", "is blank"),
        ("text\n\u200f\u200b\n", "text", "is blank"),
        ("text\n\u064e\n", "text", "is blank"),
        ("text\n...\n", "text", "no letter or number"),
        ("text\n—😀؟\n", "text", "no letter or number"),
        ("text\nـــ\n", "text", "no letter or number"),
        (f"id,text\n{_LONG},a\n", "id", "longer than 1000"),
        ("id,text\n\u200b,a\n", "id", "is blank"),
        ("id,text\n ,a\n", "id", "is blank"),
        ("id,text\na\tb,a\n", "id", "control character"),
        ("text,speed\na,0.6\n", "speed", "0.6 is not between 0.7 and 1.2"),
        ("text,speed\na,1.3\n", "speed", "0.7 to 1.2"),
        ("text,speed\na,fast\n", "speed", "'fast' is no number"),
        ("text,speed\na,nan\n", "speed", "no number"),
        ("text,speed\na,inf\n", "speed", "no number"),
        ("text,speed\na,1_0\n", "speed", "no number"),
        ('text,speed\na,"0,9"\n', "speed", "no number"),
        ("text,stability\na,1.1\n", "stability", "0 to 1"),
        ("text,similarity_boost\na,-0.1\n", "similarity_boost", "0 to 1"),
        ("text,take\na,-1\n", "take", "whole number"),
        ("text,take\na,1.5\n", "take", "whole number"),
        ("text,take\na,x\n", "take", "no number"),
        ("text,take\na,1e300\n", "take", "whole number"),
        ("text,output_format\na,mp3\n", "output_format", "pcm_8000, pcm_16000, pcm_22050"),
        (f"text,output_format\na,{_LONG}\n", "output_format", "…' is no format"),
        ("text,provider\na,munsitt\n", "provider", "did you mean 'munsit'?"),
        ("text,provider\na,zzz\n", "provider", "the providers are faseeh, local"),
        ("text,provider\na,mute\n", "provider", "offers no text to speech"),
        ("audio,provider\na.wav,faseeh\n", "provider", "offers no speech to text"),
        ("text,provider\na,munsit\n", "voice_id", "is empty; give a voice, or pass --voice"),
        ('text,voice_id,x\na,"v\nw",y\n', "voice_id", "control character"),
        ("audio\nnone.wav\n", "audio", "there is no file 'none.wav'"),
        ("audio\n../x.wav\n", "audio", "leaves"),
        ("audio\n/etc/passwd\n", "audio", "--input-root"),
        ("audio\nfolder\n", "audio", "not a plain file"),
        ("audio\n.\n", "audio", "leaves"),
        ("audio\nloop\n", "audio", "cannot be followed"),
        ("audio\nout\n", "audio", "leaves"),
        ("audio\nfifo\n", "audio", "not a plain file"),
        (f"audio\n{_LONG}\n", "audio", "cannot be followed"),
        ("text_file\nnone.txt\n", "text_file", "no file"),
        ("text_file\nempty.txt\n", "text_file", "is blank"),
        ("text_file\nutf16.txt\n", "text_file", "UTF-16"),
        ("text_file\nlatin.txt\n", "text_file", "not UTF-8 on its line 2"),
        ("text_file\nnul.txt\n", "text_file", "NUL"),
        ("text_file\nhuge.txt\n", "text_file", "larger than 16 MiB"),
        ("text_file\ndots.txt\n", "text_file", "no letter or number"),
        ("text,output\na,/abs.wav\n", "output", "absolute"),
        ("text,output\na,../a.wav\n", "output", "dot"),
        ("text,output\na,a/../b.wav\n", "output", "dot"),
        ("text,output\na,./a.wav\n", "output", "dot"),
        ("text,output\na,.a.wav\n", "output", "dot"),
        ("text,output\na,a//b.wav\n", "output", "absolute"),
        ("text,output\na,a/\n", "output", "absolute"),
        ("text,output\na,a/ /b.wav\n", "output", "absolute"),
        ("text,output\na,a\\b.wav\n", "output", "backslash"),
        ("text,output\na,a\tb.wav\n", "output", "control"),
        ("text,output\na,a.txt\n", "output", ".wav or .flac or .ogg or .mp3"),
        ("text,output\na,wav\n", "output", "another ending"),
        ("audio,output\nok.wav,a.wav\n", "output", ".txt"),
        ("audio,output\nok.wav,Summary.txt\n", "output", "belongs to the run"),
        ("text,output\na,segments/a.wav\n", "output", "belongs to the run"),
        ("text,output\na,Segments/a.wav\n", "output", "belongs to the run"),
        ("text,output\na,report.html/a.wav\n", "output", "belongs to the run"),
        ("text,output\na,checkpoint.sqlite3-wal/a.wav\n", "output", "belongs to the run"),
        (f"text,output\na,{'ع' * 120}.wav\n", "output", "longer than 240 bytes"),
        (f"text,output\na,{'d/' * 500}a.wav\n", "output", "longer than 1000 bytes"),
    ],
)
def test_a_bad_row_names_its_column_and_what_to_do(
    tmp_path: Path, content: str, column: str, words: str
) -> None:
    """One wrong cell is one `BadRow`: its line, its column, a message, the row as it came."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "out").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "ok.wav").write_bytes(b"RIFF")
    (tmp_path / "empty.txt").write_bytes(b"\xef\xbb\xbf \n")
    (tmp_path / "utf16.txt").write_bytes("abc".encode("utf-16"))
    (tmp_path / "latin.txt").write_bytes(b"ok\ncaf\xe9\n")
    (tmp_path / "nul.txt").write_bytes(b"a\0b")
    (tmp_path / "dots.txt").write_bytes(b"...")
    if "huge" in content:
        (tmp_path / "huge.txt").write_bytes(b"a" * (16 * 1024 * 1024 + 1))
    bad = _bad(tmp_path, content)
    assert bad.column == column
    assert bad.line == 2
    assert words in bad.located("talks")
    assert bad.id


@pytest.mark.parametrize(
    ("line", "column", "words"),
    [
        ("5", "", "no object"),
        ("null", "", "no object"),
        ("[1]", "", "no object"),
        ('"text"', "", "no object"),
        ("{text: 1}", "", "not JSON"),
        ('{"text": "a"', "", "not JSON"),
        ('{"text": "a"} x', "", "not JSON"),
        ('{"text": "a\tb"}', "", "not JSON"),
        ('{"text": "a", "text": "b"}', "text", "twice"),
        ('{"text": "a", "x": {"y": 1, "y": 2}}', "y", "twice"),
        ('{"text": "a", "x": NaN}', "", "NaN is no JSON"),
        ('{"text": "a", "x": -Infinity}', "", "-Infinity is no JSON"),
        ('{"text": "a", "x": 1e999}', "", "too large"),
        ('{"text": "\\ud800"}', "", "cannot be written"),
        ('{"\\udfff": "a"}', "", "cannot be written"),
        ('{"text": "a", "x": 123456789012345678901234567890}', "", "cannot be written"),
        ('{"text": "a", "x": ' + "9" * 5000 + "}", "", "too long"),
        ('{"x":' * 100_000, "", "too deeply"),
        ('{"x": ' + "[" * 500 + "]" * 500 + "}", "", "cannot be written"),
        ('{"text": "a\\u0000b"}', "text", "NUL"),
        ('{"audio": "a\\u0000b"}', "audio", "no path"),
        ('{"text": 5}', "text", "must be text, not a number"),
        ('{"text": true}', "text", "must be text, not true or false"),
        ('{"text": ["a"]}', "text", "must be text, not a list"),
        ('{"text": {}}', "text", "must be text, not an object"),
        ('{"text": null}', "text", "exactly one"),
        ("{}", "text", "exactly one"),
        ('{"text": "a", "id": 1.5}', "id", "must be text"),
        ('{"text": "a", "id": true}', "id", "must be text"),
        ('{"text": "a", "speed": true}', "speed", "must be a number, not true"),
        ('{"text": "a", "speed": [1]}', "speed", "must be a number, not a list"),
        ('{"text": "a", "take": {}}', "take", "must be a number, not an object"),
        ('{"text": "a", "voice": "b"}', "voice", "did you mean 'voice_id'?"),
        ('{"text": "a", "Speed": 1, "id": "k"}', "Speed", "did you mean 'speed'?"),
        ('{"text": "a", "output": 5}', "output", "must be text"),
    ],
)
def test_a_bad_line_of_jsonl_is_one_bad_row(
    tmp_path: Path, line: str, column: str, words: str
) -> None:
    """Whatever a line holds, the lines around it are read."""
    good = '{"text": "a"}'
    first, bad, last = _rows(tmp_path, f"{good}\n{line}\n{good}\n", ending=".jsonl")
    assert isinstance(first, Job)
    assert isinstance(last, Job)
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.column) == (2, column)
    assert words in bad.located("talks")
    assert bad.id


def test_a_bad_row_keeps_the_id_it_has(tmp_path: Path) -> None:
    """The report can name the row as its writer does."""
    assert _bad(tmp_path, "id,text,speed\nk,a,9\n").id == "k"
    assert _bad(tmp_path, "id,text,speed\nk,a\n").id == "k"
    assert _bad(tmp_path, '{"id": "k", "text": "a", "wav": "b"}').id == "k"
    assert _bad(tmp_path, '{"id": 4, "text": "a", "speed": 9}').id == "4"
    assert _bad(tmp_path, '{"id": 0, "text": "a", "wav": "b"}').id == "0"


def test_good_rows_after_bad_ones_are_read(tmp_path: Path) -> None:
    """Every row gets an answer, in order, with its physical line."""
    rows = _rows(tmp_path, 'id,text\n1\n2,ok\n\n3,"x"y\n4,"a\nb"\n5,c\n')
    assert [(row.line, isinstance(row, Job)) for row in rows] == [
        (2, False),
        (3, True),
        (5, False),
        (6, True),
        (8, True),
    ]


def test_a_blank_line_is_no_row_and_one_inside_quotes_is_text(tmp_path: Path) -> None:
    """With one column only the quotes tell them apart."""
    assert _job(tmp_path, 'text\n  \n"a\n  \nb"\n').text == "a\n  \nb"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_lines_of_delimiters_only_are_blank_as_spreadsheets_leave_them(
    tmp_path: Path, delimiter: str
) -> None:
    """A table that was longer once ends in rows of empty cells, and may have them in its middle."""
    lines = ["id,text", ",", "a,Hello", ",,,", " , ", "b,Again", ",", ",", ""]
    content = "\r\n".join(lines).replace(",", delimiter)
    rows = _rows(tmp_path, content)
    assert [(row.line, row.id) for row in rows] == [(3, "a"), (6, "b")]
    assert all(isinstance(row, Job) for row in rows)


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "\ufeffsep=;"])
def test_a_delimiter_may_be_declared_as_spreadsheets_do(tmp_path: Path, first: str) -> None:
    """The line is no header; what it names goes, whatever the header would suggest."""
    for ending in (".csv", ""):
        rows = _rows(tmp_path, f"{first}\r\ntext;note\r\nHello;a, b\r\n", ending=ending)
        (job,) = rows
        assert isinstance(job, Job)
        assert (job.text, job.row["note"], job.line) == ("Hello", "a, b", 3)
    shown = _error(tmp_path, "sep=|\ntext|note\nHello|b\n")
    assert "talks:1: '|' is no delimiter of ours" in shown


def test_a_decimal_comma_is_told_how_to_write_it(tmp_path: Path) -> None:
    """A spreadsheet of most countries writes 1,1; which nobody can tell from a thousand."""
    (row,) = _rows(tmp_path, "text;speed\nHello;1,1\n")
    assert isinstance(row, BadRow)
    assert (row.message, row.hint) == ("'1,1' is no number", "write 1.1, with a point")


def test_many_sets_of_columns_are_all_checked(tmp_path: Path) -> None:
    """JSON Lines whose every row has other columns is read all the same."""
    content = "".join(f'{{"text": "a", "column {number}": 1}}\n' for number in range(1100))
    assert all(isinstance(row, Job) for row in _rows(tmp_path, content))


# -- files that rows name --------------------------------------------------------------------------


def test_a_text_file_is_spoken_exactly(tmp_path: Path) -> None:
    """Line ends, diacritics and joiners arrive as they stand; only a byte order mark goes."""
    text = f"{_SENTENCE}\r\nسطر\u200cثان\r\u2028ـ e\u0301\n"
    (tmp_path / "فصل.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    job = _job(tmp_path, "text_file\nفصل.txt\n")
    assert job.text == text
    assert job.row == {"text_file": "فصل.txt"}


def test_inputs_are_found_in_the_folder_first_and_the_root_second(tmp_path: Path) -> None:
    """Relative or absolute, a path counts below either, and nowhere else."""
    folder, root = tmp_path / "folder", tmp_path / "root"
    folder.mkdir()
    root.mkdir()
    for path in (folder / "a.wav", root / "a.wav", root / "b.wav", tmp_path / "c.wav"):
        path.write_bytes(b"RIFF")
    content = (
        f"audio\na.wav\nb.wav\n{root}/a.wav\n{folder}/a.wav\n{tmp_path}/c.wav\n../c.wav\nd.wav\n"
    )
    rows = _rows(folder, content, input_root=root)
    assert [row.audio if isinstance(row, Job) else row.message.split("'")[0] for row in rows] == [
        str(folder / "a.wav"),
        str(root / "b.wav"),
        str(root / "a.wav"),
        str(folder / "a.wav"),
        "the path ",
        "the path ",
        "there is no file ",
    ]


def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    """The system's own reason is told, for a text file and for a manifest."""
    (tmp_path / "a.txt").write_bytes(b"a")
    content = "text_file\na.txt\n"
    assert _job(tmp_path, content).text == "a"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        bad = _bad(tmp_path, content)
        with pytest.raises(ManifestError, match="talks: cannot be read: Too many open files"):
            next(
                read_rows(
                    tmp_path / "a.txt",
                    name="talks",
                    folder=tmp_path,
                    providers=_PROVIDERS,
                    defaults=Defaults(),
                )
            )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert bad.message == "'a.txt' cannot be read: Too many open files"


# -- anything at all -------------------------------------------------------------------------------

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
    tmp_path: Path, cells: list[tuple[str, str]], delimiter: str, end: str, quoting: int
) -> None:
    """What Python's writer writes is read back exactly, or refused for holding a row in a cell."""
    if quoting == csv.QUOTE_MINIMAL:  # that writer leaves the other line ends without quotes
        plain = [[cell.replace("\r", "\n").replace("\n", end) for cell in row] for row in cells]
        cells = [(spoken, note) for spoken, note in plain]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(["text", "note", "voice_id"])
    writer.writerows([(spoken, note, "v") for spoken, note in cells])
    try:
        rows = _rows(tmp_path, text.getvalue())
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
        rows = _rows(tmp_path, start + rest, ending=ending)
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
    message = _error(tmp_path, "id,text\n" + "\n".join(lines) + "\n")
    assert message.startswith(f"talks:{opened + 2}: ")
