"""Several channels to one: their mean, unless they cancel each other in it."""

from collections.abc import Iterable, Iterator
from itertools import combinations
from math import sqrt
from operator import mul
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from batchjobs.audio.delays import find_delay
from batchjobs.audio.pcm import average_channels

_Block: TypeAlias = NDArray[np.float32]
_Products: TypeAlias = list[list[list[float]]]
"""Of each window, of each two channels: how alike they are; with itself, its power."""
_Signs: TypeAlias = tuple[int, ...]
"""By what each channel is multiplied before the mean: 1, or -1 if it is turned round; of two that are the same
at another time, 2 and 0."""

_WINDOW_SECONDS: Final = 0.1
"""What is judged at once: two speakers, one of them upside down, take turns more slowly."""
_TURN_SECONDS: Final = 0.01
"""How long one mean takes to become the other: a jump would click."""
_OPPOSITE: Final = -0.6
"""The correlation of two channels from which they cancel each other: of one voice in both, upside
down and 2 dB over the noise of each."""
_UNIT_WINDOWS: Final = 10
_FIRST_LOOKS: Final = 4
_LOOK_EACH_UNITS: Final = 60
_LOUDER: Final = 10.0
"""Speech over the noise before it, in power."""
_SAME: Final = 0.95
_STEP_SECONDS: Final = 1 / 2_000
"""Steps so long have most of a voice, and little of direct current and hum, which both sides share."""


def mix_channels(blocks: Iterable[_Block], sample_rate: int) -> Iterator[_Block]:
    """Average the channels; turn round those that would cancel others.

    A balanced cable in a stereo jack, or one microphone wired the wrong way, leaves two channels of
    opposite phase: the mean of them is silence, or lacks one of the speakers. What is upside down
    stays so until the sound says otherwise, since noise in a pause says nothing. Of two channels that
    are the same a little later, the mean lacks tones: the louder one is taken.

    Args:
        blocks: Frames by channels, of any length; the result does not depend on how they are cut.
        sample_rate: In hertz.

    Yields:
        One number a frame; the plain mean, bit for bit, until something is cancelled.
    """
    window = _count_window_frames(sample_rate)
    step = round(sample_rate * _STEP_SECONDS) | 1  # odd: else tones of 1,000 Hz are zero there
    turn = round(sample_rate * _TURN_SECONDS)
    signs: _Signs = (1,)
    delays = _Delays(sample_rate, window)
    for block in _cut_whole_units(blocks, _UNIT_WINDOWS * window):
        if block.shape[1] == 1:
            yield block[:, 0]
            continue
        if len(signs) != block.shape[1]:
            signs = (1,) * block.shape[1]
        begin = 0
        pieces = []
        products: _Products = measure_products(block, window, step).tolist()
        for at, wanted in delays.watch(block, products, signs):
            place = at * window
            pieces += [_mix(block[begin:place], signs)] if place > begin else []
            pieces.append(_cross(block[place : place + turn], signs, wanted, turn))
            begin, signs = place + len(pieces[-1]), wanted
        rest = _mix(block[begin:], signs)
        yield np.concatenate([*pieces, rest]) if pieces else rest


def take_channels(blocks: Iterable[_Block], channels: tuple[int, ...]) -> Iterator[_Block]:
    """Take some of the channels; where there are fewer, the first.

    Args:
        blocks: Frames by channels.
        channels: Which, from 0.
    """
    for block in blocks:
        there = [channel for channel in channels if channel < block.shape[1]] or [0]
        yield np.ascontiguousarray(block[:, there])


def align_block(frames: int, sample_rate: int) -> int:
    """Shorten a block to whole units, which then need not be put together again."""
    return frames - frames % (_UNIT_WINDOWS * _count_window_frames(sample_rate)) or frames


