"""The look at headers: every hostile or odd header is refused by name or read rightly."""

import io
import itertools
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchjobs.audio import decoding
from batchjobs.audio.header import read_header
from batchjobs.audio.source import Container
from batchjobs.audio.uncompressed import SampleFormat, Samples
from batchjobs.errors import RecordingError
from tests.audio.ogg_files import seal

PCM = np.arange(-800, 800, dtype="<i2").tobytes()
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def chunk(identity: bytes, body: bytes, size: int | None = None) -> bytes:
    """Make a RIFF chunk, with any size claimed."""
    pad = b"\0" * (len(body) % 2)
    return identity + struct.pack("<I", len(body) if size is None else size) + body + pad


def fmt(
    *,
    tag: int = 1,
    channels: int = 1,
    rate: int = 16_000,
    bits: int = 16,
    block: int | None = None,
    tail: bytes = b"",
) -> bytes:
    """Make a WAV's format chunk."""
    block = channels * bits // 8 % 65_536 if block is None else block
    body = struct.pack("<HHIIHH", tag, channels, rate, rate * block % 2**32, block, bits)
    return chunk(b"fmt ", body + tail)


def riff(*chunks: bytes, magic: bytes = b"RIFF", form: bytes = b"WAVE") -> bytes:
    """Make a RIFF file."""
    body = form + b"".join(chunks)
    return magic + struct.pack("<I", len(body)) + body


def iff(identity: bytes, body: bytes, size: int | None = None) -> bytes:
    """Make an AIFF chunk, with any size claimed."""
    pad = b"\0" * (len(body) % 2)
    return identity + struct.pack(">I", len(body) if size is None else size) + body + pad


def rate80(rate: int) -> bytes:
    """Write a sample rate as the 80-bit float of an AIFF."""
    shift = 63 - (rate.bit_length() - 1)
    return struct.pack(">HQ", 16383 + 63 - shift, rate << shift)


def comm(frames: int, bits: int = 16, rate: bytes = b"", compression: bytes = b"") -> bytes:
    """Make an AIFF's format chunk, of one channel."""
    body = struct.pack(">HIH", 1, frames, bits) + (rate or rate80(16_000)) + compression
    return iff(b"COMM", body)


def aiff(*chunks: bytes, form: bytes = b"AIFF") -> bytes:
    """Make an AIFF file."""
    body = form + b"".join(chunks)
    return b"FORM" + struct.pack(">I", len(body)) + body


def extensible(tag: int, tail: bytes = GUID_TAIL, bits: int = 16) -> bytes:
    """Make the extensible form of a WAV's format chunk."""
    extra = struct.pack("<HHI", 22, bits, 4) + struct.pack("<H", tag) + tail
    return fmt(tag=0xFFFE, bits=bits, tail=extra)


def data(size: int | None = None) -> bytes:
    """Make the data chunk of the test's samples."""
    return chunk(b"data", PCM, size)


DS64 = chunk(b"ds64", struct.pack("<QQQI", 4_000, len(PCM), 1_600, 0))
SSND = iff(b"SSND", bytes(8) + np.frombuffer(PCM, "<i2").astype(">i2").tobytes())
LIST = chunk(b"LIST", b"INFOISFT\x06\0\0\0Lavf60")

