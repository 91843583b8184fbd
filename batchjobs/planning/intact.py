"""What shows that a result is still there: its files, with the sizes that they had."""

import os
import stat
from collections.abc import Sequence

from batchjobs.checkpoint import Checkpoint, FinishedFile, JobRecord, Row, SegmentRecord
from batchjobs.files.address import is_address
from batchjobs.files.shelf import Shelf
from batchjobs.storage.input_files import InputFiles
from batchjobs.storage.reading import FileFacts


def is_intact(shelf: Shelf, record: JobRecord) -> bool:
    """Whether a finished job's files are there with their sizes, and `verify` found nothing else."""
    if not record.files or record.is_damaged:
        return False
    return all(shelf.has(file.path, file.bytes) for file in record.files)


def can_serve(shelf: Shelf, record: JobRecord, row: Row) -> bool:
    """Whether a job's files are there and can become those of a row that asks the same."""
    return record.can_become(row.output) and record.has_layout_of(row) and is_intact(shelf, record)


def is_as_it_was(shelf: Shelf, file: FinishedFile, files: InputFiles) -> bool:
    """Whether a file of a run, or a recording with its time, has not changed.

    Args:
        shelf: Where the run's results stand.
        file: The file.
        files: Asks after recordings.
    """
    _, path, size, modified_ns = file
    try:
        if modified_ns is None:
            return shelf.has(path, size)
        if is_address(path):
            return files.is_as_it_was(path, FileFacts(size, modified_ns))
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (size, modified_ns)


def are_as_they_were(shelf: Shelf, page: Sequence[FinishedFile], files: InputFiles) -> bool:
    """Whether no file of a page has changed: what is nearly always so is found out without a call for each.

    Args:
        shelf: Where the run's results stand.
        page: The files.
        files: Asks after recordings.
    """
    if not shelf.is_here:
        return all(is_as_it_was(shelf, file, files) for file in page)
    look, is_plain, folder = os.lstat, stat.S_ISREG, str(shelf.folder)
    try:
        for file in page:
            _, path, size, modified_ns = file
            if modified_ns is not None:
                if not is_as_it_was(shelf, file, files):
                    return False
                continue
            status = look(f"{folder}/{path}")
            if status.st_size != size or not is_plain(status.st_mode):
                return False
    except OSError:
        return False
    return True


def find_held_segments(checkpoint: Checkpoint, keys: Sequence[str]) -> dict[str, SegmentRecord]:
    """Find the segments of these keys that are there: transcripts, and files of the right size.

    Whether a file holds what it should is seen when it is read.
    """
    shelf = checkpoint.shelf
    sizes: dict[tuple[str, int], bool] = {}
    found = {}
    for key, places in checkpoint.segments.find(keys).items():
        # A good one before one in doubt, wherever they are.
        for segment in sorted(places, key=lambda place: bool(place.doubts)):
            place = segment.path, segment.bytes
            if place not in sizes:
                sizes[place] = not segment.path or shelf.has(segment.path, segment.bytes)
            if sizes[place]:
                found[key] = segment
                break
    return found
