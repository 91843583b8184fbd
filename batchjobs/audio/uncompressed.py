"""WAV and AIFF: headers and samples, read without a decoder."""

import enum
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final

from batchjobs.audio.pcm import to_floats
from batchjobs.audio.source import (
    CONVERT_HINT,
    Block,
    Container,
    Recording,
    Source,
    check_shape,
    read_at,
)
from batchjobs.errors import RecordingError

_CHUNKS_LOOKED_AT: Final = 1_000
"""Real files have a dozen; a file made of empty chunks must not take minutes."""
_RIFF_CHUNK: Final = struct.Struct("<4sI")
_IFF_CHUNK: Final = struct.Struct(">4sI")

# What writers that cannot seek back put where the size belongs: ffmpeg, SoX, arecord, GStreamer.
_STREAMING_SIZES: Final = frozenset({0, 0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000})
_STREAMING_SIZES_FROM: Final = 0xFFFF_FF00

_WAVE_EXTENSIBLE: Final = 0xFFFE
_WAVE_SUBFORMAT_TAIL: Final = bytes.fromhex("000000001000800000aa00389b71")


class SampleFormat(enum.StrEnum):
    """How one sample stands in the file: its type and its bytes, as numpy writes them."""

    U8 = "u1"
    S8 = "i1"
    S16 = "i2"
    S24 = "i3"
    S32 = "i4"
    F32 = "f4"
    F64 = "f8"

    @property
    def bytes(self) -> int:
        """Bytes of one sample."""
        return int(self.value[1])

    @property
    def step(self) -> float:
        """The smallest difference between two samples, of a full scale of 1; 0 of floats."""
        return 0.0 if self.value.startswith("f") else 2.0 ** (1 - 8 * self.bytes)


