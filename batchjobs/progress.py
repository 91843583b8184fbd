"""What a run tells while it goes, and who listens: progress bars, JSON lines."""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Final, Protocol, TextIO, TypeAlias, assert_never

import msgspec

from batchjobs.checkpoint import JobRecord
from batchjobs.jobs import Status

__all__ = [
    "Bars",
    "Event",
    "JobFinished",
    "JobRetried",
    "JsonLines",
    "Observer",
    "RunFinished",
    "RunStarted",
    "RunStopping",
    "SegmentFinished",
    "ServiceBack",
    "ServiceLost",
    "SlowedDown",
    "forgiving",
]

_logger = logging.getLogger(__name__)


class RunStarted(msgspec.Struct, tag="run_started", tag_field="event", frozen=True, kw_only=True):
    """The run begins its first session."""

    rows: int
    to_do: int
    folder: str


class JobFinished(msgspec.Struct, tag="job_finished", tag_field="event", frozen=True, kw_only=True):
    """A job has its answer, and it is on the disk."""

    record: JobRecord


class SegmentFinished(
    msgspec.Struct, tag="segment_finished", tag_field="event", frozen=True, kw_only=True
):
    """A segment of a long job is on the disk."""

    id: str
    done: int
    segments: int
    audio_seconds: float


class JobRetried(msgspec.Struct, tag="job_retried", tag_field="event", frozen=True, kw_only=True):
    """An attempt failed and another will follow."""

    id: str
    attempt: int
    error_class: str
    message: str
    wait_seconds: float


class SlowedDown(msgspec.Struct, tag="slowed_down", tag_field="event", frozen=True, kw_only=True):
    """The service asked for fewer sessions."""

    provider: str
    concurrency: int
    message: str


class ServiceLost(msgspec.Struct, tag="service_lost", tag_field="event", frozen=True, kw_only=True):
    """A service that worked cannot be reached; one session at a time looks whether it is back."""

    provider: str
    message: str


class ServiceBack(msgspec.Struct, tag="service_back", tag_field="event", frozen=True, kw_only=True):
    """The service can be reached again."""

    provider: str


class RunStopping(msgspec.Struct, tag="run_stopping", tag_field="event", frozen=True, kw_only=True):
    """No new sessions start; those that are open may finish."""

    reason: str


class RunFinished(msgspec.Struct, tag="run_finished", tag_field="event", frozen=True, kw_only=True):
    """The run has ended; the totals are those of ``summary.json``."""

    exit_code: int
    totals: Mapping[str, object]


Event: TypeAlias = (
    RunStarted
    | JobFinished
    | SegmentFinished
    | JobRetried
    | SlowedDown
    | ServiceLost
    | ServiceBack
    | RunStopping
    | RunFinished
)
Observer: TypeAlias = Callable[[Event], None]

_encoder = msgspec.json.Encoder()


def forgiving(observe: Observer) -> Observer:
    """Make an observer that stops no paid work: once it has failed, it is told nothing more."""
    has_failed = False

    def tell(event: Event) -> None:
        nonlocal has_failed
        if has_failed:
            return
        try:
            observe(event)
        except Exception:
            has_failed = True
            _logger.exception("the observer of the run failed; it is told nothing more")

    return tell


class JsonLines:
    """Writes every event as a line of JSON; a reader that went away never stops paid work.

    Args:
        stream: Where to, usually the standard output; None if there is none.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Write one event."""
        if self._stream is None:
            return
        line = _encoder.encode(event).decode()
        try:
            try:
                self._stream.write(line + "\n")
            except UnicodeEncodeError:  # the locale's encoding has no Arabic, JSON's escapes do
                self._stream.write(json.dumps(json.loads(line)) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None


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
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._jobs: _Bar | None = None
        self._audio: _Bar | None = None
        self._failed = 0
        self._note = ""

    def __call__(self, event: Event) -> None:
        """Take one event into account; a broken terminal ends the bars, not the run."""
        try:
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
                self._note = _note_of(event)
                if self._audio is not None:
                    self._audio.update(seconds)
                self._show()
            case RunFinished():
                self.close()
            case _:
                self._note = _note_of(event)
                # At once, but for what happens often: whoever pressed Ctrl-C waits for a sign, and
                # no job may finish for long.
                self._show(at_once=not isinstance(event, JobRetried | SlowedDown))

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
        self._jobs.update(1)
        if record.segments == 1:
            self._audio.update(record.audio_seconds)
        self._show()

    def _show(self, *, at_once: bool = False) -> None:
        if self._jobs is None:
            return
        failed = f"{self._failed} failed" if self._failed else ""
        note = ", ".join(filter(None, (failed, self._note)))
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


def _note_of(
    event: SegmentFinished | JobRetried | SlowedDown | ServiceLost | ServiceBack | RunStopping,
) -> str:
    """Say in a few words what has happened."""
    match event:
        case SegmentFinished(id=name, done=done, segments=segments):
            return f"{name}: {done} of {segments} segments"
        case JobRetried(error_class=name):
            return f"retrying after {name}"
        case SlowedDown(concurrency=concurrency):
            return f"slowed down to {concurrency} sessions"
        case ServiceLost(provider=name):
            return f"{name} cannot be reached; waiting for it"
        case ServiceBack(provider=name):
            return f"{name} is back"
        case RunStopping(reason=reason):
            return f"stopping: {reason}"
        case _:
            assert_never(event)
