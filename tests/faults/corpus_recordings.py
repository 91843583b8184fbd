"""The fixed corpus of recordings: what is read, to how many samples, and what is refused and why."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import soundfile

__all__ = ["RECORDINGS", "RecordingCase"]

RATE = 16_000
FRAMES = 3_200
TONE = (np.sin(np.arange(FRAMES) * 0.2) * 9_000).astype("<i2")
PCM = TONE.tobytes()
_CODED = frozenset({2, 6, 7, 0x11, 0x31, 0x50, 0x55, 0xFF})
_GUID = bytes.fromhex("000000001000800000aa00389b71")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingCase:
    """A recording and its verdict.

    Attributes:
        name: What is hostile about it.
        content: The file's bytes.
        frames: Samples per channel that must be read; 0 if the file must be refused.
        rate: Their sample rate in hertz.
        pcm: The very 16 kHz mono samples that must be sent, where they are known.
        words: Of the refusal.
        late: Whether the refusal may come with the samples, not with the header.
    """

    name: str
    content: bytes
    frames: int = 0
    rate: int = RATE
    pcm: bytes = b""
    words: str = ""
    late: bool = False


def _chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    head = name + struct.pack("<I", len(body) if size is None else size)
    return head + body + bytes(len(body) % 2)


def _fmt(
    *,
    tag: int = 1,
    channels: int = 1,
    rate: int = RATE,
    bits: int = 16,
    block: int | None = None,
    tail: bytes = b"",
) -> bytes:
    size = channels * bits // 8 if block is None else block
    body = struct.pack("<HHIIHH", tag, channels, rate, rate * size & 0xFFFF_FFFF, size, bits)
    return _chunk(b"fmt ", body + tail)


def _riff(*chunks: bytes, magic: bytes = b"RIFF", form: bytes = b"WAVE", size: int = -1) -> bytes:
    body = form + b"".join(chunks)
    return magic + struct.pack("<I", len(body) if size < 0 else size) + body


def _data(size: int | None = None, pcm: bytes = PCM) -> bytes:
    return _chunk(b"data", pcm, size)


PLAIN = _riff(_fmt(), _data())


def _good(name: str, content: bytes, frames: int = FRAMES, pcm: bytes = b"") -> RecordingCase:
    return RecordingCase(name=name, content=content, frames=frames, pcm=pcm)


def _bad(name: str, content: bytes, words: str = "", *, late: bool = False) -> RecordingCase:
    return RecordingCase(name=name, content=content, words=words, late=late)


def _cut_wavs() -> Iterator[RecordingCase]:
    """A WAV cut anywhere in its header or samples is refused: its size says what is missing."""
    for size in range(44):
        yield _bad(f"WAV cut at byte {size}", PLAIN[:size])
    for size in (44, 45, 46, 47, 100, 1_000, len(PLAIN) // 2, len(PLAIN) - 2, len(PLAIN) - 1):
        yield _bad(f"WAV cut at byte {size}", PLAIN[:size], "truncated")
    for size in (44, 45, 47, 44 + 30):
        yield _bad(f"streamed WAV cut at byte {size}", _riff(_fmt(), _data(0))[:size], "no audio")
    streamed = _riff(_fmt(), _data(0xFFFF_FFFF))
    for size in (76, 77, 1_000, 1_001, 2_001, 6_443):
        frames = (size - 44) // 2
        yield _good(f"streamed WAV of {size} bytes", streamed[:size], frames, PCM[: frames * 2])


def _sizes() -> Iterator[RecordingCase]:
    for size in (0, 0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000, *range(0xFFFF_FFD0, 0x1_0000_0000, 7)):
        yield _good(f"streamed, size {size:#x}", _riff(_fmt(), _data(size)), pcm=PCM)
    for size in (len(PCM) + 1, len(PCM) + 2, 100_000_000, 0x7FFF_0000, 0xF000_0000, 0x4000_0000):
        yield _bad(f"claims {size} bytes", _riff(_fmt(), _data(size)), "truncated")
    for size in (2_000, 2_001, 64):  # all that is there is read, whatever is said of it
        yield _good(f"says {size} bytes", _riff(_fmt(), _data(size)), pcm=PCM)
    for size in (0, 1, 4, 36, 0x7FFF_FFFF, 0xFFFF_FFFF):
        yield _good(f"RIFF size {size:#x}", _riff(_fmt(), _data(), size=size), pcm=PCM)
    junk = _chunk(b"JUNK", bytes(99))
    for name, chunks in {
        "junk before": (junk, _fmt(), _data()),
        "junk between": (_fmt(), junk, _data()),
        "junk behind": (_fmt(), _data(), junk),
        "noise behind": (_fmt(), _data(), b"\xab" * 333),
        "format after samples": (_data(), _fmt()),
        "two formats": (_fmt(), _fmt(rate=8_000, channels=2), _data()),
        "hundreds of chunks": (*([_chunk(b"note", b"")] * 900), _fmt(), _data()),
    }.items():
        yield _good(name, _riff(*chunks), pcm=PCM)
    two = _riff(_fmt(), _data(), _data(pcm=b"\1\0" * 77))
    yield _good("two data", two, FRAMES + 77, PCM + b"\1\0" * 77)
    for name, chunks in {
        "no format": (_data(),),
        "no samples": (_fmt(),),
        "nothing": (),
        "too many chunks": (*([_chunk(b"note", b"")] * 1_001), _fmt(), _data()),
        "a giant chunk": (_chunk(b"note", b"", 0xFFFF_FF00), _fmt(), _data()),
        "a chunk over all": (_chunk(b"note", b"", 10_000), _fmt(), _data()),
        "empty samples": (_fmt(), _chunk(b"data", b"")),
        "empty samples, tags behind": (_fmt(), _chunk(b"data", b""), _chunk(b"LIST", b"INFOIART")),
        "one frame": (_fmt(), _data(pcm=b"\1\0")),
        "half a frame": (_fmt(), _data(pcm=b"\1")),
    }.items():
        yield _bad(name, _riff(*chunks), "no ")


def _shapes() -> Iterator[RecordingCase]:
    for tag in (
        0,
        2,
        4,
        5,
        6,
        7,
        0x10,
        0x11,
        0x14,
        0x31,
        0x50,
        0x55,
        0xFF,
        0x161,
        0xF1AC,
        0xFFFE,
        0xFFFF,
    ):
        for bits in (4, 8, 16):
            content = _riff(_fmt(tag=tag, bits=bits, block=2), _data())
            name = f"format {tag:#x}, {bits} bits"
            if tag in _CODED:  # a decoder knows the format, and sees that it is none of that
                yield _bad(name, content, late=True)
            else:
                yield _bad(name, content, f"format {tag:#x}")
    for bits in (0, 1, 7, 9, 12, 15, 17, 20, 31, 33, 48, 64, 128, 65_535):
        yield _bad(f"{bits} bits", _riff(_fmt(bits=bits, block=2), _data()), f"{bits} bits")
    for bits in (8, 16, 24):
        yield _bad(f"{bits}-bit float", _riff(_fmt(tag=3, bits=bits), _data()), "format 0x3")
    for channels in (0, 33, 64, 255, 256, 1_000, 65_535):
        content = _riff(_fmt(channels=channels, block=channels * 2 & 0xFFFF), _data())
        yield _bad(f"{channels} channels", content, f"{channels} channels")
    for rate in (0, 1, 999, 768_001, 1_000_000, 2**31, 2**32 - 1):
        yield _bad(f"{rate} Hz", _riff(_fmt(rate=rate), _data()), f"sample rate of {rate}")
    for block in (0, 1, 3, 4, 255, 65_535):
        yield _bad(
            f"{block} bytes a frame", _riff(_fmt(block=block), _data()), "contradicts itself"
        )
    for size in (0, 1, 4, 14, 15):
        body = _fmt()[8 : 8 + size]
        yield _bad(f"format of {size} bytes", _riff(_chunk(b"fmt ", body), _data()), "cut off")
    for tag in (1, 0x11, 0x55):
        extra = struct.pack("<HHIH", 22, 16, 4, tag) + _GUID
        content = _riff(_fmt(tag=0xFFFE, tail=extra), _data())
        name = f"extensible {tag:#x}"
        yield _good(name, content) if tag == 1 else _bad(name, content, late=True)
    # Formats whose samples are known: every encoding of the same tone.
    wide = TONE.astype(np.int32)
    for name, tag, bits, raw in (
        ("32-bit", 1, 32, (wide << 16).astype("<i4").tobytes()),
        ("24-bit", 1, 24, (wide << 8).astype("<i4").view("u1").reshape(-1, 4)[:, :3].tobytes()),
        ("float", 3, 32, (TONE / 32_768).astype("<f4").tobytes()),
        ("double", 3, 64, (TONE / 32_768).astype("<f8").tobytes()),
    ):
        content = _riff(_fmt(tag=tag, bits=bits), _data(pcm=raw))
        yield _good(f"{name} samples", content, pcm=PCM)
    stereo = np.repeat(TONE, 2).astype("<i2").tobytes()
    yield _good("stereo", _riff(_fmt(channels=2), _data(pcm=stereo)), pcm=PCM)
    most = np.repeat(TONE, 32).astype("<i2").tobytes()
    yield _good("32 channels", _riff(_fmt(channels=32), _data(pcm=most)))
    for rate in (1_000, 7_999, 8_000, 11_025, 44_100, 48_000, 96_000, 192_000, 768_000):
        yield RecordingCase(
            name=f"{rate} Hz", content=_riff(_fmt(rate=rate), _data()), frames=FRAMES, rate=rate
        )
    for value in (np.nan, np.inf, -np.inf):
        broken = (TONE / 32_768).astype("<f4")
        broken[1_000] = value
        content = _riff(_fmt(tag=3, bits=32), _data(pcm=broken.tobytes()))
        yield _bad(f"a sample is {value}", content, "no number", late=True)
    loud = np.clip(TONE.astype(np.float32) / 3_000, -1e30, 1e30).astype("<f4")
    clipped = np.clip(np.rint(np.clip(loud, -1, 1).astype(np.float64) * 32_768), -32_768, 32_767)
    content = _riff(_fmt(tag=3, bits=32), _data(pcm=loud.tobytes()))
    yield _good("samples beyond full scale", content, pcm=clipped.astype("<i2").tobytes())


def _others() -> Iterator[RecordingCase]:
    for name, content, words in (
        ("empty", b"", "is empty"),
        ("one byte", b"R", "text"),
        ("text", b"this is no recording\n", "text"),
        ("Arabic text", "هذا ليس تسجيلا".encode(), "no WAV"),
        ("JSON", b'{"audio": "x"}', "text"),
        ("HTML", b"<!doctype html><p>404 Not Found</p>", "text"),
        ("zeros", bytes(4_096), "no WAV"),
        ("noise", bytes(range(256)) * 20, "no WAV"),
        ("RIFX", _riff(_fmt(), _data(), magic=b"RIFX"), "format 0x100"),  # it is little-endian
        ("AVI", _riff(_fmt(), _data(), form=b"AVI "), "AVI"),
        ("WEBP", _riff(_fmt(), _data(), form=b"WEBP"), "no WAV"),
        ("Wave64", b"riff" + bytes(80), "no WAV"),
        ("m4a", b"\0\0\0\x20ftypM4A " + bytes(80), "MP4"),
        ("mp4", b"\0\0\0\x18ftypmp42" + bytes(80), "MP4"),
        ("webm", b"\x1a\x45\xdf\xa3" + bytes(80), "Matroska"),
        ("wma", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(80), "Windows Media"),
        ("caf", b"caff" + bytes(80), "Core Audio"),
        ("au", b".snd" + bytes(80), "AU"),
        ("aac", b"\xff\xf1\x50\x80" + bytes(80), "0 channels"),
        ("gzip", b"\x1f\x8b\x08" + bytes(80), "no WAV"),
        ("zip", b"PK\x03\x04" + bytes(80), "no WAV"),
        ("PDF", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "no WAV"),
        ("ELF", b"\x7fELF" + bytes(80), "no WAV"),
        ("ID3 and nothing", b"ID3\x04\0\0\0\0\0\x0a" + bytes(10), "empty"),
        ("ID3 of 256 MB", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(10), "empty"),
        ("ID3 before a WAV", b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + PLAIN, "no WAV"),
        ("ID3 with a wild size", b"ID3\x04\0\0\xff\xff\xff\xff" + bytes(10), "no WAV"),
        ("frame sync and nothing", b"\xff\xfb", ""),
        ("MP3 syncs only", b"\xff\xfb\x90\x00" * 3, ""),
        ("a thousand ID3 tags", b"ID3\x04\0\0\0\0\0\0" * 1_000, "no WAV"),
    ):
        yield _bad(name, content, words)
    yield _bad("amr", b"#!AMR\n" + bytes(80), "AMR", late=True)
    for kind, subtype in (("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")):
        file = BytesIO()
        soundfile.write(file, np.tile(TONE, 10), RATE, format=kind, subtype=subtype)
        whole = file.getvalue()
        exact = np.tile(TONE, 10).tobytes() if kind == "FLAC" else b""
        yield _good(f"{kind} {subtype}", whole, FRAMES * 10, exact)
        for share in range(1, 20):
            cut = whole[: len(whole) * share // 20]
            yield _bad(f"{kind} {subtype} cut at {share}/20", cut, late=True)
        for size in (1, 4, 5, 8, 20, 26, 27, 28, 41, 42, 43, len(whole) - 1):
            yield _bad(f"{kind} {subtype} of {size} bytes", whole[:size], late=True)
    file = BytesIO()
    soundfile.write(file, TONE, RATE, format="OGG", subtype="VORBIS")
    other = BytesIO()
    soundfile.write(other, TONE, RATE, format="OGG", subtype="VORBIS")
    one, two = file.getvalue(), other.getvalue()
    for count, content in {2: one * 2, 3: one + two + one}.items():
        yield _good(f"{count} Ogg streams", content, FRAMES * count)
    yield _good("two Ogg streams", one + two, FRAMES * 2)
    flac = BytesIO()
    soundfile.write(flac, TONE, RATE, format="FLAC", subtype="PCM_16")
    for place, mask in ((21, 0xFF), (20, 0x0E)):
        wild = bytearray(flac.getvalue())
        wild[place] |= mask
        yield _bad(f"FLAC header wrong at {place}", bytes(wild), late=True)
    for place in range(60, len(flac.getvalue()) - 20, 211):
        wild = bytearray(flac.getvalue())
        wild[place] ^= 0xFF
        if place > 8_300:  # beyond the metadata: frames carry checksums
            yield _bad(f"FLAC damaged at {place}", bytes(wild), late=True)


RECORDINGS: tuple[RecordingCase, ...] = tuple(
    {
        case.content: case for family in (_cut_wavs, _sizes, _shapes, _others) for case in family()
    }.values()
)
