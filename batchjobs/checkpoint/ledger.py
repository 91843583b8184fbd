"""Attempts and outcomes: writes what was begun, what was sent, and what became of it."""

import dataclasses
import sqlite3
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from batchjobs.checkpoint.records import (
    SEPARATOR,
    SIDES,
    AttemptEnd,
    AttemptStart,
    JobRecord,
    read_record,
    to_json,
)
from batchjobs.jobs import Kind, Status

_START_VALUES: Final = attrgetter(
    "key", "job", "provider", "started_at", "characters", "audio_seconds", "account"
)
_END_VALUES: Final = attrgetter(
    "ended_at", "result", "code", "message", "characters", "audio_seconds", "number"
)
_JOB_VALUES: Final = attrgetter("id", "key", "status", "output", "error_class")
_LOST: Final = "lost"
"""Result of an attempt whose process died before it could tell."""
_ANSWERED: Final = "answered"
"""Code of a lost attempt whose job has failed since: it counts against no later one."""


def close_lost(connection: sqlite3.Connection, now: float) -> dict[str, int]:
    """Close the attempts that were left open; count each key's latest lost ones."""
    connection.execute(
        "UPDATE attempts SET ended_at = ?, result = ? WHERE ended_at IS NULL", (now, _LOST)
    )
    return count_lost(connection)


def count_lost(connection: sqlite3.Connection) -> dict[str, int]:
    """Count each key's latest attempts that were lost to kills, and held against no job yet."""
    query = """SELECT key, count(*) FROM attempts AS a WHERE result = 'lost' AND code <> ?
               AND number > coalesce((SELECT max(number) FROM attempts AS b WHERE b.key = a.key
                                      AND b.result <> 'lost'), 0) GROUP BY key"""
    return {row[0]: row[1] for row in connection.execute(query, (_ANSWERED,))}


def answer_lost(connection: sqlite3.Connection, jobs: Sequence[str]) -> None:
    """Hold what was lost to kills against these jobs no more."""
    connection.execute(
        """UPDATE attempts SET code = ? WHERE result = 'lost'
           AND job IN (SELECT value FROM json_each(?))""",
        (_ANSWERED, to_json(list(jobs)).decode()),
    )


def write_starts(connection: sqlite3.Connection, starts: Sequence[AttemptStart]) -> list[int]:
    """Write that attempts begin, and claim their files.

    Returns:
        The attempts' numbers, in order.
    """
    claim_files(connection, [attempt.job for attempt in starts])
    numbers = []
    for attempt in starts:
        cursor = connection.execute(
            """INSERT INTO attempts
               (key, job, provider, started_at, characters, audio_seconds, account)
               VALUES (?, ?, ?, ?, ?, ?, ?)""",
            _START_VALUES(attempt),
        )
        numbers.append(int(cursor.lastrowid or 0))
    return numbers


def claim_files(connection: sqlite3.Connection, jobs: Sequence[str]) -> None:
    """Write that the files of these jobs will be ours, and set results apart that they overwrite.

    A run killed between a file's rename and its commit leaves the new file under the old result's
    name. Undoing the edit must not call that done because it has the same size: what is set apart
    is only ever copied, which looks at the hash, and goes once the new result is committed.
    """
    if not jobs:
        return
    asked = (to_json(list(jobs)).decode(),)
    outputs = "SELECT output FROM rows WHERE id IN (SELECT value FROM json_each(?))"
    connection.execute(f"INSERT OR IGNORE INTO own_files {outputs}", asked)
    # No id holds a control character.
    connection.execute(
        f"""UPDATE OR REPLACE jobs SET id = id || char(31) || key
            WHERE output IN ({outputs}) AND status = 'done' AND instr(id, char(31)) = 0
            AND NOT EXISTS (SELECT 1 FROM rows WHERE rows.id = jobs.id AND rows.key = jobs.key
                            AND rows.output = jobs.output)""",
        asked,
    )


def write_ends(connection: sqlite3.Connection, ends: Sequence[AttemptEnd]) -> None:
    """Write how attempts ended."""
    connection.executemany(
        """UPDATE attempts SET ended_at = ?, result = ?, code = ?, message = ?,
           characters = ?, audio_seconds = ? WHERE number = ?""",
        map(_END_VALUES, ends),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO receipts VALUES (?, ?)",
        [(end.number, end.billed_seconds) for end in ends if end.billed_seconds is not None],
    )
    replacing = [(e.number, e.number) for e in ends if e.replaces_kept]
    if replacing:
        connection.executemany(
            """UPDATE attempts SET result = 'suspect' WHERE result = 'kept' AND number <> ?
               AND key = (SELECT key FROM attempts WHERE number = ?)""",
            replacing,
        )


