"""A service that fails for ever is asked within the budget of retries."""

import itertools
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from batchjobs.limits import RetryBudget, RetryPolicy
from batchjobs.progress import ServiceLost
from tests.runner.runs import RunOutcome, fails_with, jobs, obeys, run_rows
from tests.runner.trouble import fails_by_chance, make_trouble
from tests.streams import FaultyStream, Peer, Service, Talk, answers

pytestmark = pytest.mark.usefixtures("standing_clock")


@pytest.mark.unmeasured
@pytest.mark.parametrize("share", [0.3, 1.0])
async def test_a_service_that_fails_for_ever_is_asked_within_the_budget(
    tmp_path: Path, share: float
) -> None:
    """Done and failed are all the rows, and there are at most 100 retries and one more a job."""
    policy = RetryPolicy(attempts=10, base_seconds=0.001, limit_seconds=0.002)
    result = await run_rows(
        tmp_path,
        jobs(60),
        fails_by_chance(share, seed=3),
        **make_trouble(retries=policy, concurrency=8),
    )
    assert result.end.error is None
    assert sum(result.statuses.values()) == 60
    assert len(result.attempts) <= 60 + 100 + 60
    assert all(record.is_passing for record in result.records.values() if record.error_class)
    if share == 1.0:
        assert len(result.attempts) > 100


def fails_everywhere(share: float, seed: int) -> tuple[Talk, Callable[[Service], object]]:
    """Make a service that fails a share of the sessions: by code, by close, or in the handshake."""
    dice = random.Random(seed)
    unavailable = answers(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    async def talk(peer: Peer) -> None:
        if dice.random() >= share:
            await obeys(peer)
        elif dice.random() < 0.5:
            await fails_with(peer, 50001)
        else:
            await peer.begin()
            await peer.connection.aclose(1011)

    def of(service: Service) -> object:
        broken = Service(service.nursery, raw=unavailable)

        async def dial(host: str, port: int, context: object) -> FaultyStream:
            place = broken if dice.random() < share / 3.0 else service
            return await place.dial(host, port, context)

        return dial

    return talk, of


async def run_against_failures(
    folder: Path, rows: int, share: float, *, seed: int = 5, attempts: int = 5
) -> RunOutcome:
    """Run rows against a service that fails for ever."""
    talk, of = fails_everywhere(share, seed)
    async with trio.open_nursery() as nursery:
        service = Service(nursery, talk=talk)
        result = await run_rows(
            folder,
            jobs(rows),
            dial=of(service),
            **make_trouble(retries=RetryPolicy(attempts=attempts), concurrency=8),
            patience=1e6,
        )
        nursery.cancel_scope.cancel()
    return result


@pytest.mark.unmeasured
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
async def test_failures_of_every_kind_for_ever_come_to_an_end(
    share: float, tmp_path: Path, standing_clock: object
) -> None:
    """5xx by code, by close and in the handshake: every row has its answer, within the budget."""
    rows = 150
    result = await run_against_failures(tmp_path, rows, share, attempts=8)
    assert result.end.error is None
    assert sum(result.statuses.values()) == rows
    charged = sum(record.attempts for record in result.records.values())
    # What failed in an outage counts for nothing; a retry may begin before it is known to be none.
    assert charged <= rows + 100 + rows + 8
    assert len(result.attempts) == charged or result.of(ServiceLost)
    if share == 0.3:
        assert result.statuses["done"] >= 0.97 * rows


class Unbounded(RetryBudget):
    """A retry budget with a mistake: it never ends."""

    @property
    def is_spent(self) -> bool:
        """Give whatever is asked for."""
        return False


async def test_a_refusal_for_want_of_room_brings_no_retry_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job brings one retry to the run's budget, however often it is throttled before it begins."""
    began = 0

    class Counting(RetryBudget):
        def add_job(self) -> None:
            nonlocal began
            began += 1
            super().add_job()

    monkeypatch.setattr("batchjobs.runner.worker.RetryBudget", Counting)
    sessions = itertools.count()

    async def throttles(peer: Peer) -> None:
        await (fails_with(peer, 42901) if next(sessions) < 12 else obeys(peer))

    result = await run_rows(tmp_path, jobs(5), throttles, **make_trouble())
    assert result.statuses == {"done": 5}
    assert began == 5


@pytest.mark.unmeasured
async def test_retries_without_a_budget_are_caught(
    tmp_path: Path, standing_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count of attempts can fail: without the budget there are too many."""
    monkeypatch.setattr("batchjobs.runner.worker.RetryBudget", Unbounded)
    result = await run_against_failures(tmp_path, 100, 0.95, attempts=8)
    assert sum(record.attempts for record in result.records.values()) > 100 + 100 + 100 + 8
