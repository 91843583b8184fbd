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
from batchjobs.audio.parts import Decoder, Part
from batchjobs.audio.source import CONVERT_HINT, KEEP_REST_HINT, check_shape, read_at, size_of
from batchjobs.audio.uncompressed import (
    NO_SOUND_SECONDS,
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
_MOST_ODD_BYTES: Final = 4_096
"""More than this behind coded samples may be sound."""
_WRAPS_AT: Final = 1 << 32
_STREAMING_FROM_WIDE: Final = 1 << 62
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


_CODED: Final = frozenset(
    {0x02, 0x11, 0x22, 0x31, 0x42, 0x45, 0x50, 0x55, 0x64, 0x65, 0xFF, 0x28F, 0x1600}
)
"""ADPCM, TrueSpeech, GSM, G.723, G.726, layer II, MP3, G.722 and AAC, by their tags."""


def read_wave(file: BufferedReader, _offset: int) -> Samples | tuple[Part, ...]:
    """Read a WAV's header, and those of others that were joined to it.

    Returns:
        Where the samples lie; or if they are coded, what FFmpeg is to decode.

    Raises:
        RecordingError: It is cut off, contradicts itself, or holds what is not read.
    """
    try:
        return join_samples(file, _read_files(file))
    except _CodedSoundError:
        return tuple(_read_coded(file))


class _CodedSoundError(Exception):
    """The samples need a decoder."""


def _read_coded(file: BufferedReader) -> Iterator[Part]:
    """Find the parts of a WAV whose samples are coded, each a file of its own."""
    start = 0
    size = size_of(file)
    while start < size:
        kind = _find_kind(file, start)
        wanted = frozenset({b"fmt ", b"data"})
        chunks = find_chunks(file, kind.walk, start + kind.head_bytes, wanted)
        if not wanted <= chunks.keys():
            raise RecordingError(f"{file.name} is a WAV with no audio", hint=CONVERT_HINT)
        bytes_per_second = int.from_bytes(read_at(file, chunks[b"fmt "].start + 8, 4), "little")
        end = _find_coded_end(file, kind, chunks[b"data"], bytes_per_second)
        yield Part(start=start, end=end, decoder=Decoder.FFMPEG, tells_length=False)
        start = end


def _find_coded_end(file: BufferedReader, kind: _Kind, data: Chunk, bytes_per_second: int) -> int:
    """Find where a file of coded samples ends, which may be where another begins.

    Raises:
        RecordingError: There is less than it claims, or more.
    """
    size = size_of(file)
    length = _find_claim(file, kind, data, None)
    if length is None:
        return find_next_file(file, data.start, _NEXT_FILE)
    end = data.start + length
    if end > size:
        raise RecordingError(
            f"{file.name} is truncated: it claims {length} bytes and holds {size - data.start}",
            hint=KEEP_REST_HINT,
        )
    rest, position = find_rest(file, kind.walk, end, b"data", align=kind.align)
    most = min(bytes_per_second * NO_SOUND_SECONDS, _MOST_ODD_BYTES)
    is_more = rest is Rest.UNKNOWN and size - end > most
    if is_more or rest is Rest.SOUND:
        raise RecordingError(f"{file.name} holds more than its header says", hint=CONVERT_HINT)
    return position if rest is Rest.FILE else size


def _read_files(file: BufferedReader) -> Iterator[Samples]:
    """Read one file after the other."""
    position = 0
    size = size_of(file)
    while position < size:
        kind = _find_kind(file, position)
        samples, position = _read_file(file, kind, position, size)
        yield samples


def _find_kind(file: BufferedReader, position: int) -> _Kind:
    """Say what kind of WAV begins somewhere.

    Raises:
        RecordingError: None does.
    """
    kind = _KINDS.get(read_at(file, position, 4))
    if kind is None:
        raise RecordingError(
            f"{file.name} goes on behind a WAV as something else, at byte {position}",
            hint="divide it, and give each part a row of its own",
        )
    return kind


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
        return data.length if 0 < data.length < _STREAMING_FROM_WIDE else None
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
    if tag in _CODED:
        raise _CodedSoundError
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
