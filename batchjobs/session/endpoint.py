"""All that sessions with one provider share: where it is, the key, the TLS context."""

import logging
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import trio

from batchjobs.errors import SessionError
from batchjobs.limits import ConnectionRamp
from batchjobs.protocol.codec import ChunkEncoding
from batchjobs.providers import Provider
from batchjobs.session.dial import Dial, dial_tcp, files_at_most

if TYPE_CHECKING:
    from batchjobs.session.pool import Spares

__all__ = ["Link"]

_logger = logging.getLogger(__name__)
_HANDSHAKES_AT_ONCE: Final = 32
_STRUCK: Final = "***"
_KEY_PART_CHARACTERS: Final = 4
"""So many characters of a key's beginning, at a cut, are taken for the key."""
_DEFAULT_PORTS: Final = {"ws": 80, "wss": 443}


class Link:
    """All that sessions with one provider share: where it is, the key, the TLS context.

    One context for the run: a fresh one a connection costs 16 ms, twenty times the session.

    Args:
        provider: The provider.
        base_url: A checked URL, ``wss://HOST/api/v1``.
        key: The key; never shown.
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
        dial: Dial = dial_tcp,
        encoding: ChunkEncoding = ChunkEncoding.COMPACT,
        compresses: bool = False,
        library_hooks: bool = False,
    ) -> None:
        parts = urlsplit(base_url)
        self.provider = provider
        self.key = key
        self.host = parts.hostname or ""
        self.port = parts.port or _DEFAULT_PORTS[parts.scheme]
        self.path = parts.path.rstrip("/")
        self.host_header = parts.netloc
        self.context = ssl.create_default_context() if parts.scheme == "wss" else None
        self.dial = dial
        self.encoding = encoding
        self.compresses = compresses
        self.library_hooks = library_hooks
        self.spares: Spares | None = None
        """Connections opened beforehand, where a run wants them."""
        self._has_told: set[str] = set()
        # Each may reach into the files kept for the disk before it sees that it is one too many.
        at_once = max(1, min(_HANDSHAKES_AT_ONCE, files_at_most() // 8))
        self.handshakes = trio.CapacityLimiter(at_once)
        self.ramp = ConnectionRamp()
        self._key_pattern = re.compile("".join(map(_any_form_of, key)))

    def __repr__(self) -> str:
        """Show where it leads, never the key."""
        return f"Link({self.provider.name!r}, {self.host!r}, {self.port})"

    def without_key(self, text: str) -> str:
        """Strike the key out of a text that a service may have put it into.

        Each of its characters may stand as it is, percent-encoded or escaped as in JSON; at the
        end of a text that was cut off (``…``), the key's beginning is struck out, too.
        """
        if not self.key:
            return text
        shown = self._key_pattern.sub(_STRUCK, text)
        for length in range(len(self.key) - 1, _KEY_PART_CHARACTERS - 1, -1):
            if shown.endswith(self.key[:length] + "…"):
                return shown[: -length - 1] + _STRUCK
        return shown

    def tell_once(self, message: str) -> None:
        """Log what is true of every connection, for the first one only."""
        if message not in self._has_told:
            self._has_told.add(message)
            _logger.warning("%s: %s", self.provider.name, message)

    @contextmanager
    def discreet(self) -> Iterator[None]:
        """Strike the key out of whatever error ends the block: a service may echo it."""
        try:
            yield
        except SessionError as error:
            error.message = self.without_key(error.message)
            error.hint = self.without_key(error.hint)
            error.code = self.without_key(error.code)
            error.args = (error.message,)
            raise

    def target(self, path: str, ways: tuple[str, ...], *, model: str = "") -> str:
        """Make the request target, with the key if it travels there."""
        fields = []
        if self.key and "query" in ways:
            fields.append(f"x-api-key={quote(self.key, safe='')}")
        if self.key and "token" in ways:
            fields.append(f"token={quote(self.key, safe='')}")
        if model:
            fields.append(f"model={quote(model, safe='')}")
        return self.path + path + ("?" + "&".join(fields) if fields else "")

    def headers(self, ways: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
        """Make the request's headers, with the key if it travels there."""
        headers = [(b"User-Agent", b"batchjobs")]
        if self.key and "header" in ways:
            headers.append((b"x-api-key", self.key.encode()))
        if self.key and "bearer" in ways:
            headers.append((b"Authorization", b"Bearer " + self.key.encode()))
        return headers


def _any_form_of(character: str) -> str:
    """Match a character of a key as it is, percent-encoded, or escaped as in JSON."""
    number = f"{ord(character):02x}"
    return rf"(?:\\?{re.escape(character)}|(?i:%{number}|\\u00{number}))"
