"""Sines to write into files, and what is measured of what comes back."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def tone(seconds: float, rate: int, hertz: float = 440.0, level: float = 0.5) -> Floats:
    """Make a sine."""
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def pcm_of(samples: Floats) -> bytes:
    """Write floats as 16-bit PCM."""
    return np.rint(samples * 32_767).astype("<i2").tobytes()
