"""What shows that a result is still there: its files, with the sizes that they had."""

import os
import stat
from collections.abc import Sequence

from batchjobs.checkpoint import Checkpoint, FinishedPage, JobRecord, Row, SegmentRecord
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


def find_open(shelf: Shelf, page: FinishedPage, files: InputFiles) -> list[int]:
    """Find the positions of a page's rows that have no file, or one that is not as it was, in order.

    Args:
        shelf: Where the run's results stand.
        page: The rows' files.
        files: Asks after recordings.
    """
    found = page.find_without_files()
    if found or not _are_as_they_were(shelf, page, files):
        columns = zip(page.positions, page.paths, page.sizes, page.times, strict=True)
        for position, path, size, modified_ns in columns:
            if not _is_as_it_was(shelf, path, size, modified_ns, files):
                found.add(position)
    return sorted(found)


def _is_as_it_was(
    shelf: Shelf, path: str, size: int, modified_ns: int | None, files: InputFiles
) -> bool:
    """Whether a file of a run, or a recording with its time, has not changed."""
    try:
        if modified_ns is None:
            return shelf.has(path, size)
        if is_address(path):
            return files.is_as_it_was(path, FileFacts(size, modified_ns))
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (size, modified_ns)


def _are_as_they_were(shelf: Shelf, page: FinishedPage, files: InputFiles) -> bool:
    """Whether no file of a page has changed: what is nearly always so is found out without a call for each."""
    look, is_plain = os.lstat, stat.S_ISREG
    place = f"{shelf.folder}/" if shelf.is_here else ""
    try:
        for path, size, modified_ns in zip(page.paths, page.sizes, page.times, strict=True):
            if modified_ns is not None or not place:
                if not _is_as_it_was(shelf, path, size, modified_ns, files):
                    return False
                continue
            status = look(place + path)
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
