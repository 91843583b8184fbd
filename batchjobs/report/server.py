"""The server of a page: HTTP on loopback, by h11 over trio, for one person's browser."""

import logging
from functools import partial
from http import HTTPStatus
from typing import Final

import h11
import trio

from batchjobs.errors import ConfigurationError
from batchjobs.report.answers import Answer, Request, Site

_logger = logging.getLogger(__name__)
_HOST: Final = "127.0.0.1"
_MOST_CONNECTIONS: Final = 64
_MOST_HEAD_BYTES: Final = 16 * 1024
_MOST_BODY_BYTES: Final = 64 * 1024
_REQUEST_SECONDS: Final = 10.0
_IDLE_SECONDS: Final = 120.0
_STALL_SECONDS: Final = 600.0
"""A player takes of a long clip what it is about to play, and then nothing for minutes."""
_PIECE_BYTES: Final = 64 * 1024


class _TooLargeError(Exception):
    """A request has a longer body than any of ours."""


async def listen(port: int = 0) -> trio.SocketListener:
    """Listen on this machine alone.

    Args:
        port: Where; 0 for a free one.

    Raises:
        ConfigurationError: The port cannot be used.
    """
    try:
        (listener,) = await trio.open_tcp_listeners(port, host=_HOST)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {_HOST}:{port}: {error}", hint="choose another --port, or 0"
        ) from error
    return listener


async def serve(site: Site, listener: trio.SocketListener) -> None:
    """Serve a page until cancelled.

    Args:
        site: What is given out, and to whom; gets the port.
        listener: Where it is asked for.
    """
    site.port = int(listener.socket.getsockname()[1])
    handle = partial(_serve_connection, site, trio.Semaphore(_MOST_CONNECTIONS))
    await trio.serve_listeners(handle, [listener])


async def _serve_connection(site: Site, room: trio.Semaphore, stream: trio.SocketStream) -> None:
    """Serve one connection; nothing that goes wrong in it reaches the others."""
    try:
        room.acquire_nowait()
    except trio.WouldBlock:
        return
    try:
        await _Connection(site, stream).serve()
    except (
        trio.BrokenResourceError,
        trio.ClosedResourceError,
        h11.ProtocolError,
        trio.TooSlowError,
        OSError,
    ):
        pass  # a player that has heard enough hangs up
    except Exception:
        _logger.exception("a request of the report's page failed")
    finally:
        room.release()


class _Connection:
    """A connection on which requests come one after the other."""

    def __init__(self, site: Site, stream: trio.SocketStream) -> None:
        self._site = site
        self._stream = stream
        self._protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_HEAD_BYTES)

    async def serve(self) -> None:
        """Answer requests until one of the two ends the connection."""
        while True:
            event = None
            with trio.move_on_after(_IDLE_SECONDS):
                event = await self._next_event()
            if not isinstance(event, h11.Request):
                return
            try:
                with trio.fail_after(_REQUEST_SECONDS):
                    body = await self._read_body()
            except (_TooLargeError, trio.TooSlowError):
                await self._send(event, Answer(status=413))
                return
            headers = {
                name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers
            }
            request = Request(
                method=event.method.decode(),
                target=event.target.decode("latin-1"),
                headers=headers,
                body=body,
            )
            await self._send(event, await self._site.answer(request))
            if (
                self._protocol.our_state is not h11.DONE
                or self._protocol.their_state is not h11.DONE
            ):
                return
            self._protocol.start_next_cycle()

    async def _next_event(self) -> h11.Event | None:
        """Give what comes next; None if nothing can: the peer has something else in mind."""
        while (event := self._protocol.next_event()) is h11.NEED_DATA:
            self._protocol.receive_data(await self._stream.receive_some())
        return event if isinstance(event, h11.Event) else None

    async def _read_body(self) -> bytes:
        body = bytearray()
        while not isinstance(event := await self._next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
            if len(body) > _MOST_BODY_BYTES or not isinstance(event, h11.Data):
                raise _TooLargeError
        return bytes(body)

    async def _send(self, request: h11.Request, answer: Answer) -> None:
        length = answer.length if answer.file is not None else len(answer.body)
        headers = dict(answer.headers)
        if answer.status != HTTPStatus.NO_CONTENT:
            headers["Content-Length"] = str(length)
        await self._send_event(
            h11.Response(
                status_code=answer.status,
                reason=HTTPStatus(answer.status).phrase,
                headers=list(headers.items()),
            )
        )
        if request.method != b"HEAD":
            if answer.file is not None:
                await self._send_file(answer)
            elif answer.body:
                await self._send_event(h11.Data(data=answer.body))
        await self._send_event(h11.EndOfMessage())

    async def _send_file(self, answer: Answer) -> None:
        assert answer.file is not None
        left = answer.length
        async with await trio.open_file(answer.file, "rb") as file:
            await file.seek(answer.first)
            while left:
                piece = await file.read(min(left, _PIECE_BYTES))
                if not piece:  # it has become shorter: what was promised cannot be kept
                    raise trio.BrokenResourceError
                left -= len(piece)
                await self._send_event(h11.Data(data=piece))

    async def _send_event(self, event: h11.Event) -> None:
        data = self._protocol.send(event)
        if data:
            with trio.fail_after(_STALL_SECONDS):
                await self._stream.send_all(data)
