"""WAV in its kinds (RIFF, RIFX, RF64, BW64, Wave64): where the samples lie."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from typing import Final

from batchjobs.audio.chunks import (
    Chunk,
    Rest,
    Walk,
    find_chunks,
    find_rest,
    walk_iff,
    walk_riff,
    walk_wave64,
)
from batchjobs.audio.source import CONVERT_HINT, check_shape, read_at, size_of
from batchjobs.audio.uncompressed import (
    Layout,
    SampleFormat,
    Samples,
    check_claim,
    find_next_file,
    join_samples,
)
from batchjobs.errors import RecordingError

# What writers that cannot seek back put where the size belongs: ffmpeg, SoX, arecord, GStreamer.
_STREAMING_SIZES: Final = frozenset({0, 0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000})
_STREAMING_SIZES_FROM: Final = 0xFFFF_FF00
_WRAPS_AT: Final = 1 << 32
_NEXT_FILE: Final = (b"WAVEfmt ", 8)

_WAVE_EXTENSIBLE: Final = 0xFFFE
_WAVE_SUBFORMAT_TAIL: Final = bytes.fromhex("000000001000800000aa00389b71")
_WAVE_PCM, _WAVE_FLOAT, _WAVE_A_LAW, _WAVE_MU_LAW = 1, 3, 6, 7
_WAVE_FORMATS: Final = {
    (_WAVE_PCM, 8): SampleFormat.U8,
    (_WAVE_PCM, 16): SampleFormat.S16,
    (_WAVE_PCM, 24): SampleFormat.S24,
    (_WAVE_PCM, 32): SampleFormat.S32,
    (_WAVE_FLOAT, 32): SampleFormat.F32,
    (_WAVE_FLOAT, 64): SampleFormat.F64,
    (_WAVE_A_LAW, 8): SampleFormat.A_LAW,
    (_WAVE_MU_LAW, 8): SampleFormat.MU_LAW,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """How the chunks of a kind of WAV are walked.

    Attributes:
        walk: Walks them.
        head_bytes: Before the first chunk.
        is_big_endian: Whether its numbers begin with their highest byte.
        is_wide: Whether sizes have 64 bits, so that none wraps around.
        align: Chunks begin at multiples of so many bytes.
    """

    walk: Walk
    align: int = 2
    head_bytes: int = 12
    is_big_endian: bool = False
    is_wide: bool = False


_KINDS: Final = {
    b"RIFF": _Kind(walk=walk_riff),
    b"RF64": _Kind(walk=walk_riff),
    b"BW64": _Kind(walk=walk_riff),
    b"RIFX": _Kind(walk=walk_iff, is_big_endian=True),
    b"riff": _Kind(walk=walk_wave64, head_bytes=40, is_wide=True, align=8),
}


def read_wave(file: BufferedReader, _offset: int) -> Samples:
    """Read a WAV's header, and those of others that were joined to it.

    Raises:
        RecordingError: It is cut off, contradicts itself, or its samples are neither PCM nor float.
    """
    return join_samples(file, _read_files(file))


def _read_files(file: BufferedReader) -> Iterator[Samples]:
    """Read one file after the other."""
    position = 0
    size = size_of(file)
    while position < size:
        kind = _KINDS.get(read_at(file, position, 4))
        if kind is None:
            raise RecordingError(
                f"{file.name} goes on behind a WAV as something else, at byte {position}",
                hint="divide it, and give each part a row of its own",
            )
        samples, position = _read_file(file, kind, position, size)
        yield samples


def _read_file(file: BufferedReader, kind: _Kind, position: int, size: int) -> tuple[Samples, int]:
    """Read one WAV; give its samples, and where another file may begin."""
    position += kind.head_bytes
    chunks = find_chunks(file, kind.walk, position, frozenset({b"fmt ", b"data"}))
    layout = _read_layout(file, kind, chunks[b"fmt "]) if b"fmt " in chunks else None
    if layout is None or b"data" not in chunks:
        missing = "format" if layout is None else "audio"
        raise RecordingError(f"{file.name} is a WAV with no {missing}", hint=CONVERT_HINT)
    data = chunks[b"data"]
    length = _find_claim(file, kind, data, chunks.get(b"ds64"))
    if length == size - data.start:  # as nearly everywhere
        span = check_claim(file, layout, start=data.start, claimed=length, held=length)
        return Samples(layout=layout, spans=(span,)), size
    spans = []
    while True:
        span, rest, position = _find_end(file, kind, layout, start=data.start, length=length)
        spans.append(span)
        if rest is not Rest.SOUND:
            return Samples(layout=layout, spans=tuple(spans)), position
        data = next(kind.walk(file, position))
        length = _find_claim(file, kind, data, None)


def _find_claim(file: BufferedReader, kind: _Kind, data: Chunk, ds64: Chunk | None) -> int | None:
    """Find how many bytes of samples are claimed; None for all that is there."""
    if kind.is_wide:
        return data.length or None
    if data.length == _WRAPS_AT - 1 and ds64 is not None and ds64.length >= 16:
        return int.from_bytes(read_at(file, ds64.start + 8, 8), "little")
    if data.length not in _STREAMING_SIZES and data.length < _STREAMING_SIZES_FROM:
        return data.length
    is_empty = data.length == 0 and _has_only_chunks(file, kind.walk, data.start)
    return 0 if is_empty else None


def _has_only_chunks(file: BufferedReader, walk: Walk, position: int) -> bool:
    """Tell an empty recording with tags behind it from a streamed one without a size."""
    size = size_of(file)
    end = position
    for chunk in walk(file, position):
        if not all(0x20 <= byte < 0x7F for byte in chunk.identity):
            return False
        end = chunk.start + chunk.length
    return end in {size, size - 1}


def _find_end(
    file: BufferedReader, kind: _Kind, layout: Layout, *, start: int, length: int | None
) -> tuple[tuple[int, int], Rest, int]:
    """Find where the samples end: where they claim to, unless what follows says otherwise.

    Returns:
        Their span, what stands behind it, and where that begins.
    """
    size = size_of(file)
    claimed = length
    while claimed is not None and claimed <= size - start:
        rest, position = find_rest(file, kind.walk, start + claimed, b"data", align=kind.align)
        if rest is Rest.UNKNOWN and layout.is_no_sound(size - start - claimed):
            rest, position = Rest.NOTHING, size
        if rest is not Rest.UNKNOWN:
            span = check_claim(file, layout, start=start, claimed=claimed, held=size - start)
            return span, rest, position
        claimed = None if kind.is_wide else claimed + _WRAPS_AT
    if length is not None and length > size - start:
        check_claim(file, layout, start=start, claimed=length, held=size - start)
    end = find_next_file(file, start, _NEXT_FILE)
    span = check_claim(file, layout, start=start, claimed=end - start, held=end - start)
    return span, Rest.FILE if end < size else Rest.NOTHING, end


def _read_layout(file: BufferedReader, kind: _Kind, chunk: Chunk) -> Layout:
    fmt = read_at(file, chunk.start, min(chunk.length, 40))
    if len(fmt) < 16:
        raise RecordingError(f"{file.name} is cut off in its WAV header", hint="copy it again")
    order = ">" if kind.is_big_endian else "<"
    tag, channels, sample_rate, _, block_bytes, bits = struct.unpack_from(f"{order}HHIIHH", fmt)
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
        sample_rate=sample_rate,
        channels=channels,
        format=sample_format,
        is_big_endian=kind.is_big_endian,
    )
    if block_bytes != layout.frame_bytes:
        raise RecordingError(
            f"{file.name} contradicts itself: {block_bytes} bytes a frame, "
            f"but {channels} channels of {bits} bits",
            hint=CONVERT_HINT,
        )
    return layout
