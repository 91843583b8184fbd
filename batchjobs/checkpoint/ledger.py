"""Attempts and outcomes: what was begun, what was sent, what became of it, and the sums."""

import dataclasses
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from batchjobs.checkpoint.records import AttemptEnd, AttemptStart, JobRecord, RunTotals
from batchjobs.jobs import Kind, Status

__all__ = [
    "accept",
    "close_lost",
    "end",
    "expect",
    "is_asked_for",
    "judge",
    "record_from",
    "save",
    "sent_by_provider",
    "start",
    "totals",
    "unsettled",
]

_LOST: Final = "lost"
"""Result of an attempt whose process died before it could tell."""
_ANSWERED: Final = "answered"
"""Code of a lost attempt whose job has failed since: it counts against no later one."""

_decoder = msgspec.json.Decoder(JobRecord)
_encoder = msgspec.json.Encoder()


def record_from(content: object) -> JobRecord:
    """Read an outcome."""
    if not isinstance(content, bytes):
        raise msgspec.DecodeError("a record is no JSON")
    return _decoder.decode(content)


def close_lost(database: sqlite3.Connection, now: float) -> dict[str, int]:
    """Close the attempts that were left open; count each key's latest lost ones."""
    database.execute(
        "UPDATE attempts SET ended_at = ?, result = ? WHERE ended_at IS NULL", (now, _LOST)
    )
    query = """SELECT key, count(*) FROM attempts AS a WHERE result = 'lost' AND code <> ?
               AND number > coalesce((SELECT max(number) FROM attempts AS b WHERE b.key = a.key
                                      AND b.result <> 'lost'), 0) GROUP BY key"""
    return {row[0]: row[1] for row in database.execute(query, (_ANSWERED,))}


def start(database: sqlite3.Connection, starts: Sequence[AttemptStart]) -> list[int]:
    """Write that attempts begin, and whose files will be ours; give their numbers."""
    expect(database, [attempt.job for attempt in starts])
    numbers = []
    for attempt in starts:
        cursor = database.execute(
            """INSERT INTO attempts (key, job, provider, started_at, characters, audio_seconds)
               VALUES (?, ?, ?, ?, ?, ?)""",
            (
                attempt.key,
                attempt.job,
                attempt.provider,
                attempt.started_at,
                attempt.characters,
                attempt.audio_seconds,
            ),
        )
        numbers.append(int(cursor.lastrowid or 0))
    return numbers


def expect(database: sqlite3.Connection, jobs: Sequence[str]) -> None:
    """Write that the files of these jobs will be ours, and set results apart that they overwrite.

    A run killed between a file's rename and its commit leaves the new file under the old result's
    name. Undoing the edit must not call that done because it has the same size: what is set apart
    is only ever copied, which looks at the hash, and goes once the new result is committed.
    """
    if not jobs:
        return
    asked = (_list(jobs),)
    outputs = "SELECT output FROM rows WHERE id IN (SELECT value FROM json_each(?))"
    database.execute(f"INSERT OR IGNORE INTO own_files {outputs}", asked)
    # No id holds a control character.
    database.execute(
        f"""UPDATE OR REPLACE jobs SET id = id || char(31) || key
            WHERE output IN ({outputs}) AND status = 'done' AND instr(id, char(31)) = 0
            AND NOT EXISTS (SELECT 1 FROM rows WHERE rows.id = jobs.id AND rows.key = jobs.key
                            AND rows.output = jobs.output)""",
        asked,
    )


def end(database: sqlite3.Connection, ends: Sequence[AttemptEnd]) -> None:
    """Write how attempts ended."""
    database.executemany(
        """UPDATE attempts SET ended_at = ?, result = ?, code = ?, message = ?,
           characters = ?, audio_seconds = ? WHERE number = ?""",
        [
            (e.ended_at, e.result, e.code, e.message, e.characters, e.audio_seconds, e.number)
            for e in ends
        ],
    )
    replacing = [(e.number, e.number) for e in ends if e.replaces_kept]
    if replacing:
        database.executemany(
            """UPDATE attempts SET result = 'suspect' WHERE result = 'kept' AND number <> ?
               AND key = (SELECT key FROM attempts WHERE number = ?)""",
            replacing,
        )


