"""A book's level and bit rate, found on excerpts that are made as the whole will be."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from batchjobs.audiobook.album import SpokenChapter
from batchjobs.audiobook.blocks import read_blocks
from batchjobs.audiobook.coding import Listener, change_level, encode, open_encoder
from batchjobs.audiobook.filters import NEAR_LU, Level, correct_level, make_frame
from batchjobs.audiobook.kinds import FileKind
from batchjobs.audiobook.meter import SILENT_LUFS, Loudness, Meter, Reading, join_readings

_WHOLE_SECONDS: Final = 150
"""A book as short as this is its own excerpt."""
_EVEN_SPANS: Final = 24
_EVEN_SPAN_SECONDS: Final = 5
_LOUD_SPANS: Final = 8
_FADE_SECONDS: Final = 0.02
_NEAR_RATE: Final = 0.02
_ROUNDS: Final = 4
_RATE_BOUNDS: Final = (0.5, 1.5)
"""What is asked of an encoder that misses its bit rate, at least and at most, of what is wanted."""
_PEAK_MARGIN_DB: Final = 0.15
"""Peaks that an encoder adds where no excerpt was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What an excerpt came to.

    Attributes:
        loudness: Decoded again.
        bitrate: Of what the encoder made, in bits a second.
    """

    loudness: Loudness
    bitrate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpts:
    """Pieces of a book.

    Attributes:
        even: From all of it: they say what a limiter takes, and what an encoder needs.
        loud: The loudest places: they say how high peaks come out.
        are_whole: Whether they are the whole book.
    """

    even: Sequence[bytes]
    loud: Sequence[bytes]
    are_whole: bool = False


def take_excerpts(
    chapters: Sequence[SpokenChapter], readings: Sequence[Reading], sample_rate: int
) -> Excerpts:
    """Read some seconds from all over a book, and its loudest places; all of a short one.

    Args:
        chapters: The book's.
        readings: Of each, what was measured.
        sample_rate: Of the book.
    """
    seconds = sum(chapter.seconds for chapter in chapters)
    if seconds <= _WHOLE_SECONDS:
        every = [b"".join(read_blocks(chapter, sample_rate)) for chapter in chapters]
        return Excerpts(even=every, loud=(), are_whole=True)
    loudest = sorted(range(len(chapters)), key=lambda n: readings[n].peak)[-_LOUD_SPANS:]
    loud = {n: [int(readings[n].peak_seconds) - 1] for n in loudest}
    return Excerpts(
        even=_read_spans(chapters, _spread(chapters, seconds), _EVEN_SPAN_SECONDS, sample_rate),
        loud=_read_spans(chapters, loud, 3, sample_rate),
    )


def _spread(chapters: Sequence[SpokenChapter], seconds: float) -> dict[int, list[int]]:
    """Spread spans evenly: the seconds at which they begin, by the number of the chapter."""
    places: dict[int, list[int]] = {}
    begins, number = 0.0, 0
    for span in range(_EVEN_SPANS):
        at = seconds * (span + 0.5) / _EVEN_SPANS
        while begins + chapters[number].seconds < at and number + 1 < len(chapters):
            begins += chapters[number].seconds
            number += 1
        places.setdefault(number, []).append(int(at - begins))
    return places


def _read_spans(
    chapters: Sequence[SpokenChapter],
    places: Mapping[int, Sequence[int]],
    span_seconds: int,
    sample_rate: int,
) -> list[bytes]:
    """Read spans of whole seconds, faded at both ends: a step would be a peak of our own."""
    spans = []
    for number, starts in sorted(places.items()):
        wanted = {second: bytearray() for second in starts}
        for second, block in enumerate(read_blocks(chapters[number], sample_rate)):
            for start in wanted:
                if start <= second < start + span_seconds:
                    wanted[start] += block
            if second >= max(starts) + span_seconds:
                break
        spans += [_fade(bytes(span), sample_rate) for span in wanted.values()]
    return spans


def _fade(pcm: bytes, sample_rate: int) -> bytes:
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    frames = min(round(_FADE_SECONDS * sample_rate), len(samples) // 2)
    if frames:
        samples[:frames] *= np.linspace(0, 1, frames)
        samples[-frames:] *= np.linspace(1, 0, frames)
    return samples.astype("<i2").tobytes()


class Rehearsal:
    """Makes excerpts as the whole will be made, and listens to them.

    Args:
        excerpts: Of the book.
        kind: What it becomes.
        sample_rate: Of the book.
    """

    def __init__(self, excerpts: Excerpts, kind: FileKind, sample_rate: int) -> None:
        self._excerpts = excerpts
        self._kind = kind
        self._rate = sample_rate

    @property
    def margin_db(self) -> float:
        """How much higher peaks may come out in the whole than in the excerpts."""
        is_exact = self._excerpts.are_whole or not self._kind.is_lossy
        return 0.0 if is_exact else _PEAK_MARGIN_DB

    def measure_plain(self) -> Loudness:
        """Measure the even excerpts as they are."""
        meter = Meter()
        meter.push(make_frame(pcm, self._rate) for pcm in self._excerpts.even)
        return join_readings([meter.end()])

    def play(self, level: Level, bitrate: int) -> Heard:
        """Make and hear the excerpts at a level and a bit rate."""
        reading, bits = self._play(self._excerpts.even, level, bitrate)
        loudness = join_readings([reading])
        if self._excerpts.loud:
            loud, _ = self._play(self._excerpts.loud, level, bitrate)
            peak_db = join_readings([reading, loud]).peak_db
            loudness = replace(loudness, peak_db=peak_db)
        seconds = sum(map(len, self._excerpts.even)) / 2 / self._rate
        return Heard(loudness=loudness, bitrate=bits / seconds)

    def _play(self, spans: Iterable[bytes], level: Level, bitrate: int) -> tuple[Reading, int]:
        encoder = open_encoder(self._kind, self._rate, bitrate)
        listener = Listener(encoder)
        bits = 0
        for packets in encode(encoder, change_level(spans, level, self._kind, self._rate)):
            bits += 8 * sum(packet.size for packet in packets)
            listener.push(packets)
        return listener.end(), bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What is wanted of a book.

    Attributes:
        lufs: Its integrated loudness.
        ceiling_db: Its highest true peak, in dBTP.
        bitrate: In bits a second.
    """

    lufs: float
    ceiling_db: float
    bitrate: int


