"""Jobs of one session: their files written, their records made, kept in doubt if they must be."""

import functools
import time
from dataclasses import replace

import trio

from batchjobs.checkpoint import AttemptEnd, JobRecord, Row
from batchjobs.jobs import sum_severity
from batchjobs.outputs import writing
from batchjobs.outputs.writing import Written
from batchjobs.protocol.stt import SttResult
from batchjobs.protocol.tts_audio import TtsResult
from batchjobs.runner.attempts import Attempt
from batchjobs.runner.reactions import Fail
from batchjobs.runner.records import begin_record, to_failure, to_suspect
from batchjobs.runner.sessions import (
    Result,
    SpeechElsewhere,
    TranscriptElsewhere,
    frames_of,
)
from batchjobs.runner.state import RunState
from batchjobs.runner.tickets import Ticket


async def keep(
    run: RunState, attempt: Attempt, result: Result, end: AttemptEnd, *, is_last: bool
) -> JobRecord:
    """Make a result durable; one in doubt only if none with less against it is kept already.

    Args:
        run: The run.
        attempt: What brought it.
        result: What came.
        end: How the attempt ended.
        is_last: Whether no other attempt follows.

    Returns:
        The job's record.

    Raises:
        BatchjobsError: The disk failed.
    """
    if result.doubts:
        return await _keep_in_doubt(run, attempt, result, end, is_last=is_last)
    ticket = attempt.ticket
    written = await _write(run, ticket.row, ticket.row.output, result)
    record = _make_record(ticket, result, written, output=ticket.row.output)
    if isinstance(result, SttResult) and not result.text.strip():
        record = replace(record, error_class="no_speech")
    durable = run.recorder.finish(
        end=end, record=record, targets=written.targets, parts=written.parts
    )
    # The next session may begin: it opens once this is durable, so a kill loses no more.
    attempt.slot.let_go()
    await durable
    return record


async def _keep_in_doubt(
    run: RunState, attempt: Attempt, result: Result, end: AttemptEnd, *, is_last: bool
) -> JobRecord:
    ticket = attempt.ticket
    kept, written = _find_kept(ticket), Written(targets=(), files=())
    # An MP3 that is kept is of no use to a row that asks for a WAV by now.
    is_of_use = kept is not None and kept.can_become(ticket.row.output)
    if kept and is_of_use and sum_severity(kept.doubts) <= sum_severity(result.doubts):
        record = kept
        end = replace(end, result="suspect")
        if isinstance(result, SpeechElsewhere | TranscriptElsewhere):
            writing.drop_parts(run.checkpoint.folder, result.parts)
    else:
        place = await run.reserve_place(ticket.row)
        written = await _write(run, ticket.row, place, result)
        record = _make_record(ticket, result, written, output=place)
        record = to_suspect(record, result.doubts, result.support)
        end = replace(end, replaces_kept=True)
    record = _count(record, ticket, is_passing=not is_last)
    await run.recorder.finish(end=end, record=record, targets=written.targets, parts=written.parts)
    ticket.kept = record
    return record


async def fail(run: RunState, ticket: Ticket, failure: Fail, *, last: Ticket) -> JobRecord:
    """Record the failure of a job; what is kept of it in doubt stays its result.

    Args:
        run: The run.
        ticket: The job's.
        failure: How its last attempt failed.
        last: Whose attempt that was: the job's, or a segment's of it.

    Raises:
        BatchjobsError: The disk failed.
    """
    kept = _find_kept(ticket)
    if kept is None:
        record = to_failure(begin_record(ticket), failure, last)
    else:
        record = _give_up(kept, ticket, failure)
    with trio.CancelScope(shield=True):
        await run.recorder.finish(record=record)
    return record


async def _write(run: RunState, row: Row, output: str, result: Result) -> Written:
    folder = run.checkpoint.folder
    if isinstance(result, SpeechElsewhere | TranscriptElsewhere):
        if result.error is not None:
            raise result.error
        return writing.claim_parts(folder, output, result.parts)

    write = functools.partial(writing.write_result, folder, output, result, seconds=row.seconds)
    if isinstance(result, TtsResult) and not output.lower().endswith(".wav"):
        # To encode takes the processor, not the hop: each file for itself.
        return await trio.to_thread.run_sync(write, limiter=run.disk)
    return await run.batches.run_sync(write)


def _find_kept(ticket: Ticket) -> JobRecord | None:
    assert ticket.kept is None or isinstance(ticket.kept, JobRecord)
    return ticket.kept


def _give_up(kept: JobRecord, ticket: Ticket, failure: Fail) -> JobRecord:
    """Make the record of a job whose other attempts failed from what is kept of it."""
    if failure.message:
        error = f"{failure.error_class}: {failure.message}"
        shown = f"{kept.error_message}; the last attempt failed: {error}"
        kept = replace(kept, error_message=shown)
    if not ticket.tries.attempts:  # it was only looked at
        return replace(kept, is_passing=False)
    return _count(kept, ticket, is_passing=False)


def _count(record: JobRecord, ticket: Ticket, *, is_passing: bool) -> JobRecord:
    """Put into a record what all attempts of its job come to."""
    return replace(
        record,
        attempts=ticket.tries.attempts,
        cost=round(ticket.cost, 6),
        is_passing=is_passing,
        finished_at=time.time(),
    )


def _make_record(ticket: Ticket, result: Result, written: Written, *, output: str) -> JobRecord:
    evidence = result.evidence
    record = replace(begin_record(ticket), output=output, files=written.files, evidence=evidence)
    if isinstance(result, SttResult):
        return replace(record, text=result.text, audio_seconds=evidence.sent_audio_seconds)
    return replace(
        record,
        sample_rate=result.sample_rate,
        frames=frames_of(result),
        pcm_sha256=written.pcm_sha256,
        audio_seconds=evidence.received_audio_seconds,
    )
