"""Stages rows in the checkpoint, batch by batch, each with what is to be done about it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from batchjobs.checkpoint import SIDES, Checkpoint, JobRecord, Row
from batchjobs.files.address import SCHEME
from batchjobs.jobs import BadRow, Job
from batchjobs.manifest import PlainPage
from batchjobs.planning.absent import AbsentRecordings
from batchjobs.planning.bad_rows import BadRows
from batchjobs.planning.conflicts import Conflicts
from batchjobs.planning.decisions import Decider
from batchjobs.planning.former import FormerDefaults
from batchjobs.planning.groups import GroupStager
from batchjobs.planning.intact import find_open
from batchjobs.planning.output_paths import find_folders_like_results, folders_like_results
from batchjobs.planning.plan import TO_BUY, Action
from batchjobs.planning.row_builder import RowBuilder
from batchjobs.storage.input_files import InputFiles

_BATCH_ROWS: Final = 500
_BATCH_CHARACTERS: Final = 1_000_000
"""Of rows with long texts there are fewer in a batch: of whole chapters, 500 took 300 MiB (measured)."""
_NONE_KNOWN: Final[Mapping[int, Row]] = {}


@dataclass(slots=True, kw_only=True)
class Stager:
    """Stages the rows of a plan.

    Attributes:
        checkpoint: Where they are staged.
        builder: Makes the rows.
        decider: Says what is to be done about them.
        absent: Knows recordings that are gone.
        groups: Stages the parts of groups.
        former: Looks for what was bought under an earlier default.
        inputs_folder: What recordings' paths are relative to, resolved; empty if they may be in
            more than one place.
        progress: Called with the number of rows seen so far.
        bad: Rows that cannot be run.
        count: Rows seen so far.
        heard_apart: Rows to buy whose channels are heard apart.
        reads_texts: Whether a row may mean something else though the manifest stays the same.
    """

    checkpoint: Checkpoint
    builder: RowBuilder
    decider: Decider
    absent: AbsentRecordings
    groups: GroupStager
    former: FormerDefaults
    inputs_folder: str
    progress: Callable[[int], None] | None = None
    bad: BadRows
    count: int = 0
    heard_apart: int = 0
    reads_texts: bool = False
    _folders: list[tuple[int, str]] = field(default_factory=list)
    """Positions of rows whose output lies in a folder that is named like a result."""

    def stage_all(self, rows: Iterable[Job | BadRow | PlainPage]) -> None:
        """Decide about every row of a manifest."""
        self._stage_rows(rows)

    def stage_more(self, rows: Iterable[Job | BadRow | PlainPage], *, looks_back: bool) -> None:
        """Decide about rows that stand behind the adopted ones.

        Args:
            rows: The new ones.
            looks_back: Whether to decide anew about adopted rows that are not done, too.
        """
        if looks_back:
            self.stage_what_is_open()
        self.count = self.checkpoint.rows.count()
        self._stage_rows(rows)

    def _stage_rows(self, rows: Iterable[Job | BadRow | PlainPage]) -> None:
        for batch in _gather(rows):
            if not isinstance(batch, PlainPage):
                self._stage_batch(batch)
            elif not self._stage_page(batch):
                self._stage_batch(batch.list_jobs())
            self._tell_progress()
        conflicts = Conflicts(checkpoint=self.checkpoint, decider=self.decider, bad=self.bad)
        conflicts.settle(self.checkpoint.staging.find_twins())
        conflicts.refuse_folders(self._folders)
        self.groups.settle()
        self.bad.first.sort(key=lambda bad: bad.line)

    def _stage_batch(self, batch: Sequence[Job | BadRow]) -> None:
        self.builder.recordings.expect([item for item in batch if isinstance(item, Job)])
        self._stage([self._make_row(item) for item in batch])

    def _stage_page(self, page: PlainPage) -> bool:
        """Stage the rows of a page at once; False if one is to be looked at by itself, and none is staged."""
        rows = self.builder.build_page(page, self.count + 1)
        if rows is None:
            return False
        self.count += len(rows)
        self._folders += find_folders_like_results(rows)
        if self.former.has_results:
            self._stage(rows.list_rows())
        else:
            self.decider.check_new(rows)
            self.checkpoint.staging.add_new(rows)
        return True

    def stage_what_is_open(self) -> None:
        """Decide about the adopted rows that are not done, or whose files are not as they were."""
        for position, found in _find_open(self.checkpoint, self.builder.recordings.files):
            self.count = position
            self.checkpoint.staging.doubt(found)
            self._tell_progress()
        for page in self.checkpoint.staging.stream_doubtful():
            known = {row.position: row for row in page}
            self.builder.recordings.expect([row.read_job() for row in page if row.kind])
            self._stage([self._make_row_again(row) for row in page], known)

    def _tell_progress(self) -> None:
        if self.progress is not None:
            self.progress(self.count)

    def _make_row(self, item: Job | BadRow) -> Row:
        self.count += 1
        self.groups.look_at(item, self.count)
        if not self.reads_texts and _names_what_may_move(item, self.inputs_folder):
            self.reads_texts = True
        made = self.builder.build(item, self.count) if isinstance(item, Job) else item
        if isinstance(made, BadRow):
            job = item if isinstance(item, Job) else item.job
            return self._make_absent_or_bad(made, job, self.count)
        if isinstance(item, Job) and "/" in item.output:
            self._folders += [(self.count, folder) for folder in folders_like_results(made)]
        return made

    def _make_row_again(self, known: Row) -> Row:
        """Make a row anew of the job that it carries; id and path stay as they were settled."""
        if not known.kind:
            bad = known.read()
            assert isinstance(bad, BadRow)
            return self.bad.add(bad, known.position)
        made = self.builder.build(known.read_job(), known.position)
        if isinstance(made, BadRow):
            made = self._make_absent_or_bad(made, known.read_job(), known.position)
        if made.action == Action.BAD:
            return made
        return made._replace(id=known.id, output=known.output, place=known.place)

    def _make_absent_or_bad(self, bad: BadRow, job: Job | None, position: int) -> Row:
        return self.absent.make_row(bad, job, position) or self.bad.add(bad, position)

    def _stage(self, made: Sequence[Row], known: Mapping[int, Row] = _NONE_KNOWN) -> None:
        """Decide about rows and stage them, but for known ones that are done as they were."""
        self.builder.recordings.remember()
        records: Mapping[str, JobRecord] = {}
        bought: Collection[str] = ()
        if self.former.has_results:
            records = self.checkpoint.lookups.find([row.id for row in made])
            bought = self.checkpoint.lookups.find_bought_keys([row.key for row in made])
        decided = [
            row
            if row.action == Action.BAD
            else self.absent.settle(
                self.decider.decide(row, records.get(row.id), is_bought=row.key in bought),
                records.get(row.id),
            )
            for row in made
        ]
        self.groups.stage()
        self.heard_apart += sum(
            row.layout.startswith(SIDES) and row.action in TO_BUY for row in decided
        )
        if not known:  # the same manifest and settings as last time: it was looked at then
            self.former.look_at(decided, records)
        self.checkpoint.staging.add(
            [row for row in decided if row.action != Action.DONE or row != known.get(row.position)]
        )


def _gather(
    rows: Iterable[Job | BadRow | PlainPage],
) -> Iterator[PlainPage | Sequence[Job | BadRow]]:
    """Gather rows between pages into batches."""
    batch: list[Job | BadRow] = []
    characters = 0
    for item in rows:
        if not isinstance(item, PlainPage):
            batch.append(item)
            characters += sum(len(cell) for cell in item.row.values() if isinstance(cell, str))
            if len(batch) < _BATCH_ROWS and characters < _BATCH_CHARACTERS:
                continue
        if batch:
            yield batch
            batch, characters = [], 0
        if isinstance(item, PlainPage):
            yield item
    if batch:
        yield batch


def _find_open(checkpoint: Checkpoint, files: InputFiles) -> Iterator[tuple[int, Sequence[int]]]:
    """Find the adopted rows that nothing shows to be done.

    Yields:
        The last position looked at, and those found since the one before.
    """
    shelf = checkpoint.shelf
    has_objects = checkpoint.lookups.has_sources_below(SCHEME)
    for page in checkpoint.rows.stream_finished():
        if has_objects:  # to ask after many at once
            recordings = zip(page.paths, page.times, strict=True)
            files.ask_ahead(path for path, modified_ns in recordings if modified_ns is not None)
        yield page.last, find_open(shelf, page, files)


def _names_what_may_move(item: Job | BadRow, inputs_folder: str) -> bool:
    """Whether a row may mean another file, or another text, though the manifest stays the same.

    A text's file may change. A recording is looked at, but where its path is a link, or where there
    is a second place for inputs, it may be another one by then.
    """
    row = item.row
    if row.get("text_file"):
        return True
    given = row.get("audio")
    job = item if isinstance(item, Job) else item.job
    return bool(given) and job is not None and job.audio != f"{inputs_folder}/{given}"
