"""Cuts long jobs into segments, and finds those that are there already."""

import functools
import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import trio

from batchjobs.audio import pauses, sides
from batchjobs.audio.voice_activity import SileroDetector
from batchjobs.checkpoint import SegmentRecord
from batchjobs.errors import RecordingError
from batchjobs.files import run_folder
from batchjobs.files.atomic import write_whole
from batchjobs.jobs import Job, Kind, Segment, Side, SideState
from batchjobs.planning.intact import find_held_segments
from batchjobs.planning.keys import cut_text, recording_key
from batchjobs.planning.recordings import name_sides
from batchjobs.protocol.codec import wav_of
from batchjobs.protocol.stt import SAMPLE_RATE
from batchjobs.providers import Provider
from batchjobs.runner import recordings
from batchjobs.runner.state import RunState
from batchjobs.runner.tickets import LongJob, Part, Ticket
from batchjobs.session import to_heard
from batchjobs.speech import Channels

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
    provider = run.accounts[job.provider].provider
    with ExitStack() as held:
        path = Path(await recordings.fetch(run, job.audio, held))
        try:
            make = functools.partial(_make_long_job, run, ticket, job, provider, path)
            whole = await trio.to_thread.run_sync(make, limiter=run.disk)
        except RecordingError as error:  # it is called what its row calls it
            error.message = error.message.replace(str(path), job.audio)
            raise
    # First the job waits, then it looks: what others bring in between, it is given.
    run.wanted.wait_for_missing(whole)
    found = await trio.to_thread.run_sync(_find, run, list(whole.missing))
    whole.held |= {key: one for key, one in found.items() if _is_there(run, one)}
    run.wanted.ask_for_missing(whole, lost=run.lost, doubted=found)


def _make_long_job(
    run: RunState, ticket: Ticket, job: Job, provider: Provider, path: Path
) -> LongJob:
    """Cut a job whose recording, if it is of one, can be read at a path; in a thread."""
    if job.kind is Kind.TTS:
        parts = [Part(segment=each, ends_paragraph=ends) for each, ends in cut_text(job, provider)]
        return LongJob(ticket=ticket, job=job, parts=parts, held={})
    if job.hearing.channels is Channels.APART:
        return _cut_sides(run, ticket, job, provider, path)
    stretches = pauses.split_at_pauses(
        path,
        sample_rate=SAMPLE_RATE,
        target_seconds=provider.audio_target_seconds,
        longest_seconds=provider.audio_limit_seconds,
        detector=SileroDetector() if run.options.vad else None,
        heard=to_heard(job.hearing),
    )
    parts = [_keep_stretch(run, job, provider, stretch) for stretch in stretches]
    return LongJob(ticket=ticket, job=job, parts=parts, held={})


def _cut_sides(run: RunState, ticket: Ticket, job: Job, provider: Provider, path: Path) -> LongJob:
    """Cut each side of a recording by itself; they are decoded together."""
    track = job.hearing.track
    found = sides.find_sides(path, sample_rate=SAMPLE_RATE, track=track)
    trio.from_thread.check_cancelled()
    stretches = pauses.split_sides(
        path,
        found,
        sample_rate=SAMPLE_RATE,
        target_seconds=provider.audio_target_seconds,
        longest_seconds=provider.audio_limit_seconds,
        make_detector=SileroDetector if run.options.vad else None,
        track=track,
    )
    parts = [
        _keep_stretch(run, job, provider, stretch, channel=found[number].channels[0])
        for number, stretch in stretches
    ]
    parts.sort(key=lambda part: (part.start_seconds, part.side))
    heard = {part.side for part in parts}
    return LongJob(
        ticket=ticket,
        job=job,
        parts=parts,
        held={},
        sides=tuple(_list_sides(job, [side.channels for side in found], heard)),
    )


def _list_sides(
    job: Job, groups: Sequence[tuple[int, ...]], heard: Collection[int]
) -> Iterator[Side]:
    """Say what became of each channel; nothing of a single one.

    Args:
        job: Whose recording it is.
        groups: The channels that hold the same, from 0.
        heard: The first channels of those in which there is speech.
    """
    first_of = {channel: group[0] for group in groups for channel in group}
    if len(first_of) < 2:
        return
    for channel, name in enumerate(name_sides(job.hearing, len(first_of))):
        first = first_of[channel]
        state = SideState.HEARD if first in heard else SideState.SILENT
        if first in heard and first != channel:
            state = SideState.SAME
        same_as = first + 1 if state is SideState.SAME else 0
        yield Side(name=name, channel=channel + 1, state=state, same_as=same_as)


def _keep_stretch(
    run: RunState, job: Job, provider: Provider, stretch: pauses.Stretch, *, channel: int = 0
) -> Part:
    """Write what is to be sent to a file of its own, unless it is known already what is said."""
    trio.from_thread.check_cancelled()
    key = recording_key(hashlib.sha256(stretch.pcm).hexdigest(), provider, job)
    path = run.checkpoint.folder / run_folder.segment_path(key)
    if not _is_there(run, _find(run, [key]).get(key)):
        write_whole(path, wav_of(stretch.pcm, SAMPLE_RATE))
    return Part(
        segment=Segment(
            key=key,
            kind=Kind.STT,
            audio=str(path),
            audio_seconds=len(stretch.pcm) / 2 / SAMPLE_RATE,
            hotwords=job.hotwords,
        ),
        side=channel,
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
