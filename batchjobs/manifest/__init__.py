"""Manifests: CSV and JSON Lines to jobs, streaming, with errors by line and column."""

from batchjobs.manifest.columns import KNOWN_COLUMNS
from batchjobs.manifest.notes import Notes
from batchjobs.manifest.reading import read_rows
from batchjobs.manifest.source import Rows, Source, is_rows

__all__ = ["KNOWN_COLUMNS", "Notes", "Rows", "Source", "is_rows", "read_rows"]
