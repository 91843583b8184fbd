"""Letters as a voice can say them: without what is only for the eye."""

import re
import unicodedata
from typing import Final

_FOR_THE_EYE: Final = re.compile("[\u00ad\u200b\u2060\ufeff]")
"""Soft hyphens, and places for a line to break or not. ZWNJ and ZWJ stay: they are spelling."""
_PRESENTATION: Final = re.compile("[\ufb50-\ufdff\ufe70-\ufefc]+")
"""Arabic letters in the shapes of print, as PDF has them: voices spell them one by one."""
_BARE_MARK: Final = re.compile(" (?=[\u064b-\u065f])")
_SPEAKABLE: Final = re.compile(r"[^\W_]")


def clean_letters(text: str) -> str:
    """Take out what is only for the eye, and write Arabic shapes as the letters that they are."""
    return _PRESENTATION.sub(_write_letters, _FOR_THE_EYE.sub("", text))


def _write_letters(found: re.Match[str]) -> str:
    return _BARE_MARK.sub("", unicodedata.normalize("NFKC", found[0]))


def is_speakable(text: str) -> bool:
    """Say whether there is a letter or a number in a text."""
    return _SPEAKABLE.search(text) is not None
