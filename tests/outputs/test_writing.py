"""A job's files: exactly what came, beside their places."""

import hashlib
import json
from pathlib import Path

import pytest

from batchjobs.audio import decoding
from batchjobs.checkpoint import FileRecord
from batchjobs.errors import OutputError
from batchjobs.files.atomic import part_path, publish
from batchjobs.outputs.reuse import find_changes
from batchjobs.outputs.writing import write_speech, write_transcript
from tests.outputs.results import EVIDENCE, PCM, RATE, TRANSCRIPTS, make_transcript
from tests.recordings import read_pcm


@pytest.mark.parametrize("name", ["audio/a.wav", "audio/صوت.FLAC", "a.wav"])
def test_exact_formats_hold_exactly_the_samples(tmp_path: Path, name: str) -> None:
    """A WAV or FLAC gives back every sample, and stands beside its place until it is published."""
    written = write_speech(tmp_path, name, PCM, RATE)
    assert written.targets == (tmp_path / name,)
    assert not (tmp_path / name).exists()
    assert part_path(tmp_path / name).exists()
    publish(written.targets)
    assert read_pcm(tmp_path / name) == PCM
    assert decoding.measure(tmp_path / name) == (RATE, RATE)
    assert written.pcm_sha256 == hashlib.sha256(PCM).hexdigest()
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
    written = write_speech(tmp_path, name, PCM, RATE)
    publish(written.targets)
    frames, rate = decoding.measure(tmp_path / name)
    assert frames == pytest.approx(rate, rel=0.1)
    assert written.pcm_sha256 == hashlib.sha256(PCM).hexdigest()


def test_what_cannot_be_a_result_is_told(tmp_path: Path) -> None:
    """An ending that is no format, and a path that leads out, end in 73; nothing is written."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "link").symlink_to(tmp_path)
    for name in ("a.txt", "a", "../a.wav", "link/a.wav"):
        with pytest.raises(OutputError):
            write_speech(tmp_path / "run", name, PCM, RATE)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["link", "run"]


@pytest.mark.parametrize("text", TRANSCRIPTS)
def test_a_transcript_is_written_byte_for_byte(tmp_path: Path, text: str) -> None:
    """The text file holds the text, trimmed, and nothing else; the JSON has it too, with the evidence."""
    written = write_transcript(
        tmp_path, "t/أ.txt", make_transcript(text), audio_seconds=1.23456, evidence=EVIDENCE
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
        tmp_path, "a.json", make_transcript("x"), audio_seconds=1.0, evidence=EVIDENCE
    )
    assert [file.path for file in written.files] == ["a.json", "a.json.json", "a.srt", "a.vtt"]
