"""The time line of a file: where each piece of sound belongs, and how much silence is before it."""

from typing import Final

_LEAST_GAP_SECONDS: Final = 0.1
"""Stamps are rounded, and clocks drift."""
_RESTART_SECONDS: Final = 1.0
"""Stamps that go back further begin anew, as those of joined files do."""
_MOST_SILENCE_SECONDS: Final = 24 * 3600.0
"""In all: a stamp that is beyond is broken, and what it stands on follows what was before it."""


class TimeLine:
    """Places pieces of sound by their stamps, in order: none is left out, none lies on another.

    Args:
        start_seconds: The stamp at which the file begins, as players count.

    Attributes:
        end_seconds: Where the sound so far ends, from the file's start; whoever places it counts on.
    """

    def __init__(self, start_seconds: float) -> None:
        self.end_seconds = 0.0
        self._shift_seconds = -start_seconds
        self._silence_seconds = 0.0

    def find_gap(self, stamp_seconds: float | None) -> float:
        """Find how many seconds of silence are before a piece of sound.

        Args:
            stamp_seconds: Where the file says that it begins; None if it says nothing.
        """
        if stamp_seconds is None:
            return 0.0
        gap = stamp_seconds + self._shift_seconds - self.end_seconds
        is_broken = self._silence_seconds + gap > _MOST_SILENCE_SECONDS
        if gap < -_RESTART_SECONDS or is_broken:
            self._shift_seconds -= gap
            return 0.0
        if gap <= _LEAST_GAP_SECONDS:
            return 0.0
        self._silence_seconds += gap
        return gap
