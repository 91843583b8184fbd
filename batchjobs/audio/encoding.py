"""Results out: 16-bit PCM of one channel as WAV, FLAC, Ogg or MP3, at once or piece by piece."""

import os
from collections.abc import Iterable, Sequence
from io import BytesIO, FileIO
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np
import soundfile

from batchjobs.audio.formats import FORMATS, ResultFormat
from batchjobs.audio.pcm import wav_header
from batchjobs.errors import OutputError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_BLOCK_FRAMES: Final = 16_384
"""Vorbis is written in small blocks: very long ones have ended the process in libsndfile 1.2.2."""


def encode(pcm: bytes, *, sample_rate: int, format: str) -> bytes:  # noqa: A002
    """Make a result file's whole content.

    Args:
        pcm: Little-endian signed 16-bit samples.
        sample_rate: In hertz.
        format: A key of `FORMATS`. WAV and FLAC hold the samples exactly; OGG and MP3 do not, and
            an OGG's bytes differ each time (a random stream serial).

    Raises:
        OutputError: No such format, a sample rate it cannot hold, half a sample, or a WAV of more
            than 4 GiB.
    """
    result = _find_format(format, sample_rate)
    if result.major == "WAV":
        return b"".join(wav_pieces((pcm,), sample_rate=sample_rate))
    _check_whole((pcm,))
    content = BytesIO()
    _encode_pieces(content, (pcm,), sample_rate=sample_rate, result=result)
    return content.getvalue()


def wav_pieces(pieces: Sequence[bytes], *, sample_rate: int) -> tuple[bytes, ...]:
    """Put a header before 16-bit samples, and copy none of them.

    By hand: 0.11 ms for 10 s, against 0.6 ms through libsndfile (measured).

    Raises:
        OutputError: A sample rate that WAV cannot hold, half a sample, or more than 4 GiB.
    """
    _find_format("wav", sample_rate)
    return wav_header(_check_whole(pieces), sample_rate=sample_rate), *pieces


def write_pcm(
    descriptor: int,
    pcm: Iterable[bytes],
    *,
    frames: int,
    sample_rate: int,
    format: str,  # noqa: A002
) -> None:
    """Write a result file piece by piece: its length needs no memory.

    Args:
        descriptor: Of an empty file.
        pcm: 16-bit samples, whole ones in every piece.
        frames: How many they are.
        sample_rate: In hertz.
        format: A key of `FORMATS`.

    Raises:
        OutputError: The format cannot hold it.
        OSError: The disk failed or is full.
    """
    result = _find_format(format, sample_rate)
    if result.major == "WAV":
        for piece in chain((wav_header(2 * frames, sample_rate=sample_rate),), pcm):
            _write_all(descriptor, piece)
        return
    file = _DescriptorFile(descriptor, "r+b", closefd=False)
    try:
        _encode_pieces(file, pcm, sample_rate=sample_rate, result=result)
    except (soundfile.SoundFileError, AssertionError):  # it wrote less than it was given
        if file.error is None:
            raise
    if file.error is not None:
        raise file.error


def _find_format(name: str, sample_rate: int) -> ResultFormat:
    result = FORMATS.get(name)
    if result is None:
        raise OutputError(f"no result format '{name}'", hint=f"use {', '.join(FORMATS)}")
    if sample_rate not in result.sample_rates:
        other = "flac" if name == "wav" else "wav or flac"
        raise OutputError(f"{name} cannot hold {sample_rate} Hz", hint=f"use {other}")
    return result


def _check_whole(pieces: Sequence[bytes]) -> int:
    size = sum(map(len, pieces))
    if size % 2:
        raise OutputError(f"{size} bytes of 16-bit PCM end in half a sample")
    return size


def _encode_pieces(
    file: "BytesIO | _DescriptorFile",
    pieces: Iterable[bytes],
    *,
    sample_rate: int,
    result: ResultFormat,
) -> None:
    with soundfile.SoundFile(
        file, "w", samplerate=sample_rate, channels=1, format=result.major, subtype=result.subtype
    ) as encoder:
        for piece in pieces:
            samples = np.frombuffer(piece, dtype="<i2")
            for start in range(0, len(samples), _BLOCK_FRAMES):
                encoder.write(samples[start : start + _BLOCK_FRAMES])


def _write_all(descriptor: int, piece: "ReadableBuffer") -> int:
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]
    return memoryview(piece).nbytes


class _DescriptorFile(FileIO):
    """A file that libsndfile writes through callbacks, which must not raise: it keeps the error."""

    error: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return _write_all(self.fileno(), data)
        except OSError as error:
            self.error = error
            return 0
