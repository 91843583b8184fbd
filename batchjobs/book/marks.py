"""What is no prose on a page: note marks, page numbers, hidden text; told by what it holds."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final

_ROMAN: Final = r"m{0,4}(?:cm|cd|d?c{0,3})(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})"
_PAGE_NUMBER: Final = re.compile(
    rf"[\s\[({{|–—-]*(?:(?:pages?|pg|p|seite|صفحة|ص)\b\.?\s*)?"
    rf"(?:\d{{1,5}}|{_ROMAN}|[a-z]?-?\d{{1,4}}[a-z]?)?[\s\])}}|–—.-]*",
    re.IGNORECASE,
)
_SIGNS: Final = "*†‡§¶⁂※⁎∗"
_NOTE_MARK: Final = re.compile(
    rf"[\s\u200e\u200f]*(?:[\[({{]?\s*(?:note\s*)?(?:\d{{1,4}}|[a-z]|[ivxl]{{1,6}}|[{_SIGNS}]{{1,4}})\s*[\])}}]?\.?"
    rf"|[¹²³⁰-⁹]+)[\s\u200e\u200f]*",
    re.IGNORECASE,
)
_SURE_MARK: Final = re.compile(
    rf"\s*(?:[\[(]\s*(?:\d{{1,4}}|[a-z]|[{_SIGNS}]{{1,3}})\s*[\])]|[{_SIGNS}]{{1,3}}|[¹²³⁰-⁹]+)\s*"
)
"""A link that is a note's mark wherever it stands."""
_GLUED_MARK: Final = re.compile(r"\s*(?:\d{1,4}|[a-z])\s*")
"""One that is a mark right after a word; after a space it is as in "see chapter 3"."""
_RETURN: Final = re.compile(
    r"[\s\[(]*(?:[↩↑⇑↵⤴←^▲\ufe0e\ufe0f]+|(?:back|return|zurück|retour|عودة|رجوع)\b.{0,20})[\s\])]*",
    re.IGNORECASE,
)
_ENDS_WORD: Final = frozenset(".,;!?…»”’\"')]}،؛؟。—")

RAISED_MARK: Final = re.compile(
    r"(?:(?<=[^\W\d_]{3})|(?<=[.,;!?»”])|(?<=\b1[5-9]\d\d)|(?<=\b20\d\d))[¹²³⁰-⁹]+"
)
"""A note's mark that is written as a raised number, after a word, its full stop, or a year."""
WRITTEN_PAGE: Final = re.compile(
    rf"\{{(?=\w)(?:\d{{1,4}}|{_ROMAN})\}} ?|\[(?:Pg|Page)\.? ?\w{{1,6}}\] ?"
)
"""A page's number that is written in the text: "{17}", "[Pg 17]"."""
_HIDING: Final = re.compile(
    r"(?:^|;|\s)(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse))\b", re.IGNORECASE
)
_SHOWING: Final = re.compile(
    r"(?:^|;|\s)(?:display\s*:\s*\w|visibility\s*:\s*visible)", re.IGNORECASE
)
_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_RULE: Final = re.compile(r"([^{}]*)\{([^{}]*)\}")
_NESTED_RULES: Final = re.compile(r"@[^{};]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}")
_SELECTOR: Final = re.compile(r"(?:[a-z]\w*)?(?:[.#][\w-]+)?", re.IGNORECASE)
_DROP_CAP: Final = re.compile(
    r"(?:(?:drop[\s-]*cap(?:ital)?|initial|letter|capital)\b[\s:]*)*([\"“‘«]?[^\W\d_])",
    re.IGNORECASE,
)


class Noise(Enum):
    """Why a part of a page is not read aloud; the words say what it is, for people."""

    NOTE = "notes"
    MARK = "note marks"
    PAGE_NUMBER = "page numbers"
    HIDDEN = "hidden texts"
    FORMULA = "formulas without words for them"
    CAPTION = "captions"
    MATTER = "parts that are navigation or the printer's"
    DRAWN = "texts in pictures"


_TYPES: Final = {
    **dict.fromkeys(
        """footnote footnotes endnote endnotes rearnote rearnotes note annotation doc-footnote
        doc-endnotes doc-endnote""".split(),
        Noise.NOTE,
    ),
    **dict.fromkeys("noteref annoref backlink doc-noteref doc-backlink".split(), Noise.MARK),
    **dict.fromkeys("pagebreak doc-pagebreak".split(), Noise.PAGE_NUMBER),
    **dict.fromkeys(
        """page-list toc toc-brief landmarks loi lot cover titlepage halftitlepage copyright-page
        index colophon doc-toc doc-cover doc-pagelist doc-colophon doc-index""".split(),
        Noise.MATTER,
    ),
}
_CLASSES: Final = (
    (re.compile(r"_?(?:id)?(?:foot|end|rear)[-_]?notes?"), Noise.NOTE),
    (
        re.compile(
            r"note-?ref(?:erence)?|fn-?ref|fn-?anchor|note-?anchor|(?:foot|end)note-?"
            r"(?:ref(?:erence)?|back|anchor|call|mark)|_id(?:foot|end)note(?:link|anchor)|fn-backref"
        ),
        Noise.MARK,
    ),
    (
        re.compile(
            r"(?:x-)?(?:ebook-)?page-?_?(?:num(?:ber)?s?|no|nr|break|breaks|marker)?|pgnum|pg|folio"
            r"|(?:calibre_)?pb\d*"
        ),
        Noise.PAGE_NUMBER,
    ),
    (re.compile("pg-boilerplate"), Noise.MATTER),
)
"""Of books older than ``epub:type``, Pandoc's, Sphinx's, InDesign's, and Project Gutenberg's (its
licence is 19,000 characters)."""
_PAGE_ID: Final = re.compile(r"(?:page|pagebreak|pg|p)[-_.]?[\divxlc]+", re.IGNORECASE)
_LONGEST_MATTER: Final = 1_500
"""A cover or a title page that holds more is a chapter that a converter called so."""
_TITLES: Final = frozenset("cover titlepage halftitlepage doc-cover".split())
_LONGEST_MARK: Final = 12


