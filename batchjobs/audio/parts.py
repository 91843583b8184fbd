"""Parts of a file that are recordings of their own, as of files joined by `cat`.

A decoder sees its part and nothing else, so that neither tags between two parts nor another header
end what it reads.
"""

import enum
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr

from batchjobs.audio.source import Block, Recording, Source

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Decoder(enum.Enum):
    """What reads a part."""

    SNDFILE = enum.auto()
    FFMPEG = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A recording within a file.

    Attributes:
        start: Where it begins.
        end: Where it ends.
        decoder: What reads it; what libsndfile would not read whole, FFmpeg is asked for.
        frames: Samples per channel, where it is known better than a decoder knows it; else 0.
        slack: How many fewer a decoder may give without anything being lost.
        tells_length: Whether its header says how long it is; else FFmpeg would guess it.
    """

    start: int
    end: int
    decoder: Decoder = Decoder.SNDFILE
    frames: int = 0
    slack: int = 0
    tells_length: bool = True


class Window(io.RawIOBase):
    """A part of an open file, as a file.

    Args:
        file: The open file; its position is changed.
        part: Where it begins and ends.
    """

    def __init__(self, file: BufferedReader, part: Part) -> None:
        self._file = file
        self._start = part.start
        self._size = part.end - part.start
        self._position = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be read from any place."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, and give it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Give the place."""
        return self._position

    def readinto(self, buffer: "Buffer", /) -> int:
        """Read into a buffer as much as it holds, or is left."""
        left = max(0, self._size - self._position)
        self._file.seek(self._start + self._position)
        count = self._file.readinto(memoryview(buffer).cast("B")[:left])
        self._position += count
        return count


Opener = Callable[[], AbstractContextManager[Source]]
"""Opens a part."""


def join_parts(path: Path, openers: Sequence[Opener]) -> Source:
    """Make one recording of several, one after the other, at the sample rate of the first.

    Args:
        path: The file that they are in.
        openers: Each opens one of them.

    Raises:
        RecordingError: One of them cannot be read.
    """
    least_seconds = 0.0
    recordings: list[Recording] = []
    step = 0.0
    for opener in openers:
        with opener() as source:
            recordings.append(source.recording)
            least_seconds += source.least_frames / source.recording.sample_rate
            step = source.step
    first = recordings[0]

    def read(block_frames: int) -> Iterator[Block]:
        for opener in openers:
            with opener() as source:
                yield from _resample(source, first.sample_rate, block_frames)

    recording = Recording(
        path=path,
        container=first.container,
        sample_rate=first.sample_rate,
        channels=max(each.channels for each in recordings),
        frames=round(sum(each.seconds for each in recordings) * first.sample_rate),
        track=first.track,
        tracks=first.tracks,
    )
    # Each part may be rounded by one.
    least_frames = int(least_seconds * first.sample_rate) - len(recordings)
    return Source(recording=recording, least_frames=least_frames, read=read, step=step)


def _resample(source: Source, sample_rate: int, block_frames: int) -> Iterator[Block]:
    recording = source.recording
    if recording.sample_rate == sample_rate:
        yield from source.read(block_frames)
        return
    resampler = soxr.ResampleStream(
        recording.sample_rate, sample_rate, recording.channels, dtype="float32", quality="HQ"
    )
    for block in source.read(block_frames):
        yield resampler.resample_chunk(block).reshape(-1, recording.channels)
    empty = np.empty((0, recording.channels), dtype=np.float32)
    yield resampler.resample_chunk(empty, last=True).reshape(-1, recording.channels)
