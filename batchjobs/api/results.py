"""A run's results as a file's content: JSON Lines, or a table."""

import functools
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import orjson

from batchjobs.checkpoint import Checkpoint
from batchjobs.jobs import Status
from batchjobs.outputs import reports
from batchjobs.outputs.tables import csv_pieces

__all__ = ["encode_results"]

_TABLE_BYTES: Final = 16 * 1024 * 1024
_BLOCK_BYTES: Final = 1024 * 1024


def encode_results(
    form: str, folder: str | Path, statuses: Collection[str] | None = None
) -> Iterator[bytes]:
    """Give a run's results as a file's content, in pieces.

    Args:
        form: ``jsonl`` or ``csv``.
        folder: The run folder.
        statuses: As for `read_results`; a table says the status in any case.

    Raises:
        UsageError: There is no such status.
        NoRunError: There is no run in the folder.
    """
    if form == "jsonl":
        with Checkpoint.read(Path(folder)) as checkpoint:
            yield from reports.result_lines(checkpoint, statuses)
        return
    asked = (Status.DONE.value,) if statuses is None else statuses
    with tempfile.SpooledTemporaryFile(_TABLE_BYTES) as table:
        # One state for both readings, whatever a run does meanwhile; but only as long as it takes,
        # and not as long as somebody looks at a page of it: a run's log grows all that time.
        with Checkpoint.read(Path(folder)) as checkpoint, checkpoint.hold_steady():
            lines = functools.partial(reports.result_lines, checkpoint, asked)
            for piece in csv_pieces(lambda: map(orjson.loads, lines()), asked):
                table.write(piece)
        table.seek(0)
        while piece := table.read(_BLOCK_BYTES):
            yield piece
