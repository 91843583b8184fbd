"""A second hand: it moves while nothing else does."""

import threading
from collections.abc import Callable
from typing import Final

_PATIENCE_SECONDS: Final = 1.0
"""A terminal that takes no more (Ctrl-S) holds the thread up, and must not hold up the run."""


class Ticker:
    """Calls something every second, in a thread of its own, until it is stopped.

    A thread, and no task of the run: the clock moves also while the local server starts, and while
    results are put in place.

    Args:
        tick: Does something quick, and raises nothing.
        every_seconds: How often.
    """

    def __init__(self, tick: Callable[[], None], *, every_seconds: float = 1.0) -> None:
        self._tick = tick
        self._every_seconds = every_seconds
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="second hand", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_stopped.wait(self._every_seconds):
            self._tick()

    def stop(self) -> None:
        """Call it no more."""
        self._is_stopped.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(_PATIENCE_SECONDS)
