"""Cancelled while connections are opened beforehand, nothing stays."""

from typing import Any

import pytest
import trio
import trio.testing

from tests.session.far_service import far
from tests.session.scripted import CancelAt
from tests.streams import FaultyStream, Service, head_of


async def test_cancelled_with_a_pool_open_or_opening_nothing_stays(
    autojump_clock: object,
) -> None:
    """Wherever a cancellation strikes, streams are closed and tasks gone: `far` looks."""
    for seconds in (0.1, 0.25, 0.35, 0.5, 0.7, 1.4, 1.5, 1.6, 1.75, 2.5):
        async with far() as place:
            with trio.move_on_after(seconds) as scope:
                for _ in range(3):
                    await place.speak()
            assert scope.cancelled_caught


async def test_cancelled_at_any_step_of_a_session_over_a_pooled_connection_nothing_stays(
    autojump_clock: object,
) -> None:
    """Taking it, talking over it, closing it: at every step of any task."""
    step = 0
    was_cut = True
    while was_cut:
        step += 7  # prime to the lengths of what is repeated: it gets everywhere
        async with far() as place:
            await place.speak()
            scope = trio.CancelScope()
            instrument = CancelAt(scope, step)
            trio.lowlevel.add_instrument(instrument)
            try:
                with scope:
                    await place.speak()
            finally:
                trio.lowlevel.remove_instrument(instrument)
            was_cut = instrument.steps >= step
    assert step > 50


async def test_a_surprise_while_opening_one_is_not_the_run_s_end(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong with a pooled connection, sessions go on without, and a line tells of it."""

    def dial(service: Service) -> Any:
        async def connect(host: str, port: int, context: object) -> FaultyStream:
            if len(service.streams) == 1:
                await trio.lowlevel.checkpoint()
                raise ZeroDivisionError
            return await service.dial(host, port, context)

        return connect

    async with far(dial=dial) as place:
        await place.speak()
        with pytest.raises(ExceptionGroup) as caught:
            await place.speak()  # its own dialling fails as surprisingly
        assert caught.group_contains(ZeroDivisionError)
    assert "failed unexpectedly" in caplog.text


async def test_who_waits_for_a_connection_that_is_opening_can_be_cancelled(
    autojump_clock: object,
) -> None:
    """A connection that was about to be given is closed."""

    async def hangs(stream: trio.abc.Stream) -> None:
        await head_of(stream)
        await trio.sleep_forever()

    async with far() as place:
        request: tuple[str, list[tuple[bytes, bytes]]] = ("/", [])
        place.service._raw = hangs
        place.pool.replenish(request)
        with trio.move_on_after(5) as scope:
            await place.pool.take(request)
        assert scope.cancelled_caught
        assert not place.pool._waiting
