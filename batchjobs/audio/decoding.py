"""Recordings in: looked at, hashed, and decoded to 16-bit PCM of one channel.

Everything is decoded to float32, one channel, in blocks, so memory does not grow with a recording's
length. Samples become 16-bit integers in one place, by rounding half to even and clipping, without
dither: the same file gives the same bytes every time, and what was 16 bits stays exactly that.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import soxr

from batchjobs.audio.channels import align_block, mix_channels, take_channels
from batchjobs.audio.meter import LevelMeter
from batchjobs.audio.opening import open_file, open_source
from batchjobs.audio.pcm import quantise
from batchjobs.audio.source import (
    ALL_CHANNELS,
    CONVERT_HINT,
    KEEP_REST_HINT,
    Block,
    Heard,
    Recording,
    Source,
)
from batchjobs.errors import RecordingError

_BLOCK_FRAMES: Final = 48_000
"""Frames held at once; 12 MiB at the worst (32 channels of doubles). Of stereo in 16 bits a block is more
than 128 KiB, below which glibc gave the memory back each time: a quarter of the time (measured)."""

_HELD_SECONDS: Final = 4.0
"""Of a recording that has not been loud so far; 256 kB. A longer one is read again."""


def probe(path: Path, *, track: int = 0) -> Recording:
    """Look at a recording without decoding it.

    A FLAC's last frame is looked for, and an MP3 without a Xing header is walked through, because
    their headers say nothing about being cut off.

    Args:
        path: The recording.
        track: Which of its audio tracks, from 1; 0 for the default one.

    Returns:
        What it holds; at least a millisecond of audio.

    Raises:
        RecordingError: It cannot be read, is not on the list of safe formats, contradicts itself,
            is cut off or holds no audio.
    """
    with open_source(path, track) as source:
        return source.recording


def look_inside(path: Path, *, track: int = 0) -> tuple[Recording, float]:
    """Look at a recording as `probe` does.

    Returns:
        What it holds, and the smallest difference between two samples, of a full scale of 1; 0 if there is none.

    Raises:
        RecordingError: As `probe`.
    """
    with open_source(path, track) as source:
        return source.recording, source.step


def sha256_of(path: Path) -> str:
    """Hash a recording's file, byte for byte.

    Returns:
        64 hexadecimal digits.

    Raises:
        RecordingError: It cannot be read.
    """
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pcm_chunks(
    path: Path,
    *,
    sample_rate: int = 16_000,
    chunk_seconds: float = 1.0,
    gain: float | None = 1.0,
    heard: Heard = ALL_CHANNELS,
) -> Iterator[bytes]:
    """Decode a recording to one channel of 16-bit PCM, piece by piece.

    The channels are averaged, those turned round that would cancel others, then resampled by soxr at
    its high quality; the result does not depend on how the file is cut into blocks. A 16-bit mono file
    that has the sample rate already comes out as it is, unless it is raised.

    Args:
        path: The recording.
        sample_rate: Of the PCM, in hertz.
        chunk_seconds: Length of every chunk but the last, which is shorter or as long.
        gain: By which it is raised, as a `LevelMeter` finds it; None measures first, as far as needed,
            and raises what is very quiet: for whoever is to understand it, and never to measure it.
        heard: What of the recording.

    Yields:
        Little-endian signed 16-bit samples.

    Raises:
        RecordingError: As `probe`, at the first chunk; or the file turns out to be damaged or cut
            off, in which case all audio before was given, unless it is so quiet that all of it had to
            be measured first.
    """
    if gain is None:
        blocks = _raise(path, sample_rate, heard)
    else:
        blocks = _read(path, sample_rate, gain, heard)
    return _cut_chunks(blocks, max(1, round(sample_rate * chunk_seconds)))


def side_chunks(
    path: Path,
    sides: Sequence[tuple[int, ...]],
    *,
    sample_rate: int = 16_000,
    chunk_seconds: float = 1.0,
    gains: Sequence[float],
    track: int = 0,
) -> Iterator[tuple[bytes, ...]]:
    """Decode channels of a recording apart, in one pass.

    Args:
        path: The recording.
        sides: Which channels make each side, from 0.
        sample_rate: Of the PCM, in hertz.
        chunk_seconds: Length of every chunk but the last, which is shorter or as long.
        gains: By which each side is raised.
        track: Which of its audio tracks, from 1; 0 for the default one.

    Yields:
        A chunk of each side, as `pcm_chunks` gives it of that side alone, all of one length.

    Raises:
        RecordingError: As of `pcm_chunks`.
    """
    frames = max(1, round(sample_rate * chunk_seconds))
    with open_source(path, track) as source:
        chunks = [
            _cut_chunks(_raise_by(_bring_to_rate(mono, source, sample_rate), gain), frames)
            for mono, gain in zip(_read_sides(source, sides), gains, strict=True)
        ]
        yield from zip(*chunks, strict=True)


def side_blocks(
    path: Path, sides: Sequence[tuple[int, ...]], *, sample_rate: int = 16_000, track: int = 0
) -> Iterator[tuple[Block, ...]]:
    """Decode channels of a recording apart, in one pass, as they are before they become 16 bits.

    Yields:
        A block of each side, of one length where each side is a single channel.

    Raises:
        RecordingError: As of `pcm_chunks`.
    """
    with open_source(path, track) as source:
        monos = _read_sides(source, sides)
        yield from zip(*(_bring_to_rate(mono, source, sample_rate) for mono in monos), strict=True)


def _cut_chunks(blocks: Iterable[Block], frames: int) -> Iterator[bytes]:
    """Make 16-bit samples of blocks, so many frames at once, and what is left."""
    chunk_bytes = 2 * frames
    waiting = bytearray()
    for block in blocks:
        waiting += quantise(block)
        while len(waiting) >= chunk_bytes:
            yield bytes(waiting[:chunk_bytes])
            del waiting[:chunk_bytes]
    if waiting:
        yield bytes(waiting)


def measure_levels(
    path: Path, *, sample_rate: int = 16_000, heard: Heard = ALL_CHANNELS
) -> LevelMeter:
    """Measure how loud a recording is, frame by frame, before it becomes 16 bits.

    Raises:
        RecordingError: As of `pcm_chunks`.
    """
    with open_source(path, heard.track) as source:
        meter = LevelMeter(sample_rate, step=source.step)
        for block in _resample(source, sample_rate, heard.channels):
            meter.hear(block)
    return meter


def measure(path: Path) -> tuple[int, int]:
    """Measure a result file by decoding it to its end.

    Returns:
        Samples per channel, and the sample rate in hertz.

    Raises:
        RecordingError: It cannot be read, or not to its end.
    """
    with open_source(path) as source:
        frames = sum(len(block) for block in _read_mono(source))
        return frames, source.recording.sample_rate


def measure_peaks(path: Path, count: int) -> Block:
    """Measure the loudest sample of each of so many equal parts, for a picture of a recording.

    Args:
        path: The recording.
        count: How many parts.

    Returns:
        Levels from 0 to 1.

    Raises:
        RecordingError: As `probe`, or it is damaged further in.
    """
    peaks = np.zeros(count, dtype=np.float32)
    with open_source(path) as source:
        edges = np.arange(count, dtype=np.int64) * source.recording.frames // count
        at = 0
        for block in _read_mono(source):
            parts = np.searchsorted(edges, [at, at + len(block) - 1], side="right") - 1
            first, last = int(parts[0]), int(parts[1])
            starts = np.maximum(edges[first : last + 1] - at, 0)
            found = np.maximum.reduceat(np.abs(block), starts)
            np.maximum(peaks[first : last + 1], found, out=peaks[first : last + 1])
            at += len(block)
    return peaks


# -- samples ------------------------------------------------------------------------------------


def _read_blocks(source: Source) -> Iterator[Block]:
    return source.read(align_block(_BLOCK_FRAMES, source.recording.sample_rate))


def _read_mono(source: Source, channels: tuple[int, ...] = ()) -> Iterator[Block]:
    blocks = _read_blocks(source)
    return _check_mono(source, take_channels(blocks, channels) if channels else blocks)


def _read_sides(source: Source, sides: Sequence[tuple[int, ...]]) -> list[Iterator[Block]]:
    """Give each side as one channel; taken in turns, none of them is held for long."""
    copies = itertools.tee(_read_blocks(source), len(sides))
    return [
        _check_mono(source, take_channels(blocks, side))
        for blocks, side in zip(copies, sides, strict=True)
    ]


def _check_mono(source: Source, blocks: Iterable[Block]) -> Iterator[Block]:
    """Give one channel within full scale, and see that all of it comes."""
    recording = source.recording
    frames = 0
    for mono in mix_channels(blocks, recording.sample_rate):
        lowest, highest = mono.min(), mono.max()  # as fast as one look at whether all are finite
        if not np.isfinite(lowest + highest):
            raise RecordingError(
                f"{recording.path} holds a sample that is no number, "
                f"after {frames / recording.sample_rate:.2f} s",
                hint=CONVERT_HINT,
            )
        frames += len(mono)
        yield mono if lowest >= -1 and highest <= 1 else np.clip(mono, -1.0, 1.0)
    if frames < source.least_frames:
        raise RecordingError(
            f"{recording.path} ends early: it claims {recording.seconds:.2f} s "
            f"and holds {frames / recording.sample_rate:.2f} s",
            hint=KEEP_REST_HINT,
        )


def _read(path: Path, sample_rate: int, gain: float, heard: Heard) -> Iterator[Block]:
    """Decode a recording, raised by as much as is known."""
    with open_source(path, heard.track) as source:
        yield from _raise_by(_resample(source, sample_rate, heard.channels), gain)


def _raise_by(blocks: Iterable[Block], gain: float) -> Iterator[Block]:
    return (block if gain == 1 else block * np.float32(gain) for block in blocks)


def _raise(path: Path, sample_rate: int, heard: Heard) -> Iterator[Block]:
    """Decode a recording, raised by as much as it needs: once, if it is soon loud, or short."""
    held: list[Block] = []
    held_frames = 0
    with open_source(path, heard.track) as source:
        meter = LevelMeter(sample_rate, step=source.step)
        blocks = _resample(source, sample_rate, heard.channels)
        for block in blocks:
            meter.hear(block)
            held_frames += len(block)
            held.append(block)
            if held_frames > _HELD_SECONDS * sample_rate:
                held.clear()
                if meter.is_loud:
                    break
            elif meter.is_loud:
                yield from held
                yield from blocks
                return
    gain = np.float32(meter.find_gain())
    if held_frames > _HELD_SECONDS * sample_rate:
        yield from _read(path, sample_rate, float(gain), heard)
    else:
        yield from _raise_by(held, float(gain))


def _resample(source: Source, sample_rate: int, channels: tuple[int, ...] = ()) -> Iterator[Block]:
    """Bring the one channel to a sample rate."""
    return _bring_to_rate(_read_mono(source, channels), source, sample_rate)


def _bring_to_rate(mono: Iterator[Block], source: Source, sample_rate: int) -> Iterator[Block]:
    if source.recording.sample_rate == sample_rate:
        yield from mono
        return
    # In float32, whose output is bit-identical for every block size; int16 dithers at random.
    resampler = soxr.ResampleStream(
        source.recording.sample_rate, sample_rate, 1, dtype="float32", quality="HQ"
    )
    for block in mono:
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.empty(0, dtype=np.float32), last=True)
