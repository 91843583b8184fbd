"""The sides of a call as one transcript: who says what, in the order of time."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from operator import attrgetter
from typing import Final, NamedTuple

from msgspec import structs

from batchjobs.text import find_words
from batchjobs.transcripts.joining import Transcript, TranscriptSegment, join_texts

_PAUSE_SECONDS: Final = 0.6
"""After so long another side may have its turn; shorter pauses are within what one says."""


class _Phrase(NamedTuple):
    """What a side says in one go."""

    start: float
    end: float
    side: int
    text: str


def join_sides(sides: Sequence[tuple[str, Transcript]]) -> Transcript:
    """Join the transcripts of a call's sides.

    What is said at the same time stays in the order in which it begins.

    Args:
        sides: Of each who is on it, and what is said there.

    Returns:
        A line of text a turn, ``Left: …``; segments that are the turns, and words, with who says them.
    """
    phrases = [
        phrase
        for number, (_, transcript) in enumerate(sides)
        for phrase in _divide(transcript, number)
    ]
    phrases.sort(key=attrgetter("start", "side"))
    turns: list[TranscriptSegment] = []
    for side, group in groupby(phrases, key=attrgetter("side")):
        said = list(group)
        turns.append(
            TranscriptSegment(
                start=said[0].start,
                end=max(phrase.end for phrase in said),
                text=join_texts([phrase.text for phrase in said]),
                speaker=sides[side][0],
            )
        )
    words = [replace(word, speaker=name) for name, transcript in sides for word in transcript.words]
    return Transcript(
        text="\n".join(f"{turn.speaker}: {turn.text}" for turn in turns),
        segments=tuple(turns),
        words=tuple(sorted(words, key=attrgetter("start", "end"))),
        traits=tuple(
            structs.replace(trait, speaker=name)
            for name, transcript in sides
            for trait in transcript.traits
        ),
    )


def remove_names(text: str, names: Collection[str]) -> str:
    """Give what is said in a text of turns, without the names of who says it.

    Args:
        text: As `join_sides` makes it.
        names: Of all sides; without any, the text is none of turns.
    """
    if not names:
        return text
    labels = tuple(f"{name}: " for name in sorted(names, key=len, reverse=True))
    said = []
    for line in text.splitlines():
        label = next((each for each in labels if line.startswith(each)), "")
        said.append(line.removeprefix(label))
    return " ".join(said)


def _divide(transcript: Transcript, side: int) -> Iterator[_Phrase]:
    """Divide what a side says at its pauses; each phrase is the text as it came, in one line."""
    places = find_words(transcript.text)
    words = transcript.words
    if len(places) != len(words):  # words that are written together, where two parts meet
        for segment in transcript.segments:
            if segment.text:
                yield _Phrase(segment.start, segment.end, side, _in_one_line(segment.text))
        return
    cuts = [
        at
        for at, (word, following) in enumerate(pairwise(words), start=1)
        if following.start - word.end >= _PAUSE_SECONDS
    ]
    for first, last in pairwise([0, *cuts, len(words)]):
        if first == last:
            continue
        begin = 0 if first == 0 else places[first][0]
        end = len(transcript.text) if last == len(words) else places[last][0]
        yield _Phrase(
            words[first].start,
            words[last - 1].end,
            side,
            _in_one_line(transcript.text[begin:end]),
        )


def _in_one_line(text: str) -> str:
    """Make a line of a text: a line is a turn."""
    return " ".join(line.strip() for line in text.splitlines() if line.strip())
