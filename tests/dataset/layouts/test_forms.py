"""Every form, read back by other eyes: texts, ids, frames and splits as the run has them."""

import csv
import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from msgspec import structs

import batchjobs
from batchjobs.checkpoint import Checkpoint
from batchjobs.dataset.layouts.ljspeech import clean_text
from batchjobs.options.dataset import ExportSettings
from tests.builders import adopt
from tests.dataset.runs import frames_of, make_run, texts_of


@dataclass(frozen=True)
class Read:
    """A row as another reader has it: its text, its columns, and its sound's frames and rate."""

    text: str
    columns: Mapping[str, Any]
    frames: tuple[int, int]
    ending: str


def sound_of(content: bytes | Path) -> tuple[int, int]:
    """The frames and the rate of a clip's file."""
    samples, rate = soundfile.read(io.BytesIO(content) if isinstance(content, bytes) else content)
    return len(samples), rate


def read_hf(folder: Path, split: str) -> dict[str, Read]:
    """Read a folder of clips by its metadata."""
    place = folder / split if (folder / split).is_dir() else folder
    found = {}
    for row in pq.read_table(place / "metadata.parquet").to_pylist():
        path = place / row["file_name"]
        found[row["id"]] = Read(row["text"], row, sound_of(path), path.suffix)
    assert len(found) == sum(path.is_file() for path in (place / "audio").rglob("*"))
    return found


def read_parquet(folder: Path, split: str) -> dict[str, Read]:
    """Read shards with the sound inside."""
    audio = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    found = {}
    shards = sorted(folder.glob(f"data/{split}-*"))
    for number, path in enumerate(shards):
        assert path.name == f"{split}-{number:05}-of-{len(shards):05}.parquet"
        table = pq.read_table(path)
        assert table.schema.field("audio").type == audio
        features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        assert features["audio"] == {"_type": "Audio"}
        assert list(features) == table.schema.names
        for row in table.to_pylist():
            clip = row["audio"]
            ending = Path(clip["path"]).suffix
            found[row["id"]] = Read(row["text"], row, sound_of(clip["bytes"]), ending)
    return found


def read_ljspeech(folder: Path, split: str) -> dict[str, Read]:
    """Read the table as its readers do, which know no quotes; ids are beside it."""
    place = folder / split if (folder / split).is_dir() else folder
    rows = [json.loads(line) for line in (place / "rows.jsonl").read_text().split("\n") if line]
    with (place / "metadata.csv").open(encoding="utf-8", newline="") as lines:
        table = list(csv.reader(lines, delimiter="|", quoting=csv.QUOTE_NONE))
    unquoted = list(csv.reader((place / "metadata.csv").read_text().splitlines(), delimiter="|"))
    assert table == unquoted
    found = {}
    for row, (name, text, normalised) in zip(rows, table, strict=True):
        assert (name, text) == (row["file"], normalised)
        path = place / "wavs" / f"{name}.wav"
        assert text == clean_text(row["text"])
        found[row["id"]] = Read(row["text"], row, sound_of(path), path.suffix)
    return found


def read_webdataset(folder: Path, split: str) -> dict[str, Read]:
    """Read the shards: three members a sample, side by side, the same keys and types in all."""
    found = {}
    kinds = set()
    for shard in sorted(folder.glob(f"{split}-*.tar")):
        with tarfile.open(shard) as tar:
            members = [(member.name, read_member(tar, member)) for member in tar]
        for (sound, clip), (row, content), (text, words) in zip(
            members[::3], members[1::3], members[2::3], strict=True
        ):
            key, _, ending = sound.partition(".")
            assert (row, text) == (f"{key}.json", f"{key}.txt")
            columns = json.loads(content)
            kinds.add((ending, *((name, type(value)) for name, value in columns.items())))
            found[columns["id"]] = Read(words.decode(), columns, sound_of(clip), f".{ending}")
    assert len(kinds) == 1
    return found


