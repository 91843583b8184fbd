"""Puts a protocol machine of ours into a connection of trio-websocket, before it is used."""

from collections.abc import Awaitable, Callable
from typing import Final

from trio_websocket import WebSocketConnection
from wsproto import ConnectionType, WSConnection

_ATTRIBUTE: Final = "_wsproto"


def replace_machine(
    reader: Callable[[], Awaitable[None]], make: Callable[[ConnectionType], WSConnection]
) -> bool:
    """Let a connection of trio-websocket use another protocol machine.

    The library makes its machine by itself, and no argument reaches it; but it hands the task that
    is going to use it to a nursery of ours. That is the moment to put one like it in its place.

    Args:
        reader: That task, a method of the connection, before it is started.
        make: Makes the machine for this connection's side.

    Returns:
        Whether it is in place; if not, the library has changed and goes on with its own.
    """
    connection = getattr(reader, "__self__", None)
    machine = getattr(connection, _ATTRIBUTE, None)
    if type(machine) is not WSConnection:
        return False
    kind = ConnectionType.CLIENT if machine.client else ConnectionType.SERVER
    setattr(connection, _ATTRIBUTE, make(kind))
    return True


def machine_of(connection: WebSocketConnection) -> object:
    """Give the machine of a connection of trio-websocket; None if the library has changed."""
    return getattr(connection, _ATTRIBUTE, None)
