"""A side that is the other one a little later: found, and heard alone."""

import numpy as np
import pytest

from batchjobs.audio.channels import mix_channels
from batchjobs.audio.delays import find_delay
from tests.audio.test_pauses import syllables
from tests.audio.waves import Floats

RATE = 16_000


def voice(seconds: float, *, seed: int = 1) -> Floats:
    """Syllables, their high tones taken away."""
    sound: Floats = np.convolve(syllables(seconds, seed=seed), np.ones(5) / 5, mode="same")
    return sound


def late(sound: Floats, frames: int) -> Floats:
    """The same sound, later."""
    shifted: Floats = np.concatenate((np.zeros(frames), sound[: len(sound) - frames]))
    return shifted


def mix(left: Floats, right: Floats, *, block_frames: int = 48_000) -> np.ndarray:
    """Mix two channels, cut into blocks."""
    block = np.stack([left, right], axis=1).astype(np.float32)
    blocks = (block[at : at + block_frames] for at in range(0, len(block), block_frames))
    return np.concatenate(list(mix_channels(blocks, RATE)))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("frames", [8, 20, 80, 800, 4_000])
def test_the_louder_side_is_heard_alone(sign: int, frames: int) -> None:
    """To the bit, from the first second on: the mean of both would lack tones."""
    left = voice(6)
    mono = mix(left, sign * 0.9 * late(left, frames))
    assert np.array_equal(mono[RATE:], left[RATE:].astype(np.float32))
    first = np.stack([left, sign * late(left, frames)], axis=1)[:RATE].astype(np.float32)
    assert find_delay(first, RATE) == pytest.approx(frames / RATE, abs=2 / 4_000)


def test_blocks_do_not_show() -> None:
    """Nor does it go from one side to the other, which would jump by the delay."""
    left = voice(8)
    right = late(left, 400) * np.linspace(0.5, 1.5, len(left))
    assert len({mix(left, right, block_frames=n).tobytes() for n in (997, 48_000, 200_000)}) == 1
    assert np.array_equal(mix(left, right)[RATE:], left[RATE:].astype(np.float32))


def test_two_speakers_are_both_heard() -> None:
    """Also with some of each in the other's microphone, a little later."""
    one, other = voice(6), voice(6, seed=2)
    sides = one + 0.3 * late(other, 40), other + 0.3 * late(one, 40)
    assert np.array_equal(
        mix(*sides), (np.float32(sides[0]) + np.float32(sides[1])) / np.float32(2)
    )


def test_what_is_alike_has_no_delay() -> None:
    """Nor have two noises, silence, one side alone, or what is too short to tell."""
    dice = np.random.default_rng(3)
    sound = voice(1)
    noise = dice.normal(0, 0.1, (RATE, 2))
    for sides in (
        np.stack([sound, sound], axis=1),
        np.stack([sound, -sound], axis=1),
        noise,
        np.zeros((RATE, 2)),
        np.stack([sound, 0 * sound], axis=1),
        noise[:9],
    ):
        assert find_delay(sides.astype(np.float32), RATE) == 0


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan, 3e38])
def test_what_is_no_number_is_left_to_others(odd: float) -> None:
    """It is refused where the samples are checked, with its place; here it is not a warning."""
    sides = np.stack([voice(1), voice(1)], axis=1).astype(np.float32)
    sides[100] = odd
    assert find_delay(sides, RATE) == 0
