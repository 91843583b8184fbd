"""What a run tells while it goes."""

import logging
from collections.abc import Callable
from typing import TypeAlias, assert_never

import msgspec

from batchjobs.checkpoint import JobRecord
from batchjobs.formatting import clock, plural
from batchjobs.outputs.summary import RunSummary
from batchjobs.process.invocation import quote_command

_logger = logging.getLogger(__name__)


class RunStarted(
    msgspec.Struct,
    tag="run_started",
    tag_field="event",
    frozen=True,
    kw_only=True,
    omit_defaults=True,
):
    """The run begins its first session; as JSON it says of the last three only what is not zero.

    Attributes:
        rows: Of the manifest.
        to_do: Those that this run is to answer.
        folder: The run folder.
        done: Those that were done before.
        failed: Those that failed for good before, and are left so.
        suspect: Those whose result is in doubt, and is left so.
    """

    rows: int
    to_do: int
    folder: str
    done: int = 0
    failed: int = 0
    suspect: int = 0


class JobFinished(msgspec.Struct, tag="job_finished", tag_field="event", frozen=True, kw_only=True):
    """A job has its answer, and it is on the disk; its own session still counts as open."""

    record: JobRecord
    sessions_open: int = 0


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


class SlowedDown(
    msgspec.Struct,
    tag="slowed_down",
    tag_field="event",
    frozen=True,
    kw_only=True,
    omit_defaults=True,
):
    """The service asked for fewer sessions.

    Attributes:
        provider: Which.
        concurrency: How many may be open now.
        message: What it said.
        account: With which of several accounts; empty for the only one.
    """

    provider: str
    concurrency: int
    message: str
    account: str = ""


class ServiceLost(
    msgspec.Struct,
    tag="service_lost",
    tag_field="event",
    frozen=True,
    kw_only=True,
    omit_defaults=True,
):
    """A service that worked cannot be reached; one session at a time looks whether it is back.

    Attributes:
        provider: Which.
        message: How it failed.
        account: As in `SlowedDown`; then the others go on.
    """

    provider: str
    message: str
    account: str = ""


class ServiceBack(
    msgspec.Struct,
    tag="service_back",
    tag_field="event",
    frozen=True,
    kw_only=True,
    omit_defaults=True,
):
    """The service can be reached again.

    Attributes:
        provider: Which.
        account: As in `SlowedDown`.
    """

    provider: str
    account: str = ""


class AccountLeft(msgspec.Struct, tag="account_left", tag_field="event", frozen=True, kw_only=True):
    """One of several accounts with a provider takes no more sessions in this run; the others go on.

    Attributes:
        provider: Which.
        account: Its name.
        message: Why.
    """

    provider: str
    account: str
    message: str


class LimitReached(
    msgspec.Struct, tag="limit_reached", tag_field="event", frozen=True, kw_only=True
):
    """A limit on what may be spent has no room left; only jobs that need none of it go on."""

    message: str


class RunStopping(msgspec.Struct, tag="run_stopping", tag_field="event", frozen=True, kw_only=True):
    """No new sessions start; those that are open may finish."""

    reason: str


class SessionLaunched(
    msgspec.Struct,
    tag="launched",
    tag_field="event",
    frozen=True,
    kw_only=True,
    omit_defaults=True,
):
    """A session opens; told only if that is asked for.

    Attributes:
        id: Of the job, for a segment one of those that wait for it.
        number: The attempt's in the checkpoint.
        provider: Who is asked.
        sessions_open: Sessions that hold a slot, this one among them.
        account: With which of several accounts; empty for the only one.
    """

    id: str
    number: int
    provider: str
    sessions_open: int
    account: str = ""


class SessionDone(msgspec.Struct, tag="done", tag_field="event", frozen=True, kw_only=True):
    """A session has ended, and that is on the disk; told only if that is asked for.

    Attributes:
        id: As when it was launched.
        number: As when it was launched.
        result: ``done``, ``kept`` if its result is in doubt, else the class of its failure.
        code: Of its failure.
        seconds: How long it took.
        characters: Sent in it.
        audio_seconds: Sent in it.
    """

    id: str
    number: int
    result: str
    code: str
    seconds: float
    characters: int
    audio_seconds: float


