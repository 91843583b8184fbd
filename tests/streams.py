"""Streams that misbehave, and a scripted speech service over memory streams."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import trio
import trio.testing
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    wrap_server_stream,
)

from batchjobs.websocket.deflate import Deflate, negotiate
from tests.builders import READY

CLOSE_FRAME_OPCODE = 0x88
HTTP_HEAD_END = b"\r\n\r\n"
LIMIT = 64 * 1024 * 1024


class FaultyStream(trio.abc.Stream):
    """A stream that records what passes, and drops, stalls, slices or breaks it when told to.

    Args:
        stream: The real one.
        slice_bytes: Give at most so many bytes to each read.
        stall_sends_after: Sends hang once so many bytes were sent: the peer has stopped reading.
        break_reads_after: Reads break once so many bytes came.
        break_sends_after: Sends break once so many bytes were sent.
        broken: The error of reads that break.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        slice_bytes: int | None = None,
        stall_sends_after: float = float("inf"),
        break_reads_after: float = float("inf"),
        break_sends_after: float = float("inf"),
        broken: type[Exception] = trio.BrokenResourceError,
    ) -> None:
        self.stream = stream
        self.slice_bytes = slice_bytes
        self.stall_sends_after = stall_sends_after
        self.break_reads_after = break_reads_after
        self.break_sends_after = break_sends_after
        self.broken = broken
        self.sent = bytearray()
        self.received = bytearray()
        self.is_closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, unless told otherwise."""
        if len(self.sent) >= self.break_sends_after:
            raise trio.BrokenResourceError
        if len(self.sent) >= self.stall_sends_after:
            await trio.sleep_forever()
        self.sent += data
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as the real one."""
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive, unless told otherwise."""
        if len(self.received) >= self.break_reads_after:
            raise self.broken
        data = await self.stream.receive_some(self.slice_bytes or max_bytes)
        self.received += data
        return data

    async def aclose(self) -> None:
        """Close and remember it."""
        self.is_closed = True
        await self.stream.aclose()


@dataclass
class Compressing:
    """Starts the library's reader with an extension to accept."""

    nursery: trio.Nursery
    extension: Deflate

    def start_soon(self, reader: Callable[[], Awaitable[None]]) -> None:
        """Start it."""
        assert negotiate(reader, self.extension)
        self.nursery.start_soon(reader)


@dataclass
class Peer:
    """The service's end of one open WebSocket."""

    request: WebSocketRequest
    connection: WebSocketConnection
    stream: trio.abc.Stream
    reader: trio.CancelScope
    number: int = 0
    messages: list[dict[str, Any]] = field(default_factory=list)

    async def get(self) -> dict[str, Any]:
        """Receive one message."""
        message: dict[str, Any] = json.loads(await self.connection.get_message())
        self.messages.append(message)
        return message

    async def send(self, message: str | bytes | dict[str, Any]) -> None:
        """Send one message."""
        shown = json.dumps(message) if isinstance(message, dict) else message
        await self.connection.send_message(shown)

    async def begin(self) -> dict[str, Any]:
        """Take the first message of a synthesis and answer it."""
        init = await self.get()
        await self.send(READY)
        return init

    async def text(self) -> str:
        """Receive texts up to the flush, and give them joined."""
        parts = []
        while True:
            message = await self.get()
            parts.append(message.get("text", ""))
            if message.get("flush") or message["type"] == "closeConnection":
                return "".join(parts)

    async def until_asked_to_close(self) -> None:
        """Read on until the client asks to close."""
        while (await self.get())["type"] != "closeConnection":
            pass

    async def stop_answering(self) -> None:
        """Answer nothing more: no pong, no close; the stream is the script's own from now on."""
        self.reader.cancel()
        await trio.testing.wait_all_tasks_blocked()


Talk = Callable[[Peer], Awaitable[None]]
Raw = Callable[[trio.abc.Stream], Awaitable[None]]


class Service:
    """A scripted service: `dial` opens memory streams to it.

    Args:
        nursery: Where its connections live.
        talk: What it says over a WebSocket.
        raw: What it does with a bare stream instead.
        faults: How the client's end of a stream misbehaves.
        extension: Makes the compression that a connection accepts; None takes none.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        talk: Talk | None = None,
        raw: Raw | None = None,
        faults: dict[str, Any] | None = None,
        extension: Callable[[], Deflate] | None = None,
    ) -> None:
        self.nursery = nursery
        self._extension = extension
        self._talk = talk
        self._raw = raw
        self._faults = faults or {}
        self.streams: list[FaultyStream] = []
        self.heard: list[FaultyStream] = []
        self.peers: list[Peer] = []
        self.open = 0
        self.most_open = 0

    async def dial(self, host: str, port: int, context: object) -> FaultyStream:
        """Connect."""
        await trio.lowlevel.checkpoint()
        near, far = trio.testing.memory_stream_pair()
        stream = FaultyStream(near, **self._faults)
        self.streams.append(stream)
        self.heard.append(FaultyStream(far))
        self.nursery.start_soon(self._serve, self.heard[-1], len(self.streams))
        return stream

    async def _serve(self, stream: FaultyStream, number: int) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            async with trio.open_nursery() as nursery:
                if self._raw is not None:
                    await self._raw(stream)
                else:
                    await self._converse(stream, number, nursery)
                nursery.cancel_scope.cancel()
        except* (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.open -= 1
            await trio.aclose_forcefully(stream)

    async def _converse(self, stream: trio.abc.Stream, number: int, nursery: trio.Nursery) -> None:
        readers: trio.Nursery = await nursery.start(_hold)
        starter = readers if self._extension is None else Compressing(readers, self._extension())
        request = await wrap_server_stream(
            cast("trio.Nursery", starter),  # all that is asked of it is to start the reader
            stream,
            max_message_size=LIMIT,
            message_queue_size=100,
        )
        peer = Peer(request, await request.accept(), stream, readers.cancel_scope, number)
        self.peers.append(peer)
        assert self._talk is not None
        await self._talk(peer)


async def _hold(task_status: trio.TaskStatus[trio.Nursery]) -> None:
    """Keep a nursery open for the library's reader, so that it can be stopped alone."""
    async with trio.open_nursery() as nursery:
        task_status.started(nursery)
        await trio.sleep_forever()


async def head_of(stream: trio.abc.Stream) -> bytes:
    """Read an HTTP request's head."""
    head = b""
    while HTTP_HEAD_END not in head:
        data = await stream.receive_some()
        if not data:
            break
        head += data
    return head


def answers(response: bytes, *, then: Raw | None = None) -> Raw:
    """Make a service that answers every request so, and then closes or does something else."""

    async def raw(stream: trio.abc.Stream) -> None:
        await head_of(stream)
        await stream.send_all(response)
        if then is not None:
            await then(stream)

    return raw
