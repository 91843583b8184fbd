"""What error codes, HTTP statuses and close codes mean for the run."""

import re
from typing import Final

from batchjobs.errors import (
    MisconfiguredError,
    PermanentError,
    QuotaSpentError,
    SessionError,
    StopError,
    ThrottledError,
    TransientError,
)
from batchjobs.protocol import close_codes

_QUOTED_CHARACTERS: Final = 500
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")

REDIRECT_HINT: Final = "the key goes to the configured host only; check --base-url"

_STATUSES: Final[dict[str, tuple[type[SessionError], str]]] = {
    "401": (StopError, "check the key, and that it belongs to this service and region"),
    "402": (
        QuotaSpentError,
        "the account's balance is spent; top it up and run the same command again",
    ),
    "403": (StopError, "this key may not do this; check the account's permissions"),
    "429": (ThrottledError, "the run slows down by itself"),
}


def quote(text: str) -> str:
    """Shorten a service's own words for a log, without control characters."""
    clean = _CONTROL.sub(" ", text[: _QUOTED_CHARACTERS + 1]).strip()
    return clean if len(text) <= _QUOTED_CHARACTERS else clean[:_QUOTED_CHARACTERS] + "…"


def from_code(code: str, message: str) -> SessionError:
    """Classify an error message by its code: an HTTP status and two digits.

    Args:
        code: As sent, as text; an unknown code goes by its first three digits.
        message: What the service says.
    """
    code = quote(code)
    who = f"the service answered {code}" if code else "the service says"
    match = re.fullmatch(r"([0-9]{3})[0-9]*", code)
    return _by_status(
        match[1] if match else "", f"{who}: {quote(message)}".rstrip(": "), code, None
    )


def from_status(status: int, *, retry_after_seconds: float | None = None) -> SessionError:
    """Classify a refused WebSocket handshake by its HTTP status."""
    shown = f"the service refused the connection with HTTP {status}"
    return _by_status(str(status), shown, str(status), retry_after_seconds)


def from_answer(
    status: int, message: str, *, code: str = "", retry_after_seconds: float | None = None
) -> SessionError:
    """Classify the answer to a request over HTTP that brought no audio.

    Args:
        status: The HTTP status; of a success, the code says what went wrong.
        message: What the service says; may be empty.
        code: Its own code; may be empty.
        retry_after_seconds: How long it asks to wait, if it says.
    """
    if 300 <= status < 400:
        shown = f"the service redirects elsewhere (HTTP {status})"
        return PermanentError(shown, code=str(status), hint=REDIRECT_HINT)
    said = quote(message)
    if status < 300:
        return from_code(code, said or "no audio")
    shown = f"the service answered HTTP {status}" + (f": {said}" if said else "")
    code = quote(code) or str(status)
    if status == 408:  # it waited for our request in vain
        return TransientError(shown, code=code)
    return _by_status(str(status), shown, code, retry_after_seconds)


def _by_status(status: str, shown: str, code: str, retry_after: float | None) -> SessionError:
    if status.startswith("4") and status not in _STATUSES:  # final: there is nothing to wait for
        return PermanentError(shown, code=code)
    kind, hint = _STATUSES.get(status, (TransientError, ""))
    return kind(shown, code=code, hint=hint, retry_after_seconds=retry_after)


def is_normal_close(code: int | None) -> bool:
    """Whether a close says nothing but that the peer has finished."""
    return code is None or code in {close_codes.NORMAL, close_codes.NO_CODE}


def from_close(code: int | None, reason: str, *, when: str) -> SessionError:
    """Classify a close that came when nothing was complete.

    Args:
        code: The close code; None if there was none.
        reason: The peer's words; may be empty.
        when: What was going on, for the message: ``"before any audio"``.
    """
    return _by_close(code, _describe_close(code, reason, when))


def _by_close(code: int | None, shown: str) -> SessionError:
    text = "" if code is None else str(code)
    if code == close_codes.TRY_AGAIN_LATER:
        return ThrottledError(shown, code=text)
    return TransientError(shown, code=text)


def from_listen_close(code: int | None, reason: str, *, when: str) -> SessionError:
    """Classify a close of ``/listen`` that came without a receipt; 1008 means three things.

    Args:
        code: The close code; None if there was none.
        reason: The peer's words, which tell these apart.
        when: What was going on, for the message.
    """
    error = from_close(code, reason, when=when)
    return _by_reason(code, reason, error) or error


def from_listen_error(code: str, message: str) -> SessionError:
    """Classify an error message of ``/listen``, which may have the code of the close that follows.

    Args:
        code: As sent, as text: that of a close, of a status, or any other.
        message: What the service says.
    """
    error, number = from_code(code, message), None
    if re.fullmatch("[0-9]{4}", code):  # a status has three digits, other codes have five
        number = int(code)
        error = _by_close(number, error.message)
    is_known = number is None and type(error) is not TransientError
    return error if is_known else _by_reason(number, message, error) or error


def _by_reason(code: int | None, reason: str, error: SessionError) -> SessionError | None:
    """Classify what ``/listen`` refuses by its close code and words; None if they say nothing.

    Args:
        code: Of the close; None if it is not known.
        reason: The peer's words.
        error: What it is without them: its message and code stay.
    """
    words, shown, text = reason.casefold(), error.message, error.code
    is_policy = code == close_codes.POLICY_VIOLATION
    if "concurren" in words or (is_policy and ("session" in words or "limit" in words)):
        return ThrottledError(shown, code=text)
    if is_policy or "wallet" in words:
        status = "402" if "balance" in words or "wallet" in words else "401"
        kind, hint = _STATUSES[status]
        return kind(shown, code=text, hint=hint)
    if code == close_codes.BAD_PARAMETER:
        hint = "check stt_model, hotwords and the settings whose names begin with listen_"
        return MisconfiguredError(shown, code=text, hint=hint)
    return None


def _describe_close(code: int | None, reason: str, when: str) -> str:
    said = f" ({quote(reason)})" if reason else ""
    number = "without a code" if code is None else f"with {code}"
    return f"the connection closed {number} {when}{said}"