_WAVE_PCM, _WAVE_FLOAT = 1, 3
_WAVE_FORMATS: Final = {
    (_WAVE_PCM, 8): SampleFormat.U8,
    (_WAVE_PCM, 16): SampleFormat.S16,
    (_WAVE_PCM, 24): SampleFormat.S24,
    (_WAVE_PCM, 32): SampleFormat.S32,
    (_WAVE_FLOAT, 32): SampleFormat.F32,
    (_WAVE_FLOAT, 64): SampleFormat.F64,
}
_AIFF_INTEGERS: Final = {
    8: SampleFormat.S8,
    16: SampleFormat.S16,
    24: SampleFormat.S24,
    32: SampleFormat.S32,
}
_AIFF_OTHERS: Final = {
    b"raw ": SampleFormat.U8,
    b"fl32": SampleFormat.F32,
    b"FL32": SampleFormat.F32,
    b"fl64": SampleFormat.F64,
    b"FL64": SampleFormat.F64,
}


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Where a file's samples lie.

    Attributes:
        offset: Bytes before the first one.
        frames: Samples per channel that are really there.
        layout: Their shape.
    """

    offset: int
    frames: int
    layout: Layout


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
    file.seek(samples.offset)

    def read(block_frames: int) -> Iterator[Block]:
        left = samples.frames
        while left and (data := file.read(min(left, block_frames) * layout.frame_bytes)):
            whole = data[: len(data) - len(data) % layout.frame_bytes]
            block = to_floats(
                whole, sample_format=layout.format, is_big_endian=layout.is_big_endian
            ).reshape(-1, layout.channels)
            left -= len(block)
            yield block

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


# -- headers ------------------------------------------------------------------------------------


def read_wave(file: BufferedReader, _offset: int) -> Samples:
    """Read a WAV's header.

    Raises:
        RecordingError: It is cut off, contradicts itself, or its samples are neither PCM nor float.
    """
    chunks = _find_chunks(file, _RIFF_CHUNK, {b"fmt ", b"data"})
    layout = _wave_layout(file, *chunks[b"fmt "]) if b"fmt " in chunks else None
    if layout is None or b"data" not in chunks:
        missing = "format" if layout is None else "audio"
        raise RecordingError(f"{file.name} is a WAV with no {missing}", hint=CONVERT_HINT)
    start, length = chunks[b"data"]
    size = _size_of(file)
    long_start, long_length = chunks.get(b"ds64", (0, 0))
    if length == 0xFFFF_FFFF and long_length >= 16:
        length = int.from_bytes(read_at(file, long_start + 8, 8), "little")
    else:
        length = _find_claimed_bytes(file, start, length, size)
    return _check_samples(file, layout, start=start, claimed=length, held=size - start)


def read_aiff(file: BufferedReader, _offset: int) -> Samples:
    """Read an AIFF's header.

    Raises:
        RecordingError: It is cut off, contradicts itself, or its samples are neither PCM nor float.
    """
    chunks = _find_chunks(file, _IFF_CHUNK, {b"COMM", b"SSND"})
    frames, layout = _aiff_layout(file, *chunks[b"COMM"]) if b"COMM" in chunks else (0, None)
    if layout is None or b"SSND" not in chunks:
        missing = "format" if layout is None else "audio"
        raise RecordingError(f"{file.name} is an AIFF with no {missing}", hint=CONVERT_HINT)
    start, length = chunks[b"SSND"]
    skip = 8 + int.from_bytes(read_at(file, start, 4))
    held = min(length - skip, _size_of(file) - start - skip)
    return _check_samples(
        file, layout, start=start + skip, claimed=frames * layout.frame_bytes, held=held
    )


def _check_samples(
    file: BufferedReader, layout: Layout, *, start: int, claimed: int, held: int
) -> Samples:
    """Believe a claimed number of bytes only if the file holds them."""
    if claimed > held:
        a_second = layout.frame_bytes * layout.sample_rate
        raise RecordingError(
            f"{file.name} is truncated: it claims {claimed / a_second:.2f} s "
            f"and holds {max(0, held) / a_second:.2f} s",
            hint="copy it again, or keep what is there: ffmpeg -i IN OUT.wav",
        )
    return Samples(offset=start, frames=max(0, claimed) // layout.frame_bytes, layout=layout)


def _size_of(file: BufferedReader) -> int:
    return os.fstat(file.fileno()).st_size


def _walk_chunks(
    file: BufferedReader, position: int, shape: struct.Struct
) -> Iterator[tuple[bytes, int, int]]:
    """Walk the chunks of a RIFF or IFF file: identity, where the body starts, its size."""
    for _ in range(_CHUNKS_LOOKED_AT):
        head = read_at(file, position, shape.size)
        if len(head) < shape.size:
            return
        identity, size = shape.unpack(head)
        yield identity, position + shape.size, size
        position += shape.size + size + size % 2


def _find_chunks(
    file: BufferedReader, shape: struct.Struct, wanted: set[bytes]
) -> dict[bytes, tuple[int, int]]:
    """Find where chunks start and how long they are, until all that are wanted are there."""
    found: dict[bytes, tuple[int, int]] = {}
    for identity, start, length in _walk_chunks(file, 12, shape):
        found.setdefault(identity, (start, length))
        if wanted <= found.keys():
            break
    return found


def _find_claimed_bytes(file: BufferedReader, start: int, length: int, size: int) -> int:
    """Find how many bytes of samples a WAV claims; a streamed one claims all that is there."""
    if length not in _STREAMING_SIZES and length < _STREAMING_SIZES_FROM:
        return length
    is_empty = length == 0 and _has_only_chunks(file, start, size)
    return 0 if is_empty else size - start


def _has_only_chunks(file: BufferedReader, position: int, size: int) -> bool:
    """Tell an empty recording with tags behind it from a streamed one without a size."""
    end = position
    for identity, start, length in _walk_chunks(file, position, _RIFF_CHUNK):
        if not all(0x20 <= byte < 0x7F for byte in identity):
            return False
        end = start + length
    return end in {size, size - 1}


def _wave_layout(file: BufferedReader, start: int, length: int) -> Layout:
    fmt = read_at(file, start, min(length, 40))
    if len(fmt) < 16:
        raise RecordingError(f"{file.name} is cut off in its WAV header", hint="copy it again")
    tag, channels, sample_rate, _, block_bytes, bits = struct.unpack_from("<HHIIHH", fmt)
    if tag == _WAVE_EXTENSIBLE and fmt[26:40] == _WAVE_SUBFORMAT_TAIL:
        tag = int.from_bytes(fmt[24:26], "little")
    sample_format = _WAVE_FORMATS.get((tag, bits))
    if sample_format is None:
        raise RecordingError(
            f"{file.name} is a WAV of format {tag:#x} with {bits} bits, not PCM or float",
            hint="convert it first: ffmpeg -i IN OUT.wav",
        )
    check_shape(file.name, sample_rate=sample_rate, channels=channels)
    layout = Layout(
        sample_rate=sample_rate, channels=channels, format=sample_format, is_big_endian=False
    )
    if block_bytes != layout.frame_bytes:
        raise RecordingError(
            f"{file.name} contradicts itself: {block_bytes} bytes a frame, "
            f"but {channels} channels of {bits} bits",
            hint=CONVERT_HINT,
        )
    return layout


def _aiff_layout(file: BufferedReader, start: int, length: int) -> tuple[int, Layout]:
    """Read an AIFF's number of frames, and their shape."""
    comm = read_at(file, start, min(length, 22))
    if len(comm) < 18:
        raise RecordingError(f"{file.name} is cut off in its AIFF header", hint="copy it again")
    channels, frames, bits, exponent, mantissa = struct.unpack_from(">HIHHQ", comm)
    compression = comm[18:22] or b"NONE"
    sample_format = _AIFF_OTHERS.get(compression)
    if compression in {b"NONE", b"twos", b"sowt"}:
        sample_format = _AIFF_INTEGERS.get(bits)
    if sample_format is None:
        raise RecordingError(
            f"{file.name} is an AIFF of type {compression!r} with {bits} bits, not PCM or float",
            hint=CONVERT_HINT,
        )
    # An 80-bit float; a hostile exponent must not be shifted by.
    shift = 16383 + 63 - exponent
    sample_rate = mantissa >> shift if 0 <= shift < 64 else 0
    check_shape(file.name, sample_rate=sample_rate, channels=channels)
    return frames, Layout(
        sample_rate=sample_rate,
        channels=channels,
        format=sample_format,
        is_big_endian=compression != b"sowt",
    )
