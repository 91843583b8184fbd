"""All results of a run in its folder, for those who read them there."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchjobs.checkpoint.checkpoint import Checkpoint
from batchjobs.jobs import Status
from batchjobs.storage.shelf import read_mark


@contextmanager
def hold_results(folder: Path) -> Iterator[None]:
    """Have a run's results in its folder throughout a block, wherever else they are.

    Args:
        folder: The run folder; where there is no run, nothing is done.

    Raises:
        DiskError: The disk is full, or the bucket cannot be read.
    """
    if read_mark(folder) is None:
        yield
        return
    with Checkpoint.read(folder) as checkpoint:
        records = itertools.chain(
            checkpoint.rows.stream_records(Status.DONE),
            checkpoint.rows.stream_records(Status.SUSPECT),
        )
        paths = [file.path for _, record in records for file in record.files]
        with checkpoint.shelf.holding(paths):
            yield
