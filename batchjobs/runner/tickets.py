"""What travels through a run: tickets, each with its next step, and long jobs on their way."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from batchjobs.checkpoint import JobRecord, Row, SegmentRecord
from batchjobs.jobs import BadRow, Job, Segment, Side
from batchjobs.planning.plan import TO_BUY, Action
from batchjobs.runner.reactions import Tries


class Refuse(msgspec.Struct, frozen=True, kw_only=True):
    """Record a row that cannot be run as failed."""

    bad: BadRow


class Decline(msgspec.Struct, frozen=True, kw_only=True):
    """Record a row as failed that would cost more than a row may."""


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """Give a row what an equal one has.

    Attributes:
        job: What the row asks for.
        has_waited: Whether another row with the same key was tried for it just now.
    """

    job: Job
    has_waited: bool = False


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """Find the segments of a long job, and put those that are missing in line."""

    job: Job


class Buy(msgspec.Struct, frozen=True, kw_only=True):
    """Open a session.

    Attributes:
        segment: What it is asked to do.
        is_part: Whether that is a part of long jobs, and not a job of its own.
    """

    segment: Segment
    is_part: bool


class Assemble(msgspec.Struct, frozen=True, kw_only=True):
    """Put a long job together, whose segments are all there."""

    whole: "LongJob"


Step: TypeAlias = Refuse | Decline | Copy | Cut | Buy | Assemble
"""What is to be done about a ticket."""


class Ticket(msgspec.Struct, eq=False, kw_only=True):
    """A row on its way through the run, or a segment of a long one.

    Attributes:
        row: The row as planned.
        step: What is to be done next.
        kept: What is kept in doubt of the job, or of the segment, until something better comes.
        tries: What counts of its sessions so far.
        started_at: Unix time of its first attempt.
        cost: What all its sessions have cost.
    """

    row: Row
    step: Step
    kept: JobRecord | SegmentRecord | None = None
    tries: Tries = msgspec.field(default_factory=Tries)
    started_at: float = 0.0
    cost: float = 0.0

    @property
    def key(self) -> str:
        """The key of what its session asks for."""
        return self.step.segment.key if isinstance(self.step, Buy) else self.row.key

    @property
    def characters(self) -> int:
        """Characters that its session sends."""
        step = self.step
        return len(step.segment.text) if isinstance(step, Buy) else self.row.characters

    @property
    def seconds(self) -> float:
        """Seconds of audio that its session sends."""
        step = self.step
        return step.segment.audio_seconds if isinstance(step, Buy) else self.row.seconds


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A segment's place in a long job.

    Attributes:
        segment: What is asked.
        ends_paragraph: Whether a paragraph of the text ends with it.
        side: Which of the sides that are heard apart it is of, from 0.
        start_seconds: Where it begins in the recording.
        overlap_seconds: How much of the part before it repeats, where speech had to be cut.
        silences: Where no one speaks in it, in seconds from its start.
    """

    segment: Segment
    ends_paragraph: bool = False
    side: int = 0
    start_seconds: float = 0.0
    overlap_seconds: float = 0.0
    silences: tuple[tuple[float, float], ...] = ()


class LongJob(msgspec.Struct, eq=False, kw_only=True):
    """A job of several segments on its way.

    Attributes:
        ticket: The row's.
        job: What the row asks for.
        parts: Its segments in order; the same one may come more than once.
        held: What is there already, by key.
        lost: Places where a segment was looked for, and was damaged.
        is_cut: Whether it is known what is there already.
        is_over: Whether it has failed.
        sides: What its recording's channels are, if they are heard apart: the sides are those heard.
    """

    ticket: Ticket
    job: Job
    parts: Sequence[Part]
    held: dict[str, SegmentRecord]
    lost: list[SegmentRecord] = msgspec.field(default_factory=list)
    is_cut: bool = False
    is_over: bool = False
    sides: tuple[Side, ...] = ()

    @property
    def is_in_doubt(self) -> bool:
        """Whether something speaks against a segment that is there."""
        return any(self.held[part.segment.key].doubts for part in self.parts)

    @property
    def missing(self) -> dict[str, Segment]:
        """What is not there yet, by key, in order."""
        segments = (part.segment for part in self.parts)
        return {segment.key: segment for segment in segments if segment.key not in self.held}


def make_ticket(row: Row) -> Ticket:
    """Make the ticket of a planned row."""
    job = row.read()
    if isinstance(job, BadRow):
        return Ticket(row=row, step=Refuse(bad=job))
    if row.action == Action.DEAR:
        return Ticket(row=row, step=Decline())
    step = to_purchase(row, job) if row.action in TO_BUY else Copy(job=job)
    return Ticket(row=row, step=step)


def to_purchase(row: Row, job: Job) -> Cut | Buy:
    """Say what it takes to buy a row's result."""
    if row.layout:
        return Cut(job=job)
    segment = Segment(
        key=row.key,
        kind=job.kind,
        text=job.text,
        speech=job.speech,
        audio=job.audio,
        audio_seconds=row.seconds,
        hotwords=job.hotwords,
        hearing=job.hearing,
    )
    return Buy(segment=segment, is_part=False)
