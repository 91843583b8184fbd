"""What an EPUB says of itself: its facts, the order of its pages, and its table of contents."""

import html
import html.entities
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from batchjobs.book.archive import Archive, all_below, attribute_of, local_name, text_of
from batchjobs.book.cover import list_covers
from batchjobs.book.facts import read_facts
from batchjobs.book.letters import clean_letters
from batchjobs.book.links import locate
from batchjobs.errors import ManifestError

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


_PART: Final = re.compile(
    r"(?:part|book|volume|act|teil|buch|band|partie|livre|tome|parte|libro|parts?|часть|книга"
    r"|ال?(?:جزء|قسم|باب|كتاب|مجلد|سفر))\b",
    re.IGNORECASE,
)
_CHAPTER: Final = re.compile(
    r"(?:chapter|kapitel|chapitre|capítulo|capitolo|глава|الفصل|فصل)\b", re.IGNORECASE
)
_ENTITY: Final = re.compile(r"&(\w+);|<!ENTITY")
_NCX_LINES: Final = re.compile(
    r"(<navPoint\b)|(</navPoint)|<text>([^<]*)</text>[^<]*</navLabel>\s*<content[^>]*?"
    r"""src\s*=\s*["']([^"']+)["']"""
)


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
        facts: Its language, publisher, date, series and so on, where they are given.
        spine: The pages in reading order.
        skipped: What the reading order names and does not hold, and why.
        unread: Pages that are navigation, notes, or the printer's, with what they are called.
        nav: EPUB 3's contents; may be empty.
        ncx: EPUB 2's; may be empty.
        covers: Files that may be the cover or hold it, the likeliest first.
    """

    title: str = ""
    authors: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    spine: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    unread: dict[str, frozenset[str]] = field(default_factory=dict)
    nav: str = ""
    ncx: str = ""
    covers: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Item:
    file: str
    kind: str
    properties: frozenset[str]


_ASIDE: Final = "beside the reading order (linear='no')"


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
            locate(archive, name, item.get("href", ""))[0],
            item.get("media-type", ""),
            frozenset(item.get("properties", "").split()),
        )
        for item in all_below(package, "item")
    }
    facts = read_facts(package)
    found = Package(
        title=facts.title,
        authors=facts.authors,
        facts=facts.others,
        nav=next((item.file for item in items.values() if "nav" in item.properties), ""),
        ncx=next((item.file for item in items.values() if item.kind == _NCX), ""),
        covers=list(list_covers(archive, package, name, items)),
    )
    _read_spine(package, items, found)
    found.unread.update(_find_unread(archive, all_below(package, "reference"), name))
    if found.nav in archive.names:
        landmarks = _find_nav(archive.xml(found.nav), "landmarks")
        links = [] if landmarks is None else list(all_below(landmarks, "a"))
        found.unread.update(_find_unread(archive, links, found.nav))
        found.covers += _find_cover_pages(archive, links, found.nav)
    return found


def _read_spine(package: "Element", items: Mapping[str, _Item], found: Package) -> None:
    for ref in all_below(package, "itemref"):
        name = ref.get("idref", "")
        item = items.get(name)
        if item is None:
            found.skipped[name] = "missing in the book's list of files"
        elif item.kind.startswith(_NO_PAGES):
            found.skipped[item.file] = f"no page but {item.kind}"
        else:
            found.spine.append(item.file)
            if ref.get("linear") == "no":
                found.skipped[item.file] = _ASIDE


def keep_listed(package: Package, entries: Iterable[Entry]) -> None:
    """Keep the pages beside the reading order that the contents list, and no others."""
    listed = {entry.file for entry in entries}
    for file in [f for f, why in package.skipped.items() if why == _ASIDE and f in listed]:
        del package.skipped[file]
    package.spine = [file for file in package.spine if file not in package.skipped]
    for file in sorted(listed - set(package.spine) - set(package.skipped) - {"", package.nav}):
        package.skipped[file] = "in the contents, but not in the reading order"


def _find_unread(
    archive: Archive, lines: "Iterable[Element]", base: str
) -> Iterator[tuple[str, frozenset[str]]]:
    """Find the pages that a guide or the landmarks call something that is not read aloud."""
    for line in lines:
        file, fragment = locate(archive, base, line.get("href", ""))
        kinds = frozenset(attribute_of(line, "type").split())
        if not fragment and not _UNREAD_PAGES.isdisjoint(kinds):
            yield file, kinds


def _find_cover_pages(archive: Archive, links: "Iterable[Element]", base: str) -> Iterator[str]:
    """Find the pages that the landmarks call the cover."""
    for link in links:
        if "cover" in attribute_of(link, "type").split():
            yield locate(archive, base, link.get("href", ""))[0]


def read_entries(archive: Archive, package: Package) -> list[Entry]:
    """Read the table of contents: EPUB 3's, else EPUB 2's; every line, also those that group.

    Raises:
        ManifestError: It is damaged.
    """
    entries: list[Entry] = []
    if package.nav in archive.names:
        nav = _find_nav(archive.xml(package.nav), "toc")
        entries = [] if nav is None else list(_nav_entries(archive, nav, package.nav))
    if not entries and package.ncx in archive.names:
        try:
            ncx = archive.xml(package.ncx)
        except ManifestError:
            entries = list(_rescue_entries(archive, package.ncx))
            if not entries:
                raise
            return entries
        for points in all_below(ncx, "navMap"):
            entries += _ncx_entries(archive, points, package.ncx)
    return entries


def _rescue_entries(archive: Archive, ncx: str) -> Iterator[Entry]:
    """Read the lines of a damaged NCX, as far as they are whole."""
    text = archive.text(ncx)
    if any(f"{name};" not in html.entities.html5 for name in _ENTITY.findall(text)):
        return
    depth = -1
    for opens, closes, label, source in _NCX_LINES.findall(html.unescape(text)):
        depth += bool(opens) - bool(closes)
        if source:
            title = clean_letters(" ".join(label.split()))
            yield Entry(*locate(archive, ncx, source), title, max(depth, 0))


def is_part(title: str) -> bool:
    """Say whether a line of the contents is of a part, which holds chapters."""
    return _PART.match(title) is not None


def chapter_entries(entries: Sequence[Entry], depth: int | None = None) -> list[Entry]:
    """Choose the lines of the contents that begin a chapter.

    Args:
        entries: All of them.
        depth: How many levels begin chapters. None judges: a line below a line of the same page is a
            section of it, unless the one above stands alone over the whole book or is a part, or the
            line calls itself a chapter.
    """
    if depth is not None:
        return [entry for entry in entries if entry.file and entry.depth < depth]
    is_lone = sum(entry.depth == 0 for entry in entries) == 1
    chapters: list[Entry] = []
    above: dict[int, str] = {}
    are_parts: dict[int, bool] = {}
    for entry in entries:
        above[entry.depth] = entry.file
        is_section = any(
            above.get(d) == entry.file and not are_parts.get(d)
            for d in range(int(is_lone), entry.depth)
        )
        are_parts[entry.depth] = is_part(entry.title)
        if entry.file and (not is_section or _CHAPTER.match(entry.title)):
            chapters.append(entry)
    return chapters


def _find_nav(root: "Element", kind: str) -> "Element | None":
    navs = (e for e in all_below(root, "nav") if kind in attribute_of(e, "type").split())
    return next(navs, None)


def _nav_entries(archive: Archive, nav: "Element", base: str) -> Iterator[Entry]:
    for line, depth in _walk(nav, "li"):
        inner = list(_label_elements(line))
        link = next((e for e in inner if local_name(e) == "a"), None)
        link = link if link is not None else next(iter(inner), None)
        if link is not None:
            href = link.get("href", "")
            title = text_of(link) or _alt_of(link)
            yield Entry(*(locate(archive, base, href) if href else ("", "")), title, depth)


def _label_elements(line: "Element") -> "Iterator[Element]":
    """Give the elements of a line of the contents, without the lines below it."""
    for child in line:
        if local_name(child) not in {"ol", "ul"}:
            yield child
            yield from _label_elements(child)


def _alt_of(link: "Element") -> str:
    """Give what a link says whose label is a picture."""
    alts = [e.get("alt", "") for e in all_below(link, "img")]
    return " ".join(
        clean_letters(" ".join([*alts] if any(alts) else [link.get("title", "")])).split()
    )


def _ncx_entries(archive: Archive, points: "Element", base: str) -> Iterator[Entry]:
    for point, depth in _walk(points, "navPoint"):
        label = next((text_of(e) for e in point if local_name(e) == "navLabel"), "")
        source = next((e.get("src", "") for e in point if local_name(e) == "content"), "")
        yield Entry(*(locate(archive, base, source) if source else ("", "")), label, depth)


def _walk(root: "Element", name: str) -> "Iterator[tuple[Element, int]]":
    """Give all elements of a name with their depth, in order; however deep, without recursion."""
    waiting = [(root, 0)]
    while waiting:
        element, depth = waiting.pop()
        if local_name(element) == name:
            yield element, depth
            depth += 1
        waiting.extend((child, depth) for child in reversed(element))
