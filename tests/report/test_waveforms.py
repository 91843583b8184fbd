"""Wave forms: where the sound is, measured once, and never a reason to fail."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from batchjobs.audio import encoding
from batchjobs.files.run_folder import WAVEFORMS
from batchjobs.report.waveforms import LEVELS, PARTS, Waveforms
from tests.builders import make_tone
from tests.report.listened import ENDINGS, RATE

KEY = hashlib.sha256(b"clip").hexdigest()


def write(path: Path, pcm: bytes) -> Path:
    """Write samples in the format of the path's ending."""
    path.write_bytes(encoding.encode(pcm, sample_rate=RATE, format=path.suffix[1:]))
    return path


def levels(shown: str) -> list[int]:
    """Read what is drawn."""
    return [LEVELS.index(level) for level in shown]


@pytest.mark.parametrize("ending", ENDINGS)
def test_it_shows_where_the_sound_is(tmp_path: Path, ending: str) -> None:
    """A second of silence, a second of a tone: the left half is flat, and the right one is high."""
    pcm = bytes(2 * RATE) + make_tone(1.0, RATE)
    drawn = levels(Waveforms(tmp_path).measure(KEY, write(tmp_path / f"clip.{ending}", pcm)))
    assert len(drawn) == PARTS
    assert max(drawn[: PARTS // 2 - 4]) == 0
    assert max(drawn[PARTS // 2 :]) > 35
    middle = PARTS * 3 // 4
    assert drawn[middle] > drawn[PARTS // 2 + 3] > drawn[PARTS // 2 - 4]


def test_full_scale_is_the_highest_and_a_clip_of_few_samples_has_one_too(tmp_path: Path) -> None:
    """There is no length, and no level, without a picture."""
    loud = (np.ones(50) * -32_768).astype("<i2").tobytes()
    drawn = levels(Waveforms(tmp_path).measure(KEY, write(tmp_path / "clip.wav", loud)))
    assert len(drawn) == PARTS
    assert max(drawn) == len(LEVELS) - 1


def test_a_long_recording_is_measured_block_by_block(tmp_path: Path) -> None:
    """A click stands in its own part, wherever the blocks of reading end."""
    for at in (0, 32_767, 32_768, 99_999):
        samples = np.zeros(100_000, "<i2")
        samples[at] = 20_000
        path = write(tmp_path / "clip.wav", samples.tobytes())
        drawn = levels(Waveforms(tmp_path).measure(f"{at:064x}", path))
        assert np.flatnonzero(drawn).tolist() == [at * PARTS // 100_000]


def test_it_is_measured_once(tmp_path: Path) -> None:
    """The next one finds it in the run folder, though the clip is gone."""
    first = Waveforms(tmp_path)
    path = write(tmp_path / "clip.wav", make_tone(0.2, RATE))
    shown = first.measure(KEY, path)
    assert Waveforms(tmp_path).find(KEY) is None
    first.save()
    first.save()
    path.unlink()
    second = Waveforms(tmp_path)
    assert second.find(KEY) == shown
    second.save()
    assert (tmp_path / WAVEFORMS).stat().st_size == 32 + PARTS


def test_a_torn_end_costs_one_measurement(tmp_path: Path) -> None:
    """What a kill has left of an entry is cut off, and the others are as they were."""
    path = write(tmp_path / "clip.wav", make_tone(0.2, RATE))
    for key in (KEY, "00" * 32):
        waves = Waveforms(tmp_path)
        waves.measure(key, path)
        waves.save()
    kept = (tmp_path / WAVEFORMS).read_bytes()
    (tmp_path / WAVEFORMS).write_bytes(kept[:-1])
    waves = Waveforms(tmp_path)
    assert waves.find(KEY) is not None
    assert waves.find("00" * 32) is None
    waves.measure("00" * 32, path)
    waves.save()
    assert (tmp_path / WAVEFORMS).read_bytes() == kept


def test_what_is_no_wave_form_is_measured_again(tmp_path: Path) -> None:
    """A disk that gives back other bytes costs that entry, and not the page."""
    path = write(tmp_path / "clip.wav", make_tone(0.2, RATE))
    waves = Waveforms(tmp_path)
    shown = waves.measure(KEY, path)
    other = waves.measure("00" * 32, path)
    waves.save()
    kept = bytearray((tmp_path / WAVEFORMS).read_bytes())
    kept[40] = 0xFF
    (tmp_path / WAVEFORMS).write_bytes(kept)
    waves = Waveforms(tmp_path)
    assert waves.find(KEY) is None
    assert waves.find("00" * 32) == other
    waves.measure(KEY, path)
    waves.save()
    assert Waveforms(tmp_path).find(KEY) == shown


def test_what_cannot_be_read_or_kept_has_none(tmp_path: Path) -> None:
    """A missing clip, one that is no sound, and a folder that cannot be written are no failures."""
    (tmp_path / "clip.wav").write_bytes(b"no sound")
    waves = Waveforms(tmp_path)
    assert waves.measure(KEY, tmp_path / "clip.wav") == ""
    assert waves.measure(KEY, tmp_path / "none.wav") == ""
    assert waves.find(KEY) is None
    waves.save()
    assert not (tmp_path / WAVEFORMS).exists()
    (tmp_path / WAVEFORMS).mkdir()
    waves = Waveforms(tmp_path)
    assert waves.measure(KEY, write(tmp_path / "clip.wav", make_tone(0.2, RATE)))
    waves.save()
