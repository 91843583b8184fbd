"""Segments of long jobs: written, made durable, and given to the jobs that wait for them."""

import functools
from dataclasses import replace

import trio

from batchjobs.checkpoint import AttemptEnd, SegmentChanges, SegmentRecord
from batchjobs.files import run_folder
from batchjobs.jobs import sum_severity
from batchjobs.outputs import writing
from batchjobs.outputs.writing import Written
from batchjobs.progress import SegmentFinished
from batchjobs.protocol.stt import SttResult
from batchjobs.runner.attempts import Attempt
from batchjobs.runner.reactions import Fail
from batchjobs.runner.sessions import Result, SpeechElsewhere, frames_of
from batchjobs.runner.state import RunState
from batchjobs.runner.tickets import LongJob, Ticket


async def keep(
    run: RunState, attempt: Attempt, result: Result, end: AttemptEnd, *, is_last: bool
) -> None:
    """Make a segment durable, if none with less against it is kept already.

    Args:
        run: The run.
        attempt: What brought it.
        result: What came.
        end: How the attempt ended.
        is_last: Whether no other attempt follows: the jobs that wait for it have it then.

    Raises:
        BatchjobsError: The disk failed.
    """
    ticket = attempt.ticket
    kept, written = _find_kept(ticket), None
    if kept and result.doubts and sum_severity(kept.doubts) <= sum_severity(result.doubts):
        record, end = kept, replace(end, result="suspect")
        if isinstance(result, SpeechElsewhere):
            writing.drop_parts(run.checkpoint.folder, result.parts)
    else:
        record, written = await _write(run, ticket, result)
        end = replace(end, replaces_kept=kept is not None)
    await _settle(run, ticket, record, written, end, is_last=is_last)


async def settle_in_doubt(run: RunState, ticket: Ticket, failure: Fail) -> None:
    """Let the jobs have what is kept of a segment whose other attempts failed.

    Args:
        run: The run.
        ticket: The segment's.
        failure: How the last of them failed.

    Raises:
        BatchjobsError: The disk failed.
    """
    kept = _find_kept(ticket)
    assert kept is not None
    first, *others = kept.doubts
    error = f"{failure.error_class}: {failure.message}"
    first = replace(first, message=f"{first.message}; the last attempt failed: {error}")
    record = replace(kept, doubts=(first, *others))
    await _settle(run, ticket, record, None, None, is_last=True)


async def _settle(
    run: RunState,
    ticket: Ticket,
    record: SegmentRecord,
    written: Written | None,
    end: AttemptEnd | None,
    *,
    is_last: bool,
) -> None:
    """Make a segment durable in the place of what was kept of it.

    Args:
        run: The run.
        ticket: The segment's.
        record: What is known of it.
        written: Its file, if it is a new one.
        end: How its attempt ended, if one did.
        is_last: Whether no other attempt follows.
    """
    kept = _find_kept(ticket)
    record = replace(
        record,
        attempts=ticket.tries.attempts,
        cost=round(ticket.cost, 6),
        is_passing=not is_last,
    )
    jobs = run.wanted.find_waiting(record.key) if is_last else ()
    left = [] if kept is None or written is None else [kept.path]
    left = [path for path in left if run_folder.is_segment_file(path)]
    changes = SegmentChanges(
        bought=record,
        characters=ticket.characters if is_last else 0,
        seconds=ticket.seconds if is_last else 0.0,
        jobs=tuple(job.ticket.row.id for job in jobs),
        left_files=tuple(left),
    )
    targets, parts = ((), {}) if written is None else (written.targets, written.parts)
    await run.recorder.finish(end=end, changes=changes, targets=targets, parts=parts)
    if not record.path and is_last:  # a transcript: what was to be sent is sent
        left = [run_folder.segment_path(record.key)]
    if left:
        await trio.to_thread.run_sync(run.checkpoint.shelf.remove, left)
    ticket.kept = record if record.doubts else None
    if is_last:
        _hand_over(run, record)


def _hand_over(run: RunState, record: SegmentRecord) -> None:
    """Give a segment to the jobs that wait; others may have come while it was committed."""
    if record.doubts:
        run.wanted.settle(record.key)
    for job in run.wanted.forget(record.key):
        job.held[record.key] = record
        missing = len(job.missing)
        if not missing and job.is_cut:
            run.wanted.assemble(job)
        total = len({part.segment.key for part in job.parts})
        run.tell(
            SegmentFinished(
                id=job.ticket.row.id,
                done=total - missing,
                segments=total,
                audio_seconds=record.audio_seconds,
            )
        )


async def _write(
    run: RunState, ticket: Ticket, result: Result
) -> tuple[SegmentRecord, Written | None]:
    """Write a segment's samples beside their place, if it is speech, and make its record."""
    evidence, kept = result.evidence, _find_kept(ticket)
    record = SegmentRecord(
        key=ticket.key,
        job_key=ticket.row.key,
        audio_seconds=ticket.seconds or evidence.received_audio_seconds,
        evidence=evidence,
        started_at=ticket.started_at,
        doubts=result.doubts,
        support=result.support if result.doubts else (),
    )
    if isinstance(result, SttResult):
        starts, ends = result.word_start_seconds, result.word_end_seconds
        said = replace(
            record,
            text=result.verbatim,
            word_start_seconds=starts,
            word_end_seconds=ends,
            traits=result.traits,
        )
        return said, None
    # Until this is committed what is kept stays, in a file of its own.
    path = run_folder.segment_path(ticket.key)
    if kept is not None and kept.path == path:
        path = run_folder.segment_path(ticket.key, 2)
    folder = run.checkpoint.folder
    if isinstance(result, SpeechElsewhere):
        if result.error is not None:
            raise result.error
        written = writing.claim_parts(folder, path, result.parts)
    else:
        write = functools.partial(
            writing.write_speech, folder, path, result.pcm, result.sample_rate
        )
        written = await trio.to_thread.run_sync(write, limiter=run.disk)
    file = written.files[0]
    record = replace(
        record,
        path=file.path,
        bytes=file.bytes,
        frames=frames_of(result),
        sample_rate=result.sample_rate,
        pcm_sha256=written.pcm_sha256,
    )
    return record, written


def give_up(run: RunState, ticket: Ticket) -> list[LongJob]:
    """End the jobs that wait for a segment which cannot be had.

    Returns:
        Those jobs.
    """
    jobs = run.wanted.forget(ticket.key)
    for job in jobs:
        job.is_over = True
    return jobs


def _find_kept(ticket: Ticket) -> SegmentRecord | None:
    assert ticket.kept is None or isinstance(ticket.kept, SegmentRecord)
    return ticket.kept
