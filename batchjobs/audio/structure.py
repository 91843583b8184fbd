"""The outer structure of containers: whether they are whole, and the files that were joined in one.

FFmpeg reads the first of several files and what is there of a torn one, and says nothing.
"""

from collections.abc import Callable
from dataclasses import replace
from io import BufferedReader
from typing import Final, NamedTuple

from batchjobs.audio.parts import Decoder, Part
from batchjobs.audio.source import CONVERT_HINT, KEEP_REST_HINT, find_bytes, read_at, size_of
from batchjobs.audio.trailers import skip_trailers
from batchjobs.errors import RecordingError


class _Piece(NamedTuple):
    """An element of a container.

    Attributes:
        end: Where it says that it ends.
        is_first: Whether a file begins with it.
        is_idle: Whether nothing is lost with its end.
    """

    end: int
    is_first: bool = False
    is_idle: bool = False


_Read = Callable[[BufferedReader, int, int], _Piece | None]
"""Reads the element at a position, of a file of so many bytes; None if none begins there."""


def read_mp4(file: BufferedReader, _offset: int) -> tuple[Part, ...]:
    """Find the files in an MP4 or QuickTime file."""
    return _find_parts(file, _read_box, b"ftyp", 4)


def read_matroska(file: BufferedReader, _offset: int) -> tuple[Part, ...]:
    """Find the files in a Matroska or WebM file."""
    return _find_parts(file, _read_element, _EBML, 0)


def read_asf(file: BufferedReader, _offset: int) -> tuple[Part, ...]:
    """Find the files in a Windows Media file."""
    parts = _find_parts(file, _read_object, _ASF_HEADER, 0)
    return tuple(replace(part, tells_length=not _is_broadcast(file, part)) for part in parts)


def read_caf(file: BufferedReader, _offset: int) -> tuple[Part, ...]:
    """Find the files in a Core Audio file."""
    *parts, last = _find_parts(file, _read_caf_chunk, b"caff", 0)
    end = _find_chunks_end(file, last)
    if last.end - end > _MOST_ODD_BYTES:
        raise RecordingError(f"{file.name} holds more than its header says", hint=CONVERT_HINT)
    # What stands behind the chunks would send FFmpeg to places that are not there.
    return (*parts, replace(last, end=end))


def read_avi(file: BufferedReader, _offset: int) -> tuple[Part, ...]:
    """Find the files in an AVI video."""
    parts = _find_parts(file, _read_riff, b"AVI LIST", 8)
    return tuple(replace(part, tells_length=False) for part in parts)


def read_flash(file: BufferedReader, _offset: int) -> tuple[Part, ...]:
    """Find the files in a Flash video."""
    return _find_parts(file, _read_flash_tag, b"FLV\x01", 0)


def read_wavpack(file: BufferedReader, _offset: int) -> tuple[Part, ...]:
    """Find the files in a WavPack file."""
    return _find_parts(file, _read_wavpack_block, b"wvpk", 0)


def _find_parts(file: BufferedReader, read: _Read, mark: bytes, mark_at: int) -> tuple[Part, ...]:
    """Walk the elements of a file.

    Args:
        file: The open file; its position is changed, its name is for messages.
        read: Reads an element.
        mark: What a file begins with, or nearly so.
        mark_at: Bytes before that.

    Raises:
        RecordingError: It is cut off.
    """
    size = size_of(file)
    starts: list[int] = []
    ends: list[int] = []
    position = end = restarts = 0
    while position < size:
        piece = read(file, position, size)
        if piece is None:
            restarts += 1
            if restarts > _MOST_RESTARTS:
                raise RecordingError(f"{file.name} is torn in many places", hint=CONVERT_HINT)
            found = find_bytes(file, position, mark)
            place = max(found - mark_at, position + 1) if found >= 0 else size
            is_tag = skip_trailers(file, position, size) >= place  # zeros may be of what follows
            end, position = position if is_tag else place, place
            continue
        if piece.end > size and not piece.is_idle:
            raise RecordingError(
                f"{file.name} ends early: it claims {piece.end} bytes and holds {size}",
                hint=KEEP_REST_HINT,
            )
        if piece.is_first:
            ends += [end] if starts else []
            starts.append(position)
        end = position = piece.end
    starts = [0, *starts[1:]]
    return tuple(
        Part(start=start, end=end, decoder=Decoder.FFMPEG)
        for start, end in zip(starts, [*ends, size], strict=True)
    )


_IDLE_BOXES: Final = frozenset({b"free", b"skip", b"wide"})


def _read_box(file: BufferedReader, position: int, size: int) -> _Piece | None:
    """Read a box of an MP4 (ISO/IEC 14496-12, 4.2)."""
    head = read_at(file, position, 16)
    kind = head[4:8]
    if len(kind) < 4 or not kind.isalnum():
        return None
    length = int.from_bytes(head[:4])
    if length == 1:
        length = int.from_bytes(head[8:16])
    elif length == 0:
        length = size - position
    if length < 8:
        return None
    return _Piece(position + length, kind == b"ftyp", kind in _IDLE_BOXES)


