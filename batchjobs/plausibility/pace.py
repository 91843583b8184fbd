"""How long a voice takes for a text: a robust regression over its clips so far.

A clip's length is the sum of what its text's sounds take, each kind at a length of its own, by
`text.Sounds`. No two voices take the same, and all take about the same: so the regression begins
from what voices take and moves away as far as the clips say (ridge). Among the first clips there
may be some that lost their end. So the fit begins where clips lie closest together, which those
that are cut here and there do not, and weighs each by how far it is from the rest (Tukey's
biweight).

Measured by ``python -m tests.proofs.judging``: lengths of texts of 13 words and more are known
within 3 to 5 % (one standard deviation), of 5 to 12 within 8 %, of fewer within 13 %.
"""

from array import array
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from batchjobs.text import Sounds

KNOWN_AFTER: Final = 20
"""Clips: before that, a voice's pace is not known."""

_MOST_CLIPS: Final = 256
_NEW_SHARE: Final = 0.05
_MOST_NEW_CLIPS: Final = 32
"""The fit, a millisecond, is made anew when there is so much more to know."""

_HEAD_SECONDS: Final = 0.1
_SECONDS: Final = Sounds(
    arabic=0.065,
    marks=0.025,
    latin=0.035,
    vowels=0.085,
    numbers=0.06,
    signs=0.2,
    words=0.07,
    stops=0.35,
    breaks=0.25,
)
"""What one of each takes at speed 1, between espeak's voices and 12 letters a second."""
_DOUBTS: Final = Sounds(
    arabic=0.3,
    marks=0.8,
    latin=0.4,
    vowels=0.3,
    numbers=0.5,
    signs=1.0,
    words=0.7,
    stops=0.7,
    breaks=0.7,
)
"""How far a voice may be from that, as a share of it: one standard deviation."""
_HEAD_DOUBT: Final = 1.0
_SPEED_DOUBT: Final = 0.5
"""How far a voice's pace may be from following the asked speed; 1 is not to follow it at all."""

_DEVIATION: Final = 0.04
"""Of the length of a long text: what no counting of letters can know."""
_WORD_DEVIATION: Final = 0.4
"""Of the length of one word; of many it is less by the square root of their number."""
_EDGE_SECONDS: Final = 0.08
"""Of any text, however short: how its first and last sound begin and end."""
_NUMBERS_DEVIATION: Final = 0.18
"""Of the length of numbers: they can be read in more than one way."""
_SIGNS_DEVIATION: Final = 0.5
"""The same of signs: one is read as a word, another not at all."""
_STOP_SECONDS: Final = 0.15
_BREAK_SECONDS: Final = 0.08
"""Of each pause: no voice makes one at every place for it."""
_LEAST_SHIFT: Final = -0.9
"""No sound takes less than no time."""
_LEAST_SPREAD, _MOST_SPREAD = 0.3, 3.0
"""A voice's own share of all these; espeak's are at 0.4 to 0.5."""
_MOST_WANDER: Final = 0.2
"""Of a voice's tempo from clip to clip."""
_ASSUMED_CLIPS: Final = 5.0
"""How many clips the assumption is worth that the share is 1 and that nothing else varies."""

_ROUNDS: Final = 8
_CUT_OFF_BELOW, _CUT_OFF_ABOVE = 3.5, 4.0
"""So many deviations from what is expected, a clip weighs nothing: sooner if it may be cut."""
_DENSE_SHARE: Final = 0.4
"""So many of the clips are believed to be whole."""
_NORMAL: Final = 1.4826
"""A normal distribution's deviation by the median of the distances from its middle."""
_LEAST_SECONDS: Final = 0.01

_PRIOR: Final = np.array([_HEAD_SECONDS, *_SECONDS])
_NUMBERS_A_CLIP: Final = len(_PRIOR) + 2
_PRECISION: Final = np.diag(np.array([_HEAD_DOUBT, *_DOUBTS, _SPEED_DOUBT]) ** -2.0)
_NUMBERS, _SIGNS, _WORDS, _STOPS, _BREAKS = (
    1 + Sounds._fields.index(name) for name in ("numbers", "signs", "words", "stops", "breaks")
)

_Numbers = NDArray[np.float64]


class Expected(NamedTuple):
    """How long a text should take.

    Attributes:
        seconds: Most likely.
        deviation: Of the logarithm of the true length: 0.1 is about 10 %.
    """

    seconds: float
    deviation: float


class _Clips(NamedTuple):
    """Clips in columns: rows of 1 and the counted sounds, speeds, seconds at speed 1."""

    rows: _Numbers
    speeds: _Numbers
    seconds: _Numbers


