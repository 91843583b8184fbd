"""Sessions started, and connections opened, a second at most."""

from typing import Final

_RAMP_PER_SECOND: Final = 1_000.0
_RAMP_AT_ONCE: Final = 64
"""Small runs begin without waiting; so do their next sessions, which often begin together."""


class StartRate:
    """Spaces the starts of sessions evenly.

    Args:
        per_second: Sessions started a second; 0 means no limit.
    """

    def __init__(self, per_second: float) -> None:
        self._interval_seconds = 1.0 / per_second if per_second else 0.0
        self._next_at = float("-inf")

    def change(self, per_second: float) -> None:
        """Space them otherwise from the last start on; 0 means no limit."""
        interval_seconds = 1.0 / per_second if per_second else 0.0
        self._next_at += interval_seconds - self._interval_seconds
        self._interval_seconds = interval_seconds

    @property
    def next_at(self) -> float:
        """The earliest time for the next start."""
        return self._next_at

    def add_start(self, now: float) -> None:
        """Count a session that starts now."""
        self._next_at = max(now, self._next_at) + self._interval_seconds


class ConnectionRamp:
    """Lets a few connections open at once, and a crowd one after the other.

    A thousand TLS handshakes at once kept the event loop from everything else for 163 ms (99th
    percentile), spread over a second for 28 (measured). Where handshakes take round trips, the
    limit to those under way spreads them more than this does.
    """

    def __init__(self) -> None:
        self._next_at = float("-inf")

    def start_at(self, now: float) -> float:
        """Say when the next connection may be opened, and count it: now, unless there is a crowd."""
        planned = max(now, self._next_at)
        self._next_at = planned + 1.0 / _RAMP_PER_SECOND
        return max(now, planned - (_RAMP_AT_ONCE - 1) / _RAMP_PER_SECOND)
