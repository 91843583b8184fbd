"""What the tasks of a run share: settings, services, tickets that wait, and whether to stop."""

import enum
import heapq
import itertools
import math
import os
import random
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import trio

from batchjobs.audio.pauses import SpeechDetector
from batchjobs.checkpoint import AttemptEnd, Checkpoint, JobRecord, Row, SegmentRecord
from batchjobs.errors import BatchjobsError, BudgetReachedError, SessionError
from batchjobs.files import run_folder
from batchjobs.jobs import BadRow, Job, Segment
from batchjobs.limits import (
    Breaker,
    Budget,
    ConcurrencyLimit,
    HandshakeRefusals,
    LatencyDrift,
    Price,
    QuietTime,
    RetryBudget,
    RetryPolicy,
    SettleTime,
    StartRate,
)
from batchjobs.options import Options, Pauses
from batchjobs.planning import TO_BUY, cost_of
from batchjobs.progress import Event, Observer, RunStopping, forgiving
from batchjobs.runner.recorder import Recorder
from batchjobs.runner.spool import AudioSpool
from batchjobs.runner.thread_batches import Hops
from batchjobs.session import ConnectionPool, Endpoint, SpeechSession, TranscriptSession

__all__ = [
    "LongJob",
    "Part",
    "RunEnd",
    "RunSettings",
    "RunState",
    "Service",
    "Session",
    "Stage",
    "Ticket",
]

Session = SpeechSession | TranscriptSession

_AUTO_INITIAL: Final = 4
_AUTO_MAXIMUM: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How fast and how patiently to run, and what it may cost.

    Attributes:
        concurrency: Sessions open at once, per provider; 0 finds it out; None asks the provider.
        preopens: Whether connections for the next sessions are opened beforehand. They count: half
            of the concurrency is then sessions.
        starts_per_second: Sessions started a second; 0 means no limit.
        retries: When to try again.
        grace_seconds: After the first signal, how long open sessions may go on.
        handles_signals: Whether to listen for signals; not in somebody else's event loop.
        budget: What may be spent, with what has been; None for no limit.
        pauses: Silence between the segments of a long text.
        detector: Makes what finds the speech in a long recording; None goes by its level.
        rebuys_doubted: Whether segments that are in doubt are bought again.
        audio_memory_bytes: Received audio held in memory, over all sessions; more goes to files.
    """

    concurrency: int | None = None
    preopens: bool = False
    starts_per_second: float = 0.0
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    grace_seconds: float = 30.0
    handles_signals: bool = True
    budget: Budget | None = None
    pauses: Pauses = field(default_factory=lambda: Options().pauses)
    detector: Callable[[], SpeechDetector] | None = None
    rebuys_doubted: bool = False
    audio_memory_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How a run ended.

    Attributes:
        error: What stopped it; None if it came to its end.
        signal_number: The signal that stopped it; 0 if none did.
    """

    error: BatchjobsError | None = None
    signal_number: int = 0


class Stage(enum.Enum):
    """What is to be done about a ticket."""

    ANSWER = enum.auto()
    """Copy, or tell that it cannot be run: no session is needed."""
    BUY = enum.auto()
    CUT = enum.auto()
    """A long job: find its segments, and put those that are missing in line."""
    ASSEMBLE = enum.auto()
    """A long job whose segments are all there."""


