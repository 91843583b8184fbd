"""Where results are to stand: inside the run folder, and on nobody else's file."""

import os
import stat
from pathlib import Path
from typing import Final

from batchjobs.files.paths import path_inside

__all__ = ["Places"]

_FOLDERS_REMEMBERED: Final = 1_000


class Places:
    """Looks at places below a run folder, for a million rows: by strings, remembering folders.

    pathlib takes longer than the system does.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder
        self._folder = str(folder)
        self._inside: set[str] = set()
        self._absent: set[str] = set()

    def check_inside(self, output: str) -> None:
        """Check that a place is in the run folder: following every path to its end takes long.

        What stands beside a place that was checked is inside if it is no link.

        Raises:
            PathEscapeError: It leads out.
        """
        above, _, name = output.rpartition("/")
        if above in self._inside and name not in {"", ".", ".."} and "\0" not in name:
            if above in self._absent:
                return
            try:
                if stat.S_ISREG(os.lstat(f"{self._folder}/{output}").st_mode):
                    return
            except FileNotFoundError:
                return
            except OSError:  # it is looked at more closely
                pass
        place = path_inside(self._path, output)
        # Not if a link in a folder outside led back in.
        is_plain = place.parent == (self._path / above).resolve()
        if is_plain and len(self._inside) < _FOLDERS_REMEMBERED:
            self._inside.add(above)
            if not _is_there(f"{self._folder}/{above}"):
                self._absent.add(above)

    def is_there(self, output: str) -> bool:
        """Whether anything stands at a place, a link that leads nowhere too."""
        above = output.rpartition("/")[0]
        return above not in self._absent and _is_there(f"{self._folder}/{output}")


def _is_there(path: str) -> bool:
    try:
        os.lstat(path)
    except OSError:
        return False
    return True
