"""How loud finished files are: measured once, kept beside the jobs, and read by what binds them."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

import msgspec

from batchjobs.checkpoint.database import Database

_NAMES: Final = ("path", "bytes", "modified_ns", "method", "peak", "peak_seconds", "counts")
_VALUES: Final = attrgetter(*_NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoudnessRecord:
    """What a meter has heard of a file, which it is as long as its size and time are these.

    Attributes:
        path: The file's, below the run folder.
        counts: How many blocks of 400 ms there are of each loudness.
        bytes: Its size.
        modified_ns: When it was written, in nanoseconds.
        method: The version of the meter; what another one has heard is not the same.
        peak: The highest true peak, 1.0 for full scale.
        peak_seconds: Where that is.
    """

    path: str
    counts: bytes
    bytes: int
    modified_ns: int
    method: int
    peak: float
    peak_seconds: float


@dataclass
class LoudnessRecords:
    """Reads what was measured."""

    _database: Database

    def find_all(self) -> dict[str, LoudnessRecord]:
        """Find what is known of files, by path."""
        query = f"SELECT {', '.join(_NAMES)} FROM loudness"
        return {each.path: each for each in self._database.select(query, (), _read_record)}


def write(connection: sqlite3.Connection, records: Sequence[LoudnessRecord]) -> None:
    """Write what was measured, each in the place of what was measured of its path before."""
    connection.executemany(
        "INSERT OR REPLACE INTO loudness VALUES (?, ?, ?, ?, ?, ?, ?)", map(_VALUES, records)
    )


def _read_record(columns: Sequence[object]) -> LoudnessRecord:
    return msgspec.convert(dict(zip(_NAMES, columns, strict=True)), LoudnessRecord)
