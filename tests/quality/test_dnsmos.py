"""Scores of speech: what spoils it lowers them, and every sample is looked at."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from batchjobs.audio.pcm import to_floats
from batchjobs.errors import MissingExtraError, RecordingError
from batchjobs.quality import dnsmos
from batchjobs.quality.dnsmos import Dnsmos
from tests.recordings import read_pcm

RATE = 16_000
RECORDING = Path(__file__).parents[2] / "manifests" / "recordings" / "city.wav"


@pytest.fixture(scope="module")
def scorer() -> Dnsmos:
    """The model, loaded once."""
    return Dnsmos()


def _write(path: Path, samples: "np.typing.NDArray[np.float32]") -> Path:
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    return path


def _speech() -> "np.typing.NDArray[np.float32]":
    return to_floats(read_pcm(RECORDING))


@pytest.mark.parametrize("harm", ["noise", "gap", "tone", "clipping"])
def test_what_spoils_speech_lowers_its_score(scorer: Dnsmos, tmp_path: Path, harm: str) -> None:
    """Noise, a gap, a tone and clipping are each heard."""
    rate = soundfile.info(RECORDING).samplerate
    speech = _speech()
    spoilt = speech.copy()
    match harm:
        case "noise":
            spoilt += np.random.default_rng(0).normal(0, 0.05, len(spoilt)).astype(np.float32)
        case "gap":
            for start in range(rate // 4, len(spoilt), rate // 2):
                spoilt[start : start + rate // 8] = 0
        case "tone":
            spoilt += 0.1 * np.sin(np.arange(len(spoilt)) * 2 * np.pi * 1_000 / rate).astype("f4")
        case _:
            spoilt = np.clip(spoilt * 20, -1, 1)
    soundfile.write(tmp_path / "spoilt.wav", spoilt.clip(-1, 1), rate)
    clean, worse = scorer.score(RECORDING), scorer.score(tmp_path / "spoilt.wav")
    assert 1 <= worse.overall < clean.overall - 0.1
    assert clean.overall <= 5


def test_a_clip_scores_the_same_every_time(scorer: Dnsmos) -> None:
    """Two looks, and two models, agree to the last digit."""
    assert scorer.score(RECORDING) == scorer.score(RECORDING) == Dnsmos().score(RECORDING)


@pytest.mark.parametrize("frames", [1_600, 144_159, 144_160, 144_161, 288_319, 288_320, 700_000])
def test_every_sample_is_in_a_stretch(tmp_path: Path, frames: int) -> None:
    """The stretches cover a clip of any length, each as long as the model takes."""
    ramp = np.linspace(-0.9, 0.9, frames, dtype=np.float32)
    found = list(dnsmos._cut(_write(tmp_path / "ramp.wav", ramp)))
    assert {len(window) for window in found} == {144_160}
    seen = np.concatenate(found)
    assert seen[0] == pytest.approx(ramp[0], abs=1e-4)
    if frames >= 144_160:
        assert found[-1][-1] == pytest.approx(ramp[-1], abs=1e-4)
        steps = np.diff(np.sort(seen))
        assert steps.max() < 1.8 / frames + 2e-4
    assert len(found) <= frames // 144_160 + 1


def test_a_clip_that_cannot_be_read_has_no_score(scorer: Dnsmos, tmp_path: Path) -> None:
    """Nothing to be heard is no bad speech."""
    with pytest.raises(RecordingError):
        scorer.score(_write(tmp_path / "empty.wav", np.zeros(0, np.float32)))


@pytest.mark.parametrize("package", ["onnxruntime", "speechmos"])
def test_a_package_that_is_missing_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    """Without a traceback."""
    honest = builtins.__import__

    def refuse(name: str, *given: Any) -> Any:
        if name == package:
            raise ImportError(name)
        return honest(name, *given)

    monkeypatch.setattr(builtins, "__import__", refuse)
    if package == "speechmos":
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"quality|speechmos|onnxruntime") as caught:
        Dnsmos()
    assert "quality" in f"{caught.value} {caught.value.hint}"
