"""What a run tells: bars on a real terminal, lines of JSON, and nothing that could end a run."""

import contextlib
import fcntl
import io
import json
import os
import pty
import re
import struct
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pytest
import tqdm

from batchjobs.checkpoint import FileRecord, JobRecord
from batchjobs.jobs import Ending, Evidence, Kind, Status
from batchjobs.progress import (
    Bars,
    Event,
    JobFinished,
    JobRetried,
    JsonLines,
    LimitReached,
    Lines,
    RunFinished,
    RunStarted,
    RunStopping,
    ServiceBack,
    ServiceLost,
    SlowedDown,
)

_ARABIC = "مَرْحَبًا \u200dـــ ٤٥"


def _record(status: Status = Status.DONE) -> JobRecord:
    return JobRecord(
        id=_ARABIC,
        key="k",
        kind=Kind.STT,
        status=status,
        text=_ARABIC,
        audio_seconds=2.5,
        files=(FileRecord(path="a", bytes=1, sha256="s"),),
        evidence=Evidence(
            ending=Ending.SETTLED,
            messages=1,
            first_result_seconds=0.1,
            longest_gap_seconds=0.1,
            session_seconds=0.1,
        ),
    )


_STARTED = RunStarted(rows=3, to_do=2, folder=f"outputs/{_ARABIC}")
_DONE = JobFinished(record=_record())
_FAILED = JobFinished(record=_record(Status.FAILED))
_RETRIED = JobRetried(id="a", attempt=1, error_class="timeout", message="m", wait_seconds=1.5)
_SLOWED = SlowedDown(provider="munsit", concurrency=7, message="m")
_STOPPING = RunStopping(reason="SIGINT: open sessions have 30 s; once more to stop at once")
_FINISHED = RunFinished(exit_code=1, totals={"rows": 3, "spent": {"USD": 0.5}})
_ALL: tuple[Event, ...] = (_STARTED, _DONE, _RETRIED, _SLOWED, _FAILED, _STOPPING, _FINISHED)


@dataclass
class Terminal:
    """A pseudo-terminal: what is written to `stream` can be read as a person would see it."""

    stream: TextIO
    master: int

    def seen(self) -> str:
        """Give what was drawn since the last look."""
        self.stream.flush()
        os.set_blocking(self.master, False)
        parts = []
        while True:
            try:
                parts.append(os.read(self.master, 65_536))
            except BlockingIOError:
                return b"".join(parts).decode()

    def refuse(self) -> None:
        """Let every write fail, as on a device that is out of order."""
        deaf = os.open(os.ttyname(self.stream.fileno()), os.O_RDONLY | os.O_NOCTTY)
        os.dup2(deaf, self.stream.fileno())
        os.close(deaf)

    def hang_up(self) -> None:
        """Take the terminal away."""
        os.close(self.master)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """Give a terminal of 100 columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    stream = os.fdopen(slave, "w", encoding="utf-8")
    yield Terminal(stream, master)
    for closing in (stream.close, lambda: os.close(master)):
        with contextlib.suppress(OSError):
            closing()


# -- bars --------------------------------------------------------------------------------------


def test_bars_appear_and_vanish(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs, audio and what goes wrong are shown while it goes; nothing is left on the lines after."""
    monkeypatch.setenv("COLUMNS", "100")
    bars = Bars(terminal.stream)
    bars(_STARTED)
    drawn = terminal.seen()
    assert "jobs:   0%" in drawn
    assert "0/2" in drawn
    assert "audio: 0.0 s" in drawn
    bars(_FAILED)
    bars(_STOPPING)
    drawn = terminal.seen()
    assert "1/2" in drawn
    assert "stopping: SIGINT: open sessions have 30 s; once more to stop at once" in drawn
    assert "1 failed, stopping" in drawn
    bars(_FINISHED)
    last = re.split(r"[\r\n]|\x1b\[A", terminal.seen())
    assert all(not line.strip() for line in last[-2:])


def test_the_bars_move_on_after_a_burst(terminal: Terminal) -> None:
    """A thousand quick copies do not make the bar wait for a thousand slow jobs."""
    bars = Bars(terminal.stream)
    bars(RunStarted(rows=9_000, to_do=9_000, folder="f"))
    for _ in range(2_000):
        bars(_DONE)
    jobs = bars._jobs
    assert isinstance(jobs, tqdm.tqdm)
    assert jobs.miniters == 0
    assert jobs.n == 2_000
    assert tqdm.tqdm.monitor is None
    bars.close()


