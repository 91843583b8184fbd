"""Full stops that end no sentence: after abbreviations, in numbers, after an ellipsis."""

import re
from typing import Final

_OPENING: Final = " \u200e\u200f«“„‹\"'‘([{"
_LONGEST_WORD: Final = 24
_LONGEST_NUMBER: Final = 12
_ELLIPSIS: Final = ("...", "…")
_ARABIC_ABBREVIATION: Final = re.compile(
    # "د.", "ود.", "ق.م.", "أ.د.", "م.ت.ف."; "مج." and "هـ." after a space; "لص." is a thief
    r"[\u200e\u200f]*(?:و?[ء-ي]\.|(?:[ء-ي]ـ?\.){2,5}|و?(?:هـ|صص|مج|تح|تحق|تر|سم|كم|كلم|مم|ملم|كجم|كغ|كغم)\.)"
)
_NEVER_LAST: Final = frozenset(
    """
    dr mr mrs ms mx prof st sr sra sen rep rev hon gen col lt capt sgt maj cmdr adm gov pres messrs mme
    mlle mt fr frl herr e.g i.e cf viz vs ca
    """.split()
)
_BEFORE_NUMBER: Final = frozenset(
    """
    vol vols no nos nr p pp pg fig figs ch chap chaps sec secs sect art arts ed eds bk bks pt pts par para
    paras v vv l ll n nn op opp pl pls tab eq eqs ex ver approx c ca est s bd t cap act sc q col cols
    """.split()
)
_BEFORE_SMALL: Final = frozenset(
    """
    etc al ibid cit inc ltd co corp jr sr esq dept univ u.s u.k e.u u.n a.m p.m b.c a.d b.c.e c.e
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun ave blvd rd tel ext max min
    """.split()
)
_GERMAN_MONTHS: Final = tuple(
    "Januar Jänner Februar März April Mai Juni Juli August September Oktober November Dezember".split()
)
_ROMAN: Final = re.compile(
    r"(?=[IVXLCDM])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
)
_NUMBER: Final = re.compile(r"[\[(]?(?:\d{1,4}|[ivxlc]{1,5}|[a-z])[.)]", re.IGNORECASE)


def is_false_end(before: str, after: str, *, is_start: bool = False) -> bool:
    """Say whether a sentence goes on where it seems to end.

    Args:
        before: What ends, with the white space after it.
        after: What follows; its first letters do.
        is_start: Whether a sentence begins with ``before``, which may be a list's number.
    """
    ended = before.rstrip()
    space = before[len(ended) :]
    if "\n" in space or not ended.endswith((".", "…")):
        return False
    first = after.lstrip(_OPENING)[:1]
    if not space:
        return ended.endswith(".") and after[:1].isalnum() and after[0] < "\u3000"
    if ended.endswith(_ELLIPSIS):
        return first.islower() or _is_arabic(first)
    word = ended[-_LONGEST_WORD:].split()[-1].lstrip(_OPENING)
    if is_start and len(ended) <= _LONGEST_NUMBER and _NUMBER.fullmatch(ended.strip()):
        return True
    if not word.isascii():
        return _ARABIC_ABBREVIATION.fullmatch(word) is not None
    return _goes_on(word[:-1], first, after)


def _goes_on(word: str, first: str, after: str) -> bool:
    """Say whether a sentence goes on after a Latin abbreviation, by what follows it."""
    name = word.lower()
    if name in _NEVER_LAST:
        return True
    if name in _BEFORE_NUMBER and (first.isdigit() or _is_roman(after.split(" ", 1)[0])):
        return True
    if word.isdigit() and after.startswith(_GERMAN_MONTHS):
        return True
    is_short = name in _BEFORE_SMALL or name in _BEFORE_NUMBER
    return first.islower() and (is_short or _is_roman(word) or word.isdigit())


def _is_roman(word: str) -> bool:
    return _ROMAN.fullmatch(word.rstrip(".,;:)")) is not None


def _is_arabic(character: str) -> bool:
    return "\u0600" <= character <= "\u06ff"
