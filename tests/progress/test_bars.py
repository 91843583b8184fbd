"""Bars on a real terminal: they appear, move on and vanish, and end no run."""

import contextlib
import fcntl
import io
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

from batchjobs.progress import Bars, LimitReached, RunStarted
from tests.progress.events import (
    ALL,
    ARABIC,
    DONE,
    FAILED,
    FINISHED,
    RETRIED,
    SLOWED,
    STARTED,
    STOPPING,
)


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


def test_bars_appear_and_vanish(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs, audio and what goes wrong are shown while it goes; nothing is left on the lines after."""
    monkeypatch.setenv("COLUMNS", "100")
    bars = Bars(terminal.stream)
    bars(STARTED)
    drawn = terminal.seen()
    assert "jobs:   0%" in drawn
    assert "0/2" in drawn
    assert "audio: 0.0 s" in drawn
    bars(FAILED)
    bars(STOPPING)
    drawn = terminal.seen()
    assert "1/2" in drawn
    assert "stopping: SIGINT: open sessions have 30 s; once more to stop at once" in drawn
    assert "1 failed, stopping" in drawn
    bars(FINISHED)
    last = re.split(r"[\r\n]|\x1b\[A", terminal.seen())
    assert all(not line.strip() for line in last[-2:])


def test_the_bars_move_on_after_a_burst(terminal: Terminal) -> None:
    """A thousand quick copies do not make the bar wait for a thousand slow jobs."""
    bars = Bars(terminal.stream)
    bars(RunStarted(rows=9_000, to_do=9_000, folder="f"))
    for _ in range(2_000):
        bars(DONE)
    jobs = bars._jobs
    assert isinstance(jobs, tqdm.tqdm)
    assert jobs.miniters == 0
    assert jobs.n == 2_000
    assert tqdm.tqdm.monitor is None
    bars.close()


def test_notes_are_kept_until_something_newer(terminal: Terminal) -> None:
    """Retries and slowing down are told beside the bar."""
    bars = Bars(terminal.stream)
    bars(STARTED)
    for event, note in ((RETRIED, "retrying after timeout"), (SLOWED, "slowed down to 7")):
        bars(event)
        assert isinstance(bars._jobs, tqdm.tqdm)
        assert note in str(bars._jobs.postfix)
    bars(FINISHED)
    bars.close()


def test_without_a_terminal_there_are_no_bars(tmp_path: Path) -> None:
    """A file, a pipe, a string or nothing at all gets not a byte."""
    with (tmp_path / "log").open("w+") as log:
        for stream in (log, io.StringIO(), None):
            bars = Bars(stream)
            for event in ALL:
                bars(event)
            bars.close()
            if stream is not None:
                assert stream.tell() == 0


def test_a_stop_is_told_where_no_bar_is(terminal: Terminal) -> None:
    """Whoever pressed Ctrl-C before the first job reads that it was heard."""
    Bars(terminal.stream)(STOPPING)
    assert terminal.seen().startswith("stopping: SIGINT: open sessions have 30 s; once more")


def test_a_limit_that_is_reached_is_a_line_above_the_bars(terminal: Terminal) -> None:
    """It is longer than any bar's end, and what follows still goes on."""
    bars = Bars(terminal.stream)
    bars(STARTED)
    bars(LimitReached(message="--max-characters 40, over all runs, leaves no room for 'a'"))
    drawn = terminal.seen()
    assert "--max-characters 40, over all runs, leaves no room for 'a'\r\n" in drawn
    assert "limit reached" in drawn
    bars.close()


def test_whoever_asked_for_more_reads_it_above_the_bars(terminal: Terminal) -> None:
    """One -v tells failed attempts, two tell every job."""
    for verbosity, retry, job in ((0, False, False), (1, True, False), (2, True, True)):
        bars = Bars(terminal.stream, verbosity=verbosity)
        for event in (STARTED, DONE, RETRIED):
            bars(event)
        bars.close()
        drawn = terminal.seen()
        assert ("a: attempt 1 failed, timeout: m; again in 1.5 s" in drawn) is retry
        assert (f"{ARABIC}: done, 2.5 s of audio" in drawn) is job


def test_with_nothing_to_do_there_are_no_bars(terminal: Terminal) -> None:
    """A run that is done already draws nothing."""
    bars = Bars(terminal.stream)
    bars(RunStarted(rows=3, to_do=0, folder="f"))
    bars(FINISHED)
    assert terminal.seen() == ""


@pytest.mark.parametrize("when", range(len(ALL) + 1))
def test_a_terminal_that_goes_away_never_stops_the_run(terminal: Terminal, when: int) -> None:
    """At whatever moment the window is closed, every later event passes."""
    bars = Bars(terminal.stream)
    for event in ALL[:when]:
        bars(event)
    terminal.hang_up()
    for event in ALL[when:]:
        bars(event)
    bars.close()
    assert bars._jobs is None


@pytest.mark.parametrize("when", range(len(ALL) + 1))
def test_a_terminal_that_fails_never_stops_the_run(terminal: Terminal, when: int) -> None:
    """A write that fails for whatever reason ends the bars, and nothing else, for good."""
    bars = Bars(terminal.stream)
    for event in ALL[:when]:
        bars(event)
    terminal.refuse()
    for event in ALL[when:-1]:
        bars(event)
    bars.close()
    for event in ALL:
        bars(event)
    assert bars._jobs is None


@pytest.mark.parametrize("when", range(len(ALL) + 1))
def test_a_stream_that_is_closed_never_stops_the_run(terminal: Terminal, when: int) -> None:
    """A standard error that somebody closed is no reason to lose paid work."""
    bars = Bars(terminal.stream)
    for event in ALL[:when]:
        bars(event)
    terminal.stream.close()
    for event in ALL[when:]:
        bars(event)
    bars.close()
    assert bars._audio is None


def test_an_interrupted_run_takes_its_bars_away(terminal: Terminal) -> None:
    """Closing takes the bars off in the middle too, and twice is once."""
    bars = Bars(terminal.stream)
    bars(STARTED)
    bars(DONE)
    bars.close()
    terminal.seen()
    bars.close()
    bars(DONE)
    bars(SLOWED)
    assert terminal.seen() == ""
