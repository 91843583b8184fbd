"""How much of a text is to be heard: its sounds, its numbers' words, its pauses."""

import re
import unicodedata
from collections import Counter
from typing import Final, NamedTuple

from batchjobs.text.measures import is_arabic

__all__ = ["Sounds", "sounds"]

_TATWEEL: Final = "\u0640"
_SHORT_VOWELS: Final = "\u064e\u064f\u0650\u0670\u0656\u0657"
_TANWIN: Final = "\u064b\u064c\u064d"
_SHADDA: Final = "\u0651"
_LONG_VOWELS: Final = "\u0627\u0648\u064a\u0649\u0622\u0671"
_VOWELS: Final = re.compile("[aeiouy\u00e0-\u00e6\u00e8-\u00ef\u00f2-\u00f6\u00f9-\u00fd]+")
_SILENT: Final = re.compile(r"(?<=[a-z][b-df-hj-np-tv-z])e[ds]?\b")

_LONG_VOWEL: Final = 1.4
_MARKS: Final = {
    **dict.fromkeys(_SHORT_VOWELS, 1.0),
    **dict.fromkeys(_TANWIN, 2.0),
    _SHADDA: 1.0,
}
"""In short vowels: a tanwin is a vowel and an n, a shadda is its letter once more."""
_OTHER_SCRIPT: Final = 2.0
"""A character of a script that writes syllables or words, in letters."""

_NUMBER: Final = re.compile(r"\d{1,3}(?:[,\u066c\u060c]\d{3})+(?!\d)|\d+")
_SYMBOL_SOUNDS: Final = 5.0
"""Of "percent", "dollars", "at": what a voice that reads signs at all makes of one."""
_LONGEST_NUMBER: Final = 12
"""More digits are read one by one, as those of a telephone number with its zero are."""
_SAID: Final = 2.0
"""Of the "one" of "one hundred" and "one million", which Arabic leaves out."""
_ONE, _TEEN, _TEN, _HUNDRED, _SCALE = 4.0, 6.0, 5.0, 5.0, 6.0
"""Sounds of "five", "fifteen", "fifty", "hundred", "million"; Arabic ones are as long."""

_CLOSING: Final = "\"'\u2019\u201d\u00bb)\\]"
_STOPS: Final = re.compile(
    rf"[.!?\u061f\u06d4\u2026:]+[{_CLOSING}]*(?=\s)|\n\s*\n|[\u2014\u2013]|--|(?<=\s)-(?=\s)"
)
_BREAKS: Final = re.compile(
    rf"[,;\u060c\u061b][{_CLOSING}]*(?=\s)|(?<=\w)(?:\n(?=\w)|[)\u00bb\u201d](?=\s))"
)
_END: Final = re.compile(r"[\W_]+$")
_INITIAL: Final = re.compile(r"(?<![^\W\d_])[^\W\d_]\.|\b[B-DF-HJ-NP-TV-Z]{2,5}\b")
_INITIAL_SOUNDS: Final = 3.0
"""Of a letter's name."""


class Sounds(NamedTuple):
    """What of a text takes time.

    Attributes:
        arabic: Arabic letters, those for long vowels counted 1.4 times.
        marks: Short vowels that are written, and doubled letters.
        latin: Consonants of every other script.
        vowels: Its groups of vowels: about the syllables.
        numbers: The sounds of its numbers' words and of its signs, as far as they can be guessed.
        words: Words.
        stops: Places for a long pause: between sentences, after a colon, at a new line.
        breaks: Places for a short one.
    """

    arabic: float
    marks: float
    latin: float
    vowels: float
    numbers: float
    words: float
    stops: float
    breaks: float


def sounds(text: str) -> Sounds:
    """Count what is to be heard of a text.

    Args:
        text: Any text. Tatweel, joiners, and punctuation that makes no pause count nothing;
            Arabic-Indic digits are as any others.
    """
    inner = text.strip()
    arabic = marks = latin = numbers = 0.0
    for character, count in Counter(inner.casefold()).items():
        category = unicodedata.category(character)
        if character in _MARKS:
            marks += _MARKS[character] * count
        elif category[0] == "L":
            weight = _weight(character, category)
            if is_arabic(character):
                arabic += weight * count
            else:
                latin += weight * count
        elif category in {"Sc", "Sm", "So"} or character in "%\u066a&@#":
            numbers += _SYMBOL_SOUNDS * count
    plain = inner.casefold()
    groups = _VOWELS.findall(plain)
    latin -= sum(map(len, groups))
    voiced = len(groups) - len(_SILENT.findall(plain))
    numbers += sum(map(_number_sounds, _NUMBER.findall(inner)))
    initials = sum(len(found.rstrip(".")) for found in _INITIAL.findall(inner))
    numbers += _INITIAL_SOUNDS * initials
    before_end = _END.sub("", inner)
    spoken = [word for word in inner.split() if any(map(str.isalnum, word))]
    return Sounds(
        arabic=arabic,
        marks=marks,
        latin=latin,
        vowels=float(voiced),
        numbers=numbers,
        words=float(len(spoken)),
        stops=float(len(_STOPS.findall(before_end))),
        breaks=float(len(_BREAKS.findall(before_end))),
    )


def _weight(character: str, category: str) -> float:
    if category == "Lm":  # tatweel, and signs that change a letter
        return 0.0
    if character in _LONG_VOWELS:
        return _LONG_VOWEL
    return _OTHER_SCRIPT if category == "Lo" and not is_arabic(character) else 1.0


def _number_sounds(number: str) -> float:
    """Guess how many sounds the words of a number have: "1000000" is two words."""
    digits = [int(digit) for digit in number if digit.isdecimal()]
    if len(digits) > _LONGEST_NUMBER or (digits[0] == 0 and len(digits) > 1):
        return _ONE * len(digits)
    padded = [0] * (-len(digits) % 3) + digits
    groups = [padded[start : start + 3] for start in range(0, len(padded), 3)]
    spoken = [group for group in groups[:-1] if any(group)]
    ones = sum(group == [0, 0, 1] for group in spoken)
    return sum(map(_group_sounds, groups)) + _SCALE * len(spoken) - (_ONE - _SAID) * ones or _ONE


def _group_sounds(group: list[int]) -> float:
    hundreds, tens, ones = group
    if tens == 1:
        rest = _TEEN
    else:
        rest = _TEN * (tens > 0) + _ONE * (ones > 0)
    return _HUNDRED * (hundreds > 0) + _ONE * (hundreds > 1) + _SAID * (hundreds == 1) + rest
