"""A plan in the making: rows in a temporary table, apart from those of the last run."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from batchjobs.checkpoint import finished
from batchjobs.checkpoint.database import ROW_COLUMNS, ROW_INDEXES
from batchjobs.checkpoint.records import Row

__all__ = [
    "add",
    "add_if_free",
    "adopt",
    "at",
    "begin",
    "doubt",
    "doubtful",
    "index",
    "mark_followers",
    "orphans",
    "postpone_beyond",
    "replaced",
    "row_from",
    "take",
    "totals",
    "voices",
]

_MOST_VOICES: Final = 1_000
"""A manifest may name a million of them, and nobody would read so many."""


def begin(database: sqlite3.Connection) -> None:
    """Make the table; on disk, where it takes no memory."""
    database.execute("PRAGMA temp_store = FILE")
    database.execute("DROP TABLE IF EXISTS temp.staged")
    database.execute(f"CREATE TEMP TABLE staged {ROW_COLUMNS}")
    database.execute("DROP TABLE IF EXISTS temp.doubtful")
    database.execute("CREATE TEMP TABLE doubtful (position INTEGER PRIMARY KEY)")


def add(database: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Add rows, whatever their ids and places."""
    statement = f"INSERT INTO temp.staged VALUES ({','.join('?' * len(Row._fields))})"
    database.execute("SAVEPOINT batch")
    database.executemany(statement, rows)
    database.execute("RELEASE batch")


def doubt(database: sqlite3.Connection, positions: Iterable[int]) -> None:
    """Note adopted rows that are to be looked at."""
    statement = "INSERT OR IGNORE INTO temp.doubtful VALUES (?)"
    database.execute("SAVEPOINT batch")
    database.executemany(statement, ((position,) for position in positions))
    database.execute("RELEASE batch")


def doubtful(database: sqlite3.Connection, after: int, limit: int) -> list[Row]:
    """Give the next adopted rows that are to be looked at."""
    query = """SELECT rows.* FROM temp.doubtful JOIN rows USING (position)
               WHERE position > ? ORDER BY position LIMIT ?"""
    return [row_from(values) for values in database.execute(query, (after, limit))]


def index(database: sqlite3.Connection) -> list[int]:
    """Index the rows, now that they are all there: a third of the time of one after the other.

    Returns:
        The positions of rows whose id or place an earlier row has, in order.
    """
    for column in ("id", "place", "key"):
        database.execute(f"CREATE INDEX temp.staged_{column} ON staged ({column})")
    found: set[int] = set()
    for column in ("id", "place"):
        twins = f"""SELECT {column}, min(position) FROM temp.staged
                    WHERE {column} IS NOT NULL GROUP BY {column} HAVING count(*) > 1"""
        query = f"""WITH twins (shared, first) AS MATERIALIZED ({twins})
                    SELECT position FROM twins JOIN temp.staged ON {column} = shared
                    WHERE position > first"""
        found.update(row[0] for row in database.execute(query))
    return sorted(found)


def take(database: sqlite3.Connection, position: int) -> tuple[Row, Row | None]:
    """Take a row out; give it and the earlier row that has its id or its place, if there is one."""
    query = "SELECT * FROM temp.staged WHERE position = ?"
    row = row_from(database.execute(query, (position,)).fetchone())
    database.execute("DELETE FROM temp.staged WHERE position = ?", (position,))
    return row, _holder(database, row, before=position)


def at(database: sqlite3.Connection, place: str) -> Row | None:
    """Give the row with this place."""
    query = "SELECT * FROM temp.staged WHERE place = ? LIMIT 1"
    found = database.execute(query, (place,)).fetchone()
    return None if found is None else row_from(found)


def add_if_free(database: sqlite3.Connection, row: Row) -> Row | None:
    """Add a row, unless another one has its id or place: then give that one."""
    holder = _holder(database, row)
    if holder is None:
        add(database, [row])
    return holder


def _holder(database: sqlite3.Connection, row: Row, *, before: int | None = None) -> Row | None:
    query = """SELECT * FROM temp.staged WHERE (id = :id OR place = :place)
               AND (:before IS NULL OR position < :before)
               ORDER BY id = :id DESC, position LIMIT 1"""
    names = {"id": row.id, "place": row.place, "before": before}
    found = database.execute(query, names).fetchone()
    return None if found is None else row_from(found)


