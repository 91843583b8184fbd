"""What libsndfile reads: recordings as FLAC, Ogg and MP3, and spans of result files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Final, Protocol

import soundfile

from batchjobs.audio.header import Header
from batchjobs.audio.mpeg import mpeg_length
from batchjobs.audio.source import CONVERT_HINT, Block, Container, Recording, Source, decoding_error
from batchjobs.errors import RecordingError

_MOST_FRAMES_PER_BYTE: Final = 8_192
"""Beyond what any decoder here makes of silence: a FLAC's longest frame, 65,535, takes 11 bytes."""
_SPAN_BLOCK_FRAMES: Final = 65_536
_STEPS: Final = {"PCM_S8": 2.0**-7, "PCM_16": 2.0**-15, "PCM_24": 2.0**-23}
"""Between two samples, of a full scale of 1: what decoders of sound that was coded give has none."""


class _Decoder(Protocol):
    """What is used of an open ``soundfile.SoundFile``, which has no types."""

    frames: int
    samplerate: int
    channels: int
    subtype: str

    def read(self, frames: int, dtype: str = ..., *, always_2d: bool = ...) -> Block: ...

    def seek(self, frames: int) -> int: ...


@contextmanager
def open_encoded(path: Path, file: BufferedReader, header: Header) -> Iterator[Source]:
    """Open a recording with libsndfile.

    Args:
        path: The recording.
        file: The same, open.
        header: What it is, and where it begins.

    Raises:
        RecordingError: It is damaged or cut off, or claims more than the file can hold.
    """
    size = os.fstat(file.fileno()).st_size
    is_mp3 = header.container is Container.MP3
    length = mpeg_length(file, header.offset, size) if is_mp3 else None
    os.lseek(file.fileno(), 0, os.SEEK_SET)  # below the buffer: libsndfile starts where it stands
    try:
        decoder = soundfile.SoundFile(file.fileno(), closefd=False)
    except soundfile.LibsndfileError as error:
        raise decoding_error(f"{path}", error.error_string) from error
    with decoder:
        # soundfile seeks after each read of a file that can seek. An MP3's decoder then forgets
        # the frame before, and its samples depend on the block size (measured).
        decoder.seekable = lambda: False
        most = least = decoder.frames
        frames = most if length is None else min(most, length.frames)
        if length is not None:
            least = length.frames - length.slack
            if most < least:
                raise RecordingError(
                    f"{path} is an MP3 of {length.frames} frames, of which only {most} would be read",
                    hint=CONVERT_HINT,
                )
        recording = Recording(
            path=path,
            container=header.container,
            sample_rate=decoder.samplerate,
            channels=decoder.channels,
            frames=frames,
        )
        _check_end(recording, decoder, size)
        read = partial(_read_blocks, recording, decoder)
        step = _STEPS.get(decoder.subtype, 0.0)
        yield Source(recording=recording, least_frames=least, read=read, step=step)


def _read_blocks(recording: Recording, decoder: _Decoder, block_frames: int) -> Iterator[Block]:
    left = decoder.frames
    while left:
        try:
            block = decoder.read(min(left, block_frames), dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            where = f" after {(decoder.frames - left) / recording.sample_rate:.2f} s"
            raise decoding_error(f"{recording.path}", error.error_string, where) from error
        if not len(block):
            return
        left -= len(block)
        yield block


def _check_end(recording: Recording, decoder: _Decoder, size: int) -> None:
    """Believe a length only if the file can hold it, and a FLAC's only if its end is there."""
    if recording.frames > size * _MOST_FRAMES_PER_BYTE:
        raise RecordingError(
            f"{recording.path} claims {recording.seconds:.0f} s in {size} bytes", hint=CONVERT_HINT
        )
    if recording.container is Container.FLAC:
        try:
            decoder.seek(recording.frames - 1)
            decoder.read(1)
            decoder.seek(0)
        except soundfile.LibsndfileError as error:
            raise decoding_error(f"{recording.path}", error.error_string) from error


def read_span(path: Path, first_frame: int, frames: int) -> Iterator[bytes]:
    """Read a span of a WAV or FLAC result of one channel, in pieces.

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
                block = file.read(min(left, _SPAN_BLOCK_FRAMES), dtype="int16")
                if not len(block):
                    raise RecordingError(f"{path} ends {left:,} frames too early")
                left -= len(block)
                yield block.tobytes()
    except (OSError, soundfile.SoundFileError) as error:
        raise RecordingError(f"{path} cannot be read: {error}") from error
