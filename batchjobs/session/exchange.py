"""Drives one machine over one connection, from the handshake to the close."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from batchjobs.deflate import Deflate, negotiate
from batchjobs.errors import SessionError, TimedOutError
from batchjobs.protocol.stt import SttClient
from batchjobs.protocol.tts import TtsClient
from batchjobs.session.failures import BROKEN, CONNECTION_CODE, FOREIGN, first_of, translated
from batchjobs.session.guard import GuardedStream
from batchjobs.session.link import Link

__all__ = ["Exchange", "Request", "connected"]

Request: TypeAlias = tuple[str, list[tuple[bytes, bytes]]]
"""The target, with its query, and the extra headers."""
_Machine = TypeVar("_Machine", TtsClient, SttClient)

_RECEIVE_BYTES: Final = 65_536
"""4 KiB, the library's default, makes a speech session cost 2.2 times as much (measured)."""
_QUEUED_MESSAGES: Final = 8
_MESSAGE_LIMIT: Final = 16 * 1024 * 1024
"""The library's 1 MiB is 16 seconds of audio in one message."""
_CLOSE_SECONDS: Final = 2.0


class _NoUrls(logging.Filter):
    """Keeps the library's debug lines out of every log: one of them holds the URL with the key."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG


logging.getLogger("trio-websocket").addFilter(_NoUrls())


class Exchange:
    """Drives one machine over one open connection."""

    def __init__(
        self,
        connection: WebSocketConnection,
        machine: TtsClient | SttClient,
        on_proven: Callable[[], None],
        shield: trio.CancelScope,
    ) -> None:
        self.connection = connection
        self.machine = machine
        self._on_proven = on_proven
        self._shield = shield
        self._scope = trio.CancelScope()
        self.wake = trio.Event()
        self.is_closed = False

    async def listen(self) -> None:
        """Feed the machine with messages and times until its outcome is decided."""
        machine = self.machine
        was_proven = False
        while not machine.ended:
            now = trio.current_time()
            if now >= machine.wait_until:
                machine.woken(now)
                self.wake.set()
                continue
            self._scope = trio.CancelScope(deadline=machine.wait_until)
            with self._scope:
                try:
                    payload = await self.connection.get_message()
                except ConnectionClosed as closed:
                    self.is_closed = True
                    code, reason = _close_of(closed)
                    machine.closed(code, reason, trio.current_time())
                    break
            if self._scope.cancelled_caught:
                continue
            machine.received(payload, trio.current_time())
            self.wake.set()
            if machine.proven and not was_proven:
                was_proven = True
                self._on_proven()
        self._keep_outcome()

    def sent(self) -> None:
        """Tell the machine that its message went out; its deadline may have moved either way."""
        self.machine.sent(trio.current_time())
        self.rearm()

    def rearm(self) -> None:
        """Let the listener wait for what the machine now waits for."""
        if self.machine.ended:
            self._keep_outcome()
            self._scope.cancel()
        else:
            self._scope.deadline = self.machine.wait_until

    def _keep_outcome(self) -> None:
        """Let no cancellation from outside take back what is decided, and paid for."""
        self._shield.shield = True


async def connected(
    link: Link,
    request: Request,
    make_machine: Callable[[float], _Machine],
    converse: Callable[[Exchange, _Machine], Awaitable[None]],
    on_proven: Callable[[], None],
) -> None:
    """Open a connection, converse over it, and close it; its failures become ours here.

    Once the machine has its outcome, nothing takes it back: no cancellation from outside, and
    nothing that the peer does while the connection closes.
    """
    streams: list[trio.abc.Stream] = []
    exchange: Exchange | None = None
    error: SessionError | None = None
    with trio.CancelScope() as shield:
        try:
            async with trio.open_nursery() as nursery:
                connection = await _open(link, request, nursery, streams)
                machine = make_machine(trio.current_time())
                exchange = Exchange(connection, machine, on_proven, shield)
                await converse(exchange, machine)
                if not exchange.is_closed:
                    with trio.move_on_after(_CLOSE_SECONDS):
                        await connection.aclose()
                nursery.cancel_scope.cancel()
        except* SessionError as group:
            error = first_of(group, SessionError)
        except* FOREIGN as group:
            error = error or translated(first_of(group, Exception), was_open=exchange is not None)
        finally:
            for stream in streams:
                await trio.aclose_forcefully(stream)
    if error is not None and not (exchange and exchange.machine.ended):
        raise error


async def _open(
    link: Link,
    request: Request,
    nursery: trio.Nursery,
    streams: list[trio.abc.Stream],
) -> WebSocketConnection:
    """Dial and shake hands, within the provider's deadline.

    Raises:
        TimedOutError: The deadline passed.
    """
    seconds = link.provider.connect_seconds
    target, headers = request
    async with link.handshakes:
        with trio.move_on_after(seconds):
            stream = GuardedStream(await link.dial(link.host, link.port, link.context))
            streams.append(stream)
            offering = _Offering(nursery, link)
            connection = await wrap_client_stream(
                offering,  # type: ignore[arg-type]  # it starts one task in it
                stream,  # type: ignore[arg-type]  # any stream serves; the library names two
                link.host_header,
                target,
                extra_headers=headers,
                message_queue_size=_QUEUED_MESSAGES,
                max_message_size=_MESSAGE_LIMIT,
                receive_buffer_size=_RECEIVE_BYTES,
            )
            offering.conclude()
            return connection
    shown = f"{link.host} did not complete the handshake in {seconds:g} s"
    raise TimedOutError(shown, code=CONNECTION_CODE)


class _Offering:
    """Starts the library's reader, with an offer to compress in its handshake if that is wanted."""

    def __init__(self, nursery: trio.Nursery, link: Link) -> None:
        self._nursery = nursery
        self._link = link
        self._deflate = Deflate(_MESSAGE_LIMIT)

    def start_soon(self, reader: Callable[[], Awaitable[None]]) -> None:
        """Start it."""
        if self._link.compresses and not negotiate(reader, self._deflate):
            self._link.tell_once("trio-websocket has changed: --compress has no effect")
        self._nursery.start_soon(reader)

    def conclude(self) -> None:
        """Tell if the service has declined."""
        if self._link.compresses and not self._deflate.enabled():
            self._link.tell_once("the service takes no compression: all is sent as it is")


def _close_of(closed: ConnectionClosed) -> tuple[int, str]:
    """Give the close code and reason; without any close message the connection broke."""
    if closed.reason is None:  # a close without a code has 1005: this is a peer's broken framing
        return BROKEN, "the service broke the WebSocket protocol"
    return int(closed.reason.code), closed.reason.reason or ""
