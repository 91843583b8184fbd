"""Clips as files of their own, some hundred written as one piece, copied or linked."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from batchjobs.dataset.clips import Clip
from batchjobs.dataset.layout import Plan, WrittenFile
from batchjobs.dataset.samples import Sample
from batchjobs.errors import OutputError
from batchjobs.files.atomic import disk_error, sync_folders


class ClipFiles:
    """Some clips in folders.

    Args:
        plan: The dataset's.
        folder: Where the clips are, below the dataset's folder.
    """

    changed_texts = 0

    def __init__(self, plan: Plan, folder: str) -> None:
        self._plan = plan
        self._folder = folder
        self._links = plan.settings.link
        self._written: list[Path] = []
        self._folders: set[Path] = set()

    def add(self, sample: Sample, clip: Clip) -> str:
        """Write a clip, or link to the run's; what lies there from before is replaced."""
        path = f"{self._folder}/{self._plan.place_of(sample.number)}.{clip.ending}"
        target = self._plan.folder / path
        try:
            if target.parent not in self._folders:
                target.parent.mkdir(parents=True, exist_ok=True)
                self._folders.add(target.parent)
            target.unlink(missing_ok=True)
            if self._links and not clip.is_made:
                self._link(Path(clip.path), target)
            else:
                _write(clip, target)
                self._written.append(target)
        except OSError as error:
            raise disk_error(error, target) from error
        return path

    def close(self) -> Iterable[WrittenFile]:
        """Sync the clips: together, which takes a fraction of the time that each alone would."""
        for path in self._written:
            with path.open("rb") as file:
                os.fsync(file.fileno())
        sync_folders(self._folders)
        return ()

    def _link(self, source: Path, target: Path) -> None:
        if self._links == "symbolic":
            target.symlink_to(source.resolve())
            return
        try:
            target.hardlink_to(source)
        except OSError as error:
            if error.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK}:
                raise
            raise OutputError(
                f"{source} cannot be linked to from {target.parent}: {error.strerror}",
                hint="leave out --link, give --link symbolic, or an --output on the run's disk",
            ) from error


def _write(clip: Clip, target: Path) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        clip.write(descriptor)
    finally:
        os.close(descriptor)
