"""A bad row names its line, its column, and what to do; the others are read."""

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchjobs.jobs import BadRow, Job, Kind
from batchjobs.manifest.columns import RowError
from batchjobs.manifest.output_rules import are_plain_outputs, check_output
from tests.manifest.reading import read_bad_row, read_manifest

_LONG = "x" * 1001


@pytest.mark.parametrize(
    ("content", "column", "words"),
    [
        ("id,text\n1\n", "", "has 1 field, the header on line 1 has 2"),
        ("id,text\n1,a,b\n", "", "has 3 fields, the header on line 1 has 2"),
        ("id,text\n1,,\n", "text", "is empty"),
        ("id,text\n1,#NAME?\n", "text", "'#NAME?' is a spreadsheet's error, no text"),
        ("text,id\na\n", "", "has 1 field, the header on line 1 has 2"),
        ("id,text,speed\nk,a", "", "has 2 fields"),
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
        ("text,output\na,wav\n", "output", "'wav' does not end in .wav or .flac"),
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
    bad = read_bad_row(tmp_path, content)
    assert bad.column == column
    assert bad.line == 2
    assert words in bad.describe("talks")
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
        ('{"text": "a", "Speed": 9, "id": "k"}', "speed", "0.7 to 1.2"),
        ('{"TEXT": "a", "Text ": "b"}', "Text ", "is the column 'text' once more"),
        ('{"text": "a", "output": 5}', "output", "must be text"),
    ],
)
def test_a_bad_line_of_jsonl_is_one_bad_row(
    tmp_path: Path, line: str, column: str, words: str
) -> None:
    """Whatever a line holds, the lines around it are read."""
    good = '{"text": "a"}'
    first, bad, last = read_manifest(tmp_path, f"{good}\n{line}\n{good}\n", ending=".jsonl")
    assert isinstance(first, Job)
    assert isinstance(last, Job)
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.column) == (2, column)
    assert words in bad.describe("talks")
    assert bad.id


def test_a_bad_row_keeps_the_id_it_has(tmp_path: Path) -> None:
    """The report can name the row as its writer does."""
    assert read_bad_row(tmp_path, "id,text,speed\nk,a,9\n").id == "k"
    assert read_bad_row(tmp_path, "id,speed,text\nk,1\n").id == "k"
    assert read_bad_row(tmp_path, '{"id": "k", "text": "a", "wav": "b"}').id == "k"
    assert read_bad_row(tmp_path, '{"id": 4, "text": "a", "speed": 9}').id == "4"
    assert read_bad_row(tmp_path, '{"id": 0, "text": "a", "wav": "b"}').id == "0"


def test_good_rows_after_bad_ones_are_read(tmp_path: Path) -> None:
    """Every row gets an answer, in order, with its physical line."""
    rows = read_manifest(tmp_path, 'id,text\n1\n2,ok\n\n3,"x"y\n4,"a\nb"\n5,c\n')
    assert [(row.line, isinstance(row, Job)) for row in rows] == [
        (2, False),
        (3, True),
        (5, False),
        (6, True),
        (8, True),
    ]


_PARTS = (
    "a",
    "B9",
    "قَ",
    "_",
    ".",
    "..",
    " ",
    "a\nb",
    "\n",
    "x" * 201,
    "y" * 236,
    "audio",
    "",
    "\\",
)


@example(outputs=["f/a.wav\nb.wav"])
@example(outputs=[f"f/{'x' * size}.wav" for size in (200, 201, 236)])
@given(
    outputs=st.lists(
        st.tuples(
            st.lists(st.sampled_from(["a", "b", *_PARTS]), max_size=2),
            st.sampled_from(["a", "b-1", "c 2", *_PARTS]),
            st.sampled_from(
                [".wav", ".wav", ".WAV", ".flac", ".mp3", ".txt", "", ".wav\n", ".ẇav"]
            ),
        ).map(lambda made: "/".join([*made[0], made[1] + made[2]])),
        min_size=1,
        max_size=4,
    )
)
def test_outputs_are_judged_together_as_one_by_one(outputs: list[str]) -> None:
    """Names with line ends in them, of any length and ending, in folders of any kind."""

    def is_kept(output: str) -> bool:
        try:
            return check_output(output, Kind.TTS) == output
        except RowError:
            return False

    assert are_plain_outputs(outputs, Kind.TTS) == all(map(is_kept, outputs))
