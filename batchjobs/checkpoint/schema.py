"""The checkpoint's tables and indexes, and the steps that bring an earlier version's file to them."""

import itertools
import sqlite3
from pathlib import Path
from typing import Final

from batchjobs.audio.formats import LOSSY_ENDINGS
from batchjobs.errors import ConfigurationError

_SCHEMA_VERSION: Final = 9
ROW_COLUMNS: Final = """(
    position INTEGER PRIMARY KEY,
    line INTEGER NOT NULL,
    id TEXT NOT NULL,
    place TEXT,
    key TEXT NOT NULL,
    action TEXT NOT NULL,
    kind TEXT NOT NULL,
    provider TEXT NOT NULL,
    characters INTEGER NOT NULL,
    seconds REAL NOT NULL,
    output TEXT NOT NULL,
    job BLOB NOT NULL,
    segments INTEGER NOT NULL DEFAULT 1,
    layout TEXT NOT NULL DEFAULT ''
)"""
ROW_INDEXES: Final = """
CREATE UNIQUE INDEX rows_id ON rows (id);
CREATE UNIQUE INDEX rows_place ON rows (place);
CREATE INDEX rows_key ON rows (key);
"""
"""Apart from the table: a million rows are indexed three times as fast once they are all there."""
IS_LOSSY: Final = f"lower(substr(output, -4)) IN {LOSSY_ENDINGS}"
"""Whether an output gives back other samples than it was given."""
_JOBS: Final = """
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    status TEXT NOT NULL,
    output TEXT NOT NULL,
    error_class TEXT NOT NULL,
    record BLOB NOT NULL
);
CREATE INDEX jobs_key ON jobs (key, status);
CREATE INDEX jobs_output ON jobs (output);
"""
"""With row numbers of their own: without, a record of a kilobyte takes a page of four for itself."""
_SUSPECTS: Final = "CREATE INDEX jobs_suspect ON jobs (id) WHERE status = 'suspect';"
"""There are few, and they are asked for by themselves."""
_SEGMENTS: Final = """
CREATE TABLE segments (
    key TEXT NOT NULL,
    path TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    first_frame INTEGER NOT NULL,
    job_key TEXT NOT NULL,
    seconds REAL NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (key, path, bytes, first_frame)
) WITHOUT ROWID;
CREATE INDEX segments_path ON segments (path);
CREATE INDEX segments_job ON segments (job_key);
CREATE INDEX attempts_lost ON attempts (key, job) WHERE result = 'lost';
"""
_FINISHED: Final = """
CREATE TABLE finished (
    position INTEGER NOT NULL,
    path TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    modified_ns INTEGER,
    PRIMARY KEY (position, path)
) WITHOUT ROWID;
"""
"""The files of finished rows; those with a time are recordings that were read for them."""
_CHECKS: Final = """
CREATE TABLE checks (
    id TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    take INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    badness REAL NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (id, sha256)
);
"""
"""What a check found of finished results, by row and file."""
_REVIEWS: Final = """
CREATE TABLE reviews (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    decision TEXT NOT NULL,
    note TEXT NOT NULL,
    decided_at REAL NOT NULL
) WITHOUT ROWID;
"""
"""What somebody who listened has decided about each row: the latest decision."""
_TRACKS: Final = """
CREATE TABLE IF NOT EXISTS tracks (
    path TEXT PRIMARY KEY,
    heard INTEGER NOT NULL,
    tracks INTEGER NOT NULL
) WITHOUT ROWID;
"""
"""Of recordings in `sources` that have several audio tracks: which one is heard, and how many there are."""
_SHAPES: Final = """
CREATE TABLE shapes (
    path TEXT NOT NULL,
    track INTEGER NOT NULL,
    seconds REAL NOT NULL,
    channels INTEGER NOT NULL,
    PRIMARY KEY (path, track)
) WITHOUT ROWID;
"""
"""Of recordings in `sources` of which not all is heard: how long each track is, and its channels."""
_RECEIPTS: Final = """
CREATE TABLE receipts (
    attempt INTEGER PRIMARY KEY,
    audio_seconds REAL NOT NULL
) WITHOUT ROWID;
"""
"""How much audio a service said that it billed, of the attempts where it says so."""
_LOUDNESS: Final = """
CREATE TABLE loudness (
    path TEXT PRIMARY KEY,
    bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    method INTEGER NOT NULL,
    peak REAL NOT NULL,
    peak_seconds REAL NOT NULL,
    counts BLOB NOT NULL
);
"""
"""How loud finished files are, so that a book that is bound again is not measured again."""
_GROUPS: Final = """
CREATE TABLE parts (
    position INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    part INTEGER NOT NULL
);
CREATE INDEX parts_name ON parts (name, part, position);
CREATE TABLE groups (
    output TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    is_asked INTEGER NOT NULL,
    record BLOB
) WITHOUT ROWID;
"""
"""Rows that are parts of groups, and the transcripts of these; those not asked are of manifests before."""
_ACCOUNTS: Final = "ALTER TABLE attempts ADD COLUMN account TEXT NOT NULL DEFAULT '';"
"""With which of a provider's accounts each attempt was made."""
_NO_ACCOUNTS: Final = "CREATE TEMP VIEW attempts AS SELECT *, '' AS account FROM main.attempts;"
_EARLIER: Final = {
    1: f"""ALTER TABLE rows ADD COLUMN segments INTEGER NOT NULL DEFAULT 1;
           ALTER TABLE rows ADD COLUMN layout TEXT NOT NULL DEFAULT '';
           {_SEGMENTS}""",
    2: f"""ALTER TABLE rows RENAME TO rows_before;
           DROP INDEX rows_key;
           CREATE TABLE rows {ROW_COLUMNS};
           INSERT INTO rows SELECT * FROM rows_before;
           DROP TABLE rows_before;
           {ROW_INDEXES}
           ALTER TABLE jobs RENAME TO jobs_before;
           DROP INDEX jobs_key;
           DROP INDEX jobs_output;
           {_JOBS}
           INSERT INTO jobs SELECT * FROM jobs_before;
           DROP TABLE jobs_before;
           {_FINISHED}""",
    3: _SUSPECTS,  # jobs may be suspect, which an earlier program does not know
    4: _CHECKS + _REVIEWS + _TRACKS + _LOUDNESS,
    5: _GROUPS,
    6: _SHAPES,
    7: _RECEIPTS,
    8: _ACCOUNTS,
}
"""What brings a file of each earlier version to the next one."""
_READABLE: Final = frozenset({3, 4, 5, 6, 7, 8, _SCHEMA_VERSION})
"""Versions that can be looked at as they are: what a later one has more is empty in them."""
_SINCE: Final = {
    4: (_CHECKS, _REVIEWS, _TRACKS, _LOUDNESS),
    5: (_GROUPS,),
    6: (_SHAPES,),
    7: (_RECEIPTS,),
    8: (_NO_ACCOUNTS,),
}
"""The tables, and columns, that files up to each of these versions lack."""
_SCHEMA: Final = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rows {ROW_COLUMNS};
{ROW_INDEXES}
{_JOBS}
{_SUSPECTS}
CREATE TABLE attempts (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    job TEXT NOT NULL,
    provider TEXT NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL,
    result TEXT NOT NULL DEFAULT '',
    code TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT '',
    characters INTEGER NOT NULL DEFAULT 0,
    audio_seconds REAL NOT NULL DEFAULT 0,
    account TEXT NOT NULL DEFAULT ''
);
CREATE INDEX attempts_key ON attempts (key);
CREATE INDEX attempts_open ON attempts (number) WHERE ended_at IS NULL;
CREATE TABLE own_files (path TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE sources (
    path TEXT PRIMARY KEY,
    bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    seconds REAL NOT NULL
) WITHOUT ROWID;
{_SEGMENTS}
{_FINISHED}
{_CHECKS}
{_REVIEWS}
{_TRACKS}
{_LOUDNESS}
{_GROUPS}
{_SHAPES}
{_RECEIPTS}
PRAGMA user_version = {_SCHEMA_VERSION};
"""


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether a file has no tables yet."""
    return not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()


def create(connection: sqlite3.Connection) -> None:
    """Make the tables, all or none of them."""
    connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")


def upgrade(connection: sqlite3.Connection) -> None:
    """Bring an earlier version's file to this one, step by step; each step is made whole or not at all."""
    while (version := _version(connection)) in _EARLIER:
        step = f"{_EARLIER[version]} PRAGMA user_version = {version + 1};"
        connection.executescript(f"BEGIN IMMEDIATE; {step} COMMIT;")


def stand_in(connection: sqlite3.Connection) -> None:
    """Put empty tables beside an earlier version's file that is only looked at: in memory, not in it."""
    version = _version(connection)
    for tables in itertools.chain(
        *(lacking for last, lacking in _SINCE.items() if version <= last)
    ):
        statements = tables.replace("CREATE TABLE", "CREATE TEMP TABLE")
        connection.executescript(statements.replace("CREATE INDEX ", "CREATE INDEX temp."))


def check_version(connection: sqlite3.Connection, path: Path, *, may_upgrade: bool = False) -> None:
    """Refuse a file of another version.

    Args:
        connection: To the file.
        path: The file's, for messages.
        may_upgrade: Whether an earlier version is fine, too.

    Raises:
        ConfigurationError: It is of another version.
    """
    version = _version(connection)
    if version in _READABLE or (may_upgrade and version in _EARLIER):
        return
    if version in _EARLIER:
        raise ConfigurationError(
            f"{path} was written by an earlier version of batchjobs",
            hint="run its manifest once more: what is done stays done",
        )
    raise ConfigurationError(
        f"{path} was written by another version of batchjobs (schema {version})",
        hint="use that version, or choose another --output",
    )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
