"""Where the results of a run stand: in its folder, unless that only holds what is worked with."""

import contextlib
import functools
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from batchjobs.files.atomic import NONE, publish
from batchjobs.files.paths import PathEscapeError, plain_path_inside


class Shelf:
    """The results in a run folder itself.

    Args:
        folder: The run folder.

    Attributes:
        is_here: Whether what stands on it is in the folder.
    """

    is_here = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @functools.cached_property
    def _root(self) -> Path:
        """The folder without links."""
        return self.folder.resolve()

    def has(self, path: str, size: int) -> bool:
        """Whether a plain file of this size stands there.

        Args:
            path: Its path below the run folder.
            size: In bytes.
        """
        try:
            status = os.lstat(f"{self.folder}/{path}")  # no Path, for a million of them
        except OSError:
            return False
        return stat.S_ISREG(status.st_mode) and status.st_size == size

    def has_any(self, path: str) -> bool:
        """Whether a plain file stands there."""
        return (self.folder / path).is_file()

    def find_size(self, path: str) -> int | None:
        """Find the size of a plain file there, in bytes; None if there is none.

        Args:
            path: Its path below the run folder; one that leads out names none.
        """
        try:
            place = plain_path_inside(self._root, path)
            return None if (self.folder / path).is_symlink() else place.stat().st_size
        except (OSError, PathEscapeError):
            return None

    def is_taken(self, path: str) -> bool:
        """Whether anything stands there, or in the folder."""
        return os.path.lexists(f"{self.folder}/{path}")

    def holding(self, paths: Iterable[str]) -> AbstractContextManager[Path]:
        """Have files here throughout a block, to be read; those that are gone are not there.

        Args:
            paths: Their paths below the run folder.

        Returns:
            A context manager that gives the folder below which they are.
        """
        del paths
        return nullcontext(self.folder)

    def publish(self, targets: Iterable[Path], parts: Mapping[Path, Path] = NONE) -> None:
        """Put written files in their places, durably.

        Args:
            targets: The places, in the run folder; the files stand beside them.
            parts: Where those stand that do not, by target.

        Raises:
            BatchjobsError: None of them may be called done.
        """
        publish(targets, parts)

    def show(self, names: Iterable[str]) -> None:
        """Let files of the run folder itself be seen where the results are: its reports.

        Args:
            names: Of the files; those that are not there are left out.

        Raises:
            BatchjobsError: The store failed, or the run is another's by now.
        """

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files that nothing needs any more; what cannot be removed does no harm.

        Args:
            paths: Their paths below the run folder.
        """
        for path in paths:
            with contextlib.suppress(OSError):
                (self.folder / path).unlink(missing_ok=True)

    def list_below(self, prefix: str) -> list[str]:
        """List the files in a folder.

        Args:
            prefix: The folder, below the run folder.
        """
        place = self.folder / prefix
        if place.is_symlink() or not place.is_dir():
            return []
        return [f"{prefix}/{entry.name}" for entry in place.iterdir()]
