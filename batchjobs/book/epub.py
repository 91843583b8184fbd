"""EPUB 2 and 3: chapters in reading order, as the table of contents has them."""

import posixpath
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urldefrag

from batchjobs.book.prose import Block, Prose, headings, joined
from batchjobs.book.records import Book, Chapter
from batchjobs.errors import ConfigurationError, ManifestError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["read_epub"]

_CONTAINER: Final = "META-INF/container.xml"
_ENCRYPTION: Final = "META-INF/encryption.xml"
_FONT_SCRAMBLING: Final = (b"http://www.idpf.org/2008/embedding", b"http://ns.adobe.com/pdf/enc#RC")
_MOST_BYTES: Final = 512 * 1024 * 1024
_MOST_FILES: Final = 20_000
_LEAST_PREFACE_CHARACTERS: Final = 1_500
"""What stands before the first chapter of the contents is a title page if it is shorter."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of the table of contents."""

    file: str
    fragment: str
    title: str
    depth: int


@dataclass(slots=True)
class _Package:
    """What the package document says."""

    title: str = ""
    authors: list[str] = field(default_factory=list)
    language: str = ""
    spine: list[str] = field(default_factory=list)
    nav: str = ""
    ncx: str = ""
    cover: str = ""


@dataclass(slots=True)
class _Section:
    title: str
    blocks: list[Block] = field(default_factory=list)
    is_named: bool = True
    """Whether the contents name it."""


