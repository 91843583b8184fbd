"""A store that gives no answer is told: who waits for it does not know why nothing goes on."""

import contextlib
import logging
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

_logger = logging.getLogger(__name__)
_TOLD_SECONDS: Final = 5.0
"""So long a request may be without an answer."""


class Silence:
    """Tells that a store is silent, and that it answers again, once each; all within the loop.

    Args:
        place: What is called so in messages.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._answered_at = -math.inf
        self._is_told = False

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Watch a request for as long as it is waited for; one that ends without an error is answered."""
        import asyncio

        timers: list[asyncio.TimerHandle] = []
        loop = asyncio.get_running_loop()
        self._look_later(loop, timers, loop.time())
        try:
            yield
        finally:
            timers[-1].cancel()
        self._answered_at = loop.time()
        if self._is_told:
            self._is_told = False
            _logger.warning("%s answers again", self._place)

    def _look_later(
        self, loop: "asyncio.AbstractEventLoop", timers: "list[asyncio.TimerHandle]", since: float
    ) -> None:
        timers[:] = [loop.call_later(_TOLD_SECONDS, self._look, loop, timers, since)]

    def _look(
        self, loop: "asyncio.AbstractEventLoop", timers: "list[asyncio.TimerHandle]", since: float
    ) -> None:
        if not self._is_told and self._answered_at <= since:
            self._is_told = True
            message = "%s has not answered for %.0f s; it goes on being asked, and is waited for"
            _logger.warning(message, self._place, _TOLD_SECONDS)
        # Others may have had the last answer: what is still asked may wait in vain all the same.
        self._look_later(loop, timers, max(since, self._answered_at))