class _Delays:
    """Finds where the channels are to be mixed otherwise, a second at a time.

    Whether one channel is a later copy of the other is looked for in the first seconds that are loud,
    and once a minute from then on: it belongs to the recording, and takes long to find.
    """

    def __init__(self, sample_rate: int, window: int) -> None:
        self._sample_rate = sample_rate
        self._window = window
        self._units = 0
        self._looks_left = 0
        self._loudest = 0.0

    def watch(
        self, block: _Block, products: _Products, signs: _Signs
    ) -> Iterator[tuple[int, _Signs]]:
        """Find the windows of a block of whole units from which other signs are wanted, and which."""
        for first in range(0, len(products), _UNIT_WINDOWS):
            of_unit = products[first : first + _UNIT_WINDOWS]
            if len(signs) == 2 and self._is_worth_a_look(of_unit):
                frames = slice(first * self._window, (first + _UNIT_WINDOWS) * self._window)
                wanted = self._look(block[frames], of_unit, signs)
                if wanted != signs:
                    yield first, wanted
                    signs = wanted
            for at, wanted in _find_turns(of_unit, signs):
                yield first + at, wanted
                signs = wanted

    def _is_worth_a_look(self, products: _Products) -> bool:
        """Say whether there is something to be compared: sound as loud as it has been."""
        self._units += 1
        if self._units % _LOOK_EACH_UNITS == 0:
            self._looks_left = max(1, self._looks_left)
        middle = products[len(products) // 2]
        power = min(middle[0][0], middle[1][1])
        if power > _LOUDER * self._loudest:  # what was looked at before was noise
            self._loudest, self._looks_left = power, _FIRST_LOOKS
        if not self._looks_left or power * _LOUDER <= self._loudest:
            return False
        self._looks_left -= 1
        return len(products) == _UNIT_WINDOWS

    def _look(self, unit: _Block, products: _Products, signs: _Signs) -> _Signs:
        """Look whether one of two channels is the other at another time."""
        left, both, right = (
            sum(window[one][other] for window in products)
            for one, other in ((0, 0), (0, 1), (1, 1))
        )
        is_same = abs(both) > _SAME * sqrt(left * right)
        is_late = not is_same and find_delay(unit, self._sample_rate) > 0
        return _choose_side(signs, is_late=is_late, is_left_louder=left >= right)


def _choose_side(signs: _Signs, *, is_late: bool, is_left_louder: bool) -> _Signs:
    """Choose the louder of two channels that are the same at another time, and stay with it."""
    if is_late == (0 in signs):  # to go from one to the other would jump by the delay
        return signs
    if not is_late:
        return (1, 1)
    return (2, 0) if is_left_louder else (0, 2)


def _count_window_frames(sample_rate: int) -> int:
    return max(2, round(sample_rate * _WINDOW_SECONDS))


def _mix(block: _Block, signs: _Signs) -> _Block:
    return average_channels(block * np.array(signs, np.float32) if min(signs) < 1 else block)


def _cross(block: _Block, before: _Signs, wanted: _Signs, turn: int) -> _Block:
    """Mix the frames in which the signs of the channels go from some to others."""
    ramp = np.linspace(0, 1, turn, dtype=np.float32)[: len(block), np.newaxis]
    old, new = np.array([before, wanted], np.float32)
    return average_channels(block * (old + (new - old) * ramp))


def _cut_whole_units(blocks: Iterable[_Block], unit: int) -> Iterator[_Block]:
    """Give the blocks again in whole units, but at the end and where the channels change."""
    waiting = np.empty((0, 1), dtype=np.float32)
    for block in blocks:
        if waiting.shape[1] != block.shape[1]:
            yield from _cut_rest(waiting, unit // _UNIT_WINDOWS)
            waiting = block[:0]
        held = np.concatenate((waiting, block)) if len(waiting) else block
        # One channel has nothing that could cancel it.
        whole = len(held) if held.shape[1] == 1 else len(held) // unit * unit
        waiting = held[whole:]
        if whole:
            yield held[:whole]
    yield from _cut_rest(waiting, unit // _UNIT_WINDOWS)


def _cut_rest(rest: _Block, window: int) -> Iterator[_Block]:
    """Give what is left in whole windows, and then what is left of those."""
    whole = len(rest) // window * window
    yield from (piece for piece in (rest[:whole], rest[whole:]) if len(piece))


def measure_products(block: _Block, window: int, step: int) -> _Block:
    """Measure of each window how alike its channels are: the products of each two, by window."""
    width = min(window, len(block))
    # Copied, each channel by itself: of numbers that lie apart, all this took six times as long.
    sound = block.reshape(-1, width, block.shape[1])[:, ::step].transpose(0, 2, 1).copy()
    with np.errstate(over="ignore", invalid="ignore"):  # the result is checked where it is used
        steps = sound[:, :, 1:] - sound[:, :, :-1]
        products: _Block = steps @ steps.transpose(0, 2, 1)
    return products


def _find_turns(products: _Products, signs: _Signs) -> Iterator[tuple[int, _Signs]]:
    """Find the windows from which other signs are wanted, and which."""
    pairs = _list_pairs(signs)
    for at, window in enumerate(products):
        if _is_cancelled(window, pairs):
            wanted = _choose_signs(window)
            if wanted != signs:
                yield at, wanted
                signs, pairs = wanted, _list_pairs(wanted)


def _list_pairs(signs: _Signs) -> list[tuple[int, int, int]]:
    """List each two channels, and the sign that their product has in the mean."""
    return [
        (one, other, signs[one] * signs[other]) for other, one in combinations(range(len(signs)), 2)
    ]


def _is_cancelled(products: list[list[float]], pairs: list[tuple[int, int, int]]) -> bool:
    """Tell whether two channels, with their signs, cancel each other.

    In plain Python: of so few numbers, numpy took three times as long.
    """
    for one, other, sign in pairs:
        row = products[one]
        product = row[other] * sign
        if product < 0 and product * product > _OPPOSITE**2 * row[one] * products[other][other]:
            return True
    return False


def _choose_signs(products: list[list[float]]) -> _Signs:
    """Choose the channels to turn round, those without which less would be heard, by -1.

    The first one never is, so that a recording which is upside down throughout is cut nowhere.
    """
    signs = [0] * len(products)
    for channel in sorted(range(len(products)), key=lambda at: -products[at][at]):
        total = sum(map(mul, signs, products[channel]))
        signs[channel] = 1 if total >= 0 else -1
    return tuple(sign * signs[0] for sign in signs)
