"""Sessions started a second, at most."""

from typing import Final

from batchjobs.errors import ConfigurationError

__all__ = ["StartRate", "parse_rate"]

_SECONDS_PER_UNIT: Final = {"s": 1.0, "min": 60.0, "h": 3600.0}


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
