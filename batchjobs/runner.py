"""The nursery: a feeder, fixed workers, a recorder, and the signals that stop them."""

import heapq
import itertools
import logging
import os
import random
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import trio

from batchjobs import outputs, text
from batchjobs.checkpoint import AttemptEnd, AttemptStart, Checkpoint, JobRecord, Row
from batchjobs.errors import (
    BatchjobsError,
    InternalError,
    KeyRefusedError,
    Reaction,
    ServiceUnavailableError,
    SessionError,
)
from batchjobs.jobs import BadRow, Evidence, Job, Kind, Segment, Status
from batchjobs.limits import ConcurrencyLimit, RetryPolicy, StartRate
from batchjobs.outputs import Written
from batchjobs.planning import TO_BUY, Action, cost_of, decode_row
from batchjobs.plausibility import SpeechRates
from batchjobs.progress import Event, JobFinished, JobRetried, Observer, RunStopping, SlowedDown
from batchjobs.protocol.stt import TranscriptResult
from batchjobs.protocol.tts import SpeechResult
from batchjobs.providers import Provider
from batchjobs.recorder import Recorder
from batchjobs.session import (
    CONNECTION_CODE,
    RECORDING_CODE,
    Link,
    SpeechSession,
    TranscriptSession,
    recording_chunks,
)
from batchjobs.signals import listened_to

__all__ = ["RunEnd", "RunSettings", "Runner"]

_logger = logging.getLogger(__name__)
_AUTO_INITIAL: Final = 4
_AUTO_MAXIMUM: Final = 256
_PAGE_ROWS: Final = 200
_RETRIES_WAITING: Final = 1_000
"""With so many failed jobs waiting for another try, no new ones start."""
_INTERNAL_ALIKE: Final = 5
_NOT_BOUGHT: Final = (Action.COPY, Action.FOLLOW, Action.BAD)
"""Rows that open no session, or only once their copy has failed."""
_LONGEST_PAUSE_SECONDS: Final = 3_600.0
_SHORTEST_PAUSE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How fast and how patiently to run.

    Attributes:
        concurrency: Sessions open at once, per provider; 0 finds it out; None asks the provider.
        starts_per_second: Sessions started a second; 0 means no limit.
        retries: When to try again.
        grace_seconds: After the first signal, how long open sessions may go on.
        handles_signals: Whether to listen for signals; not in somebody else's event loop.
    """

    concurrency: int | None = None
    starts_per_second: float = 0.0
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    grace_seconds: float = 30.0
    handles_signals: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How a run ended.

    Attributes:
        error: What stopped it; None if it came to its end.
        signal_number: The signal that stopped it; 0 if none did.
    """

    error: BatchjobsError | None = None
    signal_number: int = 0


@dataclass(slots=True, kw_only=True)
class _Ticket:
    """A row on its way through the run."""

    row: Row
    job: Job | BadRow
    attempts: int = 0
    throttled: int = 0
    holds_slot: bool = False
    codes: list[str] = field(default_factory=list)
    started_at: float = 0.0
    cost: float = 0.0


@dataclass(slots=True, kw_only=True)
class _Service:
    """What the run knows of one provider as it goes."""

    link: Link
    limit: ConcurrencyLimit
    active: int = 0
    is_proven: bool = False

    @property
    def has_room(self) -> bool:
        """Whether one more session may open: the first goes alone, it may be the key's last."""
        return self.active < (self.limit.allowed if self.is_proven else 1)


