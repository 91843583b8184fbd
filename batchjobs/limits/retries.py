"""When a failed attempt is worth another, and how long to wait; how many of them a run can bear."""

import random
from dataclasses import dataclass
from typing import Final

from batchjobs.errors import Reaction, SessionError

__all__ = ["RetryBudget", "RetryPolicy"]

_LONGEST_PAUSE_SECONDS: Final = 3600.0
"""However long a service asks to wait: its clock may be wrong, and a run must not sleep for ever."""
_ONE_MORE_TRY_CODES: Final = frozenset({"transcription_error"})
"""Failures told in free text, which may be for good: worth one more try, not more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a failed attempt is worth another, and how long to wait first.

    Attributes:
        attempts: Attempts a segment has, the first included.
        base_seconds: Upper bound of the first wait; doubles with every attempt.
        limit_seconds: Upper bound of every wait.
        throttle_seconds: Pause after a refusal that does not say how long.
    """

    attempts: int = 5
    base_seconds: float = 1.0
    limit_seconds: float = 60.0
    throttle_seconds: float = 2.0

    def wait_seconds(self, used: int, error: SessionError, random_source: random.Random) -> float:
        """How long to wait after the failure of attempt number `used`.

        Full jitter: spread over the whole interval, so that a thousand sessions broken at once do
        not come back at once.
        """
        if error.retry_after_seconds is not None:
            pause = max(0.0, min(error.retry_after_seconds, _LONGEST_PAUSE_SECONDS))
            return pause + random_source.uniform(0.0, 0.5)
        bound = min(self.limit_seconds, self.base_seconds * 2.0 ** min(used - 1, 30))
        return random_source.uniform(bound * 0.1, bound)

    def is_worth_retrying(self, used: int, error: SessionError, earlier_codes: list[str]) -> bool:
        """Whether a segment with `used` attempts gets another after this error.

        Args:
            used: Attempts begun, this one included; throttled ones are not counted.
            error: What happened.
            earlier_codes: The codes of the attempts before this one.
        """
        if error.reaction is Reaction.THROTTLE:
            return True
        if error.reaction is not Reaction.RETRY or used >= self.attempts:
            return False
        return not (error.code in _ONE_MORE_TRY_CODES and error.code in earlier_codes)


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
        self.taken = 0

    def job_began(self) -> None:
        """A job has its first attempt."""
        self._left += self._per_job

    def take(self) -> bool:
        """Take a retry out of the budget; false if none is left."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        self.taken += 1
        return True
