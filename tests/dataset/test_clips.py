"""Clips: the run's own files, links to them, or others made of them as asked."""

import contextlib
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

import batchjobs
from batchjobs.dataset import clips, layout
from batchjobs.errors import UsageError
from batchjobs.options.dataset import ExportSettings
from tests.dataset.runs import make_run
from tests.dataset.test_exporting import read_rows

ROWS = [{"id": f"{n}", "text": f"نصّ {n}", "seconds": 0.6} for n in range(7)]


def digest(path: Path) -> str:
    """The hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("link", ["", "hard", "symbolic"])
def test_clips_are_the_run_s_own_files(tmp_path: Path, link: str) -> None:
    """Copies by default: what happens to one does not happen to the other."""
    run = make_run(tmp_path / "run", ROWS)
    report = batchjobs.export(run, ExportSettings(link=link))
    for number, row in enumerate(read_rows(report.path)):
        ours, theirs = run / f"audio/{number + 1}.wav", report.path / str(row["file_name"])
        assert digest(ours) == digest(theirs)
        assert ours.samefile(theirs) is bool(link)
        assert theirs.is_symlink() is (link == "symbolic")
    assert batchjobs.export(run, ExportSettings(link=link)) == report


def test_clips_that_are_made_are_no_links(tmp_path: Path) -> None:
    """And the run's own stay as they were."""
    run = make_run(tmp_path / "run", [*ROWS, {"id": "ogg", "text": "x", "output": "audio/x.ogg"}])
    report = batchjobs.export(run, ExportSettings(link="hard"))
    assert report.made == 1
    assert (report.path / "audio" / "000007.flac").stat().st_nlink == 1
    assert batchjobs.verify(run).wrong == ()


@pytest.mark.parametrize("form", ["hf", "ljspeech", "nemo", "lhotse"])
def test_a_folder_holds_so_many_clips_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """More of them are in folders of their own, and still found."""
    monkeypatch.setattr(layout, "MOST_FILES_IN_A_FOLDER", 3)
    run = make_run(tmp_path / "run", ROWS)
    report = batchjobs.export(run, ExportSettings(form=form))
    found = sorted(report.path.rglob("*.wav"))
    assert [path.parent.name for path in found] == ["000"] * 3 + ["001"] * 3 + ["002"]
    if form == "hf":
        names = [row["file_name"] for row in read_rows(report.path)]
        assert names == [path.relative_to(report.path).as_posix() for path in found]
    if form == "ljspeech":
        table = (report.path / "metadata.csv").read_text().splitlines()
        assert [f"{line.split('|')[0]}.wav" for line in table] == [
            path.relative_to(report.path / "wavs").as_posix() for path in found
        ]


