"""Books as plain text and Markdown."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from batchjobs.book.chapters import Book, Chapter
from batchjobs.book.letters import clean_letters, is_speakable
from batchjobs.book.lines import Unwrapper, cut_frame, is_contents_title, split_headings
from batchjobs.book.marks import WRITTEN_PAGE, Noise
from batchjobs.book.prose import Block, Prose, join_blocks, tell_left_out
from batchjobs.errors import ManifestError, MissingExtraError
from batchjobs.formatting import plural

_MOST_BYTES: Final = 64 * 1024 * 1024
_BLANK: Final = re.compile(r"\n[^\S\n]*\n\s*")
_CHAPTER_LEVEL: Final = 2
_FACT: Final = re.compile(r"""(?m)^(title|author|lang|language):[ \t]*["']?(.*?)["']?[ \t]*$""")


def read_plain(path: Path) -> Book:
    """Read a text: its chapters begin with a line such as "Chapter 1" or a form feed.

    Args:
        path: UTF-8 text. Lines that are broken to fit a page are joined, those of verse stay; a
            table of contents and Project Gutenberg's licence are left out.

    Raises:
        ManifestError: It cannot be read, or holds nothing.
    """
    text, frame = cut_frame(_read_text(path).replace("\r\n", "\n"))
    text, numbers = WRITTEN_PAGE.subn("", text)
    pages = [
        [each for p in _BLANK.split(page.strip()) if p.strip() for each in split_headings(p)]
        for page in text.split("\f")
    ]
    unwrapper = Unwrapper([lines for page in pages for title, lines in page if not title])
    chapters: list[_Chapter] = [_Chapter("")]
    for page in pages:
        is_first = True
        for title, lines in page:
            line = " ".join(lines.split())
            if title or (is_first and chapters[-1].paragraphs):
                chapters.append(_Chapter(title or (line if len(line) <= 80 else ""), bool(title)))
            chapters[-1].paragraphs.append(lines if title else unwrapper.unwrap(lines))
            is_first = False
    left_out = [f"the licence about the book: {plural(frame, 'character')}"] if frame else []
    left_out += [f"{Noise.PAGE_NUMBER.value}: {numbers:,}"] if numbers else []
    kept = list(_drop_contents(chapters, left_out))
    parts = [
        Chapter(title=each.title or f"{number}", text="\n\n".join(each.paragraphs))
        for number, each in enumerate(kept, start=1)
    ]
    return _make_book(path, parts, left_out)


@dataclass(slots=True)
class _Chapter:
    title: str
    is_headed: bool = False
    paragraphs: list[str] = field(default_factory=list)

    @property
    def is_bare(self) -> bool:
        """Whether there is nothing but its heading."""
        return self.is_headed and len(self.paragraphs) == 1


def _drop_contents(chapters: Sequence[_Chapter], left_out: list[str]) -> Iterator[_Chapter]:
    """Leave out the lines of a table of contents: headings that come again, with their text."""
    lines = 0
    for at, each in enumerate(chapters):
        if each.is_bare and _comes_again(each, chapters[at + 1 :]):
            lines += 1
            continue
        follows = chapters[at + 1] if at + 1 < len(chapters) else None
        if (
            follows
            and follows.is_bare
            and each.paragraphs
            and is_contents_title(each.paragraphs[-1])
        ):
            lines += 1
            each.paragraphs.pop()
        if each.paragraphs:
            yield each
    if lines:
        left_out.append(f"a table of contents: {plural(lines, 'line')}")


def _comes_again(chapter: _Chapter, later: Sequence[_Chapter]) -> bool:
    title = _fold(chapter.title)
    folded = (_fold(other.title) for other in later if other.is_headed)
    return any(title.startswith(other) or other.startswith(title) for other in folded)


def _fold(title: str) -> str:
    return re.sub(r"[\W_]+", " ", title.casefold()).strip() + " "


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
    every = reader.parse(_read_text(path), known)
    tokens = [token for token in every if token.type != "fence"]
    page = Prose.of(reader.renderer.render(tokens, reader.options, known))
    code = len(every) - len(tokens)
    left_out = [*([f"blocks of code: {code}"] if code else []), *tell_left_out(page.left_out)]
    matter = "".join(token.content for token in tokens if token.type == "front_matter")
    facts = {name.lower(): value for name, value in _FACT.findall(matter)}
    book = _make_book(path, list(_split_at_headings(page.blocks)), left_out)
    return replace(
        book,
        title=facts.get("title") or _find_title(page.blocks) or book.title,
        authors=tuple(filter(None, [facts.get("author", "")])),
        language=facts.get("lang", facts.get("language", "")),
    )


def _find_title(blocks: Sequence[Block]) -> str:
    """Find a book's title: a first heading of the first level that is the only one, or stands bare.

    Where several have text below them, they are chapters, and none of them is the title.
    """
    tops = [at for at, block in enumerate(blocks) if block.heading_level == 1]
    if not tops or any(block.heading_level for block in blocks[: tops[0]]):
        return ""
    is_bare = len(tops) > 1 and tops[1] == tops[0] + 1
    return " ".join(blocks[tops[0]].text.split()) if is_bare or len(tops) == 1 else ""


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
        return clean_letters(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8", hint="save it as UTF-8") from error
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error


def _make_book(path: Path, chapters: Iterable[Chapter], left_out: Sequence[str] = ()) -> Book:
    """Make a book of the chapters that have something to read aloud."""
    spoken, told = [], [*left_out]
    for chapter in chapters:
        if is_speakable(chapter.text):
            spoken.append(chapter)
        else:
            told.append(f"'{chapter.title}': nothing to read aloud ({chapter.text[:40]})")
    if not spoken:
        raise ManifestError(f"{path} holds no text", hint="give a book")
    return Book(title=path.stem, chapters=tuple(spoken), left_out=tuple(told))
