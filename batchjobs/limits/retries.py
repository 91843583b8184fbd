"""How long to wait before another attempt, and how many of them a run can bear."""

import random
from dataclasses import dataclass
from typing import Final

LONGEST_PAUSE_SECONDS: Final = 3600.0
"""However long a service asks to wait: its clock may be wrong, and a run must not sleep for ever."""
_SHORTEST_PAUSE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How many attempts there are, and how long to wait before the next one.

    Attributes:
        attempts: Attempts a segment has, the first included.
        base_seconds: Upper bound of the first wait; doubles with every attempt.
        limit_seconds: Upper bound of every wait.
        throttle_seconds: Pause after a refusal that does not say how long.
    """

    attempts: int
    base_seconds: float = 1.0
    limit_seconds: float = 60.0
    throttle_seconds: float = 2.0

    def wait_seconds(
        self, used: int, asked_seconds: float | None, random_source: random.Random
    ) -> float:
        """Draw how long to wait after the failure of attempt number `used`.

        Full jitter: spread over the whole interval, so that a thousand sessions broken at once do
        not come back at once.

        Args:
            used: Attempts begun, the failed one included.
            asked_seconds: How long the service asks to wait; None if it does not say.
            random_source: For the jitter.
        """
        if asked_seconds is not None:
            pause = max(0.0, min(asked_seconds, LONGEST_PAUSE_SECONDS))
            return pause + random_source.uniform(0.0, 0.5)
        bound = min(self.limit_seconds, self.base_seconds * 2.0 ** min(used - 1, 30))
        return random_source.uniform(bound * 0.1, bound)

    def pause_seconds(self, throttled: int, asked_seconds: float | None) -> float:
        """Say how long to wait after a refusal for want of room.

        Retry-After: 0 would hammer, a day would be asleep when the service is back.

        Args:
            throttled: Refusals of the same job so far, this one included.
            asked_seconds: How long the service asks to wait; None if it does not say.
        """
        if asked_seconds is None:
            doubled = self.throttle_seconds * 2.0 ** min(throttled - 1, 5)
            asked_seconds = min(self.limit_seconds, doubled)
        shortest = min(_SHORTEST_PAUSE_SECONDS, self.throttle_seconds)
        return min(max(asked_seconds, shortest), LONGEST_PAUSE_SECONDS)


class RetryBudget:
    """Bounds the retries of a whole run: a service in trouble is not helped by being asked more.

    Every job brings one retry with it, on top of a fixed stock, so a run at worst doubles what it
    asks for, however many attempts a job may have.

    Args:
        stock: Retries to begin with.
        per_job: Retries that every job begun adds.
    """

    def __init__(self, *, stock: float = 100.0, per_job: float = 1.0) -> None:
        self._left = stock
        self._per_job = per_job

    @property
    def is_spent(self) -> bool:
        """Whether no retry is left."""
        return self._left < 1.0

    def add_job(self) -> None:
        """Count a job that has its first attempt."""
        self._left += self._per_job

    def take(self) -> bool:
        """Take a retry out of the budget; false if none is left."""
        if self.is_spent:
            return False
        self._left -= 1.0
        return True
