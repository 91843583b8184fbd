"""What a run folder holds that no row needs: results of rows that are gone, and where they are."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from batchjobs.checkpoint.database import Database
from batchjobs.checkpoint.lookups import GROUP_OUTPUTS, IS_RESULT
from batchjobs.checkpoint.records import (
    FileRecord,
    JobRecord,
    SegmentRecord,
    read_record,
    read_segment,
)
from batchjobs.files import run_folder

# A row with a result in its own place: no other result can be of use to it.
_IS_SETTLED: Final = """EXISTS (SELECT 1 FROM jobs AS own WHERE own.id = rows.id
    AND own.key = rows.key AND own.output = rows.output AND own.status = 'done')"""
_HAS_ROW: Final = "EXISTS (SELECT 1 FROM rows WHERE rows.id = jobs.id AND rows.key = jobs.key)"


_FILES: Final = """coalesce((SELECT json_extract(CAST(record AS TEXT), '$.files') FROM jobs
    WHERE output = path LIMIT 1), (SELECT json_extract(CAST(record AS TEXT), '$.files') FROM groups
    WHERE output = path))"""
_files_decoder = msgspec.json.Decoder(tuple[FileRecord, ...])


class Leftover(NamedTuple):
    """A result that no row names.

    Attributes:
        path: Of its main file, below the run folder.
        files: As they were written; empty where a killed run was about to write them.
    """

    path: str
    files: tuple[FileRecord, ...]


@dataclass
class Leftovers:
    """Finds what no row needs, now or when it is run next."""

    _database: Database

    def find_results(self, *, is_any: bool = False) -> list[Leftover]:
        """Find results that were ever ours, that no row names, and that none will be copied from.

        Args:
            is_any: Find all of them, whoever names them: no row here needs any.
        """
        if is_any:
            query = f"""SELECT path, {_FILES} FROM own_files WHERE {IS_RESULT} ORDER BY path"""
            return self._database.select(query, (), _read_leftover)
        query = f"""SELECT path, {_FILES} FROM own_files WHERE {IS_RESULT} AND path NOT IN (SELECT output FROM rows)
                    AND path NOT IN ({GROUP_OUTPUTS})
                    AND NOT EXISTS (SELECT 1 FROM jobs JOIN rows ON rows.key = jobs.key
                                    WHERE jobs.output = path AND NOT {_IS_SETTLED})
                    ORDER BY path"""
        return self._database.select(query, (), _read_leftover)

    def find_suspects(self, *, is_any: bool = False) -> list[JobRecord]:
        """Find the results in doubt that no row has, nor will have.

        Args:
            is_any: Find all of them.
        """
        query = f"""SELECT record FROM jobs WHERE status = 'suspect' AND (? OR NOT {_HAS_ROW}
                    AND NOT EXISTS (SELECT 1 FROM rows WHERE rows.key = jobs.key
                                    AND NOT {_IS_SETTLED})) ORDER BY id"""
        return self._database.select(query, (is_any,), lambda columns: read_record(columns[0]))

    def find_segments(self) -> list[SegmentRecord]:
        """Find the segments that have files of their own."""
        query = f"""SELECT record FROM segments
                    WHERE path >= '{run_folder.SEGMENTS}/' AND path < '{run_folder.SEGMENTS}0'
                    ORDER BY path"""
        return self._database.select(query, (), lambda columns: read_segment(columns[0]))

    def find_segment_homes(self, paths: Sequence[str]) -> set[str]:
        """Find which of these files hold segments, of which other long jobs may be made."""
        query = "SELECT path FROM segments WHERE path IN (SELECT value FROM json_each(?))"
        return self._database.select_texts(query, json.dumps(list(paths)))

    def count_unfinished_long(self) -> int:
        """Count the rows of several segments that are not done: they are made of what is there."""
        query = f"""SELECT count(*) FROM rows
                    WHERE (layout <> '' OR segments > 1) AND NOT {_IS_SETTLED}"""
        return self._database.select_number(query)

    def find_places(self, places: Sequence[str]) -> set[str]:
        """Find which of these places, as file systems that ignore case see them, rows have."""
        query = "SELECT place FROM rows WHERE place IN (SELECT value FROM json_each(?))"
        return self._database.select_texts(query, json.dumps(list(places)))

    def find_takes(self) -> set[str]:
        """Find the paths of the clips that a check has set apart from those that it kept."""
        query = f"""SELECT json_extract(CAST(record AS TEXT), '$.path') AS path FROM checks
                    WHERE path >= '{run_folder.TAKES}/' AND path < '{run_folder.TAKES}0'"""
        return self._database.select_texts(query)


def forget(connection: sqlite3.Connection, paths: Sequence[str], *, is_any: bool) -> None:
    """Drop what is known of results that no row has, so that nothing is ever made of their files.

    Whose files they are stays known until these are gone: `disown` says so.

    Args:
        connection: The checkpoint.
        paths: Of their main files, or of segments'.
        is_any: Also where a row has them.
    """
    names = json.dumps(list(paths))
    connection.execute(
        f"""DELETE FROM jobs WHERE output IN (SELECT value FROM json_each(?))
            AND (? OR NOT ({_HAS_ROW}))""",
        (names, is_any),
    )
    connection.execute(
        "DELETE FROM segments WHERE path IN (SELECT value FROM json_each(?))", (names,)
    )
    connection.execute(
        """DELETE FROM groups WHERE NOT is_asked
           AND output IN (SELECT value FROM json_each(?))""",
        (names,),
    )


def disown(connection: sqlite3.Connection, paths: Sequence[str]) -> None:
    """Drop that files were ours, now that they are gone."""
    connection.execute(
        "DELETE FROM own_files WHERE path IN (SELECT value FROM json_each(?))",
        (json.dumps(list(paths)),),
    )


def _read_leftover(columns: Sequence[object]) -> Leftover:
    path, files = columns
    return Leftover(str(path), () if files is None else _files_decoder.decode(str(files)))
