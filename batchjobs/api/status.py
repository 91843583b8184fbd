"""Looking at a run: where it stands, what came of it, and whether its files are as they were."""

import functools
import itertools
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson

from batchjobs import config
from batchjobs.checkpoint import Checkpoint, JobRecord
from batchjobs.errors import OutputError, RunLockedError
from batchjobs.jobs import Status
from batchjobs.outputs import reports, writing
from batchjobs.outputs.tables import csv_pieces

__all__ = ["results_as", "status", "verify"]

_JUDGED_AT_ONCE: Final = 10_000
_TABLE_BYTES: Final = 16 * 1024 * 1024
_BLOCK_BYTES: Final = 1024 * 1024


def status(folder: str | Path, *, config_file: Path | None = None) -> dict[str, object]:
    """Count where a run stands, also while it goes on.

    Raises:
        NoRunError: There is no run in the folder.
    """
    providers = config.load(config_file).providers
    with Checkpoint.read(Path(folder)) as checkpoint:
        is_running = checkpoint.is_running()
        settings = checkpoint.read_settings()
        facts = {name: settings.get(name, "") for name in ("manifest", "command", "working_folder")}
        summary = reports.summary_of(checkpoint, providers, is_running=is_running)
        return facts | {"is_running": is_running} | summary


def results_as(
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
        with Checkpoint.read(Path(folder)) as checkpoint, checkpoint.steady():
            lines = functools.partial(reports.result_lines, checkpoint, asked)
            for piece in csv_pieces(lambda: map(orjson.loads, lines()), asked):
                table.write(piece)
        table.seek(0)
        while piece := table.read(_BLOCK_BYTES):
            yield piece


def verify(
    folder: str | Path, *, progress: Callable[[int], None] | None = None
) -> tuple[int, list[str]]:
    """Check every output against the checkpoint: there, size, samples, hash.

    The next run makes again what was found changed. What no row asks for any more is told once.

    Args:
        folder: The run folder.
        progress: Called with the number of jobs checked so far.

    Returns:
        How many jobs, finished or in doubt, were checked, and what is wrong with their files.

    Raises:
        NoRunError: There is no run in the folder.
    """
    folder = Path(folder)
    found: list[str] = []
    checked = 0
    judged: dict[bool, list[JobRecord]] = {True: [], False: []}
    with Checkpoint.read(folder) as checkpoint:
        for record in itertools.chain(checkpoint.lookups.stream_done(), _suspects(checkpoint)):
            checked += 1
            changes = writing.file_changes(folder, record.files)
            if bool(changes) != record.is_damaged:
                judged[bool(changes)].append(record)
            elif (
                changes
                and record.status is Status.DONE
                and not checkpoint.lookups.is_asked_for(record)
            ):
                changes = []  # it was told once; nobody will make it again
            found += [f"{record.id}: {change}" for change in changes]
            if progress is not None:
                progress(checked)
            if sum(map(len, judged.values())) >= _JUDGED_AT_ONCE:
                _note(folder, judged)
    _note(folder, judged)
    return checked, found


def _suspects(checkpoint: Checkpoint) -> Iterator[JobRecord]:
    """Stream what is kept in doubt."""
    return (
        record
        for _, record in checkpoint.rows.stream_outcomes(Status.SUSPECT)
        if record is not None
    )


def _note(folder: Path, judged: dict[bool, list[JobRecord]]) -> None:
    """Write down what was found, and forget it."""
    if any(judged.values()):
        # A run that is going on, or a folder that cannot be written, keeps its own opinion.
        with suppress(RunLockedError, OutputError), Checkpoint.open(folder) as checkpoint:
            for is_damaged, records in judged.items():
                checkpoint.judge(records, is_damaged=is_damaged)
    for records in judged.values():
        records.clear()
