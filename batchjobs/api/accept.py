"""Results in doubt that were listened to become done, without a purchase."""

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchjobs import config
from batchjobs.checkpoint import Checkpoint, JobRecord, Outcome, Row, SegmentChanges, Settled
from batchjobs.custody.checkpoint import open_run
from batchjobs.errors import BatchjobsError, UsageError
from batchjobs.jobs import Sign, Status
from batchjobs.outputs import decided, reports
from batchjobs.outputs.sweep import sweep
from batchjobs.providers import Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptReport:
    """What was accepted.

    Attributes:
        accepted: Ids of the jobs that are done now.
        done_before: Ids among those asked for that were done already.
        damaged: Ids of suspect jobs whose files are gone or changed; they stay suspect.
        other_format: Ids of suspect jobs that are kept in a format which cannot become the one that
            the manifest asks for by now; they stay suspect.
        suspects: How many suspect jobs there were before.
    """

    accepted: tuple[str, ...]
    done_before: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    other_format: tuple[str, ...] = ()
    suspects: int = 0


def accept(
    folder: str | Path,
    ids: Sequence[str] = (),
    *,
    every: bool = False,
    reasons: Collection[str] = (),
    config_file: Path | None = None,
) -> AcceptReport:
    """Make suspect jobs done: their files go to their places, and nothing is bought.

    Durable job by job, like any other result: a kill leaves each suspect or done.

    Args:
        folder: The run folder.
        ids: Which jobs.
        every: All of them, but those that somebody has rejected.
        reasons: Those against which nothing else speaks than these; names of `Sign`.
        config_file: Where prices are set, for the summary; None means ``batchjobs.toml`` here.

    Raises:
        NoRunError: There is no run in the folder.
        RunLockedError: A run is going on in it.
        UsageError: A job is not in the run's manifest, or has no result; nothing is changed.
        OutputError: A file cannot be created.
        DiskError: The disk failed or is full; what was accepted before that stays so.
    """
    ways = bool(ids) + every + bool(reasons)
    if ways != 1:
        raise UsageError(
            "it is said in more than one way what to accept"
            if ways
            else "it is not said what to accept",
            hint="give ids, or --all, or --reason, one of them",
        )
    unknown = sorted(set(reasons) - set(Sign))
    if unknown:
        raise UsageError(f"there is no reason '{unknown[0]}'", hint=f"there are {', '.join(Sign)}")
    providers = config.load(config_file).providers
    folder = Path(folder)
    Checkpoint.read(folder).close()  # to open it for writing would make one
    with open_run(folder) as checkpoint:
        suspects = checkpoint.lookups.count_suspects()
        chosen, done_before = _choose(checkpoint, list(dict.fromkeys(ids)), set(reasons))
        accepted: list[str] = []
        damaged: list[str] = []
        other_format: list[str] = []
        try:
            for row, record in chosen:
                if not record.can_become(row.output):
                    other_format.append(row.id)
                elif _accept(checkpoint, row, record):
                    accepted.append(row.id)
                else:
                    damaged.append(row.id)
        except BaseException:
            with contextlib.suppress(BatchjobsError):  # the first error is the one to raise
                _conclude(checkpoint, providers)
            raise
        # An `accept` that was killed may have left this to do.
        if accepted or not checkpoint.read_report():
            _conclude(checkpoint, providers)
    return AcceptReport(
        accepted=tuple(accepted),
        done_before=tuple(done_before),
        damaged=tuple(damaged),
        other_format=tuple(other_format),
        suspects=suspects,
    )


def _conclude(checkpoint: Checkpoint, providers: Mapping[str, Provider]) -> None:
    checkpoint.hand_on()
    sweep(checkpoint)
    reports.write_again(checkpoint, providers)


def _choose(
    checkpoint: Checkpoint, ids: list[str], reasons: set[str]
) -> tuple[Iterator[tuple[Row, JobRecord]], list[str]]:
    """Find the suspect jobs that were asked for, and the done ones among them."""
    if not ids:
        return _suspects(checkpoint, reasons), []
    found = checkpoint.rows.find_outcomes(ids)
    wrong = [why for name in ids if (why := _why_not(name, found.get(name)))]
    if wrong:
        raise UsageError(
            "\n".join(wrong),
            hint="nothing was changed; 'batchjobs results RUN --status suspect' lists what is suspect",
        )
    asked = [(row, record) for row, record in found.values() if record is not None]
    done = [row.id for row, record in asked if record.status is Status.DONE]
    return iter([pair for pair in asked if pair[1].status is Status.SUSPECT]), done


def _why_not(name: str, outcome: Outcome | None) -> str:
    """Say why a job cannot be accepted; empty if it can, or is done."""
    if outcome is None:
        return f"there is no job '{name}' in this run"
    record = outcome[1]
    if record is None:
        return f"'{name}' was not run yet: there is nothing to accept"
    if record.status is Status.FAILED:
        return f"'{name}' has failed, and nothing of it is kept: {record.error_class}"
    return ""


def _suspects(checkpoint: Checkpoint, reasons: set[str]) -> Iterator[tuple[Row, JobRecord]]:
    for row, record in checkpoint.rows.stream_records(Status.SUSPECT):
        signs = {doubt.sign for doubt in record.doubts}
        if signs <= reasons if reasons else Sign.REJECTED not in signs:
            yield row, record


def _accept(checkpoint: Checkpoint, row: Row, kept: JobRecord) -> bool:
    """Put a job's files in their places and say that it is done; false if they are damaged."""
    prepared = decided.prepare_acceptance(checkpoint, row, kept)
    if prepared is None:
        return False
    record, written = prepared
    # The row may have another place by now than when it was bought: a kill that leaves a file there
    # leaves ours, and no older result is taken for what stands there then.
    checkpoint.settle(starts=(), outcomes=[Settled(changes=SegmentChanges(assembling=row.id))])
    checkpoint.shelf.publish(written.targets)
    checkpoint.accept(record, kept=kept)
    return True
