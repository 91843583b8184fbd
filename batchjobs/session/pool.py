"""Connections opened beforehand, for the sessions that come next."""

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import trio

from batchjobs.errors import SessionError
from batchjobs.session.connect import Request, open_connection
from batchjobs.session.endpoint import Endpoint
from batchjobs.session.error_map import FOREIGN

if TYPE_CHECKING:
    from trio_websocket import WebSocketConnection

_logger = logging.getLogger(__name__)
_REST_SECONDS: Final = 30.0
"""A service that refuses a pooled connection is not asked for another one for so long."""
_IDLE_SECONDS: Final = 10.0
"""A connection that no session takes for so long is closed, before the service does it (``/listen``
after 12 s): sessions are long, and what it could save is little."""
_REQUESTS_REMEMBERED: Final = 8


class PooledConnection:
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


class ConnectionPool:
    """Opens connections while sessions are at work: the next sessions save the handshakes.

    It saves the round trips of TCP, TLS and WebSocket: where they take 80 ms each, a chain of
    sessions that speak for 1.15 s took 0.85 of the time. The first message is left to the session:
    it says who is to speak, and a service may count it. A connection that cannot be used is no
    failure of anything: it is dropped without a word, and the session opens its own as usual.

    Args:
        endpoint: The way to the provider.
        has_room: Whether one more may be opened, given how many are waiting to be taken.
    """

    def __init__(self, endpoint: Endpoint, has_room: Callable[[int], bool]) -> None:
        self._endpoint = endpoint
        self._has_room = has_room
        self._waiting: list[PooledConnection] = []
        self._asked: deque[Request] = deque(maxlen=_REQUESTS_REMEMBERED)
        self._nursery: trio.Nursery | None = None
        self._rest_until = float("-inf")

    def __len__(self) -> int:
        """Count the connections that no session has taken."""
        return len(self._waiting)

    async def run(self) -> None:
        """Hold the connections, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            await trio.sleep_forever()

    def replenish(self, request: Request) -> None:
        """Begin to open connections for later sessions with this request, while there is room.

        For none that is asked once among others: where each row has its own hot words, nobody would
        take them.
        """
        self._waiting = [pooled for pooled in self._waiting if not pooled.is_over]
        is_resting = trio.current_time() < self._rest_until
        is_odd = len(self._asked) > 1 and self._asked.count(request) == 1
        if self._nursery is None or is_resting or is_odd:
            return
        while self._has_room(len(self)):
            pooled = PooledConnection(request)
            self._waiting.append(pooled)
            self._nursery.start_soon(self._hold, pooled)

    async def take(self, request: Request) -> PooledConnection | None:
        """Take a connection for a request, once it is open.

        Returns:
            The connection, the caller's to close; None if there is none.
        """
        self._asked.append(request)
        while fitting := [pooled for pooled in self._waiting if pooled.request == request]:
            pooled = fitting[0]
            self._waiting.remove(pooled)
            is_given = False
            try:
                await pooled.settled.wait()
                is_given = pooled.is_open
                pooled.taken.set()
            finally:
                if not is_given:
                    pooled.close()
            if is_given:
                return pooled
        return None

    def rest(self, seconds: float = _REST_SECONDS) -> None:
        """Close all connections that wait, and open none for a while: there is no room for them."""
        for pooled in self._waiting:
            pooled.close()
        self._waiting.clear()
        self._rest_until = max(self._rest_until, trio.current_time() + seconds)

    async def _hold(self, pooled: PooledConnection) -> None:
        """Keep one connection open, until the session that has it closes it, or the peer does."""
        streams: list[trio.abc.Stream] = []
        try:
            with pooled.scope:
                async with trio.open_nursery() as nursery:
                    pooled.connection = await open_connection(
                        self._endpoint, pooled.request, nursery, streams
                    )
                    pooled.settled.set()
                    with trio.move_on_after(_IDLE_SECONDS):
                        await pooled.taken.wait()
                    if pooled.taken.is_set():
                        await trio.sleep_forever()
                    nursery.cancel_scope.cancel()
        except* (SessionError, *FOREIGN):
            # A session that has the connection sees by itself that it is gone.
            if pooled.connection is None:
                self.rest()
        except* Exception:  # a surprise in one connection is no run's end
            _logger.exception("a connection opened beforehand failed unexpectedly")
            self.rest()
        finally:
            pooled.is_over = True
            pooled.settled.set()
            for stream in streams:
                await trio.aclose_forcefully(stream)
