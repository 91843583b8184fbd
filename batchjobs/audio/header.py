"""A recording's header, read before any decoder sees the file.

Decoders trust headers too far: libsndfile 1.2.2 takes 100 MB claimed over 3.2 kB and zero data
sizes without an error, has an advisory for IMA ADPCM in WAV, and follows an ID3 tag into a WAV.
So what is read is an allow-list, and no length is believed that the file does not bear out.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedReader
from typing import Final

from batchjobs.audio.au import read_au
from batchjobs.audio.flac import read_flac
from batchjobs.audio.iff import read_aiff
from batchjobs.audio.mpeg import read_mpeg
from batchjobs.audio.ogg import read_ogg
from batchjobs.audio.parts import Decoder, Part
from batchjobs.audio.riff import read_wave
from batchjobs.audio.source import CONVERT_HINT, Container, read_at, size_of
from batchjobs.audio.structure import (
    read_asf,
    read_avi,
    read_caf,
    read_flash,
    read_matroska,
    read_mp4,
    read_wavpack,
)
from batchjobs.audio.uncompressed import Samples
from batchjobs.errors import RecordingError

_ID3_TAGS_LOOKED_AT: Final = 16
_HEAD_BYTES: Final = 4 * 188 + 1
"""The packets of a transport stream are known by their distance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a recording's header says, as far as the file bears it out.

    Attributes:
        container: What the file is.
        content: Where its samples lie, or if they need a decoder, the recordings that it holds.
    """

    container: Container
    content: Samples | tuple[Part, ...]


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
    head = read_at(file, 0, _HEAD_BYTES)
    if head.startswith(b"ID3"):
        offset = _skip_id3_tags(file)
        head = read_at(file, offset, _HEAD_BYTES)
    if not head:
        raise RecordingError(f"{file.name} is empty", hint="record or copy it again")
    for container, magic, read in _READERS:
        if magic.match(head) and (not offset or container in _MAY_FOLLOW_TAGS):
            return Header(container=container, content=read(file, offset))
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


def _read_whole(file: BufferedReader, offset: int) -> tuple[Part, ...]:
    """Leave a stream that has no header to FFmpeg."""
    end = size_of(file)
    return (Part(start=offset, end=end, decoder=Decoder.FFMPEG, tells_length=False),)


_Reader = Callable[[BufferedReader, int], Samples | tuple[Part, ...]]
"""Checks the header that begins at an offset; gives the samples, or the parts that need a decoder."""

# The allow-list: what a file is, its first bytes, and what looks at the rest of its header.
_ALLOWED: Final[tuple[tuple[Container, bytes, _Reader], ...]] = (
    (Container.FLAC, rb"fLaC", read_flac),
    # Eleven set bits, then a version and a layer that exist (layer 0 is AAC).
    (Container.MP3, rb"\xff[\xe2-\xe7\xea-\xef\xf2-\xf7\xfa-\xff]", read_mpeg),
    (Container.WAV, rb"(?:RIFF|RF64|BW64|RIFX)....WAVE", read_wave),
    (Container.AIFF, rb"FORM....AIF[FC]", read_aiff),
    (Container.W64, rb"riff\x2e\x91\xcf\x11", read_wave),
    (Container.AU, rb"\.snd", read_au),
    (Container.OGG, rb"OggS", read_ogg),
    (Container.MP4, rb"....ftyp|\0[\0-\x0f]..(?:moov|mdat|wide|pnot)", read_mp4),
    (Container.MATROSKA, rb"\x1a\x45\xdf\xa3", read_matroska),
    (Container.ASF, rb"\x30\x26\xb2\x75", read_asf),
    (Container.CAF, rb"caff", read_caf),
    (Container.AVI, rb"RIFF....AVI ", read_avi),
    (Container.AAC, rb"\xff[\xf0\xf1\xf8\xf9]", _read_whole),
    (Container.AMR, rb"#!AMR(?:-WB)?\n", _read_whole),
    (Container.AC3, rb"\x0b\x77", _read_whole),
    (Container.WAVPACK, rb"wvpk", read_wavpack),
    (Container.FLASH, rb"FLV\x01", read_flash),
    (Container.MPEG_STREAM, rb"\0\0\x01\xba", _read_whole),
    (Container.TRANSPORT_STREAM, rb"G(?:.{187}G){3}|.{4}G(?:.{191}G){2}", _read_whole),
)
_READERS: Final = tuple(
    (container, re.compile(magic, re.DOTALL), reader) for container, magic, reader in _ALLOWED
)
_MAY_FOLLOW_TAGS: Final = frozenset({Container.FLAC, Container.MP3, Container.AAC})

# Not read; only to say what the file is.
_FOREIGN: Final = (
    (rb"MAC ", "a Monkey's Audio file"),
    (rb"\.RMF|\.ra\xfd", "a RealMedia file"),
    (rb"Creative Voice File", "a VOC file"),
    (rb"NIST_1A", "a SPHERE file"),
    (rb"DSD |FRM8", "a DSD file"),
    (rb"[\x01-\x06]ds[s2]", "a dictation"),
)
