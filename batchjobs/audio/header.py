"""A recording's header, looked at by ourselves before any decoder sees the file.

Decoders trust headers too far: libsndfile 1.2.2 takes 100 MB claimed over 3.2 kB and zero data
sizes without an error, has an advisory for IMA ADPCM in WAV, and follows an ID3 tag into a WAV.
So what is read is an allow-list, and no length is believed that the file does not bear out. WAV and
AIFF are understood to their samples, which need no decoder at all.
"""

import enum
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader

from batchjobs.errors import RecordingError

__all__ = ["Container", "Encoding", "Header", "Samples", "check_shape", "read_header"]

_CONVERT = "convert it first: ffmpeg -i IN OUT.flac"

_MOST_CHANNELS = 32
_LOWEST_SAMPLE_RATE = 1_000
_HIGHEST_SAMPLE_RATE = 768_000

_CHUNKS_LOOKED_AT = 1_000
"""Real files have a dozen; a file made of empty chunks must not take minutes."""
_ID3_TAGS_LOOKED_AT = 16
_OGG_HEAD_BYTES = 27 + 255
_OGG_PAGE_BYTES = _OGG_HEAD_BYTES + 255 * 255
"""The longest page (RFC 3533)."""

# What writers that cannot seek back put where the size belongs: ffmpeg, SoX, arecord, GStreamer.
_STREAMING_SIZES = frozenset({0, 0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000})
_STREAMING_SIZES_FROM = 0xFFFF_FF00
"""0xFFFFFFFF, or less the bytes of one header or another (0xFFFFFFF7, 0xFFFFFFDB)."""

_WAVE_PCM = 1
_WAVE_FLOAT = 3
_WAVE_EXTENSIBLE = 0xFFFE
_WAVE_SUBFORMAT_TAIL = bytes.fromhex("000000001000800000aa00389b71")


class Container(enum.StrEnum):
    """What a recording's file is."""

    WAV = "wav"
    AIFF = "aiff"
    FLAC = "flac"
    OGG = "ogg"
    MP3 = "mp3"
    MP4 = "mp4"
    MATROSKA = "matroska"
    ASF = "asf"
    CAF = "caf"


class Encoding(enum.StrEnum):
    """How one sample stands in a file that needs no decoder: its type and its bytes."""

    U8 = "u1"
    S8 = "i1"
    S16 = "i2"
    S24 = "i3"
    S32 = "i4"
    F32 = "f4"
    F64 = "f8"

    @property
    def bytes(self) -> int:
        """Bytes of one sample."""
        return int(self.value[1])


_WAVE_ENCODINGS = {
    (_WAVE_PCM, 8): Encoding.U8,
    (_WAVE_PCM, 16): Encoding.S16,
    (_WAVE_PCM, 24): Encoding.S24,
    (_WAVE_PCM, 32): Encoding.S32,
    (_WAVE_FLOAT, 32): Encoding.F32,
    (_WAVE_FLOAT, 64): Encoding.F64,
}
_AIFF_INTEGERS = {8: Encoding.S8, 16: Encoding.S16, 24: Encoding.S24, 32: Encoding.S32}
_AIFF_OTHERS = {
    b"raw ": Encoding.U8,
    b"fl32": Encoding.F32,
    b"FL32": Encoding.F32,
    b"fl64": Encoding.F64,
    b"FL64": Encoding.F64,
}

_OGG_CODECS = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC")

# Left to another library: (offset, bytes there, container).
_CONTAINERS = (
    (4, b"ftyp", Container.MP4),
    (0, b"\x1a\x45\xdf\xa3", Container.MATROSKA),
    (0, b"\x30\x26\xb2\x75", Container.ASF),
    (0, b"caff", Container.CAF),
)
# Only to say what the file is: (offset, bytes there, name).
_FOREIGN = (
    (8, b"AVI ", "an AVI video"),
    (0, b"#!AMR", "an AMR file"),
    (0, b".snd", "an AU file"),
    (0, b"riff", "a Wave64 file"),
    (0, b"RIFX", "a big-endian WAV"),
    (0, b"FLV", "a Flash video"),
)
_TEXT = "text, not a recording"


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Where the samples of a WAV or AIFF file lie.

    Attributes:
        offset: Bytes before the first sample.
        frames: Samples per channel that are really there.
        sample_rate: In hertz.
        channels: Interleaved.
        encoding: Of one sample.
        big_endian: Whether the first byte of a sample is its highest.
    """

    offset: int
    frames: int
    sample_rate: int
    channels: int
    encoding: Encoding
    big_endian: bool

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * self.encoding.bytes


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """One sample's shape, before it is known how many there are."""

    sample_rate: int
    channels: int
    encoding: Encoding
    big_endian: bool

    @property
    def frame_bytes(self) -> int:
        return self.channels * self.encoding.bytes


