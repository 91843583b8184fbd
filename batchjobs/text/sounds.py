"""How much of a text is to be heard: its sounds, its numbers' words, its pauses."""

import functools
import re
import unicodedata
from collections import Counter
from typing import Final, NamedTuple

from batchjobs.text.measures import is_arabic

_UNHEARD: Final = re.compile("[\u0640\u0652\u200b-\u200f\u2060\ufeff]")
"""Tatweel, sukun, joiners and marks of direction, which may stand anywhere in a word."""
_ARABIC_MARKS: Final = re.compile("[\u064b-\u065f\u0670\u06d6-\u06ed]")
_SHORT_VOWELS: Final = "\u064e\u064f\u0650\u0670\u0656\u0657"
_TANWIN: Final = "\u064b\u064c\u064d"
_SHADDA: Final = "\u0651"
_LONG_VOWELS: Final = "\u0627\u0648\u064a\u0649\u0622\u0671"
_VOWELS: Final = re.compile("[aeiouy\u00e0-\u00e6\u00e8-\u00ef\u00f2-\u00f6\u00f9-\u00fd]+")
_SILENT: Final = re.compile(r"(?<=[a-z][b-df-hj-np-tv-z])e[ds]?\b")

_LONG_VOWEL: Final = 1.4
_MARKS: Final = {**dict.fromkeys(_SHORT_VOWELS, 1.0), **dict.fromkeys(_TANWIN, 2.0), _SHADDA: 1.0}
"""In short vowels: a tanwin is a vowel and an n, a shadda is its letter once more."""
_OTHER_SCRIPT: Final = 2.0
"""A character of a script that writes syllables or words, in letters."""

_NUMBER: Final = re.compile(r"\d{1,3}(?:[,\u066c]\d{3})+(?!\d)|\d+")
_LONGEST_NUMBER: Final = 12
"""More digits are read one by one, as those of a telephone number with its zero are."""


class _Reading(NamedTuple):
    """Sounds of the words that numbers are made of, and of the "one" of "one million"."""

    five: float
    fifteen: float
    fifty: float
    hundred: float
    million: float
    one: float


_ENGLISH: Final = _Reading(3.5, 6.0, 5.0, 7.0, 6.0, 3.0)
_ARABIC: Final = _Reading(5.0, 9.0, 7.0, 4.0, 5.0, 0.0)
_YEARS: Final = range(1100, 2000)
"""Read in two halves in English."""

_CHARACTERS_REMEMBERED: Final = 4_096
"""More than any language's texts have: what a character is is looked up once."""
_SIGNS: Final = frozenset("%\u066a&@#")
_CLOSING: Final = "\"'\u2019\u201d\u00bb)\\]"
_STOPS: Final = re.compile(
    rf"(?<![.!?\u061f\u06d4\u2026:])[.!?\u061f\u06d4\u2026:]++[{_CLOSING}]*+(?=\s)|\n\s*\n|[\u2014\u2013]|--|(?<=\s)-(?=\s)"
)
_BREAKS: Final = re.compile(
    rf"[,;\u060c\u061b][{_CLOSING}]*(?=\s)|(?<!\n)\n(?!\n)|[)\u00bb\u201d](?=\s)"
)
_INITIAL: Final = re.compile(r"(?<![^\W\d_])[^\W\d_]\.|\b[B-DF-HJ-NP-TV-Z]{2,5}\b")
_INITIAL_SOUNDS: Final = 2.5
"""Of a letter's name."""


class Sounds(NamedTuple):
    """What of a text takes time.

    Attributes:
        arabic: Arabic letters, those for long vowels counted 1.4 times.
        marks: Short vowels that are written, and doubled letters.
        latin: Consonants of every other script.
        vowels: Its groups of vowels: about the syllables.
        numbers: The sounds of its numbers' words and of its initials' names, as far as they can
            be guessed.
        signs: Signs that may be words: of currencies, "%", "&", emoji.
        words: Words.
        stops: Places for a long pause: between sentences, after a colon, at a new line.
        breaks: Places for a short one.
    """

    arabic: float
    marks: float
    latin: float
    vowels: float
    numbers: float
    signs: float
    words: float
    stops: float
    breaks: float


