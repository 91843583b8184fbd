"""Books as plain text and Markdown."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from batchjobs.book.chapters import Book, Chapter
from batchjobs.book.prose import Block, Prose, join_blocks
from batchjobs.errors import ManifestError, MissingExtraError

_MOST_BYTES: Final = 64 * 1024 * 1024
_ORDINAL: Final = (
    r"(?:\d+|[ivxlc]+|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen"
    r"|twenty|thirty|forty|fifty|(?:the\s+)?(?:first|second|third|fourth|fifth|sixth|seventh"
    r"|eighth|ninth|tenth|last)|الأولى?|الاولى?|الثانية?|الثالثة?|الرابعة?|الخامسة?|السادسة?"
    r"|السابعة?|الثامنة?|التاسعة?|العاشرة?|الحادية?|العشرون|الثلاثون|الأربعون|الأخيرة?)"
)
_HEADING: Final = re.compile(
    # "Chapter 2. Of snakes": a number may be followed by anything ...
    r"(?:chapter|part|book|canto|letter|act|volume|الفصل|الباب|الجزء|القسم|الكتاب|المجلد)\s+"
    rf"{_ORDINAL}\b[^\n]{{0,80}}"
    # ... and without one it is no sentence: "Part of me wanted to go."
    r"|(?:prologue|epilogue|preface|foreword|introduction|afterword|المقدمة|مقدمة|الخاتمة|خاتمة"
    r"|تمهيد|باب|فصل)\b[^\n.!?؟،,;؛…]{0,60}",
    re.IGNORECASE,
)
_MARKS: Final = re.compile("[\u0640\u064b-\u065f\u0670]")
"""Tatweel, diacritics: a heading is the same with and without."""
_BLANK: Final = re.compile(r"\n[^\S\n]*\n\s*")
_CHAPTER_LEVEL: Final = 2
_FACT: Final = re.compile(r"""(?m)^(title|author|lang|language):[ \t]*["']?(.*?)["']?[ \t]*$""")


def read_plain(path: Path) -> Book:
    """Read a text: its chapters begin with a line such as "Chapter 1" or a form feed.

    Args:
        path: UTF-8 text. Lines that are broken in mid-sentence stay as they are.

    Raises:
        ManifestError: It cannot be read, or holds nothing.
    """
    chapters: list[tuple[str, list[str]]] = [("", [])]
    for page in _read_text(path).split("\f"):
        is_first = True
        for paragraph in filter(str.strip, _BLANK.split(page.strip())):
            line = " ".join(paragraph.split())
            found = _HEADING.fullmatch(_MARKS.sub("", line))
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
    return _make_book(path, parts)


def read_markdown(path: Path) -> Book:
    """Read Markdown: its chapters begin with headings of the first two levels.

    Args:
        path: UTF-8 text. Code, notes, pictures and the marks themselves are not read aloud; a block
            of facts at its head (title, author, lang) is taken as such.

    Raises:
        ManifestError: It cannot be read, or holds nothing.
        MissingExtraError: The extra ``book`` is not installed.
    """
    try:
        from markdown_it import MarkdownIt
        from mdit_py_plugins.footnote import footnote_plugin
        from mdit_py_plugins.front_matter import front_matter_plugin
    except ImportError as error:
        raise MissingExtraError(
            "reading Markdown", package="markdown-it-py", extra="book"
        ) from error
    # HTML in it is read as in an EPUB; an indented paragraph is a paragraph, not code.
    reader = MarkdownIt("commonmark", {"html": True}).enable("table").disable("code")
    reader.use(footnote_plugin).use(front_matter_plugin)
    known: dict[str, object] = {}
    tokens = [token for token in reader.parse(_read_text(path), known) if token.type != "fence"]
    blocks = Prose.of(reader.renderer.render(tokens, reader.options, known)).blocks
    matter = "".join(token.content for token in tokens if token.type == "front_matter")
    facts = {name.lower(): value for name, value in _FACT.findall(matter)}
    book = _make_book(path, list(_split_at_headings(blocks)))
    return replace(
        book,
        title=facts.get("title", book.title),
        authors=tuple(filter(None, [facts.get("author", "")])),
        language=facts.get("lang", facts.get("language", "")),
    )


def _split_at_headings(blocks: Sequence[Block]) -> Iterator[Chapter]:
    title, held = "", list[Block]()
    number = 1
    for block in blocks:
        if 0 < block.heading_level <= _CHAPTER_LEVEL:
            if any(not each.heading_level for each in held):
                yield Chapter(title=title or f"{number}", text=join_blocks(held))
                number += 1
                held = []
            title = " ".join(block.text.split())
        held.append(block)
    if held:
        yield Chapter(title=title or f"{number}", text=join_blocks(held))


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ManifestError(f"{path} is longer than any book", hint="split it")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8", hint="save it as UTF-8") from error
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error


def _make_book(path: Path, chapters: Sequence[Chapter]) -> Book:
    if not chapters:
        raise ManifestError(f"{path} holds no text", hint="give a book")
    return Book(title=path.stem, chapters=tuple(chapters))
