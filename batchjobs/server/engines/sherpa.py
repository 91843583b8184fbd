"""The sherpa engine: recognition by sherpa-onnx with a model folder of the user's, any language."""

import functools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batchjobs.errors import ConfigurationError, EngineError
from batchjobs.server.engines.samples import PcmReader, UtteranceEnd
from batchjobs.server.engines.sherpa_model import RECIPES, Model, find_model

_Transcribe = Callable[[NDArray[np.float32]], str]

_RATE = 16_000
_CHECK_SECONDS = 600.0
_TAIL_SECONDS = 0.66  # of silence, so that a streaming model's last chunk is whole
_NOISE_SEED = 20_240


# -- loading it --------------------------------------------------------------------------------


def _load(model: Model) -> _Transcribe:
    """Load a model. sherpa-onnx may end the process instead: see `check`.

    Raises:
        RuntimeError: onnxruntime refused a file.
    """
    import sherpa_onnx

    recipe = RECIPES[model.kind]
    family = sherpa_onnx.OnlineRecognizer if recipe.streaming else sherpa_onnx.OfflineRecognizer
    recognizer = getattr(family, recipe.factory)(
        tokens=str(model.tokens),
        num_threads=min(4, os.cpu_count() or 1),
        **{name: str(path) for name, path in model.files.items()},
        **recipe.settings,
    )

    def recognise_stream(samples: NDArray[np.float32]) -> str:
        stream = recognizer.create_stream()
        stream.accept_waveform(_RATE, samples)
        stream.accept_waveform(_RATE, np.zeros(int(_TAIL_SECONDS * _RATE), np.float32))
        stream.input_finished()
        while recognizer.is_ready(stream):
            recognizer.decode_stream(stream)
        return str(recognizer.get_result(stream)).strip()

    def recognise_whole(samples: NDArray[np.float32]) -> str:
        stream = recognizer.create_stream()
        stream.accept_waveform(_RATE, samples)
        recognizer.decode_stream(stream)
        return str(stream.result.text).strip()

    return recognise_stream if recipe.streaming else recognise_whole


def check(folder: str) -> None:
    """Load a model and let it hear a second of noise; run in a process of its own.

    sherpa-onnx 2.0.1 ends the whole process when a model lacks a fact about itself or its tokens
    do not fit: that must not be the server.
    """
    noise = np.random.default_rng(_NOISE_SEED).random(_RATE, np.float32) * 0.2 - 0.1
    _load(find_model(Path(folder)))(noise.astype(np.float32))


_CHECK_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from batchjobs.server.engines.sherpa import check; check(sys.argv[2])"
)


def _check_apart(folder: Path, *, seconds: float = _CHECK_SECONDS) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", _CHECK_PROGRAM, json.dumps(sys.path), str(folder)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
            # No keys are needed to load a model.
            env={name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"},
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(f"the model in {folder} takes too long to load") from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = lines[-1] if lines else f"status {done.returncode}"
        hint = "does tokens.txt belong to it, and is it a model for sherpa-onnx?"
        raise ConfigurationError(f"the model in {folder} cannot be used: {reason}", hint=hint)


# -- the engine --------------------------------------------------------------------------------


class SherpaRecogniser:
    """Hears whatever the user's model hears.

    Args:
        model_folder: Where the model lies.

    Raises:
        ConfigurationError: There is none, or it cannot be used.
    """

    def __init__(self, model_folder: Path | None) -> None:
        self.model = find_model(model_folder)
        _check_apart(self.model.tokens.parent)
        self._lock = threading.Lock()
        try:
            self._transcribe = _load(self.model)
        except RuntimeError as error:  # though the check went well: no memory, most likely
            raise ConfigurationError(f"the model in {model_folder} failed: {error}") from error

    def __str__(self) -> str:
        """Say which model it is."""
        return f"sherpa-onnx with the {self.model.kind} model in {self.model.tokens.parent}"

    def start(self) -> "SherpaStream":
        """Begin to listen to a new session; see `interface.Recogniser`."""
        return SherpaStream(functools.partial(_one_at_a_time, self._lock, self._transcribe))

    def close(self) -> None:
        """Do nothing: only memory is held."""


def _one_at_a_time(
    lock: threading.Lock, transcribe: _Transcribe, samples: NDArray[np.float32]
) -> str:
    # A recognition uses every core by itself.
    with lock:
        try:
            return transcribe(samples)
        except RuntimeError as error:
            raise EngineError(f"sherpa-onnx failed on this audio: {error}") from error


class SherpaStream:
    """One session's audio, recognised utterance by utterance.

    Nothing says that the audio has ended, so the utterance that is going on is recognised anew
    each time, as if it ended here: no last word is lost in a streaming model's look-ahead.
    Utterances end in pauses, and are short enough for that to be cheap.

    Args:
        transcribe: Recognises an utterance: 16 kHz samples of -1 to 1, shape (n,).
    """

    def __init__(self, transcribe: _Transcribe) -> None:
        self._transcribe = transcribe
        self._reader = PcmReader(sample_rate=_RATE)
        self._end = UtteranceEnd(sample_rate=_RATE)
        self._heard: list[NDArray[np.float32]] = []
        self._finished: list[str] = []
        self._current = ""

    def accept(self, pcm: bytes, sample_rate: int) -> str:
        """Hear more audio and give the transcript so far; see `interface.RecogniserStream`.

        Raises:
            EngineError: sherpa-onnx failed, or no recording has such a rate.
        """
        samples = self._reader.push(pcm, sample_rate)
        if len(samples):
            self._heard.append(samples)
            self._current = self._transcribe(np.concatenate(self._heard))
            if self._end.ends_behind(samples):
                self._finished.append(self._current)
                self._current = ""
                self._heard.clear()
        return " ".join(text for text in (*self._finished, self._current) if text)

    def close(self) -> None:
        """Forget the audio."""
        self._heard.clear()
