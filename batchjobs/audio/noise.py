"""The noise that speech stands out of: how loud it is around each second of a recording."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_Levels = NDArray[np.float64]

_FLOOR_SECONDS: Final = 15
"""How far around a moment the noise floor is looked for: people breathe more often."""
_QUIET_PERCENTILE: Final = 10
_LOUD_PERCENTILE: Final = 95
FLAT_RANGE_DB: Final = 6.0
"""Sound that varies less is no speech among noise: music, a hum, or one endless vowel."""
_STEADY_SECONDS: Final = 4
"""Of flat sound that keeps its level: speech has none so long, and a long vowel of a recitation..."""
_STEADY_STEP_DB: Final = 3.0
_UNDER_SPEECH_DB: Final = 8.0
"""... is not so far below what is around it."""
_FLAT_SECONDS: Final = 120
_NEAR_SECONDS: Final = 30
_INTERRUPTED_DB: Final = 10.0
"""So far below the steady noise on either side, noise is interrupted: muted, gated, padded."""
_LEAST_SHARE: Final = 0.25
"""Of a second that is left then, from which it says anything about the noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """What is known of each second of a recording, in dBFS.

    Attributes:
        floor: The level of the noise around it.
        loud: The level of its loudest sound, clicks apart.
        loud_around: The same within two minutes to either side.
        is_lively: Whether the sound around it varies within a second, as no steady noise does.
    """

    floor: _Levels
    loud: _Levels
    loud_around: _Levels
    is_lively: NDArray[np.bool_]


def measure_seconds(
    levels: NDArray[np.float32], hop: int, *, quiet_db: float, silence_db: float
) -> Seconds:
    """Measure the noise around each second.

    The floor is the quietest sound around, but where noise is interrupted: a mute, a gate, comfort
    noise or padding within steady noise says nothing about what the speech there stands out of.

    Args:
        levels: Of frames, in dBFS; at least one.
        hop: Frames in a second.
        quiet_db: Steady sound below this is noise, also if nothing louder is around.
        silence_db: And below this it is nothing, not even noise.
    """
    count = -(-len(levels) // hop)
    missing = count * hop - len(levels)
    last = levels[(count - 1) * hop :]
    rows = np.concatenate((levels, np.resize(last, missing))).reshape(count, hop)
    quiet, loud = np.percentile(rows, [_QUIET_PERCENTILE, _LOUD_PERCENTILE], axis=1)
    loud_around = highest_around(loud, _FLAT_SECONDS)
    is_noise = (quiet < np.maximum(loud_around - _UNDER_SPEECH_DB, quiet_db)) & (quiet > silence_db)
    steady = _find_steady(quiet, is_noise & (loud - quiet < FLAT_RANGE_DB))
    floor = -highest_around(-_without_interruptions(rows, quiet, steady), _FLOOR_SECONDS)
    floor = np.where(np.isfinite(floor), floor, quiet)
    varied = (rows.max(axis=1) - rows.min(axis=1) >= FLAT_RANGE_DB).astype(np.float64)
    share = np.convolve(varied, np.ones(2 * _FLOOR_SECONDS + 1))[_FLOOR_SECONDS:][:count]
    around = np.convolve(np.ones(count), np.ones(2 * _FLOOR_SECONDS + 1))[_FLOOR_SECONDS:][:count]
    return Seconds(
        floor=np.where(np.isfinite(steady), steady, floor),
        loud=loud,
        loud_around=loud_around,
        is_lively=2 * share >= around,
    )


def highest_around(values: _Levels, reach: int) -> _Levels:
    """Give for every place the highest value within so many places around it."""
    padded = np.pad(values, reach, mode="edge")
    highest: _Levels = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=1)
    return highest


def _find_steady(quiet: _Levels, is_flat: NDArray[np.bool_]) -> _Levels:
    """Find the seconds of steady noise: its level there, and no number elsewhere."""
    is_next = is_flat[1:] & is_flat[:-1] & (np.abs(np.diff(quiet)) < _STEADY_STEP_DB)
    edges = np.flatnonzero(np.diff(is_next.astype(np.int8), prepend=0, append=0))
    found = np.full(len(quiet), np.nan)
    for first, last in edges.reshape(-1, 2):
        if last + 1 - first >= _STEADY_SECONDS:
            found[first : last + 1] = quiet[first : last + 1]
    return found


def _without_interruptions(rows: NDArray[np.float32], quiet: _Levels, steady: _Levels) -> _Levels:
    """Give the quiet level of each second, without what only interrupts the noise around it."""
    limits = _find_noise_around(steady) - _INTERRUPTED_DB
    found = quiet.copy()
    for at in np.flatnonzero(rows.min(axis=1) < limits):
        live = rows[at][rows[at] >= limits[at]]
        is_enough = len(live) >= _LEAST_SHARE * rows.shape[1]
        found[at] = np.percentile(live, _QUIET_PERCENTILE) if is_enough else np.inf
    return found


def _find_noise_around(steady: _Levels) -> _Levels:
    """Give the lower level of the steady noise before and after each second; no number if unknown.

    It is known from both sides, or at the ends of a recording from one.
    """
    places = np.arange(len(steady))
    is_steady = np.isfinite(steady)
    if not is_steady.any():
        return steady
    before = np.maximum.accumulate(np.where(is_steady, places, -1))
    after = np.minimum.accumulate(np.where(is_steady, places, len(steady))[::-1])[::-1]
    has_before = (before >= 0) & (places - before <= _NEAR_SECONDS)
    has_after = (after < len(steady)) & (after - places <= _NEAR_SECONDS)
    lower_before = np.where(has_before, steady[np.maximum(before, 0)], np.inf)
    lower_after = np.where(has_after, steady[np.minimum(after, len(steady) - 1)], np.inf)
    is_near_end = np.minimum(places, places[::-1]) < _FLOOR_SECONDS
    is_known = (has_before & has_after) | (is_near_end & (has_before | has_after))
    return np.where(is_known, np.minimum(lower_before, lower_after), np.nan)
