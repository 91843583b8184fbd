"""Samples as the engines share them: read at any rate, resampled, cut into utterances."""

import numpy as np
import soxr
from numpy.typing import NDArray

from batchjobs.audio.pcm import to_floats
from batchjobs.errors import EngineError
from batchjobs.speech import BYTES_PER_SAMPLE

# Beyond these a header is nonsense, and tables made for its rate would only cost memory.
_LOWEST_HZ, _HIGHEST_HZ = 1_000, 192_000
_UTTERANCE_SECONDS = 5.0
_UTTERANCE_LIMIT_SECONDS = 25.0
_PAUSE_SECONDS = 0.4
_QUIET_BELOW = 0.006  # of full scale: 200 steps of 16 bits


class Resampler:
    """Changes the rate of a stream of mono samples.

    In float32, where soxr gives the same samples for every chunking; in int16 it dithers at random.

    Args:
        from_rate: Rate of what is pushed, in hertz.
        to_rate: Rate of what comes out, in hertz.
    """

    __slots__ = ("_stream",)

    def __init__(self, *, from_rate: int, to_rate: int) -> None:
        self._stream = None
        if from_rate != to_rate:
            self._stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32")

    def push(self, samples: NDArray[np.float32], *, last: bool = False) -> NDArray[np.float32]:
        """Take more samples, shape (n,), and give those that are ready, shape (m,).

        The filter holds some milliseconds back until `last`.
        """
        if self._stream is None:
            return samples
        resampled: NDArray[np.float32] = self._stream.resample_chunk(samples, last=last)
        return resampled


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

    def push(self, pcm: bytes, sample_rate: int) -> NDArray[np.float32]:
        """Read PCM as samples of -1 to 1, shape (n,), at the rate wanted.

        Raises:
            EngineError: A rate that no recording has.
        """
        if not _LOWEST_HZ <= sample_rate <= _HIGHEST_HZ:
            raise EngineError(f"no engine can listen at {sample_rate} Hz")
        if sample_rate != self._from_rate:
            self._from_rate = sample_rate
            self._resampler = Resampler(from_rate=sample_rate, to_rate=self._sample_rate)
        data = self._carry + pcm
        whole = len(data) - len(data) % BYTES_PER_SAMPLE
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

    def ends_behind(self, samples: NDArray[np.float32]) -> bool:
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
