"""Hands each message on at once, in the library's reader, in place of a queue and a second task."""

from collections.abc import Awaitable, Callable
from typing import Final, Self, TypeAlias

import trio
from trio_websocket import WebSocketConnection

Take: TypeAlias = Callable[[str | bytes], None]

_ATTRIBUTE: Final = "_send_channel"


class Mailbox:
    """The end of a connection's queue that its reader has, with a way past the queue.

    A queue costs two turns of the event loop a message, a tenth of a session's time (measured). The
    queue stays in use until `take` is set, and for the end of the connection, of which
    it tells the task that waits for a message.

    Args:
        queue: The library's.

    Attributes:
        take: Is given every message from now on; None leaves them to the queue. Must not raise.
    """

    def __init__(self, queue: "trio.MemorySendChannel[str | bytes]") -> None:
        self._queue = queue
        self.take: Take | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no message waits in the queue: what is taken now overtakes none."""
        return not self._queue.statistics().current_buffer_used

    async def send(self, message: str | bytes) -> None:
        """Hand a message on, or queue it."""
        if self.take is None:
            await self._queue.send(message)
        else:
            self.take(message)

    async def aclose(self) -> None:
        """Close the queue: the connection has ended."""
        await self._queue.aclose()

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the queue."""
        await self._queue.aclose()


def deliver_directly(reader: Callable[[], Awaitable[None]]) -> bool:
    """Put a mailbox before the queue of a connection of trio-websocket.

    Args:
        reader: The library's task, as for `hooks.replace_machine`.

    Returns:
        Whether it is in place; if not, the library has changed and its queue stays as it is.
    """
    connection = getattr(reader, "__self__", None)
    queue = getattr(connection, _ATTRIBUTE, None)
    if not isinstance(queue, trio.MemorySendChannel):
        return False
    setattr(connection, _ATTRIBUTE, Mailbox(queue))
    return True


def mailbox_of(connection: WebSocketConnection) -> Mailbox | None:
    """Return a connection's mailbox, if it has one."""
    mailbox = getattr(connection, _ATTRIBUTE, None)
    return mailbox if isinstance(mailbox, Mailbox) else None
