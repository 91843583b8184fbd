"""A plan in the making: rows in a temporary table, apart from those of the last run."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from batchjobs.checkpoint.database import ROW_COLUMNS
from batchjobs.checkpoint.records import Row

__all__ = [
    "add",
    "adopt",
    "begin",
    "mark_followers",
    "orphans",
    "postpone_beyond",
    "row_from",
    "totals",
]


def begin(database: sqlite3.Connection) -> None:
    """Make the table; on disk, where it takes no memory."""
    database.execute("PRAGMA temp_store = FILE")
    database.execute("DROP TABLE IF EXISTS temp.staged")
    database.execute(f"CREATE TEMP TABLE staged {ROW_COLUMNS}")
    database.execute("CREATE INDEX temp.staged_key ON staged (key, position)")


def add(database: sqlite3.Connection, rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Add rows; give those whose id or place is taken, each with the row that has it."""
    statement = "INSERT INTO temp.staged VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
    refused: list[tuple[Row, Row]] = []
    database.execute("SAVEPOINT batch")
    try:
        database.executemany(statement, map(_values, rows))
    except sqlite3.IntegrityError:
        database.execute("ROLLBACK TO batch")
        for row in rows:
            try:
                database.execute(statement, _values(row))
            except sqlite3.IntegrityError:
                refused.append((row, _holder(database, row)))
    database.execute("RELEASE batch")
    return refused


def _holder(database: sqlite3.Connection, row: Row) -> Row:
    query = "SELECT * FROM temp.staged WHERE id = ? OR place = ? ORDER BY id = ? DESC LIMIT 1"
    return row_from(database.execute(query, (row.id, row.place, row.id)).fetchone())


def mark_followers(database: sqlite3.Connection, to_buy: Iterable[str], follow: str) -> None:
    """Turn rows that ask the same as one that will be bought into followers, if a copy can serve.

    An exact format serves all, so it leads; OGG and MP3 serve only rows of their own.
    """
    database.execute(
        """WITH buys AS (SELECT *, lower(substr(output, -4)) AS ending,
                   lower(substr(output, -4)) NOT IN ('.ogg', '.mp3') AS is_exact
               FROM temp.staged WHERE action IN (SELECT value FROM json_each(:to_buy)))
           UPDATE temp.staged SET action = :follow WHERE position IN (
               SELECT follower.position FROM buys AS follower WHERE EXISTS (
                   SELECT 1 FROM buys AS leader WHERE leader.key = follower.key
                   AND (leader.is_exact > follower.is_exact
                        OR leader.position < follower.position
                        AND (leader.is_exact OR leader.ending = follower.ending))))""",
        {"follow": follow, "to_buy": json.dumps(list(to_buy))},
    )


def postpone_beyond(database: sqlite3.Connection, actions: Iterable[str], limit: int) -> None:
    """Leave only the first rows with these actions to do."""
    database.execute(
        """UPDATE temp.staged SET action = 'later' WHERE position IN (
               SELECT position FROM temp.staged
               WHERE action IN (SELECT value FROM json_each(?))
               ORDER BY position LIMIT -1 OFFSET ?)""",
        (json.dumps(list(actions)), limit),
    )


def totals(database: sqlite3.Connection) -> list[tuple[str, str, str, int, int, float, int]]:
    """Sum the rows: (action, kind, provider, rows, characters, seconds, sessions)."""
    query = """SELECT action, kind, provider, count(*), sum(characters), sum(seconds), sum(segments)
               FROM temp.staged GROUP BY action, kind, provider"""
    return [tuple(row) for row in database.execute(query)]


def orphans(database: sqlite3.Connection) -> int:
    """Count the finished jobs that have no row."""
    query = """SELECT count(*) FROM jobs
               WHERE status = 'done' AND id NOT IN (SELECT id FROM temp.staged)"""
    return int(database.execute(query).fetchone()[0])


def adopt(database: sqlite3.Connection, settings: Mapping[str, str]) -> None:
    """Put the rows in the place of the last run's; within a transaction."""
    # A copy that was killed between its rename and its commit has left a file, as `owns` knows of
    # the last plan; the new one may buy what that would have copied.
    database.execute(
        """INSERT OR IGNORE INTO own_files
           SELECT output FROM rows WHERE action IN ('copy', 'follow')"""
    )
    database.execute("DELETE FROM rows")
    database.execute("INSERT INTO rows SELECT * FROM temp.staged")
    _put_in_doubt(database)
    database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", settings.items())
    database.execute("DROP TABLE temp.staged")


def _put_in_doubt(database: sqlite3.Connection) -> None:
    """Set results apart that copies will overwrite; see `ledger.start`, copies begin no attempts."""
    database.execute(
        """UPDATE OR REPLACE jobs SET id = id || char(31) || key WHERE id IN (
               SELECT jobs.id FROM rows CROSS JOIN jobs ON jobs.output = rows.output
               WHERE rows.action IN ('copy', 'follow')
               AND jobs.status = 'done' AND instr(jobs.id, char(31)) = 0
               AND (jobs.id <> rows.id OR jobs.key <> rows.key))"""
    )


def _values(row: Row) -> tuple[object, ...]:
    return (
        row.position,
        row.line,
        row.id,
        row.place,
        row.key,
        row.action,
        row.kind,
        row.provider,
        row.characters,
        row.seconds,
        row.output,
        row.job,
        row.segments,
        row.layout,
    )


def row_from(values: Sequence[object]) -> Row:
    """Make a row of its columns."""
    return msgspec.convert(dict(zip(Row.__slots__, values, strict=True)), Row)
