"""Rows are decided about and staged in the checkpoint, batch by batch."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from batchjobs.checkpoint import Checkpoint, JobRecord, Row
from batchjobs.jobs import BadRow, Job
from batchjobs.planning.decisions import decide, refuse_foreign
from batchjobs.planning.former import FormerDefaults
from batchjobs.planning.plan import TO_BUY, Action, is_as_it_was, is_intact
from batchjobs.planning.row_builder import (
    Rows,
    bad_job,
    bad_row,
    folders_like_results,
    moved,
    second_place,
)

__all__ = ["Stager"]

_BATCH_ROWS: Final = 500
_BAD_ROWS_SHOWN: Final = 100
_NONE_KNOWN: Final[Mapping[int, Row]] = {}


@dataclass(slots=True, kw_only=True)
class Stager:
    """Stages rows batch by batch, and counts as it goes."""

    checkpoint: Checkpoint
    rows: Rows
    former: FormerDefaults
    retries_all: bool
    progress: Callable[[int], None] | None = None
    count: int = 0
    inputs_folder: str = ""
    reads_texts: bool = False
    folders: list[tuple[int, str]] = field(default_factory=list)
    """Positions of rows whose output lies in a folder that is named like a result."""
    replaced: Counter[tuple[str, str]] = field(default_factory=Counter)
    bad: list[BadRow] = field(default_factory=list)
    bad_total: int = 0
    twins: dict[str, int] = field(default_factory=dict)

    def stage_all(self, rows: Iterable[Job | BadRow]) -> None:
        """Decide about every row of a manifest."""
        for batch in _batched(rows, _BATCH_ROWS):
            self._stage([self._made(item) for item in batch])
            self._tell()
        for position in self.checkpoint.staging.index():
            row, holder = self.checkpoint.staging.take(position)
            if holder is None:  # it has made room
                self.checkpoint.staging.add([row])
            else:
                self._stage_otherwise(row, holder)
        for position, place in self.folders:
            self._refuse_folder(position, place)
        self.bad.sort(key=lambda bad: bad.line)

    def stage_what_is_open(self) -> None:
        """Decide about the adopted rows that are not done, or whose files are not as they were."""
        for position, found in _open_positions(self.checkpoint):
            self.count = position
            self.checkpoint.staging.doubt(found)
            self._tell()
        for page in self.checkpoint.staging.stream_doubtful():
            known = {row.position: row for row in page}
            self._stage([self._made_again(row) for row in page], known)
        self.checkpoint.staging.index()

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(self.count)

    def _stage(self, made: Sequence[Row], known: Mapping[int, Row] = _NONE_KNOWN) -> None:
        """Decide about rows and stage them, but for known ones that are done as they were."""
        self.rows.remember()
        records = self.checkpoint.lookups.find([row.id for row in made])
        bought = self.checkpoint.lookups.find_bought_keys([row.key for row in made])
        settled = [
            row
            if row.action == Action.BAD
            else self._decided(row, records.get(row.id), is_bought=row.key in bought)
            for row in made
        ]
        if not known:  # the same manifest and settings as last time: it was looked at then
            self.former.look_at(settled, records)
        self.checkpoint.staging.add(
            [row for row in settled if row.action != Action.DONE or row != known.get(row.position)]
        )

    def _made_again(self, known: Row) -> Row:
        """Make a row anew of the job that it carries; id and place stay as they were settled."""
        made = self.rows.of(msgspec.json.decode(known.job, type=Job), known.position)
        if isinstance(made, BadRow):
            return self._bad(made, known.position)
        return made._replace(id=known.id, output=known.output, place=known.place)

    def _made(self, item: Job | BadRow) -> Row:
        self.count += 1
        if not self.reads_texts and _names_what_may_move(item, self.inputs_folder):
            self.reads_texts = True
        made = self.rows.of(item, self.count) if isinstance(item, Job) else item
        if isinstance(made, Row) and isinstance(item, Job) and "/" in item.output:
            self.folders += [(self.count, place) for place in folders_like_results(made)]
        return self._bad(made, self.count) if isinstance(made, BadRow) else made

    def _bad(self, bad: BadRow, position: int) -> Row:
        self.bad_total += 1
        if len(self.bad) < _BAD_ROWS_SHOWN:
            self.bad.append(bad)
        return bad_row(bad, position)

    def _decided(self, row: Row, record: JobRecord | None, *, is_bought: bool = True) -> Row:
        # A job keeps the second place it once had to take, in whatever order the rows come now.
        if record is not None and record.output != row.output:
            other = second_place(row.id, row.output)
            row = moved(row, other) if record.output == other else row
        action = Action.NEW
        if record is not None or is_bought:
            action = decide(row, record, self.checkpoint, retries_all=self.retries_all)
        if action in TO_BUY:
            row = self.rows.without_held(row)
        if action is Action.CHANGED and record is not None:
            self._note_replaced(row, record)
        decided = row if row.action == action else row._replace(action=action.value)
        refuse_foreign(decided, record, self.checkpoint, self.rows.places)
        return decided

    def _refuse_folder(self, position: int, place: str) -> None:
        """A file cannot be the folder of another."""
        holder = self.checkpoint.staging.find_at(place)
        if holder is None:
            return
        row, _ = self.checkpoint.staging.take(position)
        if row.action != Action.BAD:
            job = msgspec.json.decode(row.job, type=Job)
            message = f"'{holder.output}' is the output of line {holder.line}, and no folder"
            bad = bad_job(job, "output", message, "give every row an output of its own")
            row = self._bad(bad, position)
        self.checkpoint.staging.add([row])

    def _note_replaced(self, row: Row, record: JobRecord) -> None:
        """Count what somebody paid for and now forgets to ask of the same provider."""
        provider = self.rows.providers.get(record.provider)
        if (
            record.provider != row.provider
            and provider is not None
            and not provider.engine
            and not msgspec.json.decode(row.job, type=Job).row.get("provider")
            and is_intact(self.checkpoint.folder, record)
        ):
            self.replaced[record.provider, row.provider] += 1

    def _stage_otherwise(self, row: Row, holder: Row) -> None:
        """Stage a row whose id or place is taken under another, if that serves; else as bad."""
        taken: Row | None = holder
        while taken is not None and row.action != Action.BAD:
            row = self._renamed(row, taken)
            taken = self.checkpoint.staging.add_if_free(row)
        names = (f"{row.id}-line-{row.line}{end}" for end in _endings())
        while taken is not None:
            row = row._replace(id=next(names))
            taken = self.checkpoint.staging.add_if_free(row)

    def _renamed(self, row: Row, holder: Row) -> Row:
        job = msgspec.json.decode(row.job, type=Job)
        if row.id == holder.id:
            if not job.id_is_derived:
                message = f"the id '{row.id}' is already used on line {holder.line}"
                bad = bad_job(job, "id", message, "ids must be unique; rename one of them")
                return self._bad(bad, row.position)
            return self._twin(row, job)
        if job.output:
            message = f"'{job.output}' is already the output of line {holder.line}"
            bad = bad_job(job, "output", message, "give every row an output of its own")
            return self._bad(bad, row.position)
        # Two ids that differ only in case: fine, but not as file names on every system.
        other = second_place(row.id, self.rows.place(job))
        if row.output == other:
            message = f"its file '{other}' is already that of line {holder.line}"
            return self._bad(bad_job(job, "id", message, "rename one of them"), row.position)
        return self._looked_up(moved(row, other))

    def _twin(self, row: Row, job: Job) -> Row:
        """Name the second of two equal rows without ids: it does not matter which of them it is."""
        number = self.twins[row.id] = self.twins.get(row.id, 1) + 1
        job = replace(job, id=f"{row.id}-{number}")
        row = row._replace(id=job.id, job=msgspec.json.encode(job))
        return self._looked_up(moved(row, self.rows.place(job)))

    def _looked_up(self, row: Row) -> Row:
        return self._decided(row, self.checkpoint.lookups.find([row.id]).get(row.id))


def _open_positions(checkpoint: Checkpoint) -> Iterator[tuple[int, Sequence[int]]]:
    """Find the adopted rows that nothing shows to be done; positions count from 1 without gaps.

    Yields:
        The last position looked at, and those found since the one before.
    """
    folder = str(checkpoint.folder)
    last = 0
    for page in checkpoint.rows.stream_finished_files():
        found: list[int] = []
        for file in page:
            if file.position > last:
                found += range(last + 1, file.position)
                last = file.position
            if not is_as_it_was(folder, file):
                found.append(file.position)
        yield last, found
    end = checkpoint.rows.count()
    yield end, range(last + 1, end + 1)


def _batched(rows: Iterable[Job | BadRow], size: int) -> Iterator[list[Job | BadRow]]:
    iterator = iter(rows)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _names_what_may_move(item: Job | BadRow, inputs_folder: str) -> bool:
    """Whether a row may mean another file, or another text, though the manifest stays the same.

    A text's file may change. A recording is looked at, but where its path is a link, or where there
    is a second place for inputs, it may be another one by then.
    """
    row = item.row
    if row.get("text_file"):
        return True
    given = row.get("audio")
    return bool(given) and isinstance(item, Job) and item.audio != f"{inputs_folder}/{given}"


def _endings() -> Iterator[str]:
    yield ""
    yield from (f"-{number}" for number in itertools.count(2))
