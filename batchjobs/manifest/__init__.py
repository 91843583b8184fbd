"""Manifests: CSV and JSON Lines to jobs, streaming, with errors by line and column."""

from batchjobs.manifest.columns import KNOWN_COLUMNS
from batchjobs.manifest.notes import Notes
from batchjobs.manifest.plain_pages import PlainPage
from batchjobs.manifest.reading import read_pages, read_rows
from batchjobs.manifest.source import Rows, Source, is_rows

__all__ = [
    "KNOWN_COLUMNS",
    "Notes",
    "PlainPage",
    "Rows",
    "Source",
    "is_rows",
    "read_pages",
    "read_rows",
]
