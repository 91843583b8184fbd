"""The signals that stop a command: raised while it plans, noted while it works and reports."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

_STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_URGENT_SECONDS: Final = 1.0


class Interrupted(KeyboardInterrupt):
    """A signal came before anything was begun.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class SignalNote:
    """What came while nothing could be done about it.

    Attributes:
        number: The first signal; 0 if none came.
        is_urgent: Whether a second came, and somebody does what can be done about it.
    """

    def __init__(self) -> None:
        self.number = 0
        self.is_urgent = False
        self._is_heeded = False
        self._timer: threading.Timer | None = None

    @contextlib.contextmanager
    def heed_second(self) -> Iterator[None]:
        """Let a second signal be urgent for as long as the block lasts: a second later it ends the process."""
        self._is_heeded = True
        try:
            yield
        finally:
            self._is_heeded = False

    def take(self, number: int) -> None:
        """Note a signal, in its handler."""
        if not self.number:
            self.number = number
        elif self._is_heeded and not self.is_urgent:
            self.is_urgent = True
            for each in list_stopping():
                signal.signal(each, signal.SIG_DFL)  # the third one ends it
            self._timer = threading.Timer(_URGENT_SECONDS, os.kill, (os.getpid(), number))
            self._timer.daemon = True
            self._timer.start()
        else:
            die_at_once(number)

    def close(self) -> None:
        """Let the process live, now that all is done."""
        if self._timer is not None:
            self._timer.cancel()


def list_stopping() -> tuple[signal.Signals, ...]:
    """Give the signals that may stop us: what ``nohup`` or a shell has switched off stays off.

    None outside the main thread: no other can listen.
    """
    if threading.current_thread() is not threading.main_thread():
        return ()
    return tuple(n for n in _STOPPING if signal.getsignal(n) is not signal.SIG_IGN)


@contextlib.contextmanager
def raise_first() -> Iterator[None]:
    """Let the first signal raise `Interrupted`, so that the command can tidy up and die of it."""

    def interrupt(number: int, _: FrameType | None) -> None:
        for each in list_stopping():
            signal.signal(each, signal.SIG_DFL)  # tidying up may hang: the second one ends it
        raise Interrupted(number)

    with _handle_with(interrupt):
        yield


@contextlib.contextmanager
def note_first() -> Iterator[SignalNote]:
    """Note the first signal and go on; a second one ends the process at once, unless somebody heeds it.

    For the moments that must come to their end and soon do: the start of a local server, and the
    writing of the results.
    """
    found = SignalNote()
    with _handle_with(lambda number, _: found.take(number)):
        try:
            yield found
        finally:
            found.close()


def die_at_once(number: int) -> None:
    """End the process as the system does by a signal; whatever hangs is left as it is."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def pass_on(number: int) -> None:
    """Let a signal that was noted mean what it means to the program, now that all is tidy.

    Returns if the program's own handler does.

    Args:
        number: The signal; 0 if none came.

    Raises:
        KeyboardInterrupt: It is SIGINT, with Python's own handler. With the system's, the process
            dies of it.
    """
    if number:
        signal.raise_signal(number)


@contextlib.contextmanager
def _handle_with(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle the signals for as long as the block lasts."""
    before = {number: signal.getsignal(number) for number in list_stopping()}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, previous in before.items():
            # None: it was installed from outside Python, where it cannot be put back.
            signal.signal(number, signal.SIG_DFL if previous is None else previous)
