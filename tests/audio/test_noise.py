"""The noise around each second: what interrupts it says nothing about it."""

from pathlib import Path

import numpy as np
import pytest

from batchjobs.audio.pauses import split_at_pauses
from batchjobs.audio.voice_activity import (
    find_silences,
    find_speech,
    frames_of,
    mean_squares,
    to_dbfs,
)
from tests.audio.test_pauses import RATE, _Samples, silence, spans, syllables, write_recording

SECONDS = 200
SENTENCES = [(begin, begin + 3) for begin in range(15, SECONDS, 40)]


def room(noise_db: float, *, level_db: float = -20.0) -> _Samples:
    """A sentence of three seconds every forty, in a room's noise."""
    wave = silence(SECONDS, level_db=noise_db)
    for begin, end in SENTENCES:
        wave[begin * RATE : end * RATE] += syllables(3, level_db=level_db)
    return wave


def interrupt(wave: _Samples, seconds: float, every: float, first: float, gain: float) -> _Samples:
    """Mute a sound again and again, or lower it."""
    wave = wave.copy()
    for begin in np.arange(first, len(wave) / RATE, every):
        wave[round(begin * RATE) : round((begin + seconds) * RATE)] *= gain
    return wave


CASES = {
    "a mute each 20 s": (1.0, 20.0, 5.0, 0.0),
    "comfort noise each 20 s": (1.0, 20.0, 5.0, 0.06),
    "dropped packets": (0.06, 3.0, 1.0, 0.0),
    "mutes of 6 s": (6.0, 40.0, 2.0, 0.0),
    "a mute after each sentence": (2.0, 40.0, 18.0, 0.0),
    "a mute before each sentence": (2.0, 40.0, 13.0, 0.0),
    "padding at the beginning": (2.0, 1e9, 0.0, 0.0),
    "padding at the end": (2.0, 1e9, SECONDS - 2.0, 0.0),
}


@pytest.mark.parametrize("noise_db", [-55.0, -40.0])
@pytest.mark.parametrize("name", CASES)
def test_interrupted_noise_is_no_speech(tmp_path: Path, name: str, noise_db: float) -> None:
    """Zeros within noise send no second more, and hide no pause."""
    plain = spans(list(split_at_pauses(write_recording(tmp_path / "a.wav", room(noise_db)))))
    wave = interrupt(room(noise_db), *CASES[name])
    found = spans(list(split_at_pauses(write_recording(tmp_path / "b.wav", wave))))
    assert len(found) == len(plain) == len(SENTENCES)
    for one, other, sentence in zip(found, plain, SENTENCES, strict=True):
        assert one == pytest.approx(other, abs=0.1)
        assert one == pytest.approx(sentence, abs=0.4)


def test_noise_alone_is_not_sent_for_its_zeros(tmp_path: Path) -> None:
    """A quiet room that is muted now and then holds no speech, as one that is not."""
    wave = interrupt(silence(SECONDS, level_db=-65.0), 1.0, 20.0, 5.0, 0.0)
    assert list(split_at_pauses(write_recording(tmp_path / "a.wav", wave))) == []


def test_noise_that_falls_for_long_costs_its_edges_only(tmp_path: Path) -> None:
    """Comfort noise of six seconds may be the room's own: what is around it is heard, no more."""
    wave = interrupt(room(-40.0), 6.0, 40.0, 2.0, 0.06)
    found = spans(list(split_at_pauses(write_recording(tmp_path / "a.wav", wave))))
    assert sum(end - begin for begin, end in found) < 15 * len(SENTENCES) / 2
    for begin, end in SENTENCES:
        assert any(a <= begin and end <= b for a, b in found)


@pytest.mark.parametrize("pause_db", [-200.0, -70.0])
def test_speech_between_zeros_is_whole(tmp_path: Path, pause_db: float) -> None:
    """Where there is no noise, zeros are the floor: a gate, or a voice that a machine made."""
    parts, sentences, at = [], [], 0.0
    for number in range(20):
        parts += [syllables(4, level_db=-20 if number % 4 else -45, seed=number + 1)]
        parts += [silence(0.6 + number % 3, level_db=pause_db)]
        sentences.append((at, at + 4))
        at += 4.6 + number % 3
    found = spans(list(split_at_pauses(write_recording(tmp_path / "a.wav", *parts))))
    for begin, end in sentences:
        assert any(a <= begin + 0.05 and b >= end - 0.05 for a, b in found)


def test_a_long_vowel_is_no_noise() -> None:
    """A recitation holds one for seconds, as loud as all of it: nothing is cut out of it."""
    times = np.arange(6 * RATE) / RATE
    vowel = 0.14 * np.sin(2 * np.pi * 200 * times)
    wave = np.concatenate([syllables(4), vowel, silence(0.5), vowel, syllables(4), silence(1)] * 3)
    pcm = (np.clip(wave + silence(len(wave) / RATE, level_db=-60), -1, 1) * 32_767).astype("<i2")
    speech = find_speech(to_dbfs(mean_squares(frames_of(pcm.tobytes(), 512))))
    pauses = find_silences(speech)
    assert all(end - begin < 1.3 for begin, end in pauses)
    assert 5 <= len(pauses) <= 6
