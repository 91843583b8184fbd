"""A service that is far away, and sessions with it over a pool of connections."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio
import trio.testing

from batchjobs.session import ConnectionPool, Endpoint, SttSession, TtsSession
from tests.builders import (
    EAGER,
    LenientJudge,
    audio_message,
    make_endpoint,
    make_segment,
    make_tone,
    transcript_message,
)
from tests.streams import FaultyStream, Peer, Service, Talk

ROUND_TRIP_SECONDS = 0.08

STREAMING_SECONDS = 1.15

PCM = make_tone(1.0)


async def speaks(peer: Peer) -> None:
    """Speak for a while, from far away."""
    await peer.get()
    await trio.sleep(ROUND_TRIP_SECONDS)
    await peer.send('{"type":"connectionInitialized"}')
    await peer.text()
    for start in range(0, len(PCM), len(PCM) // 2):
        await peer.send(audio_message(PCM[start : start + len(PCM) // 2]))
        await trio.sleep(STREAMING_SECONDS / 2)
    await peer.connection.aclose(1000)


async def listens(peer: Peer) -> None:
    """Answer every chunk, the last one late."""
    while True:
        await peer.get()
        await trio.sleep(STREAMING_SECONDS / 2)
        await peer.send(transcript_message("نعم"))


@dataclass
class Place:
    """A service far away, and the way to it."""

    service: Service
    endpoint: Endpoint
    pool: ConnectionPool
    beforehand: bool

    @property
    def session_pool(self) -> ConnectionPool | None:
        """What sessions are given."""
        return self.pool if self.beforehand else None

    async def speak(self) -> float:
        """Have one session, and say how long it took."""
        began = trio.current_time()
        segment = make_segment("مرحبا")
        session = TtsSession(
            self.endpoint, segment, texts=["مرحبا"], judge=LenientJudge(), pool=self.session_pool
        )
        assert bytes((await session.run()).pcm) == PCM
        assert session.was_connected
        assert session.sent_characters == 5
        return trio.current_time() - began

    async def transcribe(self) -> float:
        """The same with a recording."""
        began = trio.current_time()

        async def chunks() -> AsyncGenerator[bytes, None]:
            for _ in range(2):
                yield bytes(32_000)

        session = SttSession(self.endpoint, chunks=chunks(), pool=self.session_pool)
        assert (await session.run()).text == "نعم"
        assert session.sent_audio_seconds == 2.0
        return trio.current_time() - began


@asynccontextmanager
async def far(
    talk: Talk = speaks,
    *,
    most: int = 1,
    beforehand: bool = True,
    dial: Callable[[Service], Any] | None = None,
) -> AsyncIterator[Place]:
    """Open a way to a service behind three round trips: TCP, TLS, WebSocket."""
    before = trio.lowlevel.current_statistics().tasks_living
    async with trio.open_nursery() as outer:
        service = Service(outer, talk=talk)
        inner = service.dial if dial is None else dial(service)

        async def slowly(host: str, port: int, context: object) -> FaultyStream:
            await trio.sleep(3 * ROUND_TRIP_SECONDS)
            return await inner(host, port, context)

        endpoint = make_endpoint(slowly, EAGER)
        pool = ConnectionPool(endpoint, has_room=lambda count: count < most)
        async with trio.open_nursery() as nursery:
            if beforehand:
                nursery.start_soon(pool.run)
                await trio.testing.wait_all_tasks_blocked()
            yield Place(service, endpoint, pool, beforehand)
            nursery.cancel_scope.cancel()
        assert all(stream.is_closed for stream in service.streams)
        outer.cancel_scope.cancel()
    assert trio.lowlevel.current_statistics().tasks_living == before
