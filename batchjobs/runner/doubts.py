"""Results that something speaks against: what is said of them, and where they are kept."""

from collections.abc import Sequence
from dataclasses import replace

import trio

from batchjobs.checkpoint import JobRecord, Row, SegmentChanges, SegmentRecord
from batchjobs.errors import SuspectError
from batchjobs.jobs import Doubt, Status
from batchjobs.outputs import suspects
from batchjobs.protocol.stt import SttResult
from batchjobs.runner.service import Result
from batchjobs.runner.state import RunState

__all__ = ["describe_doubts", "is_as_before", "reserve_place", "to_suspect"]


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


async def reserve_place(run: RunState, row: Row) -> str:
    """Choose where a result in doubt is to stand: never where one is kept, of whatever content.

    Args:
        run: The run.
        row: Whose result it is.

    Returns:
        Its path below the run folder.

    Raises:
        BatchjobsError: The disk failed.
    """
    taken = await trio.to_thread.run_sync(run.checkpoint.lookups.find_suspect_paths, row.id)
    place = suspects.choose_path(row, taken)
    # First whose file it will be: whatever a kill leaves there, the next run knows it.
    with trio.CancelScope(shield=True):
        await run.recorder.finish(changes=SegmentChanges(expected=(place,)))
    return place
