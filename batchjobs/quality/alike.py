"""Words that a recogniser may have written for another: alike in letters, and more so in sound.

How near is near was chosen on the 30,000 most common words of Arabic and of English, beside 60 terms of each
(names, products, medicines): of a term's letters and their sounds so many may differ that of all these words less
than one in three terms finds one that is none of its own forms. Terms of up to four letters find many: none is
looked for.
"""

import functools
import re
from collections.abc import Iterator
from typing import Final

from rapidfuzz.distance import Levenshtein

LEAST_LETTERS: Final = 5
_ARTICLE: Final = "ال"
_ARTICLES: Final = ("وال", "فال", "بال", "كال", "لل", "ولل", _ARTICLE)
_PREFIXES: Final = ("وب", "ول", "وك", "فب", "فل", "و", "ف", "ب", "ك", "ل")
_MOST_BY_SOUND: Final = 3
_REMEMBERED: Final = 65_536
_LEAST_STEM: Final = 3
"""Letters that stay of an Arabic word whose first ones may be an article, "and", "by", "like" or "for"."""
_ARABIC: Final = re.compile("[\u0621-\u064a]")
_ARABIC_ENDINGS: Final = frozenset("ه ها هم هن ك كم نا ي ني يه ين ون ان ات ا ت يون يين".split())
_LATIN_ENDINGS: Final = frozenset("s es d ed er ers ing ly n".split())
_ARABIC_SOUNDS: Final = str.maketrans("صثزذظطضقحخعوي", "سسسسستدكههااا", "ء")
_LATIN_SOUNDS: Final = str.maketrans("cqgjzvdbneiouyw", "kkkksftpmaaaaaa")
_SILENT: Final = re.compile("(?<=.)h")
_DOUBLED: Final = re.compile(r"(.)\1+")


def is_arabic(word: str) -> bool:
    """Whether a normalised word has Arabic letters."""
    return _ARABIC.search(word) is not None


def list_stems(word: str) -> Iterator[str]:
    """List what a normalised word may be, the word itself first: without an article, and what is before it."""
    yield word
    if not is_arabic(word):
        return
    for before in (*_ARTICLES, *_PREFIXES):
        if word.startswith(before) and len(word) - len(before) >= _LEAST_STEM:
            yield word.removeprefix(before)


def find_stem(word: str) -> str:
    """Give a term's own word without its article."""
    is_longer = len(word) - len(_ARTICLE) >= _LEAST_STEM
    return word.removeprefix(_ARTICLE) if is_longer else word


def is_form_of(word: str, term: str) -> bool:
    """Whether a word is a term with an ending of grammar, such as a plural's or a pronoun's."""
    longer, shorter = (word, term) if len(word) > len(term) else (term, word)
    if not longer.startswith(shorter) or len(shorter) < _LEAST_STEM:
        return False
    endings = _ARABIC_ENDINGS if is_arabic(term) else _LATIN_ENDINGS
    return longer == shorter or longer.removeprefix(shorter) in endings


@functools.lru_cache(_REMEMBERED)
def fold_sounds(word: str) -> str:
    """Write a word by its sounds, those alike that recognisers take for one another.

    Emphatic consonants are plain ones, voiced ones voiceless, all vowels one, and none is doubled.
    """
    word = word.translate(_ARABIC_SOUNDS).replace("ph", "f").replace("x", "ks")
    return _DOUBLED.sub(r"\1", _SILENT.sub("", word.translate(_LATIN_SOUNDS)))


def count_allowed(letters: int) -> int:
    """Say how many letters may differ in a term of so many."""
    if letters < LEAST_LETTERS:
        return 0
    return 1 if letters == 5 else 2 if letters == 6 else 3 if letters < 14 else 4


def measure_difference(word: str, term: str, term_sounds: str) -> int | None:
    """Measure how far a word is from a term that it may have been heard for; None if too far.

    Args:
        word: As normalised, without white space.
        term: Likewise.
        term_sounds: The same, folded.

    Returns:
        How many letters differ.
    """
    letters = len(term)
    most = count_allowed(letters)
    distance = int(Levenshtein.distance(word, term, score_cutoff=most))
    if distance > most:
        return None
    sounds = fold_sounds(word)
    by_sound = int(Levenshtein.distance(sounds, term_sounds, score_cutoff=_MOST_BY_SOUND))
    is_near = (
        by_sound == 0
        or (letters >= 6 and distance == 1)
        or (letters >= 8 and distance == 2 and by_sound == 1)
        or (letters >= 11 and by_sound <= 2)
        or (letters >= 14 and by_sound <= _MOST_BY_SOUND)
    )
    return distance if is_near else None
