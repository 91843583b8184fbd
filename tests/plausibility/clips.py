"""Sounds to be judged."""

import numpy as np

from batchjobs.audio.buffer import ReceivedAudio

_RATE = 8_000


def _received(pcm: bytes) -> ReceivedAudio:
    audio = ReceivedAudio()
    audio.add(pcm)
    return audio


def _sound(seconds: float, *, fades: bool = True) -> ReceivedAudio:
    """Make a hum, which dies away at its end or breaks off."""
    count = round(seconds * _RATE)
    wave = 8_000 * np.sin(np.arange(count) * 0.3)
    if fades:
        edge = min(count, _RATE // 10)
        wave[count - edge :] *= np.linspace(1, 0, edge) ** 2
    return _received(bytes(wave.astype("<i2").tobytes()))
