"""A planned row x what the checkpoint knows: what is to be done about it."""

import os
from pathlib import Path

from batchjobs.checkpoint import Checkpoint, JobRecord, Row
from batchjobs.errors import OutputError
from batchjobs.files import run_folder
from batchjobs.jobs import Status
from batchjobs.planning.output_paths import Places
from batchjobs.planning.plan import TO_DO, Action, is_intact, serves

__all__ = ["decide", "refuse_foreign", "refuse_foreign_files", "refuse_foreign_reports"]


def decide(
    row: Row, record: JobRecord | None, checkpoint: Checkpoint, *, retries_all: bool
) -> Action:
    """Compare a row with what is known of its job, and of others that ask the same.

    Args:
        row: The row.
        record: What is known of its job.
        checkpoint: Knows the others.
        retries_all: Try again what failed for good or is in doubt, too.
    """
    is_same = record is not None and record.key == row.key
    if (
        record is not None
        and is_same
        and record.status is Status.DONE
        and record.output == row.output
        and record.has_layout_of(row)
        and is_intact(checkpoint.folder, record)
    ):
        return Action.DONE
    if _has_donor(row, checkpoint):
        return Action.COPY
    if record is None or not is_same:
        if not retries_all and _is_kept_elsewhere(row, checkpoint):
            return Action.FOLLOW
        return Action.NEW if record is None else Action.CHANGED
    if record.status is Status.DONE:
        return Action.REMAKE
    return _tried(record, checkpoint.folder, retries_all=retries_all)


def _tried(record: JobRecord, folder: Path, *, retries_all: bool) -> Action:
    if record.is_passing or retries_all:
        return Action.RETRY
    if record.status is not Status.SUSPECT:
        return Action.KEPT
    return Action.SUSPECT if is_intact(folder, record) else Action.RETRY


def _is_kept_elsewhere(row: Row, checkpoint: Checkpoint) -> bool:
    """Whether what the row asks for is kept in doubt, for another row or its own earlier content."""
    return any(
        not kept.is_passing and serves(checkpoint.folder, kept, row)
        for kept in checkpoint.lookups.find_suspects(row.key)
    )


def _has_donor(row: Row, checkpoint: Checkpoint) -> bool:
    """Whether a finished job's files are there and can become this row's."""
    return any(
        serves(checkpoint.folder, donor, row) for donor in checkpoint.lookups.find_donors(row.key)
    )


def refuse_foreign(
    row: Row, record: JobRecord | None, checkpoint: Checkpoint, places: Places
) -> None:
    """Stop before a result would overwrite a file that is not this run's.

    Raises:
        OutputError: There is such a file.
    """
    if row.action in TO_DO and (record is None or record.output != row.output):
        refuse_foreign_files(row, checkpoint, places)


def refuse_foreign_files(row: Row, checkpoint: Checkpoint, places: Places | None = None) -> None:
    """Stop before a row's files would overwrite one that is not this run's.

    Args:
        row: The row.
        checkpoint: Knows which files are.
        places: What is known of the folders; looked at anew without it.

    Raises:
        OutputError: There is such a file.
    """
    places = places or Places(checkpoint.folder)
    for target in run_folder.files_of_result(row.output):
        if places.is_there(target) and not checkpoint.lookups.is_own_file(row.output):
            raise _not_ours(checkpoint.folder / target)


def refuse_foreign_reports(checkpoint: Checkpoint) -> None:
    """Stop before a first run in a folder would overwrite what others keep under its names.

    Raises:
        OutputError: There is such a file.
    """
    for name in run_folder.REPORTS:
        path = checkpoint.folder / name
        if os.path.lexists(path) and not checkpoint.has_begun():
            raise _not_ours(path)


def _not_ours(path: Path) -> OutputError:
    return OutputError(
        f"{path} is there already and is not this run's",
        hint="move it away, or choose another --output",
    )
