"""FLAC: the recordings in a file, and how long they really are."""

import itertools
import re
from collections.abc import Iterator
from io import BufferedReader
from typing import Final, NamedTuple

from batchjobs.audio.parts import Decoder, Part
from batchjobs.audio.source import find_bytes, read_at, size_of
from batchjobs.errors import RecordingError

_MAGIC: Final = b"fLaC"
_INFO_BYTES: Final = 38
"""A block's header, and the first block: STREAMINFO."""
_FRAME_BYTES: Final = 16_384
"""Of a frame, if STREAMINFO does not tell the longest."""
_PLACES: Final = 4
_HEADER_BYTES: Final = 16
"""The longest header of a frame."""
_FRAME: Final = re.compile(rb"\xff[\xf8\xf9][\x10-\xff][\x00-\xaf]")
_BLOCK_SIZES: Final = {1: 192, **{code: 576 << code - 2 for code in range(2, 6)}} | {
    code: 256 << code - 8 for code in range(8, 16)
}
"""Samples of a frame by its code (RFC 9639, 9.1.1); 6 and 7 are followed by the number itself."""
_SIZE_BYTES: Final = {6: 1, 7: 2}
_RATE_BYTES: Final = {12: 1, 13: 2, 14: 2}


class _Info(NamedTuple):
    """What STREAMINFO says.

    Attributes:
        frames: Samples per channel; 0 if it does not tell.
        block_frames: Samples of every frame but the last, where all have the same.
        window_bytes: In so many bytes a frame begins.
    """

    frames: int
    block_frames: int
    window_bytes: int


def read_flac(file: BufferedReader, offset: int) -> tuple[Part, ...]:
    """Find the FLAC recordings of a file: one, or several that were joined.

    A length that STREAMINFO does not tell, or tells too short, is that of the last frame: libsndfile
    reads as much as it is told, so FFmpeg reads those.

    Args:
        file: The open file; its position is changed, its name is for messages.
        offset: Where the first one begins.

    Raises:
        RecordingError: It is cut off in its header.
    """
    end = size_of(file)
    if _is_one(file, _read_info(file, offset), offset, end):
        return (Part(start=offset, end=end),)
    starts = [offset, *_find_others(file, offset + len(_MAGIC))]
    ends = [*starts[1:], end]
    return tuple(_make_part(file, *place) for place in zip(starts, ends, strict=True))


def _read_info(file: BufferedReader, start: int) -> _Info:
    block = read_at(file, start + len(_MAGIC), _INFO_BYTES)
    if len(block) < _INFO_BYTES or block[0] & 0x7F != 0:
        raise RecordingError(f"{file.name} is cut off in its FLAC header", hint="copy it again")
    frames = int.from_bytes(block[17:22]) & (1 << 36) - 1
    longest = int.from_bytes(block[11:14]) or _FRAME_BYTES
    return _Info(frames, int.from_bytes(block[6:8]), longest + _HEADER_BYTES)


def _is_one(file: BufferedReader, info: _Info, start: int, end: int) -> bool:
    """Tell whether frames grow all along, to the length that is claimed.

    To search the whole file for another one takes as long as everything else about it.
    """
    begins = [-1]
    for number in range(1, _PLACES):
        place = start + (end - start) * number // _PLACES
        data = read_at(file, place, min(info.window_bytes, end - place))
        begins += [begin for begin, _ in itertools.islice(_find_frames(data, info), 1)]
    grows = all(one < other for one, other in itertools.pairwise(begins))
    spans = _read_spans(file, info, start, end, windows=1)
    return grows and max((last for _, last in spans), default=0) == info.frames


def _read_spans(
    file: BufferedReader, info: _Info, start: int, end: int, *, windows: int
) -> list[tuple[int, int]]:
    """Read which samples the last frames hold; there may be bytes among them that only look like one."""
    place = max(start, end - windows * info.window_bytes)
    return list(_find_frames(read_at(file, place, end - place), info))


def _find_last(spans: list[tuple[int, int]]) -> int:
    """Find where the last frame ends that follows another; 0 if none does."""
    ends: set[int] = set()
    last = 0
    for begin, end in spans:
        if begin in ends:
            last = max(last, end)
        ends.add(end)
    return last


def _find_others(file: BufferedReader, position: int) -> Iterator[int]:
    """Find where other FLAC files begin."""
    while (found := find_bytes(file, position, _MAGIC)) >= 0:
        position = found + len(_MAGIC)
        block = read_at(file, position, 4)
        if block[:1] in {b"\x00", b"\x80"} and block[1:] == b"\0\0\x22":
            yield found


def _make_part(file: BufferedReader, start: int, end: int) -> Part:
    info = _read_info(file, start)
    last = _find_last(_read_spans(file, info, start, end, windows=3))
    if last > info.frames:
        return Part(start=start, end=end, decoder=Decoder.FFMPEG, frames=last)
    decoder = Decoder.SNDFILE if info.frames else Decoder.FFMPEG
    return Part(start=start, end=end, decoder=decoder)


def _find_frames(data: bytes, info: _Info) -> Iterator[tuple[int, int]]:
    """Find frames by their headers; give the samples that each begins and ends with."""
    for match in _FRAME.finditer(data):
        header = data[match.start() : match.start() + _HEADER_BYTES]
        span = _read_frame(header, info.block_frames)
        if span is not None:
            yield span


def _read_frame(header: bytes, block_frames: int) -> tuple[int, int] | None:
    """Read which samples a frame holds; None if no frame begins here."""
    if len(header) < 6:
        return None
    size_code, rate_code = header[2] >> 4, header[2] & 15
    size_at = 4 + _measure_number(header[4])
    rate_at = size_at + _SIZE_BYTES.get(size_code, 0)
    end = rate_at + _RATE_BYTES.get(rate_code, 0)
    if size_at == 4 or len(header) <= end or _check_sum(header[:end]) != header[end]:
        return None
    number = _read_number(header[4:size_at])
    samples = _BLOCK_SIZES.get(size_code) or int.from_bytes(header[size_at:rate_at]) + 1
    begin = number if header[1] & 1 else number * block_frames
    return begin, begin + samples


def _measure_number(first: int) -> int:
    """Give the bytes of a number as UTF-8 writes it, by its first byte; 0 if it is none."""
    ones = 8 - (first ^ 0xFF).bit_length()
    return {0: 1, 1: 0, 8: 0}.get(ones, ones)


def _read_number(data: bytes) -> int:
    number = data[0] if len(data) == 1 else data[0] & (1 << 7 - len(data)) - 1
    for byte in data[1:]:
        number = number << 6 | byte & 0x3F
    return number


def _make_check_sums() -> bytes:
    """Make the table of CRC-8 with the polynomial 0x07."""
    table = list(range(256))
    for _ in range(8):
        table = [(value << 1 ^ (0x07 if value & 0x80 else 0)) & 0xFF for value in table]
    return bytes(table)


_CHECK_SUMS: Final = _make_check_sums()


def _check_sum(data: bytes) -> int:
    """Make the checksum of a frame's header."""
    total = 0
    for byte in data:
        total = _CHECK_SUMS[total ^ byte]
    return total
