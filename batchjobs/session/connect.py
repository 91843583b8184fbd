"""Opens a WebSocket to a service: dials, offers, shakes hands."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from batchjobs.errors import TimedOutError
from batchjobs.session.endpoint import Link
from batchjobs.session.error_map import CONNECTION_CODE
from batchjobs.session.handshake_guard import GuardedStream
from batchjobs.websocket import frames
from batchjobs.websocket.deflate import Deflate, negotiate
from batchjobs.websocket.direct_delivery import deliver_directly

__all__ = ["Request", "open_connection"]

Request: TypeAlias = tuple[str, list[tuple[bytes, bytes]]]
"""The target, with its query, and the extra headers."""

_RECEIVE_BYTES: Final = 65_536
"""4 KiB, the library's default, makes a speech session cost 2.2 times as much (measured)."""
_QUEUED_MESSAGES: Final = 8
_MESSAGE_LIMIT: Final = 16 * 1024 * 1024
"""The library's 1 MiB is 16 seconds of audio in one message."""


class _NoUrls(logging.Filter):
    """Keeps the library's debug lines out of every log: one of them holds the URL with the key."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG


logging.getLogger("trio-websocket").addFilter(_NoUrls())


async def open_connection(
    link: Link,
    request: Request,
    nursery: trio.Nursery,
    streams: list[trio.abc.Stream],
) -> WebSocketConnection:
    """Dial and shake hands, within the provider's deadline.

    Args:
        link: The way to the provider.
        request: What to ask for.
        nursery: Where the connection's reader lives.
        streams: Gets the stream as soon as there is one; it is the caller's to close.

    Raises:
        TimedOutError: The deadline passed.
    """
    seconds = link.provider.connect_seconds
    target, headers = request
    await trio.sleep_until(link.ramp.start_at(trio.current_time()))
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
    """Starts the library's reader, with faster parts of ours, and an offer to compress, as wanted."""

    def __init__(self, nursery: trio.Nursery, link: Link) -> None:
        self._nursery = nursery
        self._link = link
        self._deflate = Deflate(_MESSAGE_LIMIT)

    def start_soon(self, reader: Callable[[], Awaitable[None]]) -> None:
        """Start it."""
        link = self._link
        if link.compresses and not negotiate(reader, self._deflate):
            link.tell_once("trio-websocket has changed: --compress has no effect")
        elif link.library_hooks:
            self._put_in(reader)
        self._nursery.start_soon(reader)

    def _put_in(self, reader: Callable[[], Awaitable[None]]) -> None:
        has_frames = self._link.compresses or not frames.agree() or frames.speed_up(reader)
        if not (has_frames and deliver_directly(reader)):
            self._link.tell_once("trio-websocket has changed: its own, slower parts stay in use")

    def conclude(self) -> None:
        """Tell if the service has declined."""
        if self._link.compresses and not self._deflate.enabled():
            self._link.tell_once("the service takes no compression: all is sent as it is")
