"""The records that a checkpoint keeps: rows as planned, attempts, outcomes, files, totals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from batchjobs.audio.formats import EXACT_ENDINGS
from batchjobs.jobs import BadRow, Doubt, Evidence, Job, Kind, Side, SpeakerTrait, Status
from batchjobs.transcripts.turns import remove_names

SEPARATOR: Final = "\x1f"
"""Between a job's id and the key of a result that is kept beside its own: no id holds it."""


SIDES: Final = "sides "
"""How the layout of a transcript begins whose recording's channels are heard apart; their names follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """A file of a finished job.

    Attributes:
        path: Below the run folder.
        bytes: Its size.
        sha256: Of its content, the first `head_bytes` taken last.
        head_bytes: A WAV's header, without which the hash is that of its samples.
    """

    path: str
    bytes: int
    sha256: str
    head_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """What is known of a job that has been tried.

    Attributes:
        id: The job's id.
        key: The key of what was asked.
        kind: Text to speech or speech to text.
        status: Done, suspect or failed.
        output: The main result's path below the run folder, for a suspect one where it is kept;
            empty if it failed.
        files: Every file of the result, the main one first.
        provider: Who did it.
        attempts: Sessions begun for it, throttled ones left out.
        sample_rate: Of the audio made, in hertz.
        frames: Of the audio made.
        pcm_sha256: Of the samples the service sent.
        audio_seconds: Of the audio made, or of the recording transcribed.
        text: The transcript.
        evidence: Why it counts as complete.
        cost: Of all its attempts, in the provider's currency.
        copied_from: The job whose result this is a copy of, if it was not bought for this one.
        error_class: Of the failure.
        error_code: The service's code, if it gave one.
        error_message: What happened.
        is_passing: Whether the next run tries again: the failure's reason may pass, or a suspect job
            has attempts left.
        started_at: Unix time of the first attempt.
        finished_at: Unix time of the outcome.
        segments: How many sessions' results its file is put together from.
        layout: How they were put together; empty if there was one.
        is_damaged: Whether its files were found changed since; then it counts as not there.
        doubts: What speaks against a suspect result.
        support: What speaks for it.
        sides: What became of the recording's channels, if they were to be heard apart.
    """

    id: str
    key: str
    kind: Kind
    status: Status
    output: str = ""
    files: tuple[FileRecord, ...] = ()
    provider: str = ""
    attempts: int = 0
    sample_rate: int = 0
    frames: int = 0
    pcm_sha256: str = ""
    audio_seconds: float = 0.0
    text: str = ""
    evidence: Evidence | None = None
    cost: float = 0.0
    copied_from: str = ""
    error_class: str = ""
    error_code: str = ""
    error_message: str = ""
    is_passing: bool = False
    started_at: float = 0.0
    finished_at: float = 0.0
    segments: int = 1
    layout: str = ""
    is_damaged: bool = False
    doubts: tuple[Doubt, ...] = ()
    support: tuple[str, ...] = ()
    sides: tuple[Side, ...] = ()

    @property
    def said(self) -> str:
        """The transcript, without the names of who says it."""
        return remove_names(self.text, [side.name for side in self.sides])

    def can_become(self, output: str) -> bool:
        """Whether its result can be copied to this path, as the format of its ending, exactly."""
        held, wanted = (Path(path).suffix.lower() for path in (self.output, output))
        return held == wanted or held in EXACT_ENDINGS

    def has_layout_of(self, row: "Row") -> bool:
        """Whether its file is put together as the row asks; one session's file always is."""
        return not self.layout or not row.layout or self.layout == row.layout


