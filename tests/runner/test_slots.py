"""A service's slots and the tickets that wait: each taken once, and let go once."""

from batchjobs.errors import TransientError
from batchjobs.limits import Budget, Price
from batchjobs.options import Options
from batchjobs.runner.queue import TicketQueue
from batchjobs.runner.service import Service
from batchjobs.runner.tickets import Cut, LongJob, Part, Ticket
from batchjobs.runner.wanted import WantedSegments
from batchjobs.session import CONNECTION_CODE
from tests.builders import make_endpoint, make_job, make_row, make_segment

NOW = 1_000.0
GONE = TransientError("no connection", code=CONNECTION_CODE)


def make_service(budget: Budget, *, concurrency: int = 2) -> Service:
    """Make a proven service without any connection."""
    service = Service(
        make_endpoint(lambda *_: None),
        Options(concurrency=concurrency),
        budget=budget,
        tell=lambda _: None,
        notify=lambda: None,
    )
    service.prove()
    return service


def test_a_slot_is_let_go_once() -> None:
    """Early, at the end of its block, or both: another session may begin, and only one."""
    service = make_service(Budget())
    first = service.take_slot(NOW, Price())
    with first, service.take_slot(NOW, Price()):
        assert not service.has_room(NOW)
        first.let_go()
        assert service.active == 1
    assert service.active == 0


def test_a_slot_s_price_is_settled_once() -> None:
    """What was spent stays spent; what was only set aside is given back."""
    budget, price = Budget(characters=10), Price(characters=10)
    assert budget.reserve(price)
    with make_service(budget).take_slot(NOW, price) as slot:
        slot.settle(Price(characters=4))
        slot.settle(Price(characters=9))
    assert budget.spent == Price(characters=4)
    assert budget.reserve(Price(characters=6))
    make_service(budget).take_slot(NOW, Price(characters=6)).let_go()
    assert budget.spent == Price(characters=4)
    assert budget.reserve(Price(characters=6))


def test_in_an_outage_one_session_looks_whether_it_is_over() -> None:
    """The next may look once that one's slot is let go."""
    service = make_service(Budget())
    for _ in range(5):
        service.learn_failure(GONE, was_connected=False, began_at=NOW, now=NOW)
    assert service.facts(NOW + 7.0).outage_seconds == 7.0
    with service.take_slot(NOW, Price()):
        assert not service.has_room(NOW)
    assert service.has_room(NOW)


async def test_tickets_are_given_when_they_are_due(autojump_clock: object) -> None:
    """In the order of their times; each is waited for, and what is put meanwhile is news."""
    queue = TicketQueue()
    late, soon = (Ticket(row=make_row(n), step=Cut(job=make_job("a", "x"))) for n in (1, 2))
    queue.put_after(late, 5.0)
    queue.put_after(soon, 2.0)
    assert queue.pop_due_nowait() is None
    await queue.wait_changed(queue.next_due_at)  # both were put
    await queue.wait_changed(queue.next_due_at)
    assert (queue.pop_due_nowait(), queue.pop_due_nowait()) == (soon, None)
    queue.start(soon)
    assert (len(queue), queue.in_hand, queue.being_cut) == (1, 1, 1)
    queue.finish(soon)
    assert (queue.in_hand, queue.being_cut) == (0, 0)


async def test_a_segment_is_bought_once_for_all_jobs_that_wait(autojump_clock: object) -> None:
    """It has one ticket; when the jobs have failed it is of no use any more, and can be asked anew."""
    queue = TicketQueue()
    wanted = WantedSegments(queue)
    parts = [Part(segment=make_segment("مرحبا"))]
    jobs = [
        LongJob(
            ticket=Ticket(row=make_row(number), step=Cut(job=job)), job=job, parts=parts, held={}
        )
        for number, job in enumerate((make_job("a", "x"), make_job("b", "y")))
    ]
    for job in jobs:
        wanted.wait_for_missing(job)
        wanted.ask_for_missing(job, lost={})
    ticket = queue.pop_due_nowait()
    assert ticket is not None
    assert queue.pop_due_nowait() is None
    assert wanted.find_waiting(ticket.key) == jobs
    jobs[0].is_over = True
    assert wanted.is_wanted(ticket)
    jobs[1].is_over = True
    assert not wanted.is_wanted(ticket)
    jobs[0].is_over = False
    wanted.wait_for_missing(jobs[0])
    wanted.ask_for_missing(jobs[0], lost={})
    assert len(queue) == 1
