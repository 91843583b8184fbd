"""Short work in threads: each gets what is its own, and what comes together goes together."""

import functools
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from batchjobs.runner import thread_batches
from batchjobs.runner.thread_batches import ThreadBatches
from tests.clocks import PATIENCE_SECONDS, until_soon

THREADS = 2


@asynccontextmanager
async def batching() -> AsyncIterator[ThreadBatches]:
    """Run the batches as the runner does."""
    batches = ThreadBatches(threads=THREADS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(batches.run)
        yield batches
        batches.close()


async def test_each_gets_its_own_result_or_error() -> None:
    """One that fails takes nobody along."""
    found: dict[int, float] = {}
    async with batching() as batches, trio.open_nursery() as nursery:

        async def divide(number: int) -> None:
            if number % 7:
                found[number] = await batches.run_sync(lambda: 1 / (number % 7))
            else:
                with pytest.raises(ZeroDivisionError):
                    await batches.run_sync(lambda: 1 / (number % 7))

        for number in range(100):
            nursery.start_soon(divide, number)
    assert found == {number: 1 / (number % 7) for number in range(100) if number % 7}


async def test_what_gathers_is_shared_by_the_threads_and_goes_in_few_hops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A few together, in the order in which they came; what comes alone goes at once."""
    gate = threading.Event()
    done: list[int] = []
    sizes: list[int] = []
    do_all = thread_batches._do_all

    def counted(pieces: list[thread_batches._Piece]) -> None:
        sizes.append(len(pieces))
        do_all(pieces)

    monkeypatch.setattr(thread_batches, "_do_all", counted)
    async with batching() as batches, trio.open_nursery() as nursery:

        async def hold() -> None:
            await batches.run_sync(lambda: gate.wait(PATIENCE_SECONDS) and None)

        async def note(number: int) -> None:
            await batches.run_sync(lambda: done.append(number))

        def has_begun(hops: int) -> bool:
            return len(sizes) == hops

        for held in range(1, THREADS + 1):
            nursery.start_soon(hold)
            await until_soon(functools.partial(has_begun, held))
        for number in range(40):
            nursery.start_soon(note, number)
        await trio.testing.wait_all_tasks_blocked()
        assert sizes == [1] * THREADS
        gate.set()
    assert sorted(done) == list(range(40))
    assert sum(sizes) == THREADS + 40
    assert len(sizes) <= THREADS + 8


async def test_a_hop_without_a_thread_is_an_error_to_all_who_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They may be shielded: nobody may wait for ever. The next hop has a thread again."""

    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    async with batching() as batches:
        with monkeypatch.context() as patch:
            patch.setattr(trio._threads, "start_thread_soon", no_thread)
            with pytest.raises(RuntimeError, match="new thread"):
                await batches.run_sync(lambda: 1)
        assert await batches.run_sync(lambda: 2) == 2


async def test_a_cancelled_run_still_serves_those_who_wait_shielded() -> None:
    """What was paid for is written, whoever cancels meanwhile."""
    gate = threading.Event()
    written: list[int] = []
    batches = ThreadBatches(threads=THREADS)

    def write(number: int) -> None:
        if gate.wait(PATIENCE_SECONDS):
            written.append(number)

    async def bring_home(number: int) -> None:
        with trio.CancelScope(shield=True):
            await batches.run_sync(functools.partial(write, number))

    async with trio.open_nursery() as outer:
        outer.start_soon(batches.run)
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(bring_home, number)
            await trio.testing.wait_all_tasks_blocked()
            outer.cancel_scope.cancel()
            gate.set()
        batches.close()
    assert sorted(written) == list(range(10))
