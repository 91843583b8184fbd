"""Where results are to stand: inside the run folder, on no file that is not the run's, each its own."""

import functools
import hashlib
import os
import stat
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from batchjobs.audio import formats
from batchjobs.checkpoint import NewRows, Row
from batchjobs.files.paths import PathEscapeError, path_inside

_FOLDERS_REMEMBERED: Final = 1_000
_RESULT_ENDINGS: Final = (*formats.ENDINGS, ".txt")
_DIGEST_HEX_DIGITS: Final = 10


class OutputPaths:
    """Looks at paths below a run folder, for a million rows: by strings, remembering folders.

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
        """Check that a path stays in the run folder: following every one to its end takes long.

        What stands beside a path that was checked is inside if it is no link.

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

    def are_inside(self, rows: NewRows) -> bool:
        """Whether all these results stay in the run folder; if not, `check_inside` says which does not.

        Args:
            rows: The last parts of their paths are plain names.
        """
        try:
            for output in rows.folders.values():
                self.check_inside(output)
            for output in self.list_in_present_folders(rows):
                self.check_inside(output)
        except PathEscapeError:
            return False
        return True

    def list_in_present_folders(self, rows: NewRows) -> Sequence[str]:
        """List the paths of results that do not lie in folders that are known not to be there."""
        absent = self._absent
        if absent.issuperset(rows.folders):
            return ()
        return [output for output in rows.outputs if output.rpartition("/")[0] not in absent]

    def is_there(self, output: str) -> bool:
        """Whether anything stands at a path, a link that leads nowhere too."""
        above = output.rpartition("/")[0]
        return above not in self._absent and _is_there(f"{self._folder}/{output}")


def fold(output: str) -> str:
    """Give a path as file systems see it that ignore case and ways of writing a letter."""
    if output.isascii():
        return output.lower()
    return unicodedata.normalize("NFC", output).casefold()


def move_row(row: Row, output: str) -> Row:
    """Give a row another path."""
    return row._replace(output=output, place=fold(output))


def folders_like_results(row: Row) -> tuple[str, ...]:
    """Give the folded paths of the folders above a row's output that have a result's ending."""
    return _list_like_results((row.place or "").rpartition("/")[0])


def find_folders_like_results(rows: NewRows) -> list[tuple[int, str]]:
    """Find what `folders_like_results` gives of rows, each with the row's position."""
    if not any(map(_list_like_results, map(fold, rows.folders))):
        return []
    return [
        (position, folder)
        for position, place in enumerate(rows.places, rows.first_position)
        for folder in _list_like_results(place.rpartition("/")[0])
    ]


@functools.lru_cache(maxsize=_FOLDERS_REMEMBERED)
def _list_like_results(folder: str) -> tuple[str, ...]:
    """List a folder and those above it, where they have a result's ending."""
    path = PurePosixPath(folder)
    return tuple(str(each) for each in (path, *path.parents) if str(each).endswith(_RESULT_ENDINGS))


def second_path(row_id: str, output: str) -> str:
    """Give the path for a job whose own is taken by an id that differs only in case."""
    digest = hashlib.sha256(row_id.encode()).hexdigest()[:_DIGEST_HEX_DIGITS]
    path = Path(output)
    return str(path.with_stem(f"{path.stem}-{digest}"))


def _is_there(path: str) -> bool:
    try:
        os.lstat(path)
    except OSError:
        return False
    return True
