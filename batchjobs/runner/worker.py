"""Takes tickets to their answers: serve, attempt, react, carry out."""

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import Final, assert_never

import trio
from msgspec import structs

from batchjobs import text
from batchjobs.checkpoint import AttemptEnd, JobRecord, SegmentRecord
from batchjobs.errors import (
    BatchjobsError,
    InternalError,
    MuteError,
    PermanentError,
    RecordingError,
    SessionError,
    SuspectError,
)
from batchjobs.files import run_folder
from batchjobs.formatting import duration, money, plural
from batchjobs.jobs import BAD_ROW, TOO_COSTLY, Job, Kind, Segment
from batchjobs.limits import RetryBudget
from batchjobs.planning.plan import Action
from batchjobs.progress import JobRetried
from batchjobs.runner import cutting, long_jobs, recordings, segments, single_jobs
from batchjobs.runner.attempts import Attempt
from batchjobs.runner.feeder import Handout
from batchjobs.runner.reactions import (
    Decision,
    Fail,
    Hold,
    Leave,
    Retry,
    Stop,
    Throttle,
    TicketFacts,
    Tries,
    find_failure,
    find_stop,
    react,
    settle_outages,
)
from batchjobs.runner.records import describe_doubts, is_as_before
from batchjobs.runner.reuse import Reuse
from batchjobs.runner.service import Service, Slot
from batchjobs.runner.sessions import Result
from batchjobs.runner.state import RunState
from batchjobs.runner.tickets import Assemble, Buy, Copy, Cut, Decline, LongJob, Refuse, Ticket
from batchjobs.session import RECORDING_CODE

_logger = logging.getLogger(__name__)
_INTERNAL_ALIKE: Final = 5


