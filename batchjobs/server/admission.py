"""Who gets in: host, origin, path and key of a handshake, and the rate of sessions. No I/O."""

import hmac
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, unquote_to_bytes, urlsplit

from batchjobs.jobs import Kind
from batchjobs.protocol.conversation import LISTEN, STT, TTS, Wire
from batchjobs.providers import LOOPBACK
from batchjobs.server.error_replies import INVALID_KEY
from batchjobs.server.faults import Fault
from batchjobs.server.settings import ServerSettings

BASE_PATH: Final = "/api/v1"
_WIRES: Final = {
    f"{BASE_PATH}/websocket/text-to-speech": TTS,
    f"{BASE_PATH}/websocket/speech-to-text": STT,
    f"{BASE_PATH}/listen": LISTEN,
}
_SPEECH_PATH: Final = f"{BASE_PATH}/text-to-speech/"
_ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not bound
_KEY_PARAMETERS: Final = frozenset({"x-api-key", "token", "api_key"})
_BEARER: Final = b"bearer "


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A handshake that is answered with an HTTP error, or with an error message after it.

    Attributes:
        status: The HTTP status.
        reason: What is wrong, for the response's body or the message; without any secret.
        retry_after_seconds: When to come back; None for no such header.
        error_code: Of the message that is sent in place of the status, once the WebSocket is open;
            empty for a handshake that fails.
    """

    status: int
    reason: str
    retry_after_seconds: int | None = None
    error_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A handshake that may become a session.

    Attributes:
        wire: The protocol it speaks.
        authorised: Whether the right key was shown; if not, the first message has to.
        query: What else the request says, without the key.
        fault: What strikes the session, if anything.
    """

    wire: Wire
    authorised: bool
    query: Mapping[str, str] = field(default_factory=dict)
    fault: Fault | None = None

    @property
    def kind(self) -> Kind:
        """What the session is for."""
        return Kind.TTS if self.wire is TTS else Kind.STT


def examine(
    *,
    target: str,
    host: str,
    headers: Sequence[tuple[bytes, bytes]],
    settings: ServerSettings,
    port: int,
) -> Refusal | Admission:
    """Decide on a handshake.

    Args:
        target: The request's target, with its query.
        host: The ``Host`` header.
        headers: The others, their names in lower case.
        settings: The server's.
        port: The port it listens on.
    """
    parts = _examine_origin(target, host, headers, settings, port)
    if isinstance(parts, Refusal):
        return parts
    wire = _WIRES.get(parts.path)
    if wire is None:
        return Refusal(status=404, reason="no such path")
    return _examine_keys(wire, parts.query, headers, settings.token)


def examine_speech(
    *,
    target: str,
    host: str,
    headers: Sequence[tuple[bytes, bytes]],
    settings: ServerSettings,
    port: int,
) -> Refusal | str:
    """Decide on a request for speech over HTTP.

    Args:
        target: As for `examine`, and so are the others.
        host: The same.
        headers: The same.
        settings: The same.
        port: The same.

    Returns:
        The model that it asks for, or why it is refused.
    """
    parts = _examine_origin(target, host, headers, settings, port)
    if isinstance(parts, Refusal):
        return parts
    model = unquote(parts.path.removeprefix(_SPEECH_PATH))
    if not parts.path.startswith(_SPEECH_PATH) or not model:
        return Refusal(status=404, reason="no such path")
    keys = [*_keys_in_query(parts.query), *_keys_in_headers(headers)]
    if not keys or not all(key_matches(key, settings.token) for key in keys):
        return Refusal(status=401, reason="Invalid API key", error_code=INVALID_KEY)
    return model


def _examine_origin(
    target: str,
    host: str,
    headers: Sequence[tuple[bytes, bytes]],
    settings: ServerSettings,
    port: int,
) -> Refusal | SplitResult:
    """See that a request is meant for us, and comes from no page of a stranger's; gives its target."""
    if not _host_is_ours(host, settings.host, port):
        return Refusal(status=403, reason="this Host is not served here")
    origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
    if any(origin not in settings.allowed_origins for origin in origins):
        return Refusal(status=403, reason="this Origin is not allowed")
    try:
        return urlsplit(target)
    except ValueError:
        return Refusal(status=400, reason="the target is no URL")


def _examine_keys(
    wire: Wire, query: str, headers: Sequence[tuple[bytes, bytes]], token: str
) -> Refusal | Admission:
    keys = [*_keys_in_query(query), *_keys_in_headers(headers)]
    if not all(key_matches(key, token) for key in keys):
        # The documents show an error message for speech, and a rejected connection for the other.
        code = INVALID_KEY if wire is TTS else ""
        return Refusal(status=401, reason="Invalid API key", error_code=code)
    if not keys and wire is not TTS:
        return Refusal(status=401, reason="a key is needed")
    asked = {name: value for name, value in parse_qsl(query) if name.lower() not in _KEY_PARAMETERS}
    return Admission(wire=wire, authorised=bool(keys), query=asked)


def key_matches(shown: bytes, token: str) -> bool:
    """Compare a key in a time that does not depend on where it differs."""
    return hmac.compare_digest(shown, token.encode())


def _keys_in_query(query: str) -> Iterable[bytes]:
    # A "+" stays a plus: clients percent-encode, and those that do not mean a plus.
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if value and unquote(name).lower() in _KEY_PARAMETERS:
            yield unquote_to_bytes(value)


def _keys_in_headers(headers: Sequence[tuple[bytes, bytes]]) -> Iterable[bytes]:
    for name, value in headers:
        if name == b"x-api-key" and value.strip():
            yield value.strip()
        elif name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER:
            yield value[len(_BEARER) :].strip()


def _host_is_ours(header: str, bound: str, port: int) -> bool:
    """Refuse names that a stranger's DNS points at us, which is how a web page reaches loopback."""
    try:
        parts = urlsplit(f"//{header}")
        name, header_port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if header_port not in {None, port} or parts.username is not None or parts.path:
        return False
    if name in LOOPBACK or (name and name == bound.lower()):
        return True
    return bound in _ANY_ADDRESS and _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class SessionRate:
    """Limits events to a rate, with a burst of one second's worth.

    Args:
        per_second: The rate; 0 for no limit.
    """

    __slots__ = ("_burst_seconds", "_interval_seconds", "_paid_until")

    def __init__(self, per_second: float) -> None:
        self._interval_seconds = 1.0 / per_second if per_second else 0.0
        self._burst_seconds = max(1.0, self._interval_seconds) + 1e-9
        self._paid_until = float("-inf")

    def wait_seconds(self, now: float) -> float:
        """Let one event pass and give 0, or give how long to wait.

        Args:
            now: Seconds of a monotonic clock.
        """
        if not self._interval_seconds:
            return 0.0
        paid_until = max(self._paid_until, now) + self._interval_seconds
        excess = paid_until - now - self._burst_seconds
        if excess > 0:
            return excess
        self._paid_until = paid_until
        return 0.0
