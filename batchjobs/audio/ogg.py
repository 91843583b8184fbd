"""Ogg: the recordings in a file, each whole to its last page."""

from dataclasses import dataclass, field
from importlib.util import find_spec
from io import BufferedReader
from typing import Final

from batchjobs.audio.ogg_pages import Page, walk_pages
from batchjobs.audio.opus import Positions
from batchjobs.audio.parts import Decoder, Part
from batchjobs.audio.source import CONVERT_HINT
from batchjobs.errors import RecordingError

_OPUS: Final = b"OpusHead"
_SNDFILE_CODECS: Final = (b"\x01vorbis", _OPUS)
_FLAC: Final = b"\x7fFLAC"
_CODECS: Final = (*_SNDFILE_CODECS, _FLAC, b"Speex   ")
_CODEC_BYTES: Final = 8


@dataclass(slots=True, kw_only=True)
class _Link:
    """A recording: pages of streams that begin together (RFC 3533, 4).

    Attributes:
        start: Where it begins.
        end: Where it ends.
        codecs: Of each stream, what its first page begins with.
        ended: Streams that had their last page.
        has_begun: Whether a page came that is no first one.
        positions: Of an Opus stream; of several it is not asked.
    """

    start: int
    end: int
    codecs: dict[bytes, bytes] = field(default_factory=dict)
    ended: set[bytes] = field(default_factory=set)
    has_begun: bool = False
    positions: Positions = field(default_factory=Positions)

    def add(self, page: Page) -> None:
        """Take a page in."""
        self.end = page.end
        if page.is_first:
            self.codecs[page.stream] = page.body[:_CODEC_BYTES]
        else:
            self.has_begun = True
        if page.is_last:
            self.ended.add(page.stream)
        # Those of the headers are at 0.
        if self.has_begun and page.position and self.codecs.get(page.stream) == _OPUS:
            self.positions.follow(page)


def read_ogg(file: BufferedReader, _offset: int) -> tuple[Part, ...]:
    """Find the recordings of an Ogg file: one, or several that follow each other.

    Args:
        file: The open file; its position is changed, its name is for messages.

    Raises:
        RecordingError: It is damaged or cut off, or holds no codec that is read.
    """
    links: list[_Link] = []
    for page in walk_pages(file):
        is_next = not links or (page.is_first and links[-1].has_begun)
        if is_next:
            links.append(_Link(start=page.start, end=page.end))
        links[-1].add(page)
    return tuple(_make_part(file, link) for link in links)


def _make_part(file: BufferedReader, link: _Link) -> Part:
    codecs = list(link.codecs.values())
    if not any(codec.startswith(_CODECS) for codec in codecs):
        raise RecordingError(
            f"{file.name} is an Ogg file without Vorbis, Opus, FLAC or Speex", hint=CONVERT_HINT
        )
    # libsndfile takes a stream without a last page for damaged, and of several hears the first.
    is_plain = len(codecs) == 1 and link.ended and not link.positions.has_gap
    # It fails at FLAC in Ogg as FFmpeg writes it (findings/ogg-flac.sh), and is asked only for want of
    # another.
    is_read = codecs[0].startswith(_SNDFILE_CODECS) or (
        codecs[0].startswith(_FLAC) and find_spec("av") is None
    )
    decoder = Decoder.SNDFILE if is_plain and is_read else Decoder.FFMPEG
    return Part(start=link.start, end=link.end, decoder=decoder)
