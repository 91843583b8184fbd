"""Connections opened beforehand, for the sessions that come next."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import trio

from batchjobs.errors import SessionError
from batchjobs.session.connect import Request, open_connection
from batchjobs.session.endpoint import Link
from batchjobs.session.error_map import FOREIGN

if TYPE_CHECKING:
    from trio_websocket import WebSocketConnection

__all__ = ["Spare", "Spares"]

_logger = logging.getLogger(__name__)
_REST_SECONDS: Final = 30.0
"""A service that refuses a spare connection is not asked for another one for so long."""
_IDLE_SECONDS: Final = 30.0
"""One that nobody takes for so long is closed, before the service does it: sessions are long, and
what it could save is little."""


class Spare:
    """A connection that is being opened, is open, or is over."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.connection: WebSocketConnection | None = None
        self.settled = trio.Event()
        self.taken = trio.Event()
        self.scope = trio.CancelScope()
        self.is_over = False

    @property
    def is_open(self) -> bool:
        """Whether a session may try it; only an answer of the service shows that it can."""
        return self.connection is not None and not self.is_over and not self.connection.closed

    def close(self) -> None:
        """Close it, whatever it is doing; its stream closes soon after."""
        self.scope.cancel()


class Spares:
    """Connections opened while others are at work: a session that takes one saves the handshakes.

    It saves the round trips of TCP, TLS and WebSocket: where they take 80 ms each, a chain of sessions
    that speak for 1.15 s took 0.85 of the time. The first message is left to the session: it says
    who is to speak, and a service may count it. A spare that nobody could use is no failure of anything: it is dropped without
    a word, and whoever wanted it opens a connection as usual.

    Args:
        link: The way to the provider.
        has_room: Whether one more may be opened, given how many there are.
    """

    def __init__(self, link: Link, has_room: Callable[[int], bool]) -> None:
        self._link = link
        self._has_room = has_room
        self._spares: list[Spare] = []
        self._nursery: trio.Nursery | None = None
        self._rest_until = float("-inf")

    def __len__(self) -> int:
        """Count the connections that nobody has taken."""
        return len(self._spares)

    async def run(self) -> None:
        """Hold the connections, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            await trio.sleep_forever()

    def replenish(self, request: Request) -> None:
        """Begin to open connections for whoever asks for the same next, as far as there is room."""
        self._spares = [spare for spare in self._spares if not spare.is_over]
        is_resting = trio.current_time() < self._rest_until
        if self._nursery is None or is_resting:
            return
        while self._has_room(len(self)):
            spare = Spare(request)
            self._spares.append(spare)
            self._nursery.start_soon(self._hold, spare)

    async def take(self, request: Request) -> Spare | None:
        """Give a connection for a request to keep and to close, once it is open, if there is one."""
        while fitting := [spare for spare in self._spares if spare.request == request]:
            spare = fitting[0]
            self._spares.remove(spare)
            is_given = False
            try:
                await spare.settled.wait()
                is_given = spare.is_open
                spare.taken.set()
            finally:
                if not is_given:
                    spare.close()
            if is_given:
                return spare
        return None

    def rest(self, seconds: float = _REST_SECONDS) -> None:
        """Close all that nobody has taken, and open none for a while: there is no room for them."""
        for spare in self._spares:
            spare.close()
        self._spares.clear()
        self._rest_until = max(self._rest_until, trio.current_time() + seconds)

    async def _hold(self, spare: Spare) -> None:
        """Keep one connection open, until whoever has it closes it, or the peer does."""
        streams: list[trio.abc.Stream] = []
        link = self._link
        try:
            with spare.scope:
                async with trio.open_nursery() as nursery:
                    spare.connection = await open_connection(link, spare.request, nursery, streams)
                    spare.settled.set()
                    with trio.move_on_after(_IDLE_SECONDS):
                        await spare.taken.wait()
                    if spare.taken.is_set():
                        await trio.sleep_forever()
                    nursery.cancel_scope.cancel()
        except* (SessionError, *FOREIGN):
            # A session that has it is told by the connection itself.
            if spare.connection is None:
                self.rest()
        except* Exception:  # a surprise in one connection is no run's end
            _logger.exception("a connection opened beforehand failed unexpectedly")
            self.rest()
        finally:
            spare.is_over = True
            spare.settled.set()
            for stream in streams:
                await trio.aclose_forcefully(stream)
