"""Translates what the libraries raise into our errors: the one table of foreign errors."""

import errno
import re
import ssl
from collections.abc import Iterator
from typing import Final, TypeVar

import h11
import trio
import wsproto.utilities
from trio_websocket import ConnectionClosed, ConnectionRejected, HandshakeError

from batchjobs.errors import SessionError, ThrottledError, TransientError, UntrustedError
from batchjobs.protocol import close_codes, error_codes

CONNECTION_CODE: Final = "connection"
"""The code of attempts that never reached the service."""
_CONNECTING: Final = re.compile(r"^Error connecting to \('([^']*)', (\d+)[^)]*\): ")
"""How trio begins what the system said of one address: with the address as Python writes it."""
_OUT_OF_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE})
FOREIGN: Final = (
    OSError,
    HandshakeError,
    ConnectionClosed,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    h11.ProtocolError,
    wsproto.utilities.ProtocolError,
)
_Found = TypeVar("_Found", bound=Exception)


def first_of(group: BaseExceptionGroup[_Found], kind: type[_Found]) -> _Found:
    """Find the first error inside a group, at whatever depth."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, kind)
    return found


def translate(error: Exception, *, was_open: bool) -> SessionError:
    """Translate a library's error into ours.

    Args:
        error: What was raised.
        was_open: Whether the connection had been opened.
    """
    if isinstance(error, ConnectionRejected):  # 1xx other than 101; the rest ends in the guard
        return error_codes.from_status(error.status_code)
    reasons = list(_chain(error))
    if any(getattr(reason, "errno", None) in _OUT_OF_FILES for reason in reasons):
        return ThrottledError(
            "this machine has no file descriptors left for another connection",
            code="EMFILE",
            hint="raise 'ulimit -n' or lower --concurrency",
        )
    for reason in reasons:
        if isinstance(reason, ssl.SSLCertVerificationError):
            shown = f"the service's certificate is not to be trusted: {reason.verify_message}"
            return UntrustedError(
                shown, code="tls", hint="check --base-url and this machine's clock"
            )
    if isinstance(error, h11.ProtocolError | wsproto.utilities.ProtocolError):
        return TransientError("the service does not speak HTTP or WebSocket", code="protocol")
    shown = _say(reasons[-1])
    if was_open:
        return TransientError(f"the connection broke: {shown}", code=str(close_codes.ABNORMAL))
    return TransientError(f"no connection: {shown}", code=CONNECTION_CODE)


def _say(reason: BaseException) -> str:
    """Give what an error says without its number."""
    said = reason.strerror if isinstance(reason, OSError) else ""
    return _CONNECTING.sub(r"\1, port \2: ", said or str(reason)) or type(reason).__name__


def translate_answer(error: Exception, *, has_head: bool) -> SessionError:
    """Translate what a client of HTTP raises where an answer is none, or breaks off.

    Args:
        error: What was raised.
        has_head: Whether the answer had begun.
    """
    if not has_head and any(isinstance(reason, h11.ProtocolError) for reason in _chain(error)):
        return TransientError("the service does not speak HTTP", code="protocol")
    shown = "the answer ended early" if has_head else "the service closed it without an answer"
    return TransientError(f"the connection broke: {shown}", code=str(close_codes.ABNORMAL))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Walk down an error's causes, and through all the members of groups."""
    found: list[BaseException | None] = [error]
    while found:
        seen = found.pop(0)
        if seen is None:
            continue
        yield seen
        if isinstance(seen, BaseExceptionGroup):
            found.extend(seen.exceptions)
        else:
            found.append(seen.__cause__ or seen.__context__)
