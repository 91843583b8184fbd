"""Progress bars on a terminal."""

from typing import Final, Protocol, TextIO

from batchjobs.checkpoint import JobRecord
from batchjobs.jobs import Status
from batchjobs.progress.events import (
    Event,
    JobFinished,
    JobRetried,
    LimitReached,
    RunFinished,
    RunStarted,
    RunStopping,
    SegmentFinished,
    SlowedDown,
    note_of,
)
from batchjobs.progress.lines import detail_of


class _Bar(Protocol):
    """What is used of a tqdm bar."""

    disable: bool

    def update(self, n: float) -> object: ...
    def set_postfix_str(self, s: str, refresh: bool) -> None: ...  # noqa: FBT001
    def close(self) -> None: ...


_BAR_FORMAT: Final = (
    "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
)
_AUDIO_FORMAT: Final = "{desc}: {n:.1f} s [{rate_fmt}{postfix}]"


class Bars:
    """Two tqdm bars: jobs, and seconds of audio as the rate. Nothing if the stream is no terminal.

    Args:
        stream: Where to draw, usually the standard error; None if there is none.
        verbosity: 1 writes a line above the bars for every attempt that failed; 2 for every job
            and segment as well.
    """

    def __init__(self, stream: TextIO | None, *, verbosity: int = 0) -> None:
        self._stream = stream
        self._verbosity = verbosity
        self._jobs: _Bar | None = None
        self._audio: _Bar | None = None
        self._failed = self._suspect = 0
        self._note = ""

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
            case RunStarted(to_do=to_do):
                if to_do and self._stream is not None and self._stream.isatty():
                    self._open(to_do)
            case JobFinished(record=record):
                self._count(record)
            case SegmentFinished(audio_seconds=seconds):
                self._note = note_of(event)
                if self._audio is not None:
                    self._audio.update(seconds)
                self._show()
            case RunFinished():
                self.close()
            case _:
                self._note = note_of(event)
                if isinstance(event, LimitReached | RunStopping):  # cut off beside the bar
                    self._write_above(self._note)
                    self._note = "stopping" if isinstance(event, RunStopping) else "limit reached"
                # At once, but for what happens often: no job may finish for long.
                self._show(at_once=not isinstance(event, JobRetried | SlowedDown))

    def _write_above(self, line: str) -> None:
        if self._stream is None or not self._stream.isatty():
            return
        if self._jobs is None:
            self._stream.write(f"{line}\n")
            self._stream.flush()
            return
        import tqdm

        tqdm.tqdm.write(line, file=self._stream)

    def _open(self, to_do: int) -> None:
        import tqdm  # help must not wait for it

        # The monitor is a thread that would outlive the bars and wake for nothing.
        tqdm.tqdm.monitor_interval = 0
        self._jobs = tqdm.tqdm(
            total=to_do,
            miniters=0,  # its own guess, after a fast start, lets the bar stand still for minutes
            desc="jobs",
            unit="job",
            file=self._stream,
            dynamic_ncols=True,
            leave=False,
            bar_format=_BAR_FORMAT,
        )
        self._audio = tqdm.tqdm(
            desc="audio",
            miniters=0,
            unit=" s",
            file=self._stream,
            dynamic_ncols=True,
            leave=False,
            position=1,
            bar_format=_AUDIO_FORMAT,
        )

    def _count(self, record: JobRecord) -> None:
        if self._jobs is None or self._audio is None:
            return
        if record.status is Status.FAILED:
            self._failed += 1
        self._suspect += record.status is Status.SUSPECT
        self._jobs.update(1)
        if record.segments == 1:
            self._audio.update(record.audio_seconds)
        self._show()

    def _show(self, *, at_once: bool = False) -> None:
        if self._jobs is None:
            return
        failed = f"{self._failed} failed" if self._failed else ""
        suspect = f"{self._suspect} suspect" if self._suspect else ""
        note = ", ".join(filter(None, (failed, suspect, self._note)))
        self._jobs.set_postfix_str(note, refresh=at_once)

    def close(self) -> None:
        """Take the bars off the terminal."""
        try:
            for bar in (self._audio, self._jobs):
                if bar is not None:
                    bar.close()
        except (OSError, ValueError):
            self._forget()
        self._jobs = self._audio = None

    def _forget(self) -> None:
        """Let go of the bars without drawing: tqdm's finaliser would try once more."""
        for bar in (self._audio, self._jobs):
            if bar is not None:
                bar.disable = True
        self._jobs = self._audio = None
