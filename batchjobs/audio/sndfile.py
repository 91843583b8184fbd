"""What libsndfile reads: recordings as FLAC, Ogg and MP3, and spans of result files."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Final, Protocol

import soundfile

from batchjobs.audio.chatter import quiet_decoder
from batchjobs.audio.mpeg import has_frames
from batchjobs.audio.parts import Part, Window
from batchjobs.audio.source import (
    CONVERT_HINT,
    Block,
    Container,
    Recording,
    Source,
    decoding_error,
    size_of,
)
from batchjobs.errors import RecordingError

_MOST_FRAMES_PER_BYTE: Final = 8_192
"""Beyond what any decoder here makes of silence: a FLAC's longest frame, 65,535, takes 11 bytes."""
_UNREAD_BYTES: Final = 8_192
"""Tags, and what a decoder need not read of the last frames."""
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
def open_encoded(
    path: Path, file: BufferedReader, container: Container, part: Part
) -> Iterator[Source]:
    """Open a recording with libsndfile.

    Args:
        path: The recording.
        file: The same, open.
        container: What it is.
        part: Where it begins and ends.

    Yields:
        The recording; it has too few frames if libsndfile would not read all of it.

    Raises:
        RecordingError: It is damaged or cut off, or claims more than the file can hold.
    """
    is_whole = (part.start, part.end) == (0, size_of(file))
    with ExitStack() as stack:
        if container is Container.MP3:
            stack.enter_context(quiet_decoder())
        raw = stack.enter_context(_lend(file)) if is_whole else Window(file, part)
        try:
            decoder = soundfile.SoundFile(raw, closefd=False)
        except soundfile.LibsndfileError as error:
            raise decoding_error(f"{path}", error.error_string) from error
        stack.enter_context(decoder)
        # soundfile seeks after each read of a file that can seek. An MP3's decoder then forgets
        # the frame before, and its samples depend on the block size (measured).
        decoder.seekable = lambda: False
        recording = Recording(
            path=path,
            container=container,
            sample_rate=decoder.samplerate,
            channels=decoder.channels,
            frames=min(decoder.frames, part.frames) if part.frames else decoder.frames,
        )
        _check_end(recording, decoder, part.end - part.start)
        least = part.frames - part.slack if part.frames else decoder.frames

        def read(block_frames: int) -> Iterator[Block]:
            yield from _read_blocks(recording, decoder, block_frames)
            if container is Container.MP3 and is_whole:
                _check_rest(path, file)

        step = _STEPS.get(decoder.subtype, 0.0)
        yield Source(recording=recording, least_frames=least, read=read, step=step)


@contextmanager
def _lend(file: BufferedReader) -> Iterator[int]:
    """Lend the number of an open file, from its beginning, and put its place back."""
    number = file.fileno()
    place = os.lseek(number, 0, os.SEEK_CUR)  # below the buffer: libsndfile starts where it stands
    os.lseek(number, 0, os.SEEK_SET)
    try:
        yield number
    finally:
        os.lseek(number, place, os.SEEK_SET)


def _check_rest(path: Path, file: BufferedReader) -> None:
    """See that an MP3's decoder came to the end, and not only as far as a header counts."""
    place = os.lseek(file.fileno(), 0, os.SEEK_CUR)
    if size_of(file) - place <= _UNREAD_BYTES:
        return
    with path.open("rb") as other:
        if has_frames(other, place):
            raise RecordingError(f"{path} holds more than its header says", hint=CONVERT_HINT)


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