def test_long_clips_pass_through_in_pieces_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit into memory comes to the very files that fit."""
    run = make_run(tmp_path / "run")
    asked: list[dict[str, Any]] = [
        {},
        {"sample_rate": 16_000, "trim": True, "loudness_lufs": -23.0, "audio_format": "flac"},
        {"form": "parquet", "sample_rate": 22_050, "audio_format": "wav"},
        {"form": "webdataset"},
    ]
    for number, changes in enumerate(asked):
        whole = batchjobs.export(run, ExportSettings(**changes), output=tmp_path / "set")
        sums = (whole.path / "SHA256SUMS").read_bytes()
        whole.path.rename(tmp_path / f"whole{number}")
        with monkeypatch.context() as patch:
            patch.setattr(clips, "_IN_MEMORY_BYTES", 1_000)
            pieces = batchjobs.export(run, ExportSettings(**changes), output=tmp_path / "set")
        assert (pieces.path / "SHA256SUMS").read_bytes() == sums
        pieces.path.rename(tmp_path / f"pieces{number}")


def test_silence_is_cut_and_speech_is_not(tmp_path: Path) -> None:
    """A tenth of a second stays at either end, and every sample between is as it was."""
    run = make_run(tmp_path / "run", [{"id": "a", "text": "x", "seconds": 2.0, "rate": 16_000}])
    report = batchjobs.export(run, ExportSettings(trim=True))
    before, _ = soundfile.read(run / "audio" / "1.wav", dtype="int16")
    after, rate = soundfile.read(report.path / "audio" / "000000.wav", dtype="int16")
    heard = np.flatnonzero(before)
    assert set(np.flatnonzero(after)) == set(heard - heard[0] + np.flatnonzero(after)[0])
    kept = np.flatnonzero(after)
    for edge in (kept[0], len(after) - 1 - kept[-1]):
        assert 0.1 <= edge / rate <= 0.125
    assert (after[kept] == before[heard]).all()


def test_silence_alone_is_not_cut(tmp_path: Path) -> None:
    """There is nothing in it to cut to."""
    run = make_run(tmp_path / "run", [{"id": "a", "text": "x", "seconds": 0.4}])
    report = batchjobs.export(run, ExportSettings(trim=True))
    (row,) = read_rows(report.path)
    assert row["seconds"] == 0.4


def test_clips_are_brought_to_a_loudness(tmp_path: Path) -> None:
    """Each by itself, to within half a unit, as another meter has it."""
    import av

    run = make_run(tmp_path / "run", [{"id": "a", "text": "x", "seconds": 3.0}])
    report = batchjobs.export(run, ExportSettings(loudness_lufs=-30.0))
    graph = av.filter.Graph()
    with av.open(str(report.path / "audio" / "000000.wav")) as file:
        source = graph.add_abuffer(template=file.streams.audio[0])
        meter = graph.add("ebur128", "metadata=1")
        sink = graph.add("abuffersink")
        source.link_to(meter)
        meter.link_to(sink)
        graph.configure()
        lufs = ""
        for frame in [*file.decode(audio=0), None]:
            graph.push(frame)
            with contextlib.suppress(av.error.BlockingIOError, av.error.EOFError):
                while True:
                    lufs = graph.pull().metadata.get("lavfi.r128.I", lufs)
    assert abs(float(lufs) + 30.0) < 0.5


def test_a_format_that_cannot_hold_a_rate_is_refused(tmp_path: Path) -> None:
    """Before anything is written."""
    run = make_run(tmp_path / "run", ROWS)
    with pytest.raises(UsageError, match="96000"):
        batchjobs.export(run, ExportSettings(audio_format="mp3", sample_rate=96_000))


def test_recordings_are_exported_with_what_was_heard(tmp_path: Path) -> None:
    """A run of transcriptions is a dataset too: its recordings, one channel each, and its words."""
    texts = {"a": "السلام عليكم", "b": "hello there"}
    spoken = tmp_path / "spoken"
    batchjobs.run(
        [{"id": name, "text": text} for name, text in texts.items()],
        batchjobs.Options(output=spoken, engine="tone"),
    ).raise_for_status()
    stereo, rate = soundfile.read(spoken / "audio" / "b.wav", dtype="int16")
    soundfile.write(spoken / "audio" / "b.wav", np.stack([stereo, stereo], axis=1), rate)
    heard = tmp_path / "heard"
    batchjobs.run(
        [{"id": name, "audio": f"audio/{name}.wav", "source": "tape"} for name in texts],
        batchjobs.Options(output=heard, engine="tone", input_root=spoken),
    ).raise_for_status()
    report = batchjobs.export(heard, ExportSettings(form="parquet"))
    rows = pq.read_table(next(report.path.glob("data/*"))).to_pylist()
    assert {row["id"]: row["text"] for row in rows} == texts
    assert report.made == 1
    for row in rows:
        samples, its_rate = soundfile.read(io.BytesIO(row["audio"]["bytes"]))
        assert samples.ndim == 1
        assert (row["seconds"], row["sample_rate"]) == (len(samples) / its_rate, its_rate)
        assert row["source"] == "tape"
    (spoken / "audio" / "a.wav").write_bytes(b"RIFF")
    assert batchjobs.export(heard, output=tmp_path / "again").damaged == ("a",)


def test_rates_and_formats_that_differ_stay_where_they_may(tmp_path: Path) -> None:
    """Each clip keeps its own, and the report tells of the rates."""
    run = make_run(tmp_path / "run")
    report = batchjobs.export(run, ExportSettings(form="lhotse"))
    assert report.made == 0
    assert report.sample_rates == {"16000": 1, "24000": 4}
