"""Long jobs: cut into segments, which are bought in any order, and put together again."""

import functools
import hashlib
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

import trio

from batchjobs.audio import pauses
from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.checkpoint import (
    AttemptEnd,
    JobRecord,
    SegmentChanges,
    SegmentRecord,
)
from batchjobs.files import run_folder
from batchjobs.files.atomic import write_whole
from batchjobs.formatting import timestamp
from batchjobs.jobs import Doubt, Job, Kind, Segment, Status, combined, severity
from batchjobs.outputs import suspects, writing
from batchjobs.outputs.writing import SegmentLostError, Span, Written
from batchjobs.planning import held_segments, recording_key, text_segments
from batchjobs.progress import SegmentFinished
from batchjobs.protocol.codec import wav_of
from batchjobs.protocol.stt import SAMPLE_RATE, TranscriptResult
from batchjobs.protocol.tts import SpeechResult
from batchjobs.providers import Provider
from batchjobs.runner.single_jobs import in_doubt
from batchjobs.runner.state import LongJob, Part, RunState, Ticket
from batchjobs.transcripts import joining
from batchjobs.transcripts.joining import TranscriptPart

__all__ = ["LongJobs"]

_LOOKED_UP_AT_ONCE: Final = 500


class LongJobs:
    """What the workers do about jobs of several segments.

    Args:
        run: The run.
    """

    def __init__(self, run: RunState) -> None:
        self._run = run

    # -- cutting --------------------------------------------------------------------------------

    async def cut(self, ticket: Ticket) -> None:
        """Find a job's segments, and put those that are not there yet in line.

        Raises:
            RecordingError: The recording is damaged.
            DiskError: The disk failed or is full.
        """
        run, job = self._run, ticket.job
        assert isinstance(job, Job)
        provider = run.services[job.provider].link.provider
        parts = await trio.to_thread.run_sync(self._parts, job, provider, limiter=run.disk)
        whole = LongJob(ticket=ticket, parts=parts, held={})
        # First the job waits, then it looks: what others bring in between, it is told.
        self._wait_for(whole)
        found = await trio.to_thread.run_sync(self._held, list(whole.missing))
        whole.held |= {key: one for key, one in found.items() if self._is_there(one)}
        self._ask_for(whole, doubted=found)

    def _parts(self, job: Job, provider: Provider) -> list[Part]:
        if job.kind is Kind.STT:
            return list(self._stretches(job, provider))
        return [
            Part(segment=segment, ends_paragraph=ends)
            for segment, ends in text_segments(job, provider)
        ]

    def _stretches(self, job: Job, provider: Provider) -> Iterator[Part]:
        """Cut a recording, and write what is to be sent of it to files: it is decoded once."""
        detector = self._run.settings.detector
        stretches = pauses.split_at_pauses(
            Path(job.audio),
            sample_rate=SAMPLE_RATE,
            target_seconds=provider.audio_target_seconds,
            longest_seconds=provider.audio_limit_seconds,
            detector=None if detector is None else detector(),
        )
        for stretch in stretches:
            trio.from_thread.check_cancelled()
            key = recording_key(hashlib.sha256(stretch.pcm).hexdigest(), provider)
            path = self._scratch(key)
            if not self._is_there(self._held([key]).get(key)):
                write_whole(path, wav_of(stretch.pcm, SAMPLE_RATE))
            yield Part(
                segment=Segment(
                    key=key,
                    kind=Kind.STT,
                    audio=str(path),
                    audio_seconds=len(stretch.pcm) / 2 / SAMPLE_RATE,
                ),
                start_seconds=stretch.first_frame / SAMPLE_RATE,
                overlap_seconds=stretch.overlap_frames / SAMPLE_RATE,
                silences=stretch.silences,
            )

    def _scratch(self, key: str) -> Path:
        return self._run.checkpoint.folder / run_folder.segment_path(key)

    def _held(self, keys: Sequence[str]) -> dict[str, SegmentRecord]:
        held: dict[str, SegmentRecord] = {}
        for start in range(0, len(keys), _LOOKED_UP_AT_ONCE):
            held |= held_segments(self._run.checkpoint, keys[start : start + _LOOKED_UP_AT_ONCE])
        return held

    def _is_there(self, held: SegmentRecord | None) -> bool:
        """Whether a segment need not be bought: it is held, and not in doubt that a run can settle."""
        if held is None or held.key in self._run.settled_in_doubt:
            return held is not None
        return not held.is_wanted_again(rebuys_doubted=self._run.settings.rebuys_doubted)

    def _wait_for(self, job: LongJob) -> None:
        """Let a job wait for its missing segments."""
        for key in job.missing:
            self._run.wanted.setdefault(key, []).append(job)

    def _ask_for(
        self, job: LongJob, *, doubted: Mapping[str, SegmentRecord] = MappingProxyType({})
    ) -> None:
        """Buy what is missing, the longest first: the last to end is then a short one.

        But what was lost to kills goes last: the longest would be open in every one of them, and
        count as what the process dies of.

        What nobody has asked for, not what nobody waits for: whoever waits for it as well may have
        found it, where this job did not any more.

        Args:
            job: Whose segments.
            doubted: What is kept of those that are in doubt, by key.
        """
        wanted, asked = self._run.wanted, self._run.asked
        job.is_cut = True
        for key in job.held:
            if job in wanted.get(key, ()):
                wanted[key].remove(job)
                if not wanted[key]:
                    del wanted[key]
        missing = job.missing
        lost = self._run.lost
        longest_first = sorted(missing.values(), key=_length, reverse=True)
        for segment in sorted(longest_first, key=lambda each: lost.get(each.key, 0)):
            if segment.key not in asked:
                asked.add(segment.key)
                ticket = Ticket(
                    row=job.ticket.row,
                    job=job.ticket.job,
                    segment=segment,
                    kept_segment=doubted.get(segment.key),
                )
                self._run.wait(ticket, 0.0)
        if not missing:
            self._run.wait(_to_assemble(job), 0.0)

    # -- keeping --------------------------------------------------------------------------------

    async def keep(
        self,
        ticket: Ticket,
        result: SpeechResult[ReceivedAudio] | TranscriptResult,
        end: AttemptEnd,
    ) -> None:
        """Make a bought segment durable, and tell the jobs that wait for it.

        Raises:
            BatchjobsError: The disk failed.
        """
        record, written = await self._recorded(ticket, result)
        await self._commit(ticket, record, written, end=end)
        self._hand_over(record)

    async def keep_in_doubt(
        self,
        ticket: Ticket,
        result: SpeechResult[ReceivedAudio] | TranscriptResult,
        end: AttemptEnd,
        *,
        is_last: bool,
    ) -> None:
        """Make a segment that is in doubt durable, if none with less against it is kept already.

        Args:
            ticket: The segment's.
            result: What came.
            end: How its attempt ended.
            is_last: Whether no other attempt follows; the jobs that wait for it then have it so.

        Raises:
            BatchjobsError: The disk failed.
        """
        kept = ticket.kept_segment
        written = None
        if kept is not None and severity(kept.doubts) <= severity(result.doubts):
            record, end = kept, replace(end, result="suspect")
        else:
            record, written = await self._recorded(ticket, result)
            end = replace(end, replaces_kept=kept is not None)
        await self._settle(ticket, record, written, end=end, is_last=is_last)

    async def settle_in_doubt(self, ticket: Ticket, error: str) -> None:
        """Let the jobs have what is kept of a segment whose other attempts failed.

        Args:
            ticket: The segment's.
            error: How the last of them failed.

        Raises:
            BatchjobsError: The disk failed.
        """
        kept = ticket.kept_segment
        assert kept is not None
        first, *others = kept.doubts
        first = replace(first, message=f"{first.message}; the last attempt failed: {error}")
        told = replace(kept, doubts=(first, *others))
        await self._settle(ticket, told, None, end=None, is_last=True)

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
            attempts=ticket.attempts,
            cost=round(ticket.cost, 6),
            is_passing=not is_last,
        )
        await self._commit(ticket, record, written, end=end, is_over=is_last)
        ticket.kept_segment = record
        if is_last:
            self._run.settled_in_doubt.add(record.key)
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
        run, kept = self._run, ticket.kept_segment
        folder = run.checkpoint.folder
        jobs = run.wanted.get(record.key, ()) if is_over else ()
        left = [] if kept is None or written is None else [kept.path]
        left = [path for path in left if run_folder.is_segment_file(path)]
        changes = SegmentChanges(
            bought=record,
            characters=ticket.characters if is_over else 0,
            seconds=ticket.seconds if is_over else 0.0,
            jobs=tuple(job.ticket.row.id for job in jobs if not job.is_over),
            left_files=tuple(left),
        )
        targets = written.targets if written is not None else ()
        await run.recorder.finish(end=end, changes=changes, targets=targets)
        if not record.path and is_over:  # a transcript: what was to be sent is sent
            left = [run_folder.segment_path(record.key)]
        writing.remove_segments(folder, left)

    def _hand_over(self, record: SegmentRecord) -> None:
        """Tell the jobs that wait for a segment; others may have come while it was committed."""
        run = self._run
        for job in run.no_longer_wanted(record.key):
            if job.is_over:
                continue
            job.held[record.key] = record
            missing = job.missing
            if not missing and job.is_cut:
                run.wait(_to_assemble(job), 0.0)
            total = len({part.segment.key for part in job.parts})
            run.tell(
                SegmentFinished(
                    id=job.ticket.row.id,
                    done=total - len(missing),
                    segments=total,
                    audio_seconds=record.audio_seconds,
                )
            )

    async def _recorded(
        self, ticket: Ticket, result: SpeechResult[ReceivedAudio] | TranscriptResult
    ) -> tuple[SegmentRecord, Written | None]:
        """Write a segment's samples beside their place, if it is speech; say what is known of it."""
        segment, evidence = ticket.segment, result.evidence
        assert segment is not None
        record = SegmentRecord(
            key=segment.key,
            job_key=ticket.row.key,
            audio_seconds=segment.audio_seconds or evidence.received_audio_seconds,
            evidence=evidence,
            attempts=ticket.attempts,
            cost=round(ticket.cost, 6),
            started_at=ticket.started_at,
            doubts=result.doubts,
            support=result.support if result.doubts else (),
        )
        if isinstance(result, TranscriptResult):
            ends = result.word_end_seconds
            return replace(record, text=result.verbatim, word_end_seconds=ends), None
        # Until this is committed what is kept stays, in a file of its own.
        path = run_folder.segment_path(segment.key)
        if ticket.kept_segment is not None and ticket.kept_segment.path == path:
            path = run_folder.segment_path(segment.key, 2)
        write = functools.partial(
            writing.spoken, self._run.checkpoint.folder, path, result.pcm, result.sample_rate
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
        """End the jobs that wait for a segment which cannot be had; they are given."""
        jobs = [job for job in self._run.no_longer_wanted(ticket.key) if not job.is_over]
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
        if job.ticket.row.kind == Kind.STT:
            return await self._transcribe(job)
        run = self._run
        spans = self._spans(job)
        place, kept = await self._place(job)
        try:
            # Hours take minutes to encode: whoever presses Ctrl-C twice does not wait for them.
            put = functools.partial(writing.assembled, go_on=trio.from_thread.check_cancelled)
            written, homes = await trio.to_thread.run_sync(
                put, run.checkpoint.folder, place, spans, limiter=run.disk
            )
        except SegmentLostError as error:
            await self._replace(job, error.segment)
            return None
        return await self._published(job, spans, written, homes, kept)

    async def _place(self, job: LongJob) -> tuple[str, JobRecord | None]:
        """Say where a job's file is to stand, and what is kept of the job in doubt."""
        run, row = self._run, job.ticket.row
        found = await trio.to_thread.run_sync(run.checkpoint.lookups.find, [row.id])
        kept = found.get(row.id)
        if kept is not None and kept.status is not Status.SUSPECT:
            kept = None
        if not job.is_in_doubt:
            return row.output, kept
        taken = await trio.to_thread.run_sync(run.checkpoint.lookups.find_suspect_paths, row.id)
        place = suspects.place_of(row, taken)
        with trio.CancelScope(shield=True):
            await run.recorder.finish(changes=SegmentChanges(expected=(place,)))
        return place, kept

    async def _published(
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
            _record(job, written),
            sample_rate=rate,
            frames=frames,
            pcm_sha256=written.pcm_sha256,
            audio_seconds=frames / rate,
        )
        if job.is_in_doubt:
            record = _in_doubt(record, job, _starts(spans))
        left = tuple({s.path for s in job.held.values() if _is_own_file(s)}) if homes else ()
        if kept is not None and homes:  # else its segments have no other
            left += (kept.output,)
        changes = SegmentChanges(homes=homes, left_files=left)
        with trio.CancelScope(shield=True):
            await run.recorder.finish(record=record, changes=changes, targets=written.targets)
        await trio.to_thread.run_sync(writing.remove_segments, run.checkpoint.folder, left)
        return record

    def _spans(self, job: LongJob) -> list[Span]:
        pauses = self._run.settings.pauses
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
        self._wait_for(job)
        self._ask_for(job)

    async def _transcribe(self, job: LongJob) -> JobRecord:
        run, row = self._run, job.ticket.row
        place, _ = await self._place(job)
        record = _record(job, None)
        asked = job.ticket.job
        assert isinstance(asked, Job)
        source = await trio.to_thread.run_sync(run.checkpoint.lookups.find_source, asked.audio)
        seconds = row.seconds if source is None else source.seconds

        def write() -> tuple[str, Written]:
            transcript = joining.join_parts(list(_placed(job)))
            written = writing.transcribed(
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
            record = _in_doubt(record, job, [part.start_seconds for part in job.parts])
        with trio.CancelScope(shield=True):
            await run.recorder.finish(record=record, targets=written.targets)
        return record


def _record(job: LongJob, written: Written | None) -> JobRecord:
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


def _in_doubt(record: JobRecord, job: LongJob, starts: Sequence[float]) -> JobRecord:
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
    return in_doubt(record, doubts, list(dict.fromkeys(support)))


def _starts(spans: Sequence[Span]) -> list[float]:
    """Say where each segment begins in its job's file, in seconds."""
    frames = [0, *itertools.accumulate(s.segment.frames + s.pause_frames for s in spans)]
    return [begin / spans[0].segment.sample_rate for begin in frames[:-1]]


def _placed(job: LongJob) -> Iterator[TranscriptPart]:
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


def _to_assemble(job: LongJob) -> Ticket:
    return Ticket(row=job.ticket.row, job=job.ticket.job, whole=job)


def _length(segment: Segment) -> tuple[float, int]:
    return segment.audio_seconds, len(segment.text)


def _is_own_file(segment: SegmentRecord) -> bool:
    return run_folder.is_segment_file(segment.path)
