"""Long jobs whose segments are all there: put together, and made durable."""

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import trio

from batchjobs.checkpoint import JobRecord, SegmentChanges, SegmentRecord
from batchjobs.files import run_folder
from batchjobs.formatting import timestamp
from batchjobs.jobs import Doubt, Kind, SideState, Status, sum_evidence
from batchjobs.outputs import writing
from batchjobs.outputs.segments import SegmentLostError, Span, assemble
from batchjobs.outputs.writing import Written
from batchjobs.runner.records import begin_record, to_suspect
from batchjobs.runner.state import RunState
from batchjobs.runner.tickets import LongJob
from batchjobs.transcripts import joining, turns
from batchjobs.transcripts.joining import Transcript, TranscriptPart


async def assemble_job(run: RunState, job: LongJob) -> JobRecord | None:
    """Make a job's file out of its segments.

    Returns:
        The job's record; None if a segment was damaged, and is bought once more.

    Raises:
        BatchjobsError: The disk failed.
    """
    if job.job.kind is Kind.STT:
        return await _join_transcripts(run, job)
    spans = _make_spans(run, job)
    place = await _choose_place(run, job)
    try:
        # Hours take minutes to encode: after a second Ctrl-C they are not waited for.
        put = functools.partial(_put_together, run, place, spans)
        written, homes = await trio.to_thread.run_sync(put, limiter=run.disk)
    except SegmentLostError as error:
        await _replace(run, job, error.segment)
        return None
    return await _publish(run, job, spans, written, homes)


def _put_together(
    run: RunState, place: str, spans: Sequence[Span]
) -> tuple[Written, tuple[SegmentRecord, ...]]:
    checkpoint = run.checkpoint
    with checkpoint.shelf.holding(span.segment.path for span in spans) as held:
        return assemble(
            checkpoint.folder, place, spans, place=held, go_on=trio.from_thread.check_cancelled
        )


async def _choose_place(run: RunState, job: LongJob) -> str:
    row = job.ticket.row
    return await run.reserve_place(row) if job.is_in_doubt else row.output


async def _publish(
    run: RunState,
    job: LongJob,
    spans: Sequence[Span],
    written: Written,
    homes: tuple[SegmentRecord, ...],
) -> JobRecord:
    row = job.ticket.row
    # First where the segments will be: whatever a kill leaves in that place, they are found.
    with trio.CancelScope(shield=True):
        await run.recorder.finish(changes=SegmentChanges(assembling=row.id, homes=homes))
    frames = sum(span.segment.frames + span.pause_frames for span in spans)
    rate = spans[0].segment.sample_rate
    record = replace(
        _make_record(job),
        output=written.files[0].path,
        files=written.files,
        sample_rate=rate,
        frames=frames,
        pcm_sha256=written.pcm_sha256,
        audio_seconds=frames / rate,
    )
    if job.is_in_doubt:
        record = _to_suspect(record, job, _starts(spans))
    left: tuple[str, ...] = ()
    # Hours may have been encoded: from here on it takes moments, and no cancellation takes it back.
    with trio.CancelScope(shield=True):
        if homes:  # else its segments have no other place
            left = tuple({segment.path for segment in job.held.values()})
            left = tuple(path for path in left if run_folder.is_segment_file(path))
            found = await trio.to_thread.run_sync(run.checkpoint.lookups.find, [row.id])
            kept = found.get(row.id)
            left += (kept.output,) if kept and kept.status is Status.SUSPECT else ()
        changes = SegmentChanges(homes=homes, left_files=left)
        await run.recorder.finish(record=record, changes=changes, targets=written.targets)
    await trio.to_thread.run_sync(run.checkpoint.shelf.remove, left)
    return record


def _make_spans(run: RunState, job: LongJob) -> list[Span]:
    options = run.options
    spans = []
    for number, part in enumerate(job.parts, start=1):
        segment = job.held[part.segment.key]
        seconds = options.sentence_pause_seconds
        if part.ends_paragraph:
            seconds = options.paragraph_pause_seconds
        frames = round(seconds * segment.sample_rate) if number < len(job.parts) else 0
        spans.append(Span(segment=segment, pause_frames=frames))
    return spans


async def _replace(run: RunState, job: LongJob, lost: SegmentRecord) -> None:
    """Find a damaged segment elsewhere, or buy it again."""
    places = await trio.to_thread.run_sync(run.checkpoint.segments.find, [lost.key])
    job.lost.append(lost)
    has = run.checkpoint.shelf.has
    others = [
        other
        for other in places.get(lost.key, ())
        if other not in job.lost and await trio.to_thread.run_sync(has, other.path, other.bytes)
    ]
    if others:
        job.held[lost.key] = others[0]
    else:
        del job.held[lost.key]
    run.wanted.wait_for_missing(job)
    run.wanted.ask_for_missing(job, lost=run.lost)