class Row(NamedTuple):
    """A row of the manifest as planned; its fields are the table's columns, in their order.

    A tuple, for a million of them: made in a third of a frozen dataclass's time (measured).

    Attributes:
        position: Its place among the rows, from 1.
        line: The manifest's line on which it starts.
        id: The job's id.
        place: The output path as file systems that ignore case see it; None for a bad row.
        key: The key of what is asked; empty for a bad row.
        action: What the run is to do about it.
        kind: The job's kind; empty for a bad row.
        provider: The provider's name; empty for a bad row.
        characters: Characters to send; those of segments that are there already do not count.
        seconds: Seconds of audio to send; likewise.
        output: The main result's path below the run folder.
        job: The encoded job, or bad row.
        segments: Sessions it takes.
        layout: How a job that takes several is put together; empty for one that takes one.
    """

    position: int
    line: int
    id: str
    place: str | None
    key: str
    action: str
    kind: str
    provider: str
    characters: int
    seconds: float
    output: str
    job: bytes
    segments: int = 1
    layout: str = ""

    def read_job(self) -> Job:
        """Read the job that it carries; it is no bad row."""
        return _job_decoder.decode(self.job)

    def read(self) -> Job | BadRow:
        """Read the job, or the bad row, that it carries."""
        return self.read_job() if self.kind else _bad_row_decoder.decode(self.job)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRecord:
    """The result of one segment of a long job, and where it is.

    It stands in a file of its own until its job is put together, and then as a part of the job's
    file: an edit of one sentence in a book buys one segment.

    Attributes:
        key: The key of what was asked.
        job_key: The key of the job that it was bought for.
        path: The file that holds its samples, below the run folder; empty for a transcript.
        bytes: That file's size.
        first_frame: Where in the file its samples begin.
        frames: How many there are.
        sample_rate: In hertz.
        pcm_sha256: Of the samples.
        text: The transcript.
        word_start_seconds: When each of its words begins, from the segment's start, where the service
            says so.
        word_end_seconds: When each of its words ends, where known.
        traits: What was noticed of the speakers; times are from the segment's start.
        audio_seconds: Of the audio made or transcribed.
        evidence: Why it counts as complete.
        attempts: Sessions begun for it, throttled ones left out.
        cost: Of all its attempts, in the provider's currency.
        started_at: Unix time of the first attempt.
        doubts: What speaks against it; none if it counts as done.
        support: What speaks for it.
        is_passing: Whether it is in doubt and has attempts left.
    """

    key: str
    job_key: str
    path: str = ""
    bytes: int = 0
    first_frame: int = 0
    frames: int = 0
    sample_rate: int = 0
    pcm_sha256: str = ""
    text: str = ""
    word_start_seconds: tuple[float, ...] = ()
    word_end_seconds: tuple[float, ...] = ()
    traits: tuple[SpeakerTrait, ...] = ()
    audio_seconds: float = 0.0
    evidence: Evidence | None = None
    attempts: int = 0
    cost: float = 0.0
    started_at: float = 0.0
    doubts: tuple[Doubt, ...] = ()
    support: tuple[str, ...] = ()
    is_passing: bool = False

    def is_wanted_again(self, *, rebuys_doubted: bool) -> bool:
        """Whether it is in doubt, and to be bought once more.

        Args:
            rebuys_doubted: Also where its attempts are used up.
        """
        return bool(self.doubts) and (self.is_passing or rebuys_doubted)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentChanges:
    """What is to be written about segments in one transaction.

    Attributes:
        bought: A segment that is there now, or was bought and is in doubt.
        characters: What the jobs that wait for it need no longer send.
        seconds: Likewise, of audio.
        jobs: The ids of these jobs.
        assembling: The id of a job whose file is about to be put in its place.
        homes: Where the job's segments stand in that file.
        left_files: Files that hold no segment any more.
        expected: Places where a file of ours is about to be put that no row names.
    """

    bought: SegmentRecord | None = None
    characters: int = 0
    seconds: float = 0.0
    jobs: tuple[str, ...] = ()
    assembling: str = ""
    homes: tuple[SegmentRecord, ...] = ()
    left_files: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStart:
    """An attempt about to begin; on disk before its session opens.

    `characters` and `audio_seconds` are what it will send at most: should the process die, they
    count as sent. `account` is with which of the provider's accounts; empty where that is not known.
    """

    key: str
    job: str
    provider: str
    started_at: float
    account: str = ""
    characters: int = 0
    audio_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnd:
    """How an attempt ended, and what was sent in it: what a service may bill.

    Attributes:
        number: Of the attempt.
        ended_at: Unix time.
        result: ``done``; ``kept`` if its result is kept in doubt, ``suspect`` if a better one is;
            else the class of its failure.
        code: Of its failure.
        message: Of its failure.
        characters: Sent in it.
        audio_seconds: Sent in it.
        replaces_kept: Whether what an earlier attempt at the same had left is kept no longer.
        billed_seconds: Of audio, where the service says how much it billed; else None.
    """

    number: int
    ended_at: float
    result: str
    code: str = ""
    message: str = ""
    characters: int = 0
    audio_seconds: float = 0.0
    replaces_kept: bool = False
    billed_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The end of an attempt, and what became of a job or of segments: all of it is durable, or none.

    Attributes:
        end: How the attempt ended, if one did.
        record: What became of the job, if that is decided.
        changes: What became of segments of long jobs.
        targets: Places of its files, which stand beside them.
        parts: Where those stand that do not, by target.
    """

    end: AttemptEnd | None = None
    record: JobRecord | None = None
    changes: SegmentChanges | None = None
    targets: Sequence[Path] = ()
    parts: Mapping[Path, Path] = field(default_factory=dict)


class SourceRecord(NamedTuple):
    """A recording as it was when last read: unchanged size and time spare reading it again."""

    path: str
    bytes: int
    modified_ns: int
    sha256: str
    seconds: float
    track: int = 1
    tracks: int = 1


class ShapeRecord(NamedTuple):
    """A recording's audio track: how long it is, and how many channels it has."""

    path: str
    track: int
    seconds: float
    channels: int


_job_decoder = msgspec.json.Decoder(Job)
_bad_row_decoder = msgspec.json.Decoder(BadRow)
_record_decoder = msgspec.json.Decoder(JobRecord)
_segment_decoder = msgspec.json.Decoder(SegmentRecord)
_encoder = msgspec.json.Encoder()


def read_row(columns: Sequence[object]) -> Row:
    """Make a row of its columns."""
    return msgspec.convert(columns, Row)


def read_record(content: object) -> JobRecord:
    """Read a job's record as it is stored.

    Raises:
        msgspec.DecodeError: It is none.
    """
    return _record_decoder.decode(_check_bytes(content))


def read_segment(content: object) -> SegmentRecord:
    """Read a segment's record as it is stored.

    Raises:
        msgspec.DecodeError: It is none.
    """
    return _segment_decoder.decode(_check_bytes(content))


def _check_bytes(content: object) -> bytes:
    if not isinstance(content, bytes):
        raise msgspec.DecodeError("a record is no JSON")
    return content


def to_json(content: object) -> bytes:
    """Write a record, or what SQLite's `json_each` is to read.

    One statement for many names: a statement for each lets go of the interpreter each time, and the
    event loop waits for it. One for all saves 2 % of a job's processor time, and 3 % of its time
    (measured).
    """
    return _encoder.encode(content)
