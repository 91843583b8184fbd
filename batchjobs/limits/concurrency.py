"""How many sessions may be open at once: found by trying, cut when the service has no room."""

from collections import deque
from typing import Final

from batchjobs.limits.retries import LONGEST_PAUSE_SECONDS

_CUT: Final = 0.7
"""One throttled epoch takes 200 sessions to 140, not to 1."""
_JUST_BELOW: Final = 0.97
"""Where growth slows down: a little under the number that was refused."""
_SCALE_SECONDS: Final = 20.0
"""Sets the pace of growth: a cut is made good in 13 s, ten times the ceiling is reached in 50 s."""
_REST_A_PAUSE: Final = 10.0
"""A service that answers one session too many by a pause for all is asked for more less often: by
pauses of 3 s every 20 s it was used to 75 to 80 % (measured), so it is used to 90 %.
"""
_LONGEST_REST_SECONDS: Final = 60.0
_RESUME_SECONDS: Final = 1.0
"""After a pause as many sessions as are allowed start one by one within this: a service with less
room than before refuses two or three of them, and all the others it is not even asked.
"""
_DRIFT_CUT: Final = 0.9
_DRIFT_RATIO: Final = 2.5
_DRIFT_FLOOR_SECONDS: Final = 0.3
_DRIFT_SESSIONS: Final = 20
_HANDSHAKES: Final = 20
_REFUSED_HANDSHAKES: Final = 3
"""One refused handshake in a hundred is a fault of the line, and must not cut for ever."""


class ConcurrencyLimit:
    """Slow start, one multiplicative cut an epoch, and growth along a cubic.

    Sessions that began before the last cut do not cut again: a burst of refusals says one thing.
    A cut starts from what was open, not from what was allowed: after a pause, when few are open,
    that alone tells what room there is.

    After a cut the limit comes back quickly to just below the number that was refused, stays near
    it, and only then goes on, ever faster: the curve of CUBIC in TCP. Plain additive growth would
    spend its time far from the service's limit: in the simulation of the tests it reached 85 % of
    what a service with room for 100 could do, where this reaches 93 %, and it took three minutes to
    come back after the room had been a tenth for a while, where this takes half a minute.

    Args:
        maximum: Never more than this.
        initial: Where to start; slow start doubles it a round up to the first cut.
    """

    def __init__(self, *, maximum: int, initial: int) -> None:
        self._maximum = float(maximum)
        self._allowed = float(min(initial, maximum))
        self._is_slow_start = initial < maximum
        self._last_cut_at = float("-inf")
        self._ceiling = float(maximum)
        self._floor = float(maximum)
        self._return_seconds = 0.0
        self._rest_seconds = 0.0
        self._hold_until = float("-inf")
        self._resumed_at = float("-inf")

    def room(self, now: float) -> int:
        """Give how many sessions may be open at this time."""
        if not self._is_slow_start and self._last_cut_at > float("-inf"):
            elapsed = now - self._last_cut_at - self._return_seconds
            if elapsed > 0.0:
                elapsed = max(0.0, elapsed - self._rest_seconds)
            elapsed /= _SCALE_SECONDS
            grown = self._ceiling * (1.0 + elapsed**3) + max(0.0, elapsed)
            self._allowed = min(self._maximum, max(self._floor, grown))
        return max(1, int(self._allowed))

    @property
    def hold_until(self) -> float:
        """No new session before this time: the service asked for a pause."""
        return self._hold_until

    def resume(self, when: float) -> None:
        """Start nothing before this time, and then one after the other: room may have gone."""
        self._hold_until = self._resumed_at = max(self._hold_until, when)

    def add_start(self, now: float) -> None:
        """Count a session that starts; after a pause the next does not start at once."""
        allowed = self.room(now)
        if allowed > 1 and now < self._resumed_at + _RESUME_SECONDS:
            self._hold_until = max(self._hold_until, now + _RESUME_SECONDS / allowed)

    def add_success(self) -> None:
        """Count a session that came through: in slow start, one more may open."""
        if self._is_slow_start:
            self._allowed = min(self._maximum, self._allowed + 1.0)

    def add_refusal(
        self, *, started_at: float, now: float, active: int, pause_seconds: float = 0.0
    ) -> None:
        """Count a session that the service refused for want of room.

        Args:
            started_at: When that session began.
            now: The time.
            active: Sessions that were open, the refused one among them.
            pause_seconds: How long the service asks to start nothing.
        """
        pause = min(pause_seconds, LONGEST_PAUSE_SECONDS)
        self._cut(_CUT, started_at=started_at, now=now, reached=float(active))
        if pause:
            self.resume(now + pause)
        if self._ceiling > 1.0:  # a single session is not what keeps a service busy
            rest = min(_LONGEST_REST_SECONDS, pause * _REST_A_PAUSE)
            self._rest_seconds = max(self._rest_seconds, rest)

    def add_delay(self, *, started_at: float, now: float) -> None:
        """Cut more gently, by the same rule: the service answers much later than it did."""
        reached = float(self.room(now))
        self._cut(_DRIFT_CUT, started_at=started_at, now=now, reached=reached)

    def _cut(self, share: float, *, started_at: float, now: float, reached: float) -> None:
        if started_at <= self._last_cut_at:
            return
        reached = min(reached, float(self.room(now)))
        self._is_slow_start = False
        self._last_cut_at = now
        self._rest_seconds = 0.0
        self._ceiling = max(1.0, reached * _JUST_BELOW)
        self._floor = max(1.0, reached * share)
        deficit = max(0.0, 1.0 - self._floor / self._ceiling)
        self._return_seconds = _SCALE_SECONDS * deficit ** (1.0 / 3.0)
        self._allowed = self._floor


class LatencyDrift:
    """Notices that the time to the first result has drifted away from what it was.

    A service that queues instead of refusing shows it here, before anything fails.
    """

    def __init__(self) -> None:
        self._window: list[float] = []
        self._best_seconds = float("inf")

    def add(self, seconds: float) -> bool:
        """Take one session's time to its first result into account.

        Returns:
            Whether the median of the last sessions is far above the best such median.
        """
        self._window.append(seconds)
        if len(self._window) < _DRIFT_SESSIONS:
            return False
        median = sorted(self._window)[_DRIFT_SESSIONS // 2]
        self._window.clear()
        self._best_seconds = min(self._best_seconds, median)
        return median > self._best_seconds * _DRIFT_RATIO + _DRIFT_FLOOR_SECONDS


class HandshakeRefusals:
    """Tells a service that refuses connections for want of room from one that fails now and then."""

    def __init__(self) -> None:
        self._refused: deque[bool] = deque(maxlen=_HANDSHAKES)

    def add(self, *, is_refused: bool) -> bool:
        """Take one handshake into account.

        Returns:
            Whether so many of the last ones were refused that there is no room; counts anew then.
        """
        self._refused.append(is_refused)
        if sum(self._refused) < _REFUSED_HANDSHAKES:
            return False
        self._refused.clear()
        return True
