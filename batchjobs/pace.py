"""How long a voice takes for a text: a robust regression over what it was heard to say.

A clip's length is the sum of what its text's sounds take, by `text.Sounds`, each at a length of its
own. What they take is the same for no two voices, and known roughly for all: so the regression
starts from that and moves away as far as the clips say (ridge). Each clip is weighed by how far it
is from the rest (Tukey's biweight, from the densest part of them): those that lost their end, which
may be half of all, weigh nothing, whether they were noticed at the time or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from batchjobs.text import Sounds

__all__ = ["KNOWN_AFTER", "Expected", "Pace"]

KNOWN_AFTER: Final = 20
"""Clips: before that, a voice's pace is not known."""

_MOST_CLIPS: Final = 256
_HEAD_SECONDS: Final = 0.1
_SECONDS: Final = Sounds(
    arabic=0.065,
    marks=0.025,
    latin=0.035,
    vowels=0.085,
    numbers=0.06,
    words=0.07,
    stops=0.35,
    breaks=0.25,
)
"""Of one of each at speed 1: between what espeak and hosted voices take."""
_PRIOR: Final = np.array([_HEAD_SECONDS, *_SECONDS])
_SPREAD: Final = np.array([1.0, 0.3, 0.8, 0.4, 0.3, 0.5, 0.7, 0.7, 0.7, 0.5])
"""How far each may be from that, as a share of it; the last is how a voice follows the speed."""
_NUMBERS, _WORDS, _STOPS, _BREAKS = (
    1 + Sounds._fields.index(name) for name in ("numbers", "words", "stops", "breaks")
)

_DEVIATION: Final = 0.04
"""Of the length of a long text: what no counting of letters can know."""
_WORD_DEVIATION: Final = 0.2
"""Of the length of one word; of many, the square root of their number less."""
_EDGE_SECONDS: Final = 0.06
"""The same of any text, however short: how its first and last sound begin and end."""
_NUMBERS_DEVIATION: Final = 0.22
"""Of the length of numbers: they can be read in more than one way."""
_PAUSE_DEVIATIONS: Final = (0.15, 0.08)
"""Seconds, of each long and each short pause: no voice makes one at every place for it."""
_LEAST_SCALE, _MOST_SCALE = 0.5, 4.0
_CUTOFF: Final = 4.0
_PRIOR_CLIPS: Final = 10.0
"""How many clips the assumed spread is worth."""
_ROUNDS: Final = 8
_DENSE_SHARE: Final = 0.4
"""So many clips that lie close together are taken for whole ones, whatever the others are."""
_NORMAL: Final = 1.4826
"""A normal distribution's deviation by the median of the distances from its middle."""
CUT_LOW, CUT_HIGH = 3.5, 4.0
_NEW_SHARE: Final = 0.05
"""The fit is made anew when there is so much more to know."""

_Numbers = NDArray[np.float64]


class Expected(NamedTuple):
    """How long a text should take.

    Attributes:
        seconds: Most likely.
        deviation: Of the logarithm of the true length from that.
    """

    seconds: float
    deviation: float


@dataclass(slots=True)
class _Fit:
    """What is known of a voice: its pace, how its sounds differ from all voices', how it varies."""

    scale: float
    shifts: _Numbers
    covariance: _Numbers
    spread: float

    def prediction(self, rows: _Numbers, speeds: _Numbers) -> tuple[_Numbers, _Numbers, _Numbers]:
        """Give seconds, the shares that each sound has in them, and the deviations of one clip."""
        times = rows * (self.scale * _PRIOR)
        plain = times.sum(axis=1)
        shares = np.column_stack((times / plain[:, None], np.log(speeds)))
        seconds = plain * np.maximum(1.0 + shares @ self.shifts, 0.1)
        deviations = np.sqrt(
            _DEVIATION**2
            + _WORD_DEVIATION**2 / np.maximum(rows[:, _WORDS], 1.0)
            + (_EDGE_SECONDS / seconds) ** 2
            + (
                rows[:, _STOPS] * _PAUSE_DEVIATIONS[0] ** 2
                + rows[:, _BREAKS] * _PAUSE_DEVIATIONS[1] ** 2
            )
            / seconds**2
            + (_NUMBERS_DEVIATION * shares[:, _NUMBERS]) ** 2
        )
        return seconds, shares, deviations


