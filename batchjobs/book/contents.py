"""What an EPUB says of itself: its facts, the order of its pages, and its table of contents."""

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urldefrag

from batchjobs.book.archive import Archive, all_below, local_name

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_CONTAINER: Final = "META-INF/container.xml"
_NCX: Final = "application/x-dtbncx+xml"
_NO_PAGES: Final = ("image/", "audio/", "video/", "font/", "application/pdf")
_UNREAD_PAGES: Final = frozenset(
    """
    cover title-page titlepage halftitlepage copyright-page colophon toc loi lot index notes
    footnotes endnotes rearnotes
    """.split()
)
"""By the names of EPUB 2's guide and EPUB 3's landmarks."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the table of contents; without a file it only groups others.

    Attributes:
        file: The page, as the archive names it.
        fragment: The place in it; empty for its beginning.
        title: As printed.
        depth: 0 for the outermost.
    """

    file: str
    fragment: str
    title: str
    depth: int


@dataclass(slots=True, kw_only=True)
class Package:
    """What the package document says.

    Attributes:
        title: The book's.
        authors: In order.
        facts: ``language``, ``publisher``, ``date`` and ``identifier``, where they are given.
        spine: The pages in reading order.
        unread: Pages that are navigation, notes, or the printer's.
        nav: EPUB 3's contents; may be empty.
        ncx: EPUB 2's; may be empty.
        cover: The picture; may be empty.
    """

    title: str = ""
    authors: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    spine: list[str] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    nav: str = ""
    ncx: str = ""
    cover: str = ""


@dataclass(frozen=True, slots=True)
class _Item:
    file: str
    kind: str
    properties: frozenset[str]


def read_package(archive: Archive) -> Package:
    """Read the package document.

    Raises:
        ManifestError: It is missing or damaged.
    """
    root = archive.xml(_CONTAINER)
    name = next((e.get("full-path", "") for e in all_below(root, "rootfile")), "")
    package = archive.xml(name)
    items = {
        item.get("id", ""): _Item(
            _resolve(name, item.get("href", ""))[0],
            item.get("media-type", ""),
            frozenset(item.get("properties", "").split()),
        )
        for item in all_below(package, "item")
    }
    found = Package(
        title=next(_texts_of(package, "title"), ""),
        authors=list(_texts_of(package, "creator")),
        spine=list(_read_spine(package, items)),
        nav=next((item.file for item in items.values() if "nav" in item.properties), ""),
        ncx=next((item.file for item in items.values() if item.kind == _NCX), ""),
        cover=_find_cover(package, items),
    )
    for fact in ("language", "publisher", "date", "identifier"):
        for value in _texts_of(package, fact):
            found.facts.setdefault(fact, value)
    found.unread.update(_find_unread(all_below(package, "reference"), name))
    if found.nav in archive.names:
        landmarks = _find_nav(archive.xml(found.nav), "landmarks")
        links = [] if landmarks is None else all_below(landmarks, "a")
        found.unread.update(_find_unread(links, found.nav))
    return found


def _read_spine(package: "Element", items: Mapping[str, _Item]) -> Iterator[str]:
    for ref in all_below(package, "itemref"):
        item = items.get(ref.get("idref", ""))
        if item and ref.get("linear") != "no" and not item.kind.startswith(_NO_PAGES):
            yield item.file


def _find_cover(package: "Element", items: Mapping[str, _Item]) -> str:
    """Find the cover's picture, as EPUB 3 or EPUB 2 marks it."""
    for item in items.values():
        if "cover-image" in item.properties:
            return item.file
    names = [e.get("content", "") for e in all_below(package, "meta") if e.get("name") == "cover"]
    return next((items[name].file for name in names if name in items), "")


def _find_unread(lines: "Iterable[Element]", base: str) -> Iterator[str]:
    """Find the pages that a guide or the landmarks call something that is not read aloud."""
    for line in lines:
        file, fragment = _resolve(base, line.get("href", ""))
        if not fragment and not _UNREAD_PAGES.isdisjoint(_attribute_of(line, "type").split()):
            yield file


def read_entries(archive: Archive, package: Package) -> list[Entry]:
    """Read the table of contents: EPUB 3's, else EPUB 2's; every line, also those that group.

    Raises:
        ManifestError: It is damaged.
    """
    entries: list[Entry] = []
    if package.nav in archive.names:
        nav = _find_nav(archive.xml(package.nav), "toc")
        entries = [] if nav is None else list(_nav_entries(nav, package.nav))
    if not entries and package.ncx in archive.names:
        for points in all_below(archive.xml(package.ncx), "navMap"):
            entries += _ncx_entries(points, package.ncx)
    return entries


def chapter_entries(entries: Sequence[Entry], depth: int | None = None) -> list[Entry]:
    """Choose the lines of the contents that begin a chapter.

    Args:
        entries: All of them.
        depth: How many levels begin chapters. None judges: a line below a line of the same page is a
            section of it, unless the one above stands alone over the whole book.
    """
    if depth is not None:
        return [entry for entry in entries if entry.file and entry.depth < depth]
    is_lone = sum(entry.depth == 0 for entry in entries) == 1
    chapters: list[Entry] = []
    above: dict[int, str] = {}
    for entry in entries:
        above[entry.depth] = entry.file
        is_section = any(above.get(d) == entry.file for d in range(int(is_lone), entry.depth))
        if entry.file and not is_section:
            chapters.append(entry)
    return chapters


def _find_nav(root: "Element", kind: str) -> "Element | None":
    navs = (e for e in all_below(root, "nav") if kind in _attribute_of(e, "type").split())
    return next(navs, None)


def _nav_entries(nav: "Element", base: str) -> Iterator[Entry]:
    for line, depth in _walk(nav, "li"):
        link = next((e for e in line if local_name(e) in {"a", "span"}), None)
        if link is not None:
            href = link.get("href", "")
            yield Entry(*(_resolve(base, href) if href else ("", "")), _text_of(link), depth)


def _ncx_entries(points: "Element", base: str) -> Iterator[Entry]:
    for point, depth in _walk(points, "navPoint"):
        label = next((_text_of(e) for e in point if local_name(e) == "navLabel"), "")
        source = next((e.get("src", "") for e in point if local_name(e) == "content"), "")
        yield Entry(*(_resolve(base, source) if source else ("", "")), label, depth)


def _walk(root: "Element", name: str) -> "Iterator[tuple[Element, int]]":
    """Give all elements of a name with their depth, in order; however deep, without recursion."""
    waiting = [(root, 0)]
    while waiting:
        element, depth = waiting.pop()
        if local_name(element) == name:
            yield element, depth
            depth += 1
        waiting.extend((child, depth) for child in reversed(element))


def _resolve(base: str, href: str) -> tuple[str, str]:
    """Resolve a link to a file in the archive, and a place in it."""
    target, fragment = urldefrag(href)
    name = posixpath.normpath(posixpath.join(posixpath.dirname(base), unquote(target)))
    return (name if target else base), unquote(fragment)


def _attribute_of(element: "Element", name: str) -> str:
    """Give an attribute whatever its namespace."""
    found: Mapping[str, str] = element.attrib
    return next((v for k, v in found.items() if k.rpartition("}")[2] == name), "")


def _texts_of(root: "Element", name: str) -> Iterator[str]:
    return filter(None, map(_text_of, all_below(root, name)))


def _text_of(element: "Element") -> str:
    return " ".join("".join(element.itertext()).split())
