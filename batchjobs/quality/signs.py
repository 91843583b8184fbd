"""What can be measured of a clip without a model: level, clipping, silence, pitch and colour."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from batchjobs.audio.decoding import pcm_chunks
from batchjobs.audio.pcm import to_floats
from batchjobs.checkpoint import SILENCE_DBFS

BANDS: Final = 12
_CHUNK_SECONDS: Final = 30.0
_WINDOW_SECONDS: Final = 0.02
_SOUND_ABOVE: Final = 0.03
"""Of the loudest 20 ms; the same share by which silence at the ends is told in a run."""
_SPEECH_ABOVE: Final = 0.1
_VOICED_ABOVE: Final = 0.3
_FULL_SCALE: Final = 32_760 / 32_768
_COLOUR_FRAMES: Final = 24
"""So many of the loud windows and up to twice as many, evenly spread, tell pitch and colour as all do."""
_ENOUGH_HZ: Final = 8_000
_FRAME_SECONDS: Final = 0.04
_COLOUR_WITHIN_SECONDS: Final = 120.0
_LOWEST_PITCH_HZ, _HIGHEST_PITCH_HZ = 60.0, 420.0
_PERIODIC_ABOVE: Final = 0.5
"""Of the autocorrelation at no delay: what is less is no voice."""
_LEAST_VOICED: Final = 5
_LOWEST_BAND_HZ, _HIGHEST_BAND_HZ = 120.0, 3_800.0
"""What an 8 kHz clip has, too."""
_DEEPEST_DB: Final = 30.0
"""Below the strongest band: what lies deeper is leakage of the others, or a codec's noise."""

_Floats = NDArray[np.float32]


class Measured(NamedTuple):
    """What was measured of one clip.

    Attributes:
        seconds: Its length.
        level_dbfs: Root mean square of the windows with speech; -120 where there is no sound.
        peak_dbfs: Of the loudest sample.
        clipped: Share of samples at full scale beside another such.
        head_silence_seconds: Before the first sound.
        tail_silence_seconds: After the last one.
        pitch_hz: The middle one of the voiced frames; 0 if there are too few.
        colour: Decibels of bands from low to high, against their mean, over the loud frames.
    """

    seconds: float
    level_dbfs: float
    peak_dbfs: float
    clipped: float
    head_silence_seconds: float
    tail_silence_seconds: float
    pitch_hz: float
    colour: tuple[float, ...]

    @property
    def has_sound(self) -> bool:
        """Whether there is anything to be heard."""
        return self.level_dbfs > SILENCE_DBFS

    @property
    def sound_seconds(self) -> float:
        """From the first sound to the last."""
        return self.seconds - self.head_silence_seconds - self.tail_silence_seconds


def measure_clip(path: Path, sample_rate: int) -> Measured:
    """Measure a clip; memory holds half a minute of it.

    Args:
        path: The file.
        sample_rate: Its own, in hertz.

    Raises:
        RecordingError: It cannot be read.
    """
    powers: list[_Floats] = []
    loud: _Floats = np.zeros(0, np.float32)
    peak, clipped, frames = 0.0, 0, 0
    for chunk in pcm_chunks(path, sample_rate=sample_rate, chunk_seconds=_CHUNK_SECONDS):
        samples = to_floats(chunk)
        if frames < _COLOUR_WITHIN_SECONDS * sample_rate:
            loud = samples if not len(loud) else np.concatenate((loud, samples))
        frames += len(samples)
        powers.append(_window_powers(samples, sample_rate))
        loudest = float(np.abs(samples).max(initial=0.0))
        peak = max(peak, loudest)
        if loudest >= _FULL_SCALE:
            is_full = np.abs(samples) >= _FULL_SCALE
            clipped += int(np.count_nonzero(is_full[1:] & is_full[:-1]))
    return _sum_up(np.concatenate(powers), loud, sample_rate, frames, peak, clipped)


def _window_powers(samples: _Floats, sample_rate: int) -> _Floats:
    """Measure the mean square of each 20 ms; a rest counts as a window of its own."""
    width = max(1, round(sample_rate * _WINDOW_SECONDS))
    whole = len(samples) // width * width
    windows = samples[:whole].reshape(-1, width)
    found: _Floats = np.einsum("ij,ij->i", windows, windows) / np.float32(width)
    if whole == len(samples):
        return found
    rest = samples[whole:]
    return np.append(found, np.float32(rest @ rest / len(rest))).astype(np.float32)


