"""The samples are found in a body, however it is cut, packed or wrapped."""

import gzip
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchjobs.errors import WrongFormatError
from batchjobs.jobs import Doubt, Sign
from batchjobs.protocol.codec import wav_of
from batchjobs.protocol.http_body import SpeechBody
from tests.builders import make_tone

PCM = make_tone(0.2)
WAV = wav_of(PCM, 48_000)


def pieces_of(data: bytes, size: int) -> Iterator[bytes]:
    """Cut bytes into pieces."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def read(
    data: bytes, *, size: int = 65_536, is_packed: bool = False
) -> tuple[bytes, int, tuple[Doubt, ...]]:
    """Read a body that comes in pieces of a size; gives the samples, the rate, the doubts."""
    body = SpeechBody(is_packed=is_packed)
    found = b"".join(pcm for piece in pieces_of(data, size) for pcm in body.read(piece))
    rest, doubts = body.end()
    return found + rest, body.sample_rate, doubts


def wav_with(size: int, pcm: bytes = PCM, *, tail: bytes = b"") -> bytes:
    """Make a WAV that says another length than it has."""
    return WAV[:40] + size.to_bytes(4, "little") + pcm + tail


@pytest.mark.parametrize("size", [1, 2, 3, 11, 43, 44, 45, 1_000])
@pytest.mark.parametrize("pack", [None, gzip.compress, zlib.compress])
@pytest.mark.parametrize("is_wav", [False, True])
def test_samples_are_found_whatever_the_cuts(size: int, pack: object, is_wav: bool) -> None:
    """Plain or packed, bare or in a WAV, whose rate is told."""
    data = WAV if is_wav else PCM
    packed = pack(data) if callable(pack) else data
    found = read(packed, size=size, is_packed=pack is not None)
    assert found == (PCM, 48_000 if is_wav else 0, ())


@given(st.binary(max_size=60), st.integers(1, 9))
def test_what_is_no_wav_comes_as_it_is(data: bytes, size: int) -> None:
    """Every byte, in order, but of a header that breaks off."""
    found, rate, doubts = read(data, size=size)
    assert (rate, doubts) == (0, ())
    assert found == (b"" if data.startswith(b"RIFF") and len(data) < 12 else data)


@pytest.mark.parametrize("size", [0, 0x7FFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFD3])
def test_a_length_that_nobody_knew_beforehand_is_none(size: int) -> None:
    """Writers of streams put such numbers there."""
    assert read(wav_with(size)) == (PCM, 48_000, ())


def test_what_follows_the_samples_of_a_wav_is_no_sound() -> None:
    """A chunk with the name of a programme, say."""
    assert read(wav_with(len(PCM), tail=b"LIST\4\0\0\0INFO")) == (PCM, 48_000, ())


def test_fewer_samples_than_a_wav_says_are_a_doubt() -> None:
    """All of them are kept: they were paid for."""
    found, _, doubts = read(wav_with(len(PCM) + 10))
    assert found == PCM
    assert [(doubt.sign, "10" in doubt.message) for doubt in doubts] == [(Sign.BROKEN, True)]


def test_packed_audio_that_breaks_off_is_a_doubt() -> None:
    """HTTP was content with it, and the packing is not."""
    found, _, doubts = read(gzip.compress(PCM)[:-9], is_packed=True)
    assert PCM.startswith(found)
    assert [doubt.sign for doubt in doubts] == [Sign.BROKEN]


@pytest.mark.parametrize("size", [1, 7, 65_536])
@pytest.mark.parametrize("padding", [b"", b"\0" * 9])
def test_audio_that_is_packed_piece_by_piece_is_all_there(size: int, padding: bytes) -> None:
    """Gzip may have several members, and padding behind them; none is taken for the end."""
    packed = b"".join(gzip.compress(piece) for piece in pieces_of(WAV, 3_000))
    assert read(packed + padding, size=size, is_packed=True) == (PCM, 48_000, ())
    found, _, doubts = read(packed[:-9], size=size, is_packed=True)
    assert PCM.startswith(found)
    assert [doubt.sign for doubt in doubts] == [Sign.BROKEN] * len(doubts) != []


@pytest.mark.parametrize(
    ("data", "is_packed", "words"),
    [
        (b"no gzip", True, "cannot be unpacked"),
        (WAV[:22] + b"\2" + WAV[23:], False, "2 channels"),
        (WAV[:34] + b"\x18" + WAV[35:], False, "24 bits"),
        (WAV[:20] + b"\3" + WAV[21:], False, "format 3"),
        (WAV[:12] + WAV[36:], False, "format is missing"),
        (WAV[:36] + b"JUNK\xff\xff\xff\x7f" + bytes(70_000), False, "without samples"),
    ],
)
def test_what_cannot_be_used_is_told_at_once(data: bytes, is_packed: bool, words: str) -> None:
    """Every further text would be answered so, too."""
    with pytest.raises(WrongFormatError, match=words):
        read(data, is_packed=is_packed)


def test_what_inflates_is_read_bit_by_bit() -> None:
    """A little of it can be a thousand times as much: no piece is larger than a mebibyte."""
    body = SpeechBody(is_packed=True)
    sizes = [len(pcm) for pcm in body.read(zlib.compress(bytes(5_000_000)))]
    assert sum(sizes) == 5_000_000
    assert max(sizes) <= 1_048_576
