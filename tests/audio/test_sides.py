"""Channels that are the same are found, and those that are not are never taken for it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from batchjobs.audio.decoding import pcm_chunks
from batchjobs.audio.pauses import split_at_pauses, split_sides
from batchjobs.audio.sides import find_sides
from batchjobs.audio.source import Heard
from tests.audio.test_delays import late, voice
from tests.audio.waves import Floats

RATE = 16_000
DICE = np.random.default_rng(3)


def noise(sound: Floats, decibels: float) -> Floats:
    """Make noise, so far below a sound."""
    hiss: Floats = DICE.standard_normal(len(sound)) * sound.std() * 10 ** (decibels / 20)
    return hiss


def find(folder: Path, *channels: Floats, rate: int = RATE) -> list[tuple[int, ...]]:
    """Group the channels that hold the same."""
    soundfile.write(folder / "x.wav", np.stack(channels, axis=1), rate, subtype="PCM_16")
    return [side.channels for side in find_sides(folder / "x.wav")]


def in_turns(*, leak: float) -> tuple[Floats, Floats]:
    """Two who speak in turns, each heard a little in the other's channel."""
    one, other = voice(4) * 0.5, voice(4, seed=9) * 0.5
    return np.concatenate([one, leak * other]), np.concatenate([leak * one, other])


SAME: dict[str, Callable[[Floats], tuple[Floats, Floats]]] = {
    "bit by bit": lambda sound: (sound, sound),
    "upside down": lambda sound: (sound, -sound),
    "another level": lambda sound: (0.1 * sound, -sound),
    "a little noise": lambda sound: (sound + noise(sound, -25), sound + noise(sound, -25)),
    "later": lambda sound: (sound, late(sound, 160)),
    "earlier, upside down": lambda sound: (-late(sound, 801), 0.8 * sound),
}
APART: dict[str, Callable[[], tuple[Floats, Floats]]] = {
    "at the same time": lambda: (voice(6), voice(6, seed=4)),
    "in turns": lambda: in_turns(leak=0.0),
    "in turns, with a leak": lambda: in_turns(leak=0.03),
    "one who says nothing": lambda: (voice(6), 0 * voice(6)),
    "a word of one in an hour of the other": lambda: (
        voice(6),
        np.concatenate([voice(6)[:40_000], voice(1, seed=8)[:8_000], voice(6)[48_000:]]),
    ),
}


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("rate", [8_000, RATE])
def test_channels_that_are_the_same_are_one_side(tmp_path: Path, name: str, rate: int) -> None:
    """But for their level, their phase, a little noise or a delay."""
    assert find(tmp_path, *SAME[name](voice(6) * 0.5), rate=rate) == [(0, 1)]


@pytest.mark.parametrize("name", APART)
def test_sides_that_differ_stay_apart(tmp_path: Path, name: str) -> None:
    """One word is enough, however much of the rest is the same."""
    assert find(tmp_path, *APART[name]()) == [(0,), (1,)]


def test_of_more_channels_each_group_is_a_side(tmp_path: Path) -> None:
    """Two stereo microphones, say."""
    one, other = voice(5) * 0.5, voice(5, seed=4) * 0.5
    assert find(tmp_path, one, other, -one, 0.5 * other) == [(0, 2), (1, 3)]
    assert find(tmp_path, one) == [(0,)]


def test_each_side_is_cut_as_it_would_be_alone(tmp_path: Path) -> None:
    """To the sample: at its own pauses, raised by what it needs, also where one is silent for long."""
    pause = np.zeros(40 * RATE)
    loud = np.concatenate([voice(5), pause, voice(5, seed=2)]) * 0.5
    faint = np.concatenate([pause, voice(9, seed=4), 0 * voice(1)]) * 1e-3
    path = tmp_path / "x.wav"
    soundfile.write(path, np.stack([loud, faint], axis=1), RATE, subtype="FLOAT")
    sides = find_sides(path)
    target, longest = 4.0, 6.0
    found = list(split_sides(path, sides, target_seconds=target, longest_seconds=longest))
    for channel in (0, 1):
        alone = split_at_pauses(
            path,
            target_seconds=target,
            longest_seconds=longest,
            heard=Heard(channels=(channel,)),
        )
        assert [stretch for side, stretch in found if side == channel] == list(alone)
    assert sum(1 for _ in found) >= 4


def test_one_channel_is_heard_alone(tmp_path: Path) -> None:
    """Bit for bit; of a single one, that."""
    one, other = (np.round(voice(2, seed=seed) * 9_000).astype("<i2") for seed in (1, 2))
    soundfile.write(tmp_path / "two.wav", np.stack([one, other], axis=1), RATE)
    soundfile.write(tmp_path / "one.wav", one, RATE)

    def read(name: str, channel: int) -> bytes:
        return b"".join(pcm_chunks(tmp_path / name, heard=Heard(channels=(channel,))))

    assert read("two.wav", 0) == one.tobytes()
    assert read("two.wav", 1) == other.tobytes()
    assert read("one.wav", 1) == one.tobytes()