def _sum_up(  # noqa: PLR0917  # the parts of one sum
    powers: _Floats, loud: _Floats, sample_rate: int, frames: int, peak: float, clipped: int
) -> Measured:
    seconds = frames / sample_rate
    loudest = float(powers.max(initial=0.0))
    if not loudest:
        nothing = (0.0,) * BANDS
        return Measured(seconds, SILENCE_DBFS, SILENCE_DBFS, 0.0, seconds, 0.0, 0.0, nothing)
    sounding = np.flatnonzero(powers >= loudest * _SOUND_ABOVE**2)
    speech = powers[powers >= loudest * _SPEECH_ABOVE**2]
    pitch, colour = _measure_voice(loud, powers, sample_rate)
    return Measured(
        seconds=seconds,
        level_dbfs=_decibels(float(speech.mean())),
        peak_dbfs=_decibels(peak * peak),
        clipped=clipped / frames,
        head_silence_seconds=float(sounding[0]) * _WINDOW_SECONDS,
        tail_silence_seconds=max(0.0, seconds - float(sounding[-1] + 1) * _WINDOW_SECONDS),
        pitch_hz=pitch,
        colour=colour,
    )


def _decibels(power: float) -> float:
    return max(SILENCE_DBFS, 10 * math.log10(power)) if power > 0 else SILENCE_DBFS


def _measure_voice(
    samples: _Floats, powers: _Floats, sample_rate: int
) -> tuple[float, tuple[float, ...]]:
    """Measure pitch and colour by some of the loud frames."""
    step = max(1, int(sample_rate / _ENOUGH_HZ))
    size = round(sample_rate * _FRAME_SECONDS) // step * step
    width = max(1, round(sample_rate * _WINDOW_SECONDS))
    loud = np.flatnonzero(powers >= powers.max() * _VOICED_ABOVE**2) * width
    loud = loud[loud + size <= len(samples)]
    if not len(loud):
        return 0.0, (0.0,) * BANDS
    chosen = loud[:: max(1, len(loud) // _COLOUR_FRAMES)]
    frames = samples[chosen[:, None] + np.arange(size)]
    # Neither pitch nor bands need more: a quarter of the time at 24 kHz.
    frames = sum((frames[:, at::step] for at in range(1, step)), start=frames[:, ::step])
    frames = frames * np.hanning(frames.shape[1]).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(frames, n=2 * frames.shape[1], axis=1)) ** 2
    return _find_pitch(spectrum, sample_rate / step), _measure_colour(spectrum, sample_rate / step)


def _find_pitch(spectrum: _Floats, sample_rate: float) -> float:
    """Find the middle pitch of the voiced frames, by autocorrelation."""
    correlation = np.fft.irfft(spectrum, axis=1)
    shortest = int(sample_rate / _HIGHEST_PITCH_HZ)
    longest = min(int(sample_rate / _LOWEST_PITCH_HZ), correlation.shape[1] // 2 - 1)
    span = correlation[:, shortest:longest] / np.maximum(correlation[:, :1], 1e-12)
    # The window takes from longer delays what a voice would have there.
    fade = 1.0 - np.arange(shortest, longest) / (correlation.shape[1] / 2)
    span = span / np.maximum(fade, 0.1)
    at = span.argmax(axis=1)
    voiced = span[np.arange(len(span)), at] >= _PERIODIC_ABOVE
    if np.count_nonzero(voiced) < _LEAST_VOICED:
        return 0.0
    return float(np.median(sample_rate / (at[voiced] + shortest)))


def _measure_colour(spectrum: _Floats, sample_rate: float) -> tuple[float, ...]:
    """Measure how much lies in each band, in decibels against the mean of all."""
    step = sample_rate / 2 / (spectrum.shape[1] - 1)
    edges = np.geomspace(_LOWEST_BAND_HZ, _HIGHEST_BAND_HZ, BANDS + 1) / step
    starts = np.unique(edges.astype(np.intp))
    total = np.add.reduceat(spectrum.mean(axis=0), starts)[: len(starts) - 1]
    levels = 10 * np.log10(np.maximum(total, 1e-12))
    levels = np.maximum(levels, levels.max() - _DEEPEST_DB)
    colour = np.zeros(BANDS)
    colour[: len(levels)] = levels - levels.mean()
    return tuple(colour.tolist())


def flatten(measured: Measured) -> Iterator[float]:
    """Give the numbers of a measurement, one after the other, for a table of many."""
    yield from measured[:-1]
    yield from measured.colour
