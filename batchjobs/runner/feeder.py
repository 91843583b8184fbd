"""Hands out rows one by one, when every limit allows one more session."""

import functools
import itertools
from array import array
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Final, TypeAlias

import trio

from batchjobs.checkpoint import Row
from batchjobs.errors import BatchjobsError, ConfigurationError
from batchjobs.limits import Price
from batchjobs.planning.plan import TO_BUY, Action
from batchjobs.runner.accounts import Accounts
from batchjobs.runner.service import Slot
from batchjobs.runner.state import RunState
from batchjobs.runner.tickets import Buy, Copy, Cut, Ticket, make_ticket

Handout: TypeAlias = tuple[Ticket, Slot | None]
"""A ticket for a worker, with the slot of its session if it opens one."""

_PAGE_ROWS: Final = 200
_RETRIES_WAITING: Final = 1_000
"""With so many jobs waiting for another try, or for their service, no new ones start."""
_LOOK_AGAIN_SECONDS: Final = 1.0
"""Room may also come with time alone, as the limit grows back."""
_IN_ORDER: Final = ((Action.COPY, Action.BAD, Action.DEAR), TO_BUY, (Action.FOLLOW,))
_CUT_AT_ONCE: Final = 2
"""So many long jobs are cut into segments at once: cutting fills the processor and the disk."""


