"""One transcript more for recordings that follow each other, made once all of its parts are done.

What stands under its name is never made of parts that are not as they are: before one of them is
bought again, or once the manifest has changed it, the transcript goes, and it comes back from what is
on the disk.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

import msgspec

from batchjobs.checkpoint import Checkpoint, Group, GroupRecord, Part
from batchjobs.errors import RecordingError
from batchjobs.files import run_folder
from batchjobs.files.atomic import disk_error, part_path, sync_folders
from batchjobs.files.shelf import Shelf
from batchjobs.jobs import Evidence, SpeakerTrait, sum_evidence
from batchjobs.planning.groups import describe_gaps
from batchjobs.transcripts.joining import Transcript, TranscriptSegment
from batchjobs.transcripts.tapes import Tape, join_tapes
from batchjobs.transcripts.words import Word

_FORM: Final = "1"
"""Of what is made: another one is made anew of the same parts."""
_CHANGED: Final = "changed"
"""What is said of a part whose files are not as they were made: the next run makes them again."""
_SOURCE_TOLERANCE_SECONDS: Final = 0.001


class WaitingPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part that keeps its group's transcript from being made.

    Attributes:
        part: Its number.
        id: The row's.
        status: Where the row stands: ``not_run``, ``failed``, ``suspect``, or ``changed`` where its
            files are not as they were made.
    """

    part: int
    id: str
    status: str


class GroupState(msgspec.Struct, frozen=True, kw_only=True):
    """Where a group stands.

    Attributes:
        group: Its name.
        transcript: The path of its text below the run folder; None while it waits.
        parts: How many parts it has.
        audio_seconds: How long they are together; 0 while it waits.
        missing_numbers: Parts that are not there by their numbers, as ``2, 5-7``.
        waits_for: The parts that it waits for.
    """

    group: str
    transcript: str | None
    parts: int
    audio_seconds: float = 0.0
    missing_numbers: str = ""
    waits_for: tuple[WaitingPart, ...] = ()


class _Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A row's transcript as it stands in its file."""

    text: str
    audio_seconds: float
    evidence: Evidence | None = None
    segments: tuple[TranscriptSegment, ...] = ()
    words: tuple[Word, ...] = ()
    traits: tuple[SpeakerTrait, ...] = ()


class _PartOfGroup(msgspec.Struct, frozen=True, kw_only=True):
    """What a group's file says of a part."""

    part: int
    id: str
    start: float
    end: float


class _ReadPart(NamedTuple):
    part: Part
    seconds: float
    heard: _Heard


_heard_decoder = msgspec.json.Decoder(_Heard)


def make_groups(checkpoint: Checkpoint, check: Callable[[], None] = lambda: None) -> None:
    """Make the transcripts of groups whose parts are all done, and remove those of others.

    Args:
        checkpoint: The run folder's, held.
        check: Called between groups; may raise.

    Raises:
        OutputError: They cannot be created.
        DiskError: The disk failed or is full.
    """
    for group in checkpoint.groups.stream():
        if not _is_made(checkpoint.shelf, group) and not _make(checkpoint, group):
            _withdraw(checkpoint, group)
        check()


def withdraw_stale_groups(checkpoint: Checkpoint) -> None:
    """Remove the transcripts that are not of the parts as they stand: before anything is bought.

    Args:
        checkpoint: The run folder's, held, with the plan adopted.

    Raises:
        DiskError: The disk failed.
    """
    for group in checkpoint.groups.stream():
        if not _is_current(group):
            _withdraw(checkpoint, group)


def list_groups(checkpoint: Checkpoint) -> list[GroupState]:
    """Say where the groups of a run's manifest stand, by name."""
    return [_find_state(checkpoint.shelf, group) for group in checkpoint.groups.stream()]


def find_group_transcripts(checkpoint: Checkpoint) -> dict[str, str | None]:
    """Give the path of each group's transcript, by the group's name; None while it waits."""
    return {
        group.name: group.output if _is_current(group) else None
        for group in checkpoint.groups.stream()
    }


def _find_state(shelf: Shelf, group: Group) -> GroupState:
    is_there = _is_current(group)
    return GroupState(
        group=group.name,
        transcript=group.output if is_there else None,
        parts=len(group.parts),
        audio_seconds=group.record.audio_seconds if is_there and group.record else 0.0,
        missing_numbers=describe_gaps([part.number for part in group.parts]),
        waits_for=() if is_there else tuple(_list_waiting(shelf, group.parts)),
    )


