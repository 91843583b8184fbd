"""A planned row x what the checkpoint knows: what is to be done about it."""

from collections import Counter
from dataclasses import dataclass, field

from batchjobs.checkpoint import Checkpoint, JobRecord, NewRows, Row
from batchjobs.files.shelf import Shelf
from batchjobs.jobs import Status
from batchjobs.planning.intact import can_serve, is_intact
from batchjobs.planning.output_paths import move_row, second_path
from batchjobs.planning.ownership import refuse_foreign_files, refuse_foreign_speech
from batchjobs.planning.plan import TO_BUY, TO_DO, Action
from batchjobs.planning.row_builder import RowBuilder


@dataclass(slots=True, kw_only=True)
class Decider:
    """Decides about rows, one by one.

    Attributes:
        checkpoint: Knows what was done.
        builder: Made the rows.
        retries_all: Try again what failed for good or is in doubt, too.
        replaced: Finished results that another provider would replace: how many, by (theirs, the
            other).
    """

    checkpoint: Checkpoint
    builder: RowBuilder
    retries_all: bool
    replaced: Counter[tuple[str, str]] = field(default_factory=Counter)

    def decide(self, row: Row, record: JobRecord | None, *, is_bought: bool = True) -> Row:
        """Say what is to be done about a row, and what of it is still to be sent.

        Args:
            row: The row.
            record: What is known of its job.
            is_bought: Whether some job may have what it asks for.

        Raises:
            OutputError: Its result would overwrite a file that is not this run's.
        """
        # A job keeps the second path it once had to take, in whatever order the rows come now.
        if record is not None and record.output != row.output:
            other = second_path(row.id, row.output)
            row = move_row(row, other) if record.output == other else row
        action = Action.NEW
        if record is not None or is_bought:
            action = self._choose_action(row, record)
        if action in TO_BUY:
            row = self.builder.leave_out_held(row, record)
        if action is Action.CHANGED and record is not None:
            self._note_replaced(row, record)
        decided = row if row.action == action else row._replace(action=action.value)
        if action in TO_DO and (record is None or record.output != row.output):
            refuse_foreign_files(decided, self.checkpoint, self.builder.paths)
        return decided

    def check_new(self, rows: NewRows) -> None:
        """Check rows of speech of which nothing can be known: they are as new as they were made.

        Raises:
            OutputError: As from `decide`.
        """
        refuse_foreign_speech(rows, self.checkpoint, self.builder.paths)

    def look_up_and_decide(self, row: Row) -> Row:
        """Decide about a row whose id or path has changed."""
        return self.decide(row, self.checkpoint.lookups.find([row.id]).get(row.id))

    def _choose_action(self, row: Row, record: JobRecord | None) -> Action:
        """Compare a row with what is known of its job, and of others that ask the same."""
        shelf = self.checkpoint.shelf
        is_same = record is not None and record.key == row.key
        if (
            record is not None
            and is_same
            and record.status is Status.DONE
            and record.output == row.output
            and record.has_layout_of(row)
            and is_intact(shelf, record)
        ):
            return Action.DONE
        if any(
            can_serve(shelf, donor, row) for donor in self.checkpoint.lookups.find_donors(row.key)
        ):
            return Action.COPY
        if record is None or not is_same:
            if not self.retries_all and self._is_kept_elsewhere(row):
                return Action.FOLLOW
            return Action.NEW if record is None else Action.CHANGED
        if record.status is Status.DONE:
            return Action.REMAKE
        return _choose_about_tried(record, shelf, retries_all=self.retries_all)

    def _is_kept_elsewhere(self, row: Row) -> bool:
        """Whether what the row asks for is kept in doubt, for another row or an earlier content."""
        return any(
            not kept.is_passing and can_serve(self.checkpoint.shelf, kept, row)
            for kept in self.checkpoint.lookups.find_suspects(row.key)
        )

    def _note_replaced(self, row: Row, record: JobRecord) -> None:
        """Count what was paid for, and is no longer asked of the same provider."""
        provider = self.builder.providers.get(record.provider)
        if (
            record.provider != row.provider
            and provider is not None
            and not provider.engine
            and not row.read_job().row.get("provider")
            and is_intact(self.checkpoint.shelf, record)
        ):
            self.replaced[record.provider, row.provider] += 1


def _choose_about_tried(record: JobRecord, shelf: Shelf, *, retries_all: bool) -> Action:
    if record.is_passing or retries_all:
        return Action.RETRY
    if record.status is not Status.SUSPECT:
        return Action.KEPT
    return Action.SUSPECT if is_intact(shelf, record) else Action.RETRY
