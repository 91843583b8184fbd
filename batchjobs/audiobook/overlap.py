"""Work on one thing while the next is made: an iterator that runs ahead in a thread of its own."""

import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

_T = TypeVar("_T")
_AHEAD: Final = 4
"""Things that wait between two threads: blocks of a second, so memory does not grow with a book."""
_LOOK_SECONDS: Final = 0.1


class _End:
    """Stands at the end of what comes, with the error that ended it, if any."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class RunAhead(Generic[_T]):
    """Makes an iterator's things in a thread, some of them ahead of who takes them, in order.

    Decoders, filters and encoders work outside the interpreter's lock, so that each iterator of this
    kind has a processor of its own. An error comes where it would have come. The thread has ended
    when the ``with`` block is left, however that is.

    Args:
        items: What is to be made; nobody else may take from it.
    """

    def __init__(self, items: Iterator[_T]) -> None:
        self._items = items
        self._waiting: queue.Queue[_T | _End] = queue.Queue(_AHEAD)
        self._has_left = threading.Event()
        self._thread = threading.Thread(target=self._make, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait for the thread, which makes no more than what it is at."""
        self._has_left.set()
        self._thread.join()

    def __iter__(self) -> Iterator[_T]:
        """Take what is made."""
        while not isinstance(item := self._take(), _End):
            yield item
        if item.error is not None:
            raise item.error

    def _take(self) -> "_T | _End":
        while True:
            try:
                return self._waiting.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                if self._has_left.is_set():  # whoever fed us has stopped, so nothing comes
                    return _End()

    def _make(self) -> None:
        end = _End()
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as error:  # noqa: BLE001  # raised where it is waited for
            end = _End(error)
        self._put(end)

    def _put(self, item: "_T | _End") -> bool:
        """Hand on a thing; tells whether somebody still takes them."""
        while not self._has_left.is_set():
            try:
                self._waiting.put(item, timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
            return True
        return False