def mark_followers(database: sqlite3.Connection, to_buy: Iterable[str], follow: str) -> None:
    """Turn rows that ask the same as one that will be bought into followers, if a copy can serve.

    An exact format serves all, so it leads; OGG and MP3 serve only rows of their own.
    """
    database.execute(
        """WITH shared AS MATERIALIZED (SELECT key FROM temp.staged WHERE key <> ''
                   GROUP BY key HAVING count(*) > 1),
               buys AS (SELECT position, key, lower(substr(output, -4)) AS ending,
                   lower(substr(output, -4)) NOT IN ('.ogg', '.mp3') AS is_exact
               FROM shared JOIN temp.staged USING (key)
               WHERE action IN (SELECT value FROM json_each(:to_buy)))
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


def _count(database: sqlite3.Connection) -> int:
    """Count the rows."""
    return int(database.execute("SELECT count(*) FROM temp.staged").fetchone()[0])


def totals(
    database: sqlite3.Connection, *, keeps_rest: bool = False
) -> list[tuple[str, str, str, int, int, float, int]]:
    """Sum the rows: (action, kind, provider, rows, characters, seconds, sessions).

    Args:
        database: The checkpoint.
        keeps_rest: Count the adopted rows that are not staged, too; they are done.
    """
    sums = "kind, provider, count(*), sum(characters), sum(seconds), sum(segments)"
    query = f"SELECT action, {sums} FROM temp.staged GROUP BY action, kind, provider"
    if keeps_rest:
        query += f""" UNION ALL SELECT 'done', {sums} FROM rows
                      WHERE position NOT IN (SELECT position FROM temp.staged)
                      GROUP BY kind, provider"""
    return [tuple(row) for row in database.execute(query)]


def voices(
    database: sqlite3.Connection, actions: Iterable[str]
) -> list[tuple[str, str, str, str, int]]:
    """Count the staged rows with these actions: (provider, kind, model, voice, rows), most first."""
    query = """WITH asked AS (SELECT provider, kind, json_extract(CAST(job AS TEXT), '$.speech') AS speech
                              FROM temp.staged WHERE action IN (SELECT value FROM json_each(?)))
               SELECT provider, kind, coalesce(json_extract(speech, '$.model_id'), '') AS model,
                      coalesce(json_extract(speech, '$.voice_id'), '') AS voice, count(*) AS rows
               FROM asked GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2, 3, 4 LIMIT ?"""
    asked = (json.dumps(list(actions)), _MOST_VOICES)
    return [tuple(row) for row in database.execute(query, asked)]


def orphans(database: sqlite3.Connection, *, keeps_rest: bool = False) -> int:
    """Count the finished jobs that have no row; `keeps_rest` as for `totals`."""
    query = """SELECT (SELECT count(*) FROM jobs WHERE status = 'done')
               - (SELECT count(*) FROM temp.staged JOIN jobs USING (id) WHERE status = 'done')"""
    if keeps_rest:  # each of them has a finished job
        query += """ - (SELECT count(*) FROM rows
                        WHERE position NOT IN (SELECT position FROM temp.staged))"""
    return int(database.execute(query).fetchone()[0])


def replaced(database: sqlite3.Connection) -> Iterator[bytes]:
    """Stream the results whose id or file rows have that ask something else, whenever they are done.

    What is set apart is not among them: its own manifest has given it up.
    """
    # A row number, and not the records, tells which are the same: SQLite sorts them.
    query = """SELECT record FROM jobs WHERE rowid IN (
                   SELECT jobs.rowid FROM temp.staged JOIN jobs ON jobs.id = staged.id
                   WHERE jobs.key <> staged.key
                   UNION SELECT jobs.rowid FROM temp.staged JOIN jobs ON jobs.output = staged.output
                   WHERE jobs.key <> staged.key)
               AND status <> 'failed' AND instr(id, char(31)) = 0"""
    for (record,) in database.execute(query):
        yield record


def adopt(
    database: sqlite3.Connection, settings: Mapping[str, str], *, keeps_rest: bool = False
) -> None:
    """Put the rows in the place of the last run's, or of some; within a transaction."""
    if not keeps_rest or _count(database):
        _put_in_place(database, keeps_rest=keeps_rest)
    database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", settings.items())
    database.execute("DROP TABLE temp.staged")
    database.execute("DROP TABLE temp.doubtful")


def _put_in_place(database: sqlite3.Connection, *, keeps_rest: bool) -> None:
    database.execute("DELETE FROM meta WHERE name = 'report'")
    # A copy that was killed between its rename and its commit has left a file, as `owns` knows of
    # the last plan; the new one may buy what that would have copied.
    database.execute(
        """INSERT OR IGNORE INTO own_files
           SELECT output FROM rows WHERE action IN ('copy', 'follow')"""
    )
    if keeps_rest:
        finished.forget_staged(database)
        database.execute("DELETE FROM rows WHERE position IN (SELECT position FROM temp.staged)")
        database.execute("INSERT INTO rows SELECT * FROM temp.staged")
    else:
        database.execute("DELETE FROM finished")
        for name in ("id", "place", "key"):
            database.execute(f"DROP INDEX rows_{name}")
        database.execute("DELETE FROM rows")
        database.execute("INSERT INTO rows SELECT * FROM temp.staged")
        for statement in filter(str.strip, ROW_INDEXES.split(";")):
            database.execute(statement)
    finished.fill(database)
    _put_in_doubt(database)


def _put_in_doubt(database: sqlite3.Connection) -> None:
    """Set results apart that copies will overwrite, and those whose files are gone.

    See `ledger.start`: copies begin no attempts. A result that is made again is none until then,
    should the run end before its turn.
    """
    database.execute(
        """UPDATE OR REPLACE jobs SET id = id || char(31) || key WHERE id IN (
               SELECT jobs.id FROM rows CROSS JOIN jobs ON jobs.output = rows.output
               WHERE jobs.status = 'done' AND instr(jobs.id, char(31)) = 0
               AND (rows.action = 'remake' OR rows.action IN ('copy', 'follow')
                    AND (jobs.id <> rows.id OR jobs.key <> rows.key)))"""
    )


def row_from(values: Sequence[object]) -> Row:
    """Make a row of its columns."""
    return msgspec.convert(values, Row)