def test_notes_are_kept_until_something_newer(terminal: Terminal) -> None:
    """Retries and slowing down are told beside the bar."""
    bars = Bars(terminal.stream)
    bars(_STARTED)
    for event, note in ((_RETRIED, "retrying after timeout"), (_SLOWED, "slowed down to 7")):
        bars(event)
        assert isinstance(bars._jobs, tqdm.tqdm)
        assert note in str(bars._jobs.postfix)
    bars(_FINISHED)
    bars.close()


def test_without_a_terminal_there_are_no_bars(tmp_path: Path) -> None:
    """A file, a pipe, a string or nothing at all gets not a byte."""
    with (tmp_path / "log").open("w+") as log:
        for stream in (log, io.StringIO(), None):
            bars = Bars(stream)
            for event in _ALL:
                bars(event)
            bars.close()
            if stream is not None:
                assert stream.tell() == 0


def test_a_stop_is_told_where_no_bar_is(terminal: Terminal) -> None:
    """Whoever pressed Ctrl-C before the first job reads that it was heard."""
    Bars(terminal.stream)(_STOPPING)
    assert terminal.seen().startswith("stopping: SIGINT: open sessions have 30 s; once more")


def test_a_limit_that_is_reached_is_a_line_above_the_bars(terminal: Terminal) -> None:
    """It is longer than any bar's end, and what follows still goes on."""
    bars = Bars(terminal.stream)
    bars(_STARTED)
    bars(LimitReached(message="--max-characters 40, over all runs, leaves no room for 'a'"))
    drawn = terminal.seen()
    assert "--max-characters 40, over all runs, leaves no room for 'a'\r\n" in drawn
    assert "limit reached" in drawn
    bars.close()


def test_whoever_asked_for_more_reads_it_above_the_bars(terminal: Terminal) -> None:
    """One -v tells failed attempts, two tell every job."""
    for verbosity, retry, job in ((0, False, False), (1, True, False), (2, True, True)):
        bars = Bars(terminal.stream, verbosity=verbosity)
        for event in (_STARTED, _DONE, _RETRIED):
            bars(event)
        bars.close()
        drawn = terminal.seen()
        assert ("a: attempt 1 failed, timeout: m; again in 1.5 s" in drawn) is retry
        assert (f"{_ARABIC}: done, 2.5 s of audio" in drawn) is job


def test_with_nothing_to_do_there_are_no_bars(terminal: Terminal) -> None:
    """A run that is done already draws nothing."""
    bars = Bars(terminal.stream)
    bars(RunStarted(rows=3, to_do=0, folder="f"))
    bars(_FINISHED)
    assert terminal.seen() == ""


@pytest.mark.parametrize("when", range(len(_ALL) + 1))
def test_a_terminal_that_goes_away_never_stops_the_run(terminal: Terminal, when: int) -> None:
    """At whatever moment the window is closed, every later event passes."""
    bars = Bars(terminal.stream)
    for event in _ALL[:when]:
        bars(event)
    terminal.hang_up()
    for event in _ALL[when:]:
        bars(event)
    bars.close()
    assert bars._jobs is None


@pytest.mark.parametrize("when", range(len(_ALL) + 1))
def test_a_terminal_that_fails_never_stops_the_run(terminal: Terminal, when: int) -> None:
    """A write that fails for whatever reason ends the bars, and nothing else, for good."""
    bars = Bars(terminal.stream)
    for event in _ALL[:when]:
        bars(event)
    terminal.refuse()
    for event in _ALL[when:-1]:
        bars(event)
    bars.close()
    for event in _ALL:
        bars(event)
    assert bars._jobs is None


@pytest.mark.parametrize("when", range(len(_ALL) + 1))
def test_a_stream_that_is_closed_never_stops_the_run(terminal: Terminal, when: int) -> None:
    """A standard error that somebody closed is no reason to lose paid work."""
    bars = Bars(terminal.stream)
    for event in _ALL[:when]:
        bars(event)
    terminal.stream.close()
    for event in _ALL[when:]:
        bars(event)
    bars.close()
    assert bars._audio is None


