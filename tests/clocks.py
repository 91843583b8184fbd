"""Time for tests: virtual, and not disturbed by threads."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import trio
import trio.testing

__all__ = ["PATIENCE_SECONDS", "make_clock", "until", "until_soon"]

PATIENCE_SECONDS: Final = 300.0
"""How long anything real is waited for: to end a test that hangs, never to judge one that is slow."""


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds that another process or thread brings about."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.005)


async def until_soon(holds: Callable[[], object]) -> None:
    """Wait under trio, in real time, until something holds that nobody tells of."""
    with trio.fail_after(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110  # nobody tells
            await trio.sleep(0.001)


@contextlib.contextmanager
def make_clock() -> Iterator[trio.testing.MockClock]:
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

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio.to_thread, "run_sync", run_sync)
        yield clock
