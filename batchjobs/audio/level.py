"""How loud a recording is, and by how much a quiet one is raised before it becomes 16 bits."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_LOUD_FRAMES: Final = 31
"""About a second in all: knocks and clicks are shorter. Of a short recording..."""
_LOUD_SHARE: Final = 0.1
_KNOCK_FRAMES: Final = 3
_KNOCK_DB: Final = 30.0
"""How far sound that is shorter than that may be above the rest, and still be the only speech."""
RAISED_BELOW_DB: Final = -55.0
"""58 steps of 16 bits: what is louder comes out as it is."""
_RAISED_TO_DB: Final = -26.0
"""The level of speech that services expect (ITU-T P.56 and P.800 have -26 dB of overload)."""


def find_loudness(levels: NDArray[np.float32]) -> float:
    """Find the level of a recording's loud sounds, in dBFS, of those of its frames; knocks apart."""
    count = len(levels)
    if not count:
        return -np.inf
    place = max(0, count - 1 - min(_LOUD_FRAMES, int(count * _LOUD_SHARE)))
    knock = max(0, count - 1 - min(_KNOCK_FRAMES, count // 10))
    ordered = np.partition(levels, (place, knock))
    return float(max(ordered[place], ordered[knock] - _KNOCK_DB))


def is_loud_enough(frames: int) -> bool:
    """Say whether so many frames above `RAISED_BELOW_DB` show that nothing needs to be raised."""
    return frames > _LOUD_FRAMES


def find_gain(levels: NDArray[np.float32]) -> float:
    """Find by how much a recording is raised; 1 if it is loud enough.

    Recorders of 24 bits and of floats leave room above the sound, up to 80 dB: rounded to 16 bits
    it would be lost.
    """
    loudness = find_loudness(levels)
    if loudness >= RAISED_BELOW_DB:
        return 1.0
    return float(10 ** ((_RAISED_TO_DB - loudness) / 20))
