"""Samples that stand in a file as they are, read without a decoder."""

import enum
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final

from batchjobs.audio.pcm import to_floats
from batchjobs.audio.source import Block, Container, Recording, Source, find_bytes, size_of
from batchjobs.errors import RecordingError

_MOST_PIECES: Final = 500
"""A file made of empty files must not take minutes."""
NO_SOUND_SECONDS: Final = 0.1
"""No word is as short: less behind the sound is left out."""


class SampleFormat(enum.StrEnum):
    """How one sample stands in the file: its type and its bytes, as numpy writes them; those of telephones follow a curve."""

    U8 = "u1"
    S8 = "i1"
    S16 = "i2"
    S24 = "i3"
    S32 = "i4"
    F32 = "f4"
    F64 = "f8"
    MU_LAW = "U1"
    A_LAW = "A1"

    @property
    def bytes(self) -> int:
        """Bytes of one sample."""
        return int(self[1])

    @property
    def step(self) -> float:
        """The smallest difference between two samples, of a full scale of 1; 0 of floats."""
        if self in _CURVE_STEPS:
            return _CURVE_STEPS[self]
        return 0.0 if self.startswith("f") else 2.0 ** (1 - 8 * self.bytes)


_CURVE_STEPS: Final = {SampleFormat.MU_LAW: 2.0**-12, SampleFormat.A_LAW: 2.0**-11}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The shape of samples.

    Attributes:
        sample_rate: In hertz.
        channels: Interleaved.
        format: Of one sample.
        is_big_endian: Whether the first byte of a sample is its highest.
    """

    sample_rate: int
    channels: int
    format: SampleFormat
    is_big_endian: bool

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * self.format.bytes

    @property
    def bytes_per_second(self) -> int:
        """Bytes of a second of every channel."""
        return self.frame_bytes * self.sample_rate

    def is_no_sound(self, count: int) -> bool:
        """Tell whether bytes behind the sound are too few to be a word."""
        return count <= self.bytes_per_second * NO_SOUND_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Where a file's samples lie.

    Attributes:
        layout: Their shape.
        spans: Where each piece begins and how many bytes it has; whole frames.
    """

    layout: Layout
    spans: tuple[tuple[int, int], ...]

    @property
    def frames(self) -> int:
        """Samples per channel that are really there."""
        return sum(length for _, length in self.spans) // self.layout.frame_bytes


def open_samples(
    path: Path, file: BufferedReader, container: Container, samples: Samples
) -> Source:
    """Read samples as they stand in the file.

    Args:
        path: The recording.
        file: The same, open.
        container: What it is.
        samples: Where they lie.

    Raises:
        RecordingError: There are too few of them to be a recording.
    """
    layout = samples.layout

    def read(block_frames: int) -> Iterator[Block]:
        for start, length in samples.spans:
            file.seek(start)
            left = length
            while left and (data := file.read(min(left, block_frames * layout.frame_bytes))):
                left -= len(data)
                whole = data[: len(data) - len(data) % layout.frame_bytes]
                yield to_floats(
                    whole, sample_format=layout.format, is_big_endian=layout.is_big_endian
                ).reshape(-1, layout.channels)

    recording = Recording(
        path=path,
        container=container,
        sample_rate=layout.sample_rate,
        channels=layout.channels,
        frames=samples.frames,
    )
    return Source(
        recording=recording, least_frames=samples.frames, read=read, step=layout.format.step
    )


def check_claim(
    file: BufferedReader, layout: Layout, *, start: int, claimed: int, held: int
) -> tuple[int, int]:
    """Believe a claimed number of bytes only if the file holds them.

    Args:
        file: The open file, named in the message.
        layout: The shape of the samples.
        start: Where they begin.
        claimed: Bytes that they claim to have.
        held: Bytes that are there.

    Returns:
        The span of whole frames.

    Raises:
        RecordingError: It holds fewer.
    """
    if claimed > held:
        raise RecordingError(
            f"{file.name} is truncated: it claims {claimed / layout.bytes_per_second:.2f} s "
            f"and holds {max(0, held) / layout.bytes_per_second:.2f} s",
            hint="copy it again, or keep what is there: ffmpeg -i IN OUT.wav",
        )
    return start, max(0, claimed) // layout.frame_bytes * layout.frame_bytes


def join_samples(file: BufferedReader, pieces: Iterable[Samples]) -> Samples:
    """Put the samples of files that were joined behind each other.

    Args:
        file: The open file, named in the message.
        pieces: Of each file, at least one.

    Raises:
        RecordingError: They differ in their shape, or are absurdly many.
    """
    joined = list(itertools.islice(pieces, _MOST_PIECES + 1))
    if len(joined) == 1:  # as nearly everywhere
        return joined[0]
    layout = joined[0].layout
    if len(joined) > _MOST_PIECES or any(piece.layout != layout for piece in joined):
        raise RecordingError(
            f"{file.name} is several recordings in one file, of different sample rates, "
            "channels or formats",
            hint="divide it, and give each a row of its own",
        )
    return Samples(layout=layout, spans=tuple(span for piece in joined for span in piece.spans))


def find_next_file(file: BufferedReader, start: int, marks: tuple[bytes, int]) -> int:
    """Find where another file begins within samples whose end no claim tells.

    Args:
        file: The open file.
        start: Where the samples begin.
        marks: What stands near a file's beginning, and how many bytes after it.

    Returns:
        The place; the end of the file if there is none.
    """
    text, distance = marks
    found = find_bytes(file, start, text)
    return size_of(file) if found < 0 else max(start, found - distance)