class Feeder:
    """Hands tickets to the workers, one session at a time and within every limit.

    Args:
        run: The run.
        send: Where the workers take the tickets; holds none.
        done: Ids of rows that have their answers already.
        withdraw: Takes back a purchase that has not begun, and gives the positions of the rows that
            go without an answer.
    """

    def __init__(
        self,
        run: RunState,
        send: trio.MemorySendChannel[Handout],
        done: Container[str] = (),
        *,
        withdraw: Callable[[Ticket], Sequence[int]] = lambda ticket: (ticket.row.position,),
    ) -> None:
        self._run = run
        self._send = send
        self._done = done
        self._withdraw = withdraw
        # Tickets that wait until their service is ready, while others go on at other services.
        self._lines = {accounts: deque[Ticket]() for accounts in run.accounts.values()}

        # What a limit had no room for: rows whose purchase has not begun, and tickets on their way.
        self._left = array("q")
        self._kept: list[Ticket] = []
        self._again: set[int] = set()
        self._changes_seen = 0
        self._is_leading = True

    async def run(self) -> None:
        """Hand out every row that there is to do, until all have their answers.

        Copies come first: what they copy may be the old result of a row that is about to be bought
        anew, and stands in its place. Followers copy what is bought now, and come last.

        What had no room is handed out once more, in the same order, when a limit has been raised;
        last of all come the rows that somebody has set to go again.
        """
        run, rows = self._run, self._run.checkpoint.rows
        async with self._send:
            await self._hand_out_all(rows.stream_to_do)
            while await self._wait_for_more():
                left, kept, self._left, self._kept = self._left, self._kept, array("q"), []
                planned = [position for position in left if position not in self._again]
                again = {*run.again, *(position for position in left if position in self._again)}
                run.again = array("q")
                self._again |= again
                for ticket in kept:
                    run.queue.put_after(ticket, 0.0)
                await self._hand_out_all(functools.partial(self._stream_planned, planned))
                await self._feed(self._stream_again(sorted(again)), self._make_again)

    async def _hand_out_all(self, stream: Callable[[Sequence[Action]], Iterator[Row]]) -> None:
        """Hand out rows in the order in which one may need another.

        Args:
            stream: Reads the rows with these actions.
        """
        self._changes_seen = self._run.budget.changes
        for actions in _IN_ORDER:
            self._is_leading = actions is TO_BUY
            rows = stream(actions)
            await self._feed((row for row in rows if row.id not in self._done), make_ticket)
        self._is_leading = False

    def _stream_planned(self, positions: Sequence[int], actions: Sequence[Action]) -> Iterator[Row]:
        find = self._run.checkpoint.rows.find_at
        pages = (positions[at : at + _PAGE_ROWS] for at in range(0, len(positions), _PAGE_ROWS))
        return (row for page in pages for row in find(page) if row.action in actions)

    def _stream_again(self, positions: Sequence[int]) -> Iterator[Row]:
        """Read the rows that are to go again; what is done by now is not."""
        find = self._run.checkpoint.rows.find_unsettled_at
        for at in range(0, len(positions), _PAGE_ROWS):
            yield from find(positions[at : at + _PAGE_ROWS])

    def _make_again(self, row: Row) -> Ticket:
        """Make the ticket of a row that goes again: of equal ones the first buys for all."""
        return Ticket(row=row, step=Copy(job=row.read_job()))

    async def _wait_for_more(self) -> bool:
        """Wait for more to hand out, as long as somebody holds the run open.

        Returns:
            Whether there is some.
        """
        run = self._run
        while not run.is_stopping:
            if run.again or self._has_reopened():
                return True
            if not run.is_held:
                return False
            await run.queue.wait_changed(float("inf"))
        return False

    def _has_reopened(self) -> bool:
        """Whether a limit has changed since something was left for want of room."""
        has_left = bool(self._left or self._kept)
        return has_left and self._run.budget.changes != self._changes_seen

    async def _feed(self, rows: Iterator[Row], make: Callable[[Row], Ticket]) -> None:
        """Hand out rows, until they and all that is on its way have come to their ends."""
        try:
            await self._feed_rows(rows, make)
        except BatchjobsError as error:  # what is open may still finish
            self._run.stop(error)

    async def _feed_rows(self, rows: Iterator[Row], make: Callable[[Row], Ticket]) -> None:
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
                    ticket = make(page.pop())
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
            accounts = run.accounts.get(ticket.row.provider)
            if accounts is None:
                raise ConfigurationError(
                    f"'{ticket.row.id}' has to be bought again, and there is no key for "
                    f"'{ticket.row.provider}'",
                    hint="its earlier result is damaged; set the key and run this again",
                )
            price = _price_of(ticket, accounts)
            if self._is_closed_to(price, accounts) or self._has_to_follow(ticket):
                self._leave(ticket)
                return
            if isinstance(ticket.step, Buy):
                slot = await self._wait_slot(accounts, ticket, price)
                if slot is None:
                    return
        run.queue.start(ticket)
        await self._send.send((ticket, slot))

    def _leave(self, ticket: Ticket) -> None:
        """Keep what has no room, should a limit be raised: as a position, if nothing has begun."""
        is_part = isinstance(ticket.step, Buy) and ticket.step.is_part
        if is_part or ticket.tries.has_begun:
            self._kept.append(ticket)
        else:
            self._left.extend(self._withdraw(ticket))

    def _has_to_follow(self, ticket: Ticket) -> bool:
        """Whether a row that was to copy may not buy yet: what it copies has room again, and goes first."""
        is_part = isinstance(ticket.step, Buy) and ticket.step.is_part
        is_new = not (self._is_leading or is_part or ticket.tries.has_begun)
        return is_new and self._has_reopened()

    def _takes_new_rows(self) -> bool:
        """Whether another row may be looked at: not while too many jobs wait for another try.

        As long as no service has done anything for us, the first job alone finds out, in all of its
        attempts, whether it is there.
        """
        queue, services = self._run.queue, self._run.services
        if queue.being_cut >= _CUT_AT_ONCE:
            return False
        waiting = len(queue) + self._in_line()
        if any(service.is_proven for service in services):
            return waiting < _RETRIES_WAITING
        return not (waiting or queue.being_cut or any(service.active for service in services))

    def _pop_in_line(self) -> Ticket | None:
        """Take the first of the tickets that wait for a service which is ready now, or has no money left."""
        now = trio.current_time()
        for accounts, line in self._lines.items():
            if not line:
                continue
            price = _price_of(line[0], accounts)
            if accounts.is_ready(now, price) or self._is_closed_to(price, accounts):
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
        known = (
            accounts.opens_at(now, _price_of(line[0], accounts))
            for accounts, line in self._lines.items()
            if line
        )
        return min(
            (max(at, now) if at < float("inf") else now + _LOOK_AGAIN_SECONDS for at in known),
            default=float("inf"),
        )

    async def _wait_slot(self, accounts: Accounts, ticket: Ticket, price: Price) -> Slot | None:
        """Wait until every limit allows one more session, and take its slot.

        Of several services none waits for another: what has to wait for its own stands in its line.

        Args:
            accounts: With whom the session is, by one of them.
            ticket: What it is for.
            price: What it costs at most.

        Returns:
            The slot; None if the run stops first, or the budget has no room and it is left, or it
            stands in line.
        """
        run = self._run
        if len(run.accounts) > 1 and not accounts.is_ready(trio.current_time(), price):
            self._lines[accounts].append(ticket)
            return None
        while not (run.is_stopping or self._is_closed_to(price, accounts)):
            now = trio.current_time()
            opens_at = accounts.opens_at(now, price)
            not_before = max(opens_at, run.rate.next_at)
            has_room = opens_at < float("inf") and not run.is_paused
            if has_room and now >= not_before and (slot := self._take(accounts, ticket, price)):
                run.rate.add_start(now)
                return slot
            later = now + _LOOK_AGAIN_SECONDS if accounts.active else float("inf")
            is_early = has_room and now < not_before
            await run.queue.wait_changed(max(not_before, now) if is_early else later)
        if not run.is_stopping:
            self._leave(ticket)
        return None

    def _is_closed_to(self, price: Price, accounts: Accounts) -> bool:
        return self._run.budget.is_closed_to(price) or accounts.is_closed_to(price)

    def _take(self, accounts: Accounts, ticket: Ticket, price: Price) -> Slot | None:
        """Take a slot if its price can be set aside; what never fits ends all that needs the same limit."""
        run, now = self._run, trio.current_time()
        if not run.budget.reserve(price):
            if limit := run.budget.give_up(price):
                run.give_up_limit(limit, ticket.row.id)
            return None
        service = accounts.find_ready(now, price)
        if service is not None:
            return accounts.take_slot(service, now, price)
        run.budget.settle(price, Price())
        if limit := accounts.give_up(price):
            run.give_up_accounts(limit, ticket.row.id)
        return None


def _price_of(ticket: Ticket, accounts: Accounts) -> Price:
    return accounts.services[0].price(ticket.characters, ticket.seconds)


def _read_page(rows: Iterator[Row]) -> list[Row]:
    return list(itertools.islice(rows, _PAGE_ROWS))
