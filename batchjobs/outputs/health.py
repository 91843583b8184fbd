"""Whether a run or a watch is well, by what can be seen from outside: for monitoring."""

import enum
from dataclasses import dataclass
from typing import Final

from batchjobs.checkpoint import RunTotals
from batchjobs.formatting import duration, plural
from batchjobs.options.health import HealthSettings
from batchjobs.outputs.heartbeat import Heartbeat

_SILENT_SECONDS: Final = 120.0
"""A watch says every quarter of a minute that it is alive."""
_ENDED_WELL: Final = frozenset({None, 0, 1})
"""What failed and what is in doubt is judged by its share."""


class Level(enum.IntEnum):
    """How it is; the numbers are the exit codes that monitoring programs know."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether a run or a watch is well.

    Attributes:
        level: How it is.
        reason: Why, in a sentence.
    """

    level: Level
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What is seen from outside.

    Attributes:
        now: Unix time.
        totals: What became of the rows.
        is_running: Whether a process holds the folder.
        heartbeat: What a watch said last; None if there was none here.
        is_watch_alive: Whether the process that said it is there.
        silent_seconds: How long ago it said that.
        began_at: Unix time at which what is to be done was last decided.
        moved_at: Unix time at which a session last led to a result; 0 if none has.
        failure: What the last session that ended said, if it failed.
        exit_code: What the last run ended with; None if that is not known.
        error: What stopped it.
    """

    now: float
    totals: RunTotals
    is_running: bool
    heartbeat: Heartbeat | None = None
    is_watch_alive: bool = False
    silent_seconds: float = 0.0
    began_at: float = 0.0
    moved_at: float = 0.0
    failure: str = ""
    exit_code: int | None = None
    error: str = ""


def judge_health(signs: Signs, settings: HealthSettings) -> Health:
    """Say whether all is well, or what is wrong first.

    Args:
        signs: What is seen.
        settings: What counts as well.
    """
    stuck_seconds = 60 * settings.stuck_minutes
    wrong = _find_halt(signs, stuck_seconds) if signs.is_running else _find_stop(signs)
    if wrong:
        return Health(level=Level.CRITICAL, reason=wrong)
    totals = signs.totals
    bad = totals.failed + totals.suspect
    if 100 * bad > settings.most_bad_percent * totals.rows:
        counts = f"{totals.failed:,} failed and {totals.suspect:,} suspect"
        reason = f"{counts} of {plural(totals.rows, 'job')}"
        return Health(level=Level.WARNING, reason=reason)
    what = "all is done" if not signs.is_running else "going on"
    return Health(
        level=Level.OK, reason=f"{what}: {totals.done:,} of {plural(totals.rows, 'job')} done"
    )


def _find_stop(signs: Signs) -> str:
    """Say why it is no good that nothing runs; empty if it is."""
    left = signs.totals.not_run
    beat = signs.heartbeat
    if beat is not None:
        if beat.exit_code is None:
            return "the watch was killed, and has not begun again"
        because = f": {beat.error}" if beat.error else ""
        return f"the watch has ended with {beat.exit_code}{because}"
    if signs.exit_code not in _ENDED_WELL:
        because = f": {signs.error}" if signs.error else ""
        return f"the last run ended with {signs.exit_code}{because}"
    return f"no run is going on, and {plural(left, 'job')} left" if left else ""


def _find_halt(signs: Signs, stuck_seconds: float) -> str:
    """Say why what runs comes to nothing; empty if it moves, or has nothing to do."""
    beat = signs.heartbeat
    if beat is not None and signs.is_watch_alive:
        if signs.silent_seconds > max(_SILENT_SECONDS, stuck_seconds):
            return f"the watch has said nothing for {duration(signs.silent_seconds)}"
        if beat.trouble:
            return f"waiting for {duration(signs.now - beat.trouble_since)}: {beat.trouble}"
    since = signs.now - max(signs.began_at, signs.moved_at)
    has_work = signs.totals.not_run or signs.totals.attempts_open
    if has_work and since > stuck_seconds:
        because = f"; the last session: {signs.failure}" if signs.failure else ""
        return f"nothing has come of the last {duration(since)}{because}"
    return ""
