"""Files put in places where nothing is overwritten, and moved there so that a kill loses none."""

import contextlib
import errno
import hashlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NoReturn

from batchjobs.errors import BatchjobsError
from batchjobs.files.atomic import disk_error, make_folder, part_path, sync_folders, write_part
from batchjobs.files.paths import path_inside

_NO_LINKS: Final = frozenset({errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS})
"""What file systems say that have no second names, such as FAT and shares."""
_PIECE_BYTES: Final = 1 << 20


class ChangedError(BatchjobsError):
    """A file is not what it was when it was chosen; it stays where it is."""


def choose_place(root: Path, relative: Path, is_same: Callable[[Path], bool]) -> Path:
    """Choose where a file may stand below a root: where nothing is, or the same file is already.

    Args:
        root: The folder to stay in.
        relative: Where it is to stand, if that is free; else it gets a number before its ending.
        is_same: Whether what stands at a path is the file itself, from a move that was cut short.

    Raises:
        PathEscapeError: A link leads out of the root.
    """
    for number in itertools.count(1):
        name = relative if number == 1 else relative.with_stem(f"{relative.stem}~{number}")
        place = path_inside(root, str(name))
        if not os.path.lexists(place) or is_same(place):
            return place
    raise AssertionError  # numbers do not end


def put(part: Path, target: Path) -> None:
    """Give a finished file its name, durably, unless something has that name.

    Args:
        part: The file, in the same folder; it has no other name afterwards.
        target: Its name.

    Raises:
        FileExistsError: Something is there; the file is removed.
        OutputError: It cannot be created.
        DiskError: The disk failed or is full.
    """
    try:
        _name(part, target)
    except FileExistsError:
        part.unlink(missing_ok=True)
        raise
    except OSError as error:
        part.unlink(missing_ok=True)
        raise disk_error(error, target) from error
    sync_folders([target.parent])


def _name(part: Path, target: Path) -> None:
    try:
        os.link(part, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            _refuse(target)
        part.rename(target)
    else:
        part.unlink()


def move(
    source: Path,
    target: Path,
    *,
    state: tuple[int, int],
    sha256: str,
    is_same: Callable[[Path], bool],
) -> None:
    """Move a file to where nothing or itself is, also to another disk; killed, it is there or here.

    Args:
        source: The file.
        target: Where to, as `choose_place` gave it.
        state: Its size and time, by which it is known.
        sha256: Of its content.
        is_same: As for `choose_place`: another program may have taken the place since.

    Raises:
        ChangedError: It is not that file any more.
        FileExistsError: Something else stands there by now.
        OutputError: It cannot be created.
        DiskError: The disk failed or is full.
    """
    try:
        if not os.path.lexists(target):
            make_folder(target.parent)
            _bring(source, target, state, sha256)
            sync_folders([target.parent])
        if not is_same(target):
            _refuse(target)
        if _state_of(source) != state:
            raise ChangedError(f"{source} has changed since it was heard")
        source.unlink()
        sync_folders([source.parent])
    except FileNotFoundError as error:
        raise ChangedError(f"{source} is gone") from error
    except FileExistsError:
        raise
    except OSError as error:
        raise disk_error(error, target) from error


def _refuse(target: Path) -> NoReturn:
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None


def _bring(source: Path, target: Path, state: tuple[int, int], sha256: str) -> None:
    """Make a file stand in a second place."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS | {errno.EXDEV}:
            raise
        _copy(source, target, sha256)
    else:
        if _state_of(target) != state:
            target.unlink()
            raise ChangedError(f"{source} has changed since it was heard")


def _copy(source: Path, target: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    write_part(target, _read(source, digest))
    part = part_path(target)
    is_same = digest.hexdigest() == sha256
    if is_same:
        with contextlib.suppress(OSError):  # a file system that keeps less of it
            shutil.copystat(source, part)
        put(part, target)
    else:
        part.unlink(missing_ok=True)
        raise ChangedError(f"{source} has changed since it was heard")


def _read(path: Path, digest: "hashlib._Hash") -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
            yield piece


def _state_of(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_size, status.st_mtime_ns
