"""Plain lines for a log: now and then, at once where a run is held up."""

import io
import re

from batchjobs.progress import (
    Event,
    JobFinished,
    LimitReached,
    Lines,
    RunStarted,
    ServiceBack,
    ServiceLost,
)
from tests.progress.events import (
    ALL,
    FAILED,
    FINISHED,
    RETRIED,
    SLOWED,
    STOPPING,
    make_transcript_record,
)


class _Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def _told(lines: Lines, stream: io.StringIO, *events: Event) -> list[str]:
    """Tell events; give what was written, without the dates."""
    stream.seek(0)
    stream.truncate()
    for event in events:
        lines(event)
    written = stream.getvalue().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in written)
    return [line[20:] for line in written]


def test_plain_lines_come_at_the_first_result_and_once_a_minute() -> None:
    """A log of a long run has a line a minute, with how far it is and how long it will take."""
    stream, clock = io.StringIO(), _Clock()
    lines = Lines(stream, clock=clock)
    done = JobFinished(record=make_transcript_record(), sessions_open=4)
    assert (
        _told(lines, stream, RunStarted(rows=400, to_do=300, folder="f", done=90, failed=4)) == []
    )
    clock.seconds += 5.0
    assert _told(lines, stream, done) == ["91 of 400 jobs done, 4 failed, 4 sessions open"]
    clock.seconds += 30.0
    assert _told(lines, stream, *[done] * 97, FAILED) == []
    clock.seconds += 65.0
    assert _told(lines, stream, done, done) == [
        "189 of 400 jobs done, 5 failed, 4 sessions open, 60.0 jobs/min, about 4 min left"
    ]


def test_what_holds_a_run_up_is_told_at_once() -> None:
    """Outages, slow-downs and the stop are lines of their own; a slow-down once, not once a job."""
    stream = io.StringIO()
    lines = Lines(stream)
    lost = ServiceLost(provider="munsit", message="connection refused")
    assert _told(lines, stream, SLOWED, SLOWED, lost, ServiceBack(provider="munsit")) == [
        "munsit: slowed down to 7 sessions",
        "munsit cannot be reached; waiting for it: connection refused",
        "munsit is back",
    ]
    assert _told(lines, stream, LimitReached(message="--budget 1 …")) == ["--budget 1 …"]
    assert _told(lines, stream, RETRIED, STOPPING, FINISHED) == [
        "stopping: SIGINT: open sessions have 30 s; once more to stop at once"
    ]
    assert _told(Lines(stream, verbosity=1), stream, RETRIED) == [
        "a: attempt 1 failed, timeout: m; again in 1.5 s"
    ]


def test_plain_lines_never_stop_the_run() -> None:
    """Whatever becomes of the stream, and whatever letters it has, every event passes."""
    raw = io.BytesIO()
    ascii_only = io.TextIOWrapper(raw, encoding="ascii")
    closed = io.StringIO()
    closed.close()
    for stream in (ascii_only, closed, None):
        lines = Lines(stream, verbosity=2)
        for event in ALL:
            lines(event)
    assert b"1 of 3 jobs done" in raw.getvalue()
