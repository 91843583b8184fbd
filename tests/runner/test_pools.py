"""Runs that open connections beforehand: within their concurrency, and at nobody's cost."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from batchjobs.errors import BatchjobsError, ThrottledError
from batchjobs.limits import Budget, Price
from batchjobs.runner import Runner
from batchjobs.runner.service import Service
from tests.builders import READY, audio_message, make_endpoint
from tests.runner.runs import OPTIONS, QUICK, RATE, jobs, run_rows, speech_for
from tests.streams import Peer
from tests.streams import Service as ScriptedService

ROWS = 24
PATIENCE_SECONDS = 0.5
SPEAKING_SECONDS = 1.0
PREOPENING = replace(OPTIONS, preopen=True)


def by_use(peers: list[Peer]) -> Counter[bool]:
    """Count connections by whether anything was said over them."""
    return Counter(bool(peer.messages) for peer in peers)


async def speaks(peer: Peer) -> None:
    """Speak, and take a while for it, once the first message has come."""
    await peer.send(READY)
    text = await peer.text()
    await peer.send(audio_message(speech_for(text), RATE))
    await trio.sleep(SPEAKING_SECONDS)
    await peer.until_asked_to_close()
    await peer.connection.aclose(1000)


async def obeys(peer: Peer) -> None:
    """Behave as a service should."""
    await peer.get()
    await speaks(peer)


@pytest.mark.parametrize("concurrency", [1, 2, 4, 5])
async def test_connections_altogether_stay_within_the_concurrency(
    concurrency: int, tmp_path: Path, standing_clock: object
) -> None:
    """Half of them are sessions; with one alone nothing is opened beforehand."""
    settings = replace(PREOPENING, concurrency=concurrency)
    run = await run_rows(tmp_path, jobs(ROWS), obeys, run_options=settings, patience=300)
    assert run.statuses == {"done": ROWS}
    assert all(record.attempts == 1 for record in run.records.values())
    assert run.service.most_open <= concurrency
    uses = by_use(run.service.peers)
    assert uses[True] == ROWS
    assert uses[False] <= concurrency // 2


async def test_a_service_that_leaves_idle_connections_takes_no_job_an_attempt(
    tmp_path: Path, standing_clock: object
) -> None:
    """Pooled connections that are gone when they are needed are replaced without a word."""

    async def impatient(peer: Peer) -> None:
        with trio.move_on_after(PATIENCE_SECONDS) as scope:
            await peer.get()
        if scope.cancelled_caught:
            await peer.connection.aclose(1001)
        else:
            await speaks(peer)

    run = await run_rows(tmp_path, jobs(ROWS), impatient, run_options=PREOPENING, patience=300)
    assert run.statuses == {"done": ROWS}
    assert all(record.attempts == 1 for record in run.records.values())
    assert {result for _, result, _, _ in run.attempts} == {"done"}
    assert by_use(run.service.peers)[False] > ROWS / 2


async def test_refusals_for_want_of_room_empty_the_pool(autojump_clock: object) -> None:
    """They are room that the service has not got; what was open counts with them."""
    async with trio.open_nursery() as nursery:
        place = ScriptedService(nursery, talk=obeys)
        endpoint = make_endpoint(place.dial, QUICK)
        service = Service(
            endpoint,
            replace(PREOPENING, concurrency=20),
            budget=Budget(),
            tell=lambda _: None,
            notify=lambda: None,
        )
        service.prove()
        now = trio.current_time()
        slots = [service.take_slot(now, Price()) for _ in range(5)]
        assert service.active == len(slots)
        assert service.pool is not None
        nursery.start_soon(service.pool.run)
        await trio.testing.wait_all_tasks_blocked()
        service.pool.replenish(("/", []))
        await trio.testing.wait_all_tasks_blocked()
        assert (len(service.pool), place.open) == (5, 5)  # one a session
        now = trio.current_time()
        service.throttle(ThrottledError("x"), began_at=now, now=now)
        assert service.facts(now).allowed == 7  # of ten that were open
        await trio.testing.wait_all_tasks_blocked()
        service.pool.replenish(("/", []))
        assert (len(service.pool), place.open) == (0, 0)
        await trio.sleep(60)
        service.pool.replenish(("/", []))
        assert len(service.pool)
        nursery.cancel_scope.cancel()


async def test_a_run_that_is_stopped_empties_its_pools_at_once(
    tmp_path: Path, standing_clock: object
) -> None:
    """What nobody will use is not held for the time of grace, while what is open finishes."""
    ended_at: dict[int, float] = {}
    stopped_at = 0.0

    async def watched(peer: Peer) -> None:
        try:
            await obeys(peer)
        finally:
            ended_at[peer.number] = trio.current_time()

    async def stop(runner: Runner) -> None:
        nonlocal stopped_at
        pool = runner._state.accounts["quick"].services[0].pool
        assert pool is not None
        await trio.sleep(1.5 * SPEAKING_SECONDS)
        assert len(pool) == 2
        stopped_at = trio.current_time()
        runner.stop(BatchjobsError("enough"))
        assert not len(pool)

    run = await run_rows(
        tmp_path, jobs(ROWS), watched, run_options=PREOPENING, during=stop, patience=300
    )
    assert set(run.statuses) == {"done"}
    assert len(run.records) < ROWS
    unused = [peer.number for peer in run.service.peers if not peer.messages]
    assert len(unused) == 2
    assert all(ended_at[number] == pytest.approx(stopped_at, abs=0.01) for number in unused)
    assert max(ended_at.values()) > stopped_at + SPEAKING_SECONDS / 4
