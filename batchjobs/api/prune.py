"""What a run folder holds that no row needs any more: shown, and removed if that is wanted."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from batchjobs.checkpoint import Checkpoint
from batchjobs.custody.checkpoint import open_run
from batchjobs.files import run_folder
from batchjobs.outputs.pruning import FoundFile, Leftover, Pruner
from batchjobs.outputs.sweep import sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """Files of one kind.

    Attributes:
        files: How many there are.
        bytes: Their size.
        first: The paths of the first few, below the run folder.
    """

    files: int
    bytes: int
    first: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """What no row needs.

    Attributes:
        found: By what it is.
        bytes: The size of all of it.
        is_removed: Whether it is gone.
        changed: Paths of results that no row needs and that are not as they were written: they stay.
        waiting: Rows of several segments that are not done; what has segments stays until they are.
    """

    found: Mapping[str, Pruned]
    bytes: int
    is_removed: bool = False
    changed: tuple[str, ...] = ()
    waiting: int = 0


_SHOWN = 3


def prune(
    folder: str | Path,
    *,
    remove: bool | Callable[[PruneReport], bool] = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> PruneReport:
    """Find what a run folder holds that no row needs any more, and remove it if that is wanted.

    That is audio and transcripts of rows that are gone or were given another place, takes that a check
    did not keep, finished segments, and results in doubt of rows that are gone. If such a row comes
    back, or a sentence of a long text is edited, it is bought again. Nothing is removed that a run has
    not made, or that is not as it was made; a result that a row will be copied from stays.

    Args:
        folder: The run folder.
        remove: Whether to, or asks somebody who is shown what there is; no run may go on meanwhile.
        progress: Called with what is being done, how many files are, and of how many; 0 if that is
            not known yet.

    Raises:
        NoRunError: There is no run in the folder.
        RunLockedError: A run or a check is going on in it, and something is to be removed.
        DiskError: The disk or the bucket failed; what was removed before that is gone.
    """
    folder = Path(folder)

    def tell_found(count: int) -> None:
        if progress is not None:
            progress("looking", count, 0)

    Checkpoint.read(folder).close()  # to open it for writing would make one
    takes = folder / run_folder.TAKES
    open_checkpoint = Checkpoint.read if remove is False else open_run
    with contextlib.ExitStack() as stack:
        run = Pruner(stack.enter_context(open_checkpoint(folder)))
        check = folder / run_folder.CHECK
        if (check / run_folder.CHECKPOINT).is_file():  # while clips are heard, takes are needed
            stack.enter_context(open_checkpoint(check))
        found = {run: run.find(tell_found)}
        if not run.needs_takes:
            bought: list[FoundFile] = []
            if (takes / run_folder.CHECKPOINT).is_file():
                pruner = Pruner(stack.enter_context(open_checkpoint(takes)), is_of_takes=True)
                found[pruner] = bought = pruner.find(tell_found)
            found[run] += run.find_takes_apart(f"{run_folder.TAKES}/{each.path}" for each in bought)
        report = _report(found)
        is_wanted = remove if isinstance(remove, bool) else report.bytes > 0 and remove(report)
        if is_wanted:
            _remove(found, progress)
    return replace(report, is_removed=is_wanted and any(found.values()))


def _remove(
    found: Mapping[Pruner, list[FoundFile]], progress: Callable[[str, int, int], None] | None
) -> None:
    done, count = 0, sum(map(len, found.values()))
    for pruner, files in found.items():

        def tell(gone: int, before: int = done) -> None:
            if progress is not None:
                progress("removing", before + gone, count)

        pruner.remove(files, tell)
        sweep(pruner.checkpoint)
        pruner.checkpoint.hand_on()
        done += len(files)


def _report(found: Mapping[Pruner, list[FoundFile]]) -> PruneReport:
    kinds: dict[Leftover, list[FoundFile]] = {kind: [] for kind in Leftover}
    for pruner, files in found.items():
        for file in files:
            kinds[file.kind].append(replace(file, path=pruner.name_of(file.path)))
    return PruneReport(
        found={
            kind.name.lower(): Pruned(
                files=len(files),
                bytes=sum(file.bytes for file in files),
                first=tuple(file.path for file in files[:_SHOWN]),
            )
            for kind, files in kinds.items()
            if files
        },
        bytes=sum(file.bytes for files in found.values() for file in files),
        changed=tuple(p.name_of(path) for p in found for path in p.changed),
        waiting=sum(pruner.waiting for pruner in found),
    )
