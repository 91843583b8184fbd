"""Results that are in a run folder and belong to no row any more: whoever takes them all takes these too."""

import msgspec

from batchjobs.checkpoint import Checkpoint

_SHOWN = 3


class LeftFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Files of results that no row asks for.

    Attributes:
        count: How many there are.
        first: The paths of the first few below the run folder.
    """

    count: int = 0
    first: tuple[str, ...] = ()


def find_left_files(checkpoint: Checkpoint, *, done: int) -> LeftFiles:
    """Find the results of rows that were taken out, or were given another place or format.

    Args:
        checkpoint: The run folder's, with its rows adopted.
        done: How many of the rows are done. If no more files were ever ours, none is left over: what
            a finished folder of a million rows is told by, without a look at each.
    """
    if checkpoint.lookups.count_own_files() <= done:
        return LeftFiles()
    shelf = checkpoint.shelf
    paths = [path for path in checkpoint.lookups.find_unasked() if shelf.has_any(path)]
    return LeftFiles(count=len(paths), first=tuple(paths[:_SHOWN]))
