"""Base64, arrays of byte values, and WAV chunks whose lengths lie."""

import io
import json
import struct
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.protocol import codec

_HEADER_BYTES = 44
_PCM = struct.pack("<6h", 0, 1, -1, 32767, -32768, 1234)
_FORMAT = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)


def _riff(*chunks: tuple[bytes, int | None, bytes]) -> bytes:
    body = b"".join(
        name + struct.pack("<I", len(data) if size is None else size) + data
        for name, size, data in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


@given(st.binary(max_size=400))
@settings(max_examples=100, deadline=None)
def test_base64_gives_back_every_byte(data: bytes) -> None:
    """What is written as base64 is read as it was."""
    assert codec.decode_base64(codec.encode_base64(data)) == data


@pytest.mark.parametrize(
    "text", ["A", "AAA", "AA AA", "AAAA\n", "====", "AA=A", "مرحب", "AA-_", "\ud800AAA"]
)
def test_strict_base64(text: str) -> None:
    """Damaged base64 is an error, never a shorter sound."""
    with pytest.raises(ValueError):  # noqa: PT011 - binascii.Error or plain, by what is wrong
        codec.decode_base64(text)


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_a_chunk_is_the_documents_json(data: bytes) -> None:
    """The array holds the byte values, in the documents' form, compactly."""
    text = codec.encode_audio_chunk(data)
    expected = {"event": "audio_chunk", "data": {"audioBuffer": list(data)}}
    assert text.decode() == json.dumps(expected, separators=(",", ":"))


@given(st.binary(max_size=300), st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_a_padded_chunk_says_the_same(head: bytes, seed: int) -> None:
    """Bytes of any length, even and odd, are read by others as those of the compact chunk."""
    dice = np.random.default_rng(seed)
    for data in (head, head + dice.bytes(int(dice.integers(0, 70_000)))):
        text = codec.encode_audio_chunk(data, codec.ChunkEncoding.PADDED)
        assert json.loads(text) == json.loads(codec.encode_audio_chunk(data))
        assert text.isascii()


def test_every_pair_of_byte_values_is_padded_to_eight_characters() -> None:
    """All 65,536 pairs come through, and what is padded is a fifth longer than compact."""
    pairs = np.arange(65_536, dtype=np.uint16).tobytes()
    text = codec.encode_audio_chunk(pairs, codec.ChunkEncoding.PADDED)
    assert bytes(json.loads(text)["data"]["audioBuffer"]) == pairs
    assert len(text) - len(codec.encode_audio_chunk(b"")) == 4 * len(pairs) - 1


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
def test_a_wav_is_read_by_others(rate: int) -> None:
    """The standard library reads our header and the same samples."""
    with wave.open(io.BytesIO(codec.wav_of(_PCM, rate))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, rate)
        assert file.readframes(99) == _PCM
    assert len(codec.wav_of(b"", rate)) == _HEADER_BYTES


@given(st.binary(max_size=100), st.integers(1_000, 192_000))
@settings(max_examples=100, deadline=None)
def test_a_wav_gives_back_its_samples(pcm: bytes, rate: int) -> None:
    """What was put into a WAV chunk comes out of it."""
    assert codec.pcm_of_chunk(codec.wav_of(pcm, rate)) == (pcm, rate)


def test_raw_samples_have_no_rate() -> None:
    """A chunk without a header is samples."""
    assert codec.pcm_of_chunk(_PCM) == (_PCM, None)
    assert codec.pcm_of_chunk(b"") == (b"", None)


@pytest.mark.parametrize("size", [0, 1, 5, 12, 100_000_000, 0xFFFFFFF7, 0xFFFFFFFF, 0x7FFFFFFF])
def test_lengths_are_not_trusted(size: int) -> None:
    """Sentinel and false sizes of the data lose no sample."""
    data = bytearray(_riff((b"fmt ", None, _FORMAT), (b"data", size, _PCM)))
    data[4:8] = struct.pack("<I", size)
    assert codec.pcm_of_chunk(bytes(data)) == (_PCM, 16_000)


def test_other_chunks_are_passed_over() -> None:
    """Chunks before the samples are skipped, an odd one with its padding."""
    listed = (b"LIST", 3, b"abc\0")
    longer = (b"fmt ", None, _FORMAT + b"\0\0")
    assert codec.pcm_of_chunk(_riff(listed, longer, (b"data", None, _PCM))) == (_PCM, 16_000)


@pytest.mark.parametrize(
    "data",
    [
        b"RIFF",
        b"RIFF\0\0\0\0AVI ",
        b"RIFF\0\0\0\0WAVE",
        b"RIFF\0\0\0\0WAVEfmt ",
        _riff((b"fmt ", None, _FORMAT)),
        _riff((b"fmt ", None, _FORMAT[:8])),
        _riff((b"data", None, _PCM)),
        _riff((b"data", None, _PCM), (b"fmt ", None, _FORMAT)),
        _riff((b"LIST", 0xFFFFFFFF, b""), (b"fmt ", None, _FORMAT), (b"data", None, _PCM)),
        _riff(
            (b"fmt ", None, struct.pack("<HHIIHH", 1, 2, 16_000, 64_000, 4, 16)),
            (b"data", None, _PCM),
        ),
        _riff(
            (b"fmt ", None, struct.pack("<HHIIHH", 1, 1, 16_000, 16_000, 1, 8)),
            (b"data", None, _PCM),
        ),
        _riff(
            (b"fmt ", None, struct.pack("<HHIIHH", 3, 1, 16_000, 64_000, 4, 32)),
            (b"data", None, _PCM),
        ),
        _riff((b"fmt ", None, struct.pack("<HHIIHH", 1, 1, 0, 0, 2, 16)), (b"data", None, _PCM)),
        _riff(
            (b"fmt ", None, struct.pack("<HHIIHH", 1, 1, 999_999, 0, 2, 16)), (b"data", None, _PCM)
        ),
    ],
)
def test_a_wav_that_cannot_be_used_is_told(data: bytes) -> None:
    """What is no 16-bit mono PCM is refused in words."""
    with pytest.raises(ValueError, match=r"WAV|PCM"):
        codec.pcm_of_chunk(data)


@given(st.binary(max_size=120), st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_samples_or_told(data: bytes, is_riff: bool) -> None:
    """No chunk raises anything but ValueError."""
    chunk = b"RIFF\0\0\0\0WAVE" + data if is_riff else data
    try:
        pcm, _ = codec.pcm_of_chunk(chunk)
    except ValueError:
        return
    assert chunk.endswith(pcm)


def test_every_truncation_of_a_wav_is_told_or_shorter() -> None:
    """A WAV cut anywhere is an error, or its samples up to there."""
    whole = codec.wav_of(_PCM, 16_000)
    for end in range(4, _HEADER_BYTES):
        with pytest.raises(ValueError, match="WAV"):
            codec.pcm_of_chunk(whole[:end])
    for end in range(_HEADER_BYTES, len(whole) + 1):
        assert codec.pcm_of_chunk(whole[:end]) == (_PCM[: end - _HEADER_BYTES], 16_000)


def test_all_byte_values_of_a_second() -> None:
    """A second of audio, every byte value in it, comes through as integers 0 to 255."""
    second = np.arange(32_000, dtype=np.uint32).astype(np.uint8).tobytes()
    assert bytes(json.loads(codec.encode_audio_chunk(second))["data"]["audioBuffer"]) == second