@dataclass(eq=False, slots=True, kw_only=True)
class Ticket:
    """A row on its way through the run, or a segment of a long one.

    Attributes:
        row: The row as planned.
        job: What it asks for, or why it cannot be run.
        segment: The part of a long job that is to be bought.
        whole: The long job that is to be put together.
        kept_job: What is kept of the job in doubt, until something better comes.
        kept_segment: What is kept of the segment in doubt.
        has_waited: Whether another row with the same key was tried for it just now.
        attempts: Sessions begun for it that count: not those a service had no room for.
        throttled: Sessions that the service had no room for.
        codes: The codes of its failures.
        unreachable_at: When sessions failed to reach the service and it is open whether that
            was an outage's fault.
        last_error: What to tell if no attempt is left.
        price: What is set aside for its session.
        holds_slot: Whether it counts among the open sessions.
        is_probe: Whether its session finds out if an outage is over.
        started_at: Unix time of its first attempt.
        cost: What all its sessions have cost.
    """

    row: Row
    job: Job | BadRow
    segment: Segment | None = None
    whole: "LongJob | None" = None
    kept_job: JobRecord | None = None
    kept_segment: SegmentRecord | None = None
    has_waited: bool = False
    attempts: int = 0
    throttled: int = 0
    codes: list[str] = field(default_factory=list)
    unreachable_at: list[float] = field(default_factory=list)
    last_error: SessionError | None = None
    price: Price | None = None
    holds_slot: bool = False
    is_probe: bool = False
    started_at: float = 0.0
    cost: float = 0.0

    @property
    def stage(self) -> Stage:
        """What is to be done next."""
        if self.segment is not None:
            return Stage.BUY
        if self.whole is not None:
            return Stage.ASSEMBLE
        if self.row.action not in TO_BUY:
            return Stage.ANSWER
        return Stage.CUT if self.row.layout else Stage.BUY

    @property
    def is_kept(self) -> bool:
        """Whether something of it is kept in doubt."""
        return self.kept_job is not None or self.kept_segment is not None

    @property
    def key(self) -> str:
        """The key of what its session asks for."""
        return self.row.key if self.segment is None else self.segment.key

    @property
    def characters(self) -> int:
        """Characters that its session sends."""
        return self.row.characters if self.segment is None else len(self.segment.text)

    @property
    def seconds(self) -> float:
        """Seconds of audio that its session sends."""
        return self.row.seconds if self.segment is None else self.segment.audio_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A segment's place in a long job.

    Attributes:
        segment: What is asked.
        ends_paragraph: Whether a paragraph of the text ends with it.
        start_seconds: Where it begins in the recording.
        overlap_seconds: How much of the part before it repeats, where speech had to be cut.
        silences: Where nobody speaks in it, in seconds from its start.
    """

    segment: Segment
    ends_paragraph: bool = False
    start_seconds: float = 0.0
    overlap_seconds: float = 0.0
    silences: tuple[tuple[float, float], ...] = ()


@dataclass(eq=False, slots=True, kw_only=True)
class LongJob:
    """A job of several segments on its way.

    Attributes:
        ticket: The row's.
        parts: Its segments in order; the same one may come more than once.
        held: What is there already, by key.
        lost: Places where a segment was looked for, and was damaged.
        is_cut: Whether it is known what is there already.
        is_over: Whether it has failed.
    """

    ticket: Ticket
    parts: Sequence[Part]
    held: dict[str, SegmentRecord]
    lost: list[SegmentRecord] = field(default_factory=list)
    is_cut: bool = False
    is_over: bool = False

    @property
    def is_in_doubt(self) -> bool:
        """Whether something speaks against a segment that is there."""
        return any(self.held[part.segment.key].doubts for part in self.parts)

    @property
    def missing(self) -> dict[str, Segment]:
        """What is not there yet, by key, in order."""
        segments = (part.segment for part in self.parts)
        return {segment.key: segment for segment in segments if segment.key not in self.held}


class Service:
    """What the run knows of one provider as it goes.

    Args:
        link: The way to it.
        settings: The run's.
    """

    def __init__(self, link: Endpoint, settings: RunSettings) -> None:
        provider = link.provider
        asked = provider.concurrency if settings.concurrency is None else settings.concurrency
        self.link = link
        self.most = asked or _AUTO_MAXIMUM
        self.is_adaptive = not asked
        self.limit = ConcurrencyLimit(maximum=self.most, initial=asked or _AUTO_INITIAL)
        self.drift = LatencyDrift()
        self.quiet = QuietTime(provider.quiet_seconds)
        self.settle = SettleTime(provider.settle_seconds, shrinks=provider.settle_shrinks)
        self.breaker = Breaker()
        self.refusals = HandshakeRefusals()
        self.active = 0
        self.was_reached = False
        self.is_proven = False
        self.mute_keys: set[str] = set()
        """Of the texts that it took and left without any audio."""
        self.is_probing = False
        self.pool = ConnectionPool(link, self._may_open_another) if settings.preopens else None
        """Connections for the next sessions, where the run opens any beforehand."""
        self.line: deque[Ticket] = deque()
        """Those who wait until it is ready, where others may go on at other services."""

    def is_ready(self, now: float) -> bool:
        """Whether a session may start now."""
        return self.has_room(now) and now >= self.not_before

    def has_room(self, now: float) -> bool:
        """Whether one more session may open.

        The first goes alone, it may be the key's last; and in an outage one at a time looks
        whether it is over.
        """
        if self.breaker.is_open:
            return not self.is_probing
        allowed = self.limit.allowed(now) if self.is_proven else 1
        return self.active < (allowed if self.pool is None else max(1, allowed // 2))

    def _may_open_another(self, waiting: int) -> bool:
        """Whether the pool may open one more: at most one for each session, and all counted."""
        if self.breaker.is_open or not self.is_proven or waiting >= self.active:
            return False
        return self.active + waiting < self.limit.allowed(trio.current_time())

    def throttled(self, *, started_at: float, now: float, pause_seconds: float = 0.0) -> None:
        """The service refused a connection or a session for want of room."""
        open_ones = self.active + (0 if self.pool is None else len(self.pool))
        self.limit.throttled(
            started_at=started_at, now=now, active=open_ones, pause_seconds=pause_seconds
        )
        if self.pool is not None:
            self.pool.rest()

    def doubt(self, session: Session) -> None:
        """A suspect result: what was learnt of the ends of such sessions is not to be relied on."""
        (self.settle if isinstance(session, TranscriptSession) else self.quiet).doubt()

    @property
    def not_before(self) -> float:
        """No session may start before this time."""
        return max(self.limit.hold_until, self.breaker.next_probe_at)

    def price_of(self, ticket: Ticket) -> Price:
        """What a session for this ticket costs at most."""
        characters, seconds = ticket.characters, ticket.seconds
        money = cost_of(self.link.provider, characters=characters, seconds=seconds)
        return Price(money=money, characters=characters, audio_seconds=seconds)

    def price_so_far(self, session: Session) -> Price:
        """What a session has cost by now."""
        characters, seconds = session.sent_characters, session.sent_audio_seconds
        money = cost_of(self.link.provider, characters=characters, seconds=seconds)
        return Price(money=money, characters=characters, audio_seconds=seconds)


class RunState:
    """The run as its feeder and its workers see it.

    Args:
        checkpoint: The run folder's, with the plan adopted.
        links: The way to each provider.
        settings: How fast and how patiently.
        observe: Told of everything that happens.
        random_source: For the jitter of retries.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        links: Mapping[str, Endpoint],
        settings: RunSettings,
        observe: Observer,
        random_source: random.Random | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.settings = settings
        self.services = {name: Service(link, settings) for name, link in links.items()}
        self.recorder = Recorder(checkpoint)
        self.spool = AudioSpool(
            checkpoint.folder / run_folder.SEGMENTS,
            limit_bytes=settings.audio_memory_bytes,
            on_error=lambda error: self.stop(error.message, error),
        )
        self.rate = StartRate(settings.starts_per_second)
        self.budget = settings.budget or Budget()
        self.retry_budget = RetryBudget()
        self.disk = trio.CapacityLimiter(os.cpu_count() or 2)
        self.hops = Hops(threads=os.cpu_count() or 2)
        self.random = random_source or random.Random()  # noqa: S311  # jitter is no secret
        self.waiting: list[tuple[float, int, Ticket]] = []
        self.remade: dict[str, tuple[Ticket, list[Ticket]]] = {}
        """By key: who buys again what could not be copied, and who else asks for the same."""
        self.wanted: dict[str, list[LongJob]] = {}
        """By key of a segment: the long jobs that wait for it."""
        self.asked: set[str] = set()
        """Keys of the segments that have a ticket."""
        self.settled_in_doubt: set[str] = set()
        """Keys of the segments that are in doubt after all attempts of this run."""
        self.being_cut = 0
        self.in_hand = 0
        self.open: dict[int, tuple[Ticket, Session]] = {}
        self.lost: Mapping[str, int] = {}
        self.manifest = "row"
        """What messages call the manifest."""
        self.is_stopping = False
        self.error: BatchjobsError | None = None
        self.budget_error: BudgetReachedError | None = None
        """The first limit that had no room; what needs none of it goes on."""
        self._observer = forgiving(observe)
        self._order = itertools.count()
        self._changed = trio.Event()

    @property
    def active(self) -> int:
        """Sessions open now, over all services."""
        return sum(service.active for service in self.services.values())

    # -- telling --------------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Tell the observer; one that fails is told no more, and stops no paid work."""
        self._observer(event)

    def stop(self, reason: str, error: BatchjobsError | None = None) -> None:
        """Start no more sessions; the first reason counts."""
        if self.error is None:
            self.error = error
        if self.is_stopping:
            return
        self.is_stopping = True
        for service in self.services.values():
            if service.pool is not None:
                service.pool.rest(math.inf)
        self.tell(RunStopping(reason=reason))
        self.notify()

    # -- waiting --------------------------------------------------------------------------------

    def notify(self) -> None:
        """Something has changed that the feeder may be waiting for."""
        self._changed.set()

    def forget_changes(self) -> None:
        """Only what changes from now on is news."""
        self._changed = trio.Event()

    async def until_changed(self, deadline: float) -> None:
        """Wait for news, or for a time."""
        with trio.move_on_at(deadline):
            await self._changed.wait()

    def wait(self, ticket: Ticket, seconds: float) -> None:
        """Put a ticket aside for a while."""
        due = trio.current_time() + seconds
        heapq.heappush(self.waiting, (due, next(self._order), ticket))

    def due(self) -> Ticket | None:
        """Take a ticket whose wait is over."""
        while self.waiting and self.waiting[0][0] <= trio.current_time():
            ticket = heapq.heappop(self.waiting)[2]
            if self.is_wanted(ticket):
                return ticket
        return None

    def is_wanted(self, ticket: Ticket) -> bool:
        """Whether anybody waits for it; a segment of jobs that have all failed is forgotten."""
        if ticket.segment is None:
            return True
        if any(not job.is_over for job in self.wanted.get(ticket.segment.key, ())):
            return True
        self.no_longer_wanted(ticket.segment.key)
        return False

    def no_longer_wanted(self, key: str) -> list[LongJob]:
        """Let nobody wait for a segment any more, and its ticket be done with; gives who did."""
        self.asked.discard(key)
        return self.wanted.pop(key, [])

    @property
    def next_due_at(self) -> float:
        """When the next waiting ticket is due."""
        return self.waiting[0][0] if self.waiting else float("inf")

    # -- the ledger -----------------------------------------------------------------------------

    async def end_attempt(
        self, number: int, ticket: Ticket, result: str, error: SessionError | None = None
    ) -> None:
        """Write down how a session without a result ended, and what was sent in it.

        Raises:
            BatchjobsError: The disk failed.
        """
        _, session = self.open.pop(number)
        ticket.cost += self.services[ticket.row.provider].price_so_far(session).money
        await self.recorder.finish(end=attempt_end(number, session, result, error))

    async def close_ledger(self) -> None:
        """Write down what the sessions that were cut off had sent, in as few commits as it takes."""
        async with trio.open_nursery() as nursery:
            for number, (ticket, _) in list(self.open.items()):
                nursery.start_soon(self._close_attempt, number, ticket)

    async def _close_attempt(self, number: int, ticket: Ticket) -> None:
        try:
            await self.end_attempt(number, ticket, "cancelled")
        except BatchjobsError as error:  # of the disk; the next run counts them as lost
            self.stop(error.message, error)


def attempt_end(
    number: int,
    session: Session,
    result: str,
    error: SessionError | None = None,
    *,
    replaces_kept: bool = False,
) -> AttemptEnd:
    """Say how a session ended and what was sent in it; see `AttemptEnd`."""
    return AttemptEnd(
        number=number,
        ended_at=time.time(),
        result=result,
        code="" if error is None else error.code,
        message="" if error is None else error.message,
        characters=session.sent_characters,
        audio_seconds=round(session.sent_audio_seconds, 3),
        replaces_kept=replaces_kept,
    )
