"""The tickets that wait for their time, and those that workers have in hand."""

import heapq
import itertools

import trio

from batchjobs.runner.tickets import Cut, Ticket


class TicketQueue:
    """Holds tickets until they are due, and counts those that are handed out.

    What changes something that may let another ticket start calls `notify`.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Ticket]] = []
        self._order = itertools.count()
        self._changed = trio.Event()
        self._in_hand = 0
        self._being_cut = 0

    def __len__(self) -> int:
        """Count the tickets that wait."""
        return len(self._waiting)

    @property
    def in_hand(self) -> int:
        """How many tickets workers have."""
        return self._in_hand

    @property
    def being_cut(self) -> int:
        """How many of those are long jobs being cut."""
        return self._being_cut

    @property
    def next_due_at(self) -> float:
        """When the next ticket is due."""
        return self._waiting[0][0] if self._waiting else float("inf")

    def put_after(self, ticket: Ticket, seconds: float) -> None:
        """Let a ticket wait for a while."""
        due = trio.current_time() + seconds
        heapq.heappush(self._waiting, (due, next(self._order), ticket))
        self.notify()

    def pop_due_nowait(self) -> Ticket | None:
        """Take a ticket whose wait is over."""
        if self.next_due_at > trio.current_time():
            return None
        return heapq.heappop(self._waiting)[2]

    def start(self, ticket: Ticket) -> None:
        """Count a ticket as in a worker's hand."""
        self._in_hand += 1
        self._being_cut += isinstance(ticket.step, Cut)

    def finish(self, ticket: Ticket) -> None:
        """Count a ticket as done with."""
        self._in_hand -= 1
        self._being_cut -= isinstance(ticket.step, Cut)
        self.notify()

    def notify(self) -> None:
        """Wake what waits for a change: another ticket may be able to start."""
        self._changed.set()

    async def wait_changed(self, deadline: float) -> None:
        """Wait until something has changed since this last returned, or until a time."""
        with trio.move_on_at(deadline):
            await self._changed.wait()
        self._changed = trio.Event()
