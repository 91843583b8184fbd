"""Words with their times."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word, with the marks around it, and when it was said."""

    start: float
    end: float
    text: str
