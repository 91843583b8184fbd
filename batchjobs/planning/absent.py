"""Recordings that were read before and cannot be read now: what is done of them stays, no other row waits."""

import dataclasses
from dataclasses import dataclass, field
from typing import Final

from batchjobs.checkpoint import Checkpoint, JobRecord, Row
from batchjobs.errors import RecordingError
from batchjobs.jobs import BadRow, Job, Kind, Status
from batchjobs.planning.bad_rows import BadRows
from batchjobs.planning.intact import is_intact
from batchjobs.planning.plan import TO_BUY, Action
from batchjobs.planning.row_builder import RowBuilder

_HINT: Final = "it was read before: bring it back, or take the row out"


@dataclass(slots=True, kw_only=True)
class AbsentRecordings:
    """Tells recordings that are gone from paths that never were any: recordings move out of archives.

    Attributes:
        checkpoint: Knows what was read, and what was made of it.
        builder: Makes the rows.
        told: What is wrong with each recording that is gone, whatever became of its row.
        unanswered: Rows of theirs that have no result, and get none.
    """

    checkpoint: Checkpoint
    builder: RowBuilder
    told: BadRows = field(default_factory=BadRows)
    unanswered: BadRows = field(default_factory=BadRows)
    _by_position: dict[int, BadRow] = field(default_factory=dict)

    def make_row(self, bad: BadRow, job: Job | None, position: int) -> Row | None:
        """Make the row of a recording that is gone.

        Args:
            bad: What is wrong with it.
            job: What the row would be if nothing was; None if it is something else.
            position: The row's.

        Returns:
            The row as it was when its recording was read here, a bad one if only a scan has read it;
            None if nobody has.
        """
        if job is None or job.kind is not Kind.STT or bad.column != "audio":
            return None
        bad = dataclasses.replace(bad, hint=_HINT)
        row = self._make_as_adopted(job, position) or self._make_as_read(job, position)
        if row is not None:
            self._by_position[position] = bad
        elif _was_scanned(job):
            self.told.add(bad, position)
            row = self.unanswered.add(bad, position)
        return row

    def settle(self, row: Row, record: JobRecord | None) -> Row:
        """Leave a decided row as it is, unless it needs the recording that is gone.

        Args:
            row: Any row that was decided about.
            record: What is known of its job.
        """
        bad = self._by_position.pop(row.position, None)
        if bad is None:
            return row
        self.told.add(bad, row.position)
        if row.action not in TO_BUY:
            return row
        is_kept = record is not None and record.status is Status.SUSPECT and record.key == row.key
        if record is not None and is_kept and is_intact(self.checkpoint.shelf, record):
            return row._replace(action=Action.SUSPECT.value)
        return self.unanswered.add(bad, row.position)

    def _make_as_adopted(self, job: Job, position: int) -> Row | None:
        """Make the row as the last run had it, if that was of the same recording."""
        outcome = self.checkpoint.rows.find_outcomes([job.id]).get(job.id)
        if outcome is None or outcome.row.kind != Kind.STT:
            return None
        row = outcome.row
        known = row.read_job()
        if known.row.get("audio") != job.row.get("audio") or known.hearing != job.hearing:
            return None
        return self.builder.make_row(
            job, position, key=row.key, layout=row.layout, seconds=row.seconds
        )

    def _make_as_read(self, job: Job, position: int) -> Row | None:
        """Make the row by what is remembered of the recording at this path."""
        try:
            sought = self.builder.recordings.recall(job)
        except RecordingError:  # it is named wrongly, and gone
            return None
        return None if sought is None else self.builder.make_recording_row(job, position, sought)


def _was_scanned(job: Job) -> bool:
    """Whether a scan wrote the row: it puts the length of what it has read beside the path."""
    seconds = job.row.get("seconds")
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds > 0
