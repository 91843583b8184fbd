"""Books to manifests: a job a chapter, each with a text file that a person may edit."""

from batchjobs.book.chapters import Book, Chapter
from batchjobs.book.manifest import select_chapters, write_manifest
from batchjobs.book.reading import read_book

__all__ = ["Book", "Chapter", "read_book", "select_chapters", "write_manifest"]
