"""Clips measured without a model: what was put into a clip is found in it."""

from pathlib import Path

import numpy as np
import pytest

from batchjobs.audio import encoding
from batchjobs.errors import RecordingError
from batchjobs.quality.signs import BANDS, Measured, flatten, measure_clip

RATE = 16_000


def _voice(
    seconds: float, *, pitch: float = 120.0, level: float = 0.2, rate: int = RATE
) -> np.ndarray:
    """Make something like a vowel: a pitch with its overtones, that swells and fades."""
    times = np.arange(round(seconds * rate)) / rate
    wave = sum(np.sin(2 * np.pi * pitch * n * times) / n for n in range(1, 12))
    return level * wave / 2 * np.sin(np.pi * times / seconds) ** 0.2


def _write(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    pcm = (samples.clip(-1, 1) * 32_767).astype("<i2").tobytes()
    path.write_bytes(encoding.encode(pcm, sample_rate=rate, format=path.suffix[1:]))
    return path


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
@pytest.mark.parametrize("pitch", [90.0, 130.0, 240.0])
def test_pitch_is_found(tmp_path: Path, rate: int, pitch: float) -> None:
    """Within two percent, at every rate that services have."""
    clip = _write(tmp_path / "a.wav", _voice(1.5, pitch=pitch, rate=rate), rate)
    assert measure_clip(clip, rate).pitch_hz == pytest.approx(pitch, rel=0.02)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_silence_and_level_are_found(tmp_path: Path, ending: str) -> None:
    """In each of the formats: half a second before, a whole one behind, and how loud it is between."""
    samples = np.concatenate((np.zeros(RATE // 2), _voice(2.0), np.zeros(RATE)))
    found = measure_clip(_write(tmp_path / f"a.{ending}", samples), RATE)
    lossy = 0.1 if ending in {"ogg", "mp3"} else 0.03
    assert found.seconds == pytest.approx(3.5, abs=lossy)
    assert found.head_silence_seconds == pytest.approx(0.5, abs=lossy)
    assert found.tail_silence_seconds == pytest.approx(1.0, abs=lossy)
    assert found.sound_seconds == pytest.approx(2.0, abs=2 * lossy)
    twice = measure_clip(_write(tmp_path / f"b.{ending}", 2 * samples), RATE)
    assert twice.level_dbfs - found.level_dbfs == pytest.approx(6.0, abs=0.3)
    assert twice.peak_dbfs - found.peak_dbfs == pytest.approx(6.0, abs=0.7)
    assert found.clipped == 0


@pytest.mark.parametrize("level_db", [-40.0, -62.0, -75.0])
def test_the_level_of_a_nearly_silent_clip_is_its_own(tmp_path: Path, level_db: float) -> None:
    """It is what somebody will hear, and not what would be sent to be transcribed."""
    voice = _voice(3.0)
    voice *= 10 ** (level_db / 20) / np.sqrt(np.mean(voice**2))
    found = measure_clip(_write(tmp_path / "a.wav", voice), RATE)
    assert found.level_dbfs == pytest.approx(level_db, abs=2.0)


def test_clipping_is_found(tmp_path: Path) -> None:
    """Samples at full scale side by side, as a share; a single loud one is none."""
    loud = measure_clip(_write(tmp_path / "a.wav", _voice(1.0, level=4.0)), RATE)
    assert loud.clipped > 0.1
    assert loud.peak_dbfs == pytest.approx(0.0, abs=0.1)
    single = np.zeros(RATE)
    single[RATE // 2] = 1.0
    assert measure_clip(_write(tmp_path / "b.wav", single), RATE).clipped == 0


def test_a_silent_clip_has_no_sound(tmp_path: Path) -> None:
    """Every measure is a number all the same."""
    found = measure_clip(_write(tmp_path / "a.wav", np.zeros(RATE)), RATE)
    assert not found.has_sound
    assert found.pitch_hz == 0
    assert found.sound_seconds == 0


def test_a_click_and_a_moment_can_be_measured(tmp_path: Path) -> None:
    """However short a clip is."""
    for count in (20, 100, 700):
        found = measure_clip(_write(tmp_path / f"{count}.wav", np.full(count, 0.5)), RATE)
        assert found.has_sound
        assert np.isfinite(list(flatten(found))).all()


def test_a_long_clip_is_measured_in_pieces(tmp_path: Path) -> None:
    """Beyond half a minute nothing is lost between two pieces."""
    samples = np.concatenate((_voice(65.0), np.zeros(RATE // 4)))
    found = measure_clip(_write(tmp_path / "a.wav", samples), RATE)
    assert found.seconds == pytest.approx(65.25)
    assert found.tail_silence_seconds == pytest.approx(0.25, abs=0.03)
    assert found.pitch_hz == pytest.approx(120, rel=0.02)


def test_a_clip_that_is_gone_is_told(tmp_path: Path) -> None:
    """By the error of every recording that cannot be read."""
    with pytest.raises(RecordingError):
        measure_clip(tmp_path / "none.wav", RATE)


def test_a_measurement_can_be_put_into_a_table(tmp_path: Path) -> None:
    """As many numbers each time."""
    found = measure_clip(_write(tmp_path / "a.wav", _voice(1.0)), RATE)
    assert len(list(flatten(found))) == len(Measured._fields) - 1 + BANDS
