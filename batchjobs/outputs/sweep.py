"""Removes the files below a run folder that nothing needs any more."""

import contextlib
import re
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Final

from batchjobs.checkpoint import Checkpoint
from batchjobs.files import run_folder, sockets
from batchjobs.files.shelf import Shelf
from batchjobs.outputs import suspects
from batchjobs.storage.held import sweep_folders

_OWN_NAME: Final = re.compile(r"\.?[0-9a-f]{64}\..*")


def sweep(checkpoint: Checkpoint) -> None:
    """Remove the files below a run folder that nothing needs any more.

    Raises:
        BatchjobsError: The checkpoint cannot be read.
    """
    sockets.remove(checkpoint.folder / run_folder.CONTROL)
    sweep_folders(checkpoint.folder / run_folder.HELD)
    _sweep_segments(checkpoint.shelf, checkpoint.segments.find_own_files())
    suspects.remove_rejected(checkpoint.shelf, checkpoint.lookups.find_rejected())
    suspects.sweep_suspects(checkpoint.shelf, *checkpoint.lookups.find_suspect_files())


def _sweep_segments(shelf: Shelf, kept: Collection[str]) -> None:
    """Remove what killed runs have left in the folder of segments, and the folder if it is empty.

    Args:
        shelf: Where the run's results stand.
        kept: Paths below the run folder of the files that are still needed.
    """
    place = shelf.folder / run_folder.SEGMENTS
    if place.is_symlink():
        return
    with contextlib.suppress(OSError):  # what cannot be removed does no harm
        shelf.remove(
            path
            for path in shelf.list_below(run_folder.SEGMENTS)
            if path not in kept and _OWN_NAME.fullmatch(PurePosixPath(path).name)
        )
        place.rmdir()  # unless something is left in it
