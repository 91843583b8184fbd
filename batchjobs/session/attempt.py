"""One attempt at a session: connects, lets the machine converse, closes."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeAlias, TypeVar

import trio

from batchjobs.errors import SessionError
from batchjobs.session.connect import Request, open_connection
from batchjobs.session.endpoint import Endpoint
from batchjobs.session.error_map import FOREIGN, first_of, translate
from batchjobs.session.exchange import Exchange, Machine
from batchjobs.session.pool import ConnectionPool, PooledConnection

_logger = logging.getLogger(__name__)
_CLOSE_SECONDS: Final = 2.0
_Machine = TypeVar("_Machine", bound=Machine)
Converse: TypeAlias = Callable[[Exchange, _Machine], Awaitable[None]]


class Attempt(Generic[_Machine]):
    """Lets one machine converse over a connection, pooled or new.

    Args:
        endpoint: The way to the provider.
        request: What to connect to.
        make_machine: Makes the machine, given the time at which the connection is open.
        on_proven: Called when the service first does useful work.
        pool: Connections opened beforehand, if the run opens any.

    Attributes:
        machine: The machine, once the connection is open.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        request: Request,
        make_machine: Callable[[float], _Machine],
        on_proven: Callable[[], None],
        *,
        pool: ConnectionPool | None,
    ) -> None:
        self._endpoint = endpoint
        self._request = request
        self._make_machine = make_machine
        self._on_proven = on_proven
        self._pool = pool
        self.machine: _Machine | None = None

    async def run(self, converse: Converse[_Machine]) -> _Machine:
        """Converse; begin again as long as a pooled connection turns out to be dead.

        Args:
            converse: Sends what is to be sent, and listens until the machine has its outcome. It is not
                kept: a session and its attempt would be a circle, which waits for the collector.

        Returns:
            The machine, with its outcome.

        Raises:
            SessionError: The connection failed before the machine had its outcome.
        """
        while True:
            pooled = None if self._pool is None else await self._pool.take(self._request)
            try:
                exchange = await self._have_exchange(pooled, converse)
            finally:
                if pooled is not None:
                    pooled.close()
            if not exchange.is_stale:
                assert self.machine is not None
                return self.machine
            self.machine = None

    async def _have_exchange(
        self, pooled: PooledConnection | None, converse: Converse[_Machine]
    ) -> Exchange:
        """Converse over one connection, and close it; translate what fails.

        Once the machine has its outcome, nothing takes it back: no cancellation from outside, and
        nothing that the peer does while the connection closes.
        """
        streams: list[trio.abc.Stream] = []
        exchange: Exchange | None = None
        error: SessionError | None = None
        with trio.CancelScope() as shield:
            try:
                async with trio.open_nursery() as nursery:
                    connection = pooled.connection if pooled else None
                    connection = connection or await open_connection(
                        self._endpoint, self._request, nursery, streams
                    )
                    machine = self.machine = self._make_machine(trio.current_time())
                    exchange = Exchange(
                        connection,
                        machine,
                        self._prove,
                        shield,
                        was_pooled=pooled is not None,
                    )
                    await converse(exchange, machine)
                    if not exchange.is_closed:
                        with trio.move_on_after(_CLOSE_SECONDS):
                            await connection.aclose()
                    nursery.cancel_scope.cancel()
            except* SessionError as group:
                error = first_of(group, SessionError)
            except* FOREIGN as group:
                failed = first_of(group, Exception)
                error = error or translate(failed, was_open=exchange is not None)
            except* Exception:
                if exchange is None or not exchange.machine.course.has_ended:
                    raise
                _logger.exception("a connection ended unexpectedly, after its session")
            finally:
                for stream in streams:
                    await trio.aclose_forcefully(stream)
        is_settled = exchange is not None and (
            exchange.machine.course.has_ended or exchange.is_stale
        )
        if error is not None and not is_settled:
            raise error
        assert exchange is not None
        return exchange

    def _prove(self) -> None:
        """Report that the service does useful work: connections like this one are worth opening."""
        self._on_proven()
        if self._pool is not None:
            self._pool.replenish(self._request)