READ = {
    "plain": riff(fmt(), data()),
    "LIST before fmt": riff(LIST, fmt(), data()),
    "LIST between and after": riff(fmt(), LIST, data(), LIST),
    "odd chunk, padded": riff(chunk(b"note", b"abc"), fmt(), data()),
    "fmt after data": riff(data(), fmt()),
    "two fmt, the first counts": riff(fmt(), fmt(rate=8_000), data()),
    "fmt of 18 bytes": riff(fmt(tail=b"\0\0"), data()),
    "extensible PCM": riff(extensible(1), data()),
    "RIFF size absurd": b"RIFF\xff\xff\xff\xff" + riff(fmt(), data())[8:],
    "RIFF size zero": b"RIFF\0\0\0\0" + riff(fmt(), data())[8:],
    "garbage behind": riff(fmt(), data()) + b"\xab" * 1_001,
    "streamed 0": riff(fmt(), data(0)),
    "streamed 0xFFFFFFFF": riff(fmt(), data(0xFFFF_FFFF)),
    "streamed 0xFFFFFFF7": riff(fmt(), data(0xFFFF_FFF7)),
    "streamed 0xFFFFFFDB": riff(fmt(), data(0xFFFF_FFDB)),
    "streamed 0x7FFFF000": riff(fmt(), data(0x7FFF_F000)),
    "streamed 0x7FFFFFFF": riff(fmt(), data(0x7FFF_FFFF)),
    "streamed 0x80000000": riff(fmt(), data(0x8000_0000)),
    "byte rate absurd": riff(fmt()[:16] + b"\xff" * 4 + fmt()[20:], data()),
    "RF64": riff(DS64, fmt(), data(0xFFFF_FFFF), magic=b"RF64"),
    "RF64 with the size in its place": riff(DS64, fmt(), data(), magic=b"RF64"),
    "ds64 too short to count": riff(chunk(b"ds64", b"abc"), fmt(), data(0xFFFF_FFFF)),
    "half a frame behind": riff(fmt(), chunk(b"data", PCM + b"\1")),
    "AIFF": aiff(comm(1_600), SSND),
    "AIFF, sound first": aiff(SSND, comm(1_600)),
    "AIFF with more sound than frames": aiff(comm(1_600), iff(b"SSND", SSND[8:] + b"\1\2\3\4")),
    "AIFF, two COMM": aiff(comm(1_600), comm(7), SSND),
    "AIFC NONE": aiff(comm(1_600, compression=b"NONE\0\0"), SSND, form=b"AIFC"),
    "AIFC twos": aiff(comm(1_600, compression=b"twos\0\0"), SSND, form=b"AIFC"),
    "AIFC sowt": aiff(
        comm(1_600, compression=b"sowt\0\0"), iff(b"SSND", bytes(8) + PCM), form=b"AIFC"
    ),
    "AIFC sowt, odd chunk": aiff(
        iff(b"NAME", b"abc"),
        comm(1_600, compression=b"sowt\0\0"),
        iff(b"SSND", bytes(8) + PCM),
        form=b"AIFC",
    ),
    "AIFC fl32": aiff(
        comm(1_600, bits=32, compression=b"fl32\0\0"),
        iff(b"SSND", bytes(8) + (np.frombuffer(PCM, "<i2") / 32_768).astype(">f4").tobytes()),
        form=b"AIFC",
    ),
    "AIFF with an offset": aiff(
        comm(1_600), iff(b"SSND", struct.pack(">II", 6, 0) + b"skip:)" + SSND[16:])
    ),
}

