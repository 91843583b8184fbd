"""EPUB 2 and 3: chapters in reading order, as the table of contents has them."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from batchjobs.book.archive import Archive, open_archive
from batchjobs.book.chapters import Book, Chapter
from batchjobs.book.contents import (
    Entry,
    Package,
    chapter_entries,
    is_part,
    keep_listed,
    read_entries,
    read_package,
)
from batchjobs.book.cover import read_cover
from batchjobs.book.letters import is_speakable
from batchjobs.book.links import find_notes, resolve
from batchjobs.book.marks import Noise
from batchjobs.book.prose import Block, LeftOut, Prose, headings, join_blocks, tell_left_out
from batchjobs.errors import ManifestError
from batchjobs.formatting import plural

_LEAST_PREFACE_CHARACTERS: Final = 1_500
"""What stands before the first chapter of the contents is a title page if it is shorter ..."""
_LEAST_PROLOGUE_CHARACTERS: Final = 400
"""... but for a page with a heading of its own, such as a prologue."""
_PRINTERS: Final = re.compile(
    r"(?:table of )?contents|notes|endnotes|footnotes|cover|title ?page|half[ -]?title|copyright.*"
    r"|index|colophon|list of .*|also by .*|about the (?:author|publisher).*|imprint|inhalt\w*"
    r"|titel\w*|impressum|anmerkungen|register|umschlag|sommaire|table des matières|couverture"
    r"|mentions légales|índice|cubierta|portada|créditos|indice|copertina|оглавление|содержание"
    r"|примечания|обложка|(?:قائمة )?المحتويات|(?:ال)?فهرس.*|(?:ال)?هوامش|(?:ال)?حواشي|(?:ال)?غلاف"
    r"|حقوق النشر.*|صفحة (?:ال)?(?:عنوان|غلاف|حقوق)",
    re.IGNORECASE,
)
"""Titles of pages that are no prose."""
_NOTES: Final = frozenset("notes footnotes endnotes rearnotes".split())
_SHEET: Final = re.compile(r"<(?:\w+:)?link\b[^>]*>", re.IGNORECASE)
_HREF: Final = re.compile(r"""href\s*=\s*["']([^"']+)["']""", re.IGNORECASE)
_FOR_A_DEVICE: Final = re.compile(
    r"""media\s*=\s*["'](?!\s*(?:all|screen)\s*["'])""", re.IGNORECASE
)


@dataclass(slots=True)
class _Section:
    title: str
    blocks: list[Block] = field(default_factory=list)
    is_front: bool = False


def read_epub(path: Path, *, depth: int | None = None) -> Book:
    """Read an EPUB's prose.

    Args:
        path: The book.
        depth: How many levels of its contents begin chapters; None judges by its pages.

    Raises:
        ManifestError: It is no EPUB, is damaged or protected, or holds no text.
        MissingExtraError: The extra ``book`` is not installed.
    """
    with open_archive(path) as archive:
        package = read_package(archive)
        every = read_entries(archive, package)
        keep_listed(package, every)
        sections, left_out = _Reader(archive, package, chapter_entries(every, depth)).read()
        chapters = tuple(
            Chapter(title=section.title, text=join_blocks(section.blocks))
            for section in sections
            if section.blocks
        )
        if not chapters:
            raise archive.error("holds no text", "is it a book of pictures?")
        cover, lost_cover = read_cover(archive, package.covers)
        return Book(
            title=package.title or path.stem,
            authors=tuple(package.authors),
            language=package.facts.pop("language", ""),
            facts=package.facts,
            chapters=chapters,
            cover=cover,
            left_out=(*left_out, *filter(None, [lost_cover])),
        )


