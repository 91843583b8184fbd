"""Takes a row to its answer: copies, buys, tries again, records."""

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Final, assert_never

import trio

from batchjobs import text
from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.checkpoint import AttemptEnd, AttemptStart, JobRecord, Row
from batchjobs.errors import (
    BatchjobsError,
    ConfigurationError,
    InternalError,
    MuteError,
    PermanentError,
    Reaction,
    RecordingError,
    ServiceUnavailableError,
    SessionError,
    SuspectError,
)
from batchjobs.jobs import BadRow, Job, Kind, Segment, Status, severity
from batchjobs.limits import Price
from batchjobs.outputs import writing
from batchjobs.outputs.suspects import agree
from batchjobs.outputs.writing import Written
from batchjobs.planning import Action, is_intact, serves
from batchjobs.plausibility.clips import SpeechRates
from batchjobs.plausibility.transcripts import TranscriptRates
from batchjobs.progress import (
    JobFinished,
    JobRetried,
    ServiceBack,
    ServiceLost,
    SlowedDown,
)
from batchjobs.protocol.stt import TranscriptResult
from batchjobs.protocol.tts import SpeechResult
from batchjobs.runner.long_jobs import LongJobs
from batchjobs.runner.single_jobs import SingleJobs, against
from batchjobs.runner.state import RunState, Service, Session, Stage, Ticket, attempt_end
from batchjobs.session import (
    CONNECTION_CODE,
    RECORDING_CODE,
    SpeechSession,
    TranscriptSession,
    recording_chunks,
)

__all__ = ["Worker"]

_logger = logging.getLogger(__name__)
_INTERNAL_ALIKE: Final = 5
_LONGEST_PAUSE_SECONDS: Final = 3_600.0
_SHORTEST_PAUSE_SECONDS: Final = 0.5
_MUTE_TEXTS: Final = 2
"""So many texts without any audio make a service mute that has spoken before."""


