"""Words of any script: between white space, and of scripts that write none, sign by sign."""

import re
import unicodedata
from itertools import pairwise
from typing import Final

_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u1049\u1050-\u109f\u1780-\u17d3\u17dc-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_FIRST_VOWELS: Final = "\u0e40-\u0e44\u0ec0-\u0ec4"
"""Thai and Lao vowels that are written before the consonant they are spoken after."""
_MARKS: Final = (
    "".join(
        chr(point)
        for begin, end in ((0x300, 0x370), (0xE00, 0x10A0), (0x1780, 0x1800), (0x3099, 0x309B))
        for point in range(begin, end)
        if unicodedata.category(chr(point))[0] == "M"
    )
    + (
        "\u0e2f\u0e30\u0e32\u0e33\u0e45\u0e46\u0eb0\u0eb2\u0eb3\u0ec6"  # vowels and signs that follow
        "\u3005\u30fc\u3041\u3043\u3045\u3047\u3049\u3063\u3083\u3085\u3087"  # no line begins with these
        "\u30a1\u30a3\u30a5\u30a7\u30a9\u30c3\u30e3\u30e5\u30e7"
        "\ufe00-\ufe0f\u200b-\u200d\u2060"
    )
)
_STACKED: Final = "[\u17d2\u1039].?"
"""Khmer and Burmese consonants that stand below the one before."""
_OPENING: Final = "(\\[{«‘“〈《「『【〔（［｛"
_SIGN: Final = re.compile(f"[{_UNSPACED}]")
_WORDS: Final = re.compile(
    f"[{_OPENING}]*"
    f"(?:[{_FIRST_VOWELS}]?[{_UNSPACED}](?:{_STACKED}|[{_MARKS}])*|[^\\s{_UNSPACED}{_OPENING}]+)"
    f"[^\\w\\s{_OPENING}{_UNSPACED}]*"
    r"|\S"
)
_SPACED: Final = re.compile(r"\S+")
_PLAIN_LETTERS: Final = str.maketrans("أإآٱىةؤئ", "اااايهوي")
_TATWEEL: Final = "\u0640"
_GLUED: Final = re.compile(
    "[.!?\u061f…](?:"
    "(?=[A-Z\u00c0-\u00de\u0410-\u042f][a-z\u00df-\u024f\u0430-\u04ff])"
    "(?<=[a-z\u00df-\u024f\u0430-\u04ff]{2}.)"
    "|(?=[\u0621-\u064a][\u0621-\u0652])(?<=[\u0621-\u0652]{2}.))"
)
"""Where a service joins two sentences without a space: they may be minutes apart."""


def find_words(text: str) -> list[tuple[int, int]]:
    """Find where each word of a text begins, and where it ends; marks stay with their word.

    Two sentences without a space between them are told apart. A sign of a script without spaces
    (Chinese, Japanese, Thai, Lao, Khmer, Burmese) is a word: where those end, a dictionary knows.
    """
    words: list[tuple[int, int]] = []
    for run in _SPACED.finditer(text):
        if _SIGN.search(run.group()):
            words += (word.span() for word in _WORDS.finditer(text, *run.span()))
        else:
            edges = [
                run.start(),
                *(at.end() for at in _GLUED.finditer(text, *run.span())),
                run.end(),
            ]
            words += pairwise(edges)
    return words


def split_words(text: str) -> list[str]:
    """Split a text into its words; see `find_words`."""
    if not ((not text.isascii() and _SIGN.search(text)) or _GLUED.search(text)):
        return text.split()
    return [text[begin:end] for begin, end in find_words(text)]


def to_comparable(word: str) -> str:
    """Strip a word for comparison: no capitals, no marks, and one form of each Arabic letter."""
    letters = unicodedata.normalize("NFKD", word.translate(_PLAIN_LETTERS)).casefold()
    return "".join(c for c in letters if c.isalnum() and c != _TATWEEL) or word


def are_written_together(before: str, after: str) -> bool:
    """Say whether no space stands between two texts: both scripts at the seam write none."""
    last = next(filter(str.isalnum, reversed(before)), "")
    first = next(filter(str.isalnum, after), "")
    return bool(_SIGN.match(last) and _SIGN.match(first))