class _Texts(NamedTuple):
    """What of clips does not depend on the voice, however often that is fitted.

    Attributes:
        seconds: What they take at the average voice's pace, at speed 1.
        shares: The shares of each sound and of the speed in that.
        variances: What depends on the text alone.
        edges: The same, to be divided by the square of a clip's length.
    """

    seconds: _Numbers
    shares: _Numbers
    variances: _Numbers
    edges: _Numbers


class _Predicted(NamedTuple):
    """How the voice differs from its pace, seconds at speed 1, variances at a spread of 1."""

    factors: _Numbers
    seconds: _Numbers
    variances: _Numbers


@dataclass(slots=True)
class _Fit:
    """A voice: its pace, how its sounds differ from that, and how sure both are.

    Attributes:
        scale: What it takes, by what all voices take.
        shifts: By what share each sound's length differs from that, and how it follows the speed.
        covariance: How uncertain these are.
        spread: Its share of the deviations that depend on the text.
        wander: The deviation of its tempo from clip to clip, whatever the text.
    """

    scale: float
    shifts: _Numbers
    covariance: _Numbers
    spread: float
    wander: float

    def predict(self, texts: _Texts) -> _Predicted:
        """Predict the length of clips, and its variance at a spread of 1."""
        factors = np.maximum(1.0 + texts.shares @ self.shifts, 0.1)
        seconds = texts.seconds * self.scale * factors
        return _Predicted(factors, seconds, texts.variances + texts.edges / seconds**2)

    def own_variances(self, variances: _Numbers) -> _Numbers:
        """Scale the variances of clips to this voice."""
        return self.spread**2 * variances + self.wander**2

    def improve(self, texts: _Texts, lengths: _Numbers) -> None:
        """Move towards the clips, those that are near weighing most.

        Args:
            texts: Theirs.
            lengths: Their seconds at speed 1.
        """
        predicted = self.predict(texts)
        variances = self.own_variances(predicted.variances)
        distances = np.log(lengths / predicted.seconds) / np.sqrt(variances)
        cut_offs = np.where(distances < 0.0, _CUT_OFF_BELOW, _CUT_OFF_ABOVE)
        weights = np.maximum(1.0 - (distances / cut_offs) ** 2, 0.0) ** 2
        weighed = texts.shares * (weights / variances)[:, None]
        self.covariance = _invert(weighed.T @ texts.shares + _PRECISION)
        plain = texts.seconds * self.scale
        shifts = self.covariance @ (weighed.T @ (lengths / plain - 1.0))
        self.shifts = np.maximum(shifts, _LEAST_SHIFT)
        self._measure(texts, lengths)

    def _measure(self, texts: _Texts, lengths: _Numbers) -> None:
        """Measure how clips spread, those with small variances apart from the others.

        If the first spread as much as the others, it is the tempo that varies, not the text's sounds.
        """
        predicted = self.predict(texts)
        ratios = np.log(lengths / predicted.seconds)
        far = _CUT_OFF_ABOVE * np.sqrt(self.own_variances(predicted.variances))
        is_long = predicted.variances <= _median(predicted.variances)
        (long, long_seen), (short, short_seen) = (
            _compare_variances(predicted.variances[group], ratios[group], far[group])
            for group in (is_long, ~is_long | is_long.all())
        )
        share, wander = (long_seen / long + short_seen / short) / 2.0, 0.0
        if long_seen / long > short_seen / short:
            share = max(short_seen - long_seen, 0.0) / max(short - long, 1e-9)
            share = max(share, _LEAST_SPREAD**2)
            wander = max(long_seen - share * long, 0.0)
        self.spread = min(max(share**0.5, _LEAST_SPREAD), _MOST_SPREAD)
        self.wander = min(wander**0.5, _MOST_WANDER)


class Pace:
    """Learns how long one voice takes for a text.

    Attributes:
        count: How many clips it has learnt from.
    """

    def __init__(self) -> None:
        self.count = 0
        self._clips = array("d")  # one after the other: most are looked at once in a while only
        self._fit: _Fit | None = None
        self._fitted_count = 0

    @property
    def is_known(self) -> bool:
        """Whether it has learnt from enough."""
        return self.count >= KNOWN_AFTER

    def add(self, sounds: Sounds, *, speed: float, seconds: float) -> None:
        """Learn from a clip.

        Args:
            sounds: Of its text.
            speed: The asked speed.
            seconds: Its length.
        """
        self.count += 1
        self._clips.extend((1.0, *sounds, speed, max(seconds * speed, _LEAST_SECONDS)))
        if self.count > _MOST_CLIPS:
            del self._clips[:_NUMBERS_A_CLIP]

    def predict(self, sounds: Sounds, *, speed: float) -> Expected:
        """Predict how long a text takes."""
        new = self.count - self._fitted_count
        if self._fit is None or new > min(_NEW_SHARE * self._fitted_count, _MOST_NEW_CLIPS):
            self._fit = _fit_voice(_in_columns(self._clips))
            self._fitted_count = self.count
        fit = self._fit
        text = _weigh_texts(np.array([(1.0, *sounds)]), np.array([speed]))
        one, shares = fit.predict(text), text.shares[0]
        unknown = float(shares @ fit.covariance @ shares)
        variance = float(fit.own_variances(one.variances)[0]) + unknown
        return Expected(float(one.seconds[0]) / speed, variance**0.5)


