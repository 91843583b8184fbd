"""Jobs of one session: their files written, their records made, kept in doubt if they must be."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import trio

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.checkpoint import AttemptEnd, JobRecord, Row, SegmentChanges
from batchjobs.errors import SuspectError
from batchjobs.jobs import Doubt, Kind, Status, severity
from batchjobs.outputs import suspects, writing
from batchjobs.outputs.writing import Written
from batchjobs.protocol.stt import TranscriptResult
from batchjobs.protocol.tts import SpeechResult
from batchjobs.runner.state import RunState, Ticket
from batchjobs.transcripts import joining
from batchjobs.transcripts.joining import TranscriptPart

__all__ = ["SingleJobs", "against", "in_doubt"]


class SingleJobs:
    """What the workers do about the results of jobs that one session does.

    Args:
        run: The run.
    """

    def __init__(self, run: RunState) -> None:
        self._run = run

    async def finished(
        self, ticket: Ticket, result: SpeechResult[ReceivedAudio] | TranscriptResult
    ) -> tuple[JobRecord, Written]:
        """Write a result that is beyond doubt beside its place.

        Raises:
            BatchjobsError: The disk failed.
        """
        written = await self._written(ticket.row, ticket.row.output, result)
        record = _record(ticket, result, written, output=ticket.row.output)
        if isinstance(result, TranscriptResult) and not result.text.strip():
            record = replace(record, error_class="no_speech")
        return record, written

    async def keep_in_doubt(
        self,
        ticket: Ticket,
        result: SpeechResult[ReceivedAudio] | TranscriptResult,
        end: AttemptEnd,
        *,
        is_last: bool,
    ) -> JobRecord:
        """Make a result that is in doubt durable, if none with less against it is kept already.

        Args:
            ticket: The job's.
            result: What came.
            end: How its attempt ended.
            is_last: Whether no other attempt follows.

        Raises:
            BatchjobsError: The disk failed.
        """
        run, kept = self._run, ticket.kept_job
        # An MP3 that is kept is of no use to a row that asks for a WAV by now.
        is_of_use = kept is not None and kept.can_become(ticket.row.output)
        if kept and is_of_use and severity(kept.doubts) <= severity(result.doubts):
            record, targets = kept, tuple[Path, ...]()
            end = replace(end, result="suspect")
        else:
            place = await self._place(ticket.row)
            written = await self._written(ticket.row, place, result)
            targets = written.targets
            record = in_doubt(
                _record(ticket, result, written, output=place), result.doubts, result.support
            )
            end = replace(end, result="kept", replaces_kept=True)
        record = self._counted(record, ticket, is_passing=not is_last)
        await run.recorder.finish(end=end, record=record, targets=targets)
        ticket.kept_job = record
        return record

    def given_up(self, ticket: Ticket, error: str) -> JobRecord | None:
        """Give the record of a job whose other attempts failed; None if nothing of it is kept."""
        kept = ticket.kept_job
        if kept is None:
            return None
        if error:
            shown = f"{kept.error_message}; the last attempt failed: {error}"
            kept = replace(kept, error_message=shown)
        if not ticket.attempts:  # it was only looked at
            return replace(kept, is_passing=False)
        return self._counted(kept, ticket, is_passing=False)

    async def follow(self, ticket: Ticket, leader: JobRecord) -> JobRecord | None:
        """Keep for a job what an equal one has in doubt; None if that is not there any more.

        Raises:
            BatchjobsError: The disk failed.
        """
        run, row = self._run, ticket.row
        place = await self._place(row)
        folder = run.checkpoint.folder
        written = await trio.to_thread.run_sync(
            writing.copied, folder, place, leader, limiter=run.disk
        )
        if written is None:
            return None
        record = replace(
            leader,
            id=row.id,
            output=place,
            files=written.files,
            is_damaged=False,  # what was copied was compared with its hash
            started_at=ticket.started_at,
            finished_at=time.time(),
        )
        if leader.id != row.id:  # its own earlier result was bought for it
            record = replace(record, copied_from=leader.id, attempts=0, cost=0.0)
        await run.recorder.finish(record=record, targets=written.targets)
        return record

    async def _place(self, row: Row) -> str:
        """Say where a result in doubt is to stand: never where one is kept, of whatever content."""
        run = self._run
        taken = await trio.to_thread.run_sync(run.checkpoint.lookups.find_suspect_paths, row.id)
        place = suspects.place_of(row, taken)
        # First whose file it will be: whatever a kill leaves there, the next run knows it.
        await run.recorder.finish(changes=SegmentChanges(expected=(place,)))
        return place

    def _counted(self, record: JobRecord, ticket: Ticket, *, is_passing: bool) -> JobRecord:
        return replace(
            record,
            attempts=ticket.attempts,
            cost=round(ticket.cost, 6),
            is_passing=is_passing,
            finished_at=time.time(),
        )

    async def _written(
        self, row: Row, output: str, result: SpeechResult[ReceivedAudio] | TranscriptResult
    ) -> Written:
        folder = self._run.checkpoint.folder

        def write() -> Written:
            if isinstance(result, SpeechResult):
                return writing.spoken(folder, output, result.pcm, result.sample_rate)
            part = TranscriptPart(
                start_seconds=0.0,
                seconds=row.seconds,
                text=result.text,
                word_end_seconds=result.word_end_seconds,
            )
            return writing.transcribed(
                folder,
                output,
                joining.join_parts([part]),
                audio_seconds=row.seconds,
                evidence=result.evidence,
            )

        if isinstance(result, SpeechResult) and Path(output).suffix.lower() != ".wav":
            # To encode takes the processor, not the hop: each file for itself.
            return await trio.to_thread.run_sync(write, limiter=self._run.disk)
        return await self._run.hops.do(write)


def in_doubt(record: JobRecord, doubts: Sequence[Doubt], support: Sequence[str]) -> JobRecord:
    """Give a job's record as that of a result in doubt, with the place of each doubt in time."""
    placed = tuple(
        replace(doubt, end_seconds=doubt.end_seconds or record.audio_seconds) for doubt in doubts
    )
    return replace(
        record,
        status=Status.SUSPECT,
        error_class=SuspectError.label,
        error_message=against(placed),
        doubts=placed,
        support=tuple(support),
    )


def against(doubts: Sequence[Doubt]) -> str:
    """Say in one sentence what speaks against a result."""
    return "; ".join(dict.fromkeys(doubt.message for doubt in doubts))


def _record(
    ticket: Ticket,
    result: SpeechResult[ReceivedAudio] | TranscriptResult,
    written: Written,
    *,
    output: str,
) -> JobRecord:
    evidence = result.evidence
    record = JobRecord(
        id=ticket.row.id,
        key=ticket.row.key,
        kind=Kind(ticket.row.kind),
        status=Status.DONE,
        output=output,
        files=written.files,
        provider=ticket.row.provider,
        attempts=ticket.attempts,
        evidence=evidence,
        cost=round(ticket.cost, 6),
        started_at=ticket.started_at,
        finished_at=time.time(),
    )
    if isinstance(result, SpeechResult):
        return replace(
            record,
            sample_rate=result.sample_rate,
            frames=len(result.pcm) // 2,
            pcm_sha256=written.pcm_sha256,
            audio_seconds=evidence.received_audio_seconds,
        )
    return replace(record, text=result.text, audio_seconds=evidence.sent_audio_seconds)
