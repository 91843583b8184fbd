"""Texts as they are compared: words without what spelling may have one way or the other."""

import enum
import functools
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from batchjobs.quality.numerals import find_numbers
from batchjobs.text import split_words


class Step(enum.StrEnum):
    """What can be left out of a comparison, or be told apart in it."""

    FORMS = "forms"
    """Characters that Unicode has twice: presentation forms, ligatures, full width (NFKC)."""
    JOINERS = "joiners"
    """ZWJ, ZWNJ, marks of direction and other characters that nobody sees."""
    MARKS = "marks"
    """Arabic diacritics, and the signs of recitation."""
    TATWEEL = "tatweel"
    """The stretch between Arabic letters."""
    HAMZA = "hamza"
    """Alef with and without hamza, madda or wasla is one letter, and so is hamza's seat without it."""
    YEH = "yeh"
    """Alef maqsura is yeh, and the Persian forms of yeh and kaf are the Arabic ones."""
    TEH = "teh"
    """Teh marbuta is heh."""
    DIGITS = "digits"
    """Digits of every script are 0 to 9."""
    CASE = "case"
    """Capitals are small letters."""
    PUNCTUATION = "punctuation"
    """Whatever is neither letter, mark nor digit; an apostrophe within a word joins it."""
    NUMBERS = "numbers"
    """Numbers count by value: ``3``, ``three``, ``ثلاثة``; those side by side are one."""


EVERY_STEP: Final = frozenset(Step)
_MARKS: Final = re.compile(
    "[\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed]"
)
_TATWEEL: Final = "\u0640"
_JOINERS: Final = re.compile(
    "[\u00ad\u034f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff]"
)
_HAMZA: Final = str.maketrans("أإآٱٲٳؤئ", "ااااااوي", "ءٕٔ")
_YEH: Final = str.maketrans("ىیېک", "يييك")
_TEH: Final = str.maketrans("ةۀە", "ههه")
_APOSTROPHES: Final = re.compile("(?<=\\w)['\u2019\u02bc\u2032`](?=\\w)")
_GROUPS: Final = re.compile("(?<=\\d)[,\u066c\u2009\u202f\u00a0'\u2019](?=\\d{3}(?!\\d))")
_JOINED: Final = re.compile("^\u0648(?=\\d)")
"""The Arabic "and", which is written together with what follows: before digits it is no letter."""
_REMEMBERED: Final = 65_536
"""Words: most of a text's are in the others, too, and to look one up takes a tenth of the time."""


class Token(NamedTuple):
    """A word as it is compared.

    Attributes:
        text: The normalised word, or a number's digits.
        first: The place among the text's words, as they are written, of the first that it stands for.
        last: The place of the last one.
        is_number: Whether it is made of digits alone.
    """

    text: str
    first: int
    last: int
    is_number: bool


def tokenize(text: str, steps: frozenset[Step] = EVERY_STEP) -> tuple[list[Token], list[str]]:
    """Make of a text the words by which it is compared.

    Args:
        text: As it is written.
        steps: What is to make no difference.

    Returns:
        The words to compare, and the text's words as they are written, to which these point.
    """
    written = split_words(text)
    tokens = [
        Token(part, place, place, part.isdecimal())
        for place, word in enumerate(written)
        for part in normalize_word(word, steps)
    ]
    if Step.NUMBERS in steps:
        tokens = list(_join_numbers(tokens))
    return tokens, written


def normalize(text: str, steps: frozenset[Step] = EVERY_STEP) -> str:
    """Give a text as it is compared: its words with a space between them."""
    return " ".join(token.text for token in tokenize(text, steps)[0])


@functools.lru_cache(_REMEMBERED)
def normalize_word(word: str, steps: frozenset[Step]) -> tuple[str, ...]:
    """Normalise what stands between two spaces: none, one or several words to compare."""
    for step, change in _CHANGES.items():
        if step in steps:
            word = change(word)
    return tuple(word.split())


def _leave_spoken(word: str) -> str:
    joined = _APOSTROPHES.sub("", _GROUPS.sub("", word))
    return "".join(character if _is_spoken(character) else " " for character in joined)


def _fold_digits(word: str) -> str:
    return "".join(map(_plain_digit, word))


def _plain_digit(character: str) -> str:
    return str(unicodedata.decimal(character)) if character.isdecimal() else character


def _is_spoken(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN" or character == _TATWEEL


_CHANGES: Final[Mapping[Step, Callable[[str], str]]] = {
    Step.FORMS: functools.partial(unicodedata.normalize, "NFKC"),
    Step.CASE: str.casefold,
    Step.JOINERS: functools.partial(_JOINERS.sub, ""),
    Step.MARKS: functools.partial(_MARKS.sub, ""),
    Step.TATWEEL: lambda word: word.replace(_TATWEEL, ""),
    Step.DIGITS: _fold_digits,
    Step.HAMZA: lambda word: word.translate(_HAMZA),
    Step.YEH: lambda word: word.translate(_YEH),
    Step.TEH: lambda word: word.translate(_TEH),
    Step.PUNCTUATION: _leave_spoken,
    Step.NUMBERS: functools.partial(_JOINED.sub, ""),
}
"""In this order: what one leaves the next one finds."""


def _join_numbers(tokens: list[Token]) -> Iterator[Token]:
    """Put numbers, written in digits or in words, into digits; those side by side are one."""
    folded = [
        token.text if token.is_number else " ".join(normalize_word(token.text, EVERY_STEP))
        for token in tokens
    ]
    place = 0
    for number in find_numbers(folded):
        yield from tokens[place : number.begin]
        first, last = tokens[number.begin].first, tokens[number.end - 1].last
        yield Token(number.digits, first, last, is_number=True)
        place = number.end
    yield from tokens[place:]