def read_header(file: BufferedReader) -> Header:
    """Look at a recording's header.

    Args:
        file: The open file; its position is changed, its name is for messages.

    Returns:
        What it is, and where the samples of a WAV or AIFF lie. Frames may be 0.

    Raises:
        RecordingError: It is not on the list of what is read, is cut off, or contradicts itself.
    """
    size = os.fstat(file.fileno()).st_size
    offset = _after_id3_tags(file)
    head = _read_at(file, offset, 16)
    if not head:
        raise RecordingError(f"{file.name} is empty", hint="record or copy it again")
    if head.startswith(b"fLaC"):
        return _flac(file, offset)
    if _is_frame_sync(head):
        return Header(container=Container.MP3, offset=offset)
    found = None if offset else _without_tags(file, head, size)
    if found is None:
        raise _unread(file.name, head)
    return found


def _without_tags(file: BufferedReader, head: bytes, size: int) -> Header | None:
    """Recognise what may not stand behind an ID3 tag."""
    if head.startswith((b"RIFF", b"RF64")) and head[8:12] == b"WAVE":
        return Header(container=Container.WAV, samples=_wave(file, size))
    if head.startswith(b"FORM") and head[8:12] in {b"AIFF", b"AIFC"}:
        return Header(container=Container.AIFF, samples=_aiff(file, size))
    if head.startswith(b"OggS"):
        return _ogg(file, size)
    container = next((c for at, magic, c in _CONTAINERS if head[at:].startswith(magic)), None)
    return None if container is None else Header(container=container)


def _unread(path: str, head: bytes) -> RecordingError:
    """Say what a file is that is not on the list."""
    name = _name_of(head)
    hint = "name the recording itself" if name == _TEXT else _CONVERT
    return RecordingError(f"{path} is {name}", hint=hint)


def check_shape(name: str, *, sample_rate: int, channels: int) -> None:
    """Refuse shapes that no recording has.

    Raises:
        RecordingError: Not 1 to 32 channels, or not 1,000 to 768,000 Hz.
    """
    if not 1 <= channels <= _MOST_CHANNELS:
        raise RecordingError(f"{name} claims {channels} channels", hint=_CONVERT)
    if not _LOWEST_SAMPLE_RATE <= sample_rate <= _HIGHEST_SAMPLE_RATE:
        raise RecordingError(f"{name} claims a sample rate of {sample_rate} Hz", hint=_CONVERT)


def _read_at(file: BufferedReader, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)


def _name_of(head: bytes) -> str:
    for offset, magic, name in _FOREIGN:
        if head[offset:].startswith(magic):
            return name
    if head.isascii() and head.decode("ascii").replace("\n", "").replace("\r", "").isprintable():
        return _TEXT
    return "no WAV, FLAC, Ogg, MP3 or AIFF file"


def _after_id3_tags(file: BufferedReader) -> int:
    """Find what the tags stand before, at the very place libsndfile will look."""
    offset = 0
    for _ in range(_ID3_TAGS_LOOKED_AT):
        tag = _read_at(file, offset, 10)
        # Seven bits a byte; with the eighth set, readers disagree about the size.
        if len(tag) < 10 or not tag.startswith(b"ID3") or max(tag[6:]) > 0x7F:
            break
        offset += 10 + (tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9])
    return offset


def _is_frame_sync(head: bytes) -> bool:
    """Eleven set bits, then a version and a layer that exist (layer 0 is AAC)."""
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06 != 0


