"""A recording's header, read before any decoder sees the file.

Decoders trust headers too far: libsndfile 1.2.2 takes 100 MB claimed over 3.2 kB and zero data
sizes without an error, has an advisory for IMA ADPCM in WAV, and follows an ID3 tag into a WAV.
So what is read is an allow-list, and no length is believed that the file does not bear out.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedReader
from typing import Final

from batchjobs.audio.au import read_au
from batchjobs.audio.iff import read_aiff
from batchjobs.audio.riff import read_wave
from batchjobs.audio.source import CONVERT_HINT, Container, read_at
from batchjobs.audio.uncompressed import Samples
from batchjobs.errors import RecordingError

_ID3_TAGS_LOOKED_AT: Final = 16
_OGG_HEAD_BYTES: Final = 27 + 255
_OGG_PAGE_BYTES: Final = _OGG_HEAD_BYTES + 255 * 255
"""The longest page (RFC 3533)."""
_OGG_CODECS: Final = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a recording's header says, as far as the file bears it out.

    Attributes:
        container: What the file is.
        samples: Where its samples lie; None if they need a decoder.
        offset: Bytes of ID3 tags before the recording itself.
    """

    container: Container
    samples: Samples | None = None
    offset: int = 0


def read_header(file: BufferedReader) -> Header:
    """Look at a recording's header.

    Args:
        file: The open file; its position is changed, its name is for messages.

    Returns:
        What it is, and where the samples of a WAV or AIFF lie. Frames may be 0.

    Raises:
        RecordingError: It is not on the list of what is read, is cut off, or contradicts itself.
    """
    offset = 0
    head = read_at(file, 0, 16)
    if head.startswith(b"ID3"):
        offset = _skip_id3_tags(file)
        head = read_at(file, offset, 16)
    if not head:
        raise RecordingError(f"{file.name} is empty", hint="record or copy it again")
    for container, magic, read in _READERS:
        if magic.match(head) and (not offset or container in _MAY_FOLLOW_TAGS):
            return Header(container=container, samples=read(file, offset), offset=offset)
    what = next((name for magic, name in _FOREIGN if re.match(magic, head, re.DOTALL)), "")
    if not what and _is_text(head):
        raise RecordingError(
            f"{file.name} is text, not a recording", hint="name the recording itself"
        )
    what = what or "no WAV, FLAC, Ogg, MP3 or AIFF file"
    raise RecordingError(f"{file.name} is {what}", hint=CONVERT_HINT)


def _is_text(head: bytes) -> bool:
    return head.isascii() and re.sub("[\r\n]", "", head.decode("ascii")).isprintable()


def _skip_id3_tags(file: BufferedReader) -> int:
    """Find where the ID3 tags end, exactly as libsndfile does."""
    offset = 0
    for _ in range(_ID3_TAGS_LOOKED_AT):
        tag = read_at(file, offset, 10)
        # Seven bits a byte; with the eighth set, readers disagree about the size.
        if len(tag) < 10 or not tag.startswith(b"ID3") or max(tag[6:]) > 0x7F:
            break
        offset += 10 + (tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9])
    return offset


def _read_nothing(_file: BufferedReader, _offset: int) -> None:
    """Leave the rest of the header to the decoder."""


def _check_flac(file: BufferedReader, offset: int) -> None:
    """Check that the header is whole, and gives a length."""
    block = read_at(file, offset + 4, 38)
    if len(block) < 38 or block[0] & 0x7F != 0:
        raise RecordingError(f"{file.name} is cut off in its FLAC header", hint="copy it again")
    if int.from_bytes(block[17:22]) & (1 << 36) - 1 == 0:
        # libsndfile then knows no end, and cannot tell it from damage.
        raise RecordingError(
            f"{file.name} is a FLAC stream that tells no length", hint=CONVERT_HINT
        )


def _check_ogg(file: BufferedReader, _offset: int) -> None:
    """Check that the file is one stream, of a known codec, and not cut off."""
    size = os.fstat(file.fileno()).st_size
    first = read_at(file, 0, _OGG_PAGE_BYTES)
    packet = first[27 + first[26] :] if len(first) > 27 else b""
    if not packet.startswith(_OGG_CODECS):
        raise RecordingError(
            f"{file.name} is an Ogg file without Vorbis, Opus or FLAC first", hint=CONVERT_HINT
        )
    tail = read_at(file, max(0, size - _OGG_PAGE_BYTES), _OGG_PAGE_BYTES)
    last = tail[tail.rfind(b"OggS") :]
    is_whole = len(last) > 27 and len(last) >= 27 + last[26] + sum(last[27 : 27 + last[26]])
    if not is_whole or not last[5] & 0x04:
        raise RecordingError(
            f"{file.name} ends early: its last Ogg page is missing", hint=CONVERT_HINT
        )
    # libsndfile would read the first and say nothing.
    if last[14:18] != first[14:18] or _has_second_beginning(file, size):
        raise RecordingError(f"{file.name} holds more than one Ogg stream", hint=CONVERT_HINT)


def _has_second_beginning(file: BufferedReader, size: int) -> bool:
    """Say whether an Ogg file begins again after its first page, as files joined by `cat` do."""
    position = 0
    while position < size:
        page = read_at(file, position, _OGG_HEAD_BYTES)
        if len(page) < 27 or not page.startswith(b"OggS"):
            break  # damage is for the decoder to tell
        if position and page[5] & 0x02:
            return True
        position += 27 + page[26] + sum(page[27 : 27 + page[26]])
    return False


_Reader = Callable[[BufferedReader, int], Samples | None]
"""Checks the header that begins at an offset; gives the samples if they need no decoder."""

# The allow-list: what a file is, its first bytes, and what looks at the rest of its header.
_ALLOWED: Final[tuple[tuple[Container, bytes, _Reader], ...]] = (
    (Container.FLAC, rb"fLaC", _check_flac),
    # Eleven set bits, then a version and a layer that exist (layer 0 is AAC).
    (Container.MP3, rb"\xff[\xe2-\xe7\xea-\xef\xf2-\xf7\xfa-\xff]", _read_nothing),
    (Container.WAV, rb"(?:RIFF|RF64|BW64|RIFX)....WAVE", read_wave),
    (Container.AIFF, rb"FORM....AIF[FC]", read_aiff),
    (Container.W64, rb"riff\x2e\x91\xcf\x11", read_wave),
    (Container.AU, rb"\.snd", read_au),
    (Container.OGG, rb"OggS", _check_ogg),
    (Container.MP4, rb"....ftyp", _read_nothing),
    (Container.MATROSKA, rb"\x1a\x45\xdf\xa3", _read_nothing),
    (Container.ASF, rb"\x30\x26\xb2\x75", _read_nothing),
    (Container.CAF, rb"caff", _read_nothing),
)
_READERS: Final = tuple(
    (container, re.compile(magic, re.DOTALL), reader) for container, magic, reader in _ALLOWED
)
_MAY_FOLLOW_TAGS: Final = frozenset({Container.FLAC, Container.MP3})

# Not read; only to say what the file is.
_FOREIGN: Final = (
    (rb".{8}AVI ", "an AVI video"),
    (rb"#!AMR", "an AMR file"),
    (rb"riff", "a Wave64 file"),
    (rb"RIFX", "a big-endian WAV"),
    (rb"FLV", "a Flash video"),
)
