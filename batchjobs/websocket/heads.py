"""Lets a server of trio-websocket take requests with longer heads than its library's 16 KiB."""

from collections.abc import Awaitable, Callable
from typing import Final

import h11
from wsproto import WSConnection

_LIMIT: Final = "_max_incomplete_event_size"


def take_long_heads(reader: Callable[[], Awaitable[None]], limit_bytes: int) -> bool:
    """Let a connection's handshake be so long.

    No argument reaches the library's parser of HTTP; its limit is read each time that more comes.

    Args:
        reader: The library's task, as for `hooks.replace_machine`.
        limit_bytes: The longest head.

    Returns:
        Whether it will be; if not, the library has changed, and goes on with its own limit.
    """
    machine = getattr(getattr(reader, "__self__", None), "_wsproto", None)
    if not isinstance(machine, WSConnection):
        return False
    parser = getattr(machine.handshake, "_h11_connection", None)
    if not isinstance(parser, h11.Connection) or not hasattr(parser, _LIMIT):
        return False
    setattr(parser, _LIMIT, limit_bytes)
    return True
