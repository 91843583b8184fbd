"""EPUB 2 and 3: chapters in reading order, as the table of contents has them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from batchjobs.book.archive import Archive, open_archive
from batchjobs.book.chapters import Book, Chapter
from batchjobs.book.contents import Entry, Package, chapter_entries, read_entries, read_package
from batchjobs.book.prose import Block, Prose, headings, join_blocks
from batchjobs.formatting import plural

_LEAST_PREFACE_CHARACTERS: Final = 1_500
"""What stands before the first chapter of the contents is a title page if it is shorter."""


@dataclass(slots=True)
class _Section:
    title: str
    blocks: list[Block] = field(default_factory=list)


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
        entries = chapter_entries(read_entries(archive, package), depth)
        sections, left_out = _read_sections(archive, package, entries)
        chapters = tuple(
            Chapter(title=section.title, text=join_blocks(section.blocks))
            for section in sections
            if section.blocks
        )
        if not chapters:
            raise archive.error("holds no text", "is it a book of pictures?")
        return Book(
            title=package.title or path.stem,
            authors=tuple(package.authors),
            language=package.facts.pop("language", ""),
            facts=package.facts,
            chapters=chapters,
            cover=archive.read(package.cover) if package.cover in archive.names else b"",
            left_out=tuple(left_out),
        )


def _read_sections(
    archive: Archive, package: Package, entries: Sequence[Entry]
) -> tuple[list[_Section], list[str]]:
    """Divide the pages of the spine into chapters, as the contents say; also say what is left out."""
    sections = [_Section(package.title or archive.path.stem)]
    left_out: list[str] = []
    unread = _find_unread(package, entries)
    for file in package.spine:
        if file == package.nav or file not in archive.names:
            continue
        page = Prose.of("" if file in unread else archive.text(file))
        if not page.blocks:
            left_out.append(f"{file}: {unread.get(file, 'nothing to read aloud')}")
            continue
        starts = _find_starts(page, [entry for entry in entries if entry.file == file])
        if not entries:
            starts = {0: next(headings(page.blocks), f"{len(sections)}")}
        for number, block in enumerate(page.blocks):
            if number in starts:
                sections.append(_Section(starts[number]))
            sections[-1].blocks.append(block)
    preface = sections[0]
    length = len(join_blocks(preface.blocks))
    if entries and preface.blocks and length < _LEAST_PREFACE_CHARACTERS:
        left_out.append(f"before the first chapter: {plural(length, 'character')}")
        preface.blocks.clear()
    return sections, left_out


def _find_unread(package: Package, entries: Sequence[Entry]) -> dict[str, str]:
    """Find the pages that are not prose by the guide, and hold at most one chapter.

    Books made by converters have a guide that calls the page of a whole book its cover.
    """
    chapters = Counter(entry.file for entry in entries)
    unread = {
        f: "navigation, notes or the printer's, as its guide says"
        for f in package.unread
        if chapters[f] <= 1
    }
    return unread if set(package.spine) - set(unread) - {package.nav} else {}


def _find_starts(page: Prose, entries: Sequence[Entry]) -> dict[int, str]:
    """Find the blocks of a page that begin a chapter, with its title."""
    starts: dict[int, str] = {}
    for entry in entries:
        place = page.places.get(entry.fragment, 0) if entry.fragment else 0
        if place < len(page.blocks):
            starts.setdefault(place, entry.title)
    return starts