def find_noise(tag: str, given: Mapping[str, str]) -> Noise | None:
    """Judge an element by its role and its class: what it may be, if what it holds agrees."""
    kinds = [*given.get("epub:type", "").split(), *given.get("role", "").split()]
    for kind in kinds:
        if kind in _TYPES:
            return _TYPES[kind]
    for name in given.get("class", "").lower().split():
        for pattern, noise in _CLASSES:
            if pattern.fullmatch(name):
                return noise
    if tag in {"a", "span"} and "href" not in given and _PAGE_ID.fullmatch(given.get("id", "")):
        return Noise.PAGE_NUMBER
    return None


def is_noise(noise: Noise, text: str, given: Mapping[str, str], *, heads: bool) -> bool:
    """Judge an element that may be noise by what it holds.

    Args:
        noise: What its role says that it is.
        text: What it holds.
        given: Its attributes.
        heads: Whether it stands in a heading.
    """
    match noise:
        case Noise.PAGE_NUMBER:
            return _PAGE_NUMBER.fullmatch(text) is not None
        case Noise.MARK:  # "noteref" is also said of the word that a note explains
            return is_note_mark(text) or (not heads and is_return(text))
        case Noise.MATTER:
            kinds = {*given.get("epub:type", "").split(), *given.get("role", "").split()}
            return len(text) < _LONGEST_MATTER or _TITLES.isdisjoint(kinds)
        case Noise.NOTE | Noise.HIDDEN | Noise.FORMULA | Noise.CAPTION | Noise.DRAWN:
            return True


def is_note_mark(text: str) -> bool:
    """Say whether a link's text is a number, a letter or a sign, as notes have."""
    return len(text) <= _LONGEST_MARK and _NOTE_MARK.fullmatch(text) is not None


def is_return(text: str) -> bool:
    """Say whether a link's text only leads back, such as an arrow."""
    return _RETURN.fullmatch(text) is not None


def is_mark_after(text: str, link: str) -> bool:
    """Say whether a link is a note's mark by what stands before it.

    After a word or its full stop it is; in "(4)", "§3", "2-3" and "3:16" it is a word.
    """
    if _SURE_MARK.fullmatch(link):
        return True
    if not text or not _GLUED_MARK.fullmatch(link):
        return False
    last = text[-1]
    if last in ".,:" and text[-2:-1].isdigit():  # "2.3", but "in 1969.3"
        return re.search(r"(?<!\d)\d{4}[.,]$", text) is not None
    return last in _ENDS_WORD or unicodedata.category(last)[0] in "LM" or _is_year_end(text)


def _is_year_end(text: str) -> bool:
    return re.search(r"(?<!\d)(?:1\d|20|[١٢۱۲]\d)\d\d$", text) is not None


def drop_cap(alt: str) -> str:
    """Find the letter that a picture at a paragraph's beginning shows; empty if it shows none."""
    found = _DROP_CAP.fullmatch(alt.strip())
    return found[1] if found else ""


def hidden_selectors(sheets: Iterable[str]) -> frozenset[str]:
    """Find what style sheets hide: names of elements, classes and ids, of simple selectors.

    Rules for some screens only (``@media``) are not followed.
    """
    hidden: dict[str, bool] = {}
    for sheet in sheets:
        for selectors, style in _RULE.findall(_NESTED_RULES.sub("", _COMMENT.sub("", sheet))):
            hides = _HIDING.search(style) is not None
            if not hides and not _SHOWING.search(style):
                continue
            for selector in selectors.split(","):
                name = selector.strip()
                if name and _SELECTOR.fullmatch(name):
                    hidden[name] = hides
    return frozenset(name for name, hides in hidden.items() if hides)


def is_hidden(tag: str, given: Mapping[str, str], selectors: frozenset[str]) -> bool:
    """Say whether an element is not shown: by an attribute, its style, or a style sheet."""
    style = given.get("style", "")
    if "hidden" in given or _HIDING.search(style):
        return True
    if not selectors or _SHOWING.search(style):
        return False
    names = [f".{name}" for name in given.get("class", "").split()]
    names += [f"#{given['id']}"] if given.get("id") else []
    return not selectors.isdisjoint([tag, *names, *(tag + name for name in names)])


def is_for_reading(given: Mapping[str, str]) -> bool:
    """Say whether a style sheet is for every reader, not for print or some device only."""
    return given.get("media", "").strip().lower() in {"", "all", "screen"}
