"""Samples in result files: any span is read exactly, any length is written piece by piece."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from batchjobs.audio import decoding, encoding
from batchjobs.audio.encoding import write_pcm
from batchjobs.audio.sndfile import read_span
from batchjobs.errors import DiskError, DiskFullError, OutputError, RecordingError
from batchjobs.files.atomic import fill_part, part_path

RATE = 24_000
PCM = (np.random.default_rng(4).standard_normal(RATE * 5) * 5_000).astype("<i2").tobytes()


def pieces() -> Iterator[bytes]:
    """The samples in pieces of odd lengths."""
    for start in range(0, len(PCM), 70_002):
        yield PCM[start : start + 70_002]


def write_result(target: Path, ending: str) -> Path:
    """Write a file as results are written."""

    def fill(descriptor: int) -> None:
        write_pcm(descriptor, pieces(), frames=len(PCM) // 2, sample_rate=RATE, format=ending)

    fill_part(target, fill)
    return part_path(target).rename(target)


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_exact_formats_give_back_any_span(tmp_path: Path, ending: str) -> None:
    """From any sample on, as many as asked, whatever the pieces were."""
    path = write_result(tmp_path / f"a.{ending}", ending)
    for first, frames in ((0, RATE * 5), (1, 7), (70_001, 40_000), (RATE * 5 - 1, 1), (5, 0)):
        span = b"".join(read_span(path, first, frames))
        assert span == PCM[2 * first : 2 * (first + frames)]


def test_a_wav_is_the_same_in_pieces_and_at_once(tmp_path: Path) -> None:
    """Byte for byte."""
    path = write_result(tmp_path / "a.wav", "wav")
    assert path.read_bytes() == encoding.encode(PCM, sample_rate=RATE, format="wav")


@pytest.mark.parametrize("ending", ["ogg", "mp3"])
def test_lossy_formats_are_whole(tmp_path: Path, ending: str) -> None:
    """About as long, and readable to the end."""
    frames, rate = decoding.measure(write_result(tmp_path / f"a.{ending}", ending))
    assert rate == RATE
    assert abs(frames - RATE * 5) < 3_000


def test_what_a_format_cannot_hold_is_told(tmp_path: Path) -> None:
    """An MP3 of 7 kHz; and no file is left."""
    target = tmp_path / "a.mp3"
    with pytest.raises(OutputError, match="7000 Hz"):
        fill_part(target, lambda fd: write_pcm(fd, [], frames=0, sample_rate=7_000, format="mp3"))
    assert not part_path(target).exists()


def test_a_span_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Beyond the end, in a missing file, in one that is none."""
    path = write_result(tmp_path / "a.flac", "flac")
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    with pytest.raises(RecordingError, match="too early"):
        list(read_span(path, RATE * 4, RATE * 2))
    for name in ("none.wav", "b.wav"):
        with pytest.raises(RecordingError, match="cannot be read"):
            list(read_span(tmp_path / name, 0, 10))


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_a_full_disk_is_told(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not what the encoder makes of it, and with nothing on the terminal."""
    write = os.write
    room = 10_000

    def write_some(descriptor: int, data: bytes) -> int:
        nonlocal room
        if room <= 0:
            raise OSError(errno.ENOSPC, "full")
        room -= len(data)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", write_some)
    with pytest.raises(DiskFullError) as caught:
        write_result(tmp_path / f"a.{ending}", ending)
    assert isinstance(caught.value, DiskError)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr().err == ""
