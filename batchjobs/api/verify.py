"""Whether a run's files are as they were."""

import itertools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchjobs.checkpoint import Checkpoint, JobRecord
from batchjobs.errors import OutputError, RunLockedError
from batchjobs.jobs import Status
from batchjobs.outputs import reuse

_JUDGED_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What a look at a run's files found.

    Attributes:
        checked: How many jobs, finished or in doubt, were checked.
        wrong: What is wrong with their files, a sentence each.
    """

    checked: int
    wrong: tuple[str, ...] = ()


def verify(folder: str | Path, *, progress: Callable[[int], None] | None = None) -> VerifyReport:
    """Check every output against the checkpoint: there, size, samples, hash.

    The next run makes again what was found changed. A change in a file that no row asks for any
    more is reported once.

    Args:
        folder: The run folder.
        progress: Called with the number of jobs checked so far.

    Raises:
        NoRunError: There is no run in the folder.
    """
    folder = Path(folder)
    wrong: list[str] = []
    checked = 0
    judged: dict[bool, list[JobRecord]] = {True: [], False: []}
    with Checkpoint.read(folder) as checkpoint:
        suspects = (record for _, record in checkpoint.rows.stream_records(Status.SUSPECT))
        for record in itertools.chain(checkpoint.lookups.stream_done(), suspects):
            checked += 1
            changes = reuse.find_changes(folder, record.files)
            if bool(changes) != record.is_damaged:
                judged[bool(changes)].append(record)
            elif (
                changes
                and record.status is Status.DONE
                and not checkpoint.lookups.is_asked_for(record)
            ):
                changes = []  # reported before, and no run will make it again
            wrong += [f"{record.id}: {change}" for change in changes]
            if progress is not None:
                progress(checked)
            if sum(map(len, judged.values())) >= _JUDGED_AT_ONCE:
                _record_damage(folder, judged)
    _record_damage(folder, judged)
    return VerifyReport(checked=checked, wrong=tuple(wrong))


def _record_damage(folder: Path, judged: dict[bool, list[JobRecord]]) -> None:
    """Write down which records are damaged and which are not, and forget them here."""
    if any(judged.values()):
        # A run that is going on, or a folder that cannot be written, keeps its own opinion.
        with suppress(RunLockedError, OutputError), Checkpoint.open(folder) as checkpoint:
            for is_damaged, records in judged.items():
                checkpoint.judge(records, is_damaged=is_damaged)
    for records in judged.values():
        records.clear()
