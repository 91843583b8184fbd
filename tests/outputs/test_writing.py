"""A job's files: exactly what came, beside their places, or copied from an equal job's."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchjobs.audio import decoding
from batchjobs.checkpoint import FileRecord, JobRecord
from batchjobs.errors import OutputError
from batchjobs.files.atomic import part_path, publish
from batchjobs.jobs import Ending, Kind
from batchjobs.outputs import reuse, writing
from batchjobs.outputs.reuse import copy_result, find_changes
from batchjobs.outputs.writing import Written, write_speech, write_transcript
from batchjobs.transcripts.joining import Transcript, TranscriptPart, join_parts
from tests.builders import make_evidence, make_record
from tests.recordings import read_pcm

_RATE = 24_000
_PCM = (np.sin(np.arange(_RATE) * 0.07) * 12_000).astype("<i2").tobytes()
_TRANSCRIPTS = [
    "",
    "السَّلامُ عَلَيْكُم",
    "e\u0301 \u00e9 سـلام\u200dم \u200c٣٤ \u202babc\u202c\r\n\ttail \n",
    "\ufeffبداية\u2028line\u0085end\0",
]
_EVIDENCE = make_evidence(ending=Ending.ANSWERED)


def _heard(text: str) -> Transcript:
    """A transcript of one part."""
    return join_parts([TranscriptPart(start_seconds=0.0, seconds=2.0, text=text)])


def _job(written: Written, *, sample_rate: int = _RATE) -> JobRecord:
    """Publish what was written, and make the record of it."""
    publish(written.targets)
    return make_record(
        kind=Kind.TTS if sample_rate else Kind.STT,
        output=written.files[0].path,
        files=written.files,
        sample_rate=sample_rate,
        frames=len(_PCM) // 2,
        pcm_sha256=written.pcm_sha256,
    )


@pytest.mark.parametrize("name", ["audio/a.wav", "audio/صوت.FLAC", "a.wav"])
def test_exact_formats_hold_exactly_the_samples(tmp_path: Path, name: str) -> None:
    """A WAV or FLAC gives back every sample, and stands beside its place until it is published."""
    written = write_speech(tmp_path, name, _PCM, _RATE)
    assert written.targets == (tmp_path / name,)
    assert not (tmp_path / name).exists()
    assert part_path(tmp_path / name).exists()
    publish(written.targets)
    assert read_pcm(tmp_path / name) == _PCM
    assert decoding.measure(tmp_path / name) == (_RATE, _RATE)
    assert written.pcm_sha256 == hashlib.sha256(_PCM).hexdigest()
    content = (tmp_path / name).read_bytes()
    head = 44 if name.endswith(".wav") else 0
    digest = hashlib.sha256(content[head:] + content[:head]).hexdigest()
    assert written.files == (
        FileRecord(path=name, bytes=len(content), sha256=digest, head_bytes=head),
    )
    assert [path.name for path in (tmp_path / name).parent.iterdir()] == [Path(name).name]


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg"])
def test_formats_with_losses_keep_the_length(tmp_path: Path, name: str) -> None:
    """An MP3 or OGG is a second long too, and its record has the hash of what was sent."""
    written = write_speech(tmp_path, name, _PCM, _RATE)
    publish(written.targets)
    frames, rate = decoding.measure(tmp_path / name)
    assert frames == pytest.approx(rate, rel=0.1)
    assert written.pcm_sha256 == hashlib.sha256(_PCM).hexdigest()


def test_what_cannot_be_a_result_is_told(tmp_path: Path) -> None:
    """An ending that is no format, and a path that leads out, end in 73; nothing is written."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "link").symlink_to(tmp_path)
    for name in ("a.txt", "a", "../a.wav", "link/a.wav"):
        with pytest.raises(OutputError):
            write_speech(tmp_path / "run", name, _PCM, _RATE)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["link", "run"]


@pytest.mark.parametrize("text", _TRANSCRIPTS)
def test_a_transcript_is_written_byte_for_byte(tmp_path: Path, text: str) -> None:
    """The text file holds the text, trimmed, and nothing else; the JSON has it too, with the evidence."""
    written = write_transcript(
        tmp_path, "t/أ.txt", _heard(text), audio_seconds=1.23456, evidence=_EVIDENCE
    )
    publish(written.targets)
    assert [file.path for file in written.files] == [
        f"t/أ{ending}" for ending in (".txt", ".json", ".srt", ".vtt")
    ]
    assert (tmp_path / "t" / "أ.txt").read_bytes() == text.strip().encode()
    details = json.loads((tmp_path / "t" / "أ.json").read_bytes())
    assert details["text"] == text.strip()
    assert details["audio_seconds"] == 1.235
    assert details["evidence"]["ending"] == "answered"
    assert find_changes(tmp_path, written.files) == []


def test_a_transcript_named_json_has_its_details_beside_it(tmp_path: Path) -> None:
    """The two files of a transcript are never one."""
    written = write_transcript(
        tmp_path, "a.json", _heard("x"), audio_seconds=1.0, evidence=_EVIDENCE
    )
    assert [file.path for file in written.files] == ["a.json", "a.json.json", "a.srt", "a.vtt"]


