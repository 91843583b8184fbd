"""Opens a WebSocket to a service: dials, offers compression, shakes hands."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from batchjobs.errors import TimedOutError
from batchjobs.session.dial import keep_session
from batchjobs.session.endpoint import Endpoint
from batchjobs.session.error_map import CONNECTION_CODE
from batchjobs.session.handshake_guard import GuardedStream
from batchjobs.websocket import frames
from batchjobs.websocket.deflate import Deflate, negotiate
from batchjobs.websocket.direct_delivery import deliver_directly

Request: TypeAlias = tuple[str, list[tuple[bytes, bytes]]]
"""The target, with its query, and the extra headers."""

_RECEIVE_BYTES: Final = 262_144
"""4 KiB, the library's default, makes a speech session cost 2.2 times as much, and 64 KiB a whole job
1.04 to 1.15 times (measured): of a service that is ahead of us more comes with each look."""
_QUEUED_MESSAGES: Final = 8
_MESSAGE_LIMIT: Final = 16 * 1024 * 1024
"""The library's 1 MiB is 16 seconds of audio in one message."""


class _NoUrls(logging.Filter):
    """Keeps the library's debug lines out of every log: one of them holds the URL with the key."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG


logging.getLogger("trio-websocket").addFilter(_NoUrls())


async def open_connection(
    endpoint: Endpoint,
    request: Request,
    nursery: trio.Nursery,
    streams: list[trio.abc.Stream],
) -> WebSocketConnection:
    """Dial and shake hands, within the provider's deadline.

    Args:
        endpoint: The way to the provider.
        request: What to ask for.
        nursery: Where the connection's reader lives.
        streams: Gets the stream as soon as there is one; it is the caller's to close.

    Raises:
        TimedOutError: The deadline passed.
    """
    seconds = endpoint.provider.connect_seconds
    target, headers = request
    await trio.sleep_until(endpoint.ramp.start_at(trio.current_time()))
    async with endpoint.handshakes:
        with trio.move_on_after(seconds):
            opened = await endpoint.dial(endpoint.host, endpoint.port, endpoint.context)
            stream = GuardedStream(opened)
            streams.append(stream)
            offering = _Offering(nursery, endpoint)
            connection = await wrap_client_stream(
                offering,  # type: ignore[arg-type]  # it starts one task in it
                stream,  # type: ignore[arg-type]  # any stream serves; the library names two
                endpoint.host_header,
                target,
                extra_headers=headers,
                message_queue_size=_QUEUED_MESSAGES,
                max_message_size=_MESSAGE_LIMIT,
                receive_buffer_size=_RECEIVE_BYTES,
            )
            offering.warn_if_declined()
            keep_session(opened, endpoint.context)
            return connection
    shown = f"{endpoint.host} did not complete the handshake in {seconds:g} s"
    raise TimedOutError(shown, code=CONNECTION_CODE)


class _Offering:
    """Starts the library's reader, with faster parts of ours, and an offer to compress, as wanted."""

    def __init__(self, nursery: trio.Nursery, endpoint: Endpoint) -> None:
        self._nursery = nursery
        self._endpoint = endpoint
        self._deflate = Deflate(_MESSAGE_LIMIT)

    def start_soon(self, reader: Callable[[], Awaitable[None]]) -> None:
        """Start the reader."""
        endpoint = self._endpoint
        if endpoint.compresses and not negotiate(reader, self._deflate):
            endpoint.warn_once("trio-websocket has changed: --compress has no effect")
        elif endpoint.library_hooks:
            self._install_hooks(reader)
        self._nursery.start_soon(reader)

    def _install_hooks(self, reader: Callable[[], Awaitable[None]]) -> None:
        has_frames = (
            self._endpoint.compresses
            or not frames.knows_wsproto()
            or frames.install_fast_frames(reader)
        )
        if not (has_frames and deliver_directly(reader)):
            self._endpoint.warn_once(
                "trio-websocket has changed: its own, slower parts stay in use"
            )

    def warn_if_declined(self) -> None:
        """Warn if the service has declined the offer."""
        if self._endpoint.compresses and not self._deflate.enabled():
            self._endpoint.warn_once("the service takes no compression: all is sent as it is")
