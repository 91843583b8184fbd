"""Files in a run folder that no row needs: found, and removed so that a kill at any moment does no harm."""

import enum
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from batchjobs.checkpoint import Checkpoint, FileRecord
from batchjobs.files import run_folder
from batchjobs.files.atomic import disk_error, part_path, sync_folders
from batchjobs.outputs import reuse
from batchjobs.planning.output_paths import fold

_PAGE: Final = 10_000
_Item = TypeVar("_Item")


class Leftover(enum.StrEnum):
    """What kind of thing is not needed; the value says it in words."""

    RESULTS = "results of rows that are gone, or were given another place"
    TAKES = "takes that a check has bought or set apart"
    SEGMENTS = "segments of long jobs that are done"
    SUSPECTS = "results in doubt that no row has any more"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A file that is not needed.

    Attributes:
        kind: Why.
        main: The path of the result that it is of, below the run folder.
        path: Its own.
        bytes: Its size.
    """

    kind: Leftover
    main: str
    path: str
    bytes: int


class Pruner:
    """Finds and removes what is not needed in one run folder.

    Args:
        checkpoint: The folder's.
        is_of_takes: Whether it is the run of takes, of which no row needs anything.
    """

    def __init__(self, checkpoint: Checkpoint, *, is_of_takes: bool = False) -> None:
        self.checkpoint = checkpoint
        self._root = checkpoint.folder.resolve()
        self._is_of_takes = is_of_takes
        self.changed: list[str] = []
        """Paths of files that are others than were written: they stay."""
        self._gone: list[str] = []
        self.waiting = checkpoint.leftovers.count_unfinished_long()
        """Rows of several segments that are not done: nothing that has segments goes before they are."""

    @property
    def needs_takes(self) -> bool:
        """Whether a check was killed as it put takes in their places, and still needs them."""
        return bool(self.checkpoint.lookups.find_exchanges())

    def name_of(self, path: str) -> str:
        """Give a path as it is from the run folder."""
        return f"{run_folder.TAKES}/{path}" if self._is_of_takes else path

    def find(self, progress: Callable[[int], None] = lambda _: None) -> list[FoundFile]:
        """Find the files that are there and that nothing needs, in order.

        Args:
            progress: Called with how many were found: each is read, to see that it is as it was.

        Raises:
            DiskError: The checkpoint is damaged.
        """
        files = []
        for file in itertools.chain(
            self._find_results(), self._find_suspects(), self._find_segments()
        ):
            files.append(file)
            progress(len(files))
        return files

    def find_takes_apart(self, besides: Iterable[str]) -> list[FoundFile]:
        """Find the clips that a check itself has put among the takes: each row's own, set apart.

        Args:
            besides: Paths below the run folder of those that were bought as takes.
        """
        paths = self.checkpoint.leftovers.find_takes() - set(besides)
        return [file for path in sorted(paths) for file in self._look_at(Leftover.TAKES, path, ())]

    def remove(
        self, files: Sequence[FoundFile], progress: Callable[[int], None] = lambda _: None
    ) -> None:
        """Remove files: first what is known of them, at last that they were ours.

        Killed in between, the next one finds those that are still there.

        Args:
            files: As they were found.
            progress: Called with how many are gone.

        Raises:
            DiskError: The disk failed.
        """
        # What is gone already is forgotten, too: whatever stands there next is somebody else's.
        mains = sorted({*self._gone, *(file.main for file in files)})
        for page in _pages(mains):
            self.checkpoint.forget(page, is_any=self._is_of_takes)
        if self.checkpoint.shelf.is_here:
            self._unlink(files, progress)
        else:
            self._delete(files, progress)
        for page in _pages(mains):
            self.checkpoint.disown(page)

    def _unlink(self, files: Sequence[FoundFile], progress: Callable[[int], None]) -> None:
        folders = set()
        for number, file in enumerate(files, start=1):
            path = self._root / file.path
            try:
                path.unlink(missing_ok=True)
                part_path(path).unlink(missing_ok=True)
            except OSError as error:
                raise disk_error(error, path) from error
            folders.add(path.parent)
            progress(number)
        sync_folders(folder for folder in folders if folder.is_dir())

    def _delete(self, files: Sequence[FoundFile], progress: Callable[[int], None]) -> None:
        gone = 0
        for page in _pages(files):
            self.checkpoint.shelf.remove([file.path for file in page])
            gone += len(page)
            progress(gone)

    def _find_results(self) -> Iterable[FoundFile]:
        leftovers = self.checkpoint.leftovers
        kind = Leftover.TAKES if self._is_of_takes else Leftover.RESULTS
        for page in _pages(leftovers.find_results(is_any=self._is_of_takes)):
            paths = [each.path for each in page]
            # On some file systems these are the files of rows that are called alike.
            taken = leftovers.find_places([fold(path) for path in paths])
            homes = leftovers.find_segment_homes(paths) if self.waiting else set[str]()
            for path, files in page:
                is_needed = path in homes or (fold(path) in taken and not self._is_of_takes)
                if not is_needed and not path.startswith(f"{run_folder.TAKES}/"):
                    yield from self._look_at(kind, path, files)

    def _find_suspects(self) -> Iterable[FoundFile]:
        leftovers = self.checkpoint.leftovers
        records = leftovers.find_suspects(is_any=self._is_of_takes)
        paths = [record.output for record in records]
        homes = leftovers.find_segment_homes(paths) if self.waiting else set[str]()
        for record in records:
            if record.output not in homes:
                yield from self._look_at(Leftover.SUSPECTS, record.output, record.files)

    def _find_segments(self) -> Iterable[FoundFile]:
        if self.waiting:
            return
        paths = dict.fromkeys(each.path for each in self.checkpoint.leftovers.find_segments())
        for path in paths:
            yield from self._look_at(Leftover.SEGMENTS, path, ())

    def _look_at(
        self, kind: Leftover, main: str, files: Sequence[FileRecord]
    ) -> Iterable[FoundFile]:
        """Give the files of a result that are there and are what was written."""
        paths = [file.path for file in files] or run_folder.files_of_result(main)
        known = {file.path: file for file in files}
        shelf = self.checkpoint.shelf
        for path in paths:
            size = shelf.find_size(path)
            if size is None:
                if path == main and not (self._root / path).is_symlink():
                    self._gone.append(path)
                continue
            if path in known and self._has_changed(known[path]):
                self.changed.append(path)
            else:
                yield FoundFile(kind=kind, main=main, path=path, bytes=size)

    def _has_changed(self, file: FileRecord) -> bool:
        with self.checkpoint.shelf.holding([file.path]) as place:
            return bool(reuse.find_changes(place, [file]))


def _pages(items: Iterable[_Item]) -> Iterable[list[_Item]]:
    rest = iter(items)
    while page := list(itertools.islice(rest, _PAGE)):
        yield page
