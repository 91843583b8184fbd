"""16-bit PCM as numbers: exact both ways, and honest about silence and cut ends."""

import io
import struct
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.audio.pcm import (
    average_channels,
    ends_abruptly,
    is_silent,
    quantise,
    silent_edges_seconds,
    to_floats,
    wav_header,
    window_powers,
)
from batchjobs.errors import OutputError


def speech_like(seconds: float, *, fade: float) -> bytes:
    """Make a buzz with pauses that ends by fading out over some seconds."""
    time = np.arange(round(16_000 * seconds)) / 16_000
    buzz = np.sin(2 * np.pi * 140 * time) * (np.sin(2 * np.pi * 3 * time) > -0.5)
    if fade:
        buzz *= np.clip((seconds - time) / fade, 0, 1)
    return quantise((buzz * 0.4).astype(np.float32))


def test_every_16_bit_sample_comes_back() -> None:
    """All 65,536 sample values survive the way through floats."""
    pcm = np.arange(-32_768, 32_768).astype("<i2").tobytes()
    assert quantise(to_floats(pcm)) == pcm


def test_rounding_is_half_to_even_and_clips() -> None:
    """Halves go to the even neighbour; what is beyond full scale is held there."""
    block = np.array([0.5, 1.5, -0.5, -1.5, 40_000, -40_000, 32_767.4], np.float32)
    values = np.frombuffer(quantise(block / np.float32(32_768)), "<i2").tolist()
    assert values == [0, 2, 0, -2, 32_767, -32_768, 32_767]


@pytest.mark.parametrize(
    ("encoding", "big_endian", "data", "expected"),
    [
        ("u1", False, b"\x00\x80\xff", [-1, 0, 127 / 128]),
        ("i1", True, b"\x80\x00\x7f", [-1, 0, 127 / 128]),
        ("i2", True, b"\x80\x00\x40\x00", [-1, 0.5]),
        ("i3", False, b"\x00\x00\x80\x00\x00\x40\x01\x00\x00", [-1, 0.5, 2**-23]),
        ("i3", True, b"\x80\x00\x00\x40\x00\x00\x00\x00\x01", [-1, 0.5, 2**-23]),
        ("i4", False, b"\x00\x00\x00\x80\x00\x00\x00\x40", [-1, 0.5]),
        ("f4", False, struct.pack("<2f", 2.5, -0.25), [2.5, -0.25]),
        ("f8", True, struct.pack(">2d", 2.5, -0.25), [2.5, -0.25]),
    ],
)
def test_every_encoding_is_scaled(
    encoding: str,
    big_endian: bool,
    data: bytes,
    expected: list[float],
) -> None:
    """Full scale is 1 for every integer type; floats stay as they are."""
    result = to_floats(data, sample_format=encoding, is_big_endian=big_endian)
    assert result.dtype == np.float32
    assert result.tolist() == expected


def test_channels_are_averaged_alike_in_every_block() -> None:
    """A frame's average does not depend on the frames around it."""
    block = np.random.default_rng(1).standard_normal((1_000, 6)).astype(np.float32)
    whole = average_channels(block)
    assert whole.tobytes() == b"".join(
        average_channels(block[i : i + 7]).tobytes() for i in range(0, 1_000, 7)
    )
    assert np.allclose(whole, block.mean(axis=1), atol=1e-6)
    assert average_channels(block[:, :1]).tobytes() == block[:, 0].tobytes()


@settings(max_examples=50, deadline=None)
@given(samples=st.lists(st.integers(-32_768, 32_767), max_size=50))
def test_silence_is_all_zeros(samples: list[int]) -> None:
    """PCM is silent exactly when no sample differs from zero."""
    assert is_silent(struct.pack(f"<{len(samples)}h", *samples)) == (not any(samples))


def test_a_wav_header_is_what_others_read() -> None:
    """The standard library reads our header, and a WAV beyond 4 GiB is refused."""
    with wave.open(io.BytesIO(wav_header(6, sample_rate=24_000) + b"abcdef")) as file:
        assert file.getparams()[:4] == (1, 2, 24_000, 3)
        assert file.readframes(3) == b"abcdef"
    with pytest.raises(OutputError, match="cannot hold"):
        wav_header(2**32 - 36, sample_rate=24_000)


def test_a_cut_in_mid_sound_is_told() -> None:
    """A voice that stops at its loudest is an abrupt end; one that fades out is none."""
    assert ends_abruptly(speech_like(2.05, fade=0.0), sample_rate=16_000)
    assert not ends_abruptly(speech_like(2.05, fade=0.4), sample_rate=16_000)
    assert not ends_abruptly(speech_like(2.05, fade=0.0) + bytes(3_200), sample_rate=16_000)


@pytest.mark.parametrize("pcm", [b"", b"\1", bytes(64_000), speech_like(0.19, fade=0.0)])
def test_nothing_is_told_of_silence_or_scraps(pcm: bytes) -> None:
    """Silence, and less than a fifth of a second, never counts as cut."""
    assert not ends_abruptly(pcm, sample_rate=16_000)


def test_a_tiny_sample_rate_has_edges_too() -> None:
    """Even where 20 ms are less than one frame, an answer comes."""
    assert ends_abruptly(b"\x00\x40" * 10, sample_rate=8)


@pytest.mark.parametrize("before", [0.0, 0.4, 2.9])
@pytest.mark.parametrize("after", [0.0, 0.3, 2.9])
@pytest.mark.parametrize("seconds", [0.1, 2.0, 9.0])
def test_the_silence_around_speech_is_measured(before: float, after: float, seconds: float) -> None:
    """In windows of 20 ms at both ends, however long the speech between them is."""
    sound = b"\x00\x20" * round(seconds * 16_000)
    pcm = bytes(round(before * 32_000)) + sound + bytes(round(after * 32_000))
    assert silent_edges_seconds(pcm, sample_rate=16_000) == pytest.approx(before + after, abs=0.02)
    half = silent_edges_seconds(pcm + b"\x7f", sample_rate=16_000)  # in mid-sample, as it comes
    assert half == silent_edges_seconds(pcm, sample_rate=16_000)


def test_silence_before_what_is_at_hand_is_known_by_its_powers() -> None:
    """What was moved to a file is not read again."""
    beginning, rest = bytes(16_000) + b"\x00\x20" * 8_000, b"\x00\x20" * 8_000 + bytes(9_600)
    powers = list(window_powers(beginning, sample_rate=16_000))
    told = silent_edges_seconds(rest, sample_rate=16_000, earlier_powers=powers)
    assert told == pytest.approx(0.5 + 0.3)


@pytest.mark.parametrize("pcm", [b"", b"\1", b"\1\1", bytes(640_000)])
def test_silence_alone_has_no_edges(pcm: bytes) -> None:
    """Where no sound is, nothing is before or after it; a hiss below a voice is silence."""
    assert silent_edges_seconds(pcm, sample_rate=16_000) == 0.0
    hiss = b"\x40\x00" * 16_000
    assert silent_edges_seconds(b"\x00\x20" * 16_000 + hiss, sample_rate=16_000) == 1.0
