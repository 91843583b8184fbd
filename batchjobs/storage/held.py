"""Folders for what is read for a while: each is one reader's own, and goes with the reader."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchjobs.errors import OutputError
from batchjobs.files.atomic import disk_error


@contextmanager
def have_own_folder(parent: Path) -> Iterator[Path]:
    """Have a folder of one's own throughout a block; what killed readers have left is removed.

    No reader sees what another is about to write, and none removes what another reads: of the same
    process or not.

    Args:
        parent: Where it is made, without links on the way; need not be there.

    Raises:
        BatchjobsError: It cannot be made.
    """
    sweep_folders(parent)
    if parent.is_symlink():
        raise OutputError(f"{parent} is a symbolic link", hint="the run folder was tampered with")
    try:
        folder, lock = _make_own(parent)
    except OSError as error:
        raise disk_error(error, parent) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        with contextlib.suppress(OSError):  # others are in it
            parent.rmdir()


def sweep_folders(parent: Path) -> None:
    """Remove the folders of readers that were killed; a lock tells those that live.

    Args:
        parent: Where they are; need not be there.
    """
    if parent.is_symlink():
        return
    with contextlib.suppress(OSError):  # what cannot be removed does no harm
        for folder in list(parent.iterdir()):
            with contextlib.suppress(OSError):
                lock = _lock(folder)
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)
        parent.rmdir()


def _make_own(parent: Path) -> tuple[Path, int]:
    """Make a folder and lock it; one that was swept before it was locked is made again."""
    while True:
        with contextlib.suppress(FileExistsError):
            parent.mkdir()
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            folder = Path(tempfile.mkdtemp(dir=parent))
            lock = _lock(folder)
            if folder.is_dir():
                return folder, lock
            os.close(lock)


def _lock(folder: Path) -> int:
    """Lock a folder until the descriptor that is given is closed, as it is when its process ends.

    Raises:
        BlockingIOError: It is another's.
        OSError: It is gone, or there are no locks here.
    """
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock
