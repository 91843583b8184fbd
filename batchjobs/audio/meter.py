"""The levels of a recording, measured as its samples come."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from batchjobs.audio.level import RAISED_BELOW_DB, find_gain, is_loud_enough
from batchjobs.audio.voice_activity import (
    FRAME_SECONDS,
    cut_frames,
    find_speech,
    mean_squares,
    to_dbfs,
)

_MEASURED_FRAMES: Final = 32
"""At once: a frame takes nearly as long as all of them."""


class LevelMeter:
    """Measures the level of each `FRAME_SECONDS` of one channel; it holds 4 bytes for each.

    Args:
        sample_rate: In hertz.
        step: The smallest difference between two samples, of a full scale of 1; 0 if there is none.
    """

    def __init__(self, sample_rate: int, *, step: float) -> None:
        self._frame = round(FRAME_SECONDS * sample_rate)
        self._step = step
        self._levels: list[NDArray[np.float32]] = []
        self._waiting: list[NDArray[np.float32]] = []
        self._waiting_samples = 0
        self._loud_frames = 0

    def hear(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples."""
        self._waiting.append(samples)
        self._waiting_samples += len(samples)
        if self._waiting_samples >= _MEASURED_FRAMES * self._frame:
            together = np.concatenate(self._waiting)
            whole = len(together) // self._frame * self._frame
            self._measure(together[:whole])
            self._waiting = [together[whole:]]
            self._waiting_samples = len(together) - whole

    def _measure(self, samples: NDArray[np.float32]) -> None:
        levels = to_dbfs(mean_squares(cut_frames(samples, self._frame)))
        self._levels.append(levels)
        self._loud_frames += int((levels >= RAISED_BELOW_DB).sum())

    @property
    def is_loud(self) -> bool:
        """Whether what came so far shows that nothing needs to be raised."""
        return is_loud_enough(self._loud_frames)

    def read_levels(self) -> NDArray[np.float32]:
        """Give the level of each frame, in dBFS; the last one may be shorter. Nothing comes after it."""
        if self._waiting_samples:
            self._measure(np.concatenate(self._waiting))
            self._waiting, self._waiting_samples = [], 0
        return np.concatenate([np.empty(0, np.float32), *self._levels])

    def find_speech(self) -> NDArray[np.bool_]:
        """Tell of each frame whether it can be speech."""
        return find_speech(self.read_levels(), step=self._step)

    def find_gain(self) -> float:
        """Find by how much to raise the recording; what holds no speech is not raised."""
        if self.is_loud:
            return 1.0
        gain = find_gain(self.read_levels())
        return gain if gain > 1 and self.find_speech().any() else 1.0