class Pace:
    """Learns how long one voice takes for a text."""

    def __init__(self) -> None:
        self.count = 0
        self._rows = np.empty((0, len(_PRIOR)))
        self._speeds = np.empty(0)
        self._seconds = np.empty(0)
        self._fit: _Fit | None = None
        self._fitted_count = 0

    @property
    def is_known(self) -> bool:
        """Whether enough clips were heard."""
        return len(self._seconds) >= KNOWN_AFTER

    def add(self, sounds: Sounds, *, speed: float, seconds: float) -> None:
        """Hear a clip, whatever is thought of it.

        Args:
            sounds: Of its text.
            speed: The asked speed.
            seconds: Its length.
        """
        self.count += 1
        keep = slice(-_MOST_CLIPS, None)
        self._rows = np.vstack((self._rows, (1.0, *sounds)))[keep]
        self._speeds = np.append(self._speeds, speed)[keep]
        self._seconds = np.append(self._seconds, max(seconds, 0.01))[keep]

    def forget(self, but: int) -> None:
        """Keep only the newest clips: the voice is another one now."""
        self._rows, self._speeds = self._rows[-but:], self._speeds[-but:]
        self._seconds = self._seconds[-but:]
        self._fit = None

    def expected(self, sounds: Sounds, *, speed: float) -> Expected:
        """Say how long a text should take.

        Args:
            sounds: Of the text.
            speed: The asked speed.
        """
        fit = self._fitted()
        row = np.array([(1.0, *sounds)])
        seconds, shares, deviations = fit.prediction(row, np.array([speed]))
        unsure = float(shares[0] @ fit.covariance @ shares[0])
        deviation = fit.spread * float(np.sqrt(deviations[0] ** 2 + unsure))
        return Expected(float(seconds[0]) / speed, deviation)

    def ratios(self, newest: int) -> Sequence[float]:
        """Give the logarithm of the length of the newest clips by what would be expected."""
        fit = self._fitted()
        rows, speeds = self._rows[-newest:], self._speeds[-newest:]
        seconds, _, _ = fit.prediction(rows, speeds)
        return list(np.log(self._seconds[-newest:] * speeds / seconds))

    def _fitted(self) -> _Fit:
        if self._fit is None or self.count > self._fitted_count * (1.0 + _NEW_SHARE):
            self._fit = _fitted(self._rows, self._speeds, self._seconds * self._speeds)
            self._fitted_count = self.count
        return self._fit


def _fitted(rows: _Numbers, speeds: _Numbers, seconds: _Numbers) -> _Fit:
    """Fit a voice to its clips.

    Args:
        rows: A one, and what is to be heard of each text: clips by sounds.
        speeds: The asked speeds.
        seconds: The lengths, brought to speed 1.
    """
    count = len(_SPREAD)
    fit = _Fit(scale=1.0, shifts=np.zeros(count), covariance=np.diag(_SPREAD**2), spread=1.0)
    if not len(seconds):
        return fit
    ratios = np.log(seconds / fit.prediction(rows, speeds)[0])
    middle, width = _densest(ratios)
    fit.scale = float(np.exp(middle))
    predicted, shares, deviations = fit.prediction(rows, speeds)
    fit.spread = _bounded(width / float(np.median(deviations)))
    for _ in range(_ROUNDS):
        distances = np.log(seconds / predicted) / deviations
        cutoffs = np.where(distances < 0.0, CUT_LOW, CUT_HIGH) * fit.spread
        weights = np.clip(1.0 - (distances / cutoffs) ** 2, 0.0, 1.0) ** 2
        by = shares * (weights / deviations**2)[:, None]
        fit.covariance = np.linalg.inv(by.T @ shares + np.diag(_SPREAD**-2.0))
        plain = predicted / np.maximum(1.0 + shares @ fit.shifts, 0.1)
        fit.shifts = fit.covariance @ (by.T @ (seconds / plain - 1.0))
        predicted, shares, deviations = fit.prediction(rows, speeds)
        distances = np.log(seconds / predicted) / deviations
        fit.spread = _spread(distances, fit.spread)
    return fit


def _densest(values: _Numbers) -> tuple[float, float]:
    """Find where values lie closest together: the middle, and the deviation there."""
    ordered = np.sort(values)
    window = max(1, int(np.ceil(_DENSE_SHARE * len(ordered))))
    widths = ordered[window - 1 :] - ordered[: len(ordered) - window + 1]
    start = int(np.argmin(widths))
    inside = ordered[start : start + window]
    return float(np.median(inside)), float(widths[start])


def _spread(distances: _Numbers, before: float) -> float:
    near = distances[(distances > 0.0) & (distances < CUT_HIGH * before)]
    n = len(near)
    if not n:
        return before
    own = _NORMAL * float(np.median(near))
    return _bounded(float(np.sqrt((n * own**2 + _PRIOR_CLIPS * 1.0) / (n + _PRIOR_CLIPS))))


def _bounded(spread: float) -> float:
    return min(max(spread, _LEAST_SCALE), _MOST_SCALE)
