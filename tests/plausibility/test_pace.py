"""How long a voice takes: learnt from few clips, whatever else is among them."""

import random
from collections.abc import Iterator

import numpy as np
import pytest

from batchjobs.plausibility.pace import KNOWN_AFTER, Pace
from batchjobs.text import Sounds, count_sounds

_PROSE = "قال المَلِكُ للفيلسوفِ اضرِبْ لي مثلًا the quick brown fox jumps over it"
_WORDS = _PROSE.split()


def _texts(count: int, seed: int = 0) -> Iterator[str]:
    dice = random.Random(seed)
    for _ in range(count):
        words = dice.choices(_WORDS, k=dice.randint(3, 30))
        yield "، ".join((" ".join(words[:5]), " ".join(words[5:])))


def _true_seconds(heard: Sounds) -> float:
    """Speak as a voice whose ways are not those that a pace begins with."""
    letters = 0.09 * heard.arabic + 0.05 * heard.marks + 0.05 * heard.latin + 0.11 * heard.vowels
    return 0.2 + letters + 0.04 * heard.words + 0.5 * heard.breaks


def _taught(
    count: int, *, cut: float = 0.0, wander: float = 0.03, follows: float = 1.0, seed: int = 0
) -> Pace:
    dice, pace = random.Random(seed), Pace()
    for text in _texts(count, seed):
        heard, speed = count_sounds(text), dice.choice((0.7, 1.0, 1.2))
        seconds = _true_seconds(heard) * dice.uniform(1 - wander, 1 + wander) / speed**follows
        kept = dice.uniform(0.4, 0.95) if dice.random() < cut else 1.0
        pace.add(heard, speed=speed, seconds=seconds * kept)
    return pace


def _errors(pace: Pace, *, speed: float = 1.0, follows: float = 1.0) -> np.ndarray:
    errors = []
    for text in _texts(50, seed=99):
        heard = count_sounds(text)
        expected = pace.predict(heard, speed=speed)
        errors.append(np.log(expected.seconds / _true_seconds(heard) * speed**follows))
    return np.array(errors)


def test_a_pace_is_known_after_twenty_clips() -> None:
    """Not before, and the guess until then is not far off for any voice."""
    assert KNOWN_AFTER == 20
    assert not _taught(19).is_known
    assert _taught(20).is_known
    guess = Pace().predict(count_sounds("The quick brown fox jumps over the lazy dog"), speed=1.0)
    assert 1.5 < guess.seconds < 4.0


@pytest.mark.parametrize(("count", "error"), [(20, 0.07), (100, 0.03)])
def test_what_a_voice_takes_is_learnt_sound_by_sound(count: int, error: float) -> None:
    """Letters, marks, syllables and pauses find their own lengths."""
    assert np.abs(_errors(_taught(count))).max() < error


@pytest.mark.parametrize("cut", [0.05, 0.3, 0.5])
def test_cut_clips_do_not_shift_the_pace(cut: float) -> None:
    """Not even if they are half of all, from the first on."""
    errors = _errors(_taught(200, cut=cut))
    assert abs(np.median(errors)) < 0.08


@pytest.mark.parametrize("follows", [0.0, 0.5, 1.0])
def test_how_a_voice_follows_the_speed_is_learnt(follows: float) -> None:
    """A service may take the asked speed as it is, by half, or not at all."""
    pace = _taught(100, follows=follows)
    for speed in (0.7, 1.2):
        assert np.abs(_errors(pace, speed=speed, follows=follows)).max() < 0.08


def test_a_steady_voice_is_known_better_than_one_that_wanders() -> None:
    """The spread is the voice's own."""
    text = count_sounds("the quick brown fox jumps over it, the quick brown fox")
    steady, wandering = (
        _taught(100, wander=wander).predict(text, speed=1.0).deviation for wander in (0.02, 0.2)
    )
    assert wandering > 1.5 * steady


def test_what_was_never_heard_is_uncertain() -> None:
    """Numbers, and words alone, are known less well than the like of what was heard."""
    pace = _taught(100)
    known = pace.predict(count_sounds(" ".join(_WORDS)), speed=1.0).deviation
    for unknown in ("90210 1984 77", "fox"):
        assert pace.predict(count_sounds(unknown), speed=1.0).deviation > 2 * known


def test_signs_stay_uncertain_however_often_they_were_heard() -> None:
    """One is read as a word, another not at all: a text of signs has no length to be known."""
    pace = Pace()
    for number, text in enumerate(_texts(100)):
        heard = count_sounds(f"{text} {'%&€'[number % 3]}")
        pace.add(heard, speed=1.0, seconds=_true_seconds(heard) + 0.3 * (number % 3))
    words, signs = count_sounds(" ".join(_WORDS)), count_sounds("100% & 50% € @ home + 20%")
    known, unknown = (pace.predict(heard, speed=1.0).deviation for heard in (words, signs))
    assert unknown > 2 * known


def test_only_the_newest_clips_count() -> None:
    """A voice that becomes slower by and by is followed, and memory is bounded."""
    pace = Pace()
    for number, text in enumerate(_texts(1_200)):
        heard = count_sounds(text)
        pace.add(heard, speed=1.0, seconds=_true_seconds(heard) * (1.0 + number / 1_200))
    assert 0.55 < np.median(_errors(pace)) < np.log(2.0)
    assert pace.count == 1_200


def test_nothing_that_can_be_heard_breaks_the_fit() -> None:
    """Texts without sounds, and lengths from nothing to hours."""
    pace = Pace()
    for text in ("", "…", "7", "word", "كلمة " * 400):
        for seconds in (0.0, 0.5, 7_200.0):
            pace.add(count_sounds(text), speed=1.2, seconds=seconds)
            expected = pace.predict(count_sounds("some words"), speed=0.7)
            assert np.isfinite(expected.seconds)
            assert expected.seconds > 0.0
            assert 0.0 < expected.deviation < 50.0
