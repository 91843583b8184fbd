"""Where results in doubt are kept: paid for, never under a final name, until they are accepted."""

import contextlib
import hashlib
import math
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from batchjobs import text
from batchjobs.checkpoint import RejectedResult, Row
from batchjobs.files import run_folder
from batchjobs.files.atomic import part_path
from batchjobs.files.shelf import Shelf

_DIGEST_HEX_DIGITS: Final = 10
_SAME_LENGTH: Final = 0.1
"""How far the logarithms of two lengths may be apart: a voice that is sampled varies by as much."""


def choose_path(row: Row, taken: Collection[str]) -> str:
    """Choose a path below the run folder for a result in doubt.

    Never the path where an earlier one is kept: until the better of the two is committed, both are
    there, and so is what the row had before it was edited.

    Args:
        row: The row that it was bought for.
        taken: Where results of the job are kept already, of whatever content.
    """
    output = PurePosixPath(row.output)
    stem = text.file_stem(row.id)
    if output.stem != stem or not run_folder.is_in_usual_place(row.output):
        # Only the usual places tell apart what ids and outputs of all kinds may call alike.
        stem += f"-{hashlib.sha256(row.output.encode()).hexdigest()[:_DIGEST_HEX_DIGITS]}"
    return run_folder.suspect_path(stem, output.suffix, taken)


def is_same_length(seconds: float, other_seconds: float) -> bool:
    """Whether two results in doubt of one text are as long as each other.

    Then it is the service's way to speak that text, and a third would cost more and say no more.
    """
    if not seconds or not other_seconds:
        return seconds == other_seconds
    return abs(math.log(seconds / other_seconds)) <= _SAME_LENGTH


def remove_rejected(shelf: Shelf, results: Iterable[RejectedResult]) -> None:
    """Remove what stands under final names though it was rejected; it is kept among those in doubt.

    Whatever else stands there is somebody's own, who did better than what was rejected.

    Args:
        shelf: Where the run's results stand.
        results: The rejected results, and their places.
    """
    for place, record in results:
        paths = run_folder.files_of_result(place)
        for path, kept in zip(paths, record.files, strict=False):
            file = replace(kept, path=path)
            if not shelf.has(path, file.bytes):
                continue
            from batchjobs.outputs import reuse

            with shelf.holding([path]) as held:
                is_same = not reuse.find_changes(held, [file])
            if is_same:
                shelf.remove([path])


def sweep_suspects(shelf: Shelf, ours: Collection[str], used: Collection[str]) -> None:
    """Remove what is kept no longer, and what killed runs have left.

    Args:
        shelf: Where the run's results stand.
        ours: Paths below it where we have kept results, or were about to.
        used: Paths that are in use.
    """
    folder = shelf.folder
    place = folder / run_folder.SUSPECTS
    if not ours or place.is_symlink() or (shelf.is_here and not place.is_dir()):
        return
    left = [
        file for path in sorted(set(ours) - set(used)) for file in run_folder.files_of_result(path)
    ]
    with contextlib.suppress(OSError):  # what cannot be removed does no harm
        shelf.remove(left)
        for file in left:
            part_path(folder / file).unlink(missing_ok=True)
        place.rmdir()  # unless something is left in it