REFUSED = {
    "empty": (b"", "is empty"),
    "one byte": (b"R", "text"),
    "text": (b"Peace be upon you, this is no WAV\n", "text"),
    "Arabic text": ("السلام عليكم ورحمة الله".encode(), "no WAV, FLAC, Ogg, MP3 or AIFF"),
    "zeros": (bytes(5_000), "no WAV"),
    "AVI": (riff(fmt(), data(), form=b"AVI "), "AVI video"),
    "Wave64": (b"riff\x2e\x91\xcf\x11" + bytes(60), "no format"),
    "m4a": (b"\0\0\0\x20ftypM4A " + bytes(60), "MP4"),
    "mkv": (b"\x1a\x45\xdf\xa3" + bytes(60), "Matroska"),
    "wma": (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(60), "Windows Media"),
    "amr, empty": (b"#!AMR\n", "holds no audio"),
    "au": (b".snd" + bytes(60), "AU of type 0"),
    "au, cut": (b".snd" + bytes(9), "cut off"),
    "caf": (b"caff" + bytes(60), "Core Audio"),
    "aac": (b"\xff\xf1\x50\x80" + bytes(60), "claims 0 channels"),
    "ADPCM, cut": (riff(fmt(tag=0x11, bits=4, block=256), data(len(PCM) + 1)), "truncated"),
    "ADPCM with more": (
        riff(fmt(tag=2, bits=4, block=256), data(256)) + b"\x99" * 9_000,
        "more than its header",
    ),
    "Dolby AC-4 in WAV": (riff(fmt(tag=0xAC40, bits=4, block=256), data()), "format 0xac40"),
    "A-law of 16 bits": (riff(fmt(tag=6), data()), "format 0x6"),
    "extensible, unknown": (riff(extensible(1, tail=bytes(14)), data()), "format 0xfffe"),
    "extensible, cut": (riff(fmt(tag=0xFFFE), data()), "format 0xfffe"),
    "12 bits": (riff(fmt(bits=12, block=2), data()), "12 bits"),
    "64-bit integers": (riff(fmt(bits=64), data()), "64 bits"),
    "16-bit float": (riff(fmt(tag=3), data()), "format 0x3"),
    "no channels": (riff(fmt(channels=0, block=2), data()), "0 channels"),
    "33 channels": (riff(fmt(channels=33), data()), "33 channels"),
    "65,535 channels": (riff(fmt(channels=65_535), data()), "65535 channels"),
    "rate 0": (riff(fmt(rate=0), data()), "sample rate of 0"),
    "rate 999": (riff(fmt(rate=999), data()), "sample rate of 999"),
    "rate 768,001": (riff(fmt(rate=768_001), data()), "sample rate of 768001"),
    "rate 2^32-1": (riff(fmt(rate=2**32 - 1), data()), "sample rate of 4294967295"),
    "block 0": (riff(fmt(block=0), data()), "contradicts itself"),
    "block 3": (riff(fmt(block=3), data()), "contradicts itself"),
    "fmt too short": (riff(chunk(b"fmt ", b"\1\0\1\0"), data()), "cut off"),
    "fmt empty": (riff(chunk(b"fmt ", b""), data()), "cut off"),
    "no fmt": (riff(data()), "no format"),
    "no data": (riff(fmt()), "no audio"),
    "nothing": (riff(), "no format"),
    "giant chunk before": (riff(chunk(b"junk", b"", 0xFFFF_FFF0), fmt(), data()), "no format"),
    "a thousand empty chunks": (riff(chunk(b"junk", b"") * 1_001, fmt(), data()), "no format"),
    "data empty at the end": (riff(fmt(), chunk(b"data", b"")), "holds no audio"),
    "data empty, tags behind": (riff(fmt(), chunk(b"data", b""), LIST), "holds no audio"),
    "one frame": (riff(fmt(), chunk(b"data", b"\1\0")), "holds no audio"),
    "half a frame": (riff(fmt(), chunk(b"data", b"\1")), "holds no audio"),
    "100 MB claimed": (riff(fmt(), data(100_000_000)), "claims 3125.00 s and holds 0.10 s"),
    "one byte too few": (riff(fmt(), data(len(PCM) + 1)), "truncated"),
    "RF64 claims too much": (
        riff(
            chunk(b"ds64", struct.pack("<QQQI", 1, 2**63, 1, 0)),
            fmt(),
            data(0xFFFF_FFFF),
            magic=b"RF64",
        ),
        "truncated",
    ),
    "AIFF without format": (aiff(SSND), "AIFF with no format"),
    "AIFF, two of each": (aiff(comm(1_600), comm(7), SSND, SSND), "two pieces of sound"),
    "AIFF without sound": (aiff(comm(1_600)), "AIFF with no audio"),
    "AIFF, format cut": (aiff(iff(b"COMM", b"\0\1"), SSND), "cut off"),
    "AIFF, 12 bits": (aiff(comm(1_600, bits=12), SSND), "12 bits"),
    "AIFC ima4": (aiff(comm(1_600, compression=b"ima4\0\0"), SSND), "ima4"),
    "AIFF, rate of no sense": (aiff(comm(1_600, rate=b"\xff" * 10), SSND), "sample rate"),
    "AIFF, rate tiny": (aiff(comm(1_600, rate=bytes(10)), SSND), "sample rate of 0"),
    "AIFF, too many frames": (aiff(comm(2**32 - 1), SSND), "truncated"),
    "AIFF, sound too short": (aiff(comm(1_600), iff(b"SSND", b"\0\0")), "truncated"),
    "AIFF, no frames": (aiff(comm(0), SSND), "holds no audio"),
    "FLAC, cut": (b"fLaC\0\0\0\x22" + bytes(10), "cut off in its FLAC header"),
    "FLAC, other block first": (b"fLaC\4\0\0\x22" + bytes(60), "FLAC header"),
    "FLAC without anything": (b"fLaC\0\0\0\x22" + bytes(60), "cannot be decoded"),
    "Ogg, cut": (b"OggS\0\2", "page is cut off"),
    "Ogg video": (seal(b"OggS\0\2" + bytes(20) + b"\1\7\x80theora"), "without Vorbis"),
    "Ogg, page cut": (b"OggS\0\2" + bytes(20) + b"\1\x1e\1vorbis", "page is cut off"),
    "ID3, nothing behind": (b"ID3\3\0\0\0\0\0\0", "is empty"),
    "ID3 before a WAV": (b"ID3\3\0\0\0\0\0\0" + riff(fmt(tag=0x11, block=2), data()), "no WAV"),
    "ID3 of no size": (b"ID3\3\0\0\xff\xff\xff\xff" + bytes(64), "no WAV"),
    "ID3 without end": (b"ID3\3\0\0\0\0\0\0" * 20, "no WAV"),
}


def read(path: Path) -> bytes:
    """Read a recording as a job would."""
    recording = decoding.probe(path)
    pcm = b"".join(decoding.pcm_chunks(path))
    assert pcm
    assert recording.frames > 0
    return pcm


