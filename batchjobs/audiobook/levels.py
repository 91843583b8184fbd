"""Loudness by EBU R 128 and true peak: measured, and brought to a target, with FFmpeg's filters."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import av

SILENT_LUFS: Final = -70.0
"""What the meter says of silence: the gate of EBU R 128."""
_NO_PEAK_DB: Final = -200.0
_OVERSAMPLING: Final = 4
"""Peaks between samples are seen by the limiter too, as ITU-R BS.1770 measures them. Without it
espeak at -12 LUFS under -3 dBTP came out at -1.9."""
_NEAR_LU: Final = 0.1
_ROUNDS: Final = 3
_MOST_PUSHED_DB: Final = 6.0
"""How much may be added to make up for what a limiter takes; beyond it speech sounds crushed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loudness:
    """What a meter says.

    Attributes:
        lufs: Integrated loudness.
        peak_db: The highest true peak, in dBTP.
    """

    lufs: float
    peak_db: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A change of the level: a gain, and a ceiling if the gain would go through it."""

    gain_db: float = 0.0
    ceiling_db: float | None = None


def level_filters(level: Level, sample_rate: int) -> list[tuple[str, str]]:
    """Write a level as FFmpeg's filters, names and options; the number of frames stays."""
    filters = [("volume", f"{level.gain_db:.4f}dB:precision=float")]
    if level.ceiling_db is not None:
        limit = 10 ** (level.ceiling_db / 20)
        filters += [
            ("aresample", f"{_OVERSAMPLING * sample_rate}"),
            ("alimiter", f"limit={limit:.5f}:level=0:attack=5:release=50:latency=1"),
            ("aresample", f"{sample_rate}"),
        ]
    return [*filters, ("aformat", f"sample_rates={sample_rate}")]


def fit_level(
    measure: Callable[[Level], Loudness], *, target_lufs: float, ceiling_db: float
) -> tuple[Level, Loudness]:
    """Find the change that brings a sound to a loudness without going through a ceiling.

    One linear gain if it fits. Else a limiter holds the peaks down; what it takes of the loudness is
    made up for, as far as that goes without crushing speech.

    Args:
        measure: Measures the whole at a level.
        target_lufs: The integrated loudness to reach.
        ceiling_db: The highest true peak allowed, in dBTP.

    Returns:
        The level, and the loudness before.
    """
    before = measure(Level())
    if before.lufs <= SILENT_LUFS:
        return Level(), before
    gain = target_lufs - before.lufs
    if before.peak_db + gain <= ceiling_db:
        return Level(gain_db=gain), before
    level = Level(gain_db=gain, ceiling_db=ceiling_db)
    for _ in range(_ROUNDS):
        after = measure(level)
        short, over = target_lufs - after.lufs, max(0.0, after.peak_db - ceiling_db)
        if abs(short) <= _NEAR_LU and not over:
            break
        assert level.ceiling_db is not None
        pushed = min(level.gain_db + short, gain + _MOST_PUSHED_DB)
        level = replace(level, gain_db=pushed, ceiling_db=level.ceiling_db - over)
    return level, before


class Chain:
    """FFmpeg's audio filters one after the other, fed with 16-bit mono blocks.

    Args:
        sample_rate: Of the blocks.
        filters: Names and options.
    """

    def __init__(self, sample_rate: int, filters: Iterable[tuple[str, str]]) -> None:
        self._rate = sample_rate
        self._frames = 0
        self._graph = _Graph("s16", sample_rate, "mono", filters)

    def push(self, pcm: bytes) -> "Iterator[av.AudioFrame]":
        """Give what comes out for what goes in."""
        import av

        samples = np.frombuffer(pcm, dtype="<i2").reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts = self._rate, self._frames
        frame.time_base = Fraction(1, self._rate)
        self._frames += samples.shape[1]
        return self._graph.push(frame)

    def end(self) -> "Iterator[av.AudioFrame]":
        """Give what is still inside."""
        return self._graph.push(None)


class Meter:
    """Measures one sound, or several as if they were one."""

    def __init__(self) -> None:
        self._graph: _Graph | None = None
        self._lufs = SILENT_LUFS
        self._peak = 0.0
        self._at = 0

    def push(self, frames: "Iterable[av.AudioFrame]") -> None:
        """Listen to frames; all of one format and sample rate."""
        for frame in frames:
            if self._graph is None:
                self._graph = _Graph(
                    frame.format.name,
                    frame.sample_rate,
                    frame.layout.name,
                    [("ebur128", "metadata=1:peak=true")],
                )
            # A decoder's time begins anew with each file, and this is one sound.
            frame.pts, frame.time_base = self._at, Fraction(1, frame.sample_rate)
            self._at += frame.samples
            self._keep_readings(self._graph.push(frame))

    def end(self) -> Loudness:
        """Say what was heard."""
        if self._graph is not None:
            self._keep_readings(self._graph.push(None))
        peak = 20 * math.log10(self._peak) if self._peak > 0 else _NO_PEAK_DB
        return Loudness(lufs=self._lufs, peak_db=peak)

    def _keep_readings(self, frames: "Iterator[av.AudioFrame]") -> None:
        for frame in frames:
            found = frame.metadata
            self._lufs = float(found.get("lavfi.r128.I", self._lufs))
            self._peak = max(self._peak, float(found.get("lavfi.r128.true_peak", 0.0)))


class _Graph:
    """A configured graph with one way in and one way out."""

    def __init__(
        self, sample_format: str, sample_rate: int, layout: str, filters: Iterable[tuple[str, str]]
    ) -> None:
        import av

        self._graph = av.filter.Graph()
        self._source = self._graph.add_abuffer(
            format=sample_format,
            sample_rate=sample_rate,
            layout=layout,
            time_base=Fraction(1, sample_rate),
        )
        last = self._source
        for name, options in (*filters, ("abuffersink", "")):
            following = self._graph.add(name, options) if options else self._graph.add(name)
            last.link_to(following)
            last = following
        self._graph.configure()
        self._sink = last

    def push(self, frame: "av.AudioFrame | None") -> "Iterator[av.AudioFrame]":
        """Give what comes out for a frame; None ends it."""
        import av

        self._source.push(frame)
        while True:
            try:
                yield self._sink.pull()  # type: ignore[misc]  # of an audio sink
            except (av.error.BlockingIOError, av.error.EOFError):
                return
