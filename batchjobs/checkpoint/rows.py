"""The run's rows as they were adopted, each with what became of it."""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias, cast

from batchjobs.checkpoint.database import Database
from batchjobs.checkpoint.records import JobRecord, Row, read_record, read_row
from batchjobs.jobs import Status

_PAGE_FILES: Final = 5_000
_OUTCOMES: Final = """SELECT rows.*, jobs.record FROM rows
                      LEFT JOIN jobs ON jobs.id = rows.id AND jobs.key = rows.key"""


FinishedFile: TypeAlias = tuple[int, str, int, int | None]
"""A file that shows that a row is done: the row's position; the path, below the run folder, or of a recording
as its row names it; its size; when a recording was changed last, None for a file of the run folder.

A plain tuple, as the database gives it: a million of them are looked at whenever a manifest comes again.
"""
_as_file: Final = cast("Callable[[Sequence[object]], FinishedFile]", tuple)


class Outcome(NamedTuple):
    """A row, and what became of it: None if it has no answer yet."""

    row: Row
    record: JobRecord | None


class Exchange(NamedTuple):
    """A row, and the id of one whose result it is copied from, and which is to be replaced."""

    row: Row
    donor: str


@dataclass
class Rows:
    """Reads the adopted rows."""

    _database: Database

    def count(self) -> int:
        """Count the adopted rows."""
        return self._database.select_number("SELECT max(position) FROM rows")

    def read_first(self) -> Row | None:
        """Read the manifest's first row; None if nothing was adopted."""
        query = "SELECT * FROM rows ORDER BY position LIMIT 1"
        return next(iter(self._database.select(query, (), read_row)), None)

    def stream_to_do(self, actions: Iterable[str]) -> Iterator[Row]:
        """Read the rows with these actions, in the manifest's order."""
        query = """SELECT * FROM rows WHERE position > ?
                   AND action IN (SELECT value FROM json_each(?)) ORDER BY position LIMIT ?"""
        names = json.dumps(list(actions))
        for page in self._database.stream_pages(query, (0,), read_row, parameters=(names,)):
            yield from page

    def find_at(self, positions: Sequence[int]) -> list[Row]:
        """Read the rows at these positions, in the manifest's order."""
        query = """SELECT * FROM rows WHERE position IN (SELECT value FROM json_each(?))
                   ORDER BY position"""
        return self._database.select(query, (json.dumps(list(positions)),), read_row)

    def find_unsettled_at(self, positions: Sequence[int]) -> list[Row]:
        """Read those of the rows at these positions that failed or are suspect, likewise."""
        query = """SELECT rows.* FROM rows JOIN jobs ON jobs.id = rows.id AND jobs.key = rows.key
                   WHERE position IN (SELECT value FROM json_each(?))
                   AND jobs.status IN ('failed', 'suspect') ORDER BY position"""
        return self._database.select(query, (json.dumps(list(positions)),), read_row)

    def find_exchanges(self) -> list[Exchange]:
        """Find the rows to be copied whose donors are all about to be replaced by other copies."""
        # A result that is not asked for any more has its key behind its id, after a separator.
        donors = """FROM jobs LEFT JOIN rows AS other
                    ON other.id = substr(jobs.id, 1, instr(jobs.id, char(31)) - 1)
                    AND other.action = 'copy' AND other.output = jobs.output
                    WHERE jobs.key = rows.key AND jobs.status = 'done'"""
        query = f"""SELECT rows.*, (SELECT other.id {donors} AND other.id IS NOT NULL LIMIT 1)
                    AS donor FROM rows WHERE action = 'copy' AND donor IS NOT NULL
                    AND NOT EXISTS (SELECT 1 {donors} AND other.id IS NULL)"""
        return self._database.select(query, (), _read_exchange)

    def stream_outcomes(self) -> Iterator[Outcome]:
        """Read the rows in order, each with what became of it."""
        query = f"{_OUTCOMES} WHERE position > ? ORDER BY position LIMIT ?"
        return itertools.chain.from_iterable(
            self._database.stream_pages(query, (0,), _read_outcome)
        )

    def stream_records(self, status: Status) -> Iterator[tuple[Row, JobRecord]]:
        """Read the rows that ended so, in order, each with the record of its job."""
        query = f"{_OUTCOMES} WHERE position > ? AND jobs.status = ? ORDER BY position LIMIT ?"
        for page in self._database.stream_pages(
            query, (0,), _read_outcome, parameters=(status.value,)
        ):
            yield from ((row, record) for row, record in page if record is not None)

    def find_outcomes(self, ids: Sequence[str]) -> dict[str, Outcome]:
        """Look up rows by id, each with what became of it."""
        query = f"{_OUTCOMES} WHERE rows.id IN (SELECT value FROM json_each(?))"
        found = self._database.select(query, (json.dumps(list(ids)),), _read_outcome)
        return {outcome.row.id: outcome for outcome in found}

    def find_twins(self, keys: Sequence[str]) -> list[Outcome]:
        """Find the rows that ask for one of these keys and have a result, done or in doubt."""
        query = f"""{_OUTCOMES} WHERE rows.key IN (SELECT value FROM json_each(?))
                    AND jobs.status IN ('done', 'suspect') ORDER BY position"""
        return self._database.select(query, (json.dumps(list(keys)),), _read_outcome)

    def stream_finished_files(self) -> Iterator[list[FinishedFile]]:
        """Read what shows that rows are done, in pages, in order of their positions."""
        query = """SELECT position, path, bytes, modified_ns FROM finished
                   WHERE (position, path) > (?, ?) ORDER BY position, path LIMIT ?"""
        return self._database.stream_pages(query, (0, ""), _as_file, page_rows=_PAGE_FILES)


def _read_outcome(columns: Sequence[object]) -> Outcome:
    record = columns[-1]
    return Outcome(read_row(columns[:-1]), None if record is None else read_record(record))


def _read_exchange(columns: Sequence[object]) -> Exchange:
    return Exchange(read_row(columns[:-1]), str(columns[-1]))
