"""A clip's level, fitted to a loudness without going through a ceiling."""

from collections.abc import Callable
from typing import Final

from batchjobs.audiobook.filters import NEAR_LU, Level, correct_level
from batchjobs.audiobook.meter import SILENT_LUFS, Loudness

_ROUNDS: Final = 3


def fit_level(
    measure: Callable[[Level], Loudness], *, target_lufs: float, ceiling_db: float
) -> Level:
    """Find the change that brings a clip to a loudness.

    One linear gain if it fits. Else a limiter holds the peaks down; what it takes of the loudness is
    made up for, as far as that goes without crushing speech.

    Args:
        measure: Measures the clip at a level.
        target_lufs: The integrated loudness to reach.
        ceiling_db: The highest true peak allowed, in dBTP.

    Returns:
        The level; none is changed of a clip that is silent, or too short to be measured.
    """
    before = measure(Level())
    if before.lufs <= SILENT_LUFS:
        return Level()
    gain = target_lufs - before.lufs
    if before.peak_db + gain <= ceiling_db:
        return Level(gain_db=gain)
    level = Level(gain_db=gain, ceiling_db=ceiling_db)
    for _ in range(_ROUNDS):
        after = measure(level)
        short, over = target_lufs - after.lufs, after.peak_db - ceiling_db
        if abs(short) <= NEAR_LU and over <= 0:
            break
        level = correct_level(
            level, gain_db=gain, short_lu=short, over_db=over, ceiling_db=ceiling_db
        )
    return level
