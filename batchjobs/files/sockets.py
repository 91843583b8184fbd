"""A Unix socket in a folder: its owner's alone from the moment it is there, however long the folder's path."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LONGEST_PATH_BYTES: Final = 100
"""Of a socket's address; Linux takes 107, macOS 103."""
_DESCRIPTORS: Final = Path("/proc/self/fd")
_PART: Final = ".part"


def listen(path: Path) -> socket.socket:
    """Listen at a path; one that a killed process has left there is replaced.

    Only for whoever holds the folder. Nobody can connect before it has its mode and its name: a mask
    for new files would hold for other threads' files, too.

    Raises:
        OSError: There can be no socket there, say because the file system has none.
    """
    made = path.with_name(path.name + _PART)
    remove(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(OSError):  # on Linux the file has it then from the first
            os.fchmod(listening.fileno(), 0o600)
        with _address(made) as address:
            listening.bind(address)
        made.chmod(0o600)
        listening.listen()
        made.replace(path)
    except BaseException:
        listening.close()
        with contextlib.suppress(OSError):
            made.unlink()
        raise
    return listening


def remove(path: Path) -> None:
    """Remove a socket, and what a killed process has left of making one."""
    for each in (path, path.with_name(path.name + _PART)):
        with contextlib.suppress(OSError):
            each.unlink()


def connect(path: Path, seconds: float) -> socket.socket:
    """Connect to who listens at a path.

    Args:
        path: The socket.
        seconds: How long to wait, here and in what is done with it.

    Raises:
        OSError: No one listens there, or it is not ours.
    """
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.settimeout(seconds)
        with _address(path) as address:
            connected.connect(address)
    except BaseException:
        connected.close()
        raise
    return connected


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """Give an address that is short enough: by a descriptor of the folder where the path is not.

    Raises:
        OSError: The path is too long, and there are no names for descriptors here.
    """
    whole = str(path.absolute())
    if len(os.fsencode(whole)) <= _LONGEST_PATH_BYTES:
        yield whole
        return
    if not _DESCRIPTORS.is_dir():
        raise OSError(0, f"the path is longer than the {_LONGEST_PATH_BYTES} bytes of an address")
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"{_DESCRIPTORS / str(folder) / path.name}"
    finally:
        os.close(folder)
