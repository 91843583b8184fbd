"""A pooled connection that turns out dead costs nothing."""

from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from batchjobs.errors import TransientError
from batchjobs.session import TtsSession
from tests.builders import LenientJudge, make_segment
from tests.session.far_service import far, listens, speaks
from tests.streams import FaultyStream, Peer, Service, Talk


def impatient(talk: Talk, seconds: float, code: int | None) -> Talk:
    """Make a service that leaves a connection on which nothing is said for a while."""

    async def talks(peer: Peer) -> None:
        real = peer.get
        first = None
        with trio.move_on_after(seconds):
            first = await real()
        if first is None:
            if code is not None:
                await peer.connection.aclose(code)
            return

        async def get() -> dict[str, Any]:
            peer.get = real  # type: ignore[method-assign]  # this once
            return first

        peer.get = get  # type: ignore[method-assign]  # this once
        await talk(peer)

    return talks


@pytest.mark.parametrize("code", [1000, 1001, 1011, None])
async def test_a_service_that_closes_idle_connections_costs_nothing(
    code: int | None, autojump_clock: object
) -> None:
    """A pooled connection that is gone is not used: every session succeeds, at its usual length."""
    async with far(impatient(speaks, 0.3, code), beforehand=False) as place:
        plain = await place.speak()
    async with far(impatient(speaks, 0.3, code)) as place:
        for _ in range(5):
            assert await place.speak() <= plain + 0.001


def dying(kind: str) -> Callable[[Service], Any]:
    """Make a way whose every second connection dies as soon as a session uses it."""

    def dial(service: Service) -> Any:
        async def connect(host: str, port: int, context: object) -> FaultyStream:
            stream = await service.dial(host, port, context)
            if len(service.streams) % 2 == 0:
                match kind:
                    case "swallows":
                        stream.stall_sends_after = 1
                    case "breaks":
                        stream.break_sends_after = 1
                    case _:
                        stream.break_reads_after = 1  # once the handshake is answered
            return stream

        return connect

    return dial


@pytest.mark.parametrize("kind", ["swallows", "breaks", "reads"])
@pytest.mark.parametrize("session", ["speak", "transcribe"])
async def test_a_pooled_connection_that_turns_out_dead_is_replaced(
    kind: str, session: str, autojump_clock: object
) -> None:
    """The session begins again on a new connection: it does not fail, and sends nothing twice."""
    talk = speaks if session == "speak" else listens
    async with far(talk, dial=dying(kind)) as place:
        for _ in range(4):
            await getattr(place, session)()
        assert len(place.service.streams) > 5  # the dead, too


async def test_a_close_in_answer_to_the_first_message_is_a_stale_connection(
    autojump_clock: object,
) -> None:
    """A service may leave just as we begin; on a fresh connection that is a failure as ever."""

    async def leaves(peer: Peer) -> None:
        if peer.number not in {2, 5}:
            await speaks(peer)
            return
        await peer.get()
        await peer.connection.aclose(1001)

    async with far(leaves) as place:
        await place.speak()
        assert len(place.pool) == 1
        await place.speak()  # over the second, which leaves, and then the third
        place.pool.rest()  # the fourth
        with pytest.raises(TransientError, match="closed with 1001"):
            await place.speak()


async def test_a_dead_pooled_connection_and_then_no_connection_is_no_connection(
    autojump_clock: object,
) -> None:
    """The run has to see that the service was not reached, and that nothing was sent."""

    def dial(service: Service) -> Any:
        async def connect(host: str, port: int, context: object) -> FaultyStream:
            if len(service.streams) == 2:
                raise OSError("gone")
            stream = await service.dial(host, port, context)
            stream.stall_sends_after = 1 if len(service.streams) == 2 else float("inf")
            return stream

        return connect

    async with far(dial=dial) as place:
        await place.speak()
        segment = make_segment("مرحبا")
        session = TtsSession(
            place.endpoint, segment, texts=["مرحبا"], judge=LenientJudge(), pool=place.pool
        )
        with pytest.raises(TransientError, match="no connection: gone"):
            await session.run()
    assert not session.was_connected
    assert session.sent_characters == 0


async def test_what_a_service_says_over_a_pooled_connection_counts(autojump_clock: object) -> None:
    """An error message is no stale connection: it is classed as always."""

    async def fails(peer: Peer) -> None:
        if peer.number == 1:
            await speaks(peer)
            return
        await peer.get()
        await peer.send({"type": "error", "errorCode": 50001, "errorMessage": "لا"})
        await peer.connection.aclose(1000)

    async with far(fails) as place:
        await place.speak()
        with pytest.raises(TransientError, match="لا"):
            await place.speak()
        assert len(place.service.streams) == 2
