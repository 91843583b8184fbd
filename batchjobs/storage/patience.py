"""How long an answer of a store is waited for: less once it was away for long, or once somebody wants out."""

import math
from collections.abc import Coroutine
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final, TypeVar

from batchjobs.storage.loop import call, submit
from batchjobs.storage.silence import Silence

if TYPE_CHECKING:
    import asyncio

_Result = TypeVar("_Result")
_LOST_SECONDS: Final = 5.0
"""So long the next answer is waited for where the last one never came: an end of a run asks several times."""
_SILENCE_SECONDS: Final = 1.0
"""So long a store may be silent where somebody wants out, for each answer."""
_HURRY_SECONDS: Final = 10.0
"""So long it is waited for in all then."""


class NoPatienceError(Exception):
    """An answer was not waited for any longer."""


class Patience:
    """Makes requests to one store, one after the other or side by side, from any thread.

    Args:
        place: Of the store, for messages.
    """

    def __init__(self, place: str) -> None:
        self._silence = Silence(place)
        self._waiting: set[asyncio.Timeout] = set()
        self._is_lost = False
        self._ends_at = math.inf

    def wait_for(
        self, request: Coroutine[object, object, _Result], *, is_long: bool = False
    ) -> _Result:
        """Make a request, and wait for its answer; a wait that is interrupted gives it up.

        Args:
            request: What is asked.
            is_long: Whether much goes up or comes with it: then silence says nothing of the store.

        Raises:
            NoPatienceError: It took too long, by what is known of the store and of us.
        """
        return call(self._wait_for(request, is_long=is_long))

    def lose(self) -> None:
        """Note that the store was waited for in vain."""
        self._is_lost = True

    def hurry(self) -> None:
        """Wait no longer than a moment for each answer that is still to come, and not for many."""
        submit(self._hurry())

    async def _wait_for(
        self, request: Coroutine[object, object, _Result], *, is_long: bool
    ) -> _Result:
        import asyncio

        now = asyncio.get_running_loop().time()
        if now >= self._ends_at:
            request.close()
            raise NoPatienceError
        seconds = _LOST_SECONDS if self._is_lost else math.inf
        if self._ends_at < math.inf:
            seconds = _SILENCE_SECONDS
        deadline = min(now + seconds, self._ends_at)
        timeout = asyncio.timeout_at(deadline if deadline < math.inf else None)
        try:
            async with timeout:
                self._waiting.add(timeout)
                with nullcontext() if is_long else self._silence.watch():
                    answer = await request
        except TimeoutError as error:
            if timeout.expired():
                raise NoPatienceError from error
            raise
        finally:
            self._waiting.discard(timeout)
        self._is_lost = False
        return answer

    async def _hurry(self) -> None:
        import asyncio

        now = asyncio.get_running_loop().time()
        self._ends_at = min(self._ends_at, now + _HURRY_SECONDS)
        for timeout in self._waiting:
            when = timeout.when()
            timeout.reschedule(min(math.inf if when is None else when, now + _SILENCE_SECONDS))