def read_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """The content of a member."""
    assert (member.mtime, member.uid, member.mode) == (0, 0, 0o644)
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of JSON, which may be compressed."""
    content = path.read_bytes()
    lines = (gzip.decompress(content) if path.suffix == ".gz" else content).split(b"\n")
    return [json.loads(line) for line in lines if line]


def read_nemo(folder: Path, split: str) -> dict[str, Read]:
    """Read the manifest; a rate in a row would make NeMo believe its duration."""
    found = {}
    for row in read_jsonl(folder / f"{split}.json"):
        path = folder / row["audio_filepath"]
        sound = sound_of(path)
        assert not {"sampling_rate", "sample_rate", "offset"} & row.keys()
        columns = row | {"seconds": row["duration"], "sample_rate": sound[1]}
        found[row["id"]] = Read(row["text"], columns, sound, path.suffix)
    return found


def read_lhotse(folder: Path, split: str) -> dict[str, Read]:
    """Read the cuts, and see that the other two manifests say the same."""
    ending = f"_{split}.jsonl.gz" if (folder / f"cuts_{split}.jsonl.gz").exists() else ".jsonl.gz"
    cuts, recordings, supervisions = (
        read_jsonl(folder / f"{name}{ending}") for name in ("cuts", "recordings", "supervisions")
    )
    assert [cut["recording"] for cut in cuts] == recordings
    assert [cut["supervisions"][0] for cut in cuts] == supervisions
    return dict(
        read_cut(cut, Path(cut["recording"]["sources"][0]["source"]).read_bytes()) for cut in cuts
    )


def read_shar(folder: Path, split: str) -> dict[str, Read]:
    """Read the shards: members by the ids of their cuts, each with what it is."""
    place = folder / split if (folder / split).is_dir() else folder
    found = {}
    for path in sorted(place.glob("cuts.*.jsonl.gz")):
        number = path.name.split(".")[1]
        with tarfile.open(place / f"recording.{number}.tar") as tar:
            members = [(member.name, read_member(tar, member)) for member in tar]
        cuts = read_jsonl(path)
        for cut, (clip, recording) in zip(
            cuts, zip(members[::2], members[1::2], strict=True), strict=True
        ):
            assert clip[0].partition(".")[0] == cut["id"] == recording[0].partition(".")[0]
            assert json.loads(recording[1]) == cut["recording"]
            assert cut["recording"]["sources"] == [{"type": "shar", "channels": [0], "source": ""}]
            name, read = read_cut(cut, clip[1])
            found[name] = read
    return found


def read_cut(cut: dict[str, Any], content: bytes) -> tuple[str, Read]:
    """A cut of Lhotse's, by its row's id."""
    (supervision,), recording = cut["supervisions"], cut["recording"]
    assert cut["duration"] == supervision["duration"] == recording["duration"]
    assert cut["id"] == recording["id"] == supervision["recording_id"]
    assert cut["custom"]["id"] == supervision["id"] == supervision["custom"]["id"]
    frames, rate = recording["num_samples"], recording["sampling_rate"]
    assert (frames, rate) == sound_of(content)
    columns = supervision["custom"] | {"seconds": cut["duration"], "sample_rate": rate}
    return supervision["id"], Read(supervision["text"], columns, sound_of(content), "")


READERS: Final[Mapping[str, Callable[[Path, str], dict[str, Read]]]] = {
    "hf": read_hf,
    "parquet": read_parquet,
    "ljspeech": read_ljspeech,
    "webdataset": read_webdataset,
    "nemo": read_nemo,
    "lhotse": read_lhotse,
    "shar": read_shar,
}


def settings_for(form: str, **changes: Any) -> ExportSettings:
    """Settings of an export; Lhotse's shards are a form of their own here."""
    if form == "shar":
        return ExportSettings(form="lhotse", is_shar=True, **changes)
    return ExportSettings(form=form, **changes)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of rows that are awkward, in all formats and two rates."""
    return make_run(tmp_path_factory.mktemp("awkward") / "run")


@pytest.mark.parametrize("form", READERS)
def test_rows_are_read_back_as_they_were(run: Path, tmp_path: Path, form: str) -> None:
    """Texts and ids to the letter, and as many frames as the run has, at their rates."""
    report = batchjobs.export(run, settings_for(form), output=tmp_path / "set")
    found = READERS[form](report.path, "train")
    assert {name: read.text for name, read in found.items()} == texts_of()
    assert {name: read.frames for name, read in found.items()} == frames_of(run)
    for read in found.values():
        assert read.columns["seconds"] == read.frames[0] / read.frames[1]
        assert read.columns["sample_rate"] == read.frames[1]
    assert found["007"].columns["note"] == "NA"
    assert float(found["صباح"].columns["score"]) == 1.5


@pytest.mark.parametrize("form", READERS)
def test_splits_are_read_back_without_leakage(run: Path, tmp_path: Path, form: str) -> None:
    """Each row is in one split, where the form looks for it."""
    rows = [{"id": f"{n:03}", "text": f"نص {n}", "seconds": 0.6} for n in range(40)]
    many = make_run(tmp_path / "many", rows)
    shares = "train=60,validation=20,test=20"
    report = batchjobs.export(many, settings_for(form, split=shares))
    found = {split: READERS[form](report.path, split) for split in report.splits}
    assert {split: len(rows) for split, rows in found.items()} == report.splits
    assert all(report.splits.values())
    every = [name for rows in found.values() for name in rows]
    assert sorted(every) == [row["id"] for row in rows]


@pytest.mark.parametrize("form", READERS)
def test_clips_are_made_as_asked(run: Path, tmp_path: Path, form: str) -> None:
    """One rate, one loudness, no silence at the ends: durations are those of the files."""
    wanted = settings_for(form, sample_rate=16_000, trim=True, loudness_lufs=-23.0, max_seconds=0.8)
    report = batchjobs.export(run, wanted, output=tmp_path / "set")
    found = READERS[form](report.path, "train")
    # Half a second of each is silent, of which 0.1 s stay at either end; one is half a second longer.
    assert found.keys() == texts_of().keys() - {"x\ty"}
    assert report.left_out == {"longer than --max-seconds": 1}
    for read in found.values():
        assert read.frames[1] == 16_000
        assert 0.68 < read.columns["seconds"] == read.frames[0] / 16_000 <= 0.8
    assert report.made == report.rows == len(found)


@pytest.mark.parametrize("form", ["parquet", "webdataset", "shar"])
def test_shards_are_as_large_as_asked(tmp_path: Path, form: str) -> None:
    """Several of them, each full, hold every row once."""
    rows = [{"id": f"{n:03}", "text": f"نص {n}", "seconds": 0.8} for n in range(60)]
    run = make_run(tmp_path / "run", rows)
    report = batchjobs.export(run, settings_for(form, shard_megabytes=1))
    shards = [path for path in report.path.rglob("*") if path.suffix in {".tar", ".parquet"}]
    assert len(shards) == 3
    assert all(path.stat().st_size < 1_100_000 for path in shards)
    assert list(READERS[form](report.path, "train")) == [row["id"] for row in rows]


RESERVED: Final[Mapping[str, tuple[str, ...]]] = {
    "hf": ("file_name", "mask_file_name", "seconds", "voice"),
    "parquet": ("seconds", "voice", "file_name"),
    "webdataset": ("__key__", "seconds"),
    "nemo": ("offset", "context", "context_2", "rttm_filepath", "sampling_rate", "lang", "_skipme"),
    "lhotse": ("seconds", "voice"),
    "shar": ("seconds", "voice"),
    "ljspeech": ("file", "seconds"),
}


@pytest.mark.parametrize("form", READERS)
def test_columns_whose_names_are_taken_have_others(tmp_path: Path, form: str) -> None:
    """What a manifest calls so does not replace what the form, or we, call so; and it is told."""
    columns: dict[str, object] = {"row_seconds": "mine too", "plain": "kept"}
    columns |= dict.fromkeys(RESERVED[form], "mine")
    run = make_run(tmp_path / "run")
    with Checkpoint.open(run) as checkpoint:
        rows = [row for row, _ in checkpoint.rows.stream_outcomes()]
        jobs = [
            structs.replace(row.read_job(), row=columns | dict(row.read_job().row)) for row in rows
        ]
        changed = [
            row._replace(job=msgspec.json.encode(job)) for row, job in zip(rows, jobs, strict=True)
        ]
        adopt(checkpoint, *changed)
    report = batchjobs.export(run, settings_for(form), output=tmp_path / "set")
    assert report.renamed.keys() == set(RESERVED[form])
    found = READERS[form](report.path, "train")
    assert {name: read.frames for name, read in found.items()} == frames_of(run)
    for read in found.values():
        assert read.columns["plain"] == "kept"
        assert read.columns["row_seconds"] == "mine too"
        assert {read.columns[name] for name in report.renamed.values()} == {"mine"}


def test_a_table_without_quotes_has_texts_that_need_none() -> None:
    """What would end a field or a line is a space, and no field begins with a quote."""
    assert clean_text('"a|b\u2028 c\r\nd') == "a b c d"
    assert clean_text("مَرْحَبًا  x") == "مَرْحَبًا  x"
