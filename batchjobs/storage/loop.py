"""Where requests to a store run: so that whoever waits for one can take it back.

obstore's calls that block cannot be interrupted: Ctrl-C waits for as long as a request is tried again
(measured: more than 100 s behind a server that never answers). So the requests run in an event loop of
asyncio in a thread of their own, and who waits for one takes it back when he is interrupted: its
connection is closed at once.
"""

import atexit
import contextlib
import functools
import os
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

_Result = TypeVar("_Result")
_Piece = TypeVar("_Piece")
_LAST_WORDS_SECONDS: Final = 0.05


def submit(coroutine: Coroutine[object, object, _Result]) -> "Future[_Result]":
    """Begin something in the loop; the future that is given can be cancelled."""
    import asyncio

    return asyncio.run_coroutine_threadsafe(coroutine, _start_loop(os.getpid()))


def call(coroutine: Coroutine[object, object, _Result]) -> _Result:
    """Do something in the loop, and wait for it; it is given up if the wait is interrupted."""
    return wait(submit(coroutine))


def wait(future: "Future[_Result]") -> _Result:
    """Wait for something in the loop; it is given up if the wait is interrupted."""
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


async def take_next(stream: AsyncIterator[_Piece]) -> _Piece | None:
    """Take the next piece of what comes in pieces; None if there is none."""
    async for piece in stream:
        return piece
    return None


@functools.cache
def _start_loop(process: int) -> "asyncio.AbstractEventLoop":  # noqa: ARG001  # after a fork: another
    import asyncio

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="object storage", daemon=True).start()
    atexit.register(_end_loop, loop)
    return loop


def _end_loop(loop: "asyncio.AbstractEventLoop") -> None:
    """Give up what is under way before the interpreter ends.

    obstore's threads tell it of requests that have ended, cancelled ones too; where it is gone by then,
    they print a panic (seen with a program that ended at once).
    """
    import asyncio

    async def give_up() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.wait(others or {asyncio.create_task(asyncio.sleep(0))}, timeout=1.0)

    with contextlib.suppress(TimeoutError):
        asyncio.run_coroutine_threadsafe(give_up(), loop).result(1.0)
    time.sleep(_LAST_WORDS_SECONDS)
