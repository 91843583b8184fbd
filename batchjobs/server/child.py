"""The local server as a child process: started, given its secrets by pipe, ended with the run."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import trio

from batchjobs import errors
from batchjobs.errors import BatchjobsError, ServiceUnavailableError
from batchjobs.server.settings import ServerSettings

_logger = logging.getLogger(__name__)
_READY_SECONDS: Final = 30.0
_EXIT_SECONDS: Final = 5.0
_READ_BYTES: Final = 64 * 1024
_LONGEST_LINE_BYTES: Final = 1024 * 1024


class ChildStart(msgspec.Struct, frozen=True, kw_only=True):
    """What the child reads in the one line on its standard input."""

    server: ServerSettings
    library_hooks: bool


class ChildReady(msgspec.Struct, tag="ready", frozen=True, kw_only=True):
    """The child's one line on its standard output when it serves."""

    base_url: str


class ChildError(msgspec.Struct, tag="error", frozen=True, kw_only=True):
    """The child's one line when it cannot: one of our errors."""

    name: str
    message: str
    hint: str


@asynccontextmanager
async def local_server(
    settings: ServerSettings, *, library_hooks: bool = True, withheld: Collection[str] = ()
) -> AsyncIterator[str]:
    """Run a local server in a child process for as long as the block lasts.

    The token travels through a pipe: neither ``ps`` nor the environment shows it. The child ends when
    that pipe closes, so it never outlives this process, however that dies; and a Ctrl-C in the
    terminal does not reach it, because a run drains first.

    Args:
        settings: The server's.
        library_hooks: Whether it puts faster parts into libraries.
        withheld: Environment variables that it is not given: the keys of other services.

    Yields:
        Its base URL, ``ws://127.0.0.1:PORT/api/v1``.

    Raises:
        ConfigurationError: The engine cannot be used.
        ServiceUnavailableError: The child died or was not ready in time.
    """
    process = await trio.lowlevel.open_process(
        [sys.executable, "-P", "-m", "batchjobs.server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=_environment(withheld),
        start_new_session=True,
    )
    try:
        start = ChildStart(server=settings, library_hooks=library_hooks)
        yield (await _start(process, start)).base_url
    finally:
        with trio.CancelScope(shield=True):
            await _end(process)


def _environment(withheld: Collection[str]) -> Mapping[str, str]:
    """Let the child import this package even where it is not installed but lies in a clone.

    ``-P`` keeps the current folder, a user's, off the child's path.
    """
    given = {name: value for name, value in os.environ.items() if name not in withheld}
    root = str(Path(errors.__file__).parents[1])
    if Path(root).name.endswith("-packages"):
        return given
    path = given.get("PYTHONPATH", "")
    return given | {"PYTHONPATH": f"{path}{os.pathsep}{root}" if path else root}


async def _start(process: trio.Process, start: ChildStart) -> ChildReady:
    answer = b""
    with trio.move_on_after(_READY_SECONDS) as scope:
        answer = await _converse(process, msgspec.json.encode(start, enc_hook=str) + b"\n")
    if scope.cancelled_caught:
        hint = "is the machine very busy? Try again"
        raise ServiceUnavailableError(
            f"the local server was not ready after {_READY_SECONDS:g} seconds", hint=hint
        )
    try:
        reply = msgspec.json.decode(answer, type=ChildReady | ChildError)
    except msgspec.DecodeError:
        raise await _explain_death(process) from None
    if isinstance(reply, ChildError):
        raise _error_of(reply)
    return reply


async def _explain_death(process: trio.Process) -> ServiceUnavailableError:
    """Say how a child ended that said nothing of use."""
    with trio.move_on_after(_EXIT_SECONDS):
        await process.wait()
    code = process.returncode
    if code is not None and code < 0:
        how = signal.strsignal(-code) or f"signal {-code}"
        return ServiceUnavailableError(
            f"the local server was ended as it started: {how}",
            hint="is there memory for it? Try again" if -code == signal.SIGKILL else "try again",
        )
    return ServiceUnavailableError(
        "the local server could not start", hint="what it wrote above says why"
    )


async def _converse(process: trio.Process, line: bytes) -> bytes:
    """Send the settings and give the child's answer, which is empty if it has died."""
    assert process.stdin is not None
    assert process.stdout is not None
    received = b""
    with contextlib.suppress(trio.BrokenResourceError):
        await process.stdin.send_all(line)
    while b"\n" not in received and len(received) < _LONGEST_LINE_BYTES:
        piece = await process.stdout.receive_some(_READ_BYTES)
        if not piece:
            break
        received += piece
    return received.partition(b"\n")[0]


def _error_of(reply: ChildError) -> BatchjobsError:
    """Make the child's error again, as the nearest class that takes just a message and a hint."""
    found = getattr(errors, reply.name, None)
    kind: type[BatchjobsError] = errors.ConfigurationError
    if isinstance(found, type) and issubclass(found, BatchjobsError):
        kind = found
    if issubclass(kind, errors.MissingExtraError):
        kind = errors.ConfigurationError
    return kind(reply.message, hint=reply.hint)


async def _end(process: trio.Process) -> None:
    """Close the pipe that keeps the child alive, and see it end."""
    assert process.stdin is not None
    assert process.stdout is not None
    if process.returncode is None:
        with trio.move_on_after(_EXIT_SECONDS):
            await process.stdin.aclose()
            await process.wait()
    if process.returncode is None:
        _logger.warning("the local server did not end by itself and was killed")
        process.kill()
        await process.wait()
    await process.stdin.aclose()
    await process.stdout.aclose()
