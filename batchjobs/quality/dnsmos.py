"""Scores of speech without a reference: DNSMOS P.835, from the weights that a package ships.

It hears noise, gaps, tones and clipping; it does not hear missing words: of five clips each half scored
0.2 below its whole on average, while noise at -34 dB took 0.8 (measured, overall score). So it ranks clips
within a voice, and judges none alone.

Source of the model and of the calibration: Reddy, Gopal, Cutler, "DNSMOS P.835" (ICASSP 2022). The
package's own code is not used: it needs librosa for another model.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from batchjobs.audio.decoding import pcm_chunks
from batchjobs.audio.pcm import to_floats
from batchjobs.checkpoint import SpeechScores
from batchjobs.errors import MissingExtraError

_RATE: Final = 16_000
_WINDOW: Final = 144_160
"""Samples that the model takes: 9.01 seconds."""
_MODEL: Final = Path("dnsmos_models", "sig_bak_ovr.onnx")
# From the model's raw scores to those of listeners: square, linear and constant terms.
_CALIBRATION: Final = (
    (-0.08397278, 1.22083953, 0.0052439),
    (-0.13166888, 1.60915514, -0.39604546),
    (-0.06766283, 1.11546468, 0.04602535),
)

_Floats = NDArray[np.float32]


class _Session(Protocol):
    def run(
        self, outputs: None, inputs: dict[str, NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]: ...


class Dnsmos:
    """Scores clips; one for a thread.

    Raises:
        MissingExtraError: The extra ``quality`` is not installed.
    """

    def __init__(self) -> None:
        self._session = _load()

    def score(self, path: Path) -> SpeechScores:
        """Score a clip: the mean over its stretches of nine seconds, the last one up to its end.

        A shorter clip is repeated until it is as long. The published stretches begin a second apart,
        which takes up to ten times as long; the scores differ by 0.13 at most (measured on five clips
        of 4 to 31 seconds).

        Args:
            path: The file.

        Raises:
            RecordingError: It cannot be read.
        """
        found = [self._score_window(window) for window in _cut(path)]
        signal, background, overall = (round(float(value), 3) for value in np.mean(found, axis=0))
        return SpeechScores(signal=signal, background=background, overall=overall)

    def _score_window(self, window: _Floats) -> tuple[float, ...]:
        (raw,) = self._session.run(None, {"input_1": window[np.newaxis]})[0]
        return tuple(
            float(np.polyval(terms, value)) for terms, value in zip(_CALIBRATION, raw, strict=True)
        )


def _load() -> _Session:
    try:
        from onnxruntime import InferenceSession, SessionOptions
    except ImportError as error:
        raise MissingExtraError("scoring speech", package="onnxruntime", extra="quality") from error
    found = importlib.util.find_spec("speechmos")
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError("scoring speech", package="speechmos", extra="quality")
    options = SessionOptions()
    options.intra_op_num_threads = 1  # clips are scored side by side
    options.log_severity_level = 3  # its remarks on the machine are none of the user's business
    path = Path(found.submodule_search_locations[0]) / _MODEL
    session: _Session = InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session


def _cut(path: Path) -> Iterator[_Floats]:
    """Cut a clip into stretches as long as the model takes; memory holds two of them."""
    held: _Floats = np.zeros(0, np.float32)
    for chunk in pcm_chunks(path, sample_rate=_RATE, chunk_seconds=10.0):
        held = np.concatenate((held, to_floats(chunk)))
        while len(held) >= 2 * _WINDOW:  # what is cut off the end overlaps with what was before
            yield held[:_WINDOW]
            held = held[_WINDOW:]
    if len(held) < _WINDOW:
        yield np.resize(held, _WINDOW)
        return
    if len(held) > _WINDOW:
        yield held[:_WINDOW]
    yield held[-_WINDOW:]
