"""The engines' interface and table: PCM out of text, cumulative transcripts out of PCM."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from batchjobs.errors import ConfigurationError, EngineError, MissingExtraError
from batchjobs.jobs import SpeechSettings

if TYPE_CHECKING:  # numpy is slow to import, and the table below is wanted by the command's help
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "ENGINES",
    "Engine",
    "PcmReader",
    "Recogniser",
    "RecogniserStream",
    "Resampler",
    "Synthesiser",
    "UtteranceEnd",
    "recogniser",
    "synthesiser",
]

_BYTES_PER_SAMPLE = 2
# Beyond these a header is nonsense, and tables made for its rate would only cost memory.
_LOWEST_HZ, _HIGHEST_HZ = 1_000, 192_000
_UTTERANCE_SECONDS = 5.0
_UTTERANCE_LIMIT_SECONDS = 25.0
_PAUSE_SECONDS = 0.4
_QUIET_BELOW = 0.006  # of full scale: 200 steps of 16 bits


class Synthesiser(Protocol):
    """Speaks. One serves a whole server; several threads may use it at once."""

    def synthesise(self, text: str, settings: SpeechSettings) -> Iterator[bytes]:
        """Speak a text.

        Args:
            text: What to speak; unlimited.
            settings: Voice, speed and sample rate.

        Yields:
            Mono 16-bit little-endian PCM at ``settings.sample_rate``, whole samples, at most about
            half a second each. Closing the iterator stops the work.

        Raises:
            EngineError: The text could not be spoken; the next one may well be.
        """
        ...

    def close(self) -> None:
        """Give back what it holds; calling it twice is fine."""
        ...


class RecogniserStream(Protocol):
    """Listens to one session's audio; used by one thread at a time."""

    def accept(self, pcm: bytes, sample_rate: int) -> str:
        """Hear more audio.

        Args:
            pcm: Mono 16-bit little-endian PCM. A sample may be cut between two calls.
            sample_rate: In hertz; usually 16,000.

        Returns:
            The transcript of everything heard so far; later calls may revise it.

        Raises:
            EngineError: The engine failed; the stream is of no more use.
        """
        ...

    def close(self) -> None:
        """Give back what it holds; calling it twice is fine."""
        ...


class Recogniser(Protocol):
    """Makes a stream a session. One serves a whole server; several threads may use it at once."""

    def start(self) -> RecogniserStream:
        """Begin to listen to a new session.

        Raises:
            EngineError: The engine cannot start another.
        """
        ...

    def close(self) -> None:
        """Give back what it holds; calling it twice is fine."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One choice of engines for a whole server.

    Attributes:
        synthesis: Which module speaks.
        recognition: Which module listens.
        about: What it is, in a few words.
    """

    synthesis: str
    recognition: str
    about: str


ENGINES: Mapping[str, Engine] = {
    "auto": Engine(
        synthesis="espeak",
        recognition="pocketsphinx",
        about="espeak and pocketsphinx, as the extra 'local' brings them",
    ),
    "tone": Engine(
        synthesis="tone",
        recognition="tone",
        about="tones that are recognised exactly; for rehearsals and tests, needs nothing",
    ),
    "espeak": Engine(
        synthesis="espeak",
        recognition="pocketsphinx",
        about="espeak-ng speaks Arabic and English; pocketsphinx hears English",
    ),
    "pocketsphinx": Engine(
        synthesis="espeak",
        recognition="pocketsphinx",
        about="the same as espeak",
    ),
    "sherpa": Engine(
        synthesis="espeak",
        recognition="sherpa",
        about="espeak-ng speaks; sherpa-onnx hears with a model folder of yours, Arabic included",
    ),
}
"""What ``--engine`` offers. An engine that only speaks or only listens brings its partner."""

_PACKAGES: Mapping[str, tuple[str, str, str]] = {
    # engine: (module to find, distribution, extra)
    "espeak": ("espeakng_loader", "espeakng-loader", "local"),
    "pocketsphinx": ("pocketsphinx", "pocketsphinx", "local"),
    "sherpa": ("sherpa_onnx", "sherpa-onnx", "sherpa"),
}


def synthesiser(name: str) -> Synthesiser:
    """Make the engine that speaks for a choice of `ENGINES`.

    Raises:
        ConfigurationError: There is no such choice.
        MissingExtraError: Its package is not installed.
    """
    part = _engine(name).synthesis
    _require(part, name)
    # Imported here: each engine brings packages that the others do without.
    if part == "tone":
        from batchjobs.server.engines.tone import ToneSynthesiser

        return ToneSynthesiser()
    from batchjobs.server.engines.espeak import EspeakSynthesiser

    return EspeakSynthesiser()


