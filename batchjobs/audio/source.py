"""What every decoder gives: an open recording, checked, whose samples can be read."""

import enum
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from batchjobs.errors import RecordingError

CONVERT_HINT: Final = "convert it first: ffmpeg -i IN OUT.flac"
KEEP_REST_HINT: Final = "copy it again, or keep what is there: ffmpeg -i IN OUT.flac"

_MOST_CHANNELS: Final = 32
_LOWEST_SAMPLE_RATE: Final = 1_000
_HIGHEST_SAMPLE_RATE: Final = 768_000
_SEARCHED_BYTES: Final = 1 << 20
_SHORTEST_FRAMES_PER_SECOND: Final = 1_000
"""A recording holds at least a millisecond: less would resample to nothing."""

Block: TypeAlias = NDArray[np.float32]
"""Frames, by channels if there are two axes."""


class Container(enum.StrEnum):
    """What a recording's file is."""

    WAV = "wav"
    AIFF = "aiff"
    FLAC = "flac"
    OGG = "ogg"
    MP3 = "mp3"
    MP4 = "mp4"
    MATROSKA = "matroska"
    ASF = "asf"
    CAF = "caf"
    W64 = "w64"
    AU = "au"
    AVI = "avi"
    AAC = "aac"
    AMR = "amr"
    AC3 = "ac3"
    WAVPACK = "wv"
    FLASH = "flv"
    MPEG_STREAM = "mpeg"
    TRANSPORT_STREAM = "mpegts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What a file holds.

    Attributes:
        path: Where it is.
        container: What it is, whatever its name says.
        sample_rate: In hertz.
        channels: How many.
        frames: Samples per channel.
        track: Which of its audio tracks is heard, from 1.
        tracks: How many it has.

    Raises:
        RecordingError: It has a shape that no recording has, or is shorter than a millisecond.
    """

    path: Path
    container: Container
    sample_rate: int
    channels: int
    frames: int
    track: int = 1
    tracks: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be a recording."""
        check_shape(self.path, sample_rate=self.sample_rate, channels=self.channels)
        if self.frames * _SHORTEST_FRAMES_PER_SECOND < self.sample_rate:
            raise RecordingError(
                f"{self.path} holds no audio ({self.frames} frames)",
                hint="leave this row out, or record it again",
            )

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.frames / self.sample_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What of a recording is decoded.

    Attributes:
        channels: Which channels make the one, from 0; none are all. Where there are fewer, it is the first.
        track: Which audio track, from 1; 0 for the default one. What has no tracks knows but one.
    """

    channels: tuple[int, ...] = ()
    track: int = 0


ALL_CHANNELS: Final = Heard()
"""As one, of the default track."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An open recording.

    Attributes:
        recording: What it holds.
        least_frames: Fewer decoded than this means that some are lost.
        read: Gives the samples in blocks of at most so many frames; one pass.
        step: The smallest difference between two samples, of a full scale of 1; 0 if there is none.
    """

    recording: Recording
    least_frames: int
    read: Callable[[int], Iterator[Block]]
    step: float = 0.0


def check_shape(path: Path | str, *, sample_rate: int, channels: int) -> None:
    """Refuse shapes that no recording has.

    Args:
        path: For the message.
        sample_rate: In hertz.
        channels: How many.

    Raises:
        RecordingError: Not 1 to 32 channels, or not 1,000 to 768,000 Hz.
    """
    if not 1 <= channels <= _MOST_CHANNELS:
        raise RecordingError(f"{path} claims {channels} channels", hint=CONVERT_HINT)
    if not _LOWEST_SAMPLE_RATE <= sample_rate <= _HIGHEST_SAMPLE_RATE:
        raise RecordingError(f"{path} claims a sample rate of {sample_rate} Hz", hint=CONVERT_HINT)


def decoding_error(subject: str, reason: str, where: str = "") -> RecordingError:
    """Make the error of a recording whose decoder gives up.

    Args:
        subject: The recording, as it begins the sentence.
        reason: What the decoder says.
        where: How far it came, with a space before it.
    """
    return RecordingError(
        f"{subject} cannot be decoded{where} ({reason.strip().rstrip('.')})",
        hint="it is damaged or cut off: copy it again, or keep the rest: ffmpeg -i IN OUT.flac",
    )


def read_at(file: BufferedReader, position: int, count: int) -> bytes:
    """Read bytes from a place in a file.

    Args:
        file: The open file.
        position: Where they begin.
        count: How many; at the end of the file there may be fewer.
    """
    file.seek(position)
    return file.read(count)


def size_of(file: BufferedReader) -> int:
    """Give the bytes of an open file."""
    return os.fstat(file.fileno()).st_size


def find_bytes(file: BufferedReader, position: int, wanted: bytes) -> int:
    """Find bytes in a file.

    Args:
        file: The open file.
        position: Where to begin.
        wanted: What to look for.

    Returns:
        Where it stands first; -1 if it does not.
    """
    file.seek(position)
    kept = b""
    while data := file.read(_SEARCHED_BYTES):
        text = kept + data
        found = text.find(wanted)
        if found >= 0:
            return position - len(kept) + found
        position += len(data)
        kept = text[1 - len(wanted) :]
    return -1