def _flac(file: BufferedReader, offset: int) -> Header:
    block = _read_at(file, offset + 4, 38)
    if len(block) < 38 or block[0] & 0x7F != 0:
        raise RecordingError(f"{file.name} is cut off in its FLAC header", hint="copy it again")
    if int.from_bytes(block[17:22]) & (1 << 36) - 1 == 0:
        # libsndfile then knows no end, and cannot tell it from damage.
        raise RecordingError(f"{file.name} is a FLAC stream that tells no length", hint=_CONVERT)
    return Header(container=Container.FLAC, offset=offset)


def _ogg(file: BufferedReader, size: int) -> Header:
    """Check that the file is one stream, of a codec we know, that has its end."""
    first = _read_at(file, 0, _OGG_PAGE_BYTES)
    packet = first[27 + first[26] :] if len(first) > 27 else b""
    if not packet.startswith(_OGG_CODECS):
        raise RecordingError(
            f"{file.name} is an Ogg file without Vorbis, Opus or FLAC first", hint=_CONVERT
        )
    tail = _read_at(file, max(0, size - _OGG_PAGE_BYTES), _OGG_PAGE_BYTES)
    last = tail[tail.rfind(b"OggS") :]
    whole = len(last) > 27 and len(last) >= 27 + last[26] + sum(last[27 : 27 + last[26]])
    if not whole or not last[5] & 0x04:
        raise RecordingError(f"{file.name} ends early: its last Ogg page is missing", hint=_CONVERT)
    # libsndfile would read the first and say nothing.
    if last[14:18] != first[14:18] or _begins_again(file, size):
        raise RecordingError(f"{file.name} holds more than one Ogg stream", hint=_CONVERT)
    return Header(container=Container.OGG)


def _begins_again(file: BufferedReader, size: int) -> bool:
    """Whether an Ogg file has another beginning after its first page: files joined by `cat`."""
    position = 0
    while position < size:
        page = _read_at(file, position, _OGG_HEAD_BYTES)
        if len(page) < 27 or not page.startswith(b"OggS"):
            break  # damage is for the decoder to tell
        if position and page[5] & 0x02:
            return True
        position += 27 + page[26] + sum(page[27 : 27 + page[26]])
    return False


def _chunks(
    file: BufferedReader, position: int, shape: struct.Struct
) -> Iterator[tuple[bytes, int, int]]:
    """Walk the chunks of a RIFF or IFF file: identity, where the body starts, its size."""
    for _ in range(_CHUNKS_LOOKED_AT):
        head = _read_at(file, position, shape.size)
        if len(head) < shape.size:
            return
        identity, size = shape.unpack(head)
        yield identity, position + shape.size, size
        position += shape.size + size + size % 2


_RIFF_CHUNK = struct.Struct("<4sI")
_IFF_CHUNK = struct.Struct(">4sI")


def _wave(file: BufferedReader, size: int) -> Samples:
    layout: _Layout | None = None
    body: tuple[int, int] | None = None
    long_size: int | None = None
    for identity, start, length in _chunks(file, 12, _RIFF_CHUNK):
        if identity == b"ds64" and length >= 16:
            long_size = int.from_bytes(_read_at(file, start + 8, 8), "little")
        elif identity == b"fmt " and layout is None:
            layout = _wave_layout(file, _read_at(file, start, min(length, 40)))
        elif identity == b"data" and body is None:
            body = start, length
        if layout is not None and body is not None:
            break
    if layout is None or body is None:
        missing = "format" if layout is None else "audio"
        raise RecordingError(f"{file.name} is a WAV with no {missing}", hint=_CONVERT)
    start, length = body
    if length == 0xFFFF_FFFF and long_size is not None:
        length = long_size
    else:
        length = _claimed(file, start, length, size)
    return _samples(file, layout, start=start, claimed=length, held=size - start)


def _claimed(file: BufferedReader, start: int, length: int, size: int) -> int:
    """Give the length a WAV claims for its samples; a streamed one claims all that is there."""
    if length not in _STREAMING_SIZES and length < _STREAMING_SIZES_FROM:
        return length
    is_empty = length == 0 and _are_chunks(file, start, size)
    return 0 if is_empty else size - start