def recogniser(name: str, *, model_folder: Path | None = None) -> Recogniser:
    """Make the engine that listens for a choice of `ENGINES`.

    Args:
        name: A key of `ENGINES`.
        model_folder: Where sherpa's model lies; the others need none.

    Raises:
        ConfigurationError: There is no such choice, or the model cannot be used.
        MissingExtraError: Its package is not installed.
    """
    part = _engine(name).recognition
    _require(part, name)
    if part == "tone":
        from batchjobs.server.engines.tone import ToneRecogniser

        return ToneRecogniser()
    if part == "pocketsphinx":
        from batchjobs.server.engines.sphinx import SphinxRecogniser

        return SphinxRecogniser()
    from batchjobs.server.engines.sherpa import SherpaRecogniser

    return SherpaRecogniser(model_folder)


def _engine(name: str) -> Engine:
    try:
        return ENGINES[name]
    except KeyError:
        hint = f"the engines are {', '.join(ENGINES)}"
        raise ConfigurationError(f"there is no engine '{name}'", hint=hint) from None


def _require(part: str, name: str) -> None:
    if part not in _PACKAGES:
        return
    module, package, extra = _PACKAGES[part]
    if find_spec(module) is not None:
        return
    missing = MissingExtraError(f"the engine '{name}'", package=package, extra=extra)
    if name == "auto":
        missing.hint += ", or take --engine tone, which needs nothing"
    raise missing


# -- samples, as the engines share them --------------------------------------------------------


class _SoxrStream(Protocol):
    def resample_chunk(
        self,
        x: "NDArray[np.float32]",
        last: bool = False,  # noqa: FBT001, FBT002 - soxr's own
    ) -> "NDArray[np.float32]": ...


class Resampler:
    """Changes the rate of a stream of mono samples.

    In float32, where soxr gives the same samples for every chunking; in int16 it dithers at random.

    Args:
        from_rate: Rate of what is pushed, in hertz.
        to_rate: Rate of what comes out, in hertz.
    """

    __slots__ = ("_stream",)

    def __init__(self, *, from_rate: int, to_rate: int) -> None:
        self._stream: _SoxrStream | None = None
        if from_rate != to_rate:
            import soxr

            self._stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32")

    def push(self, samples: "NDArray[np.float32]", *, last: bool = False) -> "NDArray[np.float32]":
        """Take more samples, shape (n,), and give those that are ready, shape (m,).

        The filter holds some milliseconds back until `last`.
        """
        if self._stream is None:
            return samples
        return self._stream.resample_chunk(samples, last=last)


class PcmReader:
    """Turns the bytes of `RecogniserStream.accept` into float samples at one rate.

    Args:
        sample_rate: The rate wanted, in hertz.
    """

    __slots__ = ("_carry", "_from_rate", "_resampler", "_sample_rate")

    def __init__(self, *, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._from_rate = sample_rate
        self._resampler = Resampler(from_rate=sample_rate, to_rate=sample_rate)
        self._carry = b""

    def push(self, pcm: bytes, sample_rate: int) -> "NDArray[np.float32]":
        """Read PCM as samples of -1 to 1, shape (n,), at the rate wanted.

        Raises:
            EngineError: A rate that no recording has.
        """
        from batchjobs.audio.pcm import to_floats

        if not _LOWEST_HZ <= sample_rate <= _HIGHEST_HZ:
            raise EngineError(f"no engine can listen at {sample_rate} Hz")
        if sample_rate != self._from_rate:
            self._from_rate = sample_rate
            self._resampler = Resampler(from_rate=sample_rate, to_rate=self._sample_rate)
        data = self._carry + pcm
        whole = len(data) - len(data) % _BYTES_PER_SAMPLE
        self._carry = data[whole:]
        return self._resampler.push(to_floats(data[:whole]))


class UtteranceEnd:
    """Finds where a stream of speech can be cut: in a pause once it is long, or when very long.

    A recogniser's work and memory grow with the utterance, and whisper takes 30 seconds at most.

    Args:
        sample_rate: In hertz.
    """

    __slots__ = ("_quiet", "_sample_rate", "_samples")

    def __init__(self, *, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._samples = 0
        self._quiet = 0

    def reached(self, samples: "NDArray[np.float32]") -> bool:
        """Hear more samples, shape (n,), and say whether the utterance can end behind them.

        If so, what comes next counts as a new utterance.
        """
        loud = (abs(samples) > _QUIET_BELOW).nonzero()[0]
        if len(loud):
            self._quiet = len(samples) - 1 - int(loud[-1])
        else:
            self._quiet += len(samples)
        self._samples += len(samples)
        seconds, quiet = self._samples / self._sample_rate, self._quiet / self._sample_rate
        over = seconds >= _UTTERANCE_LIMIT_SECONDS or (
            seconds >= _UTTERANCE_SECONDS and quiet >= _PAUSE_SECONDS
        )
        if over:
            self._samples = self._quiet = 0
        return over
