"""Sounds to be judged."""

import numpy as np

from batchjobs.audio.buffer import ReceivedAudio

RATE = 8_000


def receive(pcm: bytes) -> ReceivedAudio:
    """Take samples as a session does."""
    audio = ReceivedAudio()
    audio.add(pcm)
    return audio


def make_hum(seconds: float, *, fades: bool = True) -> ReceivedAudio:
    """Make a hum, which dies away at its end or breaks off."""
    count = round(seconds * RATE)
    wave = 8_000 * np.sin(np.arange(count) * 0.3)
    if fades:
        edge = min(count, RATE // 10)
        wave[count - edge :] *= np.linspace(1, 0, edge) ** 2
    return receive(bytes(wave.astype("<i2").tobytes()))
