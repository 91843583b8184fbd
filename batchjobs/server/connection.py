"""One accepted connection: the protocol's turns over a WebSocket, and the faults' one seam."""

import socket
import struct
from collections.abc import Sequence
from typing import Final, assert_never

import trio
from trio_websocket import WebSocketConnection

from batchjobs.protocol.conversation import Conversation, Wire
from batchjobs.protocol.messages import Message, Role
from batchjobs.server.fault_injection import Action, Close, Delivery, Drop, Hang, Raw, Say

__all__ = ["Line"]

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_GOING_AWAY: Final = 1001
_NORMAL_CODES: Final = frozenset({1000, _GOING_AWAY, 1005})


class Line:
    """Hears and says messages in the server's role.

    Every method may raise `trio_websocket.ConnectionClosed` once the connection is gone,
    whichever side ended it.

    Args:
        connection: The accepted WebSocket.
        stream: The TCP stream below it.
        wire: The protocol spoken.
        delivery: What becomes of what is said.
        idle_seconds: How long the peer may be silent while nothing is done for it.
        close_seconds: How long the peer may take to answer a close.
    """

    def __init__(
        self,
        *,
        connection: WebSocketConnection,
        stream: trio.SocketStream,
        wire: Wire,
        delivery: Delivery,
        idle_seconds: float,
        close_seconds: float,
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._conversation = Conversation(wire, Role.SERVER)
        self._idle_seconds = idle_seconds
        self._close_seconds = close_seconds
        self._failing = False
        self._closing = False
        self.delivery = delivery
        self.busy = False

    @property
    def closed_normally(self) -> bool:
        """Whether the peer has closed, of its own accord and without a complaint."""
        reason = self._connection.closed
        return not self._closing and reason is not None and reason.code in _NORMAL_CODES

    async def hear(self, *, within_seconds: float | None = None) -> Message:
        """Wait for the peer's next message; a silent peer of an idle session is sent away.

        Args:
            within_seconds: In place of the usual time.

        Raises:
            InvalidMessageError: It cannot be read, or may not be said now.
        """
        wait = self._idle_seconds if within_seconds is None else within_seconds
        while True:
            with trio.move_on_after(wait):
                payload = await self._connection.get_message()
                break
            if not self.busy:
                await self.close(_GOING_AWAY, "idle")
        return self._conversation.receive(payload)

    async def say(self, message: Message) -> None:
        """Send a message, or do what a fault puts in its place."""
        if self._failing:
            await self._hear_nothing()
        await self._perform(self.delivery.reply(message))

    async def lull(self) -> None:
        """All text that was flushed has been spoken."""
        await self._perform(self.delivery.lull())

    async def finish(self) -> None:
        """All has been said: only a fault has anything to add before the close."""
        await self._perform(self.delivery.end())

    async def fail(self, message: Message, code: int) -> None:
        """Send an error as the last message and close.

        What another task is just sending goes out first, and nothing after it: a frame cut off in
        its middle would take the error with it.
        """
        self._failing = True
        await self._perform((*self.delivery.reply(message), Close(code)))

    async def close(self, code: int, reason: str = "") -> None:
        """Close the connection in bounded time."""
        self._closing = True
        with trio.move_on_after(self._close_seconds):
            await self._connection.aclose(code, reason or None)

    async def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Say(message=message):
                    await self._send(self._conversation.send(message))
                case Raw(text=text):
                    await self._send(text)
                case Close(code=code):
                    await self.close(code)
                    await self._hear_nothing()
                case Drop():
                    await self._reset()
                case Hang():
                    await self._hear_nothing()
                case _:
                    assert_never(action)

    async def _send(self, payload: str) -> None:
        """Send, or give up on a peer that takes nothing for too long."""
        with trio.move_on_after(self._close_seconds if self._failing else self._idle_seconds):
            await self._connection.send_message(payload)
            return
        await self._reset()

    async def _reset(self) -> None:
        self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        await trio.aclose_forcefully(self._stream)
        await self._hear_nothing()

    async def _hear_nothing(self) -> None:
        """Read and forget, as long as the connection lasts."""
        while True:
            await self._connection.get_message()