def _in_columns(clips: "array[float]") -> _Clips:
    table = np.array(clips).reshape(-1, _NUMBERS_A_CLIP)
    return _Clips(table[:, :-2], table[:, -2], table[:, -1])


def _fit_voice(clips: _Clips) -> _Fit:
    """Fit a voice to its clips; without any, it is like the average voice."""
    shifts = np.zeros(len(_PRECISION))
    fit = _Fit(1.0, shifts, _invert(_PRECISION), 1.0, 0.0)
    if not len(clips.seconds):
        return fit
    texts, lengths = _weigh_texts(clips.rows, clips.speeds), clips.seconds
    middle, width = _find_densest(np.log(lengths / fit.predict(texts).seconds))
    fit.scale = float(np.exp(middle))
    predicted = fit.predict(texts)
    spread = width / _median(predicted.variances) ** 0.5
    fit.spread = min(max(spread, _LEAST_SPREAD), _MOST_SPREAD)
    for _ in range(_ROUNDS):
        fit.improve(texts, lengths)
    return fit


def _weigh_texts(rows: _Numbers, speeds: _Numbers) -> _Texts:
    """Say what of clips' lengths their texts alone decide."""
    times = rows * _PRIOR
    seconds = times.sum(axis=1)
    shares = np.empty((len(rows), len(_PRIOR) + 1))
    np.divide(times, seconds[:, None], out=shares[:, :-1])
    np.log(speeds, out=shares[:, -1])
    variances = (
        _DEVIATION**2
        + _WORD_DEVIATION**2 / np.maximum(rows[:, _WORDS], 1.0)
        + (_NUMBERS_DEVIATION * shares[:, _NUMBERS]) ** 2
        + (_SIGNS_DEVIATION * shares[:, _SIGNS]) ** 2
    )
    pauses = rows[:, _STOPS] * _STOP_SECONDS**2 + rows[:, _BREAKS] * _BREAK_SECONDS**2
    return _Texts(seconds, shares, variances, _EDGE_SECONDS**2 + pauses)


def _median(values: _Numbers) -> float:
    """Find the median of some values; numpy's takes three times as long for so few."""
    middle = len(values) // 2
    if len(values) % 2:
        return float(np.partition(values, middle)[middle])
    below, above = np.partition(values, (middle - 1, middle))[middle - 1 : middle + 1]
    return float(below + above) / 2.0


def _invert(matrix: _Numbers) -> _Numbers:
    return np.linalg.inv(matrix).astype(np.float64)


def _find_densest(values: _Numbers) -> tuple[float, float]:
    """Find where values lie closest together: the middle, and the width of that."""
    ordered = np.sort(values)
    size = int(np.ceil(_DENSE_SHARE * len(ordered)))
    widths = ordered[size - 1 :] - ordered[: len(ordered) - size + 1]
    start = int(np.argmin(widths))
    return _median(ordered[start : start + size]), float(widths[start])


def _compare_variances(variances: _Numbers, ratios: _Numbers, far: _Numbers) -> tuple[float, float]:
    """Compare the variance assumed of some clips with the one they have.

    Args:
        variances: Assumed of each.
        ratios: Logarithms of their lengths by what was expected.
        far: How far above that a clip says nothing.

    Returns:
        The variance assumed of them, and the one seen, to which the assumption is added as a few
        clips more. It is seen by those that are longer than expected, for others may be cut, unless
        there are hardly any.
    """
    near = ratios[np.abs(ratios) < far]
    above = near[near > 0.0]
    count, assumed = len(near), float(variances.mean())
    if not count:
        return assumed, assumed
    shown = above if len(above) > count / 4 else np.abs(near)
    own = (_NORMAL * _median(shown)) ** 2
    return assumed, (count * own + _ASSUMED_CLIPS * assumed) / (count + _ASSUMED_CLIPS)
