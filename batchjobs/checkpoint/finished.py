"""Finished rows and the files that show it: all that is looked at when a manifest comes again."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from batchjobs.checkpoint.records import JobRecord
from batchjobs.jobs import Kind, Status

# A long job's row is looked at whole: what it still needs changes with every segment.
_IS_ROW: Final = "id = ? AND key = ? AND output = ? AND layout = ''"
_RECORDING: Final = "sources.path = json_extract(CAST(rows.job AS TEXT), '$.audio')"


def note_outcomes(connection: sqlite3.Connection, records: Sequence[JobRecord]) -> None:
    """Keep the files of rows that are done now, and drop those of rows that are not."""
    for record in records:
        asked = (record.id, record.key, record.output)
        if record.status is not Status.DONE:
            connection.execute(
                "DELETE FROM finished WHERE position = (SELECT position FROM rows WHERE id = ?)",
                (record.id,),
            )
            continue
        connection.execute(f"UPDATE rows SET action = 'done' WHERE {_IS_ROW}", asked)
        connection.executemany(
            f"""INSERT OR REPLACE INTO finished SELECT position, ?, ?, NULL FROM rows
                WHERE {_IS_ROW}""",
            [(file.path, file.bytes, *asked) for file in record.files],
        )
        if record.kind is Kind.STT:
            connection.execute(
                f"""INSERT OR REPLACE INTO finished
                    SELECT rows.position, sources.path, sources.bytes, sources.modified_ns
                    FROM rows JOIN sources ON {_RECORDING} WHERE {_IS_ROW}""",
                asked,
            )


def fill(connection: sqlite3.Connection, *, only_staged: bool) -> None:
    """Keep the files of adopted rows that are done.

    Args:
        connection: In a transaction.
        only_staged: Whether only of those that were staged; else of all.
    """
    found = """rows JOIN jobs ON rows.id = jobs.id AND rows.key = jobs.key
               AND rows.output = jobs.output AND jobs.status = 'done'"""
    wanted = "rows.action = 'done' AND rows.layout = ''"
    if only_staged:
        wanted += " AND rows.position IN (SELECT position FROM temp.staged)"
    connection.execute(
        f"""INSERT INTO finished
            SELECT rows.position, json_extract(file.value, '$.path'),
                   json_extract(file.value, '$.bytes'), NULL
            FROM {found}, json_each(CAST(jobs.record AS TEXT), '$.files') AS file WHERE {wanted}
            UNION ALL
            SELECT rows.position, sources.path, sources.bytes, sources.modified_ns
            FROM {found} JOIN sources ON {_RECORDING} WHERE {wanted} AND rows.kind = 'stt'"""
    )


def forget_staged(connection: sqlite3.Connection) -> None:
    """Drop the files of the rows that are staged."""
    connection.execute("DELETE FROM finished WHERE position IN (SELECT position FROM temp.staged)")
