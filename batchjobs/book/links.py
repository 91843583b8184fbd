"""A book's notes, known by their links: the mark leads to the note, the note back to the mark."""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final
from urllib.parse import unquote, urldefrag

from batchjobs.book.archive import Archive
from batchjobs.book.marks import is_note_mark, is_return

_CONTAINERS: Final = frozenset("p li div aside dd dt tr td table blockquote section".split())
_BLOCKS: Final = _CONTAINERS | frozenset("h1 h2 h3 h4 h5 h6 body ul ol dl table pre".split())
_VOID: Final = frozenset(
    "br hr img meta link input wbr col area base embed source track param".split()
)
_LONGEST_NOTE: Final = 6_000
"""An element that holds more is no note, but a chapter of them, or of prose."""

_Place = tuple[str, str]


def resolve(base: str, href: str) -> _Place:
    """Resolve a link to a file in the archive, and a place in it."""
    target, fragment = urldefrag(href)
    name = posixpath.normpath(posixpath.join(posixpath.dirname(base), unquote(target)))
    return (name if target else base), unquote(fragment)


def locate(archive: Archive, base: str, href: str) -> _Place:
    """Resolve a link to a file as the archive names it, and a place in it."""
    name, fragment = resolve(base, href.strip().replace("\\", "/"))
    found = archive.find(name)
    if found not in archive.names and name.startswith("/"):
        found = archive.find(resolve(base, name.lstrip("/"))[0])
    return found, fragment


@dataclass(slots=True)
class _Element:
    """An element that is open.

    Attributes:
        text_at: How much text of the page stands before it.
        block_at: How much text stood before its paragraph.
    """

    tag: str
    name: str
    text_at: int
    block_at: int
    href: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    """A link that may be a note's mark, or a note's way back."""

    target: _Place
    names: frozenset[str]
    begins_block: bool
    text_at: int


@dataclass(slots=True)
class _Span:
    """An element with a name: from where to where its text goes, and whether it can be a note."""

    begins: int
    ends: int
    can_be_note: bool


@dataclass(slots=True)
class _Page:
    links: list[_Link] = field(default_factory=list)
    spans: dict[str, _Span] = field(default_factory=dict)


class _Links(HTMLParser):
    """Reads a page's links that are a number, a letter or a sign, and where names stand."""

    def __init__(self, file: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found = _Page()
        self._file = file
        self._open: list[_Element] = []
        self._text: list[str] = []
        self._length = 0
        self._block_at = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        tag = tag.rpartition(":")[2]
        given = {name: value or "" for name, value in attrs}
        if tag in _BLOCKS:
            self._block_at = self._length
        if tag in _VOID:
            return
        name = given.get("id") or (given.get("name", "") if tag == "a" else "")
        href = given.get("href", "") if tag == "a" else ""
        self._open.append(_Element(tag, name, self._length, self._block_at, href))

    def handle_endtag(self, tag: str) -> None:
        tag = tag.rpartition(":")[2]
        if all(each.tag != tag for each in self._open):
            return
        while self._open:
            last = self._open.pop()
            self._close(last)
            if last.tag == tag:
                break
        if tag in _BLOCKS:
            self._block_at = self._length

    def _close(self, last: _Element) -> None:
        if last.name:
            span = _Span(last.text_at, self._length, last.tag in _CONTAINERS)
            self.found.spans.setdefault(last.name, span)
        if "#" not in last.href:
            return
        text = self._tail(last)
        if is_note_mark(text) or is_return(text):
            names = {e.name for e in [*self._open, last] if e.name and e.text_at >= last.text_at}
            link = _Link(
                target=resolve(self._file, last.href),
                names=frozenset(names),
                begins_block=last.text_at <= last.block_at,
                text_at=last.text_at,
            )
            self.found.links.append(link)

    def _tail(self, last: _Element) -> str:
        """Give the text since an element began, without joining the whole page."""
        parts: list[str] = []
        length = self._length
        for part in reversed(self._text):
            if length <= last.text_at:
                break
            parts.append(part)
            length -= len(part)
        return "".join(reversed(parts))

    def handle_data(self, data: str) -> None:
        data = " ".join(data.split())
        if data:
            self._text.append(data)
            self._length += len(data)


def find_notes(pages: Mapping[str, str]) -> dict[str, set[str]]:
    """Find the notes of a book's pages, whatever they are called.

    Args:
        pages: By their names in the archive.

    Returns:
        For each page the names of its elements that are notes.
    """
    read: dict[str, _Page] = {}
    for file, page in pages.items():
        if "#" in page:
            reader = _Links(file)
            reader.feed(page)
            reader.close()
            read[file] = reader.found
    marks = {
        (file, name): link.target
        for file, found in read.items()
        for link in found.links
        if not link.begins_block
        for name in link.names
    }
    notes: dict[str, set[str]] = {}
    for file, found in read.items():
        for link in found.links:
            note = marks.get(link.target)
            if note is None or note[0] != file:
                continue
            span = found.spans.get(note[1])
            if span is None or not span.begins <= link.text_at <= span.ends:
                continue
            is_whole = span.can_be_note or link.begins_block
            if is_whole and span.ends - span.begins <= _LONGEST_NOTE:
                notes.setdefault(file, set()).add(note[1])
    return notes
