"""Samples in our own result files: reading a span of them, writing a file out of pieces."""

import os
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from batchjobs.audio.decoding import FORMATS, ResultFormat
from batchjobs.audio.pcm import wav_header
from batchjobs.errors import OutputError, RecordingError

__all__ = ["read_span", "write_pcm"]

_BLOCK_FRAMES: Final = 65_536
_ENCODED_FRAMES: Final = 4_096
"""libsndfile 1.2.2 overflows its stack when given minutes of Vorbis at once."""


def read_span(path: Path, first_frame: int, frames: int) -> Iterator[bytes]:
    """Read a span of a WAV or FLAC file of one channel, in pieces.

    Args:
        path: The file.
        first_frame: Where the span begins.
        frames: How long it is.

    Yields:
        16-bit samples.

    Raises:
        RecordingError: The file is missing or damaged, or ends before the span does.
    """
    left = frames
    try:
        with soundfile.SoundFile(path) as file:
            file.seek(first_frame)
            while left:
                block = file.read(min(left, _BLOCK_FRAMES), dtype="int16")
                if not len(block):
                    raise RecordingError(f"{path} ends {left:,} frames too early")
                left -= len(block)
                yield block.tobytes()
    except (OSError, soundfile.SoundFileError) as error:
        raise RecordingError(f"{path} cannot be read: {error}") from error


def write_pcm(
    descriptor: int,
    pcm: Iterable[bytes],
    *,
    frames: int,
    sample_rate: int,
    format: str,  # noqa: A002
) -> None:
    """Write a result file of one channel piece by piece: its length needs no memory.

    Args:
        descriptor: Of an empty file.
        pcm: 16-bit samples, whole ones in every piece.
        frames: How many they are.
        sample_rate: In hertz.
        format: A key of `audio.FORMATS`.

    Raises:
        OutputError: The format cannot hold it.
        OSError: The disk failed or is full.
    """
    result = FORMATS[format]
    if sample_rate not in result.sample_rates:
        raise OutputError(f"{format} cannot hold {sample_rate} Hz", hint="use wav or flac")
    if result.major == "WAV":
        for piece in chain((wav_header(2 * frames, sample_rate=sample_rate),), pcm):
            _write(descriptor, piece)
    else:
        _encode(descriptor, pcm, sample_rate=sample_rate, result=result)


def _encode(
    descriptor: int, pcm: Iterable[bytes], *, sample_rate: int, result: ResultFormat
) -> None:
    file = _Sink(descriptor)
    try:
        with soundfile.SoundFile(
            file,
            "w",
            samplerate=sample_rate,
            channels=1,
            format=result.major,
            subtype=result.subtype,
        ) as encoder:
            for piece in pcm:
                samples = np.frombuffer(piece, dtype="<i2")
                for start in range(0, len(samples), _ENCODED_FRAMES):
                    encoder.write(samples[start : start + _ENCODED_FRAMES])
    except (soundfile.SoundFileError, AssertionError):  # it wrote less than it was given
        if file.error is None:
            raise
    if file.error is not None:
        raise file.error


def _write(descriptor: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]


class _Sink:
    """A file as libsndfile uses it through callbacks, which no exception may pass."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return os.lseek(self._descriptor, offset, whence)

    def tell(self) -> int:
        return os.lseek(self._descriptor, 0, os.SEEK_CUR)

    def read(self, size: int) -> bytes:
        return os.read(self._descriptor, size)

    def write(self, data: bytes) -> int:
        try:
            _write(self._descriptor, data)
        except OSError as error:
            self.error = error
            return 0
        return len(data)

    def flush(self) -> None:
        """Nothing is held back here."""