def _are_chunks(file: BufferedReader, position: int, size: int) -> bool:
    """Tell an empty recording with tags behind it from a streamed one without a size."""
    end = position
    for identity, start, length in _chunks(file, position, _RIFF_CHUNK):
        if not all(0x20 <= byte < 0x7F for byte in identity):
            return False
        end = start + length
    return end in {size, size - 1}


def _wave_layout(file: BufferedReader, fmt: bytes) -> _Layout:
    if len(fmt) < 16:
        raise RecordingError(f"{file.name} is cut off in its WAV header", hint="copy it again")
    tag, channels, sample_rate, _, block_bytes, bits = struct.unpack_from("<HHIIHH", fmt)
    if tag == _WAVE_EXTENSIBLE and fmt[26:40] == _WAVE_SUBFORMAT_TAIL:
        tag = int.from_bytes(fmt[24:26], "little")
    encoding = _WAVE_ENCODINGS.get((tag, bits))
    if encoding is None:
        raise RecordingError(
            f"{file.name} is a WAV of format {tag:#x} with {bits} bits, not PCM or float",
            hint="convert it first: ffmpeg -i IN OUT.wav",
        )
    check_shape(file.name, sample_rate=sample_rate, channels=channels)
    layout = _Layout(
        sample_rate=sample_rate, channels=channels, encoding=encoding, big_endian=False
    )
    if block_bytes != layout.frame_bytes:
        raise RecordingError(
            f"{file.name} contradicts itself: {block_bytes} bytes a frame, "
            f"but {channels} channels of {bits} bits",
            hint=_CONVERT,
        )
    return layout


def _aiff(file: BufferedReader, size: int) -> Samples:
    layout: _Layout | None = None
    frames = 0
    body: tuple[int, int] | None = None
    for identity, start, length in _chunks(file, 12, _IFF_CHUNK):
        if identity == b"COMM" and layout is None:
            frames, layout = _aiff_layout(file, _read_at(file, start, min(length, 22)))
        elif identity == b"SSND" and body is None:
            skip = int.from_bytes(_read_at(file, start, 4))
            body = start + 8 + skip, length - 8 - skip
    if layout is None or body is None:
        missing = "format" if layout is None else "audio"
        raise RecordingError(f"{file.name} is an AIFF with no {missing}", hint=_CONVERT)
    start, length = body
    return _samples(
        file,
        layout,
        start=start,
        claimed=frames * layout.frame_bytes,
        held=min(length, size - start),
    )


def _aiff_layout(file: BufferedReader, comm: bytes) -> tuple[int, _Layout]:
    if len(comm) < 18:
        raise RecordingError(f"{file.name} is cut off in its AIFF header", hint="copy it again")
    channels, frames, bits, exponent, mantissa = struct.unpack_from(">HIHHQ", comm)
    compression = comm[18:22] or b"NONE"
    encoding = _AIFF_OTHERS.get(compression)
    if compression in {b"NONE", b"twos", b"sowt"}:
        encoding = _AIFF_INTEGERS.get(bits)
    if encoding is None:
        raise RecordingError(
            f"{file.name} is an AIFF of type {compression!r} with {bits} bits, not PCM or float",
            hint=_CONVERT,
        )
    # An 80-bit float; a hostile exponent must not be shifted by.
    shift = 16383 + 63 - exponent
    sample_rate = mantissa >> shift if 0 <= shift < 64 else 0
    check_shape(file.name, sample_rate=sample_rate, channels=channels)
    return frames, _Layout(
        sample_rate=sample_rate,
        channels=channels,
        encoding=encoding,
        big_endian=compression != b"sowt",
    )


def _samples(
    file: BufferedReader, layout: _Layout, *, start: int, claimed: int, held: int
) -> Samples:
    if claimed > held:
        a_second = layout.frame_bytes * layout.sample_rate
        raise RecordingError(
            f"{file.name} is truncated: it claims {claimed / a_second:.2f} s "
            f"and holds {max(0, held) / a_second:.2f} s",
            hint="copy it again, or keep what is there: ffmpeg -i IN OUT.wav",
        )
    return Samples(
        offset=start,
        frames=max(0, claimed) // layout.frame_bytes,
        sample_rate=layout.sample_rate,
        channels=layout.channels,
        encoding=layout.encoding,
        big_endian=layout.big_endian,
    )
