"""Connections opened beforehand save time, are shared by equal requests, and are closed."""

from typing import Any

import trio
import trio.testing

from tests.session.far_service import far, listens
from tests.streams import FaultyStream, Service, answers

SESSIONS = 20


async def test_a_chain_of_sessions_saves_the_handshakes(autojump_clock: object) -> None:
    """At 80 ms a round trip, sessions of a second take at most 0.9 of the time."""
    async with far(beforehand=False) as place:
        plain = sum([await place.speak() for _ in range(SESSIONS)])
    async with far() as place:
        beforehand = sum([await place.speak() for _ in range(SESSIONS)])
        assert len(place.service.streams) == SESSIONS + 1
    assert beforehand <= 0.9 * plain


async def test_recordings_go_over_them_too(autojump_clock: object) -> None:
    """A transcription asks first whether the line is alive, and still saves time."""
    async with far(listens, beforehand=False) as place:
        plain = sum([await place.transcribe() for _ in range(SESSIONS)])
    async with far(listens) as place:
        beforehand = sum([await place.transcribe() for _ in range(SESSIONS)])
        assert len(place.service.streams) == SESSIONS + 1
    assert beforehand < 0.9 * plain


async def test_a_refused_connection_fails_no_session_and_is_not_asked_for_again_soon(
    autojump_clock: object,
) -> None:
    """Sessions go on as if there were no pool, and the service is left alone for half a minute."""
    refused = 0

    def dial(service: Service) -> Any:
        async def connect(host: str, port: int, context: object) -> FaultyStream:
            nonlocal refused
            if len(service.streams) - refused >= 1 and service.open:
                refused += 1
                raw = Service(service.nursery, raw=answers(b"HTTP/1.1 429 No\r\n\r\n"))
                return await raw.dial(host, port, context)
            return await service.dial(host, port, context)

        return connect

    async with far(dial=dial) as place:
        for _ in range(10):
            await place.speak()
    assert refused == 1


async def test_what_nobody_takes_is_closed_after_a_while(autojump_clock: object) -> None:
    """Not held for ever, be it for another kind of session; then there is room again."""
    async with far() as place:
        place.pool.replenish(("/a", []))
        place.pool.replenish(("/b", []))  # no room
        await trio.sleep(9)
        assert place.service.open == 1
        await trio.sleep(2)
        assert place.service.open == 0
        place.pool.replenish(("/b", []))
        pooled = await place.pool.take(("/b", []))
        await trio.sleep(100)
        assert pooled is not None
        assert pooled.is_open  # the one who has it keeps it
        pooled.close()


async def test_only_the_same_request_shares_a_connection(autojump_clock: object) -> None:
    """What was opened for speech is not given to a transcription."""
    async with far() as place:
        place.pool.replenish(("/a", []))
        assert await place.pool.take(("/b", [])) is None
        pooled = await place.pool.take(("/a", []))
        assert pooled is not None
        pooled.close()


async def test_a_connection_with_other_words_is_nobodys(autojump_clock: object) -> None:
    """Requests that differ in their hot words never share one; equal ones do."""
    async with far() as place:
        place.pool.replenish(("/listen?hotwords=a", []))
        assert await place.pool.take(("/listen?hotwords=b", [])) is None
        assert await place.pool.take(("/listen", [])) is None
        pooled = await place.pool.take(("/listen?hotwords=a", []))
        assert pooled is not None
        pooled.close()


async def test_none_is_opened_for_what_is_asked_once(autojump_clock: object) -> None:
    """Where each row has words of its own, nobody would take it; for what comes again, it is worth it."""
    async with far() as place:
        for word in "abc":
            await place.pool.take((f"/listen?hotwords={word}", []))
            if word != "a":
                place.pool.replenish((f"/listen?hotwords={word}", []))
        assert len(place.pool) == 0
        await place.pool.take(("/listen?hotwords=c", []))
        place.pool.replenish(("/listen?hotwords=c", []))
        assert len(place.pool) == 1
