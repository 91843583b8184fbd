"""Results that somebody has listened to: the accepted get their places, the rejected leave theirs."""

import errno
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from batchjobs.checkpoint import Checkpoint, FileRecord, JobRecord, Row
from batchjobs.errors import SuspectError
from batchjobs.files import run_folder
from batchjobs.files.atomic import disk_error, make_folder, part_path, write_part
from batchjobs.files.shelf import Shelf
from batchjobs.jobs import Doubt, Sign, Status
from batchjobs.outputs import reuse, suspects
from batchjobs.outputs.writing import Written, find_target
from batchjobs.planning.ownership import refuse_foreign_files

_NO_LINKS: Final = frozenset({errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP})
"""What a file system says that has none, or no more of them."""
_REJECTED: Final = Doubt(
    sign=Sign.REJECTED,
    message="somebody who listened has rejected it",
    severity=1_000_000.0,  # whatever may be said against another one
)


def prepare_acceptance(
    checkpoint: Checkpoint, row: Row, kept: JobRecord
) -> tuple[JobRecord, Written] | None:
    """Write a suspect job's files beside their places.

    A copy, not a rename: until it is committed, what is kept stays where it is.

    Returns:
        Its record once they are published; None if what is kept is damaged.

    Raises:
        OutputError: A file is there that is not this run's, or none can be created.
        DiskError: The disk failed or is full.
    """
    refuse_foreign_files(row, checkpoint)
    with checkpoint.shelf.holding(file.path for file in kept.files) as place:
        written = reuse.copy_result(checkpoint.folder, row.output, kept, place=place)
    if written is None:
        return None
    record = replace(
        kept,
        status=Status.DONE,
        output=row.output,
        files=written.files,
        error_class="" if kept.sample_rate or kept.text.strip() else "no_speech",
        error_message="",
        is_passing=False,
        is_damaged=False,  # what was copied was compared with its hash
        finished_at=time.time(),
    )
    return record, written


def is_rejected(record: JobRecord) -> bool:
    """Whether somebody has rejected a result before."""
    return any(doubt.sign is Sign.REJECTED for doubt in record.doubts)


def prepare_rejection(record: JobRecord, output: str, note: str) -> JobRecord:
    """Make the record of a result that was rejected: in doubt, and bought again by the next run.

    Args:
        record: The job's.
        output: Where its main file is kept from now on.
        note: What was noted about it.
    """
    doubt = replace(
        _REJECTED,
        message=f"{_REJECTED.message}: {note}" if note else _REJECTED.message,
        end_seconds=record.audio_seconds,
    )
    others = [Path(file.path).suffix for file in record.files[1:]]
    paths = [output, *(run_folder.path_beside(output, ending) for ending in others)]
    return replace(
        record,
        status=Status.SUSPECT,
        output=output,
        files=tuple(
            replace(file, path=path) for file, path in zip(record.files, paths, strict=True)
        ),
        error_class=SuspectError.label,
        error_message="; ".join([*(each.message for each in record.doubts), doubt.message]),
        doubts=(*record.doubts, doubt),
        attempts=0,  # those that are to come are as many as for any purchase
        is_passing=True,
        finished_at=time.time(),
    )


def choose_kept_path(checkpoint: Checkpoint, row: Row, record: JobRecord) -> str:
    """Say where a rejected result is kept: where it is, if that is among those in doubt already."""
    if record.status is Status.SUSPECT:
        return record.output
    return suspects.choose_path(
        row._replace(output=record.output), checkpoint.lookups.find_suspect_paths(row.id)
    )


def link_files(shelf: Shelf, old: JobRecord, new: JobRecord) -> list[Path]:
    """Let a result's files stand beside other places too, without a copy where that can be.

    Args:
        shelf: Where the run's results stand.
        old: Where they are.
        new: Where they are to be, too.

    Returns:
        The new places, for `Shelf.publish`.

    Raises:
        OutputError: They cannot be created.
        DiskError: The disk failed or is full.
    """
    places = []
    with shelf.holding(file.path for file in old.files) as place:
        for file, kept in zip(old.files, new.files, strict=True):
            if file.path != kept.path:
                target = find_target(shelf.folder, kept.path)
                _link(place / file.path, target, file)
                places.append(target)
    return places


def _link(source: Path, target: Path, known: FileRecord) -> None:
    part = part_path(target)
    try:
        make_folder(target.parent)
        # Both may be left by a review that was killed, and a file is not renamed onto itself.
        part.unlink(missing_ok=True)
        target.unlink(missing_ok=True)
        os.link(source, part)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise disk_error(error, target) from error
        write_part(target, reuse.read_intact(source, known))
