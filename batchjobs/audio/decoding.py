"""Recordings in and results out: the only import of soundfile and soxr.

Everything is decoded to float32, one channel, in blocks, so memory does not grow with a recording's
length. Samples become 16-bit integers in one place, by rounding half to even and clipping, without
dither: the same file gives the same bytes every time, and what was 16 bits stays exactly that.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, TypeAlias

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from batchjobs.audio import containers
from batchjobs.audio.containers import DecodedAudio
from batchjobs.audio.header import Container, Samples, check_shape, read_header
from batchjobs.audio.mpeg import MpegLength, mpeg_length
from batchjobs.audio.pcm import averaged, ends_abruptly, floats, is_silent, quantised, wav_header
from batchjobs.errors import OutputError, RecordingError

__all__ = [
    "FORMATS",
    "Recording",
    "ResultFormat",
    "decoded_pcm",
    "encode",
    "ends_abruptly",
    "is_silent",
    "measured",
    "pcm_chunks",
    "probe",
    "sha256_of",
    "wav_pieces",
]

_BLOCK_FRAMES = 32_768
"""Frames held at once; 8 MiB at the worst (32 channels of doubles)."""
_ENCODED_BLOCK_FRAMES = 16_384
"""libsndfile 1.2.2 crashes when Vorbis gets minutes in one write (measured: 4,000,000 frames)."""
_MOST_FRAMES_PER_BYTE = 8_192
"""Beyond what any decoder here makes of silence: a FLAC's longest frame, 65,535, takes 11 bytes."""
_SHORTEST_FRAMES_PER_SECOND = 1_000
"""A recording holds at least a millisecond: less would resample to nothing."""

_Block: TypeAlias = NDArray[np.float32]
"""Frames, by channels if there are two axes."""

_CONTAINER_SLACK_SECONDS = 1

_CONVERT = "convert it first: ffmpeg -i IN OUT.flac"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFormat:
    """A kind of result file.

    Attributes:
        major: libsndfile's name of the container.
        subtype: libsndfile's name of the coding.
        exact: Whether it gives back the very samples it was given.
        sample_rates: Those it can hold, in hertz.
    """

    major: str
    subtype: str
    exact: bool
    sample_rates: range | frozenset[int]


_MPEG_RATES = frozenset({8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000})

