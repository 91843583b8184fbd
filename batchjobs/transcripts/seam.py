"""The seam of two parts that share some sound: which words of it each of them gives.

Words can be the same only if they were said at the same time: an "amen" before the overlap and one
after it are two. Within it they are aligned like letters of a misspelt word, since two hearings of
one sound differ: "the big house", "a big house"; near enough is enough.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Final

from batchjobs.text import to_comparable, weigh_word
from batchjobs.transcripts.words import Word

_TIME_SLACK_SECONDS: Final = 1.0
"""How far off the time of a word may be: services answer about once a second."""
_LEAST_LETTERS_A_SECOND: Final = 8.0
"""What fits into an overlap, where times are not known, goes by the part's own pace, but..."""
_MOST_LETTERS_A_SECOND: Final = 20.0
_ALIKE: Final = 0.6
"""Share of common letters from which two words can be one: "known" and "well-known" have 0.71."""
_LATE_COST: Final = 0.7
"""A second, of what a whole word counts: alone it is the same within 0.85 s, three within 1.2 s."""
_TORN_COST: Final = 0.2
_FURTHER_COST: Final = 0.6
_TIMED_GAP_COST: Final = 0.1
_LEAST_SCORE: Final = 0.5
_LEAST_TIMED_SCORE: Final = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """The sound that two parts share.

    Attributes:
        start: Where it begins in the recording, in seconds.
        end: Where it ends.
        is_timed: Whether both parts know when their words were said.
    """

    start: float
    end: float
    is_timed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Seam:
    """How many of the last words of one part are left out, and of the first of the next."""

    dropped: int
    skipped: int


def find_seam(before: Sequence[Word], after: Sequence[Word], overlap: Overlap) -> Seam:
    """Find which words of an overlap each side gives, so that each moment has its words once.

    Args:
        before: The words of the part that ends with the overlap.
        after: Those of the part that begins with it.
        overlap: The sound that they share.
    """
    left, right = _find_shared(before, after, overlap)
    kept, skipped = _align(left, right, overlap)
    is_shared = skipped > 0
    if is_shared and kept == len(left) and _is_torn(left[-1], right[skipped - 1]):
        kept, skipped = kept - 1, skipped - 1
    tail, following = left[kept:], right[skipped:]
    if overlap.is_timed:
        return _choose_side(tail, following, skipped, overlap)
    # What the cut tore gives way to what goes on.
    is_whole = is_shared and skipped < len(after)
    return Seam(dropped=len(tail) if is_whole else 0, skipped=skipped)


def _find_shared(
    before: Sequence[Word], after: Sequence[Word], overlap: Overlap
) -> tuple[list[Word], list[Word]]:
    """Find the words of both sides that can be within the overlap."""
    if overlap.is_timed:
        first, last = overlap.start - _TIME_SLACK_SECONDS, overlap.end + _TIME_SLACK_SECONDS
        late = list(takewhile(lambda word: word.end > first, reversed(before)))
        return late[::-1], list(takewhile(lambda word: word.end < last, after))
    pace = max(map(_measure_pace, (before, after)))
    pace = min(max(pace, _LEAST_LETTERS_A_SECOND), _MOST_LETTERS_A_SECOND)
    letters = (overlap.end - overlap.start) * pace
    return _take_letters(reversed(before), letters)[::-1], _take_letters(after, letters)


def _measure_pace(words: Sequence[Word]) -> float:
    """Measure how many letters a second of a part's words has."""
    return _weigh(words) / max(words[-1].end - words[0].start, _TIME_SLACK_SECONDS)


def _take_letters(words: Iterable[Word], letters: float) -> list[Word]:
    """Take words until there are so many letters; the last one may have more."""
    taken: list[Word] = []
    for word in words:
        if letters <= 0:
            break
        taken.append(word)
        letters -= weigh_word(word.text)
    return taken


def _align(left: Sequence[Word], right: Sequence[Word], overlap: Overlap) -> tuple[int, int]:
    """Align the words of both sides.

    Returns:
        How many words of each side reach up to the last that both have heard; 0 if none is.
    """
    is_timed = overlap.is_timed
    ours = [to_comparable(word.text) for word in left]
    theirs = [to_comparable(word.text) for word in right]
    gap = _TIMED_GAP_COST if is_timed else _TORN_COST
    best = _LEAST_TIMED_SCORE if is_timed else _LEAST_SCORE
    found = (0, 0)
    above = [-_skip_cost(at, is_timed=is_timed) for at in range(len(right) + 1)]
    for i, one in enumerate(left, start=1):
        tail = _skip_cost(len(left) - i, is_timed=is_timed)
        row = [0.0]
        for j, other in enumerate(right, start=1):
            score = _measure_likeness(ours[i - 1], theirs[j - 1])
            if score and is_timed:
                score -= _LATE_COST * abs(one.end - other.end)
            matched = above[j - 1] + score if score > 0 else -1.0
            row.append(max(matched, above[j] - gap, row[j - 1] - gap))
            if matched - tail >= best:
                best, found = matched - tail, (i, j)
        above = row
    return found


def _skip_cost(words: int, *, is_timed: bool) -> float:
    """Give the cost of words at an edge that the other side lacks: a cut tears one at most."""
    if is_timed or not words:
        return _TIMED_GAP_COST * words
    return _TORN_COST + _FURTHER_COST * (words - 1)


def _measure_likeness(one: str, other: str) -> float:
    """Measure how alike two words are: 1 if they are the same, 0 if they cannot be."""
    if one == other:
        return 1.0
    if 2 * min(len(one), len(other)) < _ALIKE * (len(one) + len(other)):
        return 0.0
    ratio = SequenceMatcher(None, one, other, autojunk=False).ratio()
    return ratio if ratio >= _ALIKE else 0.0


def _choose_side(
    tail: Sequence[Word], following: Sequence[Word], skipped: int, overlap: Overlap
) -> Seam:
    """Choose between what either side alone has heard in the rest of the overlap.

    Args:
        tail: The words of the left side behind the last that both have heard.
        following: Those of the right side.
        skipped: How many of the right side stand before them.
        overlap: The sound that both share.
    """
    ours = [word for word in tail if word.end > overlap.start]
    theirs = [word for word in following if word.end <= overlap.end]
    if ours and theirs:
        if _weigh(ours) < _weigh(theirs):
            return Seam(dropped=len(ours), skipped=skipped)
        return Seam(dropped=0, skipped=skipped + len(theirs))
    is_torn = len(ours) == 1 and bool(following) and _is_torn(ours[0], following[0])
    return Seam(dropped=int(is_torn), skipped=skipped)


def _is_torn(word: Word, whole: Word) -> bool:
    """Say whether a word can be the beginning of another, which the cut left of it."""
    beginning, letters = to_comparable(word.text), to_comparable(whole.text)
    return len(beginning) < len(letters) and letters.startswith(beginning)


def _weigh(words: Sequence[Word]) -> float:
    return sum(weigh_word(word.text) for word in words)
