"""Ogg pages: each whole, none missing; decoders leave out the ones that are not, without a word."""

import zlib
from collections.abc import Iterator
from io import BufferedReader
from typing import Final, NamedTuple

from batchjobs.audio.source import CONVERT_HINT, KEEP_REST_HINT, find_bytes, read_at, size_of
from batchjobs.audio.trailers import skip_trailers
from batchjobs.errors import RecordingError

_MAGIC: Final = b"OggS"
_HEAD_BYTES: Final = 27
_IS_CONTINUED, _IS_FIRST, _IS_LAST = 0x01, 0x02, 0x04
_CHECKSUM_AT: Final = 22
_CHECKSUM_END: Final = 26
_NUMBERS: Final = 1 << 32
_REVERSED_BYTES: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_ALL_BITS: Final = 0xFFFF_FFFF


class Page(NamedTuple):
    """A page (RFC 3533, 6).

    Attributes:
        start: Where it begins.
        end: Where it ends.
        flags: Whether it is the first or the last of its stream, or continues a packet.
        stream: The stream's serial number.
        number: Of the page in its stream.
        position: What of the stream is there with its end, in a unit of the codec's; -1 if no packet
            ends in it.
        lengths: Of its segments; a packet ends with one of less than 255 bytes.
        body: All its segments.
    """

    start: int
    end: int
    flags: int
    stream: bytes
    number: int
    position: int
    lengths: bytes
    body: bytes

    @property
    def is_first(self) -> bool:
        """Whether a stream begins with it."""
        return bool(self.flags & _IS_FIRST)

    @property
    def is_last(self) -> bool:
        """Whether a stream ends with it."""
        return bool(self.flags & _IS_LAST)

    @property
    def is_continued(self) -> bool:
        """Whether it begins within a packet."""
        return bool(self.flags & _IS_CONTINUED)


def walk_pages(file: BufferedReader) -> Iterator[Page]:
    """Give a file's pages.

    Args:
        file: The open file; its position is changed, its name is for messages.

    Raises:
        RecordingError: A page is cut off, damaged or missing.
    """
    size = size_of(file)
    position = 0
    numbers: dict[bytes, int] = {}
    while position < size:
        page = _read_page(file, position, size)
        if page is None:
            position = _find_next_page(file, position, size)
            continue
        _check_number(file, page, numbers)
        yield page
        position = page.end


def _read_page(file: BufferedReader, position: int, size: int) -> Page | None:
    """Read the page at a position; None if none begins there."""
    head = read_at(file, position, _HEAD_BYTES)
    if not head.startswith(_MAGIC):
        return None
    lengths = file.read(head[26]) if len(head) == _HEAD_BYTES else b""
    begin = position + _HEAD_BYTES + len(lengths)
    end = begin + sum(lengths)
    if len(head) < _HEAD_BYTES or len(lengths) < head[26] or end > size:
        raise RecordingError(
            f"{file.name} ends early: its last Ogg page is cut off", hint=KEEP_REST_HINT
        )
    body = file.read(end - begin)
    said = int.from_bytes(head[_CHECKSUM_AT:_CHECKSUM_END], "little")
    if said != make_checksum(
        head[:_CHECKSUM_AT] + bytes(4) + head[_CHECKSUM_END:] + lengths + body
    ):
        raise RecordingError(
            f"{file.name} is damaged in the Ogg page at byte {position}: its checksum is another",
            hint=KEEP_REST_HINT,
        )
    return Page(
        start=position,
        end=end,
        flags=head[5],
        stream=head[14:18],
        number=int.from_bytes(head[18:22], "little"),
        position=int.from_bytes(head[6:14], "little", signed=True),
        lengths=lengths,
        body=body,
    )


def make_checksum(page: bytes) -> int:
    """Make the checksum of a page in which it is zero: CRC-32 whose first bit is the highest one.

    That of zlib has the same polynomial and takes the bits the other way round.
    """
    backwards = zlib.crc32(page.translate(_REVERSED_BYTES), _ALL_BITS) ^ _ALL_BITS
    return int.from_bytes(backwards.to_bytes(4).translate(_REVERSED_BYTES), "little")


def _check_number(file: BufferedReader, page: Page, numbers: dict[bytes, int]) -> None:
    """Refuse a stream that lacks pages, unless these are before its sound.

    Whoever records a broadcast gets its headers, and then the pages from where he came in.
    """
    before = numbers.get(page.stream)
    numbers[page.stream] = page.number
    if page.is_first or page.position == 0:
        numbers.pop(page.stream)
        return
    missing = 0 if before is None else (page.number - before - 1) % _NUMBERS
    if 0 < missing < _NUMBERS // 2:  # a number that stays or goes back is a writer's mistake
        raise RecordingError(
            f"{file.name} is damaged at byte {page.start}: {missing} Ogg pages are missing",
            hint=KEEP_REST_HINT,
        )


def _find_next_page(file: BufferedReader, position: int, size: int) -> int:
    """Find the next page behind tags, or the end of the file.

    Raises:
        RecordingError: Behind something that is no tag: pages are missing.
    """
    after = skip_trailers(file, position, size)
    if after >= size or read_at(file, after, 4) == _MAGIC:
        return after
    if find_bytes(file, after, _MAGIC) >= 0:
        raise RecordingError(
            f"{file.name} is damaged at byte {position}, where an Ogg page should begin",
            hint=CONVERT_HINT,
        )
    return size
