"""Finished segments of long jobs: where each one's samples are, or what it says."""

import json
import sqlite3
from collections.abc import Sequence

import msgspec

from batchjobs.checkpoint import ledger
from batchjobs.checkpoint.records import SegmentChanges, SegmentRecord

__all__ = ["files", "find", "held_seconds", "write"]

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


def held_seconds(database: sqlite3.Connection, job_key: str) -> float:
    """Sum the audio of a recording's segments that are transcribed."""
    query = "SELECT total(seconds) FROM segments WHERE job_key = ? AND path = ''"
    return float(database.execute(query, (job_key,)).fetchone()[0])


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
    database.executemany(
        "INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (s.key, s.path, s.bytes, s.first_frame, s.job_key, s.audio_seconds, _encoder.encode(s))
            for s in (*bought, *changes.homes)
        ],
    )
    database.executemany(
        """UPDATE rows SET characters = max(0, characters - ?), seconds = max(0, seconds - ?),
           segments = max(1, segments - 1) WHERE id = ?""",
        [(changes.characters, changes.seconds, job) for job in changes.jobs],
    )
    database.executemany(
        "DELETE FROM segments WHERE path = ?", [(path,) for path in changes.left_files]
    )
