"""Files and paths, safely: names that stay inside their root, writes that are whole or absent."""

import errno
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from batchjobs.errors import BatchjobsError, DiskError, DiskFullError, OutputError

__all__ = [
    "PathEscapeError",
    "disk_error",
    "fill_part",
    "part_path",
    "path_inside",
    "plain_path_inside",
    "publish",
    "sync_folders",
    "write_part",
    "write_whole",
]

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
# Plain files by their mode, but the system's: /proc/self/environ holds the keys.
_SYSTEM = (Path("/proc"), Path("/sys"))
_ODD_PARTS = frozenset({"", ".", ".."})


class PathEscapeError(BatchjobsError):
    """A path leads out of the folder it must stay in, or to something that is no plain file."""

    exit_code = 65


def path_inside(root: Path, relative: str) -> Path:
    """Resolve a path that must stay below a root, symbolic links included.

    Args:
        root: The folder to stay in.
        relative: The path as somebody wrote it; absolute is fine if it is below the root.

    Returns:
        The resolved absolute path. It need not exist.

    Raises:
        PathEscapeError: It leaves the root, is the root, or names something else than a plain file.
    """
    if not relative or "\0" in relative:
        raise PathEscapeError(f"{relative!r} is no path")
    base = root.resolve()
    try:
        path = (base / relative).resolve()
    except (OSError, RuntimeError, UnicodeEncodeError) as error:
        # RuntimeError: a loop of symbolic links, before 3.13. UnicodeEncodeError: a lone surrogate.
        raise PathEscapeError(f"the path {relative!r} cannot be followed") from error
    if path == base or not path.is_relative_to(base):
        raise PathEscapeError(f"the path {relative!r} leaves {root}")
    if any(path.is_relative_to(folder) for folder in _SYSTEM):
        raise PathEscapeError(f"{relative!r} is not a plain file")
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return path
    except OSError as error:
        raise PathEscapeError(f"the path {relative!r} cannot be followed") from error
    if not stat.S_ISREG(mode):
        raise PathEscapeError(f"{relative!r} is not a plain file")
    return path


def plain_path_inside(root: Path, relative: str) -> Path:
    """Give a path below a root as `path_inside` does, at less cost where no link is on the way.

    Args:
        root: The folder to stay in, resolved.
        relative: A path below it.

    Raises:
        PathEscapeError: It leads out, or is none.
    """
    parts = relative.split("/")
    is_odd = any(part in _ODD_PARTS or "\0" in part for part in parts)
    if not is_odd and root != root.parent:
        path = str(root)
        try:
            for part in parts[:-1]:
                path = f"{path}/{part}"
                if not stat.S_ISDIR(os.lstat(path).st_mode):
                    return path_inside(root, relative)
            if not stat.S_ISREG(os.lstat(f"{path}/{parts[-1]}").st_mode):
                return path_inside(root, relative)
        except FileNotFoundError:
            return root / relative
        except (OSError, UnicodeEncodeError):
            pass  # what it is, is said below
        else:
            return root / relative
    return path_inside(root, relative)


def disk_error(error: OSError, path: Path) -> BatchjobsError:
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
    return target.with_name(f".{target.name}.part")


def write_part(target: Path, data: bytes | Iterable[bytes]) -> Path:
    """Write a file's content beside its target and sync it to the disk.

    Args:
        target: Where the file will stand once it is published.
        data: The whole content, at once or in pieces.

    Returns:
        The path written; `publish` moves it to the target.

    Raises:
        OutputError: It cannot be created.
        DiskError: The disk failed or is full. The unfinished file is removed.
    """

    def write(descriptor: int) -> None:
        for piece in (data,) if isinstance(data, bytes) else data:
            view = memoryview(piece)
            while view:
                view = view[os.write(descriptor, view) :]

    return fill_part(target, write)


def fill_part(target: Path, fill: Callable[[int], None]) -> Path:
    """Let a function write a file's content beside its target, and sync it to the disk.

    Args:
        target: Where the file will stand once it is published.
        fill: Given an empty file's descriptor, to read and write; need not keep to one direction.

    Returns:
        The path written.

    Raises:
        OutputError: It cannot be created.
        DiskError: The disk failed or is full.
        Exception: Whatever `fill` raises. The unfinished file is removed in every case.
    """
    part = part_path(target)
    try:
        descriptor = _created(part)
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
    return part


def _created(part: Path) -> int:
    """Make an empty file, and the folders above it if they are not there; gives its descriptor.

    What may be in the way is looked at only if it is: every call lets go of the interpreter.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    try:
        return os.open(part, flags, 0o666)
    except FileNotFoundError:
        _make_folder(part.parent)
    except FileExistsError:
        # The left-over of a killed run, or a link that somebody put there, is not written through.
        part.unlink()
    return os.open(part, flags, 0o666)


def publish(targets: Iterable[Path]) -> None:
    """Rename written parts onto their targets and sync the folders that hold them.

    Args:
        targets: As `path_inside` gave them, without symbolic links.

    Raises:
        OutputError: A folder became a symbolic link meanwhile: nothing is written through it.
        DiskError: A rename or sync failed: none of the targets may be called done.
    """
    places = list(targets)
    for folder in {target.parent for target in places}:
        if folder.resolve() != folder:
            hint = "the run folder was tampered with"
            raise OutputError(f"{folder} has become a symbolic link", hint=hint)
    _rename(places)


def _rename(targets: Iterable[Path]) -> None:
    folders = set()
    for target in targets:
        try:
            part_path(target).replace(target)
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


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each synced into its own: a rename in it is durable too."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # the error that brought us here is the one to tell
        return
