"""XHTML as prose: paragraphs and headings, without notes, pictures and navigation."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Final

_UNREAD: Final = frozenset(
    """
    script style head title nav svg math audio video img object iframe form rt rp template
    figcaption
    """.split()
)
_UNREAD_TYPES: Final = frozenset(
    """
    footnote footnotes endnote endnotes rearnote rearnotes note noteref annoref backlink
    annotation pagebreak page-list toc toc-brief landmarks loi lot cover titlepage halftitlepage
    copyright-page index colophon doc-footnote doc-endnotes doc-endnote doc-noteref doc-backlink
    doc-pagebreak doc-toc doc-cover doc-pagelist doc-colophon doc-index
    """.split()
)
_BLOCKS: Final = frozenset(
    """
    p div h1 h2 h3 h4 h5 h6 li dt dd blockquote section article header footer main aside body pre
    table tr ul ol dl figure figcaption hr address center caption hgroup details summary
    """.split()
)
_CELLS: Final = frozenset(["td", "th"])
_UNREAD_CLASSES: Final = frozenset(
    """
    footnote footnotes endnote endnotes rearnotes noteref fnanchor footnote-ref footnote-back
    pagenum pageno pg-boilerplate
    """.split()
)
"""Of books older than ``epub:type``, Pandoc's, and Project Gutenberg's (its licence is 19,000
characters)."""
_VOID: Final = frozenset(
    "br hr img meta link input wbr col area base embed source track param".split()
)
_CHARACTERS: Final = "CDATA["
_WHITE_SPACE: Final = re.compile(r"[ \t\r\n\f]+")
_NOTE_MARK: Final = re.compile(
    r"\s*(?:[\[(]\s*(?:\d{1,4}|[a-z]|[*†‡§¶]{1,3})\s*[\])]|[*†‡§¶]{1,3})\s*"
)
"""A link that is a note's mark wherever it stands."""
_GLUED_MARK: Final = re.compile(r"\s*(?:\d{1,4}|[a-z])\s*")
"""One that is a mark right after a word; after a space it is as in "see chapter 3"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A paragraph or heading.

    Attributes:
        text: Its text; line breaks stand where the page has them.
        heading_level: 1 to 6; 0 for a paragraph.
    """

    text: str
    heading_level: int = 0


def join_blocks(blocks: Sequence[Block]) -> str:
    """Write blocks as paragraphs with a blank line between them."""
    return "\n\n".join(block.text for block in blocks)


@dataclass(slots=True)
class _Open:
    """An element that is open: whether it is read, and where its text begins."""

    tag: str
    is_unread: bool
    begins_at: int = 0
    links_within: bool = False


class Prose(HTMLParser):
    """Reads a page. Tolerant as browsers are, and fetches nothing.

    Attributes:
        blocks: The paragraphs and headings.
        places: For each id in the page the number of the block that follows it.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self.places: dict[str, int] = {}
        self._open: list[_Open] = []
        self._text = ""
        self._level = 0

    @classmethod
    def of(cls, page: str) -> "Prose":
        """Read a whole page."""
        prose = cls()
        prose.feed(page)
        prose.close()
        prose._end_block()
        return prose

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of an element."""
        given = {name: value or "" for name, value in attrs}
        if tag in _BLOCKS:
            self._end_block()
        for name in ("id", "name") if tag == "a" else ("id",):
            if given.get(name):
                self.places.setdefault(given[name], len(self.blocks))
        above = self._open[-1].is_unread if self._open else False
        breaks = tag == "br" or (tag in _CELLS and self._text.strip() != "")
        if breaks and not above:
            self._text += "\n"
        if tag in _VOID:
            return
        if len(tag) == 2 and tag[0] == "h" and tag[1] in "123456":
            self._level = int(tag[1])
        links = tag == "a" and "#" in given.get("href", "")
        unread = above or self._is_unread(tag, given, links=links)
        self._open.append(_Open(tag, unread, len(self._text), links))

    def _is_unread(self, tag: str, given: dict[str, str], *, links: bool) -> bool:
        kinds = {*given.get("epub:type", "").split(), *given.get("role", "").split()}
        classes = given.get("class", "").split()
        if tag in _UNREAD or "hidden" in given:
            return True
        if not (_UNREAD_TYPES.isdisjoint(kinds) and _UNREAD_CLASSES.isdisjoint(classes)):
            return True
        # <sup><a href="#n1">1</a></sup>, <a href="#n1"><sup>1</sup></a>: a note's mark.
        within = {each.tag for each in self._open if each.tag == "sup" or each.links_within}
        return (links and "sup" in within) or (tag == "sup" and "a" in within)

    def handle_endtag(self, tag: str) -> None:
        """Close an element, and whatever was left open in it."""
        if all(each.tag != tag for each in self._open):
            return
        if tag in _BLOCKS:
            self._end_block()
        while self._open:
            last = self._open.pop()
            if last.links_within and self._is_mark(last.begins_at):
                self._text = self._text[: last.begins_at]
            if last.tag == tag:
                break

    def _is_mark(self, begins_at: int) -> bool:
        link = self._text[begins_at:]
        is_glued = begins_at > 0 and not self._text[begins_at - 1].isspace()
        return bool(_NOTE_MARK.fullmatch(link) or (is_glued and _GLUED_MARK.fullmatch(link)))

    def unknown_decl(self, data: str) -> None:
        """Read a section of characters that are not marks."""
        if data.startswith(_CHARACTERS):
            self.handle_data(data.removeprefix(_CHARACTERS))

    def handle_data(self, data: str) -> None:
        """Read text."""
        if self._open and self._open[-1].is_unread:
            return
        if any(each.tag == "pre" for each in self._open):
            self._text += data
            return
        text = _WHITE_SPACE.sub(" ", data)
        if not self._text or self._text.endswith((" ", "\n")):
            text = text.removeprefix(" ")
        self._text += text

    def _end_block(self) -> None:
        lines = [line.strip(" \t") for line in self._text.split("\n")]
        text = "\n".join(lines).strip("\n")
        if text:
            self.blocks.append(Block(text=text, heading_level=self._level))
        self._text, self._level = "", 0
        for each in self._open:
            each.begins_at = 0


def headings(blocks: Sequence[Block]) -> Iterator[str]:
    """Give the headings of a page, on one line each."""
    for block in blocks:
        if block.heading_level:
            yield " ".join(block.text.split())