def save(database: sqlite3.Connection, records: Sequence[JobRecord]) -> None:
    """Write what became of jobs."""
    _take_over(database, records)
    for record in records:
        if record.status is not Status.DONE:
            _keep_what_was_bought(database, record)
            database.execute(
                "UPDATE attempts SET code = ? WHERE (key = ? OR job = ?) AND result = 'lost'",
                (_ANSWERED, record.key, record.id),
            )
        elif record.kind is Kind.STT and record.segments > 1:  # its transcript has them all
            database.execute("DELETE FROM segments WHERE job_key = ?", (record.key,))
        database.execute(
            "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?)",
            (
                record.id,
                record.key,
                record.status,
                record.output,
                record.error_class,
                _encoder.encode(record),
            ),
        )


def _take_over(database: sqlite3.Connection, records: Sequence[JobRecord]) -> None:
    """Write that files are these jobs' now, whoever had them before."""
    owners = {record.output: record.id for record in records if record.output}
    if not owners:
        return
    database.execute(
        """DELETE FROM jobs WHERE rowid IN
           (SELECT jobs.rowid FROM json_each(?) AS file JOIN jobs ON jobs.output = file.key
            WHERE jobs.id <> file.value)""",
        (_encoder.encode(owners).decode(),),
    )
    paths = (_list(owners),)
    database.execute("INSERT OR IGNORE INTO own_files SELECT value FROM json_each(?)", paths)
    # What stood in the files that these replace is gone with them.
    database.execute("DELETE FROM segments WHERE path IN (SELECT value FROM json_each(?))", paths)


def _list(names: Iterable[str]) -> str:
    """Write names for SQLite's `json_each`: one statement for all of them.

    A statement for each lets go of the interpreter each time, and the event loop waits for it: one for
    all saves 2 % of a job's processor time, and 3 % of its time (measured).
    """
    return _encoder.encode(list(names)).decode()


def judge(database: sqlite3.Connection, records: Sequence[JobRecord], *, is_damaged: bool) -> None:
    """Note of finished jobs whether their files are as they were, unless they were made anew since."""
    for record in records:
        judged = _encoder.encode(dataclasses.replace(record, is_damaged=is_damaged))
        # A job may have results that are set apart: which of them it is, key and place tell.
        found = database.execute(
            """SELECT rowid, record FROM jobs WHERE key = ? AND output = ? AND status = 'done'
               AND id IN (?, ? || char(31) || key)""",
            (record.key, record.output, record.id, record.id),
        ).fetchall()
        for number, content in found:
            if record_from(content) == record:
                database.execute("UPDATE jobs SET record = ? WHERE rowid = ?", (judged, number))
        database.execute(
            "DELETE FROM finished WHERE position = (SELECT position FROM rows WHERE id = ?)",
            (record.id,),
        )


def is_asked_for(database: sqlite3.Connection, record: JobRecord) -> bool:
    """Whether a row asks for this very result, there."""
    query = "SELECT count(*) FROM rows WHERE id = ? AND key = ? AND output = ?"
    return bool(database.execute(query, (record.id, record.key, record.output)).fetchone()[0])


def accept(database: sqlite3.Connection, record: JobRecord, *, kept: JobRecord) -> None:
    """Write that a suspect job is done: what was paid for it has led to something."""
    save(database, [record])
    keys = _list({kept.key, *(doubt.key for doubt in kept.doubts)})
    database.execute(
        """UPDATE attempts SET result = 'done' WHERE result = 'kept'
           AND key IN (SELECT value FROM json_each(?))""",
        (keys,),
    )


