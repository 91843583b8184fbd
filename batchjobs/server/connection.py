"""One accepted connection: the protocol's turns over a WebSocket, and the faults' one seam."""

import socket
import struct
from collections.abc import Sequence
from typing import Final, assert_never

import trio
from trio_websocket import WebSocketConnection

from batchjobs.protocol import close_codes
from batchjobs.protocol.conversation import AnyMessage, Conversation, Wire
from batchjobs.protocol.messages import Role
from batchjobs.server.fault_injection import Action, Close, Drop, FaultInjector, Hang, Raw, Say
from batchjobs.server.settings import ServerSettings

RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""A linger time of nothing: closed, the connection is reset."""
_NORMAL_CODES: Final = frozenset({close_codes.NORMAL, close_codes.GOING_AWAY, close_codes.NO_CODE})


class Connection:
    """Hears and says messages in the server's role.

    Every method may raise `trio_websocket.ConnectionClosed` once the connection is gone,
    whichever side ended it.

    Args:
        websocket: The accepted WebSocket.
        stream: The TCP stream below it.
        wire: The protocol spoken.
        faults: What becomes of what is said.
        settings: The server's: how long it waits for what.
    """

    def __init__(
        self,
        *,
        websocket: WebSocketConnection,
        stream: trio.SocketStream,
        wire: Wire,
        faults: FaultInjector,
        settings: ServerSettings,
    ) -> None:
        self._websocket = websocket
        self._stream = stream
        self._conversation = Conversation(wire, Role.SERVER)
        self._settings = settings
        self._failing = False
        self._closing = False
        self.faults = faults
        self.is_busy = False

    @property
    def is_closed_normally(self) -> bool:
        """Whether the peer has closed, of its own accord and without a complaint."""
        reason = self._websocket.closed
        return not self._closing and reason is not None and reason.code in _NORMAL_CODES

    async def hear(self, *, within_seconds: float | None = None) -> AnyMessage:
        """Wait for the peer's next message; a silent peer of an idle session is sent away.

        Args:
            within_seconds: In place of the usual time.

        Raises:
            InvalidMessageError: It cannot be read, or may not be said now.
        """
        wait = self._settings.idle_seconds if within_seconds is None else within_seconds
        while True:
            with trio.move_on_after(wait):
                payload = await self._websocket.get_message()
                break
            if not self.is_busy:
                await self.close(close_codes.GOING_AWAY, "idle")
        return self._conversation.receive(payload)

    async def say(self, message: AnyMessage) -> None:
        """Send a message, or do what a fault puts in its place."""
        if self._failing:
            await self._wait_closed()
        await self._perform(self.faults.replace(message))

    async def finish_flush(self) -> None:
        """Do what a fault adds once all text that was flushed has been spoken."""
        await self._perform(self.faults.after_flush())

    async def finish(self) -> None:
        """Do what a fault adds before the close, now that all has been said."""
        await self._perform(self.faults.before_end())

    async def fail(self, message: AnyMessage, code: int, reason: str = "") -> None:
        """Send an error as the last message and close.

        What another task is just sending goes out first, and nothing after it: a frame cut off in
        its middle would take the error with it.

        Args:
            message: The error.
            code: Of the close.
            reason: The close's words, where its code is not enough.
        """
        self._failing = True
        await self._perform((*self.faults.replace(message), Close(code, reason)))

    async def close(self, code: int, reason: str = "") -> None:
        """Close the connection in bounded time."""
        self._closing = True
        with trio.move_on_after(self._settings.close_seconds):
            await self._websocket.aclose(code, reason or None)

    async def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Say(message=message):
                    await self._send(self._conversation.send(message))
                case Raw(text=text):
                    await self._send(text)
                case Close(code=code, reason=reason):
                    await self.close(code, reason)
                    await self._wait_closed()
                case Drop():
                    await self._reset()
                case Hang():
                    await self._wait_closed()
                case _:
                    assert_never(action)

    async def _send(self, payload: str | bytes) -> None:
        """Send, or give up on a peer that takes nothing for too long."""
        with trio.move_on_after(
            self._settings.close_seconds if self._failing else self._settings.idle_seconds
        ):
            await self._websocket.send_message(payload)
            return
        await self._reset()

    async def _reset(self) -> None:
        self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        await trio.aclose_forcefully(self._stream)
        await self._wait_closed()

    async def _wait_closed(self) -> None:
        """Read and forget until the connection is gone; never returns."""
        while True:
            await self._websocket.get_message()
