"""The local speech server: the server's side of the protocol, over any engine."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchjobs.server.app import serve
    from batchjobs.server.settings import ServerSettings

__all__ = ["ServerSettings", "serve"]


def __getattr__(name: str) -> object:
    """Import the two public names when they are first asked for.

    The helper process of an engine lives in this package too, and forks for every utterance: it
    must not load trio and numpy just because its module has this parent.
    """
    if name == "serve":
        from batchjobs.server.app import serve

        return serve
    if name == "ServerSettings":
        from batchjobs.server.settings import ServerSettings

        return ServerSettings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
