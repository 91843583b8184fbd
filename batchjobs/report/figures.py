"""The figures of a page: how clips are spread, a voice each, and what was paid for what."""

import math
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from batchjobs.checkpoint import SpentTotal
from batchjobs.formatting import money
from batchjobs.providers import Provider, sum_costs
from batchjobs.report.rows import Known, quality_of

MEASURES: Final = ("seconds", "rate", "cer", "quality")
_BINS: Final = 32
_MOST_VOICES: Final = 60
_EDGES: Final = (0.5, 99.5)
"""Percentiles between which the bars stand; what lies beyond is in the outermost."""
_NORMAL: Final = 1.4826
_LEAST_CLIPS: Final = 12
"""With fewer clips of a voice nothing is said of how one differs from the others."""

_Numbers = NDArray[np.float32]


@dataclass(slots=True)
class Measurements:
    """What was measured of many rows: 24 bytes each.

    Attributes:
        voices: Their names, in the order in which they came.
        statuses: How many rows ended how.
        verdicts: How many have which.
    """

    voices: dict[str, int] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    _voice_of: "array[int]" = field(default_factory=lambda: array("i"))
    _columns: "dict[str, array[float]]" = field(
        default_factory=lambda: {name: array("f") for name in MEASURES}
    )

    def add(self, known: Known) -> None:
        """Add a row."""
        check = known.outcome.check
        cer, _ = known.compare()
        self.statuses[known.status] += 1
        if check is not None:
            self.verdicts[check.verdict.value] += 1
        self._voice_of.append(self.voices.setdefault(known.voice, len(self.voices)))
        values = {
            "seconds": known.seconds or None,
            "rate": known.rate,
            "cer": cer,
            "quality": quality_of(check),
        }
        for name, value in values.items():
            self._columns[name].append(math.nan if value is None else value)

    def find_rate_deviations(self) -> _Numbers:
        """Find how far each row's rate is from its voice's, in deviations; 0 where that is not known."""
        rates = np.log(np.array(self._columns["rate"], dtype=np.float32))
        voices = np.array(self._voice_of)
        found = np.zeros(len(rates), dtype=np.float32)
        for number in self.voices.values():
            chosen = np.flatnonzero((voices == number) & np.isfinite(rates))
            if len(chosen) < _LEAST_CLIPS:
                continue
            distances = rates[chosen] - np.median(rates[chosen])
            deviation = _NORMAL * float(np.median(np.abs(distances)))
            if deviation:
                found[chosen] = distances / deviation
        return found

    def make_histograms(self) -> dict[str, object]:
        """Count, for each measure and voice, how many clips lie in each of equal steps.

        Returns:
            By measure: the ``low`` end, the ``high`` end, and ``voices`` with their counts.
        """
        voices = np.array(self._voice_of)
        sizes = Counter(self._voice_of)
        names = {number: name for name, number in self.voices.items()}
        shown = [number for number, _ in sizes.most_common(_MOST_VOICES)]
        histograms: dict[str, object] = {}
        for name, column in self._columns.items():
            values = np.array(column, dtype=np.float32)
            is_known = np.isfinite(values)
            if not is_known.any():
                continue
            low, high = map(float, np.percentile(values[is_known], _EDGES))
            high = high if high > low else low + 1.0
            clipped = np.clip(values, low, high)
            counts = {
                names[number]: np.histogram(
                    clipped[is_known & (voices == number)], bins=_BINS, range=(low, high)
                )[0].tolist()
                for number in shown
            }
            histograms[name] = {
                "low": low,
                "high": high,
                "voices": {voice: bars for voice, bars in counts.items() if any(bars)},
            }
        return histograms


def make_costs(
    spent: Sequence[SpentTotal], providers: Mapping[str, Provider]
) -> dict[str, list[list[object]]]:
    """Price what was sent, by day, by voice, and by what became of it.

    Args:
        spent: What was sent.
        providers: By name, for the prices.

    Returns:
        For each of the three the lines of a table: name, sessions, characters, seconds, money.
    """
    ways: dict[str, Callable[[SpentTotal], str]] = {
        "day": lambda each: each.day,
        "voice": lambda each: each.voice,
        "result": lambda each: each.result or "open",
    }
    return {way: _make_table(spent, providers, name_of) for way, name_of in ways.items()}


def _make_table(
    spent: Sequence[SpentTotal],
    providers: Mapping[str, Provider],
    name_of: Callable[[SpentTotal], str],
) -> list[list[object]]:
    lines: dict[str, list[SpentTotal]] = {}
    for each in spent:
        lines.setdefault(name_of(each), []).append(each)
    return [
        [
            name,
            sum(each.attempts for each in found),
            sum(each.characters for each in found),
            round(sum(each.audio_seconds for each in found), 1),
            _price(found, providers),
        ]
        for name, found in sorted(lines.items())
    ]


def _price(spent: Sequence[SpentTotal], providers: Mapping[str, Provider]) -> str:
    costs = sum_costs(spent, providers)
    return " + ".join(money(cost, currency) for currency, cost in costs.items() if cost) or "0"
