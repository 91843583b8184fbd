"""AIFF and AIFC: where the samples lie."""

import struct
from collections.abc import Iterator
from io import BufferedReader
from typing import Final

from batchjobs.audio.chunks import Chunk, Rest, find_chunks, find_rest, walk_iff
from batchjobs.audio.source import CONVERT_HINT, check_shape, read_at, size_of
from batchjobs.audio.uncompressed import (
    Layout,
    SampleFormat,
    Samples,
    check_claim,
    join_samples,
)
from batchjobs.errors import RecordingError

_INTEGERS: Final = {
    8: SampleFormat.S8,
    16: SampleFormat.S16,
    24: SampleFormat.S24,
    32: SampleFormat.S32,
}
_OTHERS: Final = {
    b"raw ": SampleFormat.U8,
    b"fl32": SampleFormat.F32,
    b"FL32": SampleFormat.F32,
    b"fl64": SampleFormat.F64,
    b"FL64": SampleFormat.F64,
    b"ulaw": SampleFormat.MU_LAW,
    b"ULAW": SampleFormat.MU_LAW,
    b"alaw": SampleFormat.A_LAW,
    b"ALAW": SampleFormat.A_LAW,
}
_STREAMING_SIZES: Final = frozenset({0x7FFF_FFFF, 0xFFFF_FFFF})
_SSND_HEAD_BYTES: Final = 8


def read_aiff(file: BufferedReader, _offset: int) -> Samples:
    """Read an AIFF's header, and those of others that were joined to it.

    Raises:
        RecordingError: It is cut off, contradicts itself, or its samples are neither PCM nor float.
    """
    return join_samples(file, _read_files(file))


def _read_files(file: BufferedReader) -> Iterator[Samples]:
    """Read one file after the other."""
    position = 0
    while position < size_of(file):
        if read_at(file, position, 4) != b"FORM":
            raise RecordingError(
                f"{file.name} goes on behind an AIFF as something else, at byte {position}",
                hint="divide it, and give each part a row of its own",
            )
        samples, position = _read_file(file, position + 12)
        yield samples


def _read_file(file: BufferedReader, position: int) -> tuple[Samples, int]:
    """Read one AIFF; give its samples, and where another file may begin."""
    chunks = find_chunks(file, walk_iff, position, frozenset({b"COMM", b"SSND"}))
    frames, layout = _read_layout(file, chunks[b"COMM"]) if b"COMM" in chunks else (0, None)
    if layout is None or b"SSND" not in chunks:
        missing = "format" if layout is None else "audio"
        raise RecordingError(f"{file.name} is an AIFF with no {missing}", hint=CONVERT_HINT)
    sound = chunks[b"SSND"]
    skip = _SSND_HEAD_BYTES + int.from_bytes(read_at(file, sound.start, 4))
    start = sound.start + skip
    size = size_of(file)
    end, position = _find_end(file, layout, sound, size)
    claimed, held = frames * layout.frame_bytes, end - start
    if not layout.is_no_sound(held - claimed):  # the count is the part that was never written
        claimed = held
    span = check_claim(file, layout, start=start, claimed=claimed, held=min(held, size - start))
    return Samples(layout=layout, spans=(span,)), position


def _find_end(file: BufferedReader, layout: Layout, sound: Chunk, size: int) -> tuple[int, int]:
    """Find where the samples end by their chunk, and where another file may begin."""
    end = sound.start + sound.length
    if sound.length in _STREAMING_SIZES:
        return size, size
    if end >= size:
        return end, size
    rest, position = find_rest(file, walk_iff, end, b"SSND")
    if rest is Rest.SOUND:
        raise RecordingError(f"{file.name} is an AIFF with two pieces of sound", hint=CONVERT_HINT)
    if rest is Rest.UNKNOWN:  # the claim is older than the sound
        return (end, size) if layout.is_no_sound(size - end) else (size, size)
    return end, position


def _read_layout(file: BufferedReader, chunk: Chunk) -> tuple[int, Layout]:
    """Read an AIFF's number of frames, and their shape."""
    comm = read_at(file, chunk.start, min(chunk.length, 22))
    if len(comm) < 18:
        raise RecordingError(f"{file.name} is cut off in its AIFF header", hint="copy it again")
    channels, frames, bits, exponent, mantissa = struct.unpack_from(">HIHHQ", comm)
    compression = comm[18:22] or b"NONE"
    sample_format = _OTHERS.get(compression)
    if compression in {b"NONE", b"twos", b"sowt"}:
        sample_format = _INTEGERS.get(bits)
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