def _keep_what_was_bought(database: sqlite3.Connection, failed: JobRecord) -> None:
    """Keep the result of a job's earlier content apart: whoever undoes the edit need not buy it."""
    # No id holds a control character.
    database.execute(
        """UPDATE OR REPLACE jobs SET id = id || char(31) || key
           WHERE id = ? AND key <> ? AND status = 'done'""",
        (failed.id, failed.key),
    )


def totals(database: sqlite3.Connection) -> RunTotals:
    """Count where the manifest stands."""
    rows, done, suspect, failed, no_speech = database.execute(
        """SELECT count(*), total(jobs.status = 'done'), total(jobs.status = 'suspect'),
               total(jobs.status = 'failed'),
               total(jobs.status = 'done' AND jobs.error_class = 'no_speech')
           FROM rows LEFT JOIN jobs ON jobs.id = rows.id AND jobs.key = rows.key"""
    ).fetchone()
    errors = database.execute(
        """SELECT error_class, count(*) FROM jobs JOIN rows USING (id, key)
           WHERE status = 'failed' GROUP BY error_class ORDER BY count(*) DESC"""
    ).fetchall()
    doubts = []
    if suspect:
        doubts = database.execute(
            """SELECT json_extract(CAST(record AS TEXT), '$.doubts[0].sign'), count(*)
               FROM jobs JOIN rows USING (id, key)
               WHERE status = 'suspect' GROUP BY 1 ORDER BY count(*) DESC"""
        ).fetchall()
    failed_passing, suspect_passing = database.execute(
        """SELECT total(status = 'failed'), total(status = 'suspect')
           FROM jobs JOIN rows USING (id, key) WHERE status IN ('failed', 'suspect')
           AND json_extract(CAST(record AS TEXT), '$.is_passing')"""
    ).fetchone()
    characters, seconds, attempts, still_open, lost = database.execute(
        """SELECT total(characters), total(audio_seconds), count(*), total(ended_at IS NULL),
                  total(result = 'lost')
           FROM attempts"""
    ).fetchone()
    done_seconds = database.execute(
        """SELECT total(json_extract(CAST(record AS TEXT), '$.audio_seconds'))
           FROM jobs JOIN rows USING (id, key) WHERE status = 'done'"""
    ).fetchone()[0]
    return RunTotals(
        rows=rows,
        done=int(done),
        suspect=int(suspect),
        failed=int(failed),
        no_speech=int(no_speech),
        errors=dict(errors),
        doubts=dict(doubts),
        failed_passing=int(failed_passing),
        suspect_passing=int(suspect_passing),
        characters_sent=int(characters),
        audio_seconds_sent=float(seconds),
        audio_seconds_done=float(done_seconds),
        attempts=attempts,
        attempts_open=int(still_open),
        attempts_lost=int(lost),
    )


def sent_by_provider(
    database: sqlite3.Connection, *, is_running: bool
) -> list[tuple[str, bool, int, float]]:
    """Sum what was sent: (provider, whether it led to a result, characters, audio seconds).

    A result that is kept in doubt is one.
    """
    query = """SELECT provider, result IN ('done', 'kept') OR (? AND ended_at IS NULL),
               total(characters), total(audio_seconds) FROM attempts GROUP BY 1, 2"""
    found = database.execute(query, (is_running,))
    return [(p, bool(d), int(c), float(s)) for p, d, c, s in found]


def unsettled(database: sqlite3.Connection) -> list[tuple[str, int, int, float]]:
    """Sum the rows without an answer: (provider, rows, characters, seconds)."""
    query = """SELECT provider, count(*), sum(characters), sum(seconds) FROM rows
               WHERE provider <> '' AND NOT EXISTS (SELECT 1 FROM jobs
                   WHERE jobs.id = rows.id AND jobs.key = rows.key) GROUP BY provider"""
    return [(p, int(n), int(c), float(s)) for p, n, c, s in database.execute(query)]
