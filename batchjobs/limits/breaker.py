"""An outage is not many failures but one: stop asking, and look from time to time."""

from typing import Final

from batchjobs.limits.waits import GrowingWait

_FAILURES_IN_A_ROW: Final = 5
_OUTAGES_KEPT: Final = 100
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
"""Ten minutes of outage cost fifteen probes: 1, 2, 4, 8, 16, 32 and then 60 seconds apart."""


class Breaker:
    """Opens when a service that worked cannot be reached; then lets one probe through at a time.

    Only failures to reach the service count: what a service says of a job is that job's.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._streak_began_at = float("inf")
        self._waits = GrowingWait(
            first_seconds=_FIRST_PAUSE_SECONDS, factor=2, most_seconds=_LONGEST_PAUSE_SECONDS
        )
        self._next_probe_at = float("-inf")
        self._outages: list[tuple[float, float]] = []

    @property
    def is_open(self) -> bool:
        """Whether the service counts as gone."""
        return self._failures >= _FAILURES_IN_A_ROW

    @property
    def next_probe_at(self) -> float:
        """No session before this time while it is open."""
        return self._next_probe_at

    def open_for(self, now: float) -> float:
        """Seconds since the outage began; 0 if there is none."""
        return now - self._streak_began_at if self.is_open else 0.0

    def add_failure(self, now: float) -> bool:
        """Count a session that could not reach the service.

        Returns:
            Whether this opened the breaker.
        """
        was_open = self.is_open
        if not self._failures:
            self._streak_began_at = now
        self._failures += 1
        if not self.is_open:
            return False
        if not was_open:
            self._waits.reset()
        if now >= self._next_probe_at:
            self._next_probe_at = now + self._waits.next_seconds()
        return not was_open

    def add_contact(self, now: float, *, began_at: float) -> bool:
        """Count a session that reached the service.

        Args:
            now: The time.
            began_at: When the session began: one from before the trouble says nothing about it.

        Returns:
            Whether this closed the breaker.
        """
        if began_at < self._streak_began_at < float("inf"):
            return False
        was_open = self.is_open
        if was_open:
            self._outages.append((self._streak_began_at, now))
            del self._outages[:-_OUTAGES_KEPT]
        self._failures = 0
        self._streak_began_at = float("inf")
        self._next_probe_at = float("-inf")
        return was_open

    def is_undecided(self, failed_at: float) -> bool:
        """Whether it is still open if a failure at this time was the job's or the service's."""
        return failed_at >= self._streak_began_at

    def excuses(self, failed_at: float) -> bool:
        """Whether a failure at this time was an outage's, and costs its job no attempt."""
        return any(began <= failed_at <= ended for began, ended in self._outages)
