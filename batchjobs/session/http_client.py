"""Requests over HTTP to one provider, on connections that are kept: `httpx`, with our way to connect.

Its transports, not its client: no redirect is followed (the key goes to one host only), no proxy is
taken from the environment (the sockets take none either), nothing is asked a second time, no cookie is
kept, and no line of its logs gets anywhere.
"""

import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import httpcore
import httpx
import trio

from batchjobs.errors import TimedOutError
from batchjobs.session.error_map import CONNECTION_CODE, translate_answer
from batchjobs.session.ready_stream import ReadyStream

if TYPE_CHECKING:
    from batchjobs.session.endpoint import Endpoint

_KEEP_SECONDS: Final = 4.0
"""A connection that no request takes for so long is closed: many servers do it after five."""
_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Is never used: `_Dialler` has TLS, and verifies."""
_SENDING: Final = "http11.send_request_headers.started"
_SENT: Final = "http11.send_request_body.complete"
"""The library's names of the steps of a request."""

for _name in ("httpx", "httpcore"):  # they log every URL, and the headers of answers
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class Requests:
    """Makes requests to one provider.

    Args:
        endpoint: The way to it.
    """

    def __init__(self, endpoint: "Endpoint") -> None:
        self._endpoint = endpoint
        self._idle: list[_Transport] = []
        self._host = endpoint.host_header
        self._base = f"{'http' if endpoint.context is None else 'https'}://{self._host}"

    @asynccontextmanager
    async def post(
        self,
        target: str,
        content: bytes,
        headers: list[tuple[bytes, bytes]],
        *,
        on_sending: Callable[[], None],
        on_sent: Callable[[], None],
    ) -> AsyncGenerator[httpx.Response]:
        """Post, and give the answer as soon as its head has come.

        Args:
            target: The request's target.
            content: The body, JSON.
            headers: Further headers.
            on_sending: Called when there is a connection, and the request begins to go out.
            on_sent: Called when all of it has.

        Raises:
            SessionError: No connection in time, or the answer is no HTTP, or breaks off.
        """
        steps = {_SENDING: on_sending, _SENT: on_sent}

        async def follow(step: str, _: object) -> None:
            if step in steps:
                steps[step]()

        has_head = False
        request = httpx.Request(
            "POST",
            self._base + target,
            stream=_Content(content),
            headers=[
                (b"Host", self._host.encode("ascii")),
                (b"Content-Type", b"application/json"),
                (b"Content-Length", str(len(content)).encode()),
                (b"Accept", b"audio/*"),
                (b"Accept-Encoding", b"identity"),
                *headers,
            ],
            extensions={"trace": follow},
        )
        transport = self._idle.pop() if self._idle else _Transport(self._endpoint)
        try:
            response = await transport.handle_async_request(request)
            has_head = True
            try:
                yield response
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise translate_answer(error, has_head=has_head) from error
        finally:
            self._idle.append(transport)

    async def aclose(self) -> None:
        """Close the connections that are kept."""
        while self._idle:
            await self._idle.pop().aclose()


class _Content(httpx.AsyncByteStream):
    """A body as one piece; the library's own is a generator, which a cancellation leaves half read."""

    def __init__(self, content: bytes) -> None:
        self._pieces = [content]

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Give what is left."""
        return self

    async def __anext__(self) -> bytes:
        """Give the piece."""
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop()


class _Transport(httpx.AsyncHTTPTransport):
    """The library's transport with one connection, over streams that are opened as the sockets' are.

    A transport for all would look at every connection for each of them, twice a request: of 256, that
    is more work than the audio (of 32, a seventh of a request's; measured).
    """

    def __init__(self, endpoint: "Endpoint") -> None:
        super().__init__(verify=_NO_TLS, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=1,
            keepalive_expiry=_KEEP_SECONDS,
            network_backend=_Dialler(endpoint),
        )


class _Dialler(httpcore.AsyncNetworkBackend):
    """Opens streams to one provider, within its deadline, and no more at once than the sockets do."""

    def __init__(self, endpoint: "Endpoint") -> None:
        self._endpoint = endpoint

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Dial, with TLS if the provider has it.

        Raises:
            TimedOutError: The deadline passed.
        """
        endpoint = self._endpoint
        seconds = endpoint.provider.connect_seconds
        await trio.sleep_until(endpoint.ramp.start_at(trio.current_time()))
        async with endpoint.handshakes:
            with trio.move_on_after(seconds):
                return _Stream(await endpoint.dial(host, port, endpoint.context))
        shown = f"{host} did not complete the handshake in {seconds:g} s"
        raise TimedOutError(shown, code=CONNECTION_CODE)


class _Stream(httpcore.AsyncNetworkStream):
    """A stream as the library wants it; what it raises in reading is the stream's own."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read; nothing at the end."""
        return bytes(await self._stream.receive_some(max_bytes))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write.

        Raises:
            httpcore.WriteError: The connection is gone; what the peer said before can be read still.
        """
        if not buffer:
            return
        try:
            await self._stream.send_all(buffer)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        """Close at once: one exchange is over, or given up, and nobody waits for a polite end."""
        await trio.aclose_forcefully(self._stream)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Do nothing: dialling has done it."""
        return self

    def get_extra_info(self, info: str) -> object:
        """Say whether a kept connection has something to read: then its peer has closed it."""
        if info != "is_readable":
            return None
        stream = self._stream
        while isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        return isinstance(stream, ReadyStream) and stream.has_data()
