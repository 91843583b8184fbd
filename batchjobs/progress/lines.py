"""A plain line now and then, where there is no terminal: a log of a run under nohup or cron."""

import math
import time
from collections.abc import Callable
from typing import Final, TextIO, assert_never

from batchjobs.formatting import plural
from batchjobs.jobs import Status
from batchjobs.progress.events import (
    AccountLeft,
    Event,
    JobFinished,
    JobRetried,
    LimitReached,
    RunChanged,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStopping,
    SegmentFinished,
    ServiceBack,
    ServiceLost,
    SessionDone,
    SessionLaunched,
    SlowedDown,
    name_of,
    note_of,
)

_EVERY_SECONDS: Final = 60.0


class Lines:
    """Tells how far a run is at its first result and once a minute, and at once what holds it up.

    Args:
        stream: Where to, usually the standard error; None if there is none.
        verbosity: 1 tells every attempt that failed, too; 2 every job and segment as well.
        clock: Seconds that only go up.
    """

    def __init__(
        self,
        stream: TextIO | None,
        *,
        verbosity: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._verbosity = verbosity
        self._clock = clock
        self._began = self._next = clock()
        self._rows = self._to_do = self._answered = self._sessions = 0
        self._done = self._failed = self._suspect = 0
        self._segments = ""
        self._allowed: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        """Take one event into account; a stream that fails ends the lines, not the run."""
        if line := detail_of(event, self._verbosity):
            self._write(line)
        match event:
            case RunStarted():
                self._rows, self._to_do = event.rows, event.to_do
                self._done, self._failed = event.done, event.failed
                self._suspect = event.suspect
                self._began = self._next = self._clock()
            case JobFinished(record=record, sessions_open=sessions):
                self._answered += 1
                self._done += record.status is Status.DONE
                self._failed += record.status is Status.FAILED
                self._suspect += record.status is Status.SUSPECT
                self._sessions = sessions
                self._tell_now_and_then()
            case SegmentFinished():
                self._segments = note_of(event)
                self._tell_now_and_then()
            case RunFinished() | JobRetried() | SessionLaunched() | SessionDone():
                pass
            case _:
                if line := self._notice(event):
                    self._write(line)

    def _notice(
        self,
        event: SlowedDown
        | ServiceLost
        | ServiceBack
        | AccountLeft
        | LimitReached
        | RunStopping
        | RunPaused
        | RunResumed
        | RunChanged,
    ) -> str:
        """Say what holds the run up, or is asked of it; empty for what is not worth a line."""
        match event:
            case SlowedDown(concurrency=allowed):
                name = name_of(event)
                if self._allowed.get(name) == allowed:
                    return ""  # it was written once, and comes once a session
                self._allowed[name] = allowed
                return f"{name}: {note_of(event)}"
            case ServiceLost(message=message) | AccountLeft(message=message):
                return f"{note_of(event)}: {message}"
            case RunChanged(failed=failed, suspect=suspect):
                self._to_do += failed + suspect
                self._failed -= failed
                self._suspect -= suspect
                return note_of(event)
            case ServiceBack() | LimitReached() | RunStopping() | RunPaused() | RunResumed():
                return note_of(event)
            case _:
                assert_never(event)

    def _tell_now_and_then(self) -> None:
        now = self._clock()
        if now < self._next:
            return
        is_first = self._next == self._began
        self._next = now + _EVERY_SECONDS
        parts = [f"{self._done:,} of {plural(self._rows, 'job')} done"]
        if self._failed:
            parts.append(f"{self._failed:,} failed")
        if self._suspect:
            parts.append(f"{self._suspect:,} suspect")
        if self._segments:
            parts.append(self._segments)
        if self._sessions:
            parts.append(f"{plural(self._sessions, 'session')} open")
        if self._answered and not is_first:  # the first says nothing of those to come
            rate = self._answered / (now - self._began)
            parts.append(f"{rate * 60:,.1f} jobs/min")
            parts.append(f"about {_time_left((self._to_do - self._answered) / rate)} left")
        self._write(", ".join(parts))

    def _write(self, line: str) -> None:
        if self._stream is None:
            return
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        shown = " ".join(f"{stamp} {line}".split())
        try:
            try:
                self._stream.write(shown + "\n")
            except UnicodeEncodeError:
                self._stream.write(shown.encode("ascii", "backslashreplace").decode() + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None


def _time_left(seconds: float) -> str:
    """Write it as roughly as it is known."""
    if seconds < 5_400:
        return f"{math.ceil(seconds / 60)} min"
    return f"{seconds / 3_600:,.1f} h"


def detail_of(event: Event, verbosity: int) -> str:
    """Say what only those want to read who asked for more; empty for anything else.

    Args:
        event: What happened.
        verbosity: 1 for attempts that failed, 2 for jobs and segments as well.
    """
    match event:
        case JobRetried() if verbosity >= 1:
            return (
                f"{event.id}: attempt {event.attempt} failed, {event.error_class}: "
                f"{event.message}; again in {event.wait_seconds:.1f} s"
            )
        case JobFinished(record=record) if verbosity >= 2 and record.status is Status.DONE:
            return f"{record.id}: done, {record.audio_seconds:.1f} s of audio: {record.output}"
        case JobFinished(record=record) if verbosity >= 2:
            if record.status is Status.SUSPECT:
                return f"{record.id}: suspect, {record.error_message}: {record.output}"
            return f"{record.id}: failed, {record.error_class}: {record.error_message}"
        case SegmentFinished() if verbosity >= 2:
            return note_of(event)
        case _:
            return ""