def _list_waiting(shelf: Shelf, parts: Sequence[Part]) -> Iterator[WaitingPart]:
    for part in parts:
        status = "not_run" if part.record is None else part.record.status.value
        if part.is_done and part.record is not None:
            if all(shelf.has(file.path, file.bytes) for file in part.record.files):
                continue
            status = _CHANGED
        elif status == "done":  # in another place, or damaged
            status = _CHANGED
        yield WaitingPart(part=part.number, id=part.id, status=status)


def _is_made(shelf: Shelf, group: Group) -> bool:
    """Whether a group's transcript is there as it was made of the parts as they stand."""
    record = group.record
    return (
        record is not None
        and _is_current(group)
        and all(shelf.has(file.path, file.bytes) for file in record.files)
    )


def _is_current(group: Group) -> bool:
    """Whether a transcript was made of the parts as they stand; its files may be gone by now."""
    record = group.record
    return (
        record is not None
        and bool(record.files)
        and not record.is_damaged
        and all(part.is_done for part in group.parts)
        and record.mark == _mark_of(group)
    )


def _mark_of(group: Group) -> str:
    """Hash what a group's transcript is made of: its parts and their contents."""
    made_of = [
        (part.number, part.id, part.key, [file.sha256 for file in part.record.files])
        for part in group.parts
        if part.record is not None
    ]
    return hashlib.sha256(msgspec.json.encode([_FORM, group.name, made_of])).hexdigest()


def _make(checkpoint: Checkpoint, group: Group) -> bool:
    """Make a group's transcript of its parts' files; false if one is not done, or not as it was."""
    if not all(part.is_done for part in group.parts):
        return False
    read = list(_read_parts(checkpoint, group.parts))
    if len(read) < len(group.parts):
        return False
    ends = list(accumulate(each.seconds for each in read))
    starts = [0.0, *ends[:-1]]
    tapes = [
        Tape(
            start_seconds=start,
            transcript=Transcript(
                text=each.heard.text,
                segments=each.heard.segments,
                words=each.heard.words,
                traits=each.heard.traits,
            ),
        )
        for each, start in zip(read, starts, strict=True)
    ]
    details = [
        _PartOfGroup(
            part=each.part.number, id=each.part.id, start=round(start, 3), end=round(end, 3)
        )
        for each, start, end in zip(read, starts, ends, strict=True)
    ]
    evidence = [each.heard.evidence for each in read if each.heard.evidence is not None]
    from batchjobs.outputs import writing

    mark = _mark_of(group)
    checkpoint.groups.claim(group.output, GroupRecord(mark=mark))
    _remove_files(checkpoint, group.output)
    written = writing.write_transcript(
        checkpoint.folder,
        group.output,
        join_tapes(tapes),
        audio_seconds=ends[-1],
        evidence=sum_evidence(evidence),
        more={"group": group.name, "parts": details},
    )
    checkpoint.shelf.publish(written.targets)
    record = GroupRecord(mark=mark, files=written.files, audio_seconds=round(ends[-1], 3))
    checkpoint.groups.keep(group.output, record)
    return True


def _read_parts(checkpoint: Checkpoint, parts: Sequence[Part]) -> Iterator[_ReadPart]:
    """Read the parts' transcripts from their files; those that are not as they were are left out."""
    from batchjobs.outputs import reuse

    for part in parts:
        assert part.record is not None
        path = run_folder.path_beside(part.output, ".json")
        known = next((file for file in part.record.files if file.path == path), None)
        if known is None:
            continue
        try:
            with checkpoint.shelf.holding([path]) as place:
                content = b"".join(reuse.read_intact(place / path, known))
        except RecordingError:
            continue
        heard = _heard_decoder.decode(content)
        yield _ReadPart(part, _find_seconds(checkpoint, part, heard.audio_seconds), heard)


def _find_seconds(checkpoint: Checkpoint, part: Part, rounded: float) -> float:
    """Give the length of a part's recording; its transcript has it rounded, which would add up."""
    source = checkpoint.lookups.find_source(part.audio)
    if source is not None and abs(source.seconds - rounded) <= _SOURCE_TOLERANCE_SECONDS:
        return source.seconds
    return rounded


def _withdraw(checkpoint: Checkpoint, group: Group) -> None:
    """Remove a group's transcript, if one was ever begun, and what is known of it."""
    if group.record is not None:
        _remove_files(checkpoint, group.output)
        checkpoint.groups.keep(group.output, None)


def _remove_files(checkpoint: Checkpoint, output: str) -> None:
    from batchjobs.outputs import writing

    paths = run_folder.files_of_result(output)
    targets = [writing.find_target(checkpoint.folder, path) for path in paths]
    if not checkpoint.shelf.is_here:
        checkpoint.shelf.remove(paths)
    for path in (each for target in targets for each in (target, part_path(target))):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise disk_error(error, path) from error
    sync_folders({target.parent for target in targets if target.parent.is_dir()})
