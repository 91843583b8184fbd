"""Words with their times."""

from dataclasses import dataclass

from msgspec import UNSET, UnsetType


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word, with the marks around it, when it was said, and, where sides are apart, by whom."""

    start: float
    end: float
    text: str
    speaker: str | UnsetType = UNSET
