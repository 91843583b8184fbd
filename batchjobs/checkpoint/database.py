"""The SQLite file of a run folder: how it is opened and read, its transactions, and its errors as ours."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeVar

import msgspec

from batchjobs.checkpoint import schema
from batchjobs.checkpoint.lock import lock_folder
from batchjobs.errors import BatchjobsError, DiskError, DiskFullError, NoRunError, OutputError
from batchjobs.files import run_folder
from batchjobs.files.atomic import sync_folders

_T = TypeVar("_T")
_PAGE_ROWS: Final = 50
"""Four times as many made the files of a run that goes on take 1 MiB more, in 0.97 of the time (measured)."""
_CACHE_KIB: Final = 4_096
_TEMPORARY_PAGE_BYTES: Final = 32_768
"""Of a plan in the making: a million rows are written and read in 0.85 of the time of pages of 4,096 bytes."""
_ROOM_BYTES: Final = 1 << 20
"""With so much left no file of SQLite's has met the end of its disk: it writes page by page."""
_FOLDER_IS_READ_ONLY: Final = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})


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
    def open_to_write(cls, folder: Path) -> Self:
        """Open a folder's file to write it, making both if need be, and hold the folder's lock.

        Raises:
            RunLockedError: Another run holds it.
            OutputError: It cannot be made.
            DiskError: The disk failed, or the file is damaged.
        """
        lock = lock_folder(folder)
        path = folder / run_folder.CHECKPOINT
        try:
            with _translate_errors(path):
                prepare = partial(_prepare_to_write, path=path)
                connection = _connect(path.absolute().as_uri(), prepare)
        except BaseException:
            os.close(lock)
            raise
        return cls(connection, folder=folder, lock=lock)

    @classmethod
    def open_to_read(cls, folder: Path) -> Self:
        """Open a folder's file to read it, also while another process writes it.

        Raises:
            NoRunError: There is none.
            DiskError: It is damaged.
        """
        path = folder / run_folder.CHECKPOINT
        if not path.is_file():
            raise _no_run(folder)
        uri, prepare = path.absolute().as_uri(), partial(_prepare_to_read, path=path)
        with _translate_errors(path):
            try:
                connection = _connect(f"{uri}?mode=ro", prepare)
            except sqlite3.OperationalError as error:
                if _primary_code(error) not in _FOLDER_IS_READ_ONLY:
                    raise
                # SQLite cannot share memory with a writer there, and there is none.
                _check_ended(path)
                connection = _connect(f"{uri}?immutable=1", prepare)
        return cls(connection, folder=folder, lock=None)

    @classmethod
    def open_in_memory(cls, folder: Path) -> Self:
        """Stand in for a file that does not exist."""
        return cls(_connect("file::memory:", schema.create), folder=folder, lock=None)

    def replace(self, source: Path | None) -> None:
        """Go on with another file in the place of this one; the folder stays held.

        Args:
            source: The file, in the same folder; it is moved. None for an empty one.

        Raises:
            DiskError: The disk failed, or the file is damaged.
        """
        path = self.folder / run_folder.CHECKPOINT
        with self._turn, _translate_errors(path):
            self._connection.close()
            for ending in ("-wal", "-shm", ""):
                if ending or source is None:
                    path.with_name(path.name + ending).unlink(missing_ok=True)
            if source is not None:
                source.replace(path)
            sync_folders([self.folder])
            prepare = partial(_prepare_to_write, path=path)
            self._connection = _connect(path.absolute().as_uri(), prepare)

    def copy_to(self, target: Path) -> dict[str, str]:
        """Write what is committed by now into a file of its own, while others read and write.

        Args:
            target: The file; it is not there.

        Returns:
            The facts about the run that are in it.

        Raises:
            DiskError: The disk failed or is full.
        """
        path = self.folder / run_folder.CHECKPOINT
        with _translate_errors(target, gives_back=True):
            connection = _connect(f"{path.absolute().as_uri()}?mode=ro", lambda _: None)
            try:
                connection.execute("VACUUM INTO ?", (str(target),))
            finally:
                connection.close()
            connection = _connect(f"{target.absolute().as_uri()}?mode=ro", lambda _: None)
            try:
                return dict(connection.execute("SELECT name, value FROM meta").fetchall())
            finally:
                connection.close()

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

    def shrink_cache(self, kibibytes: int) -> None:
        """Hold few pages in memory: a run looks at each but once, where planning goes back and forth.

        What was held for planning made a run of 30,000 jobs 8 MB larger than one of 1,000 (measured).

        Args:
            kibibytes: How much of the file to hold at most.
        """
        with self.use() as connection:
            connection.execute(f"PRAGMA cache_size = -{kibibytes}")
            connection.execute("PRAGMA shrink_memory")

    @contextmanager
    def use(self) -> Iterator[sqlite3.Connection]:
        """Have the connection to oneself, to read, or to write temporary tables."""
        path = self.folder / run_folder.CHECKPOINT
        with self._turn, _translate_errors(path, is_read=True):
            yield self._connection

    def select(
        self,
        query: str,
        parameters: Sequence[object] | Mapping[str, object],
        make: Callable[[Sequence[object]], _T],
    ) -> list[_T]:
        """Read all rows of a query.

        Args:
            query: The query.
            parameters: Its parameters, by place or by name.
            make: Makes of a row's columns what is given.
        """
        with self.use() as connection:
            return list(map(make, connection.execute(query, parameters)))

    def select_texts(self, query: str, *parameters: object) -> set[str]:
        """Read the first column of a query's rows."""
        return set(self.select(query, parameters, lambda columns: str(columns[0])))

    def select_number(self, query: str, *parameters: object) -> int:
        """Read the one number that a query gives; 0 if that is null."""
        with self.use() as connection:
            return int(connection.execute(query, parameters).fetchone()[0] or 0)

    def stream_pages(
        self,
        query: str,
        start: tuple[object, ...],
        make: Callable[[Sequence[object]], _T],
        *,
        parameters: Sequence[object] = (),
        page_rows: int = _PAGE_ROWS,
    ) -> Iterator[list[_T]]:
        """Read the rows of a query page by page; between pages others may read and write.

        Args:
            query: Its first parameters are the first columns of the last row of the page before, by
                which its rows are sorted; then come `parameters`, and at last how many rows to give.
            start: Comes before the first columns of every row.
            make: Makes of a row's columns what is given.
            parameters: The query's others.
            page_rows: Rows of a page.
        """
        last = start
        while True:
            with self.use() as connection:
                found = connection.execute(query, (*last, *parameters, page_rows)).fetchall()
                page = list(map(make, found))
            if not found:
                return
            yield page
            last = found[-1][: len(start)]

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """See one state throughout a block, whatever another process commits meanwhile."""
        with self.use() as connection:
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
    def hold_steady(self) -> Iterator[None]:
        """Let all that is read within a block be of one state."""
        with self.use() as connection:
            connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.rollback()

    @contextmanager
    def batch(self) -> Iterator[sqlite3.Connection]:
        """Write all of a block to temporary tables, or nothing of it."""
        with self.use() as connection:
            connection.execute("SAVEPOINT batch")
            try:
                yield connection
            except BaseException:
                # Where there is no room, SQLite may have rolled all of it back itself.
                if connection.in_transaction:
                    connection.execute("ROLLBACK TO batch")
                    connection.execute("RELEASE batch")
                raise
            connection.execute("RELEASE batch")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all of a block durably, or nothing of it."""
        with self._turn, _translate_errors(self.folder / run_folder.CHECKPOINT):
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


def _connect(database: str, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    """Open a file, in autocommit mode, and prepare the connection."""
    connection = sqlite3.connect(
        database, uri=True, isolation_level=None, check_same_thread=False, timeout=10.0
    )
    try:
        # Before there is any temporary table: where they are kept is not changed without losing them.
        connection.execute("PRAGMA temp_store = FILE")
        connection.execute(f"PRAGMA temp.page_size = {_TEMPORARY_PAGE_BYTES}")
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare_to_write(connection: sqlite3.Connection, path: Path) -> None:
    is_new = schema.is_empty(connection)
    if not is_new:
        schema.check_version(connection, path, may_upgrade=True)
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: what is committed is on the disk, not in the system's memory.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    if is_new:
        schema.create(connection)
    schema.upgrade(connection)


def _prepare_to_read(connection: sqlite3.Connection, path: Path) -> None:
    if schema.is_empty(connection):  # its run was killed before there was anything in it
        raise _no_run(path.parent)
    schema.check_version(connection, path)
    schema.stand_in(connection)


def _check_ended(path: Path) -> None:
    """Refuse to look at a file without its log: what was committed last would not be seen."""
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise OutputError(
            f"the run in {path.parent} was killed, and the folder cannot be written",
            hint="copy the folder to where you may write, and look there",
        )


def _no_run(folder: Path) -> NoRunError:
    return NoRunError(
        f"there is no run in {folder}", hint="give the folder that 'batchjobs run' wrote"
    )


@contextmanager
def _translate_errors(
    path: Path, *, is_read: bool = False, gives_back: bool = False
) -> Iterator[None]:
    """Translate what SQLite says.

    Args:
        path: The file.
        is_read: Whether the file is only read: then it is temporary files that have no room. So it is
            where the file has room all the same: to index rows, SQLite sorts them in a file elsewhere.
        gives_back: Whether the file has room because SQLite has cut it by then, as it does with a copy.
    """
    try:
        yield
    except sqlite3.Error as error:
        is_full = _primary_code(error) == sqlite3.SQLITE_FULL
        if is_full and (is_read or (not gives_back and _has_room(path.parent))):
            raise DiskFullError(
                f"no space for SQLite's temporary files in {_find_temporary_folder()}",
                hint="make room there, or name another folder in TMPDIR, and run the same command again",
            ) from error
        raise _disk_error(error, path) from error
    except msgspec.DecodeError as error:
        raise _damage_error(path, error) from error


def _has_room(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free >= _ROOM_BYTES
    except OSError:
        return False


def _find_temporary_folder() -> str:
    """Find the folder that SQLite takes: https://www.sqlite.org/tempfiles.html, section 5."""
    named = [os.environ.get(name, "") for name in ("SQLITE_TMPDIR", "TMPDIR")]
    for folder in (*named, "/var/tmp", "/usr/tmp", "/tmp"):  # noqa: S108  # nothing is made there
        if folder and Path(folder).is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return "."


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
        return _damage_error(path, error)
    return DiskError(f"{path}: {error}", hint="check the disk before going on")


def _damage_error(path: Path, error: Exception) -> DiskError:
    return DiskError(
        f"{path} is damaged: {error}",
        hint="restore it from a backup; moving it away makes everything be bought again",
    )
