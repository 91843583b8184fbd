"""Several channels to one: their mean, unless they cancel each other in it."""

from collections.abc import Iterable, Iterator
from math import sqrt
from operator import mul
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from batchjobs.audio.pcm import average_channels

_Block: TypeAlias = NDArray[np.float32]
_Signs: TypeAlias = tuple[int, ...]
"""Of each channel: -1 if it is turned round."""

_WINDOW_SECONDS: Final = 0.1
"""What is judged at once: two speakers, one of them upside down, take turns more slowly."""
_TURN_SECONDS: Final = 0.01
"""How long one mean takes to become the other: a jump would click."""
_OPPOSITE: Final = -0.6
"""The correlation of two channels from which they cancel each other: of one voice in both, upside
down and 2 dB over the noise of each."""
_STEP_SECONDS: Final = 1 / 2_000
"""Steps so long have most of a voice, and little of direct current and hum, which both sides share."""


def mix_channels(blocks: Iterable[_Block], sample_rate: int) -> Iterator[_Block]:
    """Average the channels; turn round those that would cancel others.

    A balanced cable in a stereo jack, or one microphone wired the wrong way, leaves two channels of
    opposite phase: the mean of them is silence, or lacks one of the speakers. What is upside down
    stays so until the sound says otherwise, since noise in a pause says nothing.

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
    for block in _cut_whole_windows(blocks, window):
        if block.shape[1] == 1:
            yield block[:, 0]
            continue
        if len(signs) != block.shape[1]:
            signs = (1,) * block.shape[1]
        begin = 0
        pieces = []
        for at, wanted in _find_turns(_measure_products(block, window, step), signs):
            place = at * window
            pieces += [_mix(block[begin:place], signs)] if place > begin else []
            pieces.append(_cross(block[place : place + turn], signs, wanted, turn))
            begin, signs = place + len(pieces[-1]), wanted
        rest = _mix(block[begin:], signs)
        yield np.concatenate([*pieces, rest]) if pieces else rest


def align_block(frames: int, sample_rate: int) -> int:
    """Shorten a block to whole windows, which then need not be put together again."""
    return frames - frames % _count_window_frames(sample_rate) or frames


def _count_window_frames(sample_rate: int) -> int:
    return max(2, round(sample_rate * _WINDOW_SECONDS))


def _mix(block: _Block, signs: _Signs) -> _Block:
    return average_channels(block * np.array(signs, np.float32) if min(signs) < 0 else block)


def _cross(block: _Block, before: _Signs, wanted: _Signs, turn: int) -> _Block:
    """Mix the frames in which the signs of the channels go from some to others."""
    ramp = np.linspace(0, 1, turn, dtype=np.float32)[: len(block), np.newaxis]
    old, new = np.array([before, wanted], np.float32)
    return average_channels(block * (old + (new - old) * ramp))


def _cut_whole_windows(blocks: Iterable[_Block], window: int) -> Iterator[_Block]:
    """Give the blocks again in whole windows, but at the end and where the channels change."""
    waiting = np.empty((0, 1), dtype=np.float32)
    for block in blocks:
        if waiting.shape[1] != block.shape[1]:
            if len(waiting):
                yield waiting
            waiting = block[:0]
        held = np.concatenate((waiting, block)) if len(waiting) else block
        # One channel has nothing that could cancel it.
        whole = len(held) if held.shape[1] == 1 else len(held) // window * window
        waiting = held[whole:]
        if whole:
            yield held[:whole]
    if len(waiting):
        yield waiting


def _measure_products(block: _Block, window: int, step: int) -> _Block:
    """Measure of each window how alike its channels are: the products of each two, by window."""
    width = min(window, len(block))
    sound = block.reshape(-1, width, block.shape[1])[:, ::step]
    with np.errstate(over="ignore", invalid="ignore"):  # the result is checked where it is used
        steps = sound[:, 1:] - sound[:, :-1]
        products: _Block = steps.transpose(0, 2, 1) @ steps
    return products


def _find_turns(products: _Block, signs: _Signs) -> Iterator[tuple[int, _Signs]]:
    """Find the windows from which other signs are wanted, and which."""
    for at, window in enumerate(products.tolist()):
        if _is_cancelled(window, signs):
            wanted = _choose_signs(window)
            if wanted != signs:
                yield at, wanted
                signs = wanted


def _is_cancelled(products: list[list[float]], signs: _Signs) -> bool:
    """Tell whether two channels, with their signs, cancel each other.

    In plain Python: of so few numbers, numpy took three times as long.
    """
    for one, row in enumerate(products):
        for other in range(one):
            product = row[other] * signs[one] * signs[other]
            if product < 0 and product < _OPPOSITE * sqrt(row[one] * products[other][other]):
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
