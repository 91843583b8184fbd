"""Stops a run before it would overwrite a file that is not its own."""

import os
from pathlib import Path

from batchjobs.checkpoint import Checkpoint, NewRows, Row
from batchjobs.errors import OutputError
from batchjobs.files import run_folder
from batchjobs.planning.output_paths import OutputPaths


def refuse_foreign_files(
    row: Row, checkpoint: Checkpoint, paths: OutputPaths | None = None
) -> None:
    """Stop before a row's files would overwrite one that is not this run's.

    Args:
        row: The row.
        checkpoint: Knows which files are.
        paths: What is known of the folders; looked at anew without it.

    Raises:
        OutputError: There is such a file.
    """
    refuse_foreign_files_at(row.output, checkpoint, paths or OutputPaths(checkpoint.folder))


def refuse_foreign_files_at(output: str, checkpoint: Checkpoint, paths: OutputPaths) -> None:
    """Stop before a result's files would overwrite one that is not this run's.

    Args:
        output: The main file's path below the run folder.
        checkpoint: Knows which files are.
        paths: What is known of the folders.

    Raises:
        OutputError: There is such a file.
    """
    shelf = checkpoint.shelf
    for path in run_folder.files_of_result(output):
        is_taken = paths.is_there(path) or (not shelf.is_here and shelf.is_taken(path))
        if is_taken and not checkpoint.lookups.is_own_file(output):
            raise _not_ours(checkpoint.folder / path)


def refuse_foreign_speech(rows: NewRows, checkpoint: Checkpoint, paths: OutputPaths) -> None:
    """Stop before results of speech, which are a file each, would overwrite one that is not this run's.

    Args:
        rows: Their paths were checked.
        checkpoint: Knows which files are.
        paths: What is known of the folders.

    Raises:
        OutputError: There is such a file.
    """
    is_here = checkpoint.shelf.is_here
    for output in paths.list_in_present_folders(rows) if is_here else rows.outputs:
        refuse_foreign_files_at(output, checkpoint, paths)


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
