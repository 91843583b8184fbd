"""Manifests: CSV and JSON Lines to jobs, streaming, with errors by line and column."""

from batchjobs.manifest.columns import KNOWN_COLUMNS
from batchjobs.manifest.reading import judge_rows, read_rows

__all__ = ["KNOWN_COLUMNS", "judge_rows", "read_rows"]
