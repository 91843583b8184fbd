"""Books of every kind, read by their ending."""

from pathlib import Path
from typing import Final

from batchjobs.book.chapters import Book
from batchjobs.book.epub import read_epub
from batchjobs.book.plain import read_markdown, read_plain
from batchjobs.errors import UsageError

_EPUB: Final = ".epub"
_READERS: Final = {".txt": read_plain, ".md": read_markdown, ".markdown": read_markdown}


def read_book(path: str | Path, *, depth: int | None = None) -> Book:
    """Read an EPUB, a text or Markdown, by its ending.

    Args:
        path: The book.
        depth: How many levels of an EPUB's contents begin chapters; None judges by its pages.

    Raises:
        UsageError: Another ending.
        ManifestError: The book cannot be read, or holds no text.
        MissingExtraError: The extra ``book`` is not installed.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending == _EPUB:
        return read_epub(path, depth=depth)
    reader = _READERS.get(ending)
    if reader is None:
        endings = ", ".join([_EPUB, *_READERS])
        raise UsageError(f"{path} is no book", hint=f"give one of {endings}")
    return reader(path)
