"""The SQLite file: its schema, its lock, its transactions, and its errors as ours."""

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import msgspec

from batchjobs.errors import (
    BatchjobsError,
    ConfigurationError,
    DiskError,
    DiskFullError,
    NoRunError,
    OutputError,
    RunLockedError,
)
from batchjobs.files.atomic import sync_folders

__all__ = ["FILE_NAME", "ROW_COLUMNS", "ROW_INDEXES", "Database", "is_locked"]

_GLANCE_SECONDS: Final = 0.05
FILE_NAME: Final = "checkpoint.sqlite3"
_SCHEMA_VERSION: Final = 4
_CACHE_KIB: Final = 8_192
_SMALL_CACHE_KIB: Final = 1_024
_FOLDER_IS_READ_ONLY: Final = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})

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
}
"""What brings a file of each earlier version to the next one."""
_READABLE: Final = frozenset({3, _SCHEMA_VERSION})
"""Versions that can be looked at as they are: their tables are the same, but for an index."""
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
    audio_seconds REAL NOT NULL DEFAULT 0
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
PRAGMA user_version = {_SCHEMA_VERSION};
"""


class Database:
    """One connection, used by one thread at a time, whose errors are ours.

    Args:
        connection: In autocommit mode.
        folder: The run folder.
        lock: Descriptor that holds the folder's lock; None if it is not held.
    """

    def __init__(self, connection: sqlite3.Connection, *, folder: Path, lock: int | None) -> None:
        self.folder = folder
        self._connection = connection
        self._lock = lock
        self._turn = threading.Lock()

    @classmethod
    def held(cls, folder: Path) -> Self:
        """Open a folder's file to write it, making both if need be, and hold the folder's lock.

        Raises:
            RunLockedError: Another run holds it.
            OutputError: It cannot be made.
            DiskError: The disk failed, or the file is damaged.
        """
        lock = _locked(folder)
        path = folder / FILE_NAME
        try:
            with _translated(path):
                connection = _connect(path)
        except BaseException:
            os.close(lock)
            raise
        return cls(connection, folder=folder, lock=lock)

    @classmethod
    def looked_at(cls, folder: Path) -> Self:
        """Open a folder's file to read it, also while another process writes it.

        Raises:
            NoRunError: There is none.
            DiskError: It is damaged.
        """
        path = folder / FILE_NAME
        if not path.is_file():
            raise _no_run(folder)
        with _translated(path):
            try:
                connection = _connect_read_only(path, "mode=ro")
            except sqlite3.OperationalError as error:
                if _primary_code(error) not in _FOLDER_IS_READ_ONLY:
                    raise
                # SQLite cannot share memory with a writer there, and there is none.
                _check_ended(path)
                connection = _connect_read_only(path, "immutable=1")
        return cls(connection, folder=folder, lock=None)

    @classmethod
    def in_memory(cls, folder: Path) -> Self:
        """Stand in for a file that does not exist."""
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.executescript(_SCHEMA)
        return cls(connection, folder=folder, lock=None)

    @property
    def is_held(self) -> bool:
        """Whether the folder is ours to write in."""
        return self._lock is not None

    def close(self) -> None:
        """Close the file and let go of the folder."""
        self._connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def keep_little(self) -> None:
        """Hold few pages in memory: a run looks at each but once, where planning goes back and forth.

        What was held for planning made a run of 30,000 jobs 8 MB larger than one of 1,000 (measured).
        """
        with self.reading() as connection:
            connection.execute(f"PRAGMA cache_size = -{_SMALL_CACHE_KIB}")
            connection.execute("PRAGMA shrink_memory")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Have the connection to oneself."""
        with self._turn, _translated(self.folder / FILE_NAME):
            yield self._connection

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """See one state throughout a block, whatever another process commits meanwhile."""
        with self.reading() as connection:
            is_steady = connection.in_transaction
            if is_steady:
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def steady(self) -> Iterator[None]:
        """Let all that is read within a block be of one state."""
        with self.reading() as connection:
            connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.rollback()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all of a block durably, or nothing of it."""
        with self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


def _take(lock: int) -> None:
    """Take the folder's lock; `is_locked`, which may just look, holds it for microseconds.

    Raises:
        BlockingIOError: Another run has it.
        OSError: There are no locks here.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(_GLANCE_SECONDS)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_locked(folder: Path) -> bool:
    """Tell whether another process, or another checkpoint of this one, holds a folder."""
    try:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(place, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks: no run would begin there
        return False
    finally:
        os.close(place)
    return False


def _locked(folder: Path) -> int:
    """Make a folder and lock it; the lock dies with the process."""
    try:
        made = [place.parent for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        sync_folders(made)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise OutputError(
            f"cannot use {folder}: {os.strerror(error.errno or 0)}", hint="choose another --output"
        ) from error
    try:
        _take(lock)
    except BlockingIOError as error:
        os.close(lock)
        raise RunLockedError(
            f"another run is going on in {folder}",
            hint="wait for it, stop it, or choose another --output",
        ) from error
    except OSError as error:
        os.close(lock)
        raise OutputError(
            f"cannot lock {folder}: {os.strerror(error.errno or 0)}",
            hint="choose an --output on a disk of this machine",
        ) from error
    return lock


def _connect(path: Path) -> sqlite3.Connection:
    """Open a file to write it, making it if it is not there."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    try:
        is_new = _is_new(connection)
        if not is_new and _version(connection) not in _EARLIER:
            _check_version(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL: a commit that was told is on the disk, not in the system's memory.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        if is_new:
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        while (version := _version(connection)) in _EARLIER:
            step = f"{_EARLIER[version]} PRAGMA user_version = {version + 1};"
            connection.executescript(f"BEGIN IMMEDIATE; {step} COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_read_only(path: Path, mode: str) -> sqlite3.Connection:
    """Open a file that must be there, and write nothing to it."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=10.0,
    )
    try:
        _check_begun(connection, path)
        _check_version(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_ended(path: Path) -> None:
    """Refuse to look at a file without its log: what was committed last would not be seen."""
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise OutputError(
            f"the run in {path.parent} was killed, and the folder cannot be written",
            hint="copy the folder to where you may write, and look there",
        )


def _is_new(connection: sqlite3.Connection) -> bool:
    return not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()


def _no_run(folder: Path) -> NoRunError:
    return NoRunError(
        f"there is no run in {folder}", hint="give the folder that 'batchjobs run' wrote"
    )


def _check_begun(connection: sqlite3.Connection, path: Path) -> None:
    if _is_new(connection):  # its run was killed before there was anything in it
        raise _no_run(path.parent)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection)
    if version in _READABLE:
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


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _disk_error(error, path) from error
    except msgspec.DecodeError as error:
        raise _damaged(path, error) from error


def _primary_code(error: sqlite3.Error) -> int | None:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _disk_error(error: sqlite3.Error, path: Path) -> BatchjobsError:
    primary = _primary_code(error)
    if primary == sqlite3.SQLITE_FULL:
        return DiskFullError(
            f"no space for {path}", hint="make room and run the same command again"
        )
    if primary in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        return OutputError(f"cannot write {path}: {error}", hint="choose another --output")
    if primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return _damaged(path, error)
    return DiskError(f"{path}: {error}", hint="check the disk before going on")


def _damaged(path: Path, error: Exception) -> DiskError:
    return DiskError(
        f"{path} is damaged: {error}",
        hint="restore it from a backup; moving it away makes everything be bought again",
    )
