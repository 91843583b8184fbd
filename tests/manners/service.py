"""A server on another stack, asyncio and `websockets`, that has whatever manners it is given.

Nothing of batchjobs is in it: what it takes for the protocol is what the services' documents say. It
writes down what each session asked for and got, and complains of what a service would not take.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.manners.desk import Desk, Recording, Session
from tests.manners.hearing import hear
from tests.manners.manners import Manners
from tests.manners.speaking import speak

__all__ = ["Service", "run_service"]

_TALKS: Final = {
    "/api/v1/websocket/text-to-speech": speak,
    "/api/v1/websocket/speech-to-text": hear,
}
# The library writes requests into its log, and the key is in some of them.
_quiet_logger: Final = logging.getLogger("tests.manners.websockets")
_quiet_logger.setLevel(logging.ERROR)


class Service:
    """One service, on a port of its own once it is served.

    Args:
        manners: How it speaks and hears.
        recordings: What it will be asked to transcribe.
        key: The key that it takes.

    Attributes:
        port: Where it listens.
        sessions: What it was asked for, in order.
        complaints: What it would not have taken.
    """

    def __init__(self, manners: Manners, recordings: Sequence[Recording], key: str) -> None:
        self._desk = Desk(manners, recordings, key)
        self.port = 0
        self.sessions = self._desk.sessions
        self.complaints = self._desk.complaints

    async def listen(self, stack: contextlib.AsyncExitStack) -> None:
        """Serve until the stack unwinds."""
        serving = serve(
            self._talk,
            "127.0.0.1",
            0,
            process_request=self._refusal,
            logger=_quiet_logger,
            compression=None,
            ping_interval=None,
            max_size=None,
        )
        server = await stack.enter_async_context(serving)
        self.port = server.sockets[0].getsockname()[1]

    def _refusal(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse a handshake as a service would, or take it with None."""
        parts = urlsplit(request.path)
        if parts.path not in _TALKS:
            self.complaints.append(f"there is no {parts.path}")
            return connection.respond(404, "")
        keys = parse_qs(parts.query).get("x-api-key") or request.headers.get_all("x-api-key")
        if keys != [self._desk.key]:
            self.complaints.append("a handshake without the key")
            return connection.respond(401, "")
        return None

    async def _talk(self, connection: ServerConnection) -> None:
        """Hold one session."""
        assert connection.request is not None
        session = Session()
        self.sessions.append(session)
        self._desk.open += 1
        try:
            await _TALKS[urlsplit(connection.request.path).path](self._desk, connection, session)
        except ConnectionClosed:
            pass
        except Exception as error:
            self.complaints.append(repr(error))
        finally:
            self._desk.open -= 1


@contextlib.contextmanager
def run_service(services: Sequence[Service]) -> Iterator[None]:
    """Let services listen, in a thread of their own, for as long as the block lasts."""
    are_there, is_over = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve_all() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for service in services:
                await service.listen(stack)
            loops.append(asyncio.get_running_loop())
            are_there.set()
            await is_over.wait()

    def run() -> None:
        try:
            asyncio.run(serve_all())
        finally:
            are_there.set()

    thread = threading.Thread(target=run, name="services")
    thread.start()
    are_there.wait()
    try:
        yield
    finally:
        for loop in loops:
            loop.call_soon_threadsafe(is_over.set)
        thread.join()