async def _join_transcripts(run: RunState, job: LongJob) -> JobRecord:
    row = job.ticket.row
    place = await _choose_place(run, job)
    record = _make_record(job)
    find = functools.partial(run.checkpoint.lookups.find_length, job.job.hearing.track)
    seconds = await trio.to_thread.run_sync(find, job.job.audio) or row.seconds

    def write() -> tuple[str, Written]:
        transcript = _join(job)
        written = writing.write_transcript(
            run.checkpoint.folder,
            place,
            transcript,
            audio_seconds=seconds,
            evidence=record.evidence,
            sides=job.sides,
        )
        return transcript.text, written

    text, written = await trio.to_thread.run_sync(write, limiter=run.disk)
    record = replace(
        record,
        files=written.files,
        text=text,
        audio_seconds=seconds,
        output=place,
        error_class="" if text.strip() else "no_speech",
    )
    if job.is_in_doubt:
        record = _to_suspect(record, job, [part.start_seconds for part in job.parts])
    # Those of sides are kept as this job's own, to put it together anew under other names.
    homes = [replace(one, job_key=row.key) for one in job.held.values()] if job.sides else []
    changes = SegmentChanges(homes=tuple(homes)) if homes else None
    with trio.CancelScope(shield=True):
        await run.recorder.finish(record=record, changes=changes, targets=written.targets)
    return record


def _make_record(job: LongJob) -> JobRecord:
    segments = list(job.held.values())
    evidence = [segment.evidence for segment in segments if segment.evidence is not None]
    return replace(
        begin_record(job.ticket),
        attempts=sum(segment.attempts for segment in segments),
        evidence=sum_evidence(evidence),
        cost=round(sum(segment.cost for segment in segments), 6),
        started_at=min((s.started_at for s in segments), default=job.ticket.started_at),
        segments=max(2, len(job.parts)),
        layout=job.ticket.row.layout,
        sides=job.sides,
    )


def _to_suspect(record: JobRecord, job: LongJob, starts: Sequence[float]) -> JobRecord:
    """Make a job's record that of a result in doubt, with the place in time of each doubt."""
    doubts: list[Doubt] = []
    support: list[str] = []
    for part, start in zip(job.parts, starts, strict=True):
        segment = job.held[part.segment.key]
        for doubt in segment.doubts:
            begin = start + doubt.start_seconds
            end = start + (doubt.end_seconds or segment.audio_seconds)
            message = f"{doubt.message} (at {timestamp(begin)} to {timestamp(end)})"
            doubts.append(
                replace(
                    doubt,
                    message=message,
                    start_seconds=round(begin, 3),
                    end_seconds=round(end, 3),
                    key=segment.key,
                )
            )
        support += segment.support
    return to_suspect(record, doubts, list(dict.fromkeys(support)))


def _starts(spans: Sequence[Span]) -> list[float]:
    """Say where each segment begins in its job's file, in seconds."""
    frames = [0, *itertools.accumulate(s.segment.frames + s.pause_frames for s in spans)]
    return [begin / spans[0].segment.sample_rate for begin in frames[:-1]]


def _join(job: LongJob) -> Transcript:
    """Join what was heard; of sides that were heard apart, each by itself and then all of them."""
    parts = list(_transcript_parts(job))
    if all(side.state is SideState.SAME for side in job.sides[1:]):  # or there are none
        return joining.join_parts(parts)
    numbers = [part.side for part in job.parts]
    return turns.join_sides(
        [
            (
                side.name,
                joining.join_parts(
                    [
                        part
                        for part, number in zip(parts, numbers, strict=True)
                        if number == side.channel - 1
                    ]
                ),
            )
            for side in job.sides
            if side.state is SideState.HEARD
        ]
    )


def _transcript_parts(job: LongJob) -> Iterator[TranscriptPart]:
    for part in job.parts:
        heard = job.held[part.segment.key]
        yield TranscriptPart(
            start_seconds=part.start_seconds,
            seconds=part.segment.audio_seconds,
            overlap_seconds=part.overlap_seconds,
            text=heard.text,
            word_start_seconds=heard.word_start_seconds,
            word_end_seconds=heard.word_end_seconds,
            silences=part.silences,
            traits=heard.traits,
        )
