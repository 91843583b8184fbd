"""Quiet recordings are raised before they become 16 bits, and no others."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from batchjobs.audio import decoding
from batchjobs.audio.level import find_gain, find_loudness
from batchjobs.audio.pauses import split_at_pauses
from tests.audio.test_pauses import RATE, _Samples, silence, spans, syllables

WORDS = [(2.0, 9.0), (14.0, 21.0)]


def two_sentences(level_db: float, noise_db: float = -200.0, *, lead: float = 0.0) -> _Samples:
    """Two sentences of seven seconds between pauses of noise."""
    parts = [silence(2 + lead), syllables(7), silence(5), syllables(7, seed=3), silence(3)]
    wave = np.concatenate(parts) * 10 ** ((level_db + 20) / 20)
    return wave + silence(len(wave) / RATE, level_db=noise_db)


def write(path: Path, wave: _Samples, subtype: str) -> Path:
    """Write a recording of one channel."""
    soundfile.write(path, np.clip(wave, -1, 1), RATE, subtype=subtype)
    return path


def read(path: Path) -> _Samples:
    """Read what is sent of a recording, on a full scale of 1."""
    return np.frombuffer(b"".join(decoding.pcm_chunks(path, gain=None)), "<i2") / 32_768


@pytest.mark.parametrize("subtype", ["PCM_24", "PCM_32", "FLOAT"])
@pytest.mark.parametrize(("level_db", "noise_db"), [(-60, -90), (-80, -110), (-95, -200)])
def test_what_is_very_quiet_is_sent_louder(
    tmp_path: Path, level_db: float, noise_db: float, subtype: str
) -> None:
    """The same sound, of which 16 bits would leave a few steps: its finer ones are kept."""
    wave = two_sentences(level_db, noise_db)
    sent = read(write(tmp_path / "a.wav", wave, subtype))
    assert np.corrcoef(sent, wave)[0, 1] > 0.999
    assert -30 <= 20 * np.log10(np.std(sent[2 * RATE : 9 * RATE])) <= -26


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("level_db", [-60, -70])
@pytest.mark.parametrize("noise_db", [-200, -88])
def test_quiet_speech_is_cut_like_loud_speech(
    tmp_path: Path, level_db: float, noise_db: float, subtype: str
) -> None:
    """No sentence is silence for its level, and no pause is sent for it."""
    path = write(tmp_path / "a.wav", two_sentences(level_db, noise_db), subtype)
    found = list(split_at_pauses(path, target_seconds=8, longest_seconds=10))
    assert len(found) == 2
    for one, words in zip(spans(found), WORDS, strict=True):
        assert one == pytest.approx(words, abs=0.3)
    whole = read(path)
    for stretch in found:  # cut or not, it is raised by the same
        pcm = np.frombuffer(stretch.pcm, "<i2") / 32_768
        assert np.array_equal(pcm, whole[stretch.first_frame :][: len(pcm)])


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_finer_samples_hold_quieter_speech(tmp_path: Path, ending: str) -> None:
    """At -90 dB 24 bits hold a sentence; of 16 bits the last step flickers, which is nothing."""
    fine = write(tmp_path / f"a.{ending}", two_sentences(-90, -125), "PCM_24")
    assert len(list(split_at_pauses(fine, target_seconds=8, longest_seconds=10))) == 2
    coarse = write(tmp_path / f"b.{ending}", two_sentences(-100, -102), "PCM_16")
    assert list(split_at_pauses(coarse, target_seconds=8, longest_seconds=10)) == []


@pytest.mark.parametrize("level_db", [-50.0, -20.0, -3.0])
def test_what_is_loud_enough_comes_out_as_it_is(tmp_path: Path, level_db: float) -> None:
    """To the bit, also after a long silence, and with a quiet speaker after a loud one."""
    for lead in (0.0, 8.0):
        wave = np.concatenate([two_sentences(level_db, lead=lead), two_sentences(-70)])
        path = write(tmp_path / "a.wav", wave, "PCM_16")
        held = soundfile.read(path, dtype="int16")[0]
        assert np.array_equal(read(path), held / 32_768)


@pytest.mark.parametrize("level_db", [-60.0, -80.0])
def test_what_is_only_measured_is_not_raised(tmp_path: Path, level_db: float) -> None:
    """Whoever does not ask for it gets the samples of the file, however quiet."""
    path = write(tmp_path / "a.wav", two_sentences(level_db), "PCM_16")
    held = soundfile.read(path, dtype="int16")[0]
    assert held.any()
    assert np.array_equal(np.frombuffer(b"".join(decoding.pcm_chunks(path)), "<i2"), held)


@pytest.mark.parametrize("level_db", [-200.0, -95.0, -80.0])
def test_the_noise_of_an_empty_room_is_not_raised(tmp_path: Path, level_db: float) -> None:
    """It would sound like speech that was not understood."""
    path = write(tmp_path / "a.wav", silence(30, level_db=level_db), "PCM_24")
    assert np.abs(read(path)).max() < 0.001
    assert list(split_at_pauses(path)) == []


def test_a_knock_hides_no_quiet_speech(tmp_path: Path) -> None:
    """A bump of the microphone is louder than all that is said."""
    wave = two_sentences(-80, -115)
    wave[RATE // 2 : RATE // 2 + 1_600] += syllables(0.1, level_db=-14)
    path = write(tmp_path / "a.wav", wave, "FLOAT")
    sent = read(path)[RATE:]
    assert np.corrcoef(sent, wave[RATE:])[0, 1] > 0.995
    assert len(list(split_at_pauses(path, target_seconds=8, longest_seconds=10))) >= 2


def test_a_detector_hears_what_is_sent(tmp_path: Path) -> None:
    """Detectors know speech by its level too."""
    path = write(tmp_path / "a.wav", two_sentences(-80, -115), "FLOAT")
    heard: list[bytes] = []

    def detect(pcm: bytes) -> float:
        heard.append(pcm)
        return 1.0

    list(split_at_pauses(path, detector=detect))
    assert np.array_equal(np.frombuffer(b"".join(heard), "<i2")[: 24 * RATE] / 32_768, read(path))


def test_loudness_is_that_of_the_loudest_second() -> None:
    """Of little as of much; nothing has none."""
    levels = np.r_[np.full(1_000, -90.0), np.full(60, -70.0), np.full(3, -10.0)].astype("f4")
    assert find_loudness(levels) == -70
    assert find_loudness(levels[1_000:]) == -70
    assert find_loudness(levels[:1]) == -90
    assert find_loudness(levels[:0]) == -np.inf
    assert find_gain(levels) == pytest.approx(10 ** (44 / 20))
    assert find_gain(np.full(100, -54.9, "f4")) == 1