def count_sounds(text: str) -> Sounds:
    """Count what is to be heard of a text.

    Args:
        text: Any text. Tatweel, joiners, and punctuation that makes no pause count nothing; digits
            of every script are the same, and so are composed and presentation forms.
    """
    heard = _UNHEARD.sub("", unicodedata.normalize("NFKC", text)).strip()
    bare = _ARABIC_MARKS.sub("", heard)
    arabic, marks, other = _count_letters(heard.casefold())
    folded = bare.casefold()
    groups = _VOWELS.findall(folded)
    initials = _INITIAL.findall(bare)
    named = _INITIAL_SOUNDS * sum(len(found.rstrip(".")) for found in initials)
    reading = _ARABIC if arabic > other else _ENGLISH
    read = sum(_count_number(found, reading) for found in _NUMBER.findall(bare))
    within = _trim_end(_INITIAL.sub(" ", bare) if initials else bare)
    return Sounds(
        arabic=arabic,
        marks=marks,
        latin=other - sum(map(len, groups)),
        vowels=float(len(groups) - len(_SILENT.findall(folded))),
        numbers=named + read,
        signs=float(sum(bare.count(sign) for sign in filter(_is_sign, set(bare)))),
        words=float(sum(map(_is_word, bare.split()))),
        stops=float(len(_STOPS.findall(within))),
        breaks=float(len(_BREAKS.findall(within))),
    )


def _count_letters(text: str) -> tuple[float, float, float]:
    """Count Arabic letters, their marks, and all other letters, each with its weight."""
    arabic = marks = other = 0.0
    for character, count in Counter(text).items():
        weights = _weigh_as(character)
        arabic += weights[0] * count
        marks += weights[1] * count
        other += weights[2] * count
    return arabic, marks, other


@functools.lru_cache(maxsize=_CHARACTERS_REMEMBERED)
def _weigh_as(character: str) -> tuple[float, float, float]:
    """Weigh a character as an Arabic letter, as a mark of one, and as another letter: it is one of these."""
    if character in _MARKS:
        return 0.0, _MARKS[character], 0.0
    weight = _weigh(character)
    return (weight, 0.0, 0.0) if is_arabic(character) else (0.0, 0.0, weight)


def _weigh(character: str) -> float:
    category = unicodedata.category(character)
    if category[0] != "L" or category == "Lm":  # such are signs that change a letter
        return 0.0
    if character in _LONG_VOWELS:
        return _LONG_VOWEL
    return _OTHER_SCRIPT if category == "Lo" and not is_arabic(character) else 1.0


def _is_word(word: str) -> bool:
    return word.isalnum() or any(map(str.isalnum, word))


@functools.lru_cache(maxsize=_CHARACTERS_REMEMBERED)
def _is_sign(character: str) -> bool:
    return character in _SIGNS or unicodedata.category(character) in {"Sc", "Sm", "So"}


def _trim_end(text: str) -> str:
    """Cut a text after its last letter or digit: what follows makes no pause within."""
    end = len(text)
    while end and not text[end - 1].isalnum():
        end -= 1
    return text[:end]


def _count_number(number: str, reading: _Reading) -> float:
    """Guess how many sounds the words of a number have: "1000000" is two words."""
    digits = [int(digit) for digit in number if digit.isdecimal()]
    if len(digits) > _LONGEST_NUMBER or (digits[0] == 0 and len(digits) > 1):
        return reading.five * len(digits)
    if reading is _ENGLISH and len(number) == 4 and int(number) in _YEARS:
        return sum(_count_number(half, reading) for half in (number[:2], number[2:]))
    padded = [0] * (-len(digits) % 3) + digits
    *higher, last = (padded[start : start + 3] for start in range(0, len(padded), 3))
    total = _count_group(last, reading)
    for group in higher:
        if any(group):
            is_one = group == [0, 0, 1]
            total += reading.million + (reading.one if is_one else _count_group(group, reading))
    return total or reading.five


def _count_group(group: list[int], reading: _Reading) -> float:
    """Guess the sounds of up to three digits; 0 of nothing."""
    hundreds, tens, ones = group
    total = 0.0
    if hundreds:
        total += reading.hundred + (reading.five if hundreds > 1 else reading.one)
    if tens == 1:
        return total + (reading.fifteen if ones else reading.five)
    return total + reading.fifty * (tens > 1) + reading.five * (ones > 0)