class Worker:
    """What every worker task does; they share what they learn.

    Args:
        run: The run.
    """

    def __init__(self, run: RunState) -> None:
        self._run = run
        self._speech_rates = SpeechRates()
        self._transcript_rates = TranscriptRates()
        self._long_jobs = LongJobs(run)
        self._single_jobs = SingleJobs(run)
        self._internal_alike: list[str] = []

    async def serve(self, receive: trio.MemoryReceiveChannel[Ticket]) -> None:
        """Take tickets to their answers until no more come."""
        run = self._run
        async with receive:
            async for ticket in receive:
                stage = ticket.stage
                try:
                    await self._handle(ticket)
                except BatchjobsError as error:
                    run.stop(error.message, error)
                except Exception as error:  # noqa: BLE001  # one job's surprise is not the run's end
                    with trio.CancelScope(shield=True):
                        await self._surprised(ticket, error)
                finally:
                    run.in_hand -= 1
                    run.being_cut -= stage is Stage.CUT
                    self._let_go(ticket)
                    run.notify()

    def _let_go(self, ticket: Ticket) -> None:
        """Give back the slot, and whatever was set aside and not spent."""
        service = self._run.services.get(ticket.row.provider)
        if service is None or not ticket.holds_slot:
            return
        service.active -= 1
        ticket.holds_slot = False
        if ticket.is_probe:
            service.is_probing = ticket.is_probe = False
        if ticket.price is not None:
            self._run.budget.settle(ticket.price, Price())
            ticket.price = None

    async def _handle(self, ticket: Ticket) -> None:
        job = ticket.job
        if isinstance(job, BadRow):
            message = job.located(self._run.manifest)
            await self._fail(ticket, "bad_row", "", message, is_passing=False)
            return
        ticket.started_at = ticket.started_at or time.time()
        if ticket.row.action in {Action.COPY, Action.FOLLOW} and await self._copied(ticket):
            return
        await self._go_on(ticket, job)

    async def _go_on(self, ticket: Ticket, job: Job) -> None:
        """Do what is next for a job that no copy has settled."""
        service = self._run.services.get(ticket.row.provider)
        if service is None:
            name = ticket.row.provider
            raise ConfigurationError(
                f"'{ticket.row.id}' has to be bought again, and there is no key for '{name}'",
                hint="its earlier result is damaged; set the key and run this again",
            )
        match ticket.stage:
            case Stage.ANSWER:
                self._buy_instead(ticket)
            case Stage.CUT:
                await self._cut(ticket)
            case Stage.ASSEMBLE:
                await self._assemble(ticket)
            case Stage.BUY:
                if await self._may_begin(ticket, service):
                    await self._buy(ticket, job, service)
            case _:
                assert_never(ticket.stage)

    def _buy_instead(self, ticket: Ticket) -> None:
        """There is nothing to copy, or it is damaged: buy it after all, once for all who ask."""
        key = ticket.row.key
        if key in self._run.remade:
            self._run.remade[key][1].append(ticket)
            return
        self._run.remade[key] = ticket, []
        ticket.row = ticket.row._replace(action=Action.REMAKE)
        self._run.wait(ticket, 0.0)

    def _settled(self, ticket: Ticket) -> None:
        """Let those who wait for what this one bought copy it now, or buy in their turn."""
        buyer, others = self._run.remade.get(ticket.row.key, (None, []))
        if buyer is ticket:
            del self._run.remade[ticket.row.key]
            for other in others:
                other.has_waited = True
                self._run.wait(other, 0.0)

    # -- long jobs ------------------------------------------------------------------------------

    async def _cut(self, ticket: Ticket) -> None:
        try:
            await self._long_jobs.cut(ticket)
        except RecordingError as error:
            label = PermanentError.label
            await self._fail(ticket, label, RECORDING_CODE, error.message, is_passing=False)

    async def _assemble(self, ticket: Ticket) -> None:
        assert ticket.whole is not None
        record = await self._long_jobs.assemble(ticket.whole)
        if record is not None:
            self._settled(ticket.whole.ticket)
            self._run.tell(JobFinished(record=record, sessions_open=self._run.active))

    # -- copying --------------------------------------------------------------------------------

    async def _copied(self, ticket: Ticket) -> bool:
        """Give a job what an equal one has; true if that settled it."""
        run, row = self._run, ticket.row
        donors = await trio.to_thread.run_sync(run.checkpoint.lookups.find_donors, row.key)
        for donor in donors:
            if not donor.has_layout_of(row):
                continue
            written = await trio.to_thread.run_sync(
                writing.copied, run.checkpoint.folder, row.output, donor, limiter=run.disk
            )
            if written is not None:
                record = replace(
                    donor,
                    id=row.id,
                    output=row.output,
                    files=written.files,
                    is_damaged=False,  # what was copied was compared with its hash
                    started_at=ticket.started_at,
                    finished_at=time.time(),
                )
                if donor.id != row.id:  # its own earlier result was bought for it
                    record = replace(record, copied_from=donor.id, attempts=0, cost=0.0)
                await self._settle(record, written)
                return True
        # Whoever failed at it: where there is a donor, it can be done, unless it was tried just now.
        may_follow = ticket.has_waited or (row.action == Action.FOLLOW and not donors)
        return may_follow and await self._followed(ticket)

    async def _followed(self, ticket: Ticket) -> bool:
        """Give a job the same answer as an equal one without a good result; true if it has one."""
        run, row = self._run, ticket.row
        leader = await trio.to_thread.run_sync(self._leader, row)
        if leader is None:
            return False
        ticket.kept_job = (await self._kept_before(row))[1]
        if leader.status is Status.SUSPECT:
            if _is_as_good(ticket.kept_job, leader):
                await self._fail(ticket, SuspectError.label, "", "", is_passing=False)
                return True
            with trio.CancelScope(shield=True):
                kept = await self._single_jobs.follow(ticket, leader)
            if kept is not None:
                run.tell(JobFinished(record=kept, sessions_open=run.active))
            return kept is not None
        message = f"asks the same as '{leader.id}', which failed: {leader.error_message}"
        name, code = leader.error_class, leader.error_code
        await self._fail(ticket, name, code, message, is_passing=leader.is_passing)
        return True

    def _leader(self, row: Row) -> JobRecord | None:
        """Find the best of what is kept in doubt for equal rows, or else a failure; in a thread."""
        checkpoint = self._run.checkpoint
        own = checkpoint.lookups.find([row.id]).get(row.id)
        kept = [
            record
            for record in checkpoint.lookups.find_suspects(row.key)
            if record != own and serves(checkpoint.folder, record, row)
        ]
        if kept:
            return min(kept, key=lambda record: severity(record.doubts))
        return checkpoint.lookups.find_failure(row.key, besides=row.id)

    # -- buying ---------------------------------------------------------------------------------

    async def _may_begin(self, ticket: Ticket, service: Service) -> bool:
        """Whether a job may open a session: not if its attempts are used up, nor while we stop."""
        run = self._run
        if not run.is_wanted(ticket):
            return False
        is_afforded = self._judge_failures(ticket, service)
        if not (ticket.attempts or ticket.codes or ticket.throttled):
            await self._take_up(ticket)
            run.retry_budget.job_began()
        # As long as nobody knows whose fault it was, a failure is held against nobody.
        used = ticket.attempts - len(ticket.unreachable_at)
        if is_afforded and used < run.settings.retries.attempts:
            return not run.is_stopping
        error = ticket.last_error
        if error is not None:
            await self._fail(ticket, error.label, error.code, error.message, is_passing=True)
        elif ticket.is_kept:  # by a run that allowed more attempts
            await self._fail(ticket, SuspectError.label, "", "", is_passing=False)
        else:
            message = f"the process died in each of its last {ticket.attempts} attempts"
            await self._fail(ticket, "crashed", "", message, is_passing=False)
        return False

    async def _take_up(self, ticket: Ticket) -> None:
        """Go on where earlier runs left a job: with its attempts, and what they have brought."""
        known: JobRecord | None = None
        if ticket.segment is None and ticket.row.action == Action.RETRY:
            known, ticket.kept_job = await self._kept_before(ticket.row)
        ticket.attempts = self._run.lost.get(ticket.key, 0)
        for kept_one in (known, ticket.kept_segment):
            if kept_one is not None:
                ticket.cost += kept_one.cost
                # Attempts that are used up were those of another run, which has ended.
                ticket.attempts += kept_one.attempts if kept_one.is_passing else 0

    async def _kept_before(self, row: Row) -> tuple[JobRecord | None, JobRecord | None]:
        """Find what is known of a job in doubt, and the same if it is there and of use to the row."""
        checkpoint = self._run.checkpoint

        def look() -> tuple[JobRecord | None, JobRecord | None]:
            kept = checkpoint.lookups.find([row.id]).get(row.id)
            if kept is None or kept.status is not Status.SUSPECT or kept.key != row.key:
                return None, None
            is_of_use = kept.can_become(row.output) and is_intact(checkpoint.folder, kept)
            return kept, kept if is_of_use else None

        return await trio.to_thread.run_sync(look)

    def _judge_failures(self, ticket: Ticket, service: Service) -> bool:
        """Excuse the failures to reach a service that were an outage's, and charge all others.

        Returns:
            Whether the run can afford the retries after those that are charged.
        """
        breaker, failures = service.breaker, ticket.unreachable_at
        excused = sum(map(breaker.excuses, failures))
        ticket.unreachable_at = [at for at in failures if breaker.is_undecided(at)]
        ticket.attempts -= excused
        charged = len(failures) - len(ticket.unreachable_at) - excused
        return all(self._run.retry_budget.take() for _ in range(charged))

    async def _buy(self, ticket: Ticket, job: Job, service: Service) -> None:
        """Open a session for a job and take care of whatever comes of it."""
        run = self._run
        began = trio.current_time()
        ticket.attempts += 1
        with run.spool.received(ticket.key) as received:
            session = self._session(job, ticket, service, received)
            await self._attempt(ticket, service, session, began)

    async def _attempt(
        self, ticket: Ticket, service: Service, session: Session, began: float
    ) -> None:
        """Open a session that was made, and bring its result home."""
        run, row = self._run, ticket.row
        start = AttemptStart(
            key=ticket.key,
            job=row.id,
            provider=row.provider,
            started_at=time.time(),
            characters=ticket.characters,
            audio_seconds=ticket.seconds,
        )
        with trio.CancelScope(shield=True):
            number = await run.recorder.begin(start)
        run.open[number] = (ticket, session)
        try:
            result = await session.run()
        except SessionError as error:
            if isinstance(error, SuspectError):  # nothing of it can be kept
                service.doubt(session)
            ends_run = error.reaction is Reaction.STOP
            if ends_run:  # at once: the disk may take a while
                run.stop(error.message, error.ends_as(error.message, hint=error.hint))
            with trio.CancelScope(shield=True):
                await run.end_attempt(number, ticket, error.label, error)
                self._spent(ticket, service, session)
                if isinstance(error, MuteError) and await self._is_mute(ticket, service):
                    mute = _mute(ticket, error)
                    run.stop(mute.message, mute)
                elif not ends_run:
                    await self._missed(ticket, service, session, error, began)
            return
        self._spent(ticket, service, session)
        # What was paid for is brought home, whoever wants to stop.
        with trio.CancelScope(shield=True):
            ticket.cost += service.price_so_far(session).money
            self._reached(service, began)
            if result.doubts:
                service.doubt(session)
                await self._keep_in_doubt(ticket, result, attempt_end(number, session, "kept"))
                del run.open[number]
                return
            end = attempt_end(number, session, "done", replaces_kept=ticket.is_kept)
            record = await self._kept(ticket, result, end)
            del run.open[number]
        self._learned(service, result, began)
        self._internal_alike.clear()
        if record is not None:
            self._settled(ticket)
            run.tell(JobFinished(record=record, sessions_open=run.active))

    async def _keep_in_doubt(
        self,
        ticket: Ticket,
        result: SpeechResult[ReceivedAudio] | TranscriptResult,
        end: AttemptEnd,
    ) -> None:
        """Keep what something speaks against, and buy it again if that may bring a better one."""
        run, policy = self._run, self._run.settings.retries
        error = SuspectError(against(result.doubts))
        end = replace(end, message=error.message)
        is_last = (
            not policy.is_worth_retrying(ticket.attempts, error, ticket.codes)
            or _is_as_before(ticket, result)
            or not run.retry_budget.take()
        )
        if ticket.segment is not None:
            await self._long_jobs.keep_in_doubt(ticket, result, end, is_last=is_last)
        else:
            record = await self._single_jobs.keep_in_doubt(ticket, result, end, is_last=is_last)
            if is_last:
                self._settled(ticket)
                run.tell(JobFinished(record=record, sessions_open=run.active))
        if not is_last:
            self._try_again(ticket, error)

    async def _kept(
        self,
        ticket: Ticket,
        result: SpeechResult[ReceivedAudio] | TranscriptResult,
        end: AttemptEnd,
    ) -> JobRecord | None:
        """Make what was bought durable; gives the job's record if that was all of it."""
        if ticket.segment is not None:
            await self._long_jobs.keep(ticket, result, end)
            return None
        record, written = await self._single_jobs.finished(ticket, result)
        durable = self._run.recorder.finish(end=end, record=record, targets=written.targets)
        # The next session may begin: it opens once this is durable, so a kill loses no more.
        self._let_go(ticket)
        self._run.notify()
        await durable
        return record

    def _session(
        self, job: Job, ticket: Ticket, service: Service, received: ReceivedAudio
    ) -> Session:
        def proven() -> None:
            service.is_proven = True
            self._run.notify()

        link = service.link
        segment = ticket.segment or Segment(
            key=ticket.key, kind=job.kind, text=job.text, speech=job.speech, audio=job.audio
        )
        if job.kind is Kind.STT:
            chunks = recording_chunks(Path(segment.audio), link.provider.chunk_seconds)
            settle = service.settle.next_seconds()
            model = f"{job.provider}/{link.provider.stt_model}"
            return TranscriptSession(
                link,
                chunks=chunks,
                pool=service.pool,
                on_proven=proven,
                settle_seconds=settle,
                judge=self._transcript_rates.make_judge(model),
            )
        assert job.speech is not None
        voice = f"{job.provider}/{job.speech.model_id}/{job.speech.voice_id}"
        judge = self._speech_rates.make_judge(
            voice=voice, spoken=segment.text, speed=job.speech.speed
        )
        texts = text.split_messages(segment.text)
        return SpeechSession(
            link,
            segment,
            texts=texts,
            judge=judge,
            pool=service.pool,
            on_proven=proven,
            audio=received,
            quiet_seconds=service.quiet.seconds,
        )

    def _spent(self, ticket: Ticket, service: Service, session: Session) -> None:
        """Count what a session really cost, in place of what was set aside."""
        if ticket.price is not None:
            self._run.budget.settle(ticket.price, service.price_so_far(session))
            ticket.price = None

    def _learned(
        self, service: Service, result: SpeechResult[ReceivedAudio] | TranscriptResult, began: float
    ) -> None:
        """Let the concurrency follow how the service does."""
        service.limit.succeeded()
        first = result.evidence.first_result_seconds
        if isinstance(result, SpeechResult):
            service.quiet.heard(result.evidence.longest_gap_seconds)
        elif service.settle.heard(result.revision_seconds, settled_seconds=result.settled_seconds):
            _logger.warning(
                "%s revised a transcript after %.1f s: the settling time is again what was asked; "
                "%d transcripts of this run were taken sooner",
                service.link.provider.name,
                result.revision_seconds,
                service.settle.taken_sooner,
            )
        if service.is_adaptive and isinstance(result, SpeechResult) and service.drift.add(first):
            service.limit.slowed(started_at=began, now=trio.current_time())

    # -- what did not work ----------------------------------------------------------------------

    async def _is_mute(self, ticket: Ticket, service: Service) -> bool:
        """Whether a session without any audio shows that no other would have some.

        If the service has spoken to this run folder before, it may be the text: then another one has
        to be without audio, too.
        """
        if service.is_proven or not _has_words(ticket):
            return False
        service.mute_keys.add(ticket.key)
        look_up = self._run.checkpoint.lookups.has_bought_from
        has_spoken = await trio.to_thread.run_sync(look_up, ticket.row.provider)
        return len(service.mute_keys) >= (_MUTE_TEXTS if has_spoken else 1)

    async def _missed(
        self,
        ticket: Ticket,
        service: Service,
        session: Session,
        error: SessionError,
        began: float,
    ) -> None:
        """Decide what a failed attempt means, and do it."""
        run, policy = self._run, self._run.settings.retries
        is_refused = error.reaction is Reaction.FAIL and not session.was_connected
        if error.reaction is Reaction.FAIL and not is_refused and error.code != RECORDING_CODE:
            service.is_proven = True  # it judged the job, so it took the key
        if session.was_connected:
            self._reached(service, began)
        elif service.is_proven and (error.reaction is Reaction.RETRY or is_refused):
            # A refused handshake says nothing of the job: all others' are the same.
            self._unreachable(ticket, service, error, began)
            return
        is_worth_it = policy.is_worth_retrying(ticket.attempts, error, ticket.codes)
        if error.reaction is Reaction.THROTTLE:
            self._slow_down(ticket, service, error, began)
            return
        if is_worth_it and run.retry_budget.take():
            self._try_again(ticket, error)
            return
        is_away = is_refused or error.code == CONNECTION_CODE or not service.was_reached
        if not service.is_proven and is_away:
            # No request differs from this one in what the service has seen of it.
            hint = "nothing was spent; check --base-url and the network, then run this again"
            shown = f"{service.link.provider.name}: {error.message}"
            run.stop(shown, ServiceUnavailableError(shown, hint=hint))
            return
        is_used_up = is_worth_it or ticket.attempts >= policy.attempts
        is_passing = error.reaction is Reaction.RETRY and is_used_up
        await self._fail(ticket, error.label, error.code, error.message, is_passing=is_passing)

    def _reached(self, service: Service, began: float) -> None:
        """The service was there for a session that began then."""
        now = trio.current_time()
        service.was_reached = True
        service.refusals.add(is_refused=False)
        if service.breaker.reached(now, began_at=began):
            service.limit.resume(now)
            self._run.tell(ServiceBack(provider=service.link.provider.name))

    def _unreachable(
        self, ticket: Ticket, service: Service, error: SessionError, began: float
    ) -> None:
        """A service that worked cannot be reached: whose fault that is shows a little later."""
        run, now = self._run, trio.current_time()
        self._make_room(service, error, began)
        ticket.unreachable_at.append(now)
        ticket.last_error = error
        name = service.link.provider.name
        if service.breaker.failed(now):
            run.tell(ServiceLost(provider=name, message=error.message))
        limit = service.link.provider.outage_limit_seconds
        if service.breaker.open_for(now) > limit:
            hint = "no job lost an attempt; run this again when it is back"
            shown = f"{name} has been out of reach for {limit:,.0f} s: {error.message}"
            run.stop(shown, ServiceUnavailableError(shown, hint=hint))
            return
        self._try_again(ticket, error)

    def _make_room(self, service: Service, error: SessionError, began: float) -> None:
        """Lower a concurrency that is being found out, if handshakes are refused in numbers."""
        if service.breaker.is_open or not service.refusals.add(is_refused=True):
            return
        if service.is_adaptive:
            now = trio.current_time()
            service.throttled(started_at=began, now=now)
            name, allowed = service.link.provider.name, service.limit.allowed(now)
            self._run.tell(SlowedDown(provider=name, concurrency=allowed, message=str(error)))

    def _slow_down(
        self, ticket: Ticket, service: Service, error: SessionError, began: float
    ) -> None:
        """Lower the concurrency, and pause as long as the service asks; uses up no attempt."""
        policy = self._run.settings.retries
        ticket.attempts -= 1
        ticket.throttled += 1
        now = trio.current_time()
        asked = error.retry_after_seconds
        doubled = policy.throttle_seconds * 2.0 ** min(ticket.throttled - 1, 5)
        own = min(policy.limit_seconds, doubled)
        # Retry-After: 0 would hammer, a day would be asleep when the service is back.
        shortest = min(_SHORTEST_PAUSE_SECONDS, policy.throttle_seconds)
        wait = min(max(own if asked is None else asked, shortest), _LONGEST_PAUSE_SECONDS)
        # Without its asking only this job waits: the cut alone frees enough room for the others,
        # unless one session is too many already.
        is_last = service.limit.allowed(now) == 1
        pause = wait if asked is not None or is_last else 0.0
        service.throttled(started_at=began, now=now, pause_seconds=pause)
        name, allowed = service.link.provider.name, service.limit.allowed(now)
        self._run.tell(SlowedDown(provider=name, concurrency=allowed, message=str(error)))
        self._run.wait(ticket, wait)

    def _try_again(self, ticket: Ticket, error: SessionError) -> None:
        """Put a job aside until its next attempt."""
        run = self._run
        ticket.codes.append(error.code)
        wait = run.settings.retries.wait_seconds(ticket.attempts, error, run.random)
        run.tell(
            JobRetried(
                id=ticket.row.id,
                attempt=ticket.attempts,
                error_class=error.label,
                message=str(error),
                wait_seconds=round(wait, 2),
            )
        )
        run.wait(ticket, wait)

    async def _fail(
        self, ticket: Ticket, error_class: str, code: str, message: str, *, is_passing: bool
    ) -> None:
        """Give a job its answer, or all jobs that wait for a segment."""
        if ticket.kept_segment is not None:
            await self._long_jobs.settle_in_doubt(ticket, f"{error_class}: {message}")
            return
        tickets = [ticket]
        if ticket.segment is not None:
            jobs = self._long_jobs.give_up(ticket)
            tickets = [job.ticket for job in jobs]
        elif ticket.whole is not None:
            tickets = [ticket.whole.ticket]
        shown = f"{error_class}: {message}" if message else ""
        for each in tickets:
            record = self._single_jobs.given_up(each, shown) or JobRecord(
                id=each.row.id,
                key=each.row.key,
                kind=Kind(each.row.kind) if each.row.kind else Kind.TTS,
                status=Status.FAILED,
                provider=each.row.provider,
                attempts=ticket.attempts,
                cost=round(ticket.cost, 6),
                error_class=error_class,
                error_code=code,
                error_message=message,
                is_passing=is_passing,
                started_at=each.started_at,
                finished_at=time.time(),
            )
            await self._settle(record, None)
            self._settled(each)

    async def _settle(self, record: JobRecord, written: Written | None) -> None:
        with trio.CancelScope(shield=True):
            targets = written.targets if written else ()
            await self._run.recorder.finish(record=record, targets=targets)
        self._run.tell(JobFinished(record=record, sessions_open=self._run.active))

    async def _surprised(self, ticket: Ticket, error: Exception) -> None:
        """Fail one job for a mistake of ours; five alike in a row end the run."""
        run = self._run
        _logger.error("job '%s' failed unexpectedly", ticket.row.id, exc_info=error)
        while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]  # a session's nurseries put groups around everything
        name = type(error).__name__
        shown = f"{name}: {error}"
        self._internal_alike = [*(s for s in self._internal_alike if s == name), name]
        if len(self._internal_alike) >= _INTERNAL_ALIKE:
            bug = InternalError(f"{_INTERNAL_ALIKE} jobs in a row failed alike: {shown}")
            run.stop(bug.message, bug)
        try:
            for number, (open_ticket, session) in list(run.open.items()):
                if open_ticket is ticket:
                    await run.end_attempt(number, ticket, "internal")
                    self._spent(ticket, run.services[ticket.row.provider], session)
            await self._fail(ticket, "internal", "", shown, is_passing=False)
        except BatchjobsError as disk_error:
            run.stop(disk_error.message, disk_error)


