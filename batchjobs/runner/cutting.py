"""Cuts long jobs into segments, and finds those that are there already."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import trio

from batchjobs.audio import pauses
from batchjobs.audio.voice_activity import SileroDetector
from batchjobs.checkpoint import SegmentRecord
from batchjobs.files import run_folder
from batchjobs.files.atomic import write_whole
from batchjobs.jobs import Job, Kind, Segment
from batchjobs.planning.intact import find_held_segments
from batchjobs.planning.keys import cut_text, recording_key
from batchjobs.protocol.codec import wav_of
from batchjobs.protocol.stt import SAMPLE_RATE
from batchjobs.providers import Provider
from batchjobs.runner.state import RunState
from batchjobs.runner.tickets import LongJob, Part, Ticket

_LOOKED_UP_AT_ONCE: Final = 500


async def cut(run: RunState, ticket: Ticket, job: Job) -> None:
    """Find a job's segments, and put those that are not there yet in line.

    Args:
        run: The run.
        ticket: The job's.
        job: What it asks for.

    Raises:
        RecordingError: The recording is damaged.
        DiskError: The disk failed or is full.
    """
    provider = run.services[job.provider].endpoint.provider
    parts = await trio.to_thread.run_sync(_make_parts, run, job, provider, limiter=run.disk)
    whole = LongJob(ticket=ticket, job=job, parts=parts, held={})
    # First the job waits, then it looks: what others bring in between, it is given.
    run.wanted.wait_for_missing(whole)
    found = await trio.to_thread.run_sync(_find, run, list(whole.missing))
    whole.held |= {key: one for key, one in found.items() if _is_there(run, one)}
    run.wanted.ask_for_missing(whole, lost=run.lost, doubted=found)


def _make_parts(run: RunState, job: Job, provider: Provider) -> list[Part]:
    if job.kind is Kind.STT:
        return list(_cut_recording(run, job, provider))
    return [Part(segment=segment, ends_paragraph=ends) for segment, ends in cut_text(job, provider)]


def _cut_recording(run: RunState, job: Job, provider: Provider) -> Iterator[Part]:
    """Cut a recording, and write what is to be sent of it to files: it is decoded once."""
    stretches = pauses.split_at_pauses(
        Path(job.audio),
        sample_rate=SAMPLE_RATE,
        target_seconds=provider.audio_target_seconds,
        longest_seconds=provider.audio_limit_seconds,
        detector=SileroDetector() if run.options.vad else None,
    )
    for stretch in stretches:
        trio.from_thread.check_cancelled()
        key = recording_key(hashlib.sha256(stretch.pcm).hexdigest(), provider, job)
        path = run.checkpoint.folder / run_folder.segment_path(key)
        if not _is_there(run, _find(run, [key]).get(key)):
            write_whole(path, wav_of(stretch.pcm, SAMPLE_RATE))
        yield Part(
            segment=Segment(
                key=key,
                kind=Kind.STT,
                audio=str(path),
                audio_seconds=len(stretch.pcm) / 2 / SAMPLE_RATE,
                hotwords=job.hotwords,
            ),
            start_seconds=stretch.first_frame / SAMPLE_RATE,
            overlap_seconds=stretch.overlap_frames / SAMPLE_RATE,
            silences=stretch.silences,
        )


def _find(run: RunState, keys: Sequence[str]) -> dict[str, SegmentRecord]:
    """Find the segments that are there, by key; in a thread."""
    held: dict[str, SegmentRecord] = {}
    for start in range(0, len(keys), _LOOKED_UP_AT_ONCE):
        held |= find_held_segments(run.checkpoint, keys[start : start + _LOOKED_UP_AT_ONCE])
    return held


def _is_there(run: RunState, held: SegmentRecord | None) -> bool:
    """Whether a segment need not be bought: it is held, and not in doubt that a run can settle."""
    if held is None or run.wanted.is_settled(held.key):
        return held is not None
    return not held.is_wanted_again(rebuys_doubted=run.options.retry_failed)
