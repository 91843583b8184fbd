"""A stream that ends a handshake which the peer refuses, leaves or floods."""

import re
from typing import Final

import trio

from batchjobs.errors import PermanentError, SessionError
from batchjobs.protocol import error_codes

_SWITCHING_PROTOCOLS: Final = 101
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})\b")
_RETRY_AFTER: Final = re.compile(rb"(?im)^retry-after:[ \t]*([0-9]{1,6})[ \t]*\r?$")
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_LEFT: Final = "the service closed the connection in the handshake"


class _HandshakeBrokenError(OSError):
    """The peer ended, or flooded, a handshake."""


class GuardedStream(trio.abc.Stream):
    """A stream that ends a handshake which the peer refuses, leaves or floods.

    trio-websocket would wait for ever after an early end of file or a reset, and for the whole of
    an HTTP error's body, which it holds in memory; a body that ends with the connection never ends
    for it. The status line and the headers are all that we want of a refusal.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._head = bytearray()
        self._is_opening = True

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send; a break during the handshake means that the service left."""
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError as error:
            if self._is_opening:
                raise _HandshakeBrokenError(_LEFT) from error
            raise

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as the stream below does."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive; end the handshake with an error if the peer refuses or breaks it off."""
        try:
            data = await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError as error:
            if self._is_opening:
                raise _HandshakeBrokenError(_LEFT) from error
            raise
        if self._is_opening:
            self._follow_head(data)
        return data

    def _follow_head(self, data: bytes | bytearray) -> None:
        """Follow the handshake's answer to the end of its head; h11 ends one beyond 16 KiB."""
        self._head += data
        line, end = _STATUS_LINE.match(self._head), _HEAD_END.search(self._head)
        if line and end:
            status = int(line[1])
            if status >= 200:
                raise _refusal(status, _RETRY_AFTER.search(self._head, 0, end.start() + 1))
            if status == _SWITCHING_PROTOCOLS:
                self._is_opening = False
                return
        if not data:
            raise _HandshakeBrokenError(_LEFT)

    async def aclose(self) -> None:
        """Close the stream below."""
        await self._stream.aclose()


def _refusal(status: int, retry_after: re.Match[bytes] | None) -> SessionError:
    """Classify a refused handshake.

    Args:
        status: The HTTP status.
        retry_after: The header, if there is one.
    """
    if 300 <= status < 400:
        shown = f"the service redirects elsewhere (HTTP {status})"
        return PermanentError(shown, code=str(status), hint=error_codes.REDIRECT_HINT)
    seconds = float(retry_after[1]) if retry_after else None
    return error_codes.from_status(status, retry_after_seconds=seconds)
