"""Delivers messages in a thread of its own: no run waits for it, whatever the receiver does.

By the standard library: ``--notify`` is there without any extra, and a thread that hangs in somebody
else's network, or in a name that is not resolved, is left behind at the end.
"""

import contextlib
import http.client
import logging
import ssl
import threading
import time
from collections import deque
from typing import Final

from batchjobs.limits import GrowingWait
from batchjobs.notices.address import check_address, hide_address
from batchjobs.notices.signature import sign

_logger = logging.getLogger(__name__)
_TIMEOUT_SECONDS: Final = 10.0
_MOST_WAITING: Final = 100
_TRIES: Final = 10
"""With waits of 1, 2, 4 … seconds, up to five minutes: a quarter of an hour."""
_TAKEN: Final = range(200, 300)
_PASSING: Final = frozenset({408, 425, 429, *range(500, 600)})
"""What a receiver says that may take it later."""
CLOSING_SECONDS: Final = 5.0
"""So long the end of a run waits for what is on its way."""


class Courier:
    """Posts messages to one address, one after the other, each until it is taken or given up.

    Args:
        url: A checked address.
        secret: What messages are signed with.
        first_wait_seconds: How long after a first failure to try again.
    """

    def __init__(self, url: str, secret: str, *, first_wait_seconds: float = 1.0) -> None:
        self._url = url
        self._secret = secret
        self._first_wait_seconds = first_wait_seconds
        self._waiting: deque[bytes] = deque()
        self._lost = 0
        self._is_closing = False
        self._turn = threading.Condition()
        self._thread = threading.Thread(target=self._deliver_all, name="notices", daemon=True)
        self._thread.start()

    def send(self, body: bytes) -> None:
        """Take a message to be delivered; the oldest one goes where too many are waiting."""
        with self._turn:
            self._waiting.append(body)
            if len(self._waiting) > _MOST_WAITING:
                self._waiting.popleft()
                self._lost += 1
            self._turn.notify_all()

    def close(self, seconds: float = CLOSING_SECONDS) -> int:
        """Wait until all is delivered, but no longer than so.

        Returns:
            How many messages were not taken, over all.
        """
        with self._turn:
            self._is_closing = True
            self._turn.notify_all()
        self._thread.join(seconds)
        with self._turn:
            lost = self._lost + len(self._waiting)
            self._waiting.clear()
        if lost:
            _logger.warning("%s has not taken messages: %d", hide_address(self._url), lost)
        return lost

    def _deliver_all(self) -> None:
        while (body := self._next()) is not None:
            is_taken = self._deliver(body)
            with self._turn:
                if self._waiting and self._waiting[0] is body:
                    self._waiting.popleft()
                    self._lost += not is_taken

    def _next(self) -> bytes | None:
        with self._turn:
            self._turn.wait_for(lambda: self._waiting or self._is_closing)
            return self._waiting[0] if self._waiting else None

    def _deliver(self, body: bytes) -> bool:
        """Post a message until it is taken, or nobody will take it."""
        waits = GrowingWait(first_seconds=self._first_wait_seconds, factor=2, most_seconds=300)
        answer = self._post(body)
        for _ in range(_TRIES - 1):
            if not _may_pass(answer) or self._is_last_chance():
                break
            with self._turn:
                self._turn.wait_for(self._is_last_chance, waits.next_seconds())
            answer = self._post(body)
        if answer in _TAKEN:
            return True
        _logger.warning("%s does not take a message: %s", hide_address(self._url), answer)
        return False

    def _is_last_chance(self) -> bool:
        """Whether the run has ended: then each message is posted once more, and that is all."""
        return self._is_closing

    def _post(self, body: bytes) -> int | str:
        """Post a message once: the status of the answer, or what went wrong; follows no redirect."""
        parts = check_address(self._url)
        assert parts.hostname is not None
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=_TIMEOUT_SECONDS, context=context
            )
        else:
            connection = http.client.HTTPConnection(
                parts.hostname, parts.port, timeout=_TIMEOUT_SECONDS
            )
        path = parts.path or "/"
        if parts.query:
            path += f"?{parts.query}"
        headers = {"Content-Type": "application/json", "User-Agent": "batchjobs"}
        headers |= sign(body, secret=self._secret, timestamp=int(time.time()))
        with contextlib.closing(connection):
            try:
                connection.request("POST", path, body, headers)
                return connection.getresponse().status
            except (OSError, http.client.HTTPException) as error:
                return type(error).__name__


def _may_pass(answer: int | str) -> bool:
    """Whether to try again: after a failure of the way there, or where the receiver is busy."""
    return isinstance(answer, str) or answer in _PASSING