FORMATS: Mapping[str, ResultFormat] = MappingProxyType(
    {
        "wav": ResultFormat(
            major="WAV", subtype="PCM_16", exact=True, sample_rates=range(1_000, 768_001)
        ),
        "flac": ResultFormat(
            major="FLAC", subtype="PCM_16", exact=True, sample_rates=range(1_000, 655_351)
        ),
        # Above 200,000 Hz libsndfile 1.2.2 ends the process with SIGSEGV (measured).
        "ogg": ResultFormat(
            major="OGG", subtype="VORBIS", exact=False, sample_rates=range(1_000, 192_001)
        ),
        "mp3": ResultFormat(
            major="MP3", subtype="MPEG_LAYER_III", exact=False, sample_rates=_MPEG_RATES
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What a file holds.

    Attributes:
        path: Where it is.
        format: ``wav``, ``aiff``, ``flac``, ``ogg`` or ``mp3``: what it is, whatever its name says.
        sample_rate: In hertz.
        channels: How many.
        frames: Samples per channel.
        seconds: Its length.
    """

    path: Path
    format: str
    sample_rate: int
    channels: int
    frames: int
    seconds: float


class _Decoder(Protocol):
    """What is used of an open ``soundfile.SoundFile``, which has no types."""

    frames: int
    samplerate: int
    channels: int

    def read(self, frames: int, dtype: str = ..., *, always_2d: bool = ...) -> _Block: ...

    def seek(self, frames: int) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """An open recording."""

    recording: Recording
    most_frames: int
    """Where to stop asking."""
    least_frames: int
    """Fewer decoded than this means that some are lost."""
    read: Callable[[int], _Block]
    """Gives the next frames, at most so many; none at the end."""


def probe(path: Path) -> Recording:
    """Look at a recording without decoding it.

    A FLAC's last frame is looked for, and an MP3 without a Xing header is walked through, because
    their headers say nothing about being cut off.

    Args:
        path: The recording.

    Returns:
        What it holds; at least a millisecond of audio.

    Raises:
        RecordingError: It cannot be read, is not on the list of safe formats, contradicts itself,
            is cut off or holds no audio.
    """
    with _opened(path) as file, _decoding(path, file) as source:
        return source.recording


def sha256_of(path: Path) -> str:
    """Hash a recording's file, byte for byte.

    Returns:
        64 hexadecimal digits.

    Raises:
        RecordingError: It cannot be read.
    """
    with _opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pcm_chunks(
    path: Path,
    *,
    sample_rate: int = 16_000,
    chunk_seconds: float = 1.0,
    _block_frames: int = _BLOCK_FRAMES,
) -> Iterator[bytes]:
    """Decode a recording to one channel of 16-bit PCM, piece by piece.

    The channels are averaged, then resampled by soxr at its high quality; the result does not
    depend on how the file is cut into blocks. A 16-bit mono file that has the sample rate already
    comes out as it is.

    Args:
        path: The recording.
        sample_rate: Of the PCM, in hertz.
        chunk_seconds: Length of every chunk but the last, which is shorter or as long.

    Yields:
        Little-endian signed 16-bit samples.

    Raises:
        RecordingError: As `probe`, at the first chunk; or the file turns out to be damaged or cut
            off, in which case all audio before was given.
    """
    chunk_bytes = 2 * max(1, round(sample_rate * chunk_seconds))
    waiting = bytearray()
    with _opened(path) as file, _decoding(path, file) as source:
        for block in _resampled(source, sample_rate, _block_frames):
            waiting += quantised(block)
            while len(waiting) >= chunk_bytes:
                yield bytes(waiting[:chunk_bytes])
                del waiting[:chunk_bytes]
    if waiting:
        yield bytes(waiting)


def decoded_pcm(path: Path) -> bytes:
    """Decode a whole result file to one channel of 16-bit PCM at its own sample rate.

    Returns:
        Little-endian signed 16-bit samples: of a WAV or FLAC of ours exactly those encoded.

    Raises:
        RecordingError: It cannot be read, or not to its end.
    """
    with _opened(path) as file, _decoding(path, file) as source:
        return b"".join(quantised(block) for block in _mono(source, _BLOCK_FRAMES))


def measured(path: Path) -> tuple[int, int]:
    """Measure a result file by decoding it to its end.

    Returns:
        Samples per channel, and the sample rate in hertz.

    Raises:
        RecordingError: It cannot be read, or not to its end.
    """
    with _opened(path) as file, _decoding(path, file) as source:
        frames = sum(len(block) for block in _mono(source, _BLOCK_FRAMES))
        return frames, source.recording.sample_rate


def encode(pcm: bytes | Iterable[bytes], *, sample_rate: int, format: str) -> bytes:  # noqa: A002
    """Make a result file's whole content out of one channel of 16-bit PCM.

    Args:
        pcm: Little-endian signed 16-bit samples, whole or in pieces of any lengths.
        sample_rate: In hertz.
        format: A key of `FORMATS`. WAV and FLAC hold the samples exactly; OGG and MP3 do not, and
            an OGG's bytes differ each time (a random stream serial).

    Returns:
        The file.

    Raises:
        OutputError: No such format, a sample rate it cannot hold, half a sample, or a WAV of more
            than 4 GiB.
    """
    result = FORMATS.get(format)
    if result is None:
        raise OutputError(f"no result format '{format}'", hint=f"use {', '.join(FORMATS)}")
    if sample_rate not in result.sample_rates:
        raise OutputError(f"{format} cannot hold {sample_rate} Hz", hint="use wav or flac")
    pieces = (pcm,) if isinstance(pcm, bytes) else tuple(pcm)
    if result.major == "WAV":
        return b"".join(wav_pieces(pieces, sample_rate=sample_rate))
    _check_whole(pieces)
    samples = np.frombuffer(b"".join(pieces), dtype="<i2")
    content = BytesIO()
    with soundfile.SoundFile(
        content,
        "w",
        samplerate=sample_rate,
        channels=1,
        format=result.major,
        subtype=result.subtype,
    ) as file:
        for start in range(0, len(samples), _ENCODED_BLOCK_FRAMES):
            file.write(samples[start : start + _ENCODED_BLOCK_FRAMES])
    return content.getvalue()


def wav_pieces(pieces: Sequence[bytes], *, sample_rate: int) -> tuple[bytes, ...]:
    """Put a header before 16-bit samples of one channel, and copy none of them.

    By hand: 0.11 ms for 10 s, against 0.6 ms through libsndfile (measured).

    Args:
        pieces: Little-endian samples.
        sample_rate: In hertz.

    Raises:
        OutputError: A sample rate that WAV cannot hold, half a sample, or more than 4 GiB.
    """
    if sample_rate not in FORMATS["wav"].sample_rates:
        raise OutputError(f"wav cannot hold {sample_rate} Hz", hint="use flac")
    return wav_header(_check_whole(pieces), sample_rate=sample_rate), *pieces


def _check_whole(pieces: Sequence[bytes]) -> int:
    size = sum(map(len, pieces))
    if size % 2:
        raise OutputError(f"{size} bytes of 16-bit PCM end in half a sample")
    return size


# -- opening -----------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    """Open a plain file, and translate whatever the system says against it."""
    try:
        # Before it is opened: to open a FIFO waits for ever, and to open a device may do things.
        if not path.is_file():
            what = "is not a plain file" if path.exists() else "does not exist"
            raise RecordingError(f"{path} {what}", hint="name a recording")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise RecordingError(
            f"{path} cannot be read: {reason}", hint="check the path, its permissions and the disk"
        ) from error


@contextmanager
def _decoding(path: Path, file: BufferedReader) -> Iterator[_Source]:
    """Look at the header, and only then let a decoder at the file."""
    header = read_header(file)
    if header.samples is not None:
        yield _plain(path, file, header.container, header.samples)
        return
    if header.container.value in containers.READ:
        with containers.opened(file, header.container.value) as contained:
            yield _contained(path, contained, header.container)
        return
    size = os.fstat(file.fileno()).st_size
    length = mpeg_length(file, header.offset, size) if header.container == Container.MP3 else None
    os.lseek(file.fileno(), 0, os.SEEK_SET)  # below the buffer: libsndfile starts where it stands
    try:
        decoder = soundfile.SoundFile(file.fileno(), closefd=False)
    except soundfile.LibsndfileError as error:
        raise _damaged(path, error.error_string) from error
    with decoder:
        # soundfile seeks after each read of a file that can seek. An MP3's decoder then forgets
        # the frame before, and its samples depend on the block size (measured).
        decoder.seekable = lambda: False
        source = _decoded(path, decoder, header.container, length)
        _check_end(source.recording, decoder, size)
        yield source


def _plain(path: Path, file: BufferedReader, container: Container, samples: Samples) -> _Source:
    file.seek(samples.offset)

    def read(frames: int) -> _Block:
        data = file.read(frames * samples.frame_bytes)
        whole = len(data) - len(data) % samples.frame_bytes
        numbers = floats(
            data[:whole], encoding=samples.encoding.value, big_endian=samples.big_endian
        )
        return numbers.reshape(-1, samples.channels)

    recording = _recording(
        path,
        container,
        sample_rate=samples.sample_rate,
        channels=samples.channels,
        frames=samples.frames,
    )
    return _Source(
        recording=recording, most_frames=samples.frames, least_frames=samples.frames, read=read
    )


def _contained(path: Path, contained: DecodedAudio, container: Container) -> _Source:
    waiting: list[_Block] = []

    def read(frames: int) -> _Block:
        block = waiting.pop() if waiting else next(contained.blocks, None)
        if block is None:
            return np.empty((0, contained.channels), dtype=np.float32)
        if len(block) > frames:
            waiting.append(block[frames:])
        return block[:frames]

    recording = _recording(
        path,
        container,
        sample_rate=contained.sample_rate,
        channels=contained.channels,
        frames=contained.frames,
    )
    # Its packets say about how long it is: encoders fill up the last one, and need some to begin.
    slack = contained.sample_rate * _CONTAINER_SLACK_SECONDS
    most, least = contained.frames + slack, contained.frames - slack
    return _Source(recording=recording, most_frames=most, least_frames=least, read=read)


def _decoded(
    path: Path, decoder: _Decoder, container: Container, length: MpegLength | None
) -> _Source:
    def read(frames: int) -> _Block:
        return decoder.read(frames, dtype="float32", always_2d=True)

    frames = least = decoder.frames
    if length is not None:
        least = length.frames - length.slack
        if frames < least:
            raise RecordingError(
                f"{path} is an MP3 of {length.frames} frames, of which only {frames} would be read",
                hint=_CONVERT,
            )
    recording = _recording(
        path,
        container,
        sample_rate=decoder.samplerate,
        channels=decoder.channels,
        frames=frames if length is None else min(frames, length.frames),
    )
    return _Source(recording=recording, most_frames=frames, least_frames=least, read=read)


def _check_end(recording: Recording, decoder: _Decoder, size: int) -> None:
    """Believe a length only if the file can hold it, and a FLAC's only if its end is there."""
    if recording.frames > size * _MOST_FRAMES_PER_BYTE:
        raise RecordingError(
            f"{recording.path} claims {recording.seconds:.0f} s in {size} bytes", hint=_CONVERT
        )
    if recording.format == Container.FLAC:
        try:
            decoder.seek(recording.frames - 1)
            decoder.read(1)
            decoder.seek(0)
        except soundfile.LibsndfileError as error:
            raise _damaged(recording.path, error.error_string) from error


def _recording(
    path: Path, container: Container, *, sample_rate: int, channels: int, frames: int
) -> Recording:
    check_shape(str(path), sample_rate=sample_rate, channels=channels)
    if frames * _SHORTEST_FRAMES_PER_SECOND < sample_rate:
        raise RecordingError(
            f"{path} holds no audio ({frames} frames)",
            hint="leave this row out, or record it again",
        )
    return Recording(
        path=path,
        format=container.value,
        sample_rate=sample_rate,
        channels=channels,
        frames=frames,
        seconds=frames / sample_rate,
    )


def _damaged(path: Path, reason: str, where: str = "") -> RecordingError:
    return RecordingError(
        f"{path} cannot be decoded{where} ({reason.strip().rstrip('.')})",
        hint="it is damaged or cut off: copy it again, or keep the rest: ffmpeg -i IN OUT.flac",
    )


def _cut_off(recording: Recording, frames: int) -> RecordingError:
    return RecordingError(
        f"{recording.path} ends early: it claims {recording.seconds:.2f} s "
        f"and holds {frames / recording.sample_rate:.2f} s",
        hint="copy it again, or keep what is there: ffmpeg -i IN OUT.flac",
    )


# -- samples -----------------------------------------------------------------------------------


def _mono(source: _Source, block_frames: int) -> Iterator[_Block]:
    """Give one channel within full scale, and see that all of it comes."""
    recording = source.recording
    frames = 0
    while frames < source.most_frames:
        seconds = frames / recording.sample_rate
        try:
            block = source.read(min(block_frames, source.most_frames - frames))
        except soundfile.LibsndfileError as error:
            raise _damaged(recording.path, error.error_string, f" after {seconds:.2f} s") from error
        if not len(block):
            break
        frames += len(block)
        mono = averaged(block)
        if not np.isfinite(mono).all():
            raise RecordingError(
                f"{recording.path} holds a sample that is no number, after {seconds:.2f} s",
                hint=_CONVERT,
            )
        yield np.clip(mono, -1.0, 1.0)
    if frames < source.least_frames:
        raise _cut_off(recording, frames)


def _resampled(source: _Source, sample_rate: int, block_frames: int) -> Iterator[_Block]:
    if source.recording.sample_rate == sample_rate:
        yield from _mono(source, block_frames)
        return
    # In float32, whose output is bit-identical for every block size; int16 dithers at random.
    resampler = soxr.ResampleStream(
        source.recording.sample_rate, sample_rate, 1, dtype="float32", quality="HQ"
    )
    for block in _mono(source, block_frames):
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.empty(0, dtype=np.float32), last=True)
