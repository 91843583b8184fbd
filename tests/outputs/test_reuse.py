"""A result is copied where it is whole, and what has changed is said."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batchjobs.checkpoint import FileRecord
from batchjobs.files.atomic import publish
from batchjobs.outputs import reuse, writing
from batchjobs.outputs.reuse import copy_result, find_changes
from batchjobs.outputs.writing import write_speech, write_transcript
from tests.outputs.results import EVIDENCE, PCM, RATE, TRANSCRIPTS, make_transcript, publish_job
from tests.recordings import read_pcm


@pytest.mark.parametrize(
    ("held", "wanted"),
    [("a.wav", "b.wav"), ("a.wav", "b.flac"), ("a.flac", "b.wav"), ("a.FLAC", "x/b.flac")],
)
def test_exact_copies_are_exact(tmp_path: Path, held: str, wanted: str) -> None:
    """From one exact format to another, every sample is kept."""
    donor = publish_job(write_speech(tmp_path, held, PCM, RATE))
    written = copy_result(tmp_path, wanted, donor)
    assert written is not None
    publish(written.targets)
    assert read_pcm(tmp_path / wanted) == PCM
    assert written.pcm_sha256 == donor.pcm_sha256
    assert written.files[0].path == wanted


def test_from_wav_to_flac_to_mp3_nothing_is_bought(tmp_path: Path) -> None:
    """Each format comes of the one before; the MP3 then only makes MP3s, byte for byte."""
    job = publish_job(write_speech(tmp_path, "a.wav", PCM, RATE))
    for wanted in ("a.flac", "a.mp3", "b.mp3"):
        written = copy_result(tmp_path, wanted, job)
        assert written is not None
        assert written.pcm_sha256 == job.pcm_sha256
        job = publish_job(written)
    assert (tmp_path / "a.mp3").read_bytes() == (tmp_path / "b.mp3").read_bytes()
    for wanted in ("c.wav", "c.flac", "c.ogg"):
        assert copy_result(tmp_path, wanted, job) is None
    assert not list(tmp_path.glob("*c.*"))


@pytest.mark.parametrize("text", TRANSCRIPTS)
def test_a_copied_transcript_is_the_same_bytes(tmp_path: Path, text: str) -> None:
    """Both files are copied, under the new name."""
    written = write_transcript(
        tmp_path, "a.txt", make_transcript(text), audio_seconds=1.0, evidence=EVIDENCE
    )
    donor = publish_job(written, sample_rate=0)
    again = copy_result(tmp_path, "x/b.txt", donor)
    assert again is not None
    publish(again.targets)
    for ending in ("txt", "json"):
        copy = (tmp_path / "x" / f"b.{ending}").read_bytes()
        assert copy == (tmp_path / f"a.{ending}").read_bytes()


def test_a_copy_onto_its_own_place_keeps_it(tmp_path: Path) -> None:
    """What was set aside and comes back to its own path is the same file."""
    donor = publish_job(write_speech(tmp_path, "a.wav", PCM, RATE))
    written = copy_result(tmp_path, "a.wav", donor)
    assert written is not None
    publish(written.targets)
    assert read_pcm(tmp_path / "a.wav") == PCM


@pytest.mark.parametrize("wanted", ["b.wav", "b.flac"])
def test_a_donor_replaced_while_it_is_read_gives_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    """Its own row may be made anew at that moment: the copy has the old content, or is none."""
    donor = publish_job(write_speech(tmp_path, "a.wav", PCM, RATE))
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
    donor = publish_job(write_speech(tmp_path, "a.wav", PCM, RATE))
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
