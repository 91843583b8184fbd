"""The records of jobs: what is put into them for a result, a doubt or a failure."""

import time
from collections.abc import Sequence
from dataclasses import replace

from batchjobs.checkpoint import JobRecord, SegmentRecord
from batchjobs.errors import SuspectError
from batchjobs.jobs import Doubt, Kind, Status
from batchjobs.outputs import suspects
from batchjobs.protocol.stt import SttResult
from batchjobs.runner.reactions import Fail
from batchjobs.runner.sessions import Result
from batchjobs.runner.tickets import Ticket


def begin_record(ticket: Ticket) -> JobRecord:
    """Begin the record of a job that is done: with all that its result does not tell."""
    row = ticket.row
    return JobRecord(
        id=row.id,
        key=row.key,
        kind=Kind(row.kind) if row.kind else Kind.TTS,
        status=Status.DONE,
        provider=row.provider,
        attempts=ticket.tries.attempts,
        cost=round(ticket.cost, 6),
        started_at=ticket.started_at,
        finished_at=time.time(),
    )


def to_failure(record: JobRecord, failure: Fail, last: Ticket) -> JobRecord:
    """Make a job's record that of one that failed.

    Args:
        record: The job's.
        failure: How its last attempt failed.
        last: Whose attempt that was: the job's, or a segment's of it.
    """
    return replace(
        record,
        status=Status.FAILED,
        attempts=last.tries.attempts,
        cost=round(last.cost, 6),
        error_class=failure.error_class,
        error_code=failure.code,
        error_message=failure.message,
        is_passing=failure.is_passing,
    )


def to_suspect(record: JobRecord, doubts: Sequence[Doubt], support: Sequence[str]) -> JobRecord:
    """Make a job's record that of a result in doubt.

    Args:
        record: The job's.
        doubts: What speaks against the result; one without an end is about all of it.
        support: What speaks for it.
    """
    placed = tuple(
        replace(doubt, end_seconds=doubt.end_seconds or record.audio_seconds) for doubt in doubts
    )
    return replace(
        record,
        status=Status.SUSPECT,
        error_class=SuspectError.label,
        error_message=describe_doubts(placed),
        doubts=placed,
        support=tuple(support),
    )


def describe_doubts(doubts: Sequence[Doubt]) -> str:
    """Say in one sentence what speaks against a result."""
    return "; ".join(dict.fromkeys(doubt.message for doubt in doubts))


def is_as_before(kept: JobRecord | SegmentRecord | None, result: Result) -> bool:
    """Whether what is kept already is as good as the same: a third time would say no more."""
    if kept is None:
        return False
    if isinstance(result, SttResult):
        return kept.text.strip() == result.text
    return suspects.is_same_length(kept.audio_seconds, result.evidence.received_audio_seconds)
