"""The run's rows as they were adopted, each with what became of it."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from batchjobs.checkpoint.database import Database
from batchjobs.checkpoint.records import JobRecord, Row, read_record, read_row
from batchjobs.jobs import Status

_FINISHED_ROWS: Final = 1_000
"""Of a page of finished rows: with 5,000 a million take as long, and their files' names more memory."""
_OUTCOMES: Final = """SELECT rows.*, jobs.record FROM rows
                      LEFT JOIN jobs ON jobs.id = rows.id AND jobs.key = rows.key"""


class FinishedPage(msgspec.Struct, frozen=True, array_like=True):
    """What shows that adopted rows that follow each other are done: their files, in columns.

    A million of them are looked at whenever a manifest comes again: as JSON a page takes half the time of
    a tuple for each file (measured).

    Attributes:
        first: The position of the first row.
        last: That of the last.
        positions: Of the files' rows, in no order; a row that nothing shows to be done has no file.
        paths: Of the files: below the run folder, or of a recording as its row names it.
        sizes: In bytes.
        times: When a recording was changed last; None for a file of the run folder.
    """

    first: int
    last: int
    positions: list[int]
    paths: list[str]
    sizes: list[int]
    times: list[int | None]

    def find_without_files(self) -> set[int]:
        """Find the positions of rows that have no file."""
        return set(range(self.first, self.last + 1)).difference(self.positions)


_page_decoder: Final = msgspec.json.Decoder(FinishedPage)


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

    def stream_finished(self) -> Iterator[FinishedPage]:
        """Read what shows that rows are done, of so many adopted rows after the other."""
        query = """SELECT json_array(?1, ?2, json_group_array(position), json_group_array(path),
                       json_group_array(bytes), json_group_array(modified_ns))
                   FROM finished WHERE position BETWEEN ?1 AND ?2"""
        rows = self.count()
        for first in range(1, rows + 1, _FINISHED_ROWS):
            last = min(first + _FINISHED_ROWS - 1, rows)
            with self._database.use() as connection:
                (found,) = connection.execute(query, (first, last)).fetchone()
                page = _page_decoder.decode(found)
            yield page


def _read_outcome(columns: Sequence[object]) -> Outcome:
    record = columns[-1]
    return Outcome(read_row(columns[:-1]), None if record is None else read_record(record))


def _read_exchange(columns: Sequence[object]) -> Exchange:
    return Exchange(read_row(columns[:-1]), str(columns[-1]))
