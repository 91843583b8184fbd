"""Whether two channels of a recording are the same but for level, phase, noise or a delay."""

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from batchjobs.audio.channels import measure_products
from batchjobs.audio.delays import find_delay
from batchjobs.audio.voice_activity import FRAME_SECONDS, find_runs

_Block: TypeAlias = NDArray[np.float32]

_WINDOW_SECONDS: Final = 0.1
_UNIT_WINDOWS: Final = 10
_STEP_SECONDS: Final = 1 / 2_000
"""As in `channels`: steps so long have most of a voice, and little of direct current and hum."""
_ALIKE: Final = 0.8
"""The correlation of two channels that hold the same; of one voice in both, and another as loud in one
of them, it is 0.7."""
_UNLIKE_WINDOWS: Final = 3
"""So many in a row are a word that one side says alone; fewer may be a breath, weaker than the noise."""
_SAME_LEVEL_DB: Final = 6.0
_SEARCHES: Final = 8
_SEARCHED_SHARE: Final = 0.1
_LOUDER: Final = 4.0
"""In power: what was searched before was noise."""
_DELAY_RATE: Final = 4_000
"""In hertz, as `delays` compares: it knows a delay to one of its steps."""


class Likeness:
    """Compares two channels as they come; it holds 12 bytes for each tenth of a second.

    Args:
        sample_rate: In hertz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._window = round(sample_rate * _WINDOW_SECONDS)
        self._step = round(sample_rate * _STEP_SECONDS) | 1
        self._waiting = np.empty((0, 2), np.float32)
        self._products: list[_Block] = []
        self._delay = 0
        self._searches = 0
        self._loudest = 0.0
        self.is_exact = True
        """Whether every sample is the same."""

    def hear(self, one: _Block, other: _Block) -> None:
        """Take the next samples of both, as many of each."""
        self.is_exact = self.is_exact and bool(np.array_equal(one, other))
        self._waiting = np.concatenate((self._waiting, np.stack((one, other), axis=1)))
        unit = _UNIT_WINDOWS * self._window
        while len(self._waiting) >= unit + abs(self._delay):
            self._measure(unit)

    def are_same(self, speech: NDArray[np.bool_]) -> bool:
        """Tell whether they hold the same wherever there is speech.

        Args:
            speech: Whether one of them can hold speech, each `FRAME_SECONDS`.
        """
        rest = (len(self._waiting) - abs(self._delay)) // self._window * self._window
        if rest > 0:
            self._measure(rest)
        if self.is_exact or not speech.any() or not self._products:
            return self.is_exact and bool(speech.any())
        one, both, other = np.concatenate(self._products).astype(np.float64).T
        is_alike = np.abs(both) > _ALIKE * np.sqrt(one * other)
        windows = np.minimum(
            (np.flatnonzero(speech) * FRAME_SECONDS / _WINDOW_SECONDS).astype(np.int64),
            len(is_alike) - 1,
        )
        has_speech = np.zeros(len(is_alike), np.bool_)
        has_speech[windows] = True
        with np.errstate(divide="ignore", invalid="ignore"):
            levels = 10 * np.log10(one / other)
        usual = np.median(levels[has_speech & is_alike]) if (has_speech & is_alike).any() else 0.0
        # Where each side leaks into the other they are alike, and now the one is louder, now the other.
        is_alike &= np.abs(levels - usual) < _SAME_LEVEL_DB
        unlike = find_runs(has_speech & ~is_alike)
        return all(end - start < _UNLIKE_WINDOWS for start, end in unlike)

    def _measure(self, frames: int) -> None:
        """Measure whole windows, and let go of them."""
        block = _align(self._waiting, self._delay, frames)
        products = self._measure_windows(block)
        if not self._delay and self._is_worth_a_search(products):
            delay = _find_delay_frames(block, self._sample_rate)
            if delay:  # what was before it was too quiet to tell
                self._products = [np.ones_like(each) for each in self._products]
                self._delay = delay
                block = _align(self._waiting, delay, frames - abs(delay))
                block = block[: len(block) // self._window * self._window]
                ones = np.ones((frames // self._window - len(block) // self._window, 3), np.float32)
                products = np.concatenate((self._measure_windows(block), ones))
        self._products.append(products)
        self._waiting = self._waiting[frames:]

    def _measure_windows(self, block: _Block) -> _Block:
        """Measure of each window the power of the one, how alike they are, the power of the other."""
        if not len(block):
            return np.empty((0, 3), np.float32)
        products = measure_products(block, self._window, self._step)
        return products.reshape(-1, 4)[:, [0, 1, 3]]

    def _is_worth_a_search(self, products: _Block) -> bool:
        """Whether both are about as loud as they have been, and not the same at the same time."""
        one, both, other = map(float, products.sum(axis=0, dtype=np.float64))
        power = min(one, other)
        if power > _LOUDER * self._loudest:
            self._loudest, self._searches = power, 0
        if power <= _SEARCHED_SHARE * self._loudest or self._searches >= _SEARCHES:
            return False
        if both * both > _ALIKE**2 * one * other:
            return False
        self._searches += 1
        return True


def _align(held: _Block, delay: int, frames: int) -> _Block:
    """Put the second channel where it is the first one, if it is so many frames later."""
    one, other = max(0, -delay), max(0, delay)
    return np.stack((held[one : one + frames, 0], held[other : other + frames, 1]), axis=1)


def _find_delay_frames(block: _Block, sample_rate: int) -> int:
    """Find by how many frames the second channel is later, below 0 earlier; 0 if it is not the same."""
    about = round(find_delay(block, sample_rate) * sample_rate)
    if not about:
        return 0
    reach = max(1, round(sample_rate / _DELAY_RATE))
    near = range(max(1, about - reach), about + reach + 1)
    found = {
        delay: _correlate(_align(block, delay, len(block) - abs(delay)))
        for delay in (*near, *(-delay for delay in near))
        if abs(delay) < len(block)
    }
    best = max(found, key=found.__getitem__)
    return best if found[best] > _ALIKE else 0


def _correlate(block: _Block) -> float:
    one, other = block.T.astype(np.float64)
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return abs(float(one @ other)) / scale if scale else 0.0
