"""Several channels to one: their mean, unless they cancel each other in it."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from batchjobs.audio.pcm import average_channels

_Block = NDArray[np.float32]

_WINDOW_SECONDS: Final = 0.1
"""What is judged at once: two speakers, one of them upside down, take turns more slowly."""
_TURN_SECONDS: Final = 0.01
"""How long one mean takes to become the other: a jump would click."""
_LEAST_POWER: Final = 0.1
"""Of the loudest channel's: less in the sum means that channels cancel each other. Channels that have
nothing to do with each other sum up to more than the loudest one."""
_STEP: Final = 8
"""Of samples from one step that is measured to the next."""


def mix_channels(blocks: Iterable[_Block], sample_rate: int) -> Iterator[_Block]:
    """Average the channels; where they would cancel each other, turn round those that do so.

    A balanced cable in a stereo jack, or one microphone wired the wrong way, leaves two channels of
    opposite phase: the mean of them is silence, or lacks one of the speakers.

    Args:
        blocks: Frames by channels, of any length; the result does not depend on how they are cut.
        sample_rate: In hertz.

    Yields:
        One number a frame; the plain mean, bit for bit, wherever nothing is cancelled.
    """
    window = _count_window_frames(sample_rate)
    turn = round(sample_rate * _TURN_SECONDS)
    signs: _Block | None = None
    for block in _cut_whole_windows(blocks, window):
        mono = average_channels(block)
        if block.shape[1] == 1:
            signs = None
            yield mono
            continue
        if signs is not None and len(signs) != block.shape[1]:
            signs = None
        cancelled = _find_cancelled(block, window)
        if signs is not None or cancelled.any():
            for number, is_cancelled in enumerate(cancelled):
                place = slice(number * window, (number + 1) * window)
                piece = block[place]
                wanted = _choose_signs(piece) if is_cancelled else None
                if wanted is not None or signs is not None:
                    mono[place] = average_channels(piece * _fade(signs, wanted, piece, turn))
                signs = wanted
        yield mono


def align_block(frames: int, sample_rate: int) -> int:
    """Shorten a block to whole windows, which then need not be put together again."""
    return frames - frames % _count_window_frames(sample_rate) or frames


def _count_window_frames(sample_rate: int) -> int:
    return max(2, round(sample_rate * _WINDOW_SECONDS))


def _fade(before: _Block | None, wanted: _Block | None, piece: _Block, turn: int) -> _Block:
    """Make the sign of each channel for each frame, going over from those of the window before."""
    plain = np.ones(piece.shape[1], dtype=np.float32)
    old, new = (plain if signs is None else signs for signs in (before, wanted))
    gains = np.repeat(new[np.newaxis], len(piece), axis=0)
    ramp = np.linspace(0, 1, turn, dtype=np.float32)[: len(piece), np.newaxis]
    gains[:turn] = old + (new - old) * ramp
    return gains


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


def _find_cancelled(block: _Block, window: int) -> NDArray[np.bool_]:
    """Tell of each window whether the sum of its channels has far less power than one of them.

    Measured of every eighth step from a sample to the next: as good as all of them, which took as
    long as the rest of the decoding. Direct current and hum, which both sides share, count for little.
    """
    width = min(window, len(block))
    windows = block.reshape(-1, width, block.shape[1])
    total = np.zeros((len(windows), len(range(1, width, _STEP))), dtype=np.float32)
    loudest = np.zeros(len(windows), dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # the result is checked where it is used
        for channel in range(block.shape[1]):
            sound = windows[:, :, channel]
            steps = sound[:, 1::_STEP] - sound[:, :-1:_STEP]
            total += steps
            loudest = np.maximum(loudest, np.einsum("ij,ij->i", steps, steps))
        found: NDArray[np.bool_] = np.einsum("ij,ij->i", total, total) < _LEAST_POWER * loudest
    return found


def _choose_signs(block: _Block) -> _Block:
    """Choose the channels to turn round, those without which less would be heard, by -1.

    The first one never is, so that a recording which is upside down throughout is cut nowhere.
    """
    steps = block[1::_STEP] - block[:-1:_STEP]
    products = steps.T @ steps
    signs = np.ones(block.shape[1], dtype=np.float32)
    total = np.zeros_like(signs)
    for channel in np.argsort(-products.diagonal(), kind="stable"):
        signs[channel] = 1 if total[channel] >= 0 else -1
        total += signs[channel] * products[channel]
    turned: _Block = signs * signs[0]
    return turned
