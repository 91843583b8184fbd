"""Levels measured as samples come: the same, however they come."""

import numpy as np
import pytest

from batchjobs.audio.meter import LevelMeter
from batchjobs.audio.voice_activity import cut_frames, mean_squares, to_dbfs
from tests.audio.test_pauses import RATE, syllables


@pytest.mark.parametrize("block_samples", [1, 511, 512, 20_000, 80_000])
def test_blocks_do_not_show(block_samples: int) -> None:
    """A level each 32 ms, the last of what is left."""
    samples = syllables(2.0).astype(np.float32)[:31_000]
    meter = LevelMeter(RATE, step=0.0)
    for at in range(0, len(samples), block_samples):
        meter.hear(samples[at : at + block_samples])
    expected = to_dbfs(mean_squares(cut_frames(samples, 512)))
    assert np.allclose(meter.read_levels(), expected, atol=1e-4)
    assert len(meter.read_levels()) == len(meter.find_speech()) == 61
    assert meter.is_loud
    assert meter.find_gain() == 1


def test_nothing_has_no_levels() -> None:
    """It is not raised either."""
    meter = LevelMeter(RATE, step=0.0)
    assert len(meter.read_levels()) == len(meter.find_speech()) == 0
    assert not meter.is_loud
    assert meter.find_gain() == 1
