"""The way to a running run: a socket in its folder, on which it is asked, and the asking."""

import logging
import os
import socket
import struct
from pathlib import Path
from typing import Final

import trio

from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import BatchjobsError, NoRunError, UsageError
from batchjobs.files import run_folder, sockets
from batchjobs.runner.control import Control, to_error_reply
from batchjobs.runner.requests import (
    LONGEST_LINE_BYTES,
    Reply,
    Request,
    decode_reply,
    decode_request,
    encode_line,
)

_logger = logging.getLogger(__name__)
_PATIENCE_SECONDS: Final = 10.0
"""A client says what it wants in this time, and takes its answer in as much."""
_ANSWER_SECONDS: Final = 60.0
"""A run that has much to write answers late."""
_CLIENTS_AT_ONCE: Final = 16
"""More are turned away: each has a descriptor, which a session may need."""
_CREDENTIALS: Final = struct.Struct("3i")


async def serve_control(folder: Path, control: Control) -> None:
    """Take requests until cancelled; where there can be no socket, a run goes on without.

    Args:
        folder: The run folder, held by us.
        control: Does what is asked.
    """
    path = folder / run_folder.CONTROL
    try:
        listening = await trio.to_thread.run_sync(sockets.listen, path)
    except OSError as error:
        _logger.warning(
            "the run cannot be asked for anything ('batchjobs ctl'): no socket at %s: %s",
            path,
            error.strerror or error,
        )
        return
    clients = trio.CapacityLimiter(_CLIENTS_AT_ONCE)

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                clients.acquire_nowait()
            except trio.WouldBlock:
                return
            try:
                await _serve(stream, control)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # whoever asked has gone; what was done is done
            except Exception:  # no request is worth a run
                _logger.exception("a request to the run failed unexpectedly")
            finally:
                clients.release()

    try:
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        await trio.serve_listeners(handle, [listener])
    finally:
        sockets.remove(path)


async def _serve(stream: trio.SocketStream, control: Control) -> None:
    """Answer one client's one request."""
    line = b""
    with trio.move_on_after(_PATIENCE_SECONDS):
        line = await _read_line(stream)
    if not line:
        return
    try:
        asker = _check_peer(stream)
        reply = await control.carry_out(decode_request(line), asker=asker)
    except BatchjobsError as error:
        reply = to_error_reply(error)
    with trio.move_on_after(_PATIENCE_SECONDS):
        await stream.send_all(encode_line(reply))


async def _read_line(stream: trio.SocketStream) -> bytes:
    """Read a line; empty if none comes, or none that is short enough."""
    received = bytearray()
    while len(received) <= LONGEST_LINE_BYTES:
        piece = await stream.receive_some()
        if not piece:
            return b""
        received += piece
        line, is_whole, _ = bytes(received).partition(b"\n")
        if is_whole:
            return line
    return b""


def _check_peer(stream: trio.SocketStream) -> str:
    """Say who asks.

    Raises:
        UsageError: Another user does; the file's mode lets none in, but it can be changed.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return "ctl"
    content = stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    assert isinstance(content, bytes)
    process, user, _ = _CREDENTIALS.unpack(content)
    if user != os.getuid():
        raise UsageError(
            f"the run is another user's: number {os.getuid()}, and you are {user}",
            hint="ask as its owner",
        )
    return f"asked for by process {process}"


def ask(folder: str | Path, request: Request) -> Reply:
    """Ask a run that goes on for something, and wait until it is done.

    Args:
        folder: The run folder.
        request: What is asked.

    Raises:
        NoRunError: No run goes on in the folder.
        UsageError: It cannot be done, or the run is another user's.
        BatchjobsError: The run has ended meanwhile, or does not answer.
    """
    folder = Path(folder)
    path = folder / run_folder.CONTROL
    try:
        owner = path.stat().st_uid
        if owner != os.getuid():
            raise _not_ours(folder, owner)
        with sockets.connect(path, _ANSWER_SECONDS) as connection:
            connection.sendall(encode_line(request))
            with connection.makefile("rb") as stream:
                line = stream.readline()
    except PermissionError as error:
        raise _not_ours(folder) from error
    except TimeoutError as error:
        raise BatchjobsError(
            f"the run in {folder} has not answered for {_ANSWER_SECONDS:g} s",
            hint="it may be stopped, or its disk hang; ask again",
        ) from error
    except OSError as error:
        raise _explain_absence(folder, error) from error
    if not line:
        raise BatchjobsError(
            f"the run in {folder} has ended, or turned us away, before it answered",
            hint=f"'batchjobs status {folder}' says how it stands",
        )
    reply = decode_reply(line)
    if reply.error:
        raise UsageError(reply.error, hint=reply.hint)
    return reply


def _not_ours(folder: Path, owner: int | None = None) -> UsageError:
    whose = "another user's" if owner is None else f"of the user with the number {owner}"
    return UsageError(f"the run in {folder} is {whose}", hint="ask as its owner")


def _explain_absence(folder: Path, error: OSError) -> BatchjobsError:
    """Say why nobody can be asked: there is no run, none goes on, or it could make no socket."""
    with Checkpoint.read(folder) as checkpoint:
        if not checkpoint.is_running():
            return NoRunError(
                f"no run is going on in {folder}", hint="start it; then it can be asked"
            )
    return NoRunError(
        f"the run in {folder} cannot be asked: {os.strerror(error.errno or 0)}",
        hint="it may be starting, or be a watch that has nothing to hear just now: ask again; or it could "
        "make no socket, as its log says, or is of an earlier version",
    )
