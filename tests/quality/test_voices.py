"""A clip of another voice is told from the voice's own, and one at another pace."""

import random
from pathlib import Path

import pytest

from batchjobs.audio import encoding
from batchjobs.quality.signs import Measured, measure_clip
from batchjobs.quality.verdicts import VOICE_DEVIATIONS
from batchjobs.quality.voices import LEAST_CLIPS, Voices
from batchjobs.server.engines.espeak import EspeakSynthesiser
from tests.builders import make_speech
from tests.planted import make_texts

RATE = 16_000


def _clip(seconds: float, pitch: float = 100.0, tilt: float = 0.0) -> Measured:
    colour = tuple(10.0 - place * (2.0 + tilt) for place in range(12))
    return Measured(seconds, -20.0, -3.0, 0.0, 0.1, 0.2, pitch, colour)


def test_a_clip_of_another_voice_is_found(tmp_path: Path) -> None:
    """Of real clips in Arabic: those of the other voice are far beyond the bound, the others not."""
    texts = make_texts(40, seed=3, words=(6, 14))
    speaker = EspeakSynthesiser()
    voices, numbers = Voices(), []
    for place, text in enumerate(texts):
        voice = "ar-female-2" if place in {7, 23} else "ar-male-1"
        pcm = b"".join(speaker.synthesise(text, make_speech(RATE, voice_id=voice)))
        path = tmp_path / f"{place}.wav"
        path.write_bytes(encoding.encode(pcm, sample_rate=RATE, format="wav"))
        numbers.append(voices.add(measure_clip(path, RATE), voice="v", spoken=text, speed=1.0))
    speaker.close()
    found = [
        voices.describe(number, voice="v", spoken=text, speed=1.0)
        for number, text in zip(numbers, texts, strict=True)
    ]
    odd = {place for place, each in enumerate(found) if each.voice_deviations >= VOICE_DEVIATIONS}
    assert odd == {7, 23}
    assert max(abs(each.rate_deviations) for each in found) < 5


def test_a_clip_that_is_too_fast_or_slow_is_far_from_its_voice() -> None:
    """Above is faster; half of a text's time is many deviations."""
    voices, dice = Voices(), random.Random(1)
    texts = make_texts(60, seed=2, words=(5, 20))
    numbers = [
        voices.add(
            _clip(len(text) / 12 * dice.uniform(0.97, 1.03) + 0.3),
            voice="v",
            spoken=text,
            speed=1.0,
        )
        for text in texts
    ]
    cut = voices.add(_clip(len(texts[0]) / 24), voice="v", spoken=texts[0], speed=1.0)
    whole = voices.describe(numbers[0], voice="v", spoken=texts[0], speed=1.0)
    assert abs(whole.rate_deviations) < 3
    assert voices.describe(cut, voice="v", spoken=texts[0], speed=1.0).rate_deviations > 4
    assert whole.letters_per_second == pytest.approx(10, abs=3)


def test_of_few_clips_nothing_is_said() -> None:
    """Neither where a voice has few, nor of one that is hardly a word."""
    voices = Voices()
    for _ in range(LEAST_CLIPS - 1):
        voices.add(_clip(3.0), voice="v", spoken="صباح الخير", speed=1.0)
    other = voices.add(_clip(3.0, pitch=200.0), voice="w", spoken="صباح الخير", speed=1.0)
    assert voices.describe(0, voice="v", spoken="صباح الخير", speed=1.0).voice_deviations == 0
    assert voices.describe(other, voice="w", spoken="صباح الخير", speed=1.0).voice_deviations == 0
    short = voices.add(_clip(1.0, pitch=300.0), voice="v", spoken="نعم", speed=1.0)
    assert voices.describe(short, voice="v", spoken="نعم", speed=1.0).voice_deviations == 0


def test_a_whisper_is_told_by_its_colour() -> None:
    """Where there is no pitch, or the same one, the bands tell; a silent clip is far from nothing."""
    voices = Voices()
    for place in range(30):
        voices.add(_clip(3.0, 100 + place % 3), voice="v", spoken="صباح الخير", speed=1.0)
    odd = voices.add(_clip(3.0, 100.0, tilt=3.0), voice="v", spoken="صباح الخير", speed=1.0)
    whisper = voices.add(_clip(3.0, 0.0, tilt=3.0), voice="v", spoken="صباح الخير", speed=1.0)
    silent = voices.add(
        _clip(3.0)._replace(level_dbfs=-120.0), voice="v", spoken="صباح الخير", speed=1.0
    )
    for number in (odd, whisper):
        found = voices.describe(number, voice="v", spoken="صباح الخير", speed=1.0)
        assert found.voice_deviations >= VOICE_DEVIATIONS
    found = voices.describe(silent, voice="v", spoken="صباح الخير", speed=1.0)
    assert (found.has_sound, found.voice_deviations, found.letters_per_second) == (False, 0, 0)
