"""When the words of a transcript that grows were said, as its revisions show."""

from difflib import SequenceMatcher
from itertools import takewhile
from operator import eq

from batchjobs.text import split_words, to_comparable


class Growth:
    """Follows a cumulative transcript: a word was said in what was heard when it first came.

    A service revises what it said: a capital, a comma, "25" for "twenty five". Words that are still
    there keep their times, and what stands in the place of others has theirs.

    Attributes:
        ends: When each word of the last transcript ended, in seconds of audio.
    """

    def __init__(self) -> None:
        self.ends: list[float] = []
        self._words: list[str] = []

    def note(self, text: str, heard_seconds: float) -> None:
        """Note a transcript.

        Args:
            text: All that has been heard.
            heard_seconds: When a word that is new in it was said.
        """
        words = split_words(text)
        same = sum(takewhile(bool, map(eq, words, self._words)))
        ends = self.ends[:same]
        if same < len(self._words):
            ends += self._align(words[same:], same, heard_seconds)
        self.ends = ends + [heard_seconds] * (len(words) - len(ends))
        self._words = words

    def _align(self, words: list[str], same: int, heard_seconds: float) -> list[float]:
        """Time the words from the first that has changed on by those that were there before."""
        before = list(map(to_comparable, self._words[same:]))
        after = list(map(to_comparable, words))
        ends: list[float] = []
        matcher = SequenceMatcher(None, before, after, autojunk=False)
        for _, a, b, first, last in matcher.get_opcodes():
            known = self.ends[same + a : same + b][: last - first]
            is_at_end = b == len(before)
            if known and last - first < b - a:
                known[-1] = self.ends[same + b - 1]  # the last word ends where the last one did
            later = heard_seconds if is_at_end else self._end_before(same + b, heard_seconds)
            ends += known + [later] * (last - first - len(known))
        return ends

    def _end_before(self, place: int, heard_seconds: float) -> float:
        """Give the end of the word before a place; of the first that there is, before it."""
        return self.ends[max(0, place - 1)] if self.ends else heard_seconds
