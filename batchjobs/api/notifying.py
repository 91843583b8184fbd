"""Tells a program elsewhere what becomes of a run or a watch, if that was asked for."""

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from batchjobs.api.request import Request
from batchjobs.errors import BatchjobsError, ConfigurationError, InternalError
from batchjobs.notices.address import check_address
from batchjobs.notices.messages import Notifier
from batchjobs.notices.signature import SECRET_VARIABLE
from batchjobs.progress import Event, Observer

if TYPE_CHECKING:
    from batchjobs.notices.courier import Courier


@contextlib.contextmanager
def notifying(request: Request, *, is_watch: bool = False) -> Iterator[Notifier | None]:
    """Send messages for as long as the block lasts, and a few seconds more; None if nobody asked.

    Args:
        request: What was asked for.
        is_watch: Whether runs are the rounds of a watch.

    Raises:
        ConfigurationError: The address, or the secret, is missing or wrong.
    """
    with contextlib.ExitStack() as stack:
        courier = _start_courier(request)
        if courier is not None:
            stack.callback(courier.close)
        with _telling(request, courier, is_watch=is_watch) as notifier:
            yield notifier


@contextlib.asynccontextmanager
async def notifying_within_trio(
    request: Request, *, is_watch: bool = False
) -> AsyncIterator[Notifier | None]:
    """Do the same in somebody's event loop, which goes on while the last messages are on their way.

    Args:
        request: As for `notifying`.
        is_watch: As for `notifying`.
    """
    import trio

    courier = _start_courier(request)
    try:
        with _telling(request, courier, is_watch=is_watch) as notifier:
            yield notifier
    finally:
        if courier is not None:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(courier.close)


def _start_courier(request: Request) -> "Courier | None":
    url = request.options.notify
    if not url:
        return None
    check_address(url)
    secret = os.environ.get(SECRET_VARIABLE, "")
    if not secret:
        raise ConfigurationError(
            f"messages to --notify are signed, and {SECRET_VARIABLE} is not set",
            hint="put a long random text into it, which the receiver has as well",
        )
    from batchjobs.notices.courier import Courier

    return Courier(url, secret)


@contextlib.contextmanager
def _telling(
    request: Request, courier: "Courier | None", *, is_watch: bool
) -> Iterator[Notifier | None]:
    """Make messages of what happens, and one of an error that ends the block."""
    if courier is None:
        yield None
        return
    notifier = Notifier(str(request.folder.absolute()), courier.send, is_watch=is_watch)
    try:
        yield notifier
    except Exception as error:
        code = error.exit_code if isinstance(error, BatchjobsError) else InternalError.exit_code
        reason = error.describe() if isinstance(error, BatchjobsError) else type(error).__name__
        notifier.tell_end("watch_finished" if is_watch else "run_finished", code, reason)
        raise


def join_observers(observe: Observer | None, notifier: Notifier | None) -> Observer | None:
    """Make one observer of two."""
    if notifier is None or observe is None:
        return notifier or observe

    def tell(event: Event) -> None:
        notifier(event)
        observe(event)

    return tell
