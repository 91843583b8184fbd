"""FFmpeg's audio filters: a change of the level, and graphs that sound is pushed through."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import av

OVERSAMPLING: Final = 4
"""Peaks between samples are seen by the limiter too, as ITU-R BS.1770 measures them. Without it
espeak at -12 LUFS under -3 dBTP came out at -1.9."""
NEAR_LU: Final = 0.1
"""What is no nearer to its loudness is corrected."""
_MOST_PUSHED_DB: Final = 6.0
"""How much may be added to make up for what a limiter takes; beyond it speech sounds crushed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A change of the level: a gain, and a ceiling if the gain would go through it."""

    gain_db: float = 0.0
    ceiling_db: float | None = None


def correct_level(
    level: Level, *, gain_db: float, short_lu: float, over_db: float, ceiling_db: float
) -> Level:
    """Correct a level by what was heard at it.

    Args:
        level: What was tried.
        gain_db: What would bring the sound to its loudness if no limiter took any of it.
        short_lu: How much quieter than wanted it was.
        over_db: How far its peaks were above the ceiling; below it if negative.
        ceiling_db: The highest true peak allowed.
    """
    pushed_db = min(level.gain_db + short_lu, gain_db + _MOST_PUSHED_DB)
    if over_db <= 0:
        return replace(level, gain_db=pushed_db)
    held_at_db = ceiling_db if level.ceiling_db is None else level.ceiling_db
    return replace(level, gain_db=pushed_db, ceiling_db=held_at_db - over_db)


def level_filters(level: Level, sample_rate: int) -> list[tuple[str, str]]:
    """Write a level as FFmpeg's filters, names and options; the number of frames stays."""
    filters = [("volume", f"{level.gain_db:.4f}dB:precision=float")]
    if level.ceiling_db is not None:
        limit = 10 ** (level.ceiling_db / 20)
        filters += [
            ("aresample", f"{OVERSAMPLING * sample_rate}"),
            ("alimiter", f"limit={limit:.5f}:level=0:attack=5:release=50:latency=1"),
            ("aresample", f"{sample_rate}"),
        ]
    return [*filters, ("aformat", f"sample_rates={sample_rate}")]


def make_frame(pcm: bytes, sample_rate: int) -> "av.AudioFrame":
    """Make a frame of 16-bit mono samples."""
    import av

    samples = np.frombuffer(pcm, dtype="<i2").reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    frame.sample_rate = sample_rate
    return frame


def join_frames(frames: "Sequence[av.AudioFrame]") -> "av.AudioFrame":
    """Make one frame of several of one format."""
    import av

    first = frames[0]
    samples = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
    joined = av.AudioFrame.from_ndarray(samples, format=first.format.name, layout=first.layout.name)
    joined.sample_rate = first.sample_rate
    return joined


class Chain:
    """FFmpeg's audio filters one after the other, fed with 16-bit mono blocks.

    Args:
        sample_rate: Of the blocks.
        filters: Names and options.
    """

    def __init__(self, sample_rate: int, filters: Iterable[tuple[str, str]]) -> None:
        self._rate = sample_rate
        self._frames = 0
        self._graph = Graph("s16", sample_rate, "mono", filters)

    def push(self, pcm: bytes) -> "Iterator[av.AudioFrame]":
        """Give what comes out for what goes in."""
        frame = make_frame(pcm, self._rate)
        frame.pts, frame.time_base = self._frames, Fraction(1, self._rate)
        self._frames += frame.samples
        return self._graph.push(frame)

    def end(self) -> "Iterator[av.AudioFrame]":
        """Give what is still inside."""
        return self._graph.push(None)


class Graph:
    """A configured graph with one way in and one way out.

    Args:
        sample_format: Of what goes in, as FFmpeg calls it.
        sample_rate: Of what goes in.
        layout: Its channels.
        filters: Names and options.
    """

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
