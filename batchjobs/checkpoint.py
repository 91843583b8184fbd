"""The one truth about what is done: an SQLite file in the run folder, its lock, its ledger of attempts."""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
from batchjobs.jobs import Evidence, Kind, Status

__all__ = [
    "FILE_NAME",
    "AttemptEnd",
    "AttemptStart",
    "Checkpoint",
    "FileRecord",
    "JobRecord",
    "Row",
    "RunTotals",
    "SourceRecord",
]

FILE_NAME: Final = "checkpoint.sqlite3"
_SCHEMA_VERSION: Final = 1
_CACHE_KIB: Final = 8_192
_PAGE_ROWS: Final = 500
LOST: Final = "lost"
"""Result of an attempt whose process died before it could tell."""

_ROW_COLUMNS: Final = """(
    position INTEGER PRIMARY KEY,
    line INTEGER NOT NULL,
    id TEXT NOT NULL UNIQUE,
    place TEXT UNIQUE,
    key TEXT NOT NULL,
    action TEXT NOT NULL,
    kind TEXT NOT NULL,
    provider TEXT NOT NULL,
    characters INTEGER NOT NULL,
    seconds REAL NOT NULL,
    output TEXT NOT NULL,
    job BLOB NOT NULL
)"""
_SCHEMA: Final = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rows {_ROW_COLUMNS};
CREATE INDEX rows_key ON rows (key);
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    status TEXT NOT NULL,
    output TEXT NOT NULL,
    error_class TEXT NOT NULL,
    record BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX jobs_key ON jobs (key);
