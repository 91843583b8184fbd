"""One connection that speaks HTTP: requests read and answers written, with their bounds."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import h11
import orjson
import trio

from batchjobs.server.admission import Refusal
from batchjobs.server.connection import RESET_ON_CLOSE
from batchjobs.server.settings import ServerSettings

_RECEIVE_BYTES: Final = 65_536
_METHOD: Final = "POST"


class PeerGoneError(Exception):
    """The client has gone, or does not speak HTTP: there is nobody to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request as it came.

    Attributes:
        target: With its query.
        host: The header of this name.
        headers: The others, their names in lower case.
        body: What was posted.
    """

    target: str
    host: str
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


class HttpConnection:
    """Reads requests and writes answers, one after the other.

    Every method may raise `PeerGoneError`.

    Args:
        stream: The TCP connection.
        settings: The server's: how long it waits for what, and how long a body may be.
    """

    def __init__(self, stream: trio.SocketStream, settings: ServerSettings) -> None:
        self._stream = stream
        self._settings = settings
        self._h11 = h11.Connection(h11.SERVER)

    async def receive_request(self) -> HttpRequest | None:
        """Wait for the next request; None if none comes in time, or it was refused."""
        with trio.move_on_after(self._settings.handshake_seconds):
            return await self._receive_request()
        return None

    async def _receive_request(self) -> HttpRequest | None:
        head = await self._next_event()
        if not isinstance(head, h11.Request):
            return None
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            if len(body) > self._settings.message_limit_bytes:
                await self.refuse(Refusal(status=413, reason="the body is too long"))
                return None
        if not isinstance(event, h11.EndOfMessage):
            return None
        if head.method.decode() != _METHOD:
            await self.refuse(Refusal(status=405, reason=f"only {_METHOD} is served here"))
            return None
        return HttpRequest(
            target=head.target.decode("latin-1"),
            host=next(
                (value.decode("latin-1") for name, value in head.headers if name == b"host"), ""
            ),
            headers=[(name, value) for name, value in head.headers if name != b"host"],
            body=bytes(body),
        )

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with an error, as the hosted services write it."""
        said: dict[str, object] = {"errorMessage": refusal.reason}
        if refusal.error_code:
            said["errorCode"] = int(refusal.error_code)
        headers = {"Content-Type": "application/json"}
        if refusal.retry_after_seconds is not None:
            headers["Retry-After"] = str(refusal.retry_after_seconds)
        await self.answer(refusal.status, headers, orjson.dumps(said))

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Write a whole answer."""
        await self.begin(status, {**headers, "Content-Length": str(len(body))})
        await self.send(body)
        await self.end()

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Write the head of an answer; without a length the body goes out in chunks."""
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._send(h11.Response(status_code=status, headers=fields))

    async def send(self, data: bytes) -> None:
        """Write a part of the body."""
        await self._send(h11.Data(data=data))

    async def end(self) -> None:
        """Mark the end of the body."""
        await self._send(h11.EndOfMessage())

    def begin_next(self) -> bool:
        """Be ready for another request, if the client may send one."""
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return True

    async def reset(self) -> None:
        """Drop the connection, as a crash would."""
        self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        await trio.aclose_forcefully(self._stream)

    async def wait_closed(self) -> None:
        """Read and forget until the client has gone."""
        try:
            while await self._stream.receive_some(_RECEIVE_BYTES):
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def _next_event(self) -> object:
        try:
            while (event := self._h11.next_event()) is h11.NEED_DATA:
                if self._h11.they_are_waiting_for_100_continue:
                    await self._send(h11.InformationalResponse(status_code=100, headers=[]))
                self._h11.receive_data(bytes(await self._stream.receive_some(_RECEIVE_BYTES)))
        except (h11.ProtocolError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise PeerGoneError from error
        return event

    async def _send(self, event: h11.Event) -> None:
        """Send, or give up on a peer that takes nothing for too long."""
        try:
            data = self._h11.send(event)
            with trio.move_on_after(self._settings.idle_seconds):
                await self._stream.send_all(data or b"")
                return
        except (h11.ProtocolError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise PeerGoneError from error
        await self.reset()
        raise PeerGoneError
