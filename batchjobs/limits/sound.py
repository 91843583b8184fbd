"""How much audio may be held in memory over all sessions: expected before, counted during."""

from typing import Final

__all__ = ["SoundLimit"]

_LIMIT_BYTES: Final = 1 << 30
_LETTERS_PER_SECOND: Final = 10.0
"""A slow reader: what is expected is rather too much."""
_BYTES_PER_SAMPLE: Final = 2
_MOST_SHARE: Final = 2.0
"""Honest services stay below what is expected; beyond twice of it somebody floods us."""


class SoundLimit:
    """Keeps the audio of all open sessions within the memory that is meant for it.

    A session's audio is held until the session has ended well, so what texts are expected to bring
    is set aside before their sessions start; a service that sends far more than that is cut off.

    Args:
        limit_bytes: What may be set aside over all sessions.
    """

    def __init__(self, limit_bytes: int = _LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._reserved = 0
        self._held = 0

    @staticmethod
    def expected_bytes(characters: int, sample_rate: int) -> int:
        """Estimate the audio of a text."""
        return round(characters / _LETTERS_PER_SECOND * sample_rate * _BYTES_PER_SAMPLE)

    def has_room(self, expected: int) -> bool:
        """Whether one more session may start; one alone always may."""
        return not self._reserved or self._reserved + expected <= self._limit

    def reserve(self, expected: int) -> None:
        """Set memory aside for a session."""
        self._reserved += expected

    def release(self, expected: int) -> None:
        """Give it back."""
        self._reserved -= expected

    def received(self, count: int) -> bool:
        """Count audio that has come, or with a negative count is held no more.

        Returns:
            Whether there is still memory for it.
        """
        self._held += count
        return self._held <= self._limit * _MOST_SHARE