CREATE INDEX jobs_output ON jobs (output);
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
CREATE TABLE sources (
    path TEXT PRIMARY KEY,
    bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    seconds REAL NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = {_SCHEMA_VERSION};
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """A file of a finished job: its path below the run folder, size and SHA-256."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """What is known of a job that has been tried.

    Attributes:
        id: The job's id.
        key: The key of what was asked.
        kind: Text to speech or speech to text.
        status: Done or failed.
        output: The main result's path below the run folder; empty if it failed.
        files: Every file of the result, the main one first.
        provider: Who did it.
        attempts: Sessions begun for it, throttled ones left out.
        sample_rate: Of the audio made, in hertz.
        frames: Of the audio made.
        pcm_sha256: Of the samples the service sent.
        audio_seconds: Of the audio made, or of the recording transcribed.
        text: The transcript.
        evidence: Why it counts as complete.
        cost: Of all its attempts, in the provider's currency.
        copied_from: The job whose result this is a copy of, if it was not bought for this one.
        error_class: Of the failure.
        error_code: The service's code, if it gave one.
        error_message: What happened.
        is_passing: Whether the failure's reason may pass, so that the next run tries again.
        started_at: Unix time of the first attempt.
        finished_at: Unix time of the outcome.
    """

    id: str
    key: str
    kind: Kind
    status: Status
    output: str = ""
    files: tuple[FileRecord, ...] = ()
    provider: str = ""
    attempts: int = 0
    sample_rate: int = 0
    frames: int = 0
    pcm_sha256: str = ""
    audio_seconds: float = 0.0
    text: str = ""
    evidence: Evidence | None = None
    cost: float = 0.0
    copied_from: str = ""
    error_class: str = ""
    error_code: str = ""
    error_message: str = ""
    is_passing: bool = False
    started_at: float = 0.0
    finished_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the manifest as planned.

    Attributes:
        position: Its place among the rows, from 1.
        line: The manifest's line on which it starts.
        id: The job's id.
        place: The output path as file systems that ignore case see it; None for a bad row.
        key: The key of what is asked; empty for a bad row.
        action: What the run is to do about it.
        kind: The job's kind; empty for a bad row.
        provider: The provider's name; empty for a bad row.
        characters: Characters to send.
        seconds: Seconds of audio to send.
        output: The main result's path below the run folder.
        job: The encoded job, or bad row.
    """

    position: int
    line: int
    id: str
    place: str | None
    key: str
    action: str
    kind: str
    provider: str
    characters: int
    seconds: float
    output: str
    job: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStart:
    """An attempt about to begin; on disk before its session opens."""

    key: str
    job: str
    provider: str
    started_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnd:
    """How an attempt ended, and what was sent in it: what a service may bill."""

    number: int
    ended_at: float
    result: str
    code: str = ""
    message: str = ""
    characters: int = 0
    audio_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecord:
    """A recording as it was when last read: unchanged size and time spare reading it again."""

    path: str
    bytes: int
    modified_ns: int
    sha256: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTotals:
    """Where a run's current manifest stands.

    Attributes:
        rows: Rows of the manifest.
        done: Rows whose result is there.
        failed: Rows that failed.
        no_speech: Rows done whose recording held no speech.
        errors: Failed rows by class.
        characters_sent: Characters sent over all attempts of all runs in this folder.
        audio_seconds_sent: Seconds of audio sent over all attempts.
        audio_seconds_done: Seconds of audio made or transcribed.
        attempts: Sessions begun.
        attempts_lost: Sessions lost to a killed process.
    """

    rows: int
    done: int
    failed: int
    no_speech: int
    errors: Mapping[str, int]
    characters_sent: int
    audio_seconds_sent: float
    audio_seconds_done: float
    attempts: int
    attempts_lost: int

    @property
    def not_run(self) -> int:
        """Rows that have no answer yet."""
        return self.rows - self.done - self.failed


_record_decoder = msgspec.json.Decoder(JobRecord)
_record_encoder = msgspec.json.Encoder()


class Checkpoint:
    """One run folder's state. Use `open` to run, `read` to look, `none` where there is no run yet.

    Its methods block, and may be called from any one thread at a time.
    """

    def __init__(self, database: sqlite3.Connection, *, folder: Path, lock: int | None) -> None:
        self._database = database
        self._folder = folder
        self._lock = lock
        self._turn = threading.Lock()

    # -- opening --------------------------------------------------------------------------------

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a run folder to run in it, making it if need be; holds it until `close`.

        Raises:
            RunLockedError: Another run holds it.
            OutputError: It cannot be made.
            DiskError: The disk failed, or the checkpoint is damaged.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise OutputError(
                f"cannot use {folder}: {os.strerror(error.errno or 0)}", hint="choose another --output"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise RunLockedError(
                f"another run is going on in {folder}",
                hint="wait for it, stop it, or choose another --output",
            ) from error
        except BaseException:
            os.close(lock)
            raise
        path = folder / FILE_NAME
        try:
            with _translated(path):
                database = _connect(path)
                _prepare(database, path)
        except BaseException:
            os.close(lock)
            raise
        return cls(database, folder=folder, lock=lock)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Open a run folder to look at it, also while a run goes on.

        Raises:
            NoRunError: There is no run in the folder.
            DiskError: The checkpoint is damaged.
        """
        path = folder / FILE_NAME
        if not path.is_file():
            raise NoRunError(
                f"there is no run in {folder}", hint="give the folder that 'batchjobs run' wrote"
            )
        with _translated(path):
            try:
                database = _connect_read_only(path, "mode=ro")
                version = database.execute("PRAGMA user_version").fetchone()[0]
            except sqlite3.OperationalError:
                # A folder that may not be written: SQLite cannot share memory with a writer there,
                # and there is none.
                database = _connect_read_only(path, "immutable=1")
                version = database.execute("PRAGMA user_version").fetchone()[0]
        _check_version(version, path)
        return cls(database, folder=folder, lock=None)

    @classmethod
    def none(cls, folder: Path) -> Self:
        """Stand in for a run that does not exist yet: nothing is on disk, nothing will be."""
        database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        database.executescript(_SCHEMA)
        return cls(database, folder=folder, lock=None)

    def close(self) -> None:
        """Close the file and let go of the folder."""
        self._database.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        """Close at the end of a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self._folder

    # -- planning -------------------------------------------------------------------------------

    def begin_staging(self) -> None:
        """Start a new plan, apart from the rows of the last run until `adopt_staged`."""
        with self._reading() as database:
            database.execute("PRAGMA temp_store = FILE")
            database.execute("DROP TABLE IF EXISTS temp.staged")
            database.execute(f"CREATE TEMP TABLE staged {_ROW_COLUMNS}")
            database.execute("CREATE INDEX temp.staged_key ON staged (key, position)")

    def stage(self, rows: Sequence[Row]) -> list[tuple[Row, Row]]:
        """Add planned rows.

        Returns:
            The rows that were not added, each with the row that has its id or its place already.
        """
        statement = f"INSERT INTO temp.staged VALUES ({','.join('?' * 12)})"
        refused: list[tuple[Row, Row]] = []
        with self._reading() as database:
            database.execute("SAVEPOINT batch")
            try:
                database.executemany(statement, map(_row_values, rows))
            except sqlite3.IntegrityError:
                database.execute("ROLLBACK TO batch")
                for row in rows:
                    try:
                        database.execute(statement, _row_values(row))
                    except sqlite3.IntegrityError:
                        refused.append((row, self._holder(row)))
            database.execute("RELEASE batch")
        return refused

    def _holder(self, row: Row) -> Row:
        query = "SELECT * FROM temp.staged WHERE id = ? OR place = ? ORDER BY id = ? DESC LIMIT 1"
        found = self._database.execute(query, (row.id, row.place, row.id)).fetchone()
        return _row(found)

    def mark_followers(self, to_buy: Iterable[str], follow: str) -> None:
        """Turn staged rows that ask the same as an earlier one that will be bought into followers.

        Args:
            to_buy: The actions that mean a purchase.
            follow: The action of a follower.
        """
        names = tuple(to_buy)
        marks = ",".join("?" * len(names))
        with self._reading() as database:
            database.execute(
                f"""UPDATE temp.staged SET action = ? WHERE action IN ({marks}) AND EXISTS (
                    SELECT 1 FROM temp.staged AS first WHERE first.key = staged.key
                    AND first.position < staged.position AND first.action IN ({marks}))""",
                (follow, *names, *names),
            )

    def drop_staged_beyond(self, actions: Iterable[str], limit: int) -> None:
        """Leave only the first `limit` staged rows with these actions to do; the rest wait."""
        names = tuple(actions)
        marks = ",".join("?" * len(names))
        with self._reading() as database:
            database.execute(
                f"""UPDATE temp.staged SET action = 'later' WHERE position IN (SELECT position
                    FROM temp.staged WHERE action IN ({marks}) ORDER BY position
                    LIMIT -1 OFFSET ?)""",
                (*names, limit),
            )

    def staged_totals(self) -> list[tuple[str, str, str, int, int, float]]:
        """Sum the staged rows: (action, kind, provider, rows, characters, seconds)."""
        query = """SELECT action, kind, provider, count(*), sum(characters), sum(seconds)
                   FROM temp.staged GROUP BY action, kind, provider"""
        with self._reading() as database:
            return [tuple(row) for row in database.execute(query)]

    def orphans(self) -> int:
        """Count the jobs with results here that the staged manifest no longer has."""
        query = "SELECT count(*) FROM jobs WHERE id NOT IN (SELECT id FROM temp.staged)"
        with self._reading() as database:
            return int(database.execute(query).fetchone()[0])

    def adopt_staged(self, settings: Mapping[str, str]) -> None:
        """Make the staged rows the run's, in one transaction.

        Args:
            settings: Facts about the run worth keeping, such as the manifest's path.

        Raises:
            DiskError: The disk failed.
        """
        with self._transaction() as database:
            database.execute("DELETE FROM rows")
            database.execute("INSERT INTO rows SELECT * FROM temp.staged")
            database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", settings.items())
            database.execute("DROP TABLE temp.staged")

    def records(self, ids: Sequence[str]) -> dict[str, JobRecord]:
        """Look up what is known of these jobs."""
        query = f"SELECT record FROM jobs WHERE id IN ({','.join('?' * len(ids))})"
        with self._reading() as database:
            found = [_record_decoder.decode(row[0]) for row in database.execute(query, tuple(ids))]
        return {record.id: record for record in found}

    def donors(self, key: str) -> list[JobRecord]:
        """Find the finished jobs that already have what this key asks for."""
        query = "SELECT record FROM jobs WHERE key = ? AND status = 'done'"
        with self._reading() as database:
            return [_record_decoder.decode(row[0]) for row in database.execute(query, (key,))]

    def keys_with_donors(self, keys: Sequence[str]) -> set[str]:
        """Tell which of these keys some finished job already has."""
        marks = ",".join("?" * len(keys))
        query = f"SELECT DISTINCT key FROM jobs WHERE status = 'done' AND key IN ({marks})"
        with self._reading() as database:
            return {row[0] for row in database.execute(query, tuple(keys))}

    def failure_of(self, key: str) -> JobRecord | None:
        """Find a job that failed at what this key asks for."""
        query = "SELECT record FROM jobs WHERE key = ? AND status = 'failed' LIMIT 1"
        with self._reading() as database:
            row = database.execute(query, (key,)).fetchone()
        return _record_decoder.decode(row[0]) if row else None

    def owns(self, output: str, job_id: str) -> bool:
        """Tell whether the file at this path below the run folder can only be this run's own.

        It is if a job's result stood there, or if an attempt at this job has begun: a run killed
        between the file's rename and the commit leaves it there.
        """
        query = """SELECT EXISTS (SELECT 1 FROM jobs WHERE output = ?)
                   OR EXISTS (SELECT 1 FROM attempts WHERE job = ?)"""
        with self._reading() as database:
            return bool(database.execute(query, (output, job_id)).fetchone()[0])

    def source(self, path: str) -> SourceRecord | None:
        """Look up a recording that was read before."""
        with self._reading() as database:
            row = database.execute("SELECT * FROM sources WHERE path = ?", (path,)).fetchone()
        if row is None:
            return None
        return SourceRecord(
            path=row[0], bytes=row[1], modified_ns=row[2], sha256=row[3], seconds=row[4]
        )

    def remember_sources(self, sources: Iterable[SourceRecord]) -> None:
        """Keep what was read of recordings."""
        values = [(s.path, s.bytes, s.modified_ns, s.sha256, s.seconds) for s in sources]
        with self._transaction() as database:
            database.executemany("INSERT OR REPLACE INTO sources VALUES (?,?,?,?,?)", values)

    # -- running --------------------------------------------------------------------------------

    def recover(self, now: float) -> dict[str, int]:
        """Close the attempts that a killed process left open.

        Returns:
            For each key whose latest attempts were all lost: how many.
        """
        with self._transaction() as database:
            database.execute(
                "UPDATE attempts SET ended_at = ?, result = ? WHERE ended_at IS NULL", (now, LOST)
            )
            query = """SELECT key, count(*) FROM attempts AS a WHERE result = 'lost' AND number >
                       coalesce((SELECT max(number) FROM attempts AS b WHERE b.key = a.key
                                 AND b.result <> 'lost'), 0) GROUP BY key"""
            return {row[0]: row[1] for row in database.execute(query)}

    def rows_to_do(self, actions: Iterable[str]) -> Iterator[Row]:
        """Stream the adopted rows with these actions, in the manifest's order."""
        names = tuple(actions)
        marks = ",".join("?" * len(names))
        query = f"""SELECT * FROM rows WHERE position > ? AND action IN ({marks})
                    ORDER BY position LIMIT {_PAGE_ROWS}"""
        position = 0
        while True:
            with self._reading() as database:
                page = [_row(row) for row in database.execute(query, (position, *names))]
            if not page:
                return
            yield from page
            position = page[-1].position

    def commit(
        self,
        *,
        starts: Sequence[AttemptStart] = (),
        ends: Sequence[AttemptEnd] = (),
        records: Sequence[JobRecord] = (),
    ) -> list[int]:
        """Write attempts' starts and ends and jobs' outcomes in one durable transaction.

        Returns:
            The numbers of the attempts started, in order.

        Raises:
            DiskError: The disk failed: nothing of this is called done.
        """
        with self._transaction() as database:
            numbers = []
            for start in starts:
                cursor = database.execute(
                    "INSERT INTO attempts (key, job, provider, started_at) VALUES (?, ?, ?, ?)",
                    (start.key, start.job, start.provider, start.started_at),
                )
                numbers.append(int(cursor.lastrowid or 0))
            database.executemany(
                """UPDATE attempts SET ended_at = ?, result = ?, code = ?, message = ?,
                   characters = ?, audio_seconds = ? WHERE number = ?""",
                [
                    (e.ended_at, e.result, e.code, e.message, e.characters, e.audio_seconds, e.number)
                    for e in ends
                ],
            )
            for record in records:
                if record.output:  # a job that took over another's place took its file
                    database.execute(
                        "DELETE FROM jobs WHERE output = ? AND id <> ?", (record.output, record.id)
                    )
                database.execute(
                    "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        record.id,
                        record.key,
                        record.status,
                        record.output,
                        record.error_class,
                        _record_encoder.encode(record),
                    ),
                )
        return numbers

    # -- looking --------------------------------------------------------------------------------

    def settings(self) -> dict[str, str]:
        """Give what was kept about the run."""
        with self._reading() as database:
            return dict(database.execute("SELECT name, value FROM meta").fetchall())

    def totals(self) -> RunTotals:
        """Count where the run's manifest stands; also right while a run goes on."""
        rows_query = """SELECT count(*), total(jobs.status = 'done'), total(jobs.status = 'failed'),
                total(jobs.status = 'done' AND jobs.error_class = 'no_speech')
            FROM rows LEFT JOIN jobs ON jobs.id = rows.id AND jobs.key = rows.key"""
        errors_query = """SELECT error_class, count(*) FROM jobs JOIN rows USING (id, key)
            WHERE status = 'failed' GROUP BY error_class ORDER BY count(*) DESC"""
        attempts_query = """SELECT total(characters), total(audio_seconds), count(*),
            total(result = 'lost') FROM attempts"""
        done_query = """SELECT total(json_extract(record, '$.audio_seconds'))
            FROM jobs JOIN rows USING (id, key) WHERE status = 'done'"""
        with self._reading() as database:
            rows, done, failed, no_speech = database.execute(rows_query).fetchone()
            errors = dict(database.execute(errors_query).fetchall())
            characters, seconds, attempts, lost = database.execute(attempts_query).fetchone()
            done_seconds = database.execute(done_query).fetchone()[0]
        return RunTotals(
            rows=rows,
            done=int(done),
            failed=int(failed),
            no_speech=int(no_speech),
            errors=errors,
            characters_sent=int(characters),
            audio_seconds_sent=float(seconds),
            audio_seconds_done=float(done_seconds),
            attempts=attempts,
            attempts_lost=int(lost),
        )

    def sent_by_provider(self) -> list[tuple[str, bool, int, float]]:
        """Sum the ledger: (provider, whether it led to a result, characters, audio seconds)."""
        query = """SELECT provider, result = 'done', total(characters), total(audio_seconds)
                   FROM attempts GROUP BY 1, 2"""
        with self._reading() as database:
            return [(p, bool(d), int(c), float(s)) for p, d, c, s in database.execute(query)]

    def outcomes(self) -> Iterator[tuple[Row, JobRecord | None]]:
        """Stream the run's rows in order, each with what became of it."""
        query = f"""SELECT rows.*, jobs.record FROM rows
            LEFT JOIN jobs ON jobs.id = rows.id AND jobs.key = rows.key
            WHERE position > ? ORDER BY position LIMIT {_PAGE_ROWS}"""
        position = 0
        while True:
            with self._reading() as database:
                page = database.execute(query, (position,)).fetchall()
            if not page:
                return
            for values in page:
                record = _record_decoder.decode(values[-1]) if values[-1] is not None else None
                yield _row(values[:-1]), record
            position = page[-1][0]

    def done_records(self) -> Iterator[JobRecord]:
        """Stream every finished job of the folder, by id, also those the manifest has lost."""
        query = f"""SELECT id, record FROM jobs WHERE status = 'done' AND id > ?
                    ORDER BY id LIMIT {_PAGE_ROWS}"""
        last = ""
        while True:
            with self._reading() as database:
                page = database.execute(query, (last,)).fetchall()
            if not page:
                return
            yield from (_record_decoder.decode(record) for _, record in page)
            last = page[-1][0]

    # -- inside ---------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._turn, _translated(self._folder / FILE_NAME):
            yield self._database

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    database.execute("PRAGMA journal_mode = WAL")
    # FULL: a commit that was told is on the disk, not in the system's memory.
    database.execute("PRAGMA synchronous = FULL")
    database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    return database


def _connect_read_only(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=10.0,
    )


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version == 0 and not database.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        return
    _check_version(version, path)


def _check_version(version: int, path: Path) -> None:
    if version != _SCHEMA_VERSION:
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


def _disk_error(error: sqlite3.Error, path: Path) -> BatchjobsError:
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return DiskFullError(f"no space for {path}", hint="make room and run the same command again")
    if primary in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        return OutputError(f"cannot write {path}: {error}", hint="choose another --output")
    if primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return DiskError(
            f"{path} is damaged: {error}",
            hint="restore it from a backup; moving it away makes everything be bought again",
        )
    return DiskError(f"{path}: {error}", hint="check the disk before going on")


def _row_values(row: Row) -> tuple[object, ...]:
    return (
        row.position,
        row.line,
        row.id,
        row.place,
        row.key,
        row.action,
        row.kind,
        row.provider,
        row.characters,
        row.seconds,
        row.output,
        row.job,
    )


def _row(values: Sequence[object]) -> Row:
    return msgspec.convert(dict(zip(Row.__slots__, values, strict=True)), Row)
