"""The lock of a run folder: one run at a time; it dies with its process."""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from batchjobs.errors import OutputError, RunLockedError
from batchjobs.files.atomic import sync_folders

_GLANCE_SECONDS: Final = 0.05


def lock_folder(folder: Path) -> int:
    """Make a folder if need be and lock it, until the descriptor that is returned is closed.

    Raises:
        RunLockedError: Another run holds it.
        OutputError: It cannot be made, or there are no locks there.
    """
    try:
        made = [place.parent for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        sync_folders(made)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise OutputError(
            f"cannot use {folder}: {os.strerror(error.errno or 0)}", hint="choose another --output"
        ) from error
    try:
        _take(lock)
    except BlockingIOError as error:
        os.close(lock)
        raise RunLockedError(
            f"another run is going on in {folder}",
            hint="wait for it or stop it, or choose another --output",
        ) from error
    except OSError as error:
        os.close(lock)
        raise OutputError(
            f"cannot lock {folder}: {os.strerror(error.errno or 0)}",
            hint="choose an --output on a disk of this machine",
        ) from error
    return lock


def is_locked(folder: Path) -> bool:
    """Tell whether another process, or another checkpoint of this one, holds a folder."""
    try:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(place, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks: no run would begin there
        return False
    finally:
        os.close(place)
    return False


def _take(lock: int) -> None:
    """Take the folder's lock; `is_locked`, which may just look, holds it for microseconds.

    Raises:
        BlockingIOError: Another run has it.
        OSError: There are no locks here.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(_GLANCE_SECONDS)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