class _Reader:
    """Divides the pages of the spine into chapters, as the contents say, and tells what it leaves."""

    def __init__(self, archive: Archive, package: Package, entries: Sequence[Entry]) -> None:
        self._archive = archive
        self._package = package
        self._entries = entries
        self._unread = _find_unread(package, entries)
        self._sections = [_Section(package.title or archive.path.stem)]
        self._left_out = [f"{file}: {why}" for file, why in package.skipped.items()]
        self._noise: dict[Noise, LeftOut] = {}
        self._waiting: list[str] = []
        """Titles of chapters whose page or place had nothing to read: the next text is theirs."""

    def read(self) -> tuple[list[_Section], list[str]]:
        """Read all pages.

        Returns:
            The sections, of which some may be empty, and what is left out.
        """
        pages = dict(self._read_pages())
        notes = find_notes(pages)
        is_by_heading = len(self._entries) <= 1
        for file, text in pages.items():
            entries = [entry for entry in self._entries if entry.file == file]
            page = Prose.of(text, self._read_sheets(file, text), notes.get(file, ()))
            if file in self._unread:
                length = plural(len(join_blocks(page.blocks)), "character")
                self._left_out.append(f"{file}: {self._unread[file]} ({length})")
                continue
            self._count(page.left_out)
            if not any(is_speakable(block.text) for block in page.blocks):
                what = " ".join(join_blocks(page.blocks).split())[:40]
                said = f"nothing to read aloud{f' ({what})' if what else ''}"
                self._left_out.append(f"{file}: {said}")
                self._waiting += [entry.title for entry in entries if entry.title and not what]
                continue
            starts = _find_starts(page, entries)
            if is_by_heading and not entries:
                starts = self._start_at_heading(page)
            self._add(page, starts)
        self._drop_front()
        self._tell_waiting()
        return self._sections, [*self._left_out, *tell_left_out(self._noise)]

    def _read_pages(self) -> Iterator[tuple[str, str]]:
        for file in self._package.spine:
            if file == self._package.nav:
                continue
            if file in self._archive.names:
                yield file, self._archive.text(file)
            else:
                self._left_out.append(f"{file}: missing in the book's file")

    def _read_sheets(self, file: str, text: str) -> list[str]:
        """Read the style sheets that a page names; one that cannot be read hides nothing."""
        sheets = []
        for link in _SHEET.findall(text):
            found = _HREF.search(link)
            if found is None or _FOR_A_DEVICE.search(link):
                continue
            name = self._archive.find(resolve(file, found[1])[0])
            if name in self._archive.names and name.lower().endswith(".css"):
                try:
                    sheets.append(self._archive.text(name))
                except ManifestError:
                    continue
        return sheets

    def _count(self, left_out: Mapping[Noise, LeftOut]) -> None:
        for noise, left in left_out.items():
            total = self._noise.setdefault(noise, LeftOut())
            total.times += left.times
            total.characters += left.characters

    def _start_at_heading(self, page: Prose) -> dict[int, str]:
        """Begin a chapter with a page, if the contents are none or name the whole book at most."""
        title = next(headings(page.blocks), "")
        if not self._entries:
            return {0: title or f"{len(self._sections)}"}
        is_headed = page.blocks[0].heading_level > 0 and self._has_begun
        return {0: title} if is_headed else {}

    @property
    def _has_begun(self) -> bool:
        """Whether a chapter of the contents has begun."""
        return not self._sections[-1].is_front and len(self._sections) > 1

    def _add(self, page: Prose, starts: Mapping[int, str]) -> None:
        """Add a page to the chapters: what it begins, and what goes on."""
        ends = [*starts.values()]
        if self._entries and not self._has_begun and not ends:
            self._add_front(page)
            return
        place = min(starts, default=len(page.blocks))
        if self._waiting and place > 0:
            self._sections.append(_Section(self._waiting.pop()))
        self._tell_waiting()
        for number, block in enumerate(page.blocks):
            if number in starts:
                self._sections.append(_Section(starts[number]))
            self._sections[-1].blocks.append(block)
        self._waiting += [title for at, title in starts.items() if at >= len(page.blocks) and title]

    def _add_front(self, page: Prose) -> None:
        """Add a page before the first chapter: one with a heading may be a prologue."""
        if self._waiting:
            self._sections.append(_Section(self._waiting.pop()))
            self._tell_waiting()
            self._sections[-1].blocks += page.blocks
            return
        title = next(headings(page.blocks), "")
        length = len(join_blocks(page.blocks))
        is_prologue = length >= _LEAST_PROLOGUE_CHARACTERS and not _PRINTERS.fullmatch(title)
        if title and is_prologue and title.casefold() != self._package.title.casefold():
            self._sections.append(_Section(title, is_front=True))
        self._sections[-1].blocks += page.blocks

    def _drop_front(self) -> None:
        """Leave out a title page; what stands before the first chapter is kept if it is long."""
        preface = self._sections[0]
        length = len(join_blocks(preface.blocks))
        if self._entries and preface.blocks and length < _LEAST_PREFACE_CHARACTERS:
            self._left_out.append(f"before the first chapter: {plural(length, 'character')}")
            preface.blocks.clear()
        for section in self._sections:
            if section.blocks and not any(is_speakable(b.text) for b in section.blocks):
                self._left_out.append(f"'{section.title}': nothing to read aloud")
                section.blocks.clear()

    def _tell_waiting(self) -> None:
        for title in self._waiting:
            self._left_out.append(f"'{title}': a line of the contents without text of its own")
        self._waiting.clear()


def _find_unread(package: Package, entries: Sequence[Entry]) -> dict[str, str]:
    """Find the pages that are not prose by the guide, and hold at most one chapter.

    Books made by converters have a guide that calls a chapter's page, or that of a whole book, its
    cover: a page that the contents list is read, unless its title says the same as the guide.
    """
    chapters = Counter(entry.file for entry in entries)
    titles = {entry.file: entry.title for entry in entries}
    called = {f: kinds for f, kinds in package.unread.items() if chapters[f] <= 1}
    if not set(package.spine) - set(called) - {package.nav}:
        return {}
    return {
        f: "navigation, notes or the printer's, as its guide says"
        for f, kinds in called.items()
        if f in package.spine
        and (f not in titles or not _NOTES.isdisjoint(kinds) or _PRINTERS.fullmatch(titles[f]))
    }


def _find_starts(page: Prose, entries: Sequence[Entry]) -> dict[int, str]:
    """Find the blocks of a page that begin a chapter, with its title.

    A part and its first chapter that begin at one place are the chapter. Those that begin after its end begin with the next page.
    """
    starts: dict[int, str] = {}
    for entry in entries:
        place = page.places.get(entry.fragment, 0) if entry.fragment else 0
        while place < len(page.blocks) and not is_speakable(page.blocks[place].text):
            place += 1
        title = entry.title or next(headings(page.blocks[place:]), "")
        if place not in starts or is_part(starts[place]):
            starts[place] = title
    return starts
