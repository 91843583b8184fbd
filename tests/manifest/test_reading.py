"""What the manifest reader promises: every row an answer, in every dialect and encoding."""

import csv
import dataclasses
import gzip
import io
import json
import tracemalloc
from pathlib import Path

import pytest

from batchjobs.jobs import Job, Kind, derive_id
from batchjobs.manifest import KNOWN_COLUMNS, read_rows
from batchjobs.options import Defaults
from batchjobs.providers import BUILT_IN
from tests.manifest.reading import PROVIDERS, SENTENCE, read_job, read_manifest


def test_a_row_becomes_a_job_with_everything_it_says(tmp_path: Path) -> None:
    """Every column lands in its field; unknown columns travel along untouched."""
    columns = {
        "id": "a-1",
        "text": SENTENCE,
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
    job = read_job(tmp_path, text.getvalue())
    assert job.id == "a-1"
    assert not job.id_is_derived
    assert job.line == 2
    assert job.kind is Kind.TTS
    assert job.provider == "munsit"
    assert job.text == SENTENCE
    assert job.speech is not None
    assert dataclasses.astuple(job.speech) == ("v", "m", 0.0, 1.0, 1.1, "pcm_8000", "")
    assert job.output == "فصل/01.wav"
    assert job.take == 2
    assert job.row == columns


def test_a_recording_becomes_a_transcription_job(tmp_path: Path) -> None:
    """The path is absolute, the reference kept, and columns for speech do not disturb."""
    (tmp_path / "تسجيل 1.wav").write_bytes(b"RIFF")
    job = read_job(
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
    first, second, third = read_manifest(tmp_path, "id,text\n,one\n,two\n,one\n")
    assert isinstance(first, Job)
    assert first.id_is_derived
    assert first.id == third.id == derive_id({"id": "", "text": "one"})
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
    job = read_job(tmp_path, content, defaults=defaults)
    assert job.provider == "faseeh"
    assert job.speech is not None
    assert dataclasses.astuple(job.speech) == ("dv", "dm", 0.1, 0.2, 0.9, "pcm_16000", "")
    local = read_job(tmp_path, content)
    assert local.provider == "local"
    assert local.speech is not None
    assert dataclasses.astuple(local.speech) == (
        BUILT_IN["local"].voice,
        BUILT_IN["local"].tts_model,
        0.5,
        0.75,
        1.0,
        "pcm_24000",
        "",
    )


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
    cells = [["id", "text"], ["1", 'a, "b"; c\td'], ["2", f"x{end}y"], ["3", SENTENCE]]
    writer.writerows(cells)
    data = (mark + text.getvalue() + end + "  " + end).encode()
    if ending.endswith("gz"):
        data = gzip.compress(data, mtime=0)
    jobs = read_manifest(tmp_path, data, ending=ending)
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
    jobs = read_manifest(tmp_path, data, ending=ending)
    assert [(job.line, job.row["text"]) for job in jobs] == [(2, text), (4, text)]


def test_gzip_of_several_members_with_padding_is_one_manifest(tmp_path: Path) -> None:
    """Appended and padded archives are read to their end."""
    data = (
        gzip.compress(b"text\none\n", mtime=0)
        + b"\0" * 512
        + gzip.compress(b"two\n", mtime=0)
        + b"\0" * 8
    )
    assert [job.row["text"] for job in read_manifest(tmp_path, data)] == ["one", "two"]


def test_a_stream_that_gives_byte_by_byte_is_read_alike(tmp_path: Path) -> None:
    """No decision hangs on how many bytes a pipe hands over at a time."""

    class Dribble(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 1, 1))

    plain = b'\xef\xbb\xbf\r\nid,text\r\n1,"a\r\nb"\r\n2,\xd9\x85\r\n'
    for data in (plain, gzip.compress(plain, mtime=0)):
        stream = Dribble(data)
        rows = read_rows(
            stream, name="-", folder=tmp_path, providers=PROVIDERS, defaults=Defaults()
        )
        assert [(row.line, row.row["text"]) for row in rows] == [(3, "a\r\nb"), (5, "م")]
        assert not stream.closed


def test_a_column_beside_its_own_name_is_no_misspelling(tmp_path: Path) -> None:
    """Next to 'text' a column 'texts' is somebody's own, and travels."""
    job = read_job(tmp_path, "text,texts,voice,idx,voice_id\na,b,c,d,v\n")
    assert job.row == {"text": "a", "texts": "b", "voice": "c", "idx": "d", "voice_id": "v"}


def test_the_columns_are_those_the_rules_know() -> None:
    """The table for help texts has every column of the design, each with its meaning."""
    names = (
        "id text text_file audio voice_id model_id stability similarity_boost speed output_format "
        "dialect hotwords channels channel_names track reference output take provider"
    )
    assert " ".join(KNOWN_COLUMNS) == names
    assert all(KNOWN_COLUMNS.values())


def test_memory_does_not_grow_with_the_manifest(tmp_path: Path) -> None:
    """Ten times the rows need the same memory."""

    def peak(rows: int) -> int:
        path = tmp_path / "big.csv.gz"
        with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as file:
            file.write("text\n")
            file.writelines(f"{SENTENCE * 20} {number}\n" for number in range(rows))
        tracemalloc.start()
        try:
            count = sum(
                isinstance(row, Job)
                for row in read_rows(
                    path,
                    name="big",
                    folder=tmp_path,
                    providers=PROVIDERS,
                    defaults=Defaults(),
                )
            )
            assert count == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(5_000) < peak(1_000) * 1.2
