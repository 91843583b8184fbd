"""Hands out rows one by one, when every limit allows one more session."""

import itertools
from collections import deque
from collections.abc import Container, Iterator
from typing import Final, TypeAlias

import trio

from batchjobs.checkpoint import Row
from batchjobs.errors import BatchjobsError, ConfigurationError
from batchjobs.limits import Price, StartRate
from batchjobs.planning.plan import TO_BUY, Action
from batchjobs.runner.service import Service, Slot
from batchjobs.runner.state import RunState
from batchjobs.runner.tickets import Buy, Cut, Ticket, make_ticket

Handout: TypeAlias = tuple[Ticket, Slot | None]
"""A ticket for a worker, with the slot of its session if it opens one."""

_PAGE_ROWS: Final = 200
_RETRIES_WAITING: Final = 1_000
"""With so many jobs waiting for another try, or for their service, no new ones start."""
_LOOK_AGAIN_SECONDS: Final = 1.0
"""Room may also come with time alone, as the limit grows back."""
_CUT_AT_ONCE: Final = 2
"""So many long jobs are cut into segments at once: cutting fills the processor and the disk."""


class Feeder:
    """Hands tickets to the workers, one session at a time and within every limit.

    Args:
        run: The run.
        send: Where the workers take the tickets; holds none.
        done: Ids of rows that have their answers already.
    """

    def __init__(
        self, run: RunState, send: trio.MemorySendChannel[Handout], done: Container[str] = ()
    ) -> None:
        self._run = run
        self._send = send
        self._done = done
        self._rate = StartRate(run.options.starts_per_second)
        # Tickets that wait until their service is ready, while others go on at other services.
        self._lines = {service: deque[Ticket]() for service in run.services.values()}

    async def run(self) -> None:
        """Hand out every row that there is to do, until all have their answers.

        Copies come first: what they copy may be the old result of a row that is about to be bought
        anew, and stands in its place. Followers copy what is bought now, and come last.
        """
        run = self._run
        async with self._send:
            for actions in ((Action.COPY, Action.BAD, Action.DEAR), TO_BUY, (Action.FOLLOW,)):
                rows = run.checkpoint.rows.stream_to_do(actions)
                try:
                    await self._feed(row for row in rows if row.id not in self._done)
                except BatchjobsError as error:  # what is open may still finish
                    run.stop(error)

    async def _feed(self, rows: Iterator[Row]) -> None:
        run, queue = self._run, self._run.queue
        page: list[Row] = []
        is_more = True
        while not run.is_stopping:
            ticket = self._pop_in_line() or self._pop_due()
            if ticket is None and is_more and self._takes_new_rows():
                if not page:
                    page = await trio.to_thread.run_sync(_read_page, rows)
                    page.reverse()
                    is_more = bool(page)
                if page:
                    ticket = make_ticket(page.pop())
            if ticket is not None:
                await self._hand_out(ticket)
            elif not (is_more or queue.in_hand or len(queue) or self._in_line()):
                return
            else:
                await queue.wait_changed(min(queue.next_due_at, self._next_room_at()))

    async def _hand_out(self, ticket: Ticket) -> None:
        """Give a ticket to a worker, with a slot if its session needs one, unless it has to wait."""
        run, slot = self._run, None
        if isinstance(ticket.step, Buy | Cut):
            service = run.services.get(ticket.row.provider)
            if service is None:
                raise ConfigurationError(
                    f"'{ticket.row.id}' has to be bought again, and there is no key for "
                    f"'{ticket.row.provider}'",
                    hint="its earlier result is damaged; set the key and run this again",
                )
            price = service.price(ticket.characters, ticket.seconds)
            if run.budget.is_closed_to(price):
                return
            if isinstance(ticket.step, Buy):
                slot = await self._wait_slot(service, ticket, price)
                if slot is None:
                    return
        run.queue.start(ticket)
        await self._send.send((ticket, slot))

    def _takes_new_rows(self) -> bool:
        """Whether another row may be looked at: not while too many jobs wait for another try.

        As long as no service has done anything for us, the first job alone finds out, in all of its
        attempts, whether it is there.
        """
        queue, services = self._run.queue, self._run.services.values()
        if queue.being_cut >= _CUT_AT_ONCE:
            return False
        waiting = len(queue) + self._in_line()
        if any(service.is_proven for service in services):
            return waiting < _RETRIES_WAITING
        return not (waiting or queue.being_cut or any(service.active for service in services))

    def _pop_in_line(self) -> Ticket | None:
        """Take the first of the tickets that wait for a service which is ready now."""
        now = trio.current_time()
        for service, line in self._lines.items():
            if line and service.is_ready(now):
                return line.popleft()
        return None

    def _pop_due(self) -> Ticket | None:
        """Take a ticket whose wait is over; segments of jobs that have failed are dropped."""
        run = self._run
        while (ticket := run.queue.pop_due_nowait()) is not None:
            if run.wanted.is_wanted(ticket):
                return ticket
        return None

    def _in_line(self) -> int:
        return sum(map(len, self._lines.values()))

    def _next_room_at(self) -> float:
        """When to look again if those in line may go on, should nothing else happen."""
        now = trio.current_time()
        return min(
            (
                max(service.not_before, now) if service.has_room(now) else now + _LOOK_AGAIN_SECONDS
                for service, line in self._lines.items()
                if line
            ),
            default=float("inf"),
        )

    async def _wait_slot(self, service: Service, ticket: Ticket, price: Price) -> Slot | None:
        """Wait until every limit allows one more session, and take its slot.

        Of several services none waits for another: what has to wait for its own stands in its line.

        Args:
            service: Whom the session is with.
            ticket: What it is for.
            price: What it costs at most.

        Returns:
            The slot; None if the run stops first, or the budget has no room, or it stands in line.
        """
        run = self._run
        if len(run.services) > 1 and not service.is_ready(trio.current_time()):
            self._lines[service].append(ticket)
            return None
        while not (run.is_stopping or run.budget.is_closed_to(price)):
            now = trio.current_time()
            not_before = max(service.not_before, self._rate.next_at)
            has_room = service.has_room(now)
            if has_room and now >= not_before and self._set_aside(price, ticket):
                self._rate.add_start(now)
                return service.take_slot(now, price)
            later = now + _LOOK_AGAIN_SECONDS if service.active else float("inf")
            is_early = has_room and now < not_before
            await run.queue.wait_changed(max(not_before, now) if is_early else later)
        return None

    def _set_aside(self, price: Price, ticket: Ticket) -> bool:
        """Set a session's price aside; what never fits ends all purchases that need the same limit."""
        run = self._run
        if run.budget.reserve(price):
            return True
        if limit := run.budget.give_up(price):
            run.give_up_limit(limit, ticket.row.id)
        return False


def _read_page(rows: Iterator[Row]) -> list[Row]:
    return list(itertools.islice(rows, _PAGE_ROWS))