@pytest.mark.parametrize("name", READ)
def test_odd_but_right_headers_are_read(tmp_path: Path, name: str) -> None:
    """A header that is merely odd gives exactly the samples that are there."""
    path = tmp_path / "odd"
    path.write_bytes(READ[name])
    pcm = read(path)
    # A streamed file cannot tell what stands behind its samples.
    assert pcm[: len(PCM)] == PCM
    assert len(pcm) == len(PCM)


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_headers_are_refused_by_name(tmp_path: Path, name: str) -> None:
    """A header that cannot be trusted is refused with what is wrong and what to do."""
    content, message = REFUSED[name]
    path = tmp_path / "hostile.wav"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=message) as caught:
        decoding.probe(path)
    assert caught.value.hint
    with pytest.raises(RecordingError, match=message):
        list(decoding.pcm_chunks(path))


@pytest.mark.parametrize("whole", ["plain", "AIFF", "RF64", "extensible PCM"])
def test_every_truncation_of_a_header_is_refused(tmp_path: Path, whole: str) -> None:
    """A file cut at any byte of its header, or of its samples, is refused."""
    path = tmp_path / "cut"
    cuts = (*range(110), len(READ[whole]) - 1)
    for cut in cuts:
        path.write_bytes(READ[whole][:cut])
        with pytest.raises(RecordingError):
            decoding.probe(path)


@pytest.mark.parametrize("size", [b"\0\0\0\0", b"\xff\xff\xff\xff"])
def test_streamed_silence_is_not_taken_for_tags(tmp_path: Path, size: bytes) -> None:
    """Samples behind a size never written are audio even where they look like empty chunks."""
    path = tmp_path / "silence.wav"
    path.write_bytes(riff(fmt(), b"data" + size + bytes(3_200)))
    assert decoding.probe(path).frames == 1_600


def test_plain_samples_are_located(tmp_path: Path) -> None:
    """A WAV's header tells where its samples lie, in which shape."""
    path = tmp_path / "plain.wav"
    path.write_bytes(READ["plain"])
    with path.open("rb") as file:
        header = read_header(file)
    assert header.container is Container.WAV
    assert isinstance(header.content, Samples)
    assert (header.content.spans, header.content.frames) == (((44, 3_200),), 1_600)
    assert header.content.layout.format is SampleFormat.S16
    assert header.content.layout.frame_bytes == 2


def valid(format_name: str, subtype: str = "PCM_16") -> bytes:
    """Encode a second of a tone."""
    content = io.BytesIO()
    tone = (np.sin(np.arange(8_000) / 5) * 8_000).astype("i2")
    soundfile.write(content, tone, 8_000, format=format_name, subtype=subtype)
    return content.getvalue()


WHOLE = [valid("WAV"), valid("FLAC"), valid("AIFF"), valid("OGG", "VORBIS"), valid("RF64")]
MUTATION = st.tuples(
    st.integers(0, 120), st.sampled_from([b"\0", b"\xff", b"\x7f", b"\x80"]) | st.binary(max_size=4)
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(whole=st.sampled_from(WHOLE), mutations=st.lists(MUTATION, min_size=1, max_size=5))
def test_mutated_headers_never_break_out(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, mutations: list[tuple[int, bytes]]
) -> None:
    """However a header is damaged, it is read or refused as a recording, and nothing else."""
    content = bytearray(whole)
    for place, value in mutations:
        content[place : place + len(value)] = value
    only_recording_errors(tmp_path_factory, bytes(content))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    magic=st.sampled_from(
        [b"", b"RIFF\0\0\0\0WAVE", b"fLaC\0\0\0\x22", b"OggS", b"ID3", b"\xff\xfb", b"FORM    AIFF"]
    ),
    rest=st.binary(max_size=400),
)
def test_random_bytes_never_break_out(
    tmp_path_factory: pytest.TempPathFactory, magic: bytes, rest: bytes
) -> None:
    """Whatever bytes a file holds, it is read or refused as a recording, and nothing else."""
    only_recording_errors(tmp_path_factory, magic + rest)


COUNTER = itertools.count()


def only_recording_errors(factory: pytest.TempPathFactory, content: bytes) -> None:
    """Look at a file and decode it all."""
    path = factory.getbasetemp() / f"hostile{next(COUNTER) % 4}"
    path.write_bytes(content)
    for reader in (decoding.probe, lambda path: list(decoding.pcm_chunks(path))):
        try:
            reader(path)
        except RecordingError as error:
            assert error.hint  # noqa: PT017