@pytest.mark.parametrize(
    ("held", "wanted"),
    [("a.wav", "b.wav"), ("a.wav", "b.flac"), ("a.flac", "b.wav"), ("a.FLAC", "x/b.flac")],
)
def test_exact_copies_are_exact(tmp_path: Path, held: str, wanted: str) -> None:
    """From one exact format to another, every sample is kept."""
    donor = _job(write_speech(tmp_path, held, _PCM, _RATE))
    written = copy_result(tmp_path, wanted, donor)
    assert written is not None
    publish(written.targets)
    assert read_pcm(tmp_path / wanted) == _PCM
    assert written.pcm_sha256 == donor.pcm_sha256
    assert written.files[0].path == wanted


def test_from_wav_to_flac_to_mp3_nothing_is_bought(tmp_path: Path) -> None:
    """Each format comes of the one before; the MP3 then only makes MP3s, byte for byte."""
    job = _job(write_speech(tmp_path, "a.wav", _PCM, _RATE))
    for wanted in ("a.flac", "a.mp3", "b.mp3"):
        written = copy_result(tmp_path, wanted, job)
        assert written is not None
        assert written.pcm_sha256 == job.pcm_sha256
        job = _job(written)
    assert (tmp_path / "a.mp3").read_bytes() == (tmp_path / "b.mp3").read_bytes()
    for wanted in ("c.wav", "c.flac", "c.ogg"):
        assert copy_result(tmp_path, wanted, job) is None
    assert not list(tmp_path.glob("*c.*"))


@pytest.mark.parametrize("text", _TRANSCRIPTS)
def test_a_copied_transcript_is_the_same_bytes(tmp_path: Path, text: str) -> None:
    """Both files are copied, under the new name."""
    written = write_transcript(
        tmp_path, "a.txt", _heard(text), audio_seconds=1.0, evidence=_EVIDENCE
    )
    donor = _job(written, sample_rate=0)
    again = copy_result(tmp_path, "x/b.txt", donor)
    assert again is not None
    publish(again.targets)
    for ending in ("txt", "json"):
        copy = (tmp_path / "x" / f"b.{ending}").read_bytes()
        assert copy == (tmp_path / f"a.{ending}").read_bytes()


def test_a_copy_onto_its_own_place_keeps_it(tmp_path: Path) -> None:
    """What was set aside and comes back to its own path is the same file."""
    donor = _job(write_speech(tmp_path, "a.wav", _PCM, _RATE))
    written = copy_result(tmp_path, "a.wav", donor)
    assert written is not None
    publish(written.targets)
    assert read_pcm(tmp_path / "a.wav") == _PCM


@pytest.mark.parametrize("wanted", ["b.wav", "b.flac"])
def test_a_donor_replaced_while_it_is_read_gives_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    """Its own row may be made anew at that moment: the copy has the old content, or is none."""
    donor = _job(write_speech(tmp_path, "a.wav", _PCM, _RATE))
    content = (tmp_path / "a.wav").read_bytes()
    other = content[:44] + content[:43:-1]
    module, name = (reuse, "write_part") if wanted == "b.wav" else (writing, "fill_part")
    write = getattr(module, name)

    def replaced_and_written(target: Path, content: Any) -> Path:
        (tmp_path / "a.wav").write_bytes(other)
        return Path(write(target, content))

    monkeypatch.setattr(module, name, replaced_and_written)
    assert copy_result(tmp_path, wanted, donor) is None
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_a_damaged_donor_gives_nothing(tmp_path: Path) -> None:
    """Another byte, another size, a missing file, or no files at all: no copy is made."""
    donor = _job(write_speech(tmp_path, "a.wav", _PCM, _RATE))
    assert copy_result(tmp_path, "b.wav", replace(donor, files=())) is None
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[1_000] ^= 1
    for damaged in (bytes(content), bytes(content[:-2]), b""):
        (tmp_path / "a.wav").write_bytes(damaged)
        assert copy_result(tmp_path, "b.wav", donor) is None
    (tmp_path / "a.wav").unlink()
    assert copy_result(tmp_path, "b.wav", donor) is None
    assert list(tmp_path.iterdir()) == []


def test_changes_are_told_a_line_a_file(tmp_path: Path) -> None:
    """Size, content, absence, and what cannot be read, each in words; what is well is not named."""
    names = ["well.wav", "size.wav", "content.wav", "gone.wav", "file/x.wav", "fifo.txt"]
    files = []
    for name in names:
        content = b"" if name == "fifo.txt" else f"content of {name}".encode()
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        files.append(FileRecord(path=name, bytes=len(content), sha256=digest))
    assert find_changes(tmp_path, files) == []
    (tmp_path / "size.wav").write_bytes(b"x" * 1_234)
    (tmp_path / "content.wav").write_bytes(b"CONTENT of content.wav")
    (tmp_path / "gone.wav").unlink()
    (tmp_path / "file" / "x.wav").unlink()
    (tmp_path / "file").rmdir()
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "fifo.txt").unlink()
    os.mkfifo(tmp_path / "fifo.txt")
    changes = find_changes(tmp_path, files)
    assert changes[:4] == [
        "size.wav: 1,234 bytes, not 19",
        "content.wav: its content has changed",
        "gone.wav: is missing",
        "file/x.wav: cannot be read: Not a directory",
    ]
    assert changes[4].startswith("fifo.txt: cannot be read: ")
    assert "is not a plain file" in changes[4]
    assert len(changes) == 5