def _has_words(ticket: Ticket) -> bool:
    """Whether there is anything to say in a text: of dots alone no service makes a sound."""
    asked = ticket.segment or ticket.job
    return not isinstance(asked, BadRow) and text.speech_weight(asked.text) > 0


def _is_as_before(ticket: Ticket, result: SpeechResult[ReceivedAudio] | TranscriptResult) -> bool:
    """Whether what is kept already is as good as the same: a third time would say no more."""
    kept = ticket.kept_segment or ticket.kept_job
    if kept is None:
        return False
    if isinstance(result, TranscriptResult):
        return kept.text.strip() == result.text
    return agree(kept.audio_seconds, result.evidence.received_audio_seconds)


def _mute(ticket: Ticket, error: MuteError) -> BatchjobsError:
    """Say of a service what the hosted ones have been seen to do, and what to try."""
    name = ticket.row.provider
    return ServiceUnavailableError(
        f"{name} connected, initialised and took the text of '{ticket.row.id}', and {error.message}",
        hint=f"hosted speech sockets have been seen to do so: try 'batchjobs probe {name}', another "
        "--model or --voice, or look at the service's status page; the other texts were not sent",
    )


def _is_as_good(kept: JobRecord | None, other: JobRecord) -> bool:
    return kept is not None and severity(kept.doubts) <= severity(other.doubts)
