"""Finished segments of long jobs: where each one's samples are, or what it says."""

import dataclasses
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from batchjobs.checkpoint.database import Database
from batchjobs.checkpoint.records import SegmentChanges, SegmentRecord, read_segment, to_json
from batchjobs.files import run_folder

_VALUES: Final = attrgetter("key", "path", "bytes", "first_frame", "job_key", "audio_seconds")
_HAS_OWN_FILE: Final = f"path LIKE '{run_folder.SEGMENTS}/%'"


@dataclass
class Segments:
    """Looks up segments."""

    _database: Database

    def find(self, keys: Sequence[str]) -> dict[str, list[SegmentRecord]]:
        """Find by key the places where each segment may be, those in files of their own first."""
        query = f"""SELECT record FROM segments WHERE key IN (SELECT value FROM json_each(?))
                    ORDER BY {_HAS_OWN_FILE} DESC, path, first_frame"""
        found: dict[str, list[SegmentRecord]] = {}
        for record in self._database.select(query, (json.dumps(list(keys)),), _read_first):
            found.setdefault(record.key, []).append(record)
        return found

    def find_own_files(self) -> set[str]:
        """Find the files that hold one segment each and nothing else."""
        query = f"SELECT DISTINCT path FROM segments WHERE {_HAS_OWN_FILE}"
        return self._database.select_texts(query)

    def sum_transcribed_seconds(self, job_key: str, *, rebuys_doubted: bool = False) -> float:
        """Sum the audio of a long recording's segments that are not to be bought again.

        Args:
            job_key: The recording's.
            rebuys_doubted: Those in doubt are, even if their attempts are used up.
        """
        query = "SELECT record FROM segments WHERE job_key = ? AND path = ''"
        return sum(
            record.audio_seconds
            for record in self._database.select(query, (job_key,), _read_first)
            if not record.is_wanted_again(rebuys_doubted=rebuys_doubted)
        )


def write(connection: sqlite3.Connection, changes: SegmentChanges) -> None:
    """Write what became of segments; after the records of the jobs that they were put into."""
    bought = (changes.bought,) if changes.bought is not None else ()
    _write_records(connection, (*bought, *changes.homes))
    connection.executemany(
        """UPDATE rows SET characters = max(0, characters - ?), seconds = max(0, seconds - ?),
           segments = max(1, segments - 1) WHERE id = ?""",
        [(changes.characters, changes.seconds, job) for job in changes.jobs],
    )
    connection.executemany(
        "DELETE FROM segments WHERE path = ?", [(path,) for path in changes.left_files]
    )
    connection.executemany(
        "INSERT OR IGNORE INTO own_files VALUES (?)", [(path,) for path in changes.expected]
    )


def accept(
    connection: sqlite3.Connection, *, keys: Sequence[str], moved: Mapping[str, tuple[str, int]]
) -> None:
    """Doubt segments no more, and say where those are whose file is another now.

    Args:
        connection: The checkpoint.
        keys: Of the segments that were in doubt.
        moved: For the old path of a job's file, its new path and size in bytes.
    """
    names = json.dumps(list(keys))
    paths = json.dumps(list(moved))
    found = connection.execute(
        """SELECT record FROM segments WHERE key IN (SELECT value FROM json_each(?))
           OR path IN (SELECT value FROM json_each(?))""",
        (names, paths),
    ).fetchall()
    for (content,) in found:
        old = read_segment(content)
        path, size = moved.get(old.path, (old.path, old.bytes))
        doubts = () if old.key in keys else old.doubts
        new = dataclasses.replace(old, path=path, bytes=size, doubts=doubts, is_passing=False)
        connection.execute(
            "DELETE FROM segments WHERE key = ? AND path = ? AND bytes = ? AND first_frame = ?",
            (old.key, old.path, old.bytes, old.first_frame),
        )
        _write_records(connection, [new])


def forget(connection: sqlite3.Connection, *, job_key: str, path: str) -> None:
    """Forget the segments of a job that was rejected, wherever else they stand: they are bought again.

    Args:
        connection: The checkpoint.
        job_key: The job's.
        path: Its file.
    """
    connection.execute(
        """DELETE FROM segments WHERE key IN
           (SELECT key FROM segments WHERE job_key = ? OR path = ?)""",
        (job_key, path),
    )


def _write_records(connection: sqlite3.Connection, records: Sequence[SegmentRecord]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(*_VALUES(record), to_json(record)) for record in records],
    )


def _read_first(columns: Sequence[object]) -> SegmentRecord:
    return read_segment(columns[0])
