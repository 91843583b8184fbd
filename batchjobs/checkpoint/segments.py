"""Finished segments of long jobs: where each one's samples are, or what it says."""

import dataclasses
import json
import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from batchjobs.checkpoint import ledger
from batchjobs.checkpoint.records import SegmentChanges, SegmentRecord

__all__ = ["accept", "files", "find", "held_seconds", "write"]

_decoder = msgspec.json.Decoder(SegmentRecord)
_encoder = msgspec.json.Encoder()


def find(database: sqlite3.Connection, keys: Sequence[str]) -> dict[str, list[SegmentRecord]]:
    """Look up segments by key: the places where each may be, those in files of their own first."""
    query = """SELECT record FROM segments WHERE key IN (SELECT value FROM json_each(?))
               ORDER BY path LIKE 'segments/%' DESC, path, first_frame"""
    found: dict[str, list[SegmentRecord]] = {}
    for (content,) in database.execute(query, (json.dumps(list(keys)),)):
        record = _decoder.decode(content)
        found.setdefault(record.key, []).append(record)
    return found


def held_seconds(database: sqlite3.Connection, job_key: str, *, rebuys_doubted: bool) -> float:
    """Sum the audio of a recording's segments that are transcribed, and need not be again."""
    query = "SELECT record FROM segments WHERE job_key = ? AND path = ''"
    found = (_decoder.decode(content) for (content,) in database.execute(query, (job_key,)))
    return sum(
        record.audio_seconds
        for record in found
        if not record.is_wanted_again(rebuys_doubted=rebuys_doubted)
    )


def files(database: sqlite3.Connection) -> set[str]:
    """Give the files that hold segments and nothing else."""
    query = "SELECT DISTINCT path FROM segments WHERE path LIKE 'segments/%'"
    return {row[0] for row in database.execute(query)}


def write(database: sqlite3.Connection, changes: SegmentChanges) -> None:
    """Write what became of segments; after the records of the jobs that they were put into."""
    if changes.assembling:
        # Between the file's rename and the job's commit a kill may strike: then the segments are
        # found in the old file or in the new one, whichever is there.
        ledger.expect(database, [changes.assembling])
    bought = (changes.bought,) if changes.bought is not None else ()
    _put(database, (*bought, *changes.homes))
    database.executemany(
        """UPDATE rows SET characters = max(0, characters - ?), seconds = max(0, seconds - ?),
           segments = max(1, segments - 1) WHERE id = ?""",
        [(changes.characters, changes.seconds, job) for job in changes.jobs],
    )
    database.executemany(
        "DELETE FROM segments WHERE path = ?", [(path,) for path in changes.left_files]
    )
    database.executemany(
        "INSERT OR IGNORE INTO own_files VALUES (?)", [(path,) for path in changes.expected]
    )


def accept(
    database: sqlite3.Connection, *, keys: Sequence[str], moved: Mapping[str, tuple[str, int]]
) -> None:
    """Doubt segments no more, and say where those are whose file is another now.

    Args:
        database: The checkpoint.
        keys: Of the segments that were in doubt.
        moved: For the old path of a job's file, its new path and size in bytes.
    """
    names = json.dumps(list(keys))
    paths = json.dumps(list(moved))
    found = database.execute(
        """SELECT record FROM segments WHERE key IN (SELECT value FROM json_each(?))
           OR path IN (SELECT value FROM json_each(?))""",
        (names, paths),
    ).fetchall()
    for (content,) in found:
        old = _decoder.decode(content)
        path, size = moved.get(old.path, (old.path, old.bytes))
        doubts = () if old.key in keys else old.doubts
        new = dataclasses.replace(old, path=path, bytes=size, doubts=doubts, is_passing=False)
        database.execute(
            "DELETE FROM segments WHERE key = ? AND path = ? AND bytes = ? AND first_frame = ?",
            (old.key, old.path, old.bytes, old.first_frame),
        )
        _put(database, [new])


def _put(database: sqlite3.Connection, records: Sequence[SegmentRecord]) -> None:
    database.executemany(
        "INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (s.key, s.path, s.bytes, s.first_frame, s.job_key, s.audio_seconds, _encoder.encode(s))
            for s in records
        ],
    )