def write_records(connection: sqlite3.Connection, records: Sequence[JobRecord]) -> None:
    """Write what became of jobs."""
    _replace_owners(connection, records)
    _keep_what_is_in_doubt(connection, records)
    for record in records:
        if record.status is not Status.DONE:
            _keep_what_was_bought(connection, record)
            connection.execute(
                "UPDATE attempts SET code = ? WHERE (key = ? OR job = ?) AND result = 'lost'",
                (_ANSWERED, record.key, record.id),
            )
        elif _needs_no_segments(record):
            connection.execute("DELETE FROM segments WHERE job_key = ?", (record.key,))
        connection.execute(
            "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?)",
            (*_JOB_VALUES(record), to_json(record)),
        )


def _needs_no_segments(record: JobRecord) -> bool:
    """Whether a transcript has all of its segments; of sides it is put together anew to rename them."""
    return record.kind is Kind.STT and record.segments > 1 and not record.layout.startswith(SIDES)


def _replace_owners(connection: sqlite3.Connection, records: Sequence[JobRecord]) -> None:
    """Write that files are these jobs' now, and no longer those of others."""
    owners = {record.output: record.id for record in records if record.output}
    if not owners:
        return
    connection.execute(
        """DELETE FROM jobs WHERE rowid IN
           (SELECT jobs.rowid FROM json_each(?) AS file JOIN jobs ON jobs.output = file.key
            WHERE jobs.id <> file.value)""",
        (to_json(owners).decode(),),
    )
    paths = (to_json(list(owners)).decode(),)
    connection.execute("INSERT OR IGNORE INTO own_files SELECT value FROM json_each(?)", paths)
    # What stood in the files that these replace is gone with them.
    connection.execute("DELETE FROM segments WHERE path IN (SELECT value FROM json_each(?))", paths)


def judge(
    connection: sqlite3.Connection, records: Sequence[JobRecord], *, is_damaged: bool
) -> None:
    """Note of finished jobs whether their files are as they were, unless they were made anew since."""
    for record in records:
        judged = to_json(dataclasses.replace(record, is_damaged=is_damaged))
        # A job may have results that are set apart: which of them it is, key and place tell.
        found = connection.execute(
            """SELECT rowid, record FROM jobs WHERE key = ? AND output = ?
               AND status IN ('done', 'suspect') AND id IN (?, ? || char(31) || key)""",
            (record.key, record.output, record.id, record.id),
        ).fetchall()
        for number, content in found:
            if read_record(content) == record:
                connection.execute("UPDATE jobs SET record = ? WHERE rowid = ?", (judged, number))
        connection.execute(
            "DELETE FROM finished WHERE position = (SELECT position FROM rows WHERE id = ?)",
            (record.id,),
        )


def accept(connection: sqlite3.Connection, record: JobRecord, *, kept: JobRecord) -> None:
    """Write that a suspect job is done: what was paid for it has led to something."""
    write_records(connection, [record])
    keys = to_json([kept.key, *(doubt.key for doubt in kept.doubts)]).decode()
    connection.execute(
        """UPDATE attempts SET result = 'done' WHERE result = 'kept'
           AND key IN (SELECT value FROM json_each(?))""",
        (keys,),
    )


def reject(connection: sqlite3.Connection, record: JobRecord) -> None:
    """Write that a result was rejected: what was paid for it is kept in doubt, and copied by nobody."""
    write_records(connection, [record])
    connection.execute(
        "DELETE FROM jobs WHERE key = ? AND status = 'done' AND instr(id, char(31)) > 0",
        (record.key,),
    )
    connection.execute(
        "UPDATE attempts SET result = 'kept' WHERE result = 'done' AND key = ?", (record.key,)
    )


def set_apart(connection: sqlite3.Connection, record: JobRecord) -> None:
    """Keep a result beside the job's own: whatever asks for its key can be made of it."""
    apart = dataclasses.replace(record, id=_apart_id(record))
    connection.execute(
        "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?)",
        (*_JOB_VALUES(apart), to_json(apart)),
    )


def forget_apart(connection: sqlite3.Connection, record: JobRecord) -> None:
    """Drop the result of a job that stands beside its own."""
    connection.execute("DELETE FROM jobs WHERE id = ?", (_apart_id(record),))


def _apart_id(record: JobRecord) -> str:
    return f"{record.id}{SEPARATOR}{record.key}"


def _keep_what_was_bought(connection: sqlite3.Connection, failed: JobRecord) -> None:
    """Keep the result of a job's earlier content apart: if the edit is undone, it is there."""
    # No id holds a control character.
    connection.execute(
        """UPDATE OR REPLACE jobs SET id = id || char(31) || key
           WHERE id = ? AND key <> ? AND status = 'done'""",
        (failed.id, failed.key),
    )


def _keep_what_is_in_doubt(connection: sqlite3.Connection, records: Sequence[JobRecord]) -> None:
    """Keep apart what jobs have in doubt of an earlier content, whatever the new one has come to."""
    keys = to_json({record.id: record.key for record in records}).decode()
    connection.execute(
        """UPDATE OR REPLACE jobs SET id = id || char(31) || key WHERE rowid IN
           (SELECT jobs.rowid FROM json_each(?) AS new JOIN jobs ON jobs.id = new.key
            WHERE jobs.status = 'suspect' AND jobs.key <> new.value)""",
        (keys,),
    )
