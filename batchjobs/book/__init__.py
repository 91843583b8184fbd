"""Books to manifests: a job a chapter, each with a text file that a person may edit."""

from batchjobs.book.reading import read_book, selected, write_manifest
from batchjobs.book.records import Book, Chapter

__all__ = ["Book", "Chapter", "read_book", "selected", "write_manifest"]
