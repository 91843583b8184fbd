"""The settings of a run: each stands once, with its default, its range, its unit and its help."""

from batchjobs.options.check import check
from batchjobs.options.parse import MOST_SESSIONS
from batchjobs.options.setting import Entry, Setting, entries, fill
from batchjobs.options.table import Defaults, Options, Pauses

__all__ = [
    "MOST_SESSIONS",
    "Defaults",
    "Entry",
    "Options",
    "Pauses",
    "Setting",
    "check",
    "entries",
    "fill",
]
