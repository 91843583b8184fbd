"""Hands out rows one by one, when every limit allows one more session."""

import itertools
from collections.abc import Iterator
from typing import Final

import trio

from batchjobs.checkpoint import Row
from batchjobs.errors import BatchjobsError, BudgetReachedError
from batchjobs.planning import TO_BUY, Action, decode_row
from batchjobs.progress import LimitReached
from batchjobs.runner.state import RunState, Service, Stage, Ticket

__all__ = ["feed"]

_PAGE_ROWS: Final = 200
_RETRIES_WAITING: Final = 1_000
"""With so many jobs waiting for another try, or for their service, no new ones start."""
_LOOK_AGAIN_SECONDS: Final = 1.0
"""Room may also come with time alone, as the limit grows back."""
_CUT_AT_ONCE: Final = 2
"""So many long jobs are cut into segments at once: cutting fills the processor and the disk."""


async def feed(run: RunState, send: trio.MemorySendChannel[Ticket]) -> None:
    """Hand out every row that there is to do, until all have their answers.

    Copies come first: what they copy may be the old result of a row that is about to be bought
    anew, and stands in its place. Followers copy what is bought now, and come last.
    """
    async with send:
        for actions in ((Action.COPY, Action.BAD), TO_BUY, (Action.FOLLOW,)):
            rows = run.checkpoint.rows.stream_to_do(actions)
            try:
                await _feed_rows(run, rows, send)
            except BatchjobsError as error:  # of the disk: what is open may still finish
                run.stop(error.message, error)


async def _feed_rows(
    run: RunState, rows: Iterator[Row], send: trio.MemorySendChannel[Ticket]
) -> None:
    page: list[Row] = []
    is_more = True
    while not run.is_stopping:
        run.forget_changes()
        ticket = _next_in_line(run) or run.due()
        if ticket is None and is_more and _takes_new_rows(run):
            if not page:
                page = await trio.to_thread.run_sync(_page, rows)
                page.reverse()
                is_more = bool(page)
            if page:
                row = page.pop()
                ticket = Ticket(row=row, job=decode_row(row))
        if ticket is not None:
            if await _admitted(run, ticket):
                run.in_hand += 1
                run.being_cut += ticket.stage is Stage.CUT
                await send.send(ticket)
        elif not is_more and not run.in_hand and not run.waiting and not _in_line(run):
            return
        else:
            await run.until_changed(min(run.next_due_at, _next_room_at(run)))


def _page(rows: Iterator[Row]) -> list[Row]:
    return list(itertools.islice(rows, _PAGE_ROWS))


def _takes_new_rows(run: RunState) -> bool:
    """Whether another row may be looked at: not while too many jobs wait for another try.

    As long as no service has done anything for us, the first job alone finds out, in all of its
    attempts, whether it is there.
    """
    if run.being_cut >= _CUT_AT_ONCE:
        return False
    services = run.services.values()
    if any(service.is_proven for service in services):
        return len(run.waiting) + _in_line(run) < _RETRIES_WAITING
    return not (
        run.waiting or run.being_cut or _in_line(run) or any(service.active for service in services)
    )


def _next_in_line(run: RunState) -> Ticket | None:
    """Take the first of those who wait for a service that is ready now."""
    now = trio.current_time()
    for service in run.services.values():
        if service.line and service.is_ready(now):
            return service.line.popleft()
    return None


def _in_line(run: RunState) -> int:
    return sum(len(service.line) for service in run.services.values())


def _next_room_at(run: RunState) -> float:
    """When to look again if those in line may go on, should nothing else happen."""
    now = trio.current_time()
    return min(
        (
            max(service.not_before, now) if service.has_room(now) else now + _LOOK_AGAIN_SECONDS
            for service in run.services.values()
            if service.line
        ),
        default=float("inf"),
    )


async def _admitted(run: RunState, ticket: Ticket) -> bool:
    """Wait until every limit allows one more session; false if the run stops first.

    Of several services none waits for another: what has to wait for its own stands in its line.
    """
    service = run.services.get(ticket.row.provider)
    if service is None or ticket.stage not in {Stage.BUY, Stage.CUT}:
        return True
    price = service.price_of(ticket)
    if ticket.stage is Stage.CUT or run.budget.is_closed_to(price):
        return not run.budget.is_closed_to(price)
    if len(run.services) > 1 and not service.is_ready(trio.current_time()):
        service.line.append(ticket)
        return False
    while not run.is_stopping and not run.budget.is_closed_to(price):
        run.forget_changes()
        now = trio.current_time()
        not_before = max(service.not_before, run.rate.next_at)
        has_room = service.has_room(now)
        if has_room and now >= not_before and _is_affordable(run, service, ticket):
            _start(run, service, ticket, now)
            return True
        later = now + _LOOK_AGAIN_SECONDS if service.active else float("inf")
        await run.until_changed(max(not_before, now) if has_room and now < not_before else later)
    return False


def _is_affordable(run: RunState, service: Service, ticket: Ticket) -> bool:
    """Set a session's price aside; what never fits ends all purchases that need the same limit."""
    price = service.price_of(ticket)
    if run.budget.reserve(price):
        ticket.price = price
        return True
    if limit := run.budget.give_up(price):
        run.budget_error = run.budget_error or BudgetReachedError(
            f"{limit}, over all runs in this folder, leaves no room for '{ticket.row.id}'",
            hint=f"raise {limit.split()[0]} and run the same command again",
        )
        run.tell(LimitReached(message=run.budget_error.message))
        run.notify()
    return False


def _start(run: RunState, service: Service, ticket: Ticket, now: float) -> None:
    service.active += 1
    ticket.holds_slot = True
    ticket.is_probe = service.is_probing = service.breaker.is_open
    run.rate.started(now)
    service.limit.started(now)
