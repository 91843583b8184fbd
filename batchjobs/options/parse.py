"""Settings that the command line writes in words of their own."""

from typing import Final

from batchjobs.errors import ConfigurationError

__all__ = ["MOST_SESSIONS", "parse_rate", "parse_sessions"]

MOST_SESSIONS: Final = 10_000
"""Open at once with one provider: each has a task that waits for it."""
_SECONDS_PER_UNIT: Final = {"s": 1.0, "min": 60.0, "h": 3600.0}


def parse_sessions(text: str) -> int:
    """Read a number of sessions, or ``auto``, which is 0.

    Raises:
        ValueError: Anything else.
    """
    if text == "auto":
        return 0
    if not text.isdecimal() or not 1 <= int(text) <= MOST_SESSIONS:
        raise ValueError(
            f"'{text}' is not a number of sessions; give 1 to {MOST_SESSIONS}, or auto"
        )
    return int(text)


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
