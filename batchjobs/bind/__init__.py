"""Audiobooks: the chapters of a run as one file with chapter marks, or one file a chapter."""

from batchjobs.bind.binding import BindSettings, Bound, bind

__all__ = ["BindSettings", "Bound", "bind"]
