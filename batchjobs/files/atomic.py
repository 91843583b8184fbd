"""Files that are whole or absent, whatever happens while they are written."""

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from batchjobs.errors import BatchjobsError, DiskError, DiskFullError, OutputError

NONE: Final[Mapping[Path, Path]] = MappingProxyType({})
"""Of files that all stand beside their places."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_CANNOT_CREATE = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ELOOP,
        errno.EEXIST,
        errno.ENAMETOOLONG,
    }
)


def disk_error(error: OSError, path: Path | str) -> BatchjobsError:
    """Translate a failed write into ours, by what can be done about it."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in _FULL:
        return DiskFullError(
            f"no space for {path}: {reason}", hint="make room and run the same command again"
        )
    if error.errno in _CANNOT_CREATE:
        return OutputError(f"cannot create {path}: {reason}", hint="choose another --output")
    return DiskError(f"cannot write {path}: {reason}", hint="check the disk before going on")


def part_path(target: Path) -> Path:
    """Where a file stands while it is being written: beside its target, so a rename is atomic."""
    return Path(_name_part(target))


def _name_part(target: Path) -> str:
    """Give the same as a text.

    A Path puts its last part into the interpreter's table of names. Six for each of 30,000 jobs made that
    grow twice, by 2 MiB, where one does so once (measured).
    """
    return f"{target.parent}/.{target.name}.part"


def write_part(target: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file's content at its `part_path` and sync it to the disk; `publish` moves it to its target.

    Args:
        target: Where the file will stand once it is published.
        data: The whole content, at once or in pieces.

    Raises:
        OutputError: It cannot be created.
        DiskError: The disk failed or is full. The unfinished file is removed.
    """

    def write(descriptor: int) -> None:
        for piece in (data,) if isinstance(data, bytes) else data:
            view = memoryview(piece)
            while view:
                view = view[os.write(descriptor, view) :]

    fill_part(target, write)


def fill_part(target: Path, fill: Callable[[int], None]) -> None:
    """Let a function write a file's content at its `part_path`, and sync it to the disk.

    Args:
        target: Where the file will stand once it is published.
        fill: Given an empty file's descriptor, to read and write; need not keep to one direction.

    Raises:
        OutputError: It cannot be created.
        DiskError: The disk failed or is full.
        Exception: Whatever `fill` raises. The unfinished file is removed in every case.
    """
    part = _name_part(target)
    try:
        descriptor = _create_part(part)
        try:
            fill(descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        _remove(part)
        raise disk_error(error, part) from error
    except BaseException:
        _remove(part)
        raise


def _create_part(part: str) -> int:
    """Make an empty file, and the folders above it if they are not there: its descriptor is returned.

    What may be in the way is looked at only if it is: every call lets go of the interpreter.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    try:
        return os.open(part, flags, 0o666)
    except FileNotFoundError:
        make_folder(Path(part).parent)
    except FileExistsError:
        # The left-over of a killed run, or a link that was put there, is not written through.
        Path(part).unlink()
    return os.open(part, flags, 0o666)


def publish(targets: Iterable[Path], parts: Mapping[Path, Path] = NONE) -> None:
    """Rename written parts onto their targets and sync the folders that hold them.

    Args:
        targets: As `path_inside` gave them, without symbolic links.
        parts: Where the parts of those targets stand that have theirs elsewhere, by target.

    Raises:
        OutputError: A folder became a symbolic link meanwhile: nothing is written through it.
        DiskError: A rename or sync failed: none of the targets may be called done.
    """
    places = list(targets)
    for folder in {target.parent for target in places}:
        if folder.resolve() != folder:
            hint = "the run folder was tampered with"
            raise OutputError(f"{folder} has become a symbolic link", hint=hint)
    _rename(places, parts)


def _rename(targets: Iterable[Path], parts: Mapping[Path, Path] = NONE) -> None:
    folders = set()
    for target in targets:
        try:
            if part := parts.get(target):
                make_folder(target.parent)
            os.replace(part or _name_part(target), target)  # noqa: PTH105  # no Path, see there
        except OSError as error:
            raise disk_error(error, target) from error
        folders.add(target.parent)
    sync_folders(folders)


def sync_folders(folders: Iterable[Path]) -> None:
    """Make renames in these folders durable.

    Raises:
        DiskError: The disk failed.
    """
    for folder in sorted(folders):
        try:
            _sync_folder(folder)
        except OSError as error:
            raise disk_error(error, folder) from error


def write_whole(target: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file so that its path holds either the old content or all of the new.

    Raises:
        OutputError: It cannot be created.
        DiskError: The disk failed or is full.
    """
    write_part(target, data)
    _rename([target])


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each synced into its own: a rename in it is durable too."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: str) -> None:
    try:
        Path(path).unlink(missing_ok=True)
    except OSError:  # the error that brought us here is the one to tell
        return
