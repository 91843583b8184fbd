"""What a local server is asked to be: its address, engine, limits and faults."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from batchjobs.errors import ConfigurationError
from batchjobs.providers import DEFAULT_ENGINE, DEFAULT_HOST
from batchjobs.server.faults import Fault

_LAST_PORT: Final = 65_535


def _make_token() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The settings of one local server.

    Attributes:
        host: Address to listen on; loopback unless it is meant otherwise.
        port: TCP port; 0 takes a free one.
        token: The key that clients must show; a new one if none is given.
        engine: A name of `batchjobs.server.engines.registry.ENGINES`.
        model_folder: Where the recogniser's model lies, if it needs one.
        faults: How to misbehave, the first that strikes wins.
        seed: Of the dice that decide which sessions a fault strikes.
        ledger: File that gets a JSON line for each start and end of a session.
        pace: TTS audio sent, times real time; 0 is as fast as the client takes it.
        session_limit: Sessions open at once; more are refused with HTTP 429.
        handshake_limit: Connections at once that have not finished their handshake.
        sessions_per_second: Sessions started a second; 0 is unlimited.
        message_limit_bytes: Longest message, as trio-websocket counts it (text: in characters).
        text_limit_characters: Longest text of a session.
        audio_limit_seconds: Longest recording of a session.
        compresses: Whether clients that ask for permessage-deflate get it. What it inflates to counts
            against the longest message.
        handshake_seconds: How long the handshake may take, and then ``initConnection``.
        greeting_seconds: How long a client with a wrong key may take to its first message, before it
            is refused.
        idle_seconds: How long a session may have nothing to do.
        close_seconds: How long a peer may take to answer a close.
        trigger_seconds: After how long without more text an unfinished sentence is spoken of which
            the client asked to have it spoken (``try_trigger_generation``).
        allowed_origins: Values of ``Origin`` to accept; browsers send one, programs do not.
    """

    host: str = DEFAULT_HOST
    port: int = 0
    token: str = field(default_factory=_make_token, repr=False)
    engine: str = DEFAULT_ENGINE
    model_folder: Path | None = None
    faults: tuple[Fault, ...] = ()
    seed: int = 0
    ledger: Path | None = None
    pace: float = 0.0
    session_limit: int = 512
    handshake_limit: int = 256
    sessions_per_second: float = 0.0
    message_limit_bytes: int = 16 * 1024 * 1024
    text_limit_characters: int = 500_000
    audio_limit_seconds: float = 14_400.0
    compresses: bool = False
    handshake_seconds: float = 10.0
    greeting_seconds: float = 1.0
    idle_seconds: float = 60.0
    close_seconds: float = 5.0
    trigger_seconds: float = 0.25
    allowed_origins: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse what would leave the server open, or somewhere else than asked.

        Raises:
            ConfigurationError: There is no token, or the port is none.
        """
        if not self.token:
            hint = "make one with secrets.token_urlsafe()"
            raise ConfigurationError("a server without a token would serve everybody", hint=hint)
        if not 0 <= self.port <= _LAST_PORT:  # the system's resolver would take it modulo 65,536
            hint = f"give 1 to {_LAST_PORT}, or 0 for a free one"
            raise ConfigurationError(f"there is no port {self.port}", hint=hint)
