"""Waits that grow from one failure to the next."""

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class GrowingWait:
    """Says how long to wait before something is tried again.

    Attributes:
        first_seconds: The first wait.
        factor: Each is so many times the one before.
        most_seconds: The longest.
    """

    first_seconds: float
    factor: float
    most_seconds: float
    _next_seconds: float = 0.0

    def next_seconds(self) -> float:
        """Give the wait after one more failure."""
        wait = self._next_seconds or self.first_seconds
        self._next_seconds = min(wait * self.factor, self.most_seconds)
        return wait

    def reset(self) -> None:
        """Begin again with the first wait: it went well."""
        self._next_seconds = 0.0
