"""The child process's program: reads its settings from standard input, serves until that closes."""

import contextlib
import faulthandler
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import trio

from batchjobs.errors import BatchjobsError
from batchjobs.process.tuning import tune_collector
from batchjobs.server.app import serve
from batchjobs.server.child import ChildError, ChildReady, ChildStart
from batchjobs.websocket.masking import install_fast_masker

_LAST_RESORT_SECONDS: Final = 10.0
_READ_BYTES: Final = 64 * 1024


def main() -> int:
    """Run the child and give its exit code."""
    logging.basicConfig(level=logging.WARNING, format="local server: %(levelname)s: %(message)s")
    with _private_stdout() as answer:
        return trio.run(_run, answer)


@contextlib.contextmanager
def _private_stdout() -> Iterator[int]:
    """Keep standard output for our one line, and send what an engine's library prints to stderr."""
    sys.stdout.flush()
    descriptor = os.dup(1)
    os.dup2(2, 1)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def _run(answer: int) -> int:
    code = 0
    async with trio.lowlevel.FdStream(os.dup(0)) as standard_input:
        start = _parse_start(await _read_line(standard_input))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_end_with, standard_input, nursery.cancel_scope)
            try:
                base_url: str = await nursery.start(serve, start.server)
            except BatchjobsError as error:
                name = type(error).__name__
                _send(answer, ChildError(name=name, message=error.message, hint=error.hint))
                code = error.exit_code
                nursery.cancel_scope.cancel()
            else:
                if start.library_hooks:
                    install_fast_masker()
                tune_collector()
                _send(answer, ChildReady(base_url=base_url))
    return code


async def _read_line(stream: trio.abc.ReceiveStream) -> bytes:
    received = b""
    while not received.endswith(b"\n"):
        piece = await stream.receive_some(_READ_BYTES)
        if not piece:
            break
        received += piece
    return received


def _parse_start(line: bytes) -> ChildStart:
    """Read the parent's line.

    Raises:
        SystemExit: It is something else, so this was started by hand.
    """
    try:
        return msgspec.json.decode(line, type=ChildStart, dec_hook=lambda _, value: Path(value))
    except msgspec.DecodeError:
        raise SystemExit("this is started by a run; 'batchjobs serve' starts a server") from None


async def _end_with(stream: trio.abc.ReceiveStream, scope: trio.CancelScope) -> None:
    """Wait for the parent to close our standard input, by will or by dying, and end."""
    with contextlib.suppress(trio.BrokenResourceError):
        await stream.receive_some(1)  # a parent has nothing more to say
    # An engine that does not come back must not leave an orphan.
    faulthandler.dump_traceback_later(_LAST_RESORT_SECONDS, exit=True)
    scope.cancel()


def _send(descriptor: int, message: ChildReady | ChildError) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(descriptor, msgspec.json.encode(message) + b"\n")


if __name__ == "__main__":
    sys.exit(main())
