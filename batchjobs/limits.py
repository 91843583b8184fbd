"""How fast to go and when to try again: arithmetic on a passed-in time; reads no clock."""

import random
from dataclasses import dataclass
from typing import Final

from batchjobs.errors import ConfigurationError, Reaction, SessionError

__all__ = ["ConcurrencyLimit", "RetryPolicy", "StartRate", "parse_rate"]

_CUT: Final = 0.7
"""One throttled epoch takes 200 sessions to 140, not to 1."""
_LONGEST_PAUSE_SECONDS: Final = 3600.0
"""However long a service asks to wait: its clock may be wrong, and a run must not sleep for ever."""
_SECONDS_PER_UNIT: Final = {"s": 1.0, "min": 60.0, "h": 3600.0}
_ONE_MORE_TRY_CODES: Final = frozenset({"transcription_error"})
"""Failures told in free text, which may be for good: worth one more try, not more."""


class ConcurrencyLimit:
    """How many sessions may be open: cut once an epoch when throttled, grown back by successes.

    Sessions that began before the last cut do not cut again: a burst of refusals says one thing.

    Args:
        maximum: Never more than this.
        initial: Where to start; slow start doubles it up to the first cut.
    """

    def __init__(self, *, maximum: int, initial: int) -> None:
        self._maximum = float(maximum)
        self._allowed = float(min(initial, maximum))
        self._slow_start = initial < maximum
        self._last_cut_at = float("-inf")
        self._hold_until = float("-inf")

    @property
    def allowed(self) -> int:
        """Sessions that may be open now."""
        return max(1, int(self._allowed))

    @property
    def hold_until(self) -> float:
        """No new session before this time: the service asked for a pause."""
        return self._hold_until

    def succeeded(self) -> None:
        """A session came through: one more for each that is allowed, or double in slow start."""
        step = 1.0 if self._slow_start else 1.0 / self._allowed
        self._allowed = min(self._maximum, self._allowed + step)

    def throttled(self, *, started_at: float, now: float, pause_seconds: float) -> None:
        """The service refused a session for want of room.

        Args:
            started_at: When that session began.
            now: The time.
            pause_seconds: How long to start nothing.
        """
        self._hold_until = max(self._hold_until, now + min(pause_seconds, _LONGEST_PAUSE_SECONDS))
        if started_at <= self._last_cut_at:
            return
        self._last_cut_at = now
        self._slow_start = False
        self._allowed = max(1.0, self._allowed * _CUT)


class StartRate:
    """Spaces the starts of sessions evenly.

    Args:
        per_second: Sessions started a second; 0 means no limit.
    """

    def __init__(self, per_second: float) -> None:
        self._interval_seconds = 1.0 / per_second if per_second else 0.0
        self._next_at = float("-inf")

    @property
    def next_at(self) -> float:
        """The earliest time for the next start."""
        return self._next_at

    def started(self, now: float) -> None:
        """A session starts now."""
        self._next_at = max(now, self._next_at) + self._interval_seconds


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


def parse_rate(text: str) -> float:
    """Read ``10/s``, ``300/min`` or ``5000/h`` as sessions a second.

    Raises:
        ConfigurationError: Anything else.
    """
    number, _, unit = text.partition("/")
    try:
        per_second = float(number) / _SECONDS_PER_UNIT[unit.strip()]
    except (ValueError, KeyError):
        per_second = -1.0
    if not 0 < per_second < 1e6:
        raise ConfigurationError(f"'{text}' is not a rate", hint="give N/s, N/min or N/h: 5/s")
    return per_second
