"""Transcripts of recordings that follow each other, as one: the time of each goes on after the one before."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from batchjobs.transcripts.joining import Transcript, TranscriptSegment, move_trait
from batchjobs.transcripts.words import Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Tape:
    """One of the recordings.

    Attributes:
        start_seconds: Where it begins: how long those before it are.
        transcript: What was said in it, and when, from its own start.
    """

    start_seconds: float
    transcript: Transcript


def join_tapes(tapes: Sequence[Tape]) -> Transcript:
    """Join the transcripts of recordings, in order; each begins a line of the text.

    What the end of one and the beginning of the next have in common stays twice.
    """
    texts = (tape.transcript.text.strip() for tape in tapes)
    return Transcript(
        text="\n".join(filter(None, texts)),
        segments=tuple(each for tape in tapes for each in _move_segments(tape)),
        words=tuple(each for tape in tapes for each in _move_words(tape)),
        traits=tuple(
            move_trait(each, tape.start_seconds)
            for tape in tapes
            for each in tape.transcript.traits
        ),
    )


def _move_segments(tape: Tape) -> Iterator[TranscriptSegment]:
    for each in tape.transcript.segments:
        yield replace(each, start=_later(each.start, tape), end=_later(each.end, tape))


def _move_words(tape: Tape) -> Iterator[Word]:
    for each in tape.transcript.words:
        yield replace(each, start=_later(each.start, tape), end=_later(each.end, tape))


def _later(seconds: float, tape: Tape) -> float:
    return round(seconds + tape.start_seconds, 3)
