"""Ogg: the recordings in a file, each whole to its last page."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from io import BufferedReader
from typing import Final, NamedTuple

from batchjobs.audio.parts import Decoder, Part
from batchjobs.audio.source import CONVERT_HINT, KEEP_REST_HINT, find_bytes, read_at, size_of
from batchjobs.audio.trailers import skip_trailers
from batchjobs.errors import RecordingError

_MAGIC: Final = b"OggS"
_HEAD_BYTES: Final = 27 + 255
_IS_FIRST, _IS_LAST = 0x02, 0x04
_SNDFILE_CODECS: Final = (b"\x01vorbis", b"OpusHead")
_FLAC: Final = b"\x7fFLAC"
_CODECS: Final = (*_SNDFILE_CODECS, _FLAC, b"Speex   ")
_CODEC_BYTES: Final = 8


class _Page(NamedTuple):
    start: int
    end: int
    flags: int
    stream: bytes
    codec: bytes
    """What a first page begins with."""


@dataclass(slots=True, kw_only=True)
class _Link:
    """A recording: pages of streams that begin together (RFC 3533, 4).

    Attributes:
        start: Where it begins.
        end: Where it ends.
        codecs: Of each stream, what its first page begins with.
        ended: Streams that had their last page.
        has_begun: Whether a page came that is no first one.
    """

    start: int
    end: int
    codecs: dict[bytes, bytes] = field(default_factory=dict)
    ended: set[bytes] = field(default_factory=set)
    has_begun: bool = False

    def add(self, page: _Page) -> None:
        """Take a page in."""
        self.end = page.end
        if page.flags & _IS_FIRST:
            self.codecs[page.stream] = page.codec
        else:
            self.has_begun = True
        if page.flags & _IS_LAST:
            self.ended.add(page.stream)


def read_ogg(file: BufferedReader, _offset: int) -> tuple[Part, ...]:
    """Find the recordings of an Ogg file: one, or several that follow each other.

    Args:
        file: The open file; its position is changed, its name is for messages.

    Raises:
        RecordingError: It is damaged or cut off, or holds no codec that is read.
    """
    links: list[_Link] = []
    for page in _walk_pages(file):
        is_next = not links or (page.flags & _IS_FIRST and links[-1].has_begun)
        if is_next:
            links.append(_Link(start=page.start, end=page.end))
        links[-1].add(page)
    return tuple(_make_part(file, link) for link in links)


def _walk_pages(file: BufferedReader) -> Iterator[_Page]:
    size = size_of(file)
    position = 0
    while position < size:
        head = read_at(file, position, _HEAD_BYTES)
        count = head[26] if len(head) >= 27 else 0
        end = position + 27 + count + sum(head[27 : 27 + count])
        if not head.startswith(_MAGIC):
            position = _find_next_page(file, position, size)
            continue
        if len(head) < 27 + count or end > size:
            raise RecordingError(
                f"{file.name} ends early: its last Ogg page is cut off", hint=KEEP_REST_HINT
            )
        is_first = head[5] & _IS_FIRST
        codec = read_at(file, position + 27 + count, _CODEC_BYTES) if is_first else b""
        yield _Page(position, end, head[5], head[14:18], codec)
        position = end


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


def _make_part(file: BufferedReader, link: _Link) -> Part:
    codecs = list(link.codecs.values())
    if not any(codec.startswith(_CODECS) for codec in codecs):
        raise RecordingError(
            f"{file.name} is an Ogg file without Vorbis, Opus, FLAC or Speex", hint=CONVERT_HINT
        )
    # libsndfile takes a stream without a last page for damaged, and of several hears the first.
    is_plain = len(codecs) == 1 and link.ended
    # It fails at FLAC in Ogg as FFmpeg writes it (findings/ogg-flac.sh), and is asked only for want of
    # another.
    is_read = codecs[0].startswith(_SNDFILE_CODECS) or (
        codecs[0].startswith(_FLAC) and find_spec("av") is None
    )
    decoder = Decoder.SNDFILE if is_plain and is_read else Decoder.FFMPEG
    return Part(start=link.start, end=link.end, decoder=decoder)
