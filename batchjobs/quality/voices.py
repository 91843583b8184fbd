"""A clip beside the others of its voice: its rate, its pitch and its colour."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from batchjobs import text
from batchjobs.checkpoint import ClipSigns
from batchjobs.plausibility.pace import Pace
from batchjobs.quality.signs import BANDS, Measured, flatten

LEAST_CLIPS: Final = 12
"""With fewer clips of a voice nothing is said of how one differs from the others."""
_COMPARED: Final = 2_000
"""Clips of a voice that its middle is taken from."""
_LEAST_COMPARED_SECONDS: Final = 1.5
"""One word has the colour of its sounds, and no more."""
_NORMAL: Final = 1.4826
"""A normal distribution's deviation by the median of the distances from its middle."""
_LEAST_PITCH_DEVIATION: Final = 0.05
"""Of the logarithm: a person's own pitch varies by as much from sentence to sentence."""
_LEAST_BAND_DEVIATION: Final = 1.5
"""Decibels."""
_LEAST_SPREAD: Final = 0.3
_LEAST_SECONDS: Final = 0.02
_COLUMNS: Final = len(Measured._fields) - 1 + BANDS

_Numbers = NDArray[np.float64]


@dataclass(slots=True)
class _Voice:
    """The clips of one voice, as far as they are compared with."""

    pace: Pace = field(default_factory=Pace)
    pitches: list[float] = field(default_factory=list)
    colours: list[tuple[float, ...]] = field(default_factory=list)
    middle: "_Middle | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Middle:
    """Where most clips of a voice lie, and how far around."""

    pitch: float
    pitch_deviation: float
    colour: _Numbers
    colour_deviation: _Numbers
    usual: float
    spread: float

    def distance(self, colour: _Numbers) -> float:
        """Give how far a colour is from the middle: the root mean square over the bands."""
        return float(np.sqrt(np.mean(((colour - self.colour) / self.colour_deviation) ** 2)))


@dataclass(slots=True)
class Voices:
    """Measurements of many clips, 80 bytes each, and what the voices have in common.

    First every clip is added; then each can be described by those of its voice.
    """

    _table: "array[float]" = field(default_factory=lambda: array("f"))
    _voices: dict[str, _Voice] = field(default_factory=dict)

    def add(self, measured: Measured, *, voice: str, spoken: str, speed: float) -> int:
        """Add a clip.

        Args:
            measured: What was measured of it.
            voice: Who speaks.
            spoken: The text.
            speed: The asked speed; 1.0 is the voice's own.

        Returns:
            Its number, to ask for it by.
        """
        known = self._voices.setdefault(voice, _Voice())
        if measured.has_sound:
            seconds = max(measured.sound_seconds, _LEAST_SECONDS)
            known.pace.add(text.count_sounds(spoken), speed=speed, seconds=seconds)
            if len(known.colours) < _COMPARED:
                known.pitches.append(measured.pitch_hz)
                known.colours.append(measured.colour)
        self._table.extend(flatten(measured))
        return len(self._table) // _COLUMNS - 1

    def describe(self, number: int, *, voice: str, spoken: str, speed: float) -> ClipSigns:
        """Describe a clip beside the others of its voice; all are there by now.

        Args:
            number: As `add` gave it.
            voice: Who speaks.
            spoken: The text.
            speed: The asked speed.
        """
        columns = self._table[number * _COLUMNS : (number + 1) * _COLUMNS]
        measured = Measured._make((*columns[:-BANDS], tuple(columns[-BANDS:])))
        known = self._voices[voice]
        seconds = max(measured.sound_seconds, _LEAST_SECONDS)
        rate = 0.0
        if measured.has_sound and known.pace.is_known:
            expected = known.pace.predict(text.count_sounds(spoken), speed=speed)
            rate = float(np.log(expected.seconds / seconds)) / expected.deviation
        letters = text.speech_weight(spoken)
        return ClipSigns(
            seconds=round(measured.seconds, 3),
            level_dbfs=round(measured.level_dbfs, 1),
            peak_dbfs=round(measured.peak_dbfs, 1),
            clipped=round(measured.clipped, 6),
            head_silence_seconds=round(measured.head_silence_seconds, 2),
            tail_silence_seconds=round(measured.tail_silence_seconds, 2),
            letters_per_second=round(letters / seconds, 1) if measured.has_sound else 0.0,
            rate_deviations=round(rate, 1),
            pitch_hz=round(measured.pitch_hz, 1),
            voice_deviations=round(_deviations(known, measured), 1) if measured.has_sound else 0.0,
        )


def _deviations(known: _Voice, measured: Measured) -> float:
    """Say how far a clip's pitch and colour are from its voice's others; 0 where too few are known."""
    if len(known.colours) < LEAST_CLIPS or measured.sound_seconds < _LEAST_COMPARED_SECONDS:
        return 0.0
    if known.middle is None:
        known.middle = _find_middle(known.pitches, known.colours)
    middle = known.middle
    colour = (middle.distance(np.array(measured.colour)) - middle.usual) / middle.spread
    if not (measured.pitch_hz and middle.pitch):
        return max(colour, 0.0)
    pitch = abs(float(np.log(measured.pitch_hz)) - middle.pitch) / middle.pitch_deviation
    return max(colour, pitch, 0.0)


def _find_middle(pitches: Sequence[float], colours: Sequence[tuple[float, ...]]) -> _Middle:
    known = np.log([pitch for pitch in pitches if pitch]) if any(pitches) else np.zeros(0)
    pitch, pitch_deviation = 0.0, 1.0
    if len(known) >= LEAST_CLIPS:
        pitch = float(np.median(known))
        pitch_deviation = _NORMAL * float(np.median(np.abs(known - pitch)))
    table = np.array(colours)
    colour: _Numbers = np.median(table, axis=0)
    deviation = _NORMAL * np.median(np.abs(table - colour), axis=0)
    middle = _Middle(
        pitch=pitch,
        pitch_deviation=max(pitch_deviation, _LEAST_PITCH_DEVIATION),
        colour=colour,
        colour_deviation=np.maximum(deviation, _LEAST_BAND_DEVIATION),
        usual=0.0,
        spread=1.0,
    )
    distances = np.array([middle.distance(each) for each in table])
    usual = float(np.median(distances))
    spread = _NORMAL * float(np.median(np.abs(distances - usual)))
    return _Middle(
        pitch=middle.pitch,
        pitch_deviation=middle.pitch_deviation,
        colour=colour,
        colour_deviation=middle.colour_deviation,
        usual=usual,
        spread=max(spread, _LEAST_SPREAD),
    )