class RunPaused(msgspec.Struct, tag="run_paused", tag_field="event", frozen=True, kw_only=True):
    """Somebody has paused the run: no session starts until it is told to go on.

    Attributes:
        since: Unix time; before this run began if an earlier one was paused.
        folder: The run folder.
    """

    since: float
    folder: str


class RunResumed(msgspec.Struct, tag="run_resumed", tag_field="event", frozen=True, kw_only=True):
    """Somebody has let a paused run go on."""


class RunChanged(
    msgspec.Struct,
    tag="run_changed",
    tag_field="event",
    frozen=True,
    kw_only=True,
    omit_defaults=True,
):
    """Somebody has changed settings of the run, or set rows to go again.

    Attributes:
        message: What is different now.
        failed: Of the rows that go again, those that had failed.
        suspect: Of them, those whose result is in doubt.
    """

    message: str
    failed: int = 0
    suspect: int = 0


class RunFinished(msgspec.Struct, tag="run_finished", tag_field="event", frozen=True, kw_only=True):
    """The run has ended; the totals are those of ``summary.json``."""

    exit_code: int
    totals: RunSummary


Notice: TypeAlias = (
    SegmentFinished
    | JobRetried
    | SlowedDown
    | ServiceLost
    | ServiceBack
    | AccountLeft
    | LimitReached
    | RunStopping
    | RunPaused
    | RunResumed
    | RunChanged
)
"""What can be said in a few words."""
Event: TypeAlias = RunStarted | JobFinished | Notice | SessionLaunched | SessionDone | RunFinished
Observer: TypeAlias = Callable[[Event], None]


def shield_observer(observe: Observer | None) -> Observer:
    """Make an observer that stops no paid work: once it has failed, it is called no more."""

    def tell(event: Event) -> None:
        nonlocal observe
        if observe is None:
            return
        try:
            observe(event)
        except Exception:
            observe = None
            _logger.exception("the observer of the run failed; it is told nothing more")

    return tell


def name_of(event: SlowedDown | ServiceLost | ServiceBack | AccountLeft) -> str:
    """Say who it is: the provider, with the account if it is one of several."""
    return f"{event.provider} ({event.account})" if event.account else event.provider


def note_of(event: Notice) -> str:
    """Say in a few words what has happened.

    A name comes last: where a line is cut, the numbers stay, and no number stands behind Arabic, where
    a terminal that writes from the right would put it before.
    """
    match event:
        case SegmentFinished(id=name, done=done, segments=segments):
            return f"{done} of {segments} segments of {name}"
        case JobRetried(error_class=name):
            return f"retrying after {name}"
        case SlowedDown() | ServiceLost() | ServiceBack() | AccountLeft():
            return _note_of_service(event)
        case _:
            return _note_of_run(event)


def _note_of_service(event: SlowedDown | ServiceLost | ServiceBack | AccountLeft) -> str:
    match event:
        case SlowedDown(concurrency=concurrency):
            return f"slowed down to {plural(concurrency, 'session')}"
        case ServiceLost(account=account):
            then = "the others go on" if account else "waiting for it"
            return f"{name_of(event)} cannot be reached; {then}"
        case ServiceBack():
            return f"{name_of(event)} is back"
        case AccountLeft():
            return f"going on without {name_of(event)}"
        case _:
            assert_never(event)


def _note_of_run(event: LimitReached | RunStopping | RunPaused | RunResumed | RunChanged) -> str:
    match event:
        case LimitReached() | RunChanged():
            return event.message
        case RunStopping(reason=reason):
            return f"stopping: {reason}"
        case RunPaused(since=since, folder=folder):
            order = quote_command("ctl", folder, "resume")
            return f"paused since {clock(since)}; to go on: {order}"
        case RunResumed():
            return "going on"
        case _:
            assert_never(event)
