"""Time for tests: virtual, and not disturbed by threads."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import trio
import trio.testing

__all__ = ["standing"]


@contextlib.contextmanager
def standing() -> Iterator[trio.testing.MockClock]:
    """Give a clock that jumps over every wait, and stands still while a thread is at work.

    An autojump clock takes a loop that waits for a thread for an idle one, and fires the next
    deadline. So here every hop into a thread stops it.
    """
    clock = trio.testing.MockClock(autojump_threshold=0)
    hop = trio.to_thread.run_sync
    busy = 0

    async def run_sync(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        nonlocal busy
        busy += 1
        clock.autojump_threshold = float("inf")
        try:
            return await hop(function, *arguments, **options)
        finally:
            busy -= 1
            if not busy:
                clock.autojump_threshold = 0

    trio.to_thread.run_sync = run_sync
    try:
        yield clock
    finally:
        trio.to_thread.run_sync = hop
