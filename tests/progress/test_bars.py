"""Bars on a real terminal: they appear, move on and vanish, and end no run."""

import contextlib
import fcntl
import io
import logging
import os
import pty
import re
import struct
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pytest
import tqdm
from tqdm.utils import disp_len

from batchjobs.progress import Bars, LimitReached, RunStarted, SegmentFinished
from tests.clocks import PATIENCE_SECONDS
from tests.progress.events import (
    ALL,
    ARABIC,
    DONE,
    FAILED,
    FINISHED,
    RETRIED,
    SERVICE_LOST,
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


def resize(stream: TextIO, columns: int) -> None:
    """Give a terminal so many columns."""
    fcntl.ioctl(stream.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


def lines_of(drawn: str) -> list[str]:
    """Take what was drawn apart into lines, without what moves the cursor."""
    pieces = re.split(r"[\r\n]|\x1b\[[AK]", drawn)
    return [piece for piece in pieces if piece.strip()]


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """Give a terminal of 100 columns."""
    master, slave = pty.openpty()
    stream = os.fdopen(slave, "w", encoding="utf-8")
    resize(stream, 100)
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
    assert "0/3" in drawn
    assert "audio: 0.0 s" in drawn
    bars(FAILED)
    bars(STOPPING)
    drawn = terminal.seen()
    assert "1/3" in drawn
    assert "stopping: SIGINT: open sessions have 30 s; once more to stop at once" in drawn
    assert ", 1 failed]" in drawn
    assert "stopping]" in drawn
    bars(FINISHED)
    last = re.split(r"[\r\n]|\x1b\[[AK]", terminal.seen())
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
        assert bars._audio is not None
        assert note in str(bars._audio)
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


NAME = "017-الفصل-السَّابع-والعشرون-في-ذكر-ما-جرى-للمسافر-二十七"
SEGMENT = SegmentFinished(id=NAME, done=3, segments=12, audio_seconds=20.0)


@pytest.mark.parametrize("columns", [80, 40, 24])
def test_a_chapters_name_takes_nothing_from_the_bar(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """It stands on the other line, at its end, and is cut at the terminal's edge."""
    monkeypatch.delenv("COLUMNS", raising=False)
    resize(terminal.stream, columns)
    bars = Bars(terminal.stream)
    bars(RunStarted(rows=300, to_do=124, folder="f", done=170, failed=6))
    bars(SEGMENT)
    bars(SERVICE_LOST)
    bars(SEGMENT)
    bars._redraw()
    lines = lines_of(terminal.seen())
    bars.close()
    assert all(disp_len(line) <= columns for line in lines)
    jobs = [line for line in lines if line.startswith("jobs:  59%|")][-1]
    assert NAME[:3] not in jobs
    audio = [line for line in lines if line.startswith("audio: ")][-1]
    assert not audio.endswith("]")  # cut
    if columns == 80:
        assert "| 176/300 [00:00<?, 6 failed]" in jobs
        assert jobs.count(" ") > 15  # room for the bar
        assert "3 of 12 segments of 017-" in audio
    elif columns == 40:
        assert "| 176/300 [00:00<?]" in jobs
        assert ", 6 failed" in audio


def test_a_narrower_terminal_is_drawn_to_at_once(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No line, and none of the spaces that would wipe out a longer one, goes beyond the new edge."""
    monkeypatch.delenv("COLUMNS", raising=False)
    bars = Bars(terminal.stream)
    bars(RunStarted(rows=300, to_do=124, folder="f"))
    bars(SEGMENT)
    bars._redraw()
    assert max(map(disp_len, lines_of(terminal.seen()))) > 60
    resize(terminal.stream, 40)
    bars._redraw()
    drawn = terminal.seen()
    bars.close()
    assert drawn
    assert all(disp_len(piece) <= 40 for piece in re.split(r"[\r\n]|\x1b\[[AK]", drawn))


def test_the_clock_moves_while_nothing_ends(terminal: Terminal) -> None:
    """A second hand draws both lines again every second, whatever the run waits for."""
    bars = Bars(terminal.stream)
    bars(STARTED)
    terminal.seen()
    drawn = ""
    for _ in range(int(PATIENCE_SECONDS) * 10):
        time.sleep(0.1)
        drawn += terminal.seen()
        if "[00:02" in drawn:
            break
    bars.close()
    assert "[00:01" in drawn
    assert "[00:02" in drawn
    assert "audio: " in drawn
    assert bars._ticker is None


def test_the_time_left_is_of_this_run_and_grows_while_nothing_ends(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that were done before do not make the rate, and those that a limit leaves are not waited for."""
    bars = Bars(terminal.stream)
    bars(RunStarted(rows=1_000, to_do=10, folder="f", done=500))
    jobs = bars._jobs
    assert jobs is not None
    seconds = [jobs.start_t]
    monkeypatch.setattr(jobs, "_time", lambda: seconds[0])
    left = []
    for _ in range(2):
        seconds[0] += 60.0
        bars(DONE)
        left.append(str(jobs))
    seconds[0] += 600.0
    left.append(str(jobs))
    bars.close()
    assert "| 501/1000 [01:00<09:00" in left[0]
    assert "| 502/1000 [02:00<08:00" in left[1]
    assert "| 502/1000 [12:00<48:00" in left[2]


def test_a_warning_stands_above_the_bars(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be written into the bar's own line."""
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    handler = logging.StreamHandler(terminal.stream)
    monkeypatch.setattr(logging.root, "handlers", [handler])
    bars = Bars(terminal.stream)
    bars(STARTED)
    terminal.seen()
    logging.getLogger("batchjobs.test").warning("the disk is slow: %s", ARABIC)
    drawn = terminal.seen()
    bars.close()
    assert re.search(rf"(?:^|[\rKA])the disk is slow: {ARABIC}\r\n", drawn)
    assert logging.root.handlers == [handler]
