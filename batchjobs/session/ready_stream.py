"""A TCP stream that reads when there is something to read, and does not look before."""

import os
from typing import Final

import trio

_READ_BYTES: Final = 262_144
_LONG_BYTES: Final = 16_384


class ReadyStream(trio.abc.Stream):
    """A TCP stream that waits until the peer has sent something, and then reads.

    trio's own tries to read first: of a service that speaks as it goes, nothing is there yet, and a
    tenth of a session's time goes into finding that out (measured). After a long read there is
    likely to be more, and trio's way is the shorter one.

    Args:
        stream: The connection.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._socket = stream.socket
        self._has_likely_more = False

    def has_data(self) -> bool:
        """Whether there is something to read, or the peer has closed."""
        return bool(self._socket.is_readable())

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send as the stream below does."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as the stream below does."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Wait for data, and give it; nothing at the end.

        Raises:
            BrokenResourceError: The connection broke.
            ClosedResourceError: It was closed on this side.
        """
        if self._has_likely_more:
            data = await self._stream.receive_some(max_bytes or _READ_BYTES)
        else:
            data = await self._receive_when_ready(max_bytes or _READ_BYTES)
        self._has_likely_more = len(data) >= _LONG_BYTES
        return data

    async def _receive_when_ready(self, max_bytes: int) -> bytes:
        while True:
            if self._socket.fileno() < 0:  # trio would keep half a registration, and trip over it
                raise trio.ClosedResourceError
            await trio.lowlevel.wait_readable(self._socket)
            descriptor = self._socket.fileno()
            if descriptor < 0:  # closed by another task; the number may have a new owner
                raise trio.ClosedResourceError
            try:
                return os.read(descriptor, max_bytes)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError(f"socket connection broken: {error}") from error

    async def aclose(self) -> None:
        """Close the stream below."""
        await self._stream.aclose()
