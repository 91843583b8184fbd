"""A server takes requests with longer heads than the library's 16 KiB, within a limit."""

from typing import Any

import pytest
import trio
import trio.testing
from trio_websocket import wrap_client_stream, wrap_server_stream

from batchjobs.websocket.heads import take_long_heads


class _Start:
    """Starts the library's reader with the limit in place, as far as it is asked."""

    def __init__(self, nursery: trio.Nursery, limit_bytes: int) -> None:
        self._nursery = nursery
        self._limit_bytes = limit_bytes

    def start_soon(self, reader: Any) -> None:
        """Start it."""
        if self._limit_bytes:
            assert take_long_heads(reader, self._limit_bytes)
        self._nursery.start_soon(reader)


async def _is_taken(size: int, limit_bytes: int) -> bool:
    """Shake hands with a target of so many bytes, which are read in pieces of 4 KiB."""
    theirs, ours = trio.testing.memory_stream_pair()
    is_taken = False
    try:
        async with trio.open_nursery() as nursery:

            async def answer() -> None:
                start = _Start(nursery, limit_bytes)
                request = await wrap_server_stream(start, theirs)  # type: ignore[arg-type]
                await request.accept()

            nursery.start_soon(answer)
            with trio.fail_after(5):
                await wrap_client_stream(nursery, ours, "x", "/?" + "a" * size)  # type: ignore[arg-type]
            is_taken = True
            nursery.cancel_scope.cancel()
    except* Exception:  # of either side, however it says so
        pass
    return is_taken


@pytest.mark.parametrize(
    ("size", "limit_bytes", "is_taken"),
    [(15_000, 0, True), (49_000, 0, False), (49_000, 65_536, True), (80_000, 65_536, False)],
)
async def test_a_long_head_is_taken_up_to_the_limit(
    size: int, limit_bytes: int, *, is_taken: bool, autojump_clock: object
) -> None:
    """Without this, 16 KiB; with it, what is asked, and no more."""
    assert await _is_taken(size, limit_bytes) is is_taken


def test_another_library_is_left_as_it_is() -> None:
    """It goes on with its own limit."""

    async def reader() -> None:
        return None

    assert not take_long_heads(reader, 1)
