"""One provider as its sessions reach it: the address, the key, the TLS context, how to connect."""

import logging
import ssl
import weakref
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, urlsplit

import trio

from batchjobs.limits import ConnectionRamp
from batchjobs.protocol.codec import ChunkEncoding
from batchjobs.providers import Provider
from batchjobs.session.dial import Dial, dial_tcp, forget_session, most_open_files
from batchjobs.session.redaction import Redactor

_logger = logging.getLogger(__name__)
_HANDSHAKES_AT_ONCE: Final = 32
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_DEFAULT_PORTS: Final = {"ws": 80, "wss": 443}


class Endpoint:
    """One provider as its sessions reach it: the address, the key, the TLS context.

    One context for the run: a fresh one a connection costs 16 ms, twenty times the session.

    Args:
        provider: The provider.
        base_url: A checked URL, ``wss://HOST/api/v1``.
        key: The key; never shown.
        account: What the account is called whose key it is.
        dial: How to connect; tests give memory streams.
        encoding: How to write the chunks of recordings.
        compresses: Whether to offer permessage-deflate.
        library_hooks: Whether to put faster parts of ours into trio-websocket.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        base_url: str,
        key: str,
        account: str = "",
        dial: Dial = dial_tcp,
        encoding: ChunkEncoding = ChunkEncoding.COMPACT,
        compresses: bool = False,
        library_hooks: bool = False,
    ) -> None:
        parts = urlsplit(base_url)
        self.provider = provider
        self.base_url = base_url
        self.key = key
        self.account = account
        self.redactor = Redactor(key)
        self.host = parts.hostname or ""
        self.port = parts.port or _DEFAULT_PORTS[parts.scheme]
        self.path = parts.path.rstrip("/")
        self.host_header = parts.netloc
        self.context = ssl.create_default_context() if parts.scheme == "wss" else None
        if self.context is not None:
            weakref.finalize(self, forget_session, self.context).atexit = False
        self.dial = dial
        self.encoding = encoding
        self.compresses = compresses
        self.library_hooks = library_hooks
        self._warned_of: set[str] = set()
        # Each may reach into the files kept for the disk before it sees that it is one too many.
        at_once = max(1, min(_HANDSHAKES_AT_ONCE, most_open_files() // 8))
        self.handshakes = trio.CapacityLimiter(at_once)
        self.ramp = ConnectionRamp()

    def __repr__(self) -> str:
        """Show where it leads, never the key."""
        return f"Endpoint({self.provider.name!r}, {self.host!r}, {self.port})"

    @property
    def name(self) -> str:
        """What tells it from others of a run."""
        return "/".join(filter(None, (self.provider.name, self.account)))

    def warn_once(self, message: str) -> None:
        """Log what is true of every connection, for the first one only."""
        if message not in self._warned_of:
            self._warned_of.add(message)
            _logger.warning("%s: %s", self.provider.name, message)

    def target(
        self,
        path: str,
        ways: tuple[str, ...],
        *,
        model: str = "",
        key_name: str = "x-api-key",
        asked: Mapping[str, str] = _NOTHING,
    ) -> str:
        """Make the request target, with the key if it travels there.

        Args:
            path: The service's, below the base URL.
            ways: How the key travels.
            model: The model to ask for; empty asks for none.
            key_name: What the key is called in a query.
            asked: What else the query says.
        """
        names = {"query": key_name, "token": "token"}
        fields = [
            f"{name}={quote(self.key, safe='')}"
            for way, name in names.items()
            if self.key and way in ways
        ]
        if model:
            fields.append(f"model={quote(model, safe='')}")
        fields += [f"{name}={quote(value, safe='')}" for name, value in asked.items()]
        return self.path + path + ("?" + "&".join(fields) if fields else "")

    def headers(self, ways: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
        """Make the request's headers, with the key if it travels there."""
        headers = [(b"User-Agent", b"batchjobs")]
        if self.key and "header" in ways:
            headers.append((b"x-api-key", self.key.encode()))
        if self.key and "bearer" in ways:
            headers.append((b"Authorization", b"Bearer " + self.key.encode()))
        return headers
