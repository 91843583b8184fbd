"""Several channels to one: what any of them holds is heard."""

import numpy as np
import pytest

from batchjobs.audio.channels import mix_channels
from tests.audio.waves import tone

RATE = 16_000


def mix(channels: list[np.ndarray], *, block_frames: int = 5_000, rate: int = RATE) -> np.ndarray:
    """Mix channels, cut into blocks."""
    block = np.stack(channels, axis=1).astype(np.float32)
    blocks = (block[at : at + block_frames] for at in range(0, len(block), block_frames))
    return np.concatenate(list(mix_channels(blocks, rate)))


def level(samples: np.ndarray) -> float:
    """Measure a sine's amplitude."""
    return float(np.sqrt(2 * np.mean(samples.astype(float) ** 2)))


@pytest.mark.parametrize("gain", [-1.0, -0.9, -0.5, -1.1])
def test_channels_of_opposite_phase_are_heard(gain: float) -> None:
    """A balanced cable in a stereo jack leaves what its mean would lose: the sound, whole."""
    sine = tone(1.0, RATE)
    mono = mix([sine, gain * sine])
    assert level(mono) == pytest.approx(0.5 * (1 - gain) / 2, rel=0.02)
    assert np.corrcoef(mono[RATE // 4 :], sine[RATE // 4 :])[0, 1] > 0.999


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("share", [0.1, 0.3])
def test_noise_of_each_channel_hides_no_opposite_phase(rate: int, share: float) -> None:
    """Two amplifiers, each with a hiss of its own: correlated by -0.9, or by -0.7."""
    dice = np.random.default_rng(7)
    swell = np.abs(np.sin(np.arange(3 * rate) / rate * 9))
    voice = sum(tone(3.0, rate, hertz=hertz, level=0.1) for hertz in (210, 420, 630)) * swell
    hiss = dice.normal(0, np.sqrt(share * np.mean(voice**2)), (2, 3 * rate))
    mono = mix([voice + hiss[0], hiss[1] - voice], rate=rate)
    assert np.corrcoef(mono[rate:], voice[rate:])[0, 1] > 0.9


def test_what_both_sides_share_hides_no_opposite_phase() -> None:
    """Hum, noise and direct current, alike on both sides, are no reason to lose the voice."""
    sine, hum = tone(1.0, RATE, hertz=700, level=0.3), tone(1.0, RATE, hertz=50, level=0.2)
    noise = np.random.default_rng(4).normal(0, 0.003, len(sine))
    mono = mix([sine + hum + noise + 0.1, hum - sine + 0.1])
    assert abs(np.fft.rfft(mono))[700] / len(mono) * 2 == pytest.approx(0.3, rel=0.02)


def test_the_speaker_who_is_upside_down_is_heard_too() -> None:
    """Two take turns, one of them in opposite phase; both are heard, and nothing jumps."""
    ones, others = tone(1.0, RATE, hertz=300), tone(1.0, RATE, hertz=500)
    mono = mix([np.r_[ones, others, ones], np.r_[ones, -others, ones]])
    assert [level(mono[at : at + RATE]) for at in (0, RATE, 2 * RATE)] == pytest.approx(
        [0.5] * 3, rel=0.03
    )


def test_of_many_channels_none_is_lost() -> None:
    """Two pairs of opposite phase: both voices are heard."""
    one, other = tone(1.0, RATE, hertz=300), tone(1.0, RATE, hertz=500)
    spectrum = abs(np.fft.rfft(mix([one, -one, other, -other]))) / RATE * 2
    assert spectrum[300] == pytest.approx(0.25, rel=0.05)
    assert spectrum[500] == pytest.approx(0.25, rel=0.05)


@pytest.mark.parametrize("kind", ["alike", "apart", "one side", "silence"])
def test_what_cancels_nothing_is_the_plain_mean(kind: str) -> None:
    """Bit for bit: of one voice on both sides, of two voices, of one side, of nothing."""
    dice = np.random.default_rng(5)
    left, right = dice.uniform(-0.5, 0.5, (2, 20_000)).astype(np.float32)
    right = {"alike": left, "apart": right, "one side": 0 * left, "silence": 0 * left}[kind]
    left = 0 * left if kind == "silence" else left
    assert np.array_equal(mix([left, right]), (left + right) / np.float32(2))


def test_what_is_upside_down_stays_so_in_pauses() -> None:
    """The noise of a pause says nothing, and to turn at each word would change its beginning."""
    dice = np.random.default_rng(8)
    voice = np.tile(np.r_[tone(0.7, RATE), np.zeros(RATE // 2)], 4)
    left, right = dice.normal(0, 0.001, (2, len(voice)))
    mono = mix([voice + left, right - voice])
    from_first = RATE // 50
    plain = (voice + left - (right - voice)) / 2
    assert np.allclose(mono[from_first:], plain[from_first:], atol=1e-6)


def test_a_side_that_comes_later_loses_nothing() -> None:
    """An echo, or two microphones apart: no sound is far below that of one side."""
    dice = np.random.default_rng(9)
    voice = np.concatenate([tone(0.3, RATE, hertz=hertz) for hertz in dice.uniform(100, 900, 20)])
    for late in (8, 40, 80, 800):
        mono = mix([voice, np.r_[np.zeros(late), voice[:-late]]])
        levels = [level(mono[at : at + RATE // 10]) for at in range(0, len(voice), RATE // 10)]
        assert min(levels) > 0.3 * 0.5


def test_blocks_do_not_show() -> None:
    """The mix is the same to the bit, however it is cut, also where channels turn round."""
    dice = np.random.default_rng(6)
    left = dice.uniform(-0.5, 0.5, 30_000)
    right = np.r_[left[:9_999], -left[9_999:20_000], left[20_000:]]
    results = {mix([left, right], block_frames=n).tobytes() for n in (1, 997, 1_600, 30_000)}
    assert len(results) == 1


def test_the_number_of_channels_may_change() -> None:
    """Joined recordings: what was mono and becomes stereo is heard on."""
    sine = tone(0.5, RATE).astype(np.float32)
    blocks = [sine[:, np.newaxis], np.stack([sine, -sine], axis=1), sine[:, np.newaxis]]
    mono = np.concatenate(list(mix_channels(blocks, RATE)))
    assert len(mono) == 3 * len(sine)
    assert level(mono) == pytest.approx(0.5, rel=0.02)
