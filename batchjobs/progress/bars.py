"""Progress bars on a terminal."""

import contextlib
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TextIO

from batchjobs.checkpoint import JobRecord
from batchjobs.jobs import Status
from batchjobs.progress.events import (
    Event,
    JobFinished,
    JobRetried,
    LimitReached,
    Notice,
    RunChanged,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStopping,
    SegmentFinished,
    SessionDone,
    SessionLaunched,
    SlowedDown,
    note_of,
)
from batchjobs.progress.lines import detail_of
from batchjobs.progress.ticker import Ticker

if TYPE_CHECKING:
    from batchjobs.progress.meters import AudioMeter, JobsMeter

_SHORT: Final[Mapping[type, str]] = {
    LimitReached: "limit reached",
    RunStopping: "stopping",
    RunPaused: "paused",
    RunResumed: "going on",
    RunChanged: "changed",
}
"""What is written above the bars, since it would be cut off beside them: there it is a word or two."""


class Bars:
    """A bar of jobs and a line of audio, by tqdm. Nothing if the stream is no terminal.

    What happens beside them is told on the line of audio: a chapter's long name takes nothing from
    the bar. A second hand moves the clock while nothing ends.

    Args:
        stream: Where to draw, usually the standard error; None if there is none.
        verbosity: 1 writes a line above the bars for every attempt that failed; 2 for every job
            and segment as well.
    """

    def __init__(self, stream: TextIO | None, *, verbosity: int = 0) -> None:
        self._stream = stream
        self._verbosity = verbosity
        self._jobs: JobsMeter | None = None
        self._audio: AudioMeter | None = None
        self._ticker: Ticker | None = None
        self._logging = contextlib.ExitStack()
        self._failed = self._suspect = 0

    def __call__(self, event: Event) -> None:
        """Take one event into account; a broken terminal ends the bars, not the run."""
        try:
            if line := detail_of(event, self._verbosity):
                self._write_above(line)
            self._take(event)
        except (OSError, ValueError):
            self._forget()

    def _take(self, event: Event) -> None:
        match event:
            case RunStarted():
                if event.to_do and self._stream is not None and self._stream.isatty():
                    self._open(event)
            case JobFinished(record=record):
                self._count(record)
            case SegmentFinished(audio_seconds=seconds):
                self._show(note_of(event))
                if self._audio is not None:
                    self._audio.update(seconds)
            case RunFinished():
                self.close()
            case SessionLaunched() | SessionDone():
                pass
            case _:
                self._take_notice(event)

    def _take_notice(self, event: Notice) -> None:
        if isinstance(event, RunChanged):
            self._take_back(event)
        note, short = note_of(event), _SHORT.get(type(event))
        if short is not None:
            self._write_above(note)
        # At once, but for what happens often: no job may finish for long.
        is_rare = not isinstance(event, JobRetried | SlowedDown)
        self._show(short or note, at_once=is_rare)

    def _write_above(self, line: str) -> None:
        if self._stream is None or not self._stream.isatty():
            return
        if self._jobs is None:
            self._stream.write(f"{line}\n")
            self._stream.flush()
            return
        import tqdm

        tqdm.tqdm.write(line, file=self._stream)

    def _open(self, started: RunStarted) -> None:
        from tqdm.contrib.logging import logging_redirect_tqdm  # help must not wait for tqdm

        from batchjobs.progress import meters

        self._failed, self._suspect = started.failed, started.suspect
        answered = started.done + started.failed + started.suspect
        self._jobs = meters.open_jobs_meter(
            self._stream, rows=started.rows, answered=answered, to_do=started.to_do
        )
        self._audio = meters.open_audio_meter(self._stream)
        self._show_counts()
        self._logging.enter_context(logging_redirect_tqdm())
        self._ticker = Ticker(self._redraw)

    def _count(self, record: JobRecord) -> None:
        if self._jobs is None or self._audio is None:
            return
        self._failed += record.status is Status.FAILED
        self._suspect += record.status is Status.SUSPECT
        self._show_counts()
        self._jobs.update(1)
        if record.segments == 1:
            self._audio.update(record.audio_seconds)

    def _take_back(self, changed: RunChanged) -> None:
        """Count rows that go again as not answered yet."""
        self._failed -= changed.failed
        self._suspect -= changed.suspect
        self._show_counts()
        if self._jobs is not None:
            self._jobs.update(-changed.failed - changed.suspect)

    def _show_counts(self) -> None:
        failed = f"{self._failed:,} failed" if self._failed else ""
        suspect = f"{self._suspect:,} suspect" if self._suspect else ""
        counts = ", ".join(filter(None, (failed, suspect)))
        if self._jobs is not None and self._audio is not None:
            self._jobs.counts = self._audio.counts = counts

    def _show(self, note: str, *, at_once: bool = False) -> None:
        if self._audio is None:
            return
        self._audio.note = note
        if at_once:
            self._audio.refresh()

    def _redraw(self) -> None:
        """Draw both again, in the ticker's thread."""
        try:
            for bar in (self._jobs, self._audio):
                if bar is not None and not bar.disable:
                    with bar.get_lock():  # `refresh` itself would keep it if writing fails
                        bar.refresh(nolock=True)
        except (OSError, ValueError):
            self._forget()

    def close(self) -> None:
        """Take the bars off the terminal."""
        self._stop()
        try:
            for bar in (self._audio, self._jobs):
                if bar is not None:
                    bar.close()
        except (OSError, ValueError):
            self._forget()
        self._jobs = self._audio = None

    def _forget(self) -> None:
        """Let go of the bars without drawing: tqdm's finaliser would try once more."""
        if "tqdm" in sys.modules:  # where drawing failed, its lock is held for good
            import tqdm

            tqdm.tqdm.set_lock(threading.RLock())
        for bar in (self._audio, self._jobs):
            if bar is not None:
                bar.disable = True
        self._stop()
        self._jobs = self._audio = None

    def _stop(self) -> None:
        """End what goes on beside the bars."""
        if self._ticker is not None:
            self._ticker.stop()
            self._ticker = None
        self._logging.close()