def test_an_interrupted_run_takes_its_bars_away(terminal: Terminal) -> None:
    """Closing takes the bars off in the middle too, and twice is once."""
    bars = Bars(terminal.stream)
    bars(_STARTED)
    bars(_DONE)
    bars.close()
    terminal.seen()
    bars.close()
    bars(_DONE)
    bars(_SLOWED)
    assert terminal.seen() == ""


# -- plain lines -------------------------------------------------------------------------------


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
    done = JobFinished(record=_record(), sessions_open=4)
    assert _told(lines, stream, RunStarted(rows=400, to_do=300, folder="f")) == []
    clock.seconds += 5.0
    assert _told(lines, stream, done) == ["1 of 300 jobs done, 4 sessions open"]
    clock.seconds += 30.0
    assert _told(lines, stream, *[done] * 97, _FAILED) == []
    clock.seconds += 65.0
    assert _told(lines, stream, done, done) == [
        "100 of 300 jobs done, 1 of them failed, 4 sessions open, 60.0 jobs/min, about 4 min left"
    ]


def test_what_holds_a_run_up_is_told_at_once() -> None:
    """Outages, slow-downs and the stop are lines of their own; a slow-down once, not once a job."""
    stream = io.StringIO()
    lines = Lines(stream)
    lost = ServiceLost(provider="munsit", message="connection refused")
    assert _told(lines, stream, _SLOWED, _SLOWED, lost, ServiceBack(provider="munsit")) == [
        "munsit: slowed down to 7 sessions",
        "munsit cannot be reached; waiting for it: connection refused",
        "munsit is back",
    ]
    assert _told(lines, stream, LimitReached(message="--budget 1 …")) == ["--budget 1 …"]
    assert _told(lines, stream, _RETRIED, _STOPPING, _FINISHED) == [
        "stopping: SIGINT: open sessions have 30 s; once more to stop at once"
    ]
    assert _told(Lines(stream, verbosity=1), stream, _RETRIED) == [
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
        for event in _ALL:
            lines(event)
    assert b"1 of 2 jobs done" in raw.getvalue()


# -- lines of JSON -----------------------------------------------------------------------------


def test_every_event_is_a_line_of_json() -> None:
    """Each names itself and has its facts, Arabic as it is."""
    stream = io.StringIO()
    lines = JsonLines(stream)
    for event in _ALL:
        lines(event)
    assert _ARABIC in stream.getvalue()
    found = [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]
    assert [line.pop("event") for line in found] == [
        "run_started",
        "job_finished",
        "job_retried",
        "slowed_down",
        "job_finished",
        "run_stopping",
        "run_finished",
    ]
    assert found[0] == {"rows": 3, "to_do": 2, "folder": f"outputs/{_ARABIC}"}
    assert found[1]["record"]["text"] == _ARABIC
    assert found[1]["record"]["evidence"]["ending"] == "settled"
    assert found[4]["record"]["status"] == "failed"
    assert found[6] == {"exit_code": 1, "totals": {"rows": 3, "spent": {"USD": 0.5}}}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1256", "utf-8"])
def test_the_locale_costs_no_letter(encoding: str) -> None:
    """Where the stream's encoding has no Arabic, JSON's own escapes carry it."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    lines = JsonLines(stream)
    for event in _ALL:
        lines(event)
    found = [json.loads(line) for line in raw.getvalue().decode(encoding).splitlines()]
    assert len(found) == len(_ALL)
    assert found[1]["record"]["text"] == _ARABIC


def test_a_reader_that_goes_away_never_stops_the_run() -> None:
    """A closed pipe, a closed stream, a full disk or none: every event passes."""
    reading, writing = os.pipe()
    os.close(reading)
    pipe = os.fdopen(writing, "w", encoding="utf-8")
    full = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115 - to be closed in vain
    closed = io.StringIO()
    closed.close()
    for stream in (pipe, full, closed, None):
        lines = JsonLines(stream)
        for event in _ALL:
            lines(event)
        assert lines._stream is None
    for stream in (pipe, full):
        with pytest.raises(OSError, match=r"Broken pipe|No space"):
            stream.close()
