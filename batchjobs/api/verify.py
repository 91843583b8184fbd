"""Whether a run's files are as they were."""

import itertools
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from batchjobs.checkpoint import Checkpoint, GroupRecord, JobRecord
from batchjobs.custody.checkpoint import open_run
from batchjobs.errors import OutputError, RunLockedError
from batchjobs.jobs import Status
from batchjobs.outputs import reuse

_JUDGED_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What a look at a run's files found.

    Attributes:
        checked: How many jobs, finished or in doubt, were checked.
        groups: How many transcripts of groups were checked.
        wrong: What is wrong with their files, a sentence each.
    """

    checked: int
    groups: int = 0
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
    judged_groups: dict[str, GroupRecord] = {}
    judged: dict[bool, list[JobRecord]] = {True: [], False: []}
    with Checkpoint.read(folder) as checkpoint:
        suspects = (record for _, record in checkpoint.rows.stream_records(Status.SUSPECT))
        for record in itertools.chain(checkpoint.lookups.stream_done(), suspects):
            checked += 1
            with checkpoint.shelf.holding(file.path for file in record.files) as place:
                changes = reuse.find_changes(place, record.files)
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
        groups = _check_groups(checkpoint, wrong, judged_groups)
    _record_damage(folder, judged, judged_groups)
    return VerifyReport(checked=checked, groups=groups, wrong=tuple(wrong))


def _check_groups(checkpoint: Checkpoint, wrong: list[str], judged: dict[str, GroupRecord]) -> int:
    """Check the transcripts of groups; gives how many there are.

    Args:
        checkpoint: The run folder's.
        wrong: Gets what is wrong with their files.
        judged: Gets those of which something else is known by now, by their places.
    """
    count = 0
    for group in checkpoint.groups.stream():
        if group.record is None or not group.record.files:
            continue
        count += 1
        with checkpoint.shelf.holding(file.path for file in group.record.files) as place:
            changes = reuse.find_changes(place, group.record.files)
        if bool(changes) != group.record.is_damaged:
            judged[group.output] = replace(group.record, is_damaged=bool(changes))
        wrong += [f"the group '{group.name}': {change}" for change in changes]
    return count


def _record_damage(
    folder: Path,
    judged: dict[bool, list[JobRecord]],
    groups: Mapping[str, GroupRecord] = MappingProxyType({}),
) -> None:
    """Write down which records are damaged and which are not, and forget them here."""
    if groups or any(judged.values()):
        # A run that is going on, or a folder that cannot be written, keeps its own opinion.
        with suppress(RunLockedError, OutputError), open_run(folder) as checkpoint:
            for is_damaged, records in judged.items():
                checkpoint.judge(records, is_damaged=is_damaged)
            for output, group in groups.items():
                checkpoint.groups.keep(output, group)
    for records in judged.values():
        records.clear()