class Worker:
    """What every worker task does; they share what they learn.

    Args:
        run: The run.
    """

    def __init__(self, run: RunState) -> None:
        self._run = run
        self._retry_budget = RetryBudget()
        self._reuse = Reuse(run)
        self._internal_alike: list[str] = []

    async def copy_exchanged(self) -> set[str]:
        """Copy what other copies are about to replace; gives the ids of the rows that are done."""
        try:
            return await self._reuse.copy_exchanged()
        except BatchjobsError as error:
            self._run.stop(error)
            return set()

    def withdraw(self, ticket: Ticket) -> Sequence[int]:
        """Take back a purchase that has not begun, as `Reuse.withdraw` does."""
        return self._reuse.withdraw(ticket)

    async def serve(self, receive: trio.MemoryReceiveChannel[Handout]) -> None:
        """Take tickets to their answers until no more come."""
        run = self._run
        async with receive:
            async for ticket, slot in receive:
                with slot or nullcontext():
                    try:
                        await self._serve(ticket, slot)
                    except BatchjobsError as error:
                        run.stop(error)
                    except Exception as error:  # noqa: BLE001  # one job's mistake ends no run
                        with trio.CancelScope(shield=True):
                            await self._fail_unexpectedly(ticket, error)
                run.queue.finish(ticket)

    async def _serve(self, ticket: Ticket, slot: Slot | None) -> None:
        """Do the next step of a ticket."""
        if not isinstance(ticket.step, Refuse | Decline):
            ticket.started_at = ticket.started_at or time.time()
        match ticket.step:
            case Refuse(bad=bad):
                message = bad.describe(self._run.manifest)
                await self._fail(ticket, Fail(error_class=BAD_ROW, message=message))
            case Decline():
                await self._fail(ticket, self._decline(ticket))
            case Copy(job=job, has_waited=has_waited):
                await self._copy(ticket, job, has_waited=has_waited)
            case Cut(job=job):
                await self._cut(ticket, job)
            case Buy() as buy:
                assert slot is not None
                await self._fetch_and_buy(ticket, buy, slot)
            case Assemble(whole=whole):
                await self._assemble(whole)
            case _:
                assert_never(ticket.step)

    # -- an attempt -----------------------------------------------------------------------------

    async def _fetch_and_buy(self, ticket: Ticket, buy: Buy, slot: Slot) -> None:
        """Buy with the recording at hand."""
        with ExitStack() as held:
            try:
                audio = await recordings.fetch(self._run, buy.segment.audio, held)
            except RecordingError as error:
                await self._fail(ticket, _to_failure(error))
                return
            if audio != buy.segment.audio:
                buy = structs.replace(buy, segment=replace(buy.segment, audio=audio))
            await self._buy(ticket, buy, slot)

    async def _buy(self, ticket: Ticket, buy: Buy, slot: Slot) -> None:
        """Open a session, and bring its result home or react to its failure."""
        run, service = self._run, slot.service
        if not await self._may_begin(ticket, buy, service):
            return
        if not run.accounts[service.name].has_use_for(service):  # it was refused in the meantime
            run.queue.put_after(ticket, 0.0)
            return
        ticket.tries = ticket.tries.begin()
        with run.spool.open_buffer(ticket.key) as audio:
            session = service.make_session(buy.segment, audio, _output_of(ticket, buy))
            attempt = Attempt(ticket=ticket, service=service, session=session, slot=slot)
            await run.attempts.begin(attempt)
            try:
                result = await session.run()
            except SessionError as error:
                audio.discard()  # the disk may take a while, and others need the memory
                self._give_up_at_once(attempt, error)  # for the same reason
                with trio.CancelScope(shield=True):
                    await self._handle_failure(attempt, buy, error)
                return
            attempt.settle(result.evidence)
            # What was paid for is made durable, also if the run is being stopped.
            with trio.CancelScope(shield=True):
                await self._handle_result(attempt, buy, result)

    def _give_up_at_once(self, attempt: Attempt, error: SessionError) -> None:
        """Start nothing more where an error alone says that no other session could fare better."""
        run, service = self._run, attempt.service
        stop = find_stop(error)
        if stop is None:
            return
        accounts = run.accounts[service.name]
        if error.ends_account and accounts.has_others(service):
            accounts.leave(service, error.message)
        else:
            run.stop(_name_account(stop.error, service))

    async def _handle_failure(self, attempt: Attempt, buy: Buy, error: SessionError) -> None:
        """Write down that an attempt failed, learn from that, and react."""
        step = attempt.ticket.step
        if isinstance(step, Buy) and step.segment.audio != buy.segment.audio:
            # A recording is called what its row calls it, not what it is called here.
            error.message = error.message.replace(buy.segment.audio, step.segment.audio)
        service = attempt.service
        if isinstance(error, SuspectError):  # nothing of it can be kept
            service.doubt(buy.segment.kind)
        await self._run.attempts.end(attempt, error.label, error)
        if isinstance(error, MuteError):
            await self._count_mute(buy.segment, service)
        was_connected, now = attempt.session.was_connected, trio.current_time()
        service.learn_failure(
            error, was_connected=was_connected, began_at=attempt.began_at, now=now
        )
        await self._carry_out(self._react(attempt, error), attempt, error)

    def _react(
        self, attempt: Attempt, error: SessionError, *, is_as_before: bool = False
    ) -> Decision:
        """Decide what follows from a failure; a retry is taken out of the budget at once."""
        run, ticket = self._run, attempt.ticket
        facts = TicketFacts(
            job=ticket.row.id,
            tries=ticket.tries,
            was_connected=attempt.session.was_connected,
            is_as_before=is_as_before,
            can_be_retried=not self._retry_budget.is_spent,
        )
        has_others = run.accounts[attempt.service.name].has_others(attempt.service)
        service = attempt.service.facts(trio.current_time(), has_others=has_others)
        decision = react(facts, service, error, run.retries, run.random)
        if isinstance(decision, Retry) and decision.is_charged:
            self._retry_budget.take()
        return decision

    async def _carry_out(self, decision: Decision, attempt: Attempt, error: SessionError) -> None:
        """Do what was decided about a failed attempt."""
        run, ticket, service = self._run, attempt.ticket, attempt.service
        match decision:
            case Retry() | Hold():
                self._try_again(ticket, decision, error)
            case Throttle(tries=tries, wait_seconds=wait, pause_seconds=pause):
                now = trio.current_time()
                service.throttle(error, began_at=attempt.began_at, now=now, pause_seconds=pause)
                ticket.tries = tries
                run.queue.put_after(ticket, wait)
            case Fail():
                await self._fail(ticket, decision)
            case Leave(tries=tries, reason=reason):
                run.accounts[service.name].leave(service, reason)
                ticket.tries = tries
                run.queue.put_after(ticket, 0.0)
            case Stop(error=cause):
                run.stop(_name_account(cause, service))
            case _:
                assert_never(decision)

    def _try_again(self, ticket: Ticket, decision: Retry | Hold, error: SessionError) -> None:
        ticket.tries = decision.tries
        self._run.tell(
            JobRetried(
                id=ticket.row.id,
                attempt=ticket.tries.attempts,
                error_class=error.label,
                message=str(error),
                wait_seconds=round(decision.wait_seconds, 2),
            )
        )
        self._run.queue.put_after(ticket, decision.wait_seconds)

    async def _handle_result(self, attempt: Attempt, buy: Buy, result: Result) -> None:
        """Make what was bought durable, and buy it again if that may bring something better."""
        ticket, service = attempt.ticket, attempt.service
        service.reach(began_at=attempt.began_at, now=trio.current_time())
        if not result.doubts:
            end = attempt.to_end("done", replaces_kept=ticket.kept is not None)
            await self._keep(attempt, buy, result, end, is_last=True)
            service.learn_result(result, began_at=attempt.began_at, now=trio.current_time())
            self._internal_alike.clear()
            return
        service.doubt(buy.segment.kind)
        error = SuspectError(describe_doubts(result.doubts))
        end = attempt.to_end("kept", error)
        decision = self._react(attempt, error, is_as_before=is_as_before(ticket.kept, result))
        await self._keep(attempt, buy, result, end, is_last=not isinstance(decision, Retry))
        if isinstance(decision, Retry):
            self._try_again(ticket, decision, error)

    async def _keep(
        self, attempt: Attempt, buy: Buy, result: Result, end: AttemptEnd, *, is_last: bool
    ) -> None:
        if buy.is_part:
            await segments.keep(self._run, attempt, result, end, is_last=is_last)
        else:
            record = await single_jobs.keep(self._run, attempt, result, end, is_last=is_last)
            if is_last:
                self._finish(attempt.ticket, record)
        self._run.attempts.forget(attempt, end)

    async def _count_mute(self, segment: Segment, service: Service) -> None:
        """Count a text that a service took and left without any audio, before it was proven.

        Of dots alone no service makes a sound.
        """
        if service.learnt.is_proven or not text.speech_weight(segment.text):
            return
        look_up = self._run.checkpoint.lookups.has_bought_from
        has_spoken = await trio.to_thread.run_sync(look_up, service.name)
        service.count_mute(segment.key, has_spoken=has_spoken)

    # -- before an attempt ----------------------------------------------------------------------

    async def _may_begin(self, ticket: Ticket, buy: Buy, service: Service) -> bool:
        """Whether a session may open: not if its attempts are used up, nor while the run stops."""
        run = self._run
        if not run.wanted.is_wanted(ticket):
            return False
        find_breaker = run.accounts[service.name].find_breaker
        ticket.tries, charged = settle_outages(ticket.tries, find_breaker, service.account)
        is_affordable = all(self._retry_budget.take() for _ in range(charged))
        if not ticket.tries.has_begun:
            await self._take_up(ticket, buy)
            self._retry_budget.add_job()
        failure = find_failure(
            ticket.tries,
            run.retries,
            is_affordable=is_affordable,
            is_kept=ticket.kept is not None,
        )
        if failure is None:
            return not run.is_stopping
        await self._fail(ticket, failure)
        return False

    async def _take_up(self, ticket: Ticket, buy: Buy) -> None:
        """Go on where earlier runs left a ticket: with its attempts, and what they have brought."""
        known: JobRecord | SegmentRecord | None = ticket.kept if buy.is_part else None
        if not buy.is_part and ticket.row.action == Action.RETRY:
            known, ticket.kept = await self._reuse.find_kept(ticket.row)
        attempts = self._run.lost.get(ticket.key, 0)
        if known is not None:
            ticket.cost += known.cost
            # Attempts that are used up were those of another run, which has ended.
            attempts += known.attempts if known.is_passing else 0
        ticket.tries = Tries(attempts=attempts)

    # -- other steps ----------------------------------------------------------------------------

    async def _copy(self, ticket: Ticket, job: Job, *, has_waited: bool) -> None:
        answer = await self._reuse.copy(ticket, has_waited=has_waited)
        if answer is None:
            self._reuse.buy_instead(ticket, job, has_waited=has_waited)
        elif isinstance(answer, Fail):
            await self._fail(ticket, answer)
        else:
            self._run.tell_finished(answer)

    def _decline(self, ticket: Ticket) -> Fail:
        """Say why a row is not bought; a run with a higher limit buys it by itself."""
        row, limit = ticket.row, self._run.options.max_cost_per_row or 0.0
        amount = plural(row.characters, "character") if row.characters else duration(row.seconds)
        price = ""
        if provider := self._run.providers.get(row.provider):
            cost = provider.cost_of(characters=row.characters, seconds=row.seconds)
            price = f"{money(cost, provider.currency)}, "
        message = f"would cost {price}more than --max-cost-per-row {limit:.15g}: {amount} to send"
        return Fail(error_class=TOO_COSTLY, message=message, is_passing=True)

    async def _cut(self, ticket: Ticket, job: Job) -> None:
        try:
            await cutting.cut(self._run, ticket, job)
        except RecordingError as error:
            await self._fail(ticket, _to_failure(error))

    async def _assemble(self, whole: LongJob) -> None:
        record = await long_jobs.assemble_job(self._run, whole)
        if record is not None:
            self._finish(whole.ticket, record)

    # -- endings --------------------------------------------------------------------------------

    def _finish(self, ticket: Ticket, record: JobRecord) -> None:
        """Tell of a row's outcome, and let those that wait for it go on."""
        self._reuse.release(ticket)
        self._run.tell_finished(record)

    async def _fail(self, ticket: Ticket, failure: Fail) -> None:
        """Give a row its failure, or all rows that wait for a segment."""
        match ticket.step:
            case Buy(is_part=True) if ticket.kept is not None:
                await segments.settle_in_doubt(self._run, ticket, failure)
                return
            case Buy(is_part=True):
                tickets = [job.ticket for job in segments.give_up(self._run, ticket)]
            case Assemble(whole=whole):
                tickets = [whole.ticket]
            case _:
                tickets = [ticket]
        for each in tickets:
            record = await single_jobs.fail(self._run, each, failure, last=ticket)
            self._finish(each, record)

    async def _fail_unexpectedly(self, ticket: Ticket, error: Exception) -> None:
        """Fail one job for a mistake of ours; five alike in a row end the run."""
        run = self._run
        _logger.error("job '%s' failed unexpectedly", ticket.row.id, exc_info=error)
        while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]  # a session's nurseries put groups around everything
        name = type(error).__name__
        shown = f"{name}: {error}"
        self._internal_alike = [*(s for s in self._internal_alike if s == name), name]
        if len(self._internal_alike) >= _INTERNAL_ALIKE:
            run.stop(InternalError(f"{_INTERNAL_ALIKE} jobs in a row failed alike: {shown}"))
        try:
            for attempt in run.attempts.find(ticket):
                await run.attempts.end(attempt, "internal")
            await self._fail(ticket, Fail(error_class="internal", message=shown))
        except BatchjobsError as disk_error:
            run.stop(disk_error)


def _output_of(ticket: Ticket, buy: Buy) -> str:
    """Give the path of what a session's result is written to; empty for the transcript of a part."""
    if not buy.is_part:
        return ticket.row.output
    return "" if buy.segment.kind is Kind.STT else run_folder.segment_path(ticket.key)


def _to_failure(error: RecordingError) -> Fail:
    """Make a job's failure of what is wrong with its recording."""
    return Fail(error_class=PermanentError.label, code=RECORDING_CODE, message=error.message)


def _name_account(error: BatchjobsError, service: Service) -> BatchjobsError:
    """Say of an error that ends the run with which of several accounts it came."""
    if not service.account:
        return error
    return type(error)(f"{service.account}: {error.message}", hint=error.hint)
