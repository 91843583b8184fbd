"""All results of a run as files, for those who read them there."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchjobs.checkpoint.checkpoint import Checkpoint
from batchjobs.errors import RecordingError
from batchjobs.jobs import Status
from batchjobs.storage.shelf import read_mark


@contextmanager
def hold_results(folder: Path) -> Iterator[Path]:
    """Have a run's results as files throughout a block, wherever else they are.

    Args:
        folder: The run folder; where there is no run, nothing is done.

    Yields:
        The folder below which they are: the run's own, unless they are in a bucket.

    Raises:
        DiskError: The disk is full, or the bucket cannot be read.
    """
    if read_mark(folder) is None:
        yield folder
        return
    with Checkpoint.read(folder) as checkpoint:
        records = itertools.chain(
            checkpoint.rows.stream_records(Status.DONE),
            checkpoint.rows.stream_records(Status.SUSPECT),
        )
        paths = [file.path for _, record in records for file in record.files]
        with checkpoint.shelf.holding(paths) as place:
            try:
                yield place
            except RecordingError as error:
                error.message = error.message.replace(str(place), str(folder))
                raise