_EBML: Final = b"\x1a\x45\xdf\xa3"
_NESTS: Final = frozenset({b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"})
"""A segment and a cluster, whose sizes are unknown while they are recorded: then what is in them is
walked."""
_ELEMENTS: Final = _NESTS | frozenset(
    bytes.fromhex(identity)
    for identity in (
        "1a45dfa3 ec bf 114d9b74 1549a966 1654ae6b 1c53bb6b 1254c367 1043a770 1941a469"
        " e7 a3 a0 ab a7 af 5854"
    ).split()
)
"""Those of the file, of a segment and of a cluster."""
_IDLE_ELEMENTS: Final = frozenset({b"\xec"})


def _read_element(file: BufferedReader, position: int, _size: int) -> _Piece | None:
    """Read an element of a Matroska file (RFC 8794, 4 to 6)."""
    head = read_at(file, position, 12)
    if len(head) < 2 or head[0] < 0x10:
        return None
    at = 9 - head[0].bit_length()
    identity, rest = head[:at], head[at:]
    if identity not in _ELEMENTS or not rest or not rest[0]:
        return None
    width = 9 - rest[0].bit_length()
    length = int.from_bytes(rest[:width]) & (1 << 7 * width) - 1
    start = position + at + width
    if length == (1 << 7 * width) - 1:
        return _Piece(start) if identity in _NESTS else None
    return _Piece(start + length, identity == _EBML, identity in _IDLE_ELEMENTS)


_ASF_HEADER: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA: Final = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_INDEXES: Final = frozenset(
    {
        bytes.fromhex("90080033b1e5cf1189f400a0c90349cb"),
        bytes.fromhex("d329e2d6da35d111903400a0c90349be"),
    }
)
_ASF_HEAD_BYTES: Final = 24


def _read_object(file: BufferedReader, position: int, size: int) -> _Piece | None:
    """Read an object of a Windows Media file (ASF specification, 2.1)."""
    head = read_at(file, position, _ASF_HEAD_BYTES)
    identity, length = head[:16], int.from_bytes(head[16:24], "little")
    if identity not in {_ASF_HEADER, _ASF_DATA, *_ASF_INDEXES}:
        return None
    if length < _ASF_HEAD_BYTES:  # of a broadcast
        length = size - position
    return _Piece(position + length, identity == _ASF_HEADER, identity in _ASF_INDEXES)


_ASF_PROPERTIES: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_PROPERTIES_WITHIN: Final = 65_536
_ASF_FLAGS_AT: Final = 88


def _is_broadcast(file: BufferedReader, part: Part) -> bool:
    """Tell whether a Windows Media file was streamed, and says nothing of its length."""
    head = read_at(file, part.start, _ASF_PROPERTIES_WITHIN)
    at = head.find(_ASF_PROPERTIES)
    return at < 0 or bool(head[at + _ASF_FLAGS_AT : at + _ASF_FLAGS_AT + 1] > b"\0")


_CAF_HEAD_BYTES: Final = 8
_MOST_RESTARTS: Final = 256
"""Places where a file may be torn; each costs a look through the next megabyte."""
_MOST_ODD_BYTES: Final = 4_096
"""More than this behind the last chunk may be sound."""
_IDLE_CHUNKS: Final = frozenset({b"free", b"info", b"uuid", b"strg", b"umid"})


def _read_caf_chunk(file: BufferedReader, position: int, size: int) -> _Piece | None:
    """Read a chunk of a Core Audio file, or the head of one."""
    head = read_at(file, position, 12)
    if head.startswith(b"caff\0\x01"):
        return _Piece(position + _CAF_HEAD_BYTES, is_first=True)
    identity, length = head[:4], int.from_bytes(head[4:12], signed=True)
    if len(head) < 12 or not identity.isalnum():
        return None
    if length < 0:  # to the end
        length = size - position - 12
    return _Piece(position + 12 + length, is_idle=identity in _IDLE_CHUNKS)


def _find_chunks_end(file: BufferedReader, part: Part) -> int:
    position = part.start
    while position < part.end:
        piece = _read_caf_chunk(file, position, part.end)
        if piece is None:
            break
        position = min(piece.end, part.end)
    return position


_STREAMING_SIZES_FROM: Final = 0xFFFF_FF00


def _read_riff(file: BufferedReader, position: int, size: int) -> _Piece | None:
    """Read one of the lists that an AVI is made of: the first, or a continuation."""
    head = read_at(file, position, 12)
    if not head.startswith(b"RIFF") or head[8:] not in {b"AVI ", b"AVIX"}:
        return None
    length = int.from_bytes(head[4:8], "little")
    end = position + 8 + length + length % 2
    # The last byte may be missing that makes a list even; a streamed one tells no size.
    if not length or length >= _STREAMING_SIZES_FROM or end == size + 1:
        end = size
    return _Piece(end, head[8:] == b"AVI ")


_FLASH_HEAD_BYTES: Final = 13
_FLASH_TAGS: Final = frozenset({8, 9, 18})


def _read_flash_tag(file: BufferedReader, position: int, size: int) -> _Piece | None:
    """Read a tag of a Flash video (FLV specification, E.3), or the head of one."""
    head = read_at(file, position, 11)
    if head.startswith(b"FLV\x01"):
        return _Piece(position + _FLASH_HEAD_BYTES, is_first=True)
    if len(head) < 11 or head[0] not in _FLASH_TAGS:
        return None
    end = position + 11 + int.from_bytes(head[1:4])
    return _Piece(end if end == size else end + 4)


_WAVPACK_BEGINS: Final = 1 << 11
"""The flag of the first block of several for the same samples."""


def _read_wavpack_block(file: BufferedReader, position: int, _size: int) -> _Piece | None:
    """Read a block of a WavPack file (its format's version 4)."""
    head = read_at(file, position, 32)
    if len(head) < 32 or not head.startswith(b"wvpk"):
        return None
    flags = int.from_bytes(head[24:28], "little")
    is_first = head[16:20] == bytes(4) and bool(flags & _WAVPACK_BEGINS)
    return _Piece(position + 8 + int.from_bytes(head[4:8], "little"), is_first)
