"""Clips and recordings that look like speech, the same for the same words.

About 12 letters a second, each text a little faster or slower than that; syllables of a hiss and a
tone that swells and fades, words with a short gap between them, and a longer one where there is a
comma or a full stop.
"""

import functools
import hashlib
import io
import wave
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["RATE", "RECORDING_RATE", "clip", "end_level", "noise", "recording", "samples_of", "wav"]

RATE: Final = 24_000
"""Hertz of what the services speak."""
RECORDING_RATE: Final = 16_000
"""Hertz of what is transcribed: as it is sent, so that what arrives is what the file holds."""
_LETTERS_PER_SECOND: Final = 12.0
_DIGIT_LETTERS: Final = 5.0
_PAUSE_SECONDS: Final = 0.2
_GAP_SECONDS: Final = 0.05
_SYLLABLE_SECONDS: Final = 0.2
_REST_SECONDS: Final = 0.1
_HISS_SHARE: Final = 0.3
_LEVEL: Final = 9_000.0
_HISS_LEVEL: Final = 3_000.0
_NOISE_LEVEL: Final = 12.0
_PAUSING: Final = frozenset(".,;:!?،؛؟…")


@functools.lru_cache(maxsize=1_000)
def clip(text: str, *, loud: bool) -> bytes:
    """Speak a text.

    Args:
        text: Any text with a letter or a digit in it.
        loud: Whether it ends in the middle of a sound, or fades out.

    Returns:
        16-bit mono samples at `RATE`.
    """
    dice = _dice(text)
    pace = _LETTERS_PER_SECOND * dice.uniform(0.94, 1.06)
    parts = [_silence(0.06, RATE, dice)]
    for word in text.split():
        parts += [_word(_letters(word) / pace, RATE, dice), _silence(_GAP_SECONDS, RATE, dice)]
        parts += [_silence(_PAUSE_SECONDS, RATE, dice)] * (word[-1] in _PAUSING)
    samples = np.concatenate(parts)
    if loud:  # the last syllable is broken off where it is loudest
        loudest = np.flatnonzero(np.abs(samples) > _LEVEL / 2)
        return _sixteen_bits(samples[: int(loudest[-1]) - RATE // 20])
    return _sixteen_bits(np.concatenate([samples, _silence(_REST_SECONDS, RATE, dice)]))


def end_level(pcm: bytes) -> float:
    """Measure how loud the last 20 ms of a clip are, against its loudest sample."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    return float(np.abs(samples[-RATE // 50 :]).max() / np.abs(samples).max())


@functools.lru_cache(maxsize=100)
def recording(name: str) -> bytes:
    """Make a recording of four words in an empty room; no two names sound alike."""
    dice = _dice(name)
    parts = [_silence(_GAP_SECONDS, RECORDING_RATE, dice)]
    for _ in range(4):
        parts += [_word(0.55, RECORDING_RATE, dice), _silence(_GAP_SECONDS, RECORDING_RATE, dice)]
    return _sixteen_bits(np.concatenate(parts))


@functools.lru_cache(maxsize=100)
def noise(name: str, *, seconds: float = 2.2) -> bytes:
    """Make a recording of an empty room."""
    return _sixteen_bits(_silence(seconds, RECORDING_RATE, _dice(name)))


def wav(pcm: bytes, rate: int) -> bytes:
    """Give 16-bit mono samples as a WAV file."""
    whole = io.BytesIO()
    with wave.open(whole, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    return whole.getvalue()


def samples_of(content: bytes) -> tuple[bytes, int]:
    """Read a WAV file; gives its samples and their rate in hertz.

    Raises:
        ValueError: It is none of 16-bit mono.
    """
    with wave.open(io.BytesIO(content)) as file:
        if (file.getnchannels(), file.getsampwidth()) != (1, 2):
            raise ValueError("not 16-bit mono")
        return file.readframes(file.getnframes()), file.getframerate()


def _letters(word: str) -> float:
    """Count what is said of a word: marks and tatweel are not."""
    letters = sum(each.isalpha() and each != "ـ" for each in word)
    return max(1.0, letters + _DIGIT_LETTERS * sum(map(str.isdecimal, word)))


def _word(seconds: float, rate: int, dice: np.random.Generator) -> NDArray[np.float64]:
    """Say something for so long: syllables of a hiss and a tone, each with a pitch of its own."""
    count = max(1, round(seconds / _SYLLABLE_SECONDS))
    frames = max(1, int(seconds * rate / count))
    hiss = int(frames * _HISS_SHARE)
    tone = frames - hiss
    time = np.arange(tone) / rate
    swell = np.sin(np.pi * (np.arange(tone) + 0.5) / tone) ** 0.7
    parts = []
    for _ in range(count):
        pitch = dice.uniform(110.0, 240.0)
        harmonics = sum(np.sin(2 * np.pi * pitch * n * time) / n for n in (1, 2, 3, 5))
        parts.append(dice.uniform(-_HISS_LEVEL, _HISS_LEVEL, hiss))
        parts.append(_LEVEL * dice.uniform(0.8, 1.2) * swell * harmonics)
    return np.concatenate(parts)


def _silence(seconds: float, rate: int, dice: np.random.Generator) -> NDArray[np.float64]:
    return dice.normal(0.0, _NOISE_LEVEL, int(seconds * rate))


def _sixteen_bits(samples: NDArray[np.float64]) -> bytes:
    return bytes(np.clip(np.rint(samples), -32_768, 32_767).astype("<i2").tobytes())


def _dice(name: str) -> np.random.Generator:
    return np.random.default_rng(list(hashlib.sha256(name.encode()).digest()))
