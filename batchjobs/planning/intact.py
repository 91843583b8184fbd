"""What shows that a result is still there: its files, with the sizes that they had."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from batchjobs.checkpoint import Checkpoint, FinishedFile, JobRecord, Row, SegmentRecord
from batchjobs.files.address import is_address
from batchjobs.storage.input_files import InputFiles
from batchjobs.storage.reading import FileFacts


def is_intact(folder: Path, record: JobRecord) -> bool:
    """Whether a finished job's files are there with their sizes, and `verify` found nothing else."""
    if not record.files or record.is_damaged:
        return False
    # Strings, for a million paths: pathlib takes longer than the system does.
    return all(has_size(f"{folder}/{file.path}", file.bytes) for file in record.files)


def can_serve(folder: Path, record: JobRecord, row: Row) -> bool:
    """Whether a job's files are there and can become those of a row that asks the same."""
    return record.can_become(row.output) and record.has_layout_of(row) and is_intact(folder, record)


def is_as_it_was(folder: str, file: FinishedFile, files: InputFiles) -> bool:
    """Whether a file of the run folder, or a recording with its time, has not changed."""
    _, path, size, modified_ns = file
    try:  # not with `has_size`: a call more for each of a million paths
        if modified_ns is None:
            status = os.lstat(f"{folder}/{path}")
            return status.st_size == size and stat.S_ISREG(status.st_mode)
        if is_address(path):
            return files.is_as_it_was(path, FileFacts(size, modified_ns))
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (size, modified_ns)


def find_held_segments(checkpoint: Checkpoint, keys: Sequence[str]) -> dict[str, SegmentRecord]:
    """Find the segments of these keys that are there: transcripts, and files of the right size.

    Whether a file holds what it should is seen when it is read.
    """
    folder = checkpoint.folder
    sizes: dict[tuple[str, int], bool] = {}
    found = {}
    for key, places in checkpoint.segments.find(keys).items():
        # A good one before one in doubt, wherever they are.
        for segment in sorted(places, key=lambda place: bool(place.doubts)):
            place = segment.path, segment.bytes
            if place not in sizes:
                path = f"{folder}/{segment.path}"
                sizes[place] = not segment.path or has_size(path, segment.bytes)
            if sizes[place]:
                found[key] = segment
                break
    return found


def has_size(path: str, size: int) -> bool:
    """Whether a plain file of this size is at a path."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == size
