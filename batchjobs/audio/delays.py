"""Whether one side of a stereo recording is the other, a little later: their mean would lack tones."""

from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SOUND_RATE: Final = 4_000
"""Of what is compared, in hertz."""
_LONGEST_SECONDS: Final = 0.3
"""A microphone that comes by radio."""
_ALIKE: Final = 0.7
"""Correlation at the best delay: of two microphones in a room it is 0.3 to 0.6, and of two speakers less."""
_BETTER_BY: Final = 0.1
"""Than without a delay; what is alike without one has nothing to lose in the mean."""


@np.errstate(over="ignore", invalid="ignore")  # samples are checked where they are used
def find_delay(sound: NDArray[np.float32], sample_rate: int) -> float:
    """Find by how much one of two channels is later than the other.

    Args:
        sound: Frames by two channels; a second of speech is enough.
        sample_rate: In hertz.

    Returns:
        Seconds; 0 if they are alike without a delay, or alike at none.
    """
    pool = max(1, round(sample_rate / _SOUND_RATE))
    frames = len(sound) // pool * pool
    # Copied, and multiplied: numpy's sum of so few numbers each took twenty times as long.
    pooled = sound[:frames].T.copy().reshape(2, -1, pool) @ np.ones(pool, np.float32)
    pooled = pooled - pooled.mean(axis=1, keepdims=True)
    powers = np.square(pooled).sum(axis=1)
    size = 1 << (2 * pooled.shape[1] - 1).bit_length()
    left, right = np.fft.rfft(pooled, size)
    alike = np.abs(np.fft.irfft(left * right.conj(), size))
    scale = sqrt(float(powers[0]) * float(powers[1]))
    reach = min(round(_LONGEST_SECONDS * sample_rate / pool), pooled.shape[1] // 3)
    # What one side holds before the other begins has nothing to be compared with.
    shares = 1 - np.arange(reach + 1) / pooled.shape[1]
    later = np.r_[alike[:1], alike[: -reach - 1 : -1]]
    at_delays = np.maximum(alike[: reach + 1], later) / shares
    best = int(at_delays.argmax())
    one, other = (0, 1) if later[best] >= alike[best] else (1, 0)
    shared = pooled[one, : pooled.shape[1] - best], pooled[other, best:]
    scale_there = sqrt(float(np.square(shared[0]).sum()) * float(np.square(shared[1]).sum()))
    likeness = abs(float(shared[0] @ shared[1])) / (scale_there or 1.0)
    if not likeness > max(_ALIKE, alike[0] / (scale or 1.0) + _BETTER_BY):
        return 0.0
    return best * pool / sample_rate
