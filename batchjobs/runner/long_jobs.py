"""Long jobs: their segments are kept as they come in any order, and put together at the end."""

import functools
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import trio

from batchjobs.checkpoint import (
    AttemptEnd,
    JobRecord,
    SegmentChanges,
    SegmentRecord,
)
from batchjobs.files import run_folder
from batchjobs.formatting import timestamp
from batchjobs.jobs import Doubt, Kind, Status, combined, severity
from batchjobs.outputs import writing
from batchjobs.outputs.segments import SegmentLostError, Span, assemble, remove_segments
from batchjobs.outputs.writing import Written
from batchjobs.progress import SegmentFinished
from batchjobs.protocol.stt import SttResult
from batchjobs.runner.attempts import Attempt
from batchjobs.runner.doubts import reserve_place, to_suspect
from batchjobs.runner.reactions import Fail
from batchjobs.runner.service import Result
from batchjobs.runner.state import RunState
from batchjobs.runner.tickets import LongJob, Ticket
from batchjobs.transcripts import joining
from batchjobs.transcripts.joining import TranscriptPart

__all__ = ["LongJobs"]


class LongJobs:
    """What the workers do about jobs of several segments, once they are cut.

    Args:
        run: The run.
    """

    def __init__(self, run: RunState) -> None:
        self._run = run

    # -- keeping --------------------------------------------------------------------------------

    async def keep(self, attempt: Attempt, result: Result, end: AttemptEnd) -> None:
        """Make a bought segment durable, and give it to the jobs that wait for it.

        Args:
            attempt: What brought it.
            result: What came.
            end: How the attempt ended.

        Raises:
            BatchjobsError: The disk failed.
        """
        record, written = await self._write(attempt.ticket, result)
        await self._commit(attempt.ticket, record, written, end=end)
        self._hand_over(record)

    async def keep_in_doubt(
        self, attempt: Attempt, result: Result, end: AttemptEnd, *, is_last: bool
    ) -> None:
        """Make a segment that is in doubt durable, if none with less against it is kept already.

        Args:
            attempt: What brought it.
            result: What came.
            end: How the attempt ended.
            is_last: Whether no other attempt follows; the jobs that wait for it then have it so.

        Raises:
            BatchjobsError: The disk failed.
        """
        ticket = attempt.ticket
        kept, written = _find_kept(ticket), None
        if kept is not None and severity(kept.doubts) <= severity(result.doubts):
            record, end = kept, replace(end, result="suspect")
        else:
            record, written = await self._write(ticket, result)
            end = replace(end, replaces_kept=kept is not None)
        await self._settle(ticket, record, written, end=end, is_last=is_last)

    async def settle_in_doubt(self, ticket: Ticket, failure: Fail) -> None:
        """Let the jobs have what is kept of a segment whose other attempts failed.

        Args:
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
        await self._settle(ticket, record, None, end=None, is_last=True)

    async def _settle(
        self,
        ticket: Ticket,
        record: SegmentRecord,
        written: Written | None,
        *,
        end: AttemptEnd | None,
        is_last: bool,
    ) -> None:
        record = replace(
            record,
            attempts=ticket.tries.attempts,
            cost=round(ticket.cost, 6),
            is_passing=not is_last,
        )
        await self._commit(ticket, record, written, end=end, is_over=is_last)
        ticket.kept = record
        if is_last:
            self._run.segments.settle(record.key)
            self._hand_over(record)

    async def _commit(
        self,
        ticket: Ticket,
        record: SegmentRecord,
        written: Written | None,
        *,
        end: AttemptEnd | None,
        is_over: bool = True,
    ) -> None:
        """Make a segment durable in the place of what was kept of it.

        Args:
            ticket: The segment's.
            record: What is known of it.
            written: Its file, if it is a new one.
            end: How its attempt ended, if one did.
            is_over: Whether the jobs that wait for it need not wait any longer.
        """
        run, kept = self._run, _find_kept(ticket)
        folder = run.checkpoint.folder
        jobs = run.segments.find_waiting(record.key) if is_over else ()
        left = [] if kept is None or written is None else [kept.path]
        left = [path for path in left if run_folder.is_segment_file(path)]
        changes = SegmentChanges(
            bought=record,
            characters=ticket.characters if is_over else 0,
            seconds=ticket.seconds if is_over else 0.0,
            jobs=tuple(job.ticket.row.id for job in jobs),
            left_files=tuple(left),
        )
        targets = written.targets if written is not None else ()
        await run.recorder.finish(end=end, changes=changes, targets=targets)
        if not record.path and is_over:  # a transcript: what was to be sent is sent
            left = [run_folder.segment_path(record.key)]
        remove_segments(folder, left)

    def _hand_over(self, record: SegmentRecord) -> None:
        """Give a segment to the jobs that wait; others may have come while it was committed."""
        run = self._run
        for job in run.segments.forget(record.key):
            job.held[record.key] = record
            missing = len(job.missing)
            if not missing and job.is_cut:
                run.segments.assemble(job)
            total = len({part.segment.key for part in job.parts})
            run.tell(
                SegmentFinished(
                    id=job.ticket.row.id,
                    done=total - missing,
                    segments=total,
                    audio_seconds=record.audio_seconds,
                )
            )

    async def _write(self, ticket: Ticket, result: Result) -> tuple[SegmentRecord, Written | None]:
        """Write a segment's samples beside their place, if it is speech, and make its record."""
        evidence, kept = result.evidence, _find_kept(ticket)
        record = SegmentRecord(
            key=ticket.key,
            job_key=ticket.row.key,
            audio_seconds=ticket.seconds or evidence.received_audio_seconds,
            evidence=evidence,
            attempts=ticket.tries.attempts,
            cost=round(ticket.cost, 6),
            started_at=ticket.started_at,
            doubts=result.doubts,
            support=result.support if result.doubts else (),
        )
        if isinstance(result, SttResult):
            ends = result.word_end_seconds
            return replace(record, text=result.verbatim, word_end_seconds=ends), None
        # Until this is committed what is kept stays, in a file of its own.
        path = run_folder.segment_path(ticket.key)
        if kept is not None and kept.path == path:
            path = run_folder.segment_path(ticket.key, 2)
        write = functools.partial(
            writing.write_speech, self._run.checkpoint.folder, path, result.pcm, result.sample_rate
        )
        written = await trio.to_thread.run_sync(write, limiter=self._run.disk)
        file = written.files[0]
        record = replace(
            record,
            path=file.path,
            bytes=file.bytes,
            frames=len(result.pcm) // 2,
            sample_rate=result.sample_rate,
            pcm_sha256=written.pcm_sha256,
        )
        return record, written

    def give_up(self, ticket: Ticket) -> list[LongJob]:
        """End the jobs that wait for a segment which cannot be had.

        Returns:
            Those jobs.
        """
        jobs = self._run.segments.forget(ticket.key)
        for job in jobs:
            job.is_over = True
        return jobs

    # -- putting together -----------------------------------------------------------------------

    async def assemble(self, job: LongJob) -> JobRecord | None:
        """Make a job's file out of its segments.

        Returns:
            The job's record; None if a segment was damaged, and is bought once more.

        Raises:
            BatchjobsError: The disk failed.
        """
        if job.job.kind is Kind.STT:
            return await self._join_transcripts(job)
        run = self._run
        spans = self._spans(job)
        place, kept = await self._choose_place(job)
        try:
            # Hours take minutes to encode: after a second Ctrl-C they are not waited for.
            put = functools.partial(assemble, go_on=trio.from_thread.check_cancelled)
            written, homes = await trio.to_thread.run_sync(
                put, run.checkpoint.folder, place, spans, limiter=run.disk
            )
        except SegmentLostError as error:
            await self._replace(job, error.segment)
            return None
        return await self._publish(job, spans, written, homes, kept)

    async def _choose_place(self, job: LongJob) -> tuple[str, JobRecord | None]:
        """Choose where a job's file is to stand, and find what is kept of the job in doubt."""
        run, row = self._run, job.ticket.row
        found = await trio.to_thread.run_sync(run.checkpoint.lookups.find, [row.id])
        kept = found.get(row.id)
        if kept is not None and kept.status is not Status.SUSPECT:
            kept = None
        return await reserve_place(run, row) if job.is_in_doubt else row.output, kept

    async def _publish(
        self,
        job: LongJob,
        spans: Sequence[Span],
        written: Written,
        homes: tuple[SegmentRecord, ...],
        kept: JobRecord | None,
    ) -> JobRecord:
        run, row = self._run, job.ticket.row
        # First where the segments will be: whatever a kill leaves in that place, they are found.
        with trio.CancelScope(shield=True):
            await run.recorder.finish(changes=SegmentChanges(assembling=row.id, homes=homes))
        frames = sum(span.segment.frames + span.pause_frames for span in spans)
        rate = spans[0].segment.sample_rate
        record = replace(
            _make_record(job, written),
            sample_rate=rate,
            frames=frames,
            pcm_sha256=written.pcm_sha256,
            audio_seconds=frames / rate,
        )
        if job.is_in_doubt:
            record = _to_suspect(record, job, _starts(spans))
        left = tuple({s.path for s in job.held.values() if _is_own_file(s)}) if homes else ()
        if kept is not None and homes:  # else its segments have no other
            left += (kept.output,)
        changes = SegmentChanges(homes=homes, left_files=left)
        with trio.CancelScope(shield=True):
            await run.recorder.finish(record=record, changes=changes, targets=written.targets)
        await trio.to_thread.run_sync(remove_segments, run.checkpoint.folder, left)
        return record

    def _spans(self, job: LongJob) -> list[Span]:
        pauses = self._run.options.pauses
        spans = []
        for number, part in enumerate(job.parts, start=1):
            segment = job.held[part.segment.key]
            seconds = pauses.paragraphs_seconds if part.ends_paragraph else pauses.sentences_seconds
            frames = round(seconds * segment.sample_rate) if number < len(job.parts) else 0
            spans.append(Span(segment=segment, pause_frames=frames))
        return spans

    async def _replace(self, job: LongJob, lost: SegmentRecord) -> None:
        """Find a damaged segment elsewhere, or buy it again."""
        places = await trio.to_thread.run_sync(self._run.checkpoint.segments.find, [lost.key])
        job.lost.append(lost)
        folder = self._run.checkpoint.folder
        others = [
            other
            for other in places.get(lost.key, ())
            if other not in job.lost and (folder / other.path).is_file()
        ]
        if others:
            job.held[lost.key] = others[0]
        else:
            del job.held[lost.key]
        self._run.segments.wait_for_missing(job)
        self._run.segments.ask_for_missing(job, lost=self._run.lost)

    async def _join_transcripts(self, job: LongJob) -> JobRecord:
        run, row = self._run, job.ticket.row
        place, _ = await self._choose_place(job)
        record = _make_record(job, None)
        source = await trio.to_thread.run_sync(run.checkpoint.lookups.find_source, job.job.audio)
        seconds = row.seconds if source is None else source.seconds

        def write() -> tuple[str, Written]:
            transcript = joining.join_parts(list(_transcript_parts(job)))
            written = writing.write_transcript(
                run.checkpoint.folder,
                place,
                transcript,
                audio_seconds=seconds,
                evidence=record.evidence,
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
        with trio.CancelScope(shield=True):
            await run.recorder.finish(record=record, targets=written.targets)
        return record


def _make_record(job: LongJob, written: Written | None) -> JobRecord:
    ticket, row = job.ticket, job.ticket.row
    segments = list(job.held.values())
    evidence = [segment.evidence for segment in segments if segment.evidence is not None]
    return JobRecord(
        id=row.id,
        key=row.key,
        kind=Kind(row.kind),
        status=Status.DONE,
        output=row.output if written is None else written.files[0].path,
        files=written.files if written is not None else (),
        provider=row.provider,
        attempts=sum(segment.attempts for segment in segments),
        evidence=combined(evidence),
        cost=round(sum(segment.cost for segment in segments), 6),
        started_at=min((s.started_at for s in segments), default=ticket.started_at),
        finished_at=time.time(),
        segments=max(2, len(job.parts)),
        layout=row.layout,
    )


def _to_suspect(record: JobRecord, job: LongJob, starts: Sequence[float]) -> JobRecord:
    """Give a job's record as that of a result in doubt, with the place in time of each doubt."""
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


def _transcript_parts(job: LongJob) -> Iterator[TranscriptPart]:
    for part in job.parts:
        heard = job.held[part.segment.key]
        yield TranscriptPart(
            start_seconds=part.start_seconds,
            seconds=part.segment.audio_seconds,
            overlap_seconds=part.overlap_seconds,
            text=heard.text,
            word_end_seconds=heard.word_end_seconds,
            silences=part.silences,
        )


def _find_kept(ticket: Ticket) -> SegmentRecord | None:
    assert ticket.kept is None or isinstance(ticket.kept, SegmentRecord)
    return ticket.kept


def _is_own_file(segment: SegmentRecord) -> bool:
    return run_folder.is_segment_file(segment.path)