def fit(
    rehearse: Callable[[], Rehearsal], before: Loudness, aim: Aim, kind: FileKind
) -> tuple[Level, int]:
    """Find the change of the level, and the bit rate to ask for, that bring a book to what is wanted.

    One linear gain if it fits. Else a limiter holds the peaks down; what it takes of the loudness is
    made up for, as far as that goes without crushing speech.

    Args:
        rehearse: Prepares the rehearsal, if one is needed.
        before: How loud the whole is.
        aim: What is wanted.
        kind: What it becomes.

    Returns:
        The level, and the bit rate to ask the encoder for.
    """
    if before.lufs <= SILENT_LUFS:
        return Level(), aim.bitrate
    gain_db = aim.lufs - before.lufs
    level = _hold(Level(gain_db=gain_db), before, aim)
    if level.ceiling_db is None and not kind.is_lossy:
        return level, aim.bitrate
    rehearsal, bitrate = rehearse(), aim.bitrate
    plain = rehearsal.measure_plain()
    for _ in range(_ROUNDS):
        heard = rehearsal.play(level, bitrate)
        short = plain.lufs + gain_db - heard.loudness.lufs if plain.lufs > SILENT_LUFS else 0.0
        over = heard.loudness.peak_db + rehearsal.margin_db - aim.ceiling_db
        rate = heard.bitrate / aim.bitrate if kind.has_loose_bitrate and heard.bitrate else 1.0
        if abs(short) <= NEAR_LU and over <= 0 and abs(rate - 1) <= _NEAR_RATE:
            break
        level = correct_level(
            level, gain_db=gain_db, short_lu=short, over_db=over, ceiling_db=aim.ceiling_db
        )
        level = _hold(level, before, aim)
        low, high = (round(bound * aim.bitrate) for bound in _RATE_BOUNDS)
        bitrate = min(high, max(low, round(bitrate / rate)))
    return level, bitrate


def _hold(level: Level, before: Loudness, aim: Aim) -> Level:
    """Add a ceiling to a level if the peaks would go through it."""
    if level.ceiling_db is None and before.peak_db + level.gain_db > aim.ceiling_db:
        return replace(level, ceiling_db=aim.ceiling_db)
    return level
