"""Gives a row what an equal one has: a copy, a result in doubt, or the same failure."""

import logging
import time
from collections.abc import Awaitable, Sequence
from dataclasses import replace

import trio
from msgspec import structs

from batchjobs.checkpoint import JobRecord, Row
from batchjobs.errors import BatchjobsError, SuspectError
from batchjobs.jobs import Job, Status, sum_severity
from batchjobs.outputs import reuse
from batchjobs.outputs.writing import Written
from batchjobs.planning.intact import can_serve, is_intact
from batchjobs.planning.plan import Action
from batchjobs.runner.exchanges import order_copies
from batchjobs.runner.reactions import Fail
from batchjobs.runner.state import RunState
from batchjobs.runner.tickets import Copy, Ticket, make_ticket, to_purchase

_logger = logging.getLogger(__name__)


class Reuse:
    """What the workers do about rows that ask for what was bought before, or is being bought.

    Args:
        run: The run.
    """

    def __init__(self, run: RunState) -> None:
        self._run = run
        self._remakes: dict[str, tuple[Ticket, list[Ticket]]] = {}
        """By key: the ticket that buys again what could not be copied, and those that wait for it."""
        self._remade: set[str] = set()
        """Keys of what was bought so, whatever came of it: a row may have looked for it before that."""

    async def copy_exchanged(self) -> set[str]:
        """Copy what other copies are about to replace, each before that happens.

        Returns:
            The ids of the rows that are done by it.
        """
        run, done = self._run, set[str]()
        found = await trio.to_thread.run_sync(run.checkpoint.rows.find_exchanges)
        rows = {exchange.row.id: exchange.row for exchange in found}
        held: tuple[JobRecord, Written] | None = None
        async with trio.open_nursery() as nursery:

            def publish(copied: tuple[JobRecord, Written] | None) -> None:
                if copied is not None:  # what is in line first is in its place first
                    nursery.start_soon(self._settle, copied[0], self._publish(*copied), done)

            for row_id, is_held in order_copies({each.row.id: each.donor for each in found}):
                if is_held:  # another circle begins
                    publish(held)
                    held = None
                if run.is_stopping and held is None:  # else what is held is nowhere else any more
                    break
                copied = await self._copy_first(rows[row_id])
                if is_held:
                    held = copied
                else:
                    publish(copied)
            publish(held)
        return done

    async def _copy_first(self, row: Row) -> tuple[JobRecord, Written] | None:
        """Make a copy; None if it cannot be made: the row is looked at again among the others."""
        ticket = make_ticket(row)
        ticket.started_at = time.time()
        try:
            return await self._make_copy(ticket, await self._find_donors(row))
        except BatchjobsError as error:
            self._run.stop(error)
        except Exception:  # a worker meets it again, and fails this one job
            _logger.exception("job '%s' could not be copied", row.id)
        return None

    async def _settle(self, record: JobRecord, durable: Awaitable[None], done: set[str]) -> None:
        try:
            with trio.CancelScope(shield=True):
                await durable
        except BatchjobsError as error:
            self._run.stop(error)
        else:
            done.add(record.id)
            self._run.tell_finished(record)

    async def copy(self, ticket: Ticket, *, has_waited: bool) -> JobRecord | Fail | None:
        """Give a row the result, or the failure, of an equal one.

        Args:
            ticket: The row's.
            has_waited: Whether another row with the same key was tried for it just now.

        Returns:
            The row's record, which is durable; how it fails; or None if it has to be bought.

        Raises:
            BatchjobsError: The disk failed.
        """
        donors = await self._find_donors(ticket.row)
        copied = await self._make_copy(ticket, donors)
        if copied is not None:
            with trio.CancelScope(shield=True):
                await self._publish(*copied)
            return copied[0]
        # If it failed before: where there is a donor it can be done, unless it was tried just now.
        may_follow = has_waited or (ticket.row.action == Action.FOLLOW and not donors)
        return await self._follow(ticket) if may_follow else None

    async def _find_donors(self, row: Row) -> list[JobRecord]:
        find = self._run.checkpoint.lookups.find_donors
        return await trio.to_thread.run_sync(find, row.key)

    async def _make_copy(
        self, ticket: Ticket, donors: Sequence[JobRecord]
    ) -> tuple[JobRecord, Written] | None:
        """Write a row's files beside their places, from the first donor whose own are intact."""
        row = ticket.row
        for donor in donors:
            if donor.has_layout_of(row):
                written = await self._copy_files(donor, row.output)
                if written is not None:
                    return _make_record(ticket, donor, row.output, written), written
        return None

    def _publish(self, record: JobRecord, written: Written) -> Awaitable[None]:
        return self._run.recorder.finish(record=record, targets=written.targets)

    async def _follow(self, ticket: Ticket) -> JobRecord | Fail | None:
        """Give a row what an equal one without a good result has: one in doubt, or a failure."""
        row = ticket.row
        leader = await trio.to_thread.run_sync(self._find_leader, row)
        if leader is None:
            return None
        ticket.kept = kept = (await self.find_kept(row))[1]
        if leader.status is not Status.SUSPECT:
            return Fail(
                error_class=leader.error_class,
                code=leader.error_code,
                message=f"asks the same as '{leader.id}', which failed: {leader.error_message}",
                is_passing=leader.is_passing,
            )
        if kept is not None and sum_severity(kept.doubts) <= sum_severity(leader.doubts):
            return Fail(error_class=SuspectError.label)
        record = None
        with trio.CancelScope(shield=True):
            place = await self._run.reserve_place(row)
            written = await self._copy_files(leader, place)
            if written is not None:
                record = _make_record(ticket, leader, place, written)
                await self._publish(record, written)
        return record

    def _find_leader(self, row: Row) -> JobRecord | None:
        """Find the best of what is kept in doubt for equal rows, or else a failure; in a thread."""
        checkpoint = self._run.checkpoint
        own = checkpoint.lookups.find([row.id]).get(row.id)
        kept = [
            record
            for record in checkpoint.lookups.find_suspects(row.key)
            if record != own and can_serve(checkpoint.shelf, record, row)
        ]
        if kept:
            return min(kept, key=lambda record: sum_severity(record.doubts))
        return checkpoint.lookups.find_failure(row.key, besides=row.id)

    async def find_kept(self, row: Row) -> tuple[JobRecord | None, JobRecord | None]:
        """Find what is known of a job in doubt, and the same if it is there and of use to the row."""
        checkpoint = self._run.checkpoint

        def find() -> tuple[JobRecord | None, JobRecord | None]:
            kept = checkpoint.lookups.find([row.id]).get(row.id)
            if kept is None or kept.status is not Status.SUSPECT or kept.key != row.key:
                return None, None
            is_of_use = kept.can_become(row.output) and is_intact(checkpoint.shelf, kept)
            return kept, kept if is_of_use else None

        return await trio.to_thread.run_sync(find)

    async def _copy_files(self, donor: JobRecord, output: str) -> Written | None:
        checkpoint = self._run.checkpoint

        def copy() -> Written | None:
            with checkpoint.shelf.holding(file.path for file in donor.files) as place:
                return reuse.copy_result(checkpoint.folder, output, donor, place=place)

        return await trio.to_thread.run_sync(copy, limiter=self._run.disk)

    def buy_instead(self, ticket: Ticket, job: Job, *, has_waited: bool) -> None:
        """Buy what cannot be copied after all, once for all rows that ask for it.

        Args:
            ticket: The row's.
            job: What it asks for.
            has_waited: As for `copy`.
        """
        key = ticket.row.key
        if key in self._remakes:
            self._remakes[key][1].append(ticket)
            return
        if key in self._remade and not has_waited:  # while it looked at the damaged one
            self._look_again(ticket)
            return
        remake = structs.replace(ticket, step=to_purchase(ticket.row, job))
        self._remakes[key] = remake, []
        self._run.queue.put_after(remake, 0.0)

    def withdraw(self, ticket: Ticket) -> list[int]:
        """Take back a purchase that has not begun.

        Args:
            ticket: That was to buy.

        Returns:
            The positions of the rows that go without an answer: its own, and those that waited for it.
        """
        buyer, others = self._remakes.get(ticket.row.key, (None, []))
        if buyer is not ticket:
            return [ticket.row.position]
        del self._remakes[ticket.row.key]
        return [ticket.row.position, *(other.row.position for other in others)]

    def release(self, ticket: Ticket) -> None:
        """Let the rows that wait for what a ticket bought copy it now, or buy in their turn."""
        buyer, others = self._remakes.get(ticket.row.key, (None, []))
        if buyer is not ticket:
            return
        del self._remakes[ticket.row.key]
        self._remade.add(ticket.row.key)
        for other in others:
            self._look_again(other)

    def _look_again(self, ticket: Ticket) -> None:
        assert isinstance(ticket.step, Copy)
        step = structs.replace(ticket.step, has_waited=True)
        self._run.queue.put_after(structs.replace(ticket, step=step), 0.0)


def _make_record(ticket: Ticket, donor: JobRecord, output: str, written: Written) -> JobRecord:
    record = replace(
        donor,
        id=ticket.row.id,
        output=output,
        files=written.files,
        is_damaged=False,  # what was copied was compared with its hash
        started_at=ticket.started_at,
        finished_at=time.time(),
    )
    if donor.id != ticket.row.id:  # its own earlier result was bought for it
        record = replace(record, copied_from=donor.id, attempts=0, cost=0.0)
    return record
