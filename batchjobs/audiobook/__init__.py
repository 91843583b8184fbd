"""Audiobooks: the chapters of a run as one file with chapter marks, or one file a chapter."""

from batchjobs.audiobook.binding import BoundBook, bind

__all__ = ["BoundBook", "bind"]
