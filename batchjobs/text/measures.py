"""What can be counted in a text: how much there is to say, and in which script."""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

_TATWEEL = "\u0640"
_ARABIC = re.compile("[\u0600-\u06ff\u0750-\u077f\u0870-\u08ff\ufb50-\ufdff\ufe70-\ufeff]")

_DIGIT_WEIGHT = 4.0
_LETTERS_PER_SECOND = 13.0
"""Ordinary reading pace."""
_MOST_TEXTS = 2_000
"""Texts whose letters are counted; of a million, counting all would take as long as planning them."""


def speech_weight(text: str) -> float:
    """Estimate how much there is to say, for checking a duration against it.

    Returns:
        One for each letter, four for each decimal digit ("7" is a word), nothing for marks,
        tatweel, punctuation and white space.
    """
    weight = 0.0
    for character, count in Counter(text).items():
        category = unicodedata.category(character)
        if category == "Nd":
            weight += _DIGIT_WEIGHT * count
        elif category[0] == "L" and character != _TATWEEL:
            weight += count
    return weight


def weigh_word(word: str) -> float:
    """Estimate how much there is to say in a word: at least one letter, though it be a mark."""
    return max(1.0, speech_weight(word))


def is_arabic(character: str) -> bool:
    """Say whether a character belongs to the Arabic script."""
    return _ARABIC.match(character) is not None


def script_of(text: str) -> Literal["arabic", "latin"]:
    """Say which script most of a text's letters belong to.

    Returns:
        ``arabic`` if more than half of the letters are Arabic; ``latin`` for everything else.
    """
    return "arabic" if sum(map(_SCRIPTS.__getitem__, text)) > 0 else "latin"


@dataclass(slots=True)
class ReadingTime:
    """Estimates how long texts are to listen to, by the letters of the first two thousand of them."""

    _letters: float = 0.0
    _characters: int = 0
    _texts: int = 0

    @property
    def wanted(self) -> int:
        """How many more texts are taken into account."""
        return _MOST_TEXTS - self._texts

    def add(self, text: str) -> None:
        """Take a text into account."""
        if self._texts < _MOST_TEXTS:
            self._texts += 1
            self._letters += speech_weight(text)
            self._characters += len(text)

    def estimate_seconds(self, characters: int) -> float:
        """Estimate how long so many characters of such texts are, marks, spaces and all."""
        share = self._letters / self._characters if self._characters else 0.0
        return characters * share / _LETTERS_PER_SECOND


class _Scripts(dict[str, int]):
    """For each character 1 if it is an Arabic letter, -1 if it is another one, found out once.

    A text of 60 characters takes 2 us so, and 20 if each is looked at (measured).
    """

    def __missing__(self, character: str) -> int:
        is_letter = character.isalpha() and character != _TATWEEL
        self[character] = (1 if is_arabic(character) else -1) if is_letter else 0
        return self[character]


_SCRIPTS: Final = _Scripts()
