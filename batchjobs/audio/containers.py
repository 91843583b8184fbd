"""Recordings in containers that libsndfile does not read: MP4, Matroska, Windows Media, CAF."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from batchjobs.errors import RecordingError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

__all__ = ["READ", "DecodedAudio", "opened"]

_FORMATS: Final = {
    "mp4": "mov",
    "matroska": "matroska",
    "asf": "asf",
    "caf": "caf",
}
"""FFmpeg's names. Given, it guesses nothing: a playlist that names other files is none of these."""
_NAMES: Final = {
    "mp4": "an MP4 file (m4a, mp4, mov)",
    "matroska": "a Matroska or WebM file",
    "asf": "a Windows Media file (wma, wmv)",
    "caf": "a Core Audio file (caf)",
}
READ: Final = frozenset(_FORMATS)
"""The containers that are read here."""
_CODECS: Final = frozenset(
    [
        "aac",
        "alac",
        "mp3",
        "mp3float",
        "opus",
        "vorbis",
        "flac",
        "ac3",
        "eac3",
        "wmav1",
        "wmav2",
        "wmapro",
        "amrnb",
        "amrwb",
    ]
)
_LOST_SHARE: Final = 0.02
_LOST_SECONDS: Final = 0.5
"""Headers round lengths, and encoders fill the last packet."""
_CONVERT: Final = "convert it first: ffmpeg -i IN OUT.flac"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedAudio:
    """The first audio stream of an open container.

    Attributes:
        sample_rate: In hertz.
        channels: How many.
        frames: About how many, as its packets say.
        blocks: The samples, frames by channels; one pass.
    """

    sample_rate: int
    channels: int
    frames: int
    blocks: Iterator[NDArray[np.float32]]


@contextmanager
def opened(file: BufferedReader, container: str) -> Iterator[DecodedAudio]:
    """Open a container's first audio stream.

    Args:
        file: The open file; nothing else is opened, whatever it refers to.
        container: What its first bytes say that it is, one of `READ`.

    Raises:
        RecordingError: The extra ``book`` is not installed; the file is damaged or cut off, or holds
            no audio that is read.
    """
    try:
        import av
    except ImportError as error:
        raise RecordingError(
            f"{file.name} is {_NAMES[container]}, which needs the extra 'book'",
            hint="pip install 'batchjobs[book]', or convert it: ffmpeg -i IN OUT.flac",
        ) from error
    av.logging.set_level(None)
    try:
        frames = _counted(file, container)
        with _demuxed(file, container) as (source, stream):
            yield DecodedAudio(
                sample_rate=stream.rate,
                channels=stream.channels,
                frames=frames,
                blocks=_blocks(file.name, container, source, stream),
            )
    except (av.error.FFmpegError, ValueError) as error:
        raise _damaged(file.name, container, error) from error


@contextmanager
def _demuxed(
    file: BufferedReader, container: str
) -> "Iterator[tuple[InputContainer, AudioStream]]":
    import av

    file.seek(0)
    with av.open(file, "r", format=_FORMATS[container]) as source:
        if not source.streams.audio:
            raise RecordingError(f"{file.name} holds no audio", hint="name the recording itself")
        stream = source.streams.audio[0]
        codec = stream.codec_context.name
        if codec not in _CODECS and not codec.startswith("pcm_"):
            raise RecordingError(f"{file.name} holds audio as '{codec}'", hint=_CONVERT)
        yield source, stream


def _counted(file: BufferedReader, container: str) -> int:
    """Go through the packets, without decoding them: what is missing shows."""
    with _demuxed(file, container) as (source, stream):
        claimed = _claimed_seconds(source, stream)
        end = 0.0
        begin = float("inf")
        for packet in source.demux(stream):
            if packet.pts is None or packet.time_base is None:
                continue
            begin = min(begin, float(packet.pts * packet.time_base))
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        seconds = max(0.0, end - max(0.0, begin)) if end else 0.0
        if seconds < claimed * (1 - _LOST_SHARE) - _LOST_SECONDS:
            raise RecordingError(
                f"{file.name} ends early: it claims {claimed:.2f} s and holds {seconds:.2f} s",
                hint="copy it again, or keep what is there: ffmpeg -i IN OUT.flac",
            )
        return round(seconds * stream.rate)


def _claimed_seconds(source: "InputContainer", stream: "AudioStream") -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    # Of the whole file: its other streams may be longer.
    others = len(source.streams) > 1
    return 0.0 if others or not source.duration else source.duration / 1_000_000


def _blocks(
    name: str, container: str, source: "InputContainer", stream: "AudioStream"
) -> Iterator[NDArray[np.float32]]:
    import av

    resampler = av.AudioResampler(format="fltp", layout=stream.layout, rate=stream.rate)
    try:
        for frame in source.decode(stream):
            frame.pts = None  # gaps in the time line are no gaps in the sound
            for plain in resampler.resample(frame):
                yield plain.to_ndarray().T.astype(np.float32, copy=False)
        for plain in resampler.resample(None):
            yield plain.to_ndarray().T.astype(np.float32, copy=False)
    except (av.error.FFmpegError, ValueError) as error:
        raise _damaged(name, container, error) from error


def _damaged(name: str, container: str, error: Exception) -> RecordingError:
    reason = str(getattr(error, "strerror", "") or error)
    return RecordingError(
        f"{name} is {_NAMES[container]} that cannot be decoded ({reason.strip().rstrip('.')})",
        hint="it is damaged or cut off: copy it again, or keep the rest: ffmpeg -i IN OUT.flac",
    )
