"""The settings of a run: each stands once, with its default, its range, its unit and its help."""

from batchjobs.options.parse import MOST_SESSIONS
from batchjobs.options.setting import Entry, check, entries, fill
from batchjobs.options.table import Defaults, Options

__all__ = ["MOST_SESSIONS", "Defaults", "Entry", "Options", "check", "entries", "fill"]
