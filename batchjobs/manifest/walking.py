"""A walk through a folder: its files in order, and what is no file or is not to be looked at."""

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Final, TypeAlias

from batchjobs.errors import ManifestError
from batchjobs.manifest.left_out import Cause, LeftOut, kind_of, show_path
from batchjobs.manifest.sightings import State

_SPECIAL: Final = {
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}
_PARTIAL: Final = frozenset(
    """
    .part .partial .crdownload .opdownload .download .filepart .incomplete .aria2 .!ut .!qb .tmp .temp
    """.split()
)
"""Names that browsers, rsync, WinSCP and download managers give to what they have not finished."""
_PARTIAL_ENDINGS: Final = tuple(_PARTIAL)

_Identity: TypeAlias = tuple[int, int]


def is_hidden(path: PurePath) -> bool:
    """Whether a path leads through a hidden name; so are those that copies have until they are whole."""
    return any(part.startswith(".") for part in path.parts)


def is_partial(path: PurePath) -> bool:
    """Whether a name says that the file is not whole yet."""
    return path.suffix.lower() in _PARTIAL


def list_folders(
    folder: str, *, skipped: Collection[str] = ()
) -> Iterator[tuple[str, dict[str, State] | None]]:
    """List a folder and those below it, one after the other; what `walk` leaves alone is left out.

    A third of the time of `walk`, for whoever looks again and again (0.7 s for 300,000 files, measured). Links are
    not followed.

    Args:
        folder: The folder.
        skipped: Paths of folders and files that are not looked at.

    Yields:
        A folder's path, and the sizes and times of its plain files by name; None if it cannot be read.

    Raises:
        ManifestError: The folder itself cannot be read.
    """
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        try:
            yield place, _list_files(place, waiting, skipped)
        except OSError as error:
            if place == folder:
                raise ManifestError(f"{folder} cannot be read: {error.strerror}") from error
            yield place, None


def _list_files(place: str, waiting: list[str], skipped: Collection[str]) -> dict[str, State]:
    found = {}
    with os.scandir(place) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(".") or entry.path in skipped:
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif not name.lower().endswith(_PARTIAL_ENDINGS):
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:  # it is gone
                    continue
                if stat.S_ISREG(status.st_mode):
                    found[name] = status.st_size, status.st_mtime_ns
    return found


def walk(
    folder: Path, *, root: Path | None = None, follows_links: bool = False
) -> Iterator[Path | LeftOut]:
    """Walk through a folder, names in order, without following it in circles.

    What a link leads to comes after everything that is found without links, and only if it is not
    among that. Nothing is opened but folders, and no folder that cannot be read ends the walk.

    Args:
        folder: The folder.
        root: What the paths of what is left out are relative to, if not to the folder.
        follows_links: Whether links are followed at all.

    Yields:
        Plain files, and what is left out.

    Raises:
        ManifestError: The folder itself cannot be read.
    """
    walk = _Walk(root or folder, follows_links=follows_links)
    try:
        first = walk.enter(folder)
    except OSError as error:
        raise ManifestError(f"{folder} cannot be read: {error.strerror}") from error
    yield from walk.go(first)
    yield from walk.follow()


class _Walk:
    def __init__(self, root: Path, *, follows_links: bool) -> None:
        self._root = root
        self._follows_links = follows_links
        self._links: list[Path] = []
        self._seen: set[_Identity] = set()
        """Files and folders that were found, while links are to be followed."""

    def go(self, entries: Sequence[os.DirEntry[str]]) -> Iterator[Path | LeftOut]:
        """Walk through a folder's entries, and those of the folders below; deep trees need no stack."""
        waiting = [iter(entries)]
        while waiting:
            entry = next(waiting[-1], None)
            if entry is None:
                waiting.pop()
                continue
            path, kind = Path(entry.path), "folder"
            if entry.name.startswith("."):
                yield self._leave(path, "hidden", Cause.HIDDEN)
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(iter(self.enter(path)))
                    continue
                kind = kind_of(path)
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISLNK(mode) and self._follows_links:
                    self._links.append(path)
                    continue
                self._is_new(path)
            except OSError as error:
                yield self._leave(path, kind, Cause.UNLISTED, error.strerror or "")
            else:
                yield self._take(path, mode)

    def follow(self) -> Iterator[Path | LeftOut]:
        """Walk through what the links lead to, and the links below that."""
        while self._links:
            path = self._links.pop(0)
            try:
                mode = path.stat().st_mode
                if not self._is_new(path):
                    reason = "what it leads to is found without it"
                    yield self._leave(path, "link", Cause.LINK, reason)
                elif stat.S_ISDIR(mode):
                    yield from self.go(_list(path))
                else:
                    yield self._take(path, mode)
            except OSError as error:
                yield self._leave(path, "link", Cause.LINK, f"it leads nowhere: {error.strerror}")

    def enter(self, folder: Path) -> list[os.DirEntry[str]]:
        """List a folder's entries in order, and note that it was come upon."""
        self._is_new(folder)
        return _list(folder)

    def _take(self, path: Path, mode: int) -> Path | LeftOut:
        if stat.S_ISREG(mode):
            return path
        if stat.S_ISLNK(mode):
            return self._leave(path, "link", Cause.LINK, "--links follows it")
        return self._leave(path, _SPECIAL.get(stat.S_IFMT(mode), "special"), Cause.SPECIAL)

    def _is_new(self, path: Path) -> bool:
        """Note that it was come upon, and say whether for the first time; only links lead to more."""
        if not self._follows_links:
            return True
        status = path.stat()
        identity = status.st_dev, status.st_ino
        is_new = identity not in self._seen
        self._seen.add(identity)
        return is_new

    def _leave(self, path: Path, kind: str, cause: Cause, reason: str = "") -> LeftOut:
        shown = show_path(path.relative_to(self._root))
        return LeftOut(path=shown, kind=kind, cause=cause, reason=reason)


def _list(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)