class Runner:
    """Runs the rows that a plan left to do.

    Args:
        checkpoint: The run folder's, with the plan adopted.
        links: The way to each provider that the plan uses.
        settings: How fast and how patiently.
        observe: Told of everything that happens.
        random_source: For the jitter of retries.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        links: Mapping[str, Link],
        settings: RunSettings,
        observe: Observer,
        random_source: random.Random | None = None,
    ) -> None:
        self._checkpoint = checkpoint
        self._settings = settings
        self._observer: Observer | None = observe
        self._random = random_source or random.Random()  # noqa: S311  # jitter is no secret
        self._services = {name: _service(link, settings) for name, link in links.items()}
        self._rate = StartRate(settings.starts_per_second)
        self._rates = SpeechRates()
        self._recorder = Recorder(checkpoint)
        self._disk = trio.CapacityLimiter(os.cpu_count() or 2)
        self._waiting: list[tuple[float, int, _Ticket]] = []
        self._order = itertools.count()
        self._in_hand = 0
        self._changed = trio.Event()
        self._is_stopping = False
        self._error: BatchjobsError | None = None
        self._signal_number = 0
        self._work_scope = trio.CancelScope()
        self._open: dict[int, tuple[_Ticket, SpeechSession | TranscriptSession]] = {}
        self._lost: Mapping[str, int] = {}
        self._internal_alike: list[str] = []

    async def run(self) -> RunEnd:
        """Work until everything has its answer, or something stops the run.

        Returns:
            How it ended.
        """
        try:
            self._lost = self._checkpoint.recover(time.time())
        except BatchjobsError as error:
            return RunEnd(error=error)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._recorder.run)
            try:
                if self._settings.handles_signals:
                    await nursery.start(self._watch_signals)
                with self._work_scope:
                    await self._work()
            finally:
                with trio.CancelScope(shield=True):
                    await self._close_ledger()
                self._recorder.close()
            nursery.cancel_scope.cancel()
        return RunEnd(error=self._error, signal_number=self._signal_number)

    async def _work(self) -> None:
        workers = sum(
            _most(service.link.provider, self._settings) for service in self._services.values()
        )
        send, receive = trio.open_memory_channel[_Ticket](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._feed, send)
            for _ in range(max(1, workers)):
                nursery.start_soon(self._serve, receive.clone())
            receive.close()

    # -- stopping -------------------------------------------------------------------------------

    async def _watch_signals(self, task_status: trio.TaskStatus[None]) -> None:
        wanted = listened_to()
        if not wanted:  # whoever started us has switched them all off
            task_status.started()
            return
        with trio.open_signal_receiver(*wanted) as received:
            task_status.started()
            async for number in received:
                if self._signal_number:
                    self._work_scope.cancel()
                    continue  # a third must not strike the commits that are under way
                self._signal_number = number
                name = signal.Signals(number).name
                grace = self._settings.grace_seconds
                self._stop(f"{name}: open sessions have {grace:g} s; once more to stop at once")
                self._work_scope.deadline = trio.current_time() + grace

    def _stop(self, reason: str, error: BatchjobsError | None = None) -> None:
        """Start no more sessions; the first reason counts."""
        if self._error is None:
            self._error = error
        if self._is_stopping:
            return
        self._is_stopping = True
        self._tell(RunStopping(reason=reason))
        self._notify()

    def _tell(self, event: Event) -> None:
        """Tell the observer; one that fails is told no more, and stops no paid work."""
        if self._observer is None:
            return
        try:
            self._observer(event)
        except Exception:
            _logger.exception("the observer of the run failed; it is told nothing more")
            self._observer = None

    def _notify(self) -> None:
        self._changed.set()

    async def _close_ledger(self) -> None:
        """Write down what the sessions that were cut off had sent."""
        try:
            for number, (ticket, session) in list(self._open.items()):
                await self._end_attempt(number, ticket, session, "cancelled")
        except BatchjobsError as error:  # of the disk; the next run counts them as lost
            self._stop(error.message, error)

    # -- feeding --------------------------------------------------------------------------------

    async def _feed(self, send: trio.MemorySendChannel[_Ticket]) -> None:
        async with send:
            for actions in ((*TO_BUY, Action.COPY, Action.BAD), (Action.FOLLOW,)):
                rows = self._checkpoint.rows_to_do(actions)
                try:
                    await self._feed_rows(rows, send)
                except BatchjobsError as error:  # of the disk: what is open may still finish
                    self._stop(error.message, error)

    async def _feed_rows(self, rows: Iterator[Row], send: trio.MemorySendChannel[_Ticket]) -> None:
        """Hand out rows, and the retries that fall due, until all of them have their answers."""
        page: list[Row] = []
        is_more = True
        while not self._is_stopping:
            self._changed = trio.Event()
            ticket = self._due()
            if ticket is None and is_more and self._takes_new_rows:
                if not page:
                    page = await trio.to_thread.run_sync(_page, rows)
                    page.reverse()
                    is_more = bool(page)
                if page:
                    row = page.pop()
                    ticket = _Ticket(row=row, job=decode_row(row))
            if ticket is not None:
                if await self._admit(ticket):
                    self._in_hand += 1
                    await send.send(ticket)
            elif not is_more and not self._in_hand and not self._waiting:
                return
            else:
                await self._until_changed(self._waiting[0][0] if self._waiting else float("inf"))

    @property
    def _takes_new_rows(self) -> bool:
        """Whether another row may be looked at: not while too many jobs wait for another try.

        As long as no service has done anything for us, the first job alone finds out, in all of
        its attempts, whether it is there.
        """
        services = self._services.values()
        if any(service.is_proven for service in services):
            return len(self._waiting) < _RETRIES_WAITING
        return not self._waiting and not any(service.active for service in services)

    def _due(self) -> _Ticket | None:
        if self._waiting and self._waiting[0][0] <= trio.current_time():
            return heapq.heappop(self._waiting)[2]
        return None

    async def _until_changed(self, deadline: float) -> None:
        with trio.move_on_at(deadline):
            await self._changed.wait()

    async def _admit(self, ticket: _Ticket) -> bool:
        """Wait until every limit allows one more session; false if the run stops first."""
        service = self._services.get(ticket.row.provider)
        if service is None or ticket.row.action in _NOT_BOUGHT:
            return True
        while not self._is_stopping:
            now = trio.current_time()
            not_before = max(service.limit.hold_until, self._rate.next_at)
            if service.has_room and now >= not_before:
                service.active += 1
                ticket.holds_slot = True
                self._rate.started(now)
                return True
            self._changed = trio.Event()
            await self._until_changed(not_before if service.has_room else float("inf"))
        return False

    # -- working --------------------------------------------------------------------------------

    async def _serve(self, receive: trio.MemoryReceiveChannel[_Ticket]) -> None:
        async with receive:
            async for ticket in receive:
                service = self._services.get(ticket.row.provider)
                try:
                    await self._handle(ticket, service)
                except BatchjobsError as error:
                    self._stop(error.message, error)
                except Exception as error:  # noqa: BLE001  # one job's surprise is not the run's end
                    with trio.CancelScope(shield=True):
                        await self._surprised(ticket, error)
                finally:
                    self._in_hand -= 1
                    if service is not None and ticket.holds_slot:
                        service.active -= 1
                        ticket.holds_slot = False
                    self._notify()

    async def _handle(self, ticket: _Ticket, service: _Service | None) -> None:
        job = ticket.job
        if isinstance(job, BadRow):
            message = BadRow.located(replace(job, row={}), "row")
            await self._fail(ticket, "bad_row", "", message, is_passing=False)
            return
        ticket.started_at = ticket.started_at or time.time()
        if ticket.row.action in {Action.COPY, Action.FOLLOW} and await self._copy(ticket):
            return
        if service is None:
            raise InternalError(f"no way to the provider '{ticket.row.provider}' was given")
        if ticket.row.action in _NOT_BOUGHT:
            # There is nothing to copy, or it is damaged: it has to be bought after all, in its turn.
            ticket.row = replace(ticket.row, action=Action.REMAKE)
            self._wait(ticket, 0.0)
            return
        if await self._may_begin(ticket):
            await self._buy(ticket, job, service)

    async def _may_begin(self, ticket: _Ticket) -> bool:
        """Whether a job may open a session: not if it has crashed too often, nor while we stop."""
        if not ticket.attempts:
            ticket.attempts = self._lost.get(ticket.row.key, 0)
        if ticket.attempts >= self._settings.retries.attempts:
            message = f"the process died in each of its last {ticket.attempts} attempts"
            await self._fail(ticket, "crashed", "", message, is_passing=False)
            return False
        return not self._is_stopping

    async def _copy(self, ticket: _Ticket) -> bool:
        """Give a job what an equal one has; true if that settled it."""
        row = ticket.row
        donors = await trio.to_thread.run_sync(self._checkpoint.donors, row.key)
        for donor in donors:
            written = await trio.to_thread.run_sync(
                outputs.copied, self._checkpoint.folder, row.output, donor, limiter=self._disk
            )
            if written is not None:
                record = replace(
                    donor,
                    id=row.id,
                    output=row.output,
                    files=written.files,
                    copied_from=donor.id,
                    attempts=0,
                    cost=0.0,
                    started_at=ticket.started_at,
                    finished_at=time.time(),
                )
                await self._settle(record, written)
                return True
        if row.action != Action.FOLLOW or donors:  # whoever failed at it, it can be done
            return False
        failure = await trio.to_thread.run_sync(self._checkpoint.failure_of, row.key)
        if failure is not None:
            message = f"asks the same as '{failure.id}', which failed: {failure.error_message}"
            name, code = failure.error_class, failure.error_code
            await self._fail(ticket, name, code, message, is_passing=failure.is_passing)
            return True
        return False

    async def _buy(self, ticket: _Ticket, job: Job, service: _Service) -> None:
        """Open a session for a job and take care of whatever comes of it."""
        row = ticket.row
        began = trio.current_time()
        ticket.attempts += 1
        session = self._session(job, row, service)
        start = AttemptStart(key=row.key, job=row.id, provider=row.provider, started_at=time.time())
        with trio.CancelScope(shield=True):
            number = await self._recorder.begin(start)
        self._open[number] = (ticket, session)
        try:
            result = await session.run()
        except SessionError as error:
            with trio.CancelScope(shield=True):
                await self._end_attempt(number, ticket, session, error.label, error)
                await self._missed(ticket, service, session, error, began)
            return
        # What was paid for is brought home, whoever wants to stop.
        with trio.CancelScope(shield=True):
            written = await self._written(row, result)
            ticket.cost += _cost(service.link.provider, session)
            end = _attempt_end(number, session, "done")
            record = _done(ticket, result, written)
            await self._recorder.finish(end=end, record=record, targets=written.targets)
            del self._open[number]
        service.limit.succeeded()
        self._internal_alike.clear()
        self._tell(JobFinished(record=record))

    def _session(self, job: Job, row: Row, service: _Service) -> SpeechSession | TranscriptSession:
        def proven() -> None:
            service.is_proven = True
            self._notify()

        link = service.link
        if job.kind is Kind.STT:
            chunks = recording_chunks(Path(job.audio), link.provider.chunk_seconds)
            return TranscriptSession(link, chunks=chunks, on_proven=proven)
        segment = Segment(key=row.key, kind=job.kind, text=job.text, speech=job.speech)
        assert job.speech is not None
        judge = self._rates.judge(
            voice=f"{row.provider}/{job.speech.voice_id}", spoken=job.text, speed=job.speech.speed
        )
        texts = text.messages(job.text)
        return SpeechSession(link, segment, texts=texts, judge=judge, on_proven=proven)

    async def _written(self, row: Row, result: SpeechResult | TranscriptResult) -> Written:
        folder = self._checkpoint.folder

        def write() -> Written:
            if isinstance(result, SpeechResult):
                return outputs.spoken(folder, row.output, result.pcm, result.sample_rate)
            return outputs.transcribed(
                folder,
                row.output,
                result.text,
                audio_seconds=row.seconds,
                evidence=result.evidence,
            )

        return await trio.to_thread.run_sync(write, limiter=self._disk)

    # -- what did not work ----------------------------------------------------------------------

    async def _missed(
        self,
        ticket: _Ticket,
        service: _Service,
        session: SpeechSession | TranscriptSession,
        error: SessionError,
        began: float,
    ) -> None:
        """Decide what a failed attempt means, and do it."""
        policy = self._settings.retries
        if error.reaction is Reaction.STOP:
            self._stop(error.message, _stopping(error))
            return
        is_refused = error.reaction is Reaction.FAIL and not session.was_connected
        if error.reaction is Reaction.FAIL and not is_refused and error.code != RECORDING_CODE:
            service.is_proven = True  # it judged the job, so it took the key
        if policy.is_worth_retrying(ticket.attempts, error, ticket.codes):
            if error.reaction is Reaction.THROTTLE:
                self._slow_down(ticket, service, error, began)
            else:
                self._try_again(ticket, error)
            return
        if not service.is_proven and (is_refused or error.code == CONNECTION_CODE):
            # No request differs from this one in what the service has seen of it.
            hint = "nothing was spent; check --base-url and the network, then run this again"
            shown = f"{service.link.provider.name}: {error.message}"
            self._stop(shown, ServiceUnavailableError(shown, hint=hint))
            return
        is_passing = error.reaction is Reaction.RETRY and ticket.attempts >= policy.attempts
        await self._fail(ticket, error.label, error.code, error.message, is_passing=is_passing)

    def _slow_down(
        self, ticket: _Ticket, service: _Service, error: SessionError, began: float
    ) -> None:
        """Lower the concurrency and pause, as the service asks; uses up no attempt."""
        policy = self._settings.retries
        ticket.attempts -= 1
        ticket.throttled += 1
        wait = error.retry_after_seconds
        if wait is None:
            doubled = policy.throttle_seconds * 2.0 ** min(ticket.throttled - 1, 5)
            wait = min(policy.limit_seconds, doubled)
        # Retry-After: 0 would hammer, a day would be asleep when the service is back.
        shortest = min(_SHORTEST_PAUSE_SECONDS, policy.throttle_seconds)
        wait = min(max(wait, shortest), _LONGEST_PAUSE_SECONDS)
        now = trio.current_time()
        service.limit.throttled(started_at=began, now=now, pause_seconds=wait)
        name, allowed = service.link.provider.name, service.limit.allowed
        self._tell(SlowedDown(provider=name, concurrency=allowed, message=str(error)))
        self._wait(ticket, wait)

    def _try_again(self, ticket: _Ticket, error: SessionError) -> None:
        """Put a job aside until its next attempt."""
        ticket.codes.append(error.code)
        wait = self._settings.retries.wait_seconds(ticket.attempts, error, self._random)
        self._tell(
            JobRetried(
                id=ticket.row.id,
                attempt=ticket.attempts,
                error_class=error.label,
                message=str(error),
                wait_seconds=round(wait, 2),
            )
        )
        self._wait(ticket, wait)

    def _wait(self, ticket: _Ticket, seconds: float) -> None:
        due = trio.current_time() + seconds
        heapq.heappush(self._waiting, (due, next(self._order), ticket))

    async def _end_attempt(
        self,
        number: int,
        ticket: _Ticket,
        session: SpeechSession | TranscriptSession,
        result: str,
        error: SessionError | None = None,
    ) -> None:
        service = self._services[ticket.row.provider]
        ticket.cost += _cost(service.link.provider, session)
        end = _attempt_end(number, session, result)
        if error is not None:
            end = replace(end, code=error.code, message=error.message)
        self._open.pop(number, None)
        await self._recorder.finish(end=end)

    async def _fail(
        self, ticket: _Ticket, error_class: str, code: str, message: str, *, is_passing: bool
    ) -> None:
        record = JobRecord(
            id=ticket.row.id,
            key=ticket.row.key,
            kind=Kind(ticket.row.kind) if ticket.row.kind else Kind.TTS,
            status=Status.FAILED,
            provider=ticket.row.provider,
            attempts=ticket.attempts,
            cost=round(ticket.cost, 6),
            error_class=error_class,
            error_code=code,
            error_message=message,
            is_passing=is_passing,
            started_at=ticket.started_at,
            finished_at=time.time(),
        )
        await self._settle(record, None)

    async def _settle(self, record: JobRecord, written: Written | None) -> None:
        with trio.CancelScope(shield=True):
            targets: Sequence[Path] = written.targets if written else ()
            await self._recorder.finish(record=record, targets=targets)
        self._tell(JobFinished(record=record))

    async def _surprised(self, ticket: _Ticket, error: Exception) -> None:
        """Fail one job for a mistake of ours; five alike in a row end the run."""
        _logger.error("job '%s' failed unexpectedly", ticket.row.id, exc_info=error)
        while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]  # a session's nurseries put groups around everything
        name = type(error).__name__
        shown = f"{name}: {error}"
        self._internal_alike = [*(s for s in self._internal_alike if s == name), name]
        try:
            for number, (open_ticket, session) in list(self._open.items()):
                if open_ticket is ticket:
                    await self._end_attempt(number, ticket, session, "internal")
            await self._fail(ticket, "internal", "", shown, is_passing=False)
        except BatchjobsError as disk_error:
            self._stop(disk_error.message, disk_error)
        if len(self._internal_alike) >= _INTERNAL_ALIKE:
            bug = InternalError(f"{_INTERNAL_ALIKE} jobs in a row failed alike: {shown}")
            self._stop(bug.message, bug)


def _most(provider: Provider, settings: RunSettings) -> int:
    asked = provider.concurrency if settings.concurrency is None else settings.concurrency
    return asked or _AUTO_MAXIMUM


def _service(link: Link, settings: RunSettings) -> _Service:
    asked = link.provider.concurrency if settings.concurrency is None else settings.concurrency
    maximum = asked or _AUTO_MAXIMUM
    limit = ConcurrencyLimit(maximum=maximum, initial=asked or _AUTO_INITIAL)
    return _Service(link=link, limit=limit)


def _page(rows: Iterator[Row]) -> list[Row]:
    return list(itertools.islice(rows, _PAGE_ROWS))


def _cost(provider: Provider, session: SpeechSession | TranscriptSession) -> float:
    return cost_of(provider, characters=session.sent_characters, seconds=session.sent_audio_seconds)


def _attempt_end(
    number: int, session: SpeechSession | TranscriptSession, result: str
) -> AttemptEnd:
    return AttemptEnd(
        number=number,
        ended_at=time.time(),
        result=result,
        characters=session.sent_characters,
        audio_seconds=round(session.sent_audio_seconds, 3),
    )


def _done(ticket: _Ticket, result: SpeechResult | TranscriptResult, written: Written) -> JobRecord:
    evidence: Evidence = result.evidence
    record = JobRecord(
        id=ticket.row.id,
        key=ticket.row.key,
        kind=Kind(ticket.row.kind),
        status=Status.DONE,
        output=ticket.row.output,
        files=written.files,
        provider=ticket.row.provider,
        attempts=ticket.attempts,
        evidence=evidence,
        cost=round(ticket.cost, 6),
        started_at=ticket.started_at,
        finished_at=time.time(),
    )
    if isinstance(result, SpeechResult):
        return replace(
            record,
            sample_rate=result.sample_rate,
            frames=len(result.pcm) // 2,
            pcm_sha256=written.pcm_sha256,
            audio_seconds=evidence.received_audio_seconds,
        )
    return replace(
        record,
        text=result.text,
        audio_seconds=evidence.sent_audio_seconds,
        error_class="" if result.text.strip() else "no_speech",
    )


def _stopping(error: SessionError) -> BatchjobsError:
    """Give the error that ends the command when a session says that no other could do better."""
    if error.code[:3] in {"402", "tls"}:
        return ServiceUnavailableError(error.message, hint=error.hint)
    return KeyRefusedError(error.message, hint=error.hint)
