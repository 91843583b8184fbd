"""The settings of a run: each stands once, with its default, its range, its unit and its help."""

from batchjobs.options.setting import Setting, check_settings, fill, settings_of
from batchjobs.options.table import MOST_SESSIONS, Defaults, Options

__all__ = [
    "MOST_SESSIONS",
    "Defaults",
    "Options",
    "Setting",
    "check_settings",
    "fill",
    "settings_of",
]
