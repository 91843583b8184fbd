"""Long recordings cut at pauses: nothing that is said is lost, silence is not sent."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from batchjobs.audio import decoding
from batchjobs.audio.pauses import Stretch, split_at_pauses
from batchjobs.audio.voice_activity import find_speech, frames_of, mean_squares, to_dbfs

RATE = 16_000
_Samples = NDArray[np.float64]


def syllables(seconds: float, *, level_db: float = -20.0, seed: int = 1) -> _Samples:
    """Noise that rises and falls four times a second, as speech does."""
    dice = np.random.default_rng(seed)
    times = np.arange(round(seconds * RATE)) / RATE
    envelope = 0.15 + np.abs(np.sin(times * np.pi * 4))
    wave = dice.standard_normal(len(times)) * envelope
    wave *= 10 ** (level_db / 20) / np.sqrt(np.mean(wave**2))
    return wave


def silence(seconds: float, *, level_db: float = -200.0, seed: int = 2) -> _Samples:
    """Noise of a level; hardly any by itself."""
    dice = np.random.default_rng(seed)
    return dice.standard_normal(round(seconds * RATE)) * 10 ** (level_db / 20)


def write_recording(path: Path, *parts: _Samples, noise_db: float | None = None) -> Path:
    """Write a recording."""
    wave = np.concatenate(parts)
    if noise_db is not None:
        wave = wave + silence(len(wave) / RATE, level_db=noise_db)[: len(wave)]
    soundfile.write(path, np.clip(wave, -1, 1), RATE, subtype="PCM_16")
    return path


def spans(stretches: list[Stretch]) -> list[tuple[float, float]]:
    """Where they begin and end, in seconds."""
    return [(s.first_frame / RATE, (s.first_frame + len(s.pcm) // 2) / RATE) for s in stretches]


def split(path: Path, target: float = 10.0, longest: float = 15.0) -> list[Stretch]:
    """Split into short stretches."""
    return list(split_at_pauses(path, target_seconds=target, longest_seconds=longest))


def test_the_samples_are_those_of_the_recording(tmp_path: Path) -> None:
    """At their places, whatever the format, the rate and the channels."""
    wave = np.concatenate([syllables(7), silence(1), syllables(12), silence(6), syllables(4)])
    stereo = np.stack([wave, wave * 0.5], axis=1).repeat(3, axis=0)  # 48 kHz
    soundfile.write(tmp_path / "in.flac", np.clip(stereo, -1, 1), 48_000)
    pcm = b"".join(decoding.pcm_chunks(tmp_path / "in.flac", sample_rate=RATE))
    found = split(tmp_path / "in.flac")
    assert len(found) > 2
    for stretch in found:
        start = 2 * stretch.first_frame
        assert stretch.pcm == pcm[start : start + len(stretch.pcm)]


@pytest.mark.parametrize(
    ("level_db", "noise_db"),
    [(-50, None), (-20, None), (-3, None), (-50, -70), (-20, -70), (-20, -45), (-20, -30)],
)
def test_speech_is_sent_and_silence_is_not(
    tmp_path: Path, noise_db: float | None, level_db: float
) -> None:
    """However quiet it is, at ten decibels over the noise and more."""
    parts = [silence(6), syllables(8, level_db=level_db), silence(8)]
    parts += [syllables(5, level_db=level_db, seed=3), silence(7)]
    found = spans(split(write_recording(tmp_path / "in.wav", *parts, noise_db=noise_db)))
    for begin, end in ((6, 14), (22, 27)):
        assert any(a <= begin + 0.05 and b >= end - 0.05 for a, b in found)
    assert sum(b - a for a, b in found) <= 13 + 4 * 0.35


def test_a_recording_of_silence_has_no_stretch(tmp_path: Path) -> None:
    """Digital silence, a quiet room, and direct current."""
    assert split(write_recording(tmp_path / "a.wav", silence(30))) == []
    assert split(write_recording(tmp_path / "b.wav", silence(30, level_db=-80.0))) == []
    assert split(write_recording(tmp_path / "c.wav", silence(30) + 0.2)) == []


def test_direct_current_hides_no_pause(tmp_path: Path) -> None:
    """The level is that of the sound."""
    wave = np.concatenate([syllables(8), silence(8), syllables(8)]) + 0.1
    assert len(split(write_recording(tmp_path / "a.wav", wave))) == 2


def test_cuts_fall_into_pauses(tmp_path: Path) -> None:
    """Each stretch ends in silence near its target; together they have everything."""
    parts = []
    for number in range(30):
        parts += [syllables(2.3, seed=number), silence(0.5)]
    found = spans(split(write_recording(tmp_path / "in.wav", *parts)))
    assert all(4.5 <= b - a <= 15 for a, b in found[:-1])
    for (_, end), (begin, _) in itertools.pairwise(found):
        assert begin == end
        assert 2.3 - 0.05 <= end % 2.8 <= 2.8 + 0.05 or end % 2.8 <= 0.05
    assert found[0][0] <= 0.01
    assert found[-1][1] >= 30 * 2.8 - 0.5 - 0.05


def test_continuous_speech_is_cut_with_an_overlap(tmp_path: Path) -> None:
    """No stretch is longer than may be, and the next one hears the end of it again."""
    found = split(write_recording(tmp_path / "in.wav", syllables(100)))
    assert all(len(s.pcm) / 2 / RATE <= 15.04 for s in found)
    assert [s.overlap_frames > 0 for s in found] == [False] + [True] * (len(found) - 1)
    for one, other in itertools.pairwise(found):
        shared = 2 * other.overlap_frames
        assert one.pcm[-shared:] == other.pcm[:shared]
        assert one.first_frame + len(one.pcm) // 2 == other.first_frame + other.overlap_frames
        # Both are answered at the same moments, a second apart: their words have the same times.
        apart = (other.first_frame - one.first_frame) / RATE
        assert abs(apart - round(apart)) < 0.017
        assert 1.9 <= other.overlap_frames / RATE <= 3.1


def test_an_early_pause_is_better_than_an_overlap(tmp_path: Path) -> None:
    """Words that are heard once cannot be heard otherwise."""
    parts = [syllables(3.5), silence(0.5), syllables(13.5, seed=3)]
    found = split(write_recording(tmp_path / "in.wav", *parts))
    assert [stretch.overlap_frames for stretch in found] == [0, 0]
    assert 3.5 <= found[1].first_frame / RATE <= 4.0


def test_the_shortest_stretches_end(tmp_path: Path) -> None:
    """Also where an overlap has no room for a whole second before it."""
    found = spans(split(write_recording(tmp_path / "in.wav", syllables(20)), 1.0, 1.5))
    assert all(a < b for (a, _), (b, _) in itertools.pairwise(found))
    assert found[-1][1] >= 19.9


def test_steady_sound_is_heard(tmp_path: Path) -> None:
    """A chord has no pauses and no noise below it: it is not taken for silence."""
    times = np.arange(40 * RATE) / RATE
    chord = np.sum([np.sin(times * 2 * np.pi * pitch) for pitch in (220, 277, 330)], axis=0) * 0.1
    found = spans(split(write_recording(tmp_path / "in.wav", chord)))
    assert found[0][0] == 0
    assert found[-1][1] >= 40 - 0.05


def test_a_quiet_speaker_after_a_loud_one_is_heard(tmp_path: Path) -> None:
    """Thirty decibels below, at once and for long."""
    parts = [syllables(20, level_db=-15), silence(1.0), syllables(20, level_db=-45, seed=9)]
    found = spans(split(write_recording(tmp_path / "in.wav", *parts, noise_db=-75.0)))
    covered = sum(min(b, 41) - max(a, 21) for a, b in found if b > 21)
    assert covered >= 19.9


def test_a_detector_decides_in_place_of_the_level(tmp_path: Path) -> None:
    """What it calls speech is sent, and nothing else."""
    path = write_recording(tmp_path / "in.wav", syllables(30))
    seen = []

    def detector(pcm: bytes) -> float:
        seen.append(len(pcm))
        return float(100 <= len(seen) < 200)

    found = spans(list(split_at_pauses(path, detector=detector)))
    assert set(seen) == {1024}
    assert found == [pytest.approx((99 * 0.032 - 0.256, 199 * 0.032 + 0.256))]


def test_what_is_over_the_noise_does_not_depend_on_the_length() -> None:
    """Nothing has nothing over it, and a part of a second at the end counts like the others."""
    assert len(find_speech(np.zeros(0, np.float32))) == 0
    pcm = (
        (np.concatenate([silence(4, level_db=-60), syllables(3)]) * 32_767).astype("<i2").tobytes()
    )
    whole = to_dbfs(mean_squares(frames_of(pcm, 512)))
    for count in (1, 30, 31, 32, len(whole)):
        assert len(find_speech(whole[:count])) == count
    found = find_speech(whole)
    assert not found[: round(3.9 / 0.032)].any()
    assert found[round(4.1 / 0.032) :].mean() > 0.9


def test_frames_have_no_direct_current() -> None:
    """The level is that of what moves, and the last frame is filled up with silence."""
    found = frames_of(np.full(700, 12_000, "<i2").tobytes(), 512)
    assert found.shape == (2, 512)
    assert to_dbfs(mean_squares(found)).max() == pytest.approx(-140.0, abs=0.1)