def read_epub(path: Path) -> Book:
    """Read an EPUB's prose.

    Args:
        path: The book.

    Raises:
        ManifestError: It is no EPUB, is damaged or protected, or holds no text.
        ConfigurationError: The extra ``book`` is not installed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _Reader(path, archive).book()
    except zipfile.BadZipFile as error:
        raise ManifestError(f"{path} is no EPUB: {error}", hint="check the file") from error
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror or error}") from error


class _Reader:
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path = path
        self._archive = archive
        infos = archive.infolist()
        if len(infos) > _MOST_FILES or sum(info.file_size for info in infos) > _MOST_BYTES:
            raise self._error("unpacks to more than any book", "check where it comes from")
        self._names = {info.filename for info in infos}

    def book(self) -> Book:
        """Read it all."""
        self._refuse_protected()
        package = self._package()
        entries = self._entries(package)
        sections, left_out = self._sections(package, entries)
        chapters = tuple(
            Chapter(title=section.title, text=joined(section.blocks))
            for section in sections
            if section.blocks
        )
        if not chapters:
            raise self._error("holds no text", "is it a book of pictures?")
        cover = self._read(package.cover) if package.cover in self._names else b""
        return Book(
            title=package.title or self._path.stem,
            authors=tuple(package.authors),
            language=package.language,
            chapters=chapters,
            cover=cover,
            left_out=tuple(left_out),
        )

    # -- the archive ----------------------------------------------------------------------------

    def _error(self, message: str, hint: str) -> ManifestError:
        return ManifestError(f"{self._path} {message}", hint=hint)

    def _read(self, name: str) -> bytes:
        try:
            # No more than the archive says, which was added up: a lie about it ends here.
            with self._archive.open(name) as file:
                return file.read(self._archive.getinfo(name).file_size)
        except KeyError as error:
            raise self._error(f"lacks its file '{name}'", "it is damaged") from error
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
            raise self._error(f"cannot be unpacked: {error}", "it is damaged") from error

    def _xml(self, name: str) -> "Element":
        try:
            from defusedxml import DefusedXmlException, ElementTree
        except ImportError as error:
            raise ConfigurationError(
                "reading an EPUB needs the extra 'book'", hint="pip install 'batchjobs[book]'"
            ) from error
        try:
            root: Element = ElementTree.fromstring(self._read(name))
        except (ElementTree.ParseError, DefusedXmlException, ValueError) as error:
            raise self._error(
                f"has a damaged '{name}': {error}", "open and save it again"
            ) from error
        return root

    def _refuse_protected(self) -> None:
        if _ENCRYPTION not in self._names:
            return
        content = self._read(_ENCRYPTION)
        protected = content.count(b"<EncryptedData") + content.count(b":EncryptedData ")
        scrambled = sum(map(content.count, _FONT_SCRAMBLING))
        if protected > scrambled:
            raise self._error("is protected (DRM)", "only books without protection can be read")

    # -- the package ----------------------------------------------------------------------------

    def _package(self) -> _Package:
        root = self._xml(_CONTAINER)
        name = next((e.get("full-path", "") for e in _all(root, "rootfile")), "")
        package = self._xml(name)
        found = _Package()
        items: dict[str, tuple[str, str, str]] = {}
        for item in _all(package, "item"):
            href = _resolved(name, item.get("href", ""))[0]
            kind, properties = item.get("media-type", ""), item.get("properties", "")
            items[item.get("id", "")] = href, kind, properties
            if "nav" in properties.split():
                found.nav = href
            if "cover-image" in properties.split():
                found.cover = href
            if kind == "application/x-dtbncx+xml":
                found.ncx = href
        for each in _all(package, "meta"):
            if each.get("name") == "cover" and each.get("content") in items and not found.cover:
                found.cover = items[each.get("content", "")][0]
        found.spine = [
            items[ref.get("idref", "")][0]
            for ref in _all(package, "itemref")
            if ref.get("linear") != "no" and ref.get("idref", "") in items
        ]
        found.title = next((_text(e) for e in _all(package, "title")), "")
        found.authors = [_text(e) for e in _all(package, "creator") if _text(e)]
        found.language = next((_text(e) for e in _all(package, "language")), "")
        return found

    # -- the contents ---------------------------------------------------------------------------

    def _entries(self, package: _Package) -> list[_Entry]:
        """Give the lines of the contents that begin a chapter.

        Lines below a line of the same file are its sections, not chapters.
        """
        if package.nav in self._names:
            entries = list(self._nav_entries(package.nav))
        elif package.ncx in self._names:
            root = self._xml(package.ncx)
            entries = [
                e for m in _all(root, "navMap") for e in self._ncx_entries(m, package.ncx, 0)
            ]
        else:
            entries = []
        chapters: list[_Entry] = []
        above: dict[int, str] = {}
        for entry in entries:
            above[entry.depth] = entry.file
            if not any(above.get(depth) == entry.file for depth in range(entry.depth)):
                chapters.append(entry)
        return chapters

    def _nav_entries(self, name: str) -> Iterator[_Entry]:
        root = self._xml(name)
        navs = [e for e in _all(root, "nav") if "toc" in _attribute(e, "type").split()]
        for nav in navs[:1]:
            yield from self._list_entries(nav, name, 0)

    def _list_entries(self, parent: "Element", name: str, depth: int) -> Iterator[_Entry]:
        for child in parent:
            tag = _tag(child)
            if tag == "ol":
                yield from self._list_entries(child, name, depth)
            elif tag == "li":
                link = next((e for e in child if _tag(e) == "a"), None)
                if link is not None:
                    file, fragment = _resolved(name, link.get("href", ""))
                    yield _Entry(file, fragment, _text(link), depth)
                yield from self._list_entries(child, name, depth + 1)

    def _ncx_entries(self, parent: "Element", name: str, depth: int) -> Iterator[_Entry]:
        for point in parent:
            if _tag(point) != "navPoint":
                continue
            label = next((_text(e) for e in point if _tag(e) == "navLabel"), "")
            source = next((e.get("src", "") for e in point if _tag(e) == "content"), "")
            yield _Entry(*_resolved(name, source), label, depth)
            yield from self._ncx_entries(point, name, depth + 1)

    # -- the text -------------------------------------------------------------------------------

    def _sections(
        self, package: _Package, entries: Sequence[_Entry]
    ) -> tuple[list[_Section], list[str]]:
        """Go through the spine, and begin a chapter wherever the contents say so."""
        sections = [_Section(package.title or self._path.stem, is_named=False)]
        left_out = []
        for file in package.spine:
            if file == package.nav or file not in self._names:
                continue
            page = Prose.of(self._read(file).decode("utf-8-sig", "replace"))
            if not page.blocks:
                left_out.append(f"{file}: nothing to read aloud")
                continue
            starts = _starts(page, [entry for entry in entries if entry.file == file])
            if not entries:
                starts = {0: next(headings(page.blocks), f"{len(sections)}")}
            for number, block in enumerate(page.blocks):
                if number in starts:
                    sections.append(_Section(starts[number]))
                sections[-1].blocks.append(block)
        preface = sections[0]
        length = len(joined(preface.blocks))
        if entries and preface.blocks and length < _LEAST_PREFACE_CHARACTERS:
            left_out.append(f"before the first chapter: {length} characters")
            preface.blocks.clear()
        return sections, left_out


def _starts(page: Prose, entries: Sequence[_Entry]) -> dict[int, str]:
    """Give the blocks of a page that begin a chapter, with its title."""
    starts: dict[int, str] = {}
    for entry in entries:
        place = page.places.get(entry.fragment, 0) if entry.fragment else 0
        if place < len(page.blocks):
            starts.setdefault(place, entry.title)
    return starts


def _resolved(base: str, href: str) -> tuple[str, str]:
    """Give the file in the archive that a link means, and the place in it."""
    target, fragment = urldefrag(href)
    name = posixpath.normpath(posixpath.join(posixpath.dirname(base), unquote(target)))
    return (name if target else base), unquote(fragment)


def _tag(element: "Element") -> str:
    return element.tag.rpartition("}")[2]


def _all(root: "Element", tag: str) -> Iterator["Element"]:
    return (element for element in root.iter() if _tag(element) == tag)


def _attribute(element: "Element", name: str) -> str:
    """Give an attribute whatever its namespace."""
    found: Mapping[str, str] = element.attrib
    return next((v for k, v in found.items() if k.rpartition("}")[2] == name), "")


def _text(element: "Element") -> str:
    return " ".join("".join(element.itertext()).split())
