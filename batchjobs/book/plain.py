"""Books as plain text and Markdown."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from batchjobs.book.prose import Block, Prose, joined
from batchjobs.book.records import Book, Chapter
from batchjobs.errors import ConfigurationError, ManifestError

__all__ = ["read_markdown", "read_plain"]

_MOST_BYTES: Final = 64 * 1024 * 1024
_HEADING: Final = re.compile(
    r"(?:chapter|part|book|canto|letter|act|prologue|epilogue|preface|introduction"
    r"|الفصل|الباب|الجزء|القسم|المقدمة|مقدمة|الخاتمة|خاتمة|تمهيد)\b[^\n]{0,80}",
    re.IGNORECASE,
)
_BLANK: Final = re.compile(r"\n[^\S\n]*\n\s*")
_CHAPTER_LEVEL: Final = 2


def read_plain(path: Path) -> Book:
    """Read a text: its chapters begin with a line such as "Chapter 1" or a form feed.

    Args:
        path: UTF-8 text. Lines that are broken in mid-sentence stay as they are.

    Raises:
        ManifestError: It cannot be read, or holds nothing.
    """
    chapters: list[tuple[str, list[str]]] = [("", [])]
    for page in _content(path).split("\f"):
        is_first = True
        for paragraph in filter(str.strip, _BLANK.split(page.strip())):
            line = " ".join(paragraph.split())
            found = _HEADING.fullmatch(line)
            if found or (is_first and chapters[-1][1]):
                chapters.append((line if found or len(line) <= 80 else "", []))
            chapters[-1][1].append(paragraph.strip())
            is_first = False
    parts = [
        Chapter(title=title or f"{number}", text="\n\n".join(paragraphs))
        for number, (title, paragraphs) in enumerate(
            [each for each in chapters if each[1]], start=1
        )
    ]
    return _book(path, parts)


def read_markdown(path: Path) -> Book:
    """Read Markdown: its chapters begin with headings of the first two levels.

    Args:
        path: UTF-8 text. Code, pictures and the marks themselves are not read aloud.

    Raises:
        ManifestError: It cannot be read, or holds nothing.
        ConfigurationError: The extra ``book`` is not installed.
    """
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise ConfigurationError(
            "reading Markdown needs the extra 'book'", hint="pip install 'batchjobs[book]'"
        ) from error
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["code", "fence"])
    text = re.sub(r"(?ms)^(```|~~~).*?^\1[^\n]*$", "", _content(path))
    blocks = Prose.of(reader.render(text)).blocks
    return _book(path, list(_by_heading(blocks)))


def _by_heading(blocks: Sequence[Block]) -> Iterator[Chapter]:
    title, held = "", list[Block]()
    number = 1
    for block in blocks:
        if 0 < block.heading_level <= _CHAPTER_LEVEL:
            if any(not each.heading_level for each in held):
                yield Chapter(title=title or f"{number}", text=joined(held))
                number += 1
                held = []
            title = " ".join(block.text.split())
        held.append(block)
    if held:
        yield Chapter(title=title or f"{number}", text=joined(held))


def _content(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ManifestError(f"{path} is longer than any book", hint="split it")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8", hint="save it as UTF-8") from error
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error


def _book(path: Path, chapters: Sequence[Chapter]) -> Book:
    if not chapters:
        raise ManifestError(f"{path} holds no text", hint="give a book")
    return Book(title=path.stem, chapters=tuple(chapters))
