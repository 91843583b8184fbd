"""The one truth about what is done: an SQLite file in the run folder, with a ledger of attempts."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from batchjobs.audio.formats import EXACT_ENDINGS
from batchjobs.checkpoint import finished, ledger, segments, staging
from batchjobs.checkpoint.database import Database, is_locked
from batchjobs.checkpoint.records import (
    AttemptEnd,
    AttemptStart,
    JobRecord,
    Row,
    RunTotals,
    SegmentChanges,
    SegmentRecord,
    SourceRecord,
)
from batchjobs.jobs import Status

__all__ = ["Checkpoint"]

_DROP_REPORT: Final = "DELETE FROM meta WHERE name = 'report'"
_PAGE_ROWS: Final = 500
_PAGE_FILES: Final = 5_000
_DONORS: Final = 20
"""Of ten thousand rows that ask the same, each would read all the others."""


class Checkpoint:
    """One run folder's state. Use `open` to run, `read` to look, `none` where there is no run yet.

    Its methods block, and may be called from any one thread at a time.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keeps_rest = False

    # -- opening --------------------------------------------------------------------------------

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a run folder to run in it, making it if need be; holds it until `close`.

        Raises:
            RunLockedError: Another run holds it.
            OutputError: It cannot be made.
            DiskError: The disk failed, or the checkpoint is damaged.
        """
        return cls(Database.held(folder))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Open a run folder to look at it, also while a run goes on.

        Raises:
            NoRunError: There is no run in the folder.
            DiskError: The checkpoint is damaged.
        """
        return cls(Database.looked_at(folder))

    @classmethod
    def none(cls, folder: Path) -> Self:
        """Stand in for a run that does not exist yet: nothing is on disk, nothing will be."""
        return cls(Database.in_memory(folder))

    def close(self) -> None:
        """Close the file and let go of the folder."""
        self._database.close()

    def __enter__(self) -> Self:
        """Close at the end of a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self._database.folder

    # -- planning -------------------------------------------------------------------------------

    def begin_staging(self, *, keeps_rest: bool = False) -> None:
        """Start a new plan, apart from the rows of the last run until `adopt_staged`.

        Args:
            keeps_rest: The manifest is the same: adopted rows that are not staged are done, and
                stay as they are.
        """
        self._keeps_rest = keeps_rest
        with self._database.reading() as database:
            staging.begin(database)

    def stage(self, rows: Sequence[Row]) -> None:
        """Add planned rows, each with a position of its own."""
        with self._database.reading() as database:
            staging.add(database, rows)

    def index_staged(self) -> list[int]:
        """Index the staged rows; to be called once they are all there.

        Returns:
            The positions of rows whose id or place an earlier row has, in order.
        """
        with self._database.reading() as database:
            return staging.index(database)

    def take_staged(self, position: int) -> tuple[Row, Row | None]:
        """Take a row out of the plan; give it and the earlier row with its id or place, if any."""
        with self._database.reading() as database:
            return staging.take(database, position)

    def staged_at(self, place: str) -> Row | None:
        """Give the row whose result is to stand at a place, if there is one."""
        with self._database.reading() as database:
            return staging.at(database, place)

    def stage_if_free(self, row: Row) -> Row | None:
        """Add a row after `index_staged`, unless another has its id or place: then give that."""
        with self._database.reading() as database:
            return staging.add_if_free(database, row)

    def finished_files(self) -> Iterator[list[tuple[int, str, int, int | None]]]:
        """Stream what shows that adopted rows are done, in order of their positions.

        Yields:
            Pages of (position, path, bytes, time in nanoseconds): files of the run folder, and
            recordings that were read, which alone have a time.
        """
        last = (0, "")
        while True:
            with self._database.reading() as database:
                page = finished.page(database, last, _PAGE_FILES)
            if not page:
                return
            yield page
            last = page[-1][:2]

    def doubt(self, positions: Iterable[int]) -> None:
        """Note adopted rows that are not done, or whose files are not as they were."""
        with self._database.reading() as database:
            staging.doubt(database, positions)

    def doubtful_rows(self) -> Iterator[list[Row]]:
        """Stream the adopted rows that `doubt` was told of, in the manifest's order, in pages."""
        last = 0
        while True:
            with self._database.reading() as database:
                page = staging.doubtful(database, last, _PAGE_ROWS)
            if not page:
                return
            yield page
            last = page[-1].position

    def fingerprint(self) -> str:
        """Give what the adopted rows were made of; empty if they do not tell the whole manifest."""
        return self._kept("fingerprint")

    def last_position(self) -> int:
        """Give the number of adopted rows."""
        with self._database.reading() as database:
            return int(database.execute("SELECT max(position) FROM rows").fetchone()[0] or 0)

    def mark_followers(self, to_buy: Iterable[str], follow: str) -> None:
        """Turn staged rows that ask the same as one that will be bought into followers.

        Args:
            to_buy: The actions that mean a purchase.
            follow: The action of a follower.
        """
        with self._database.reading() as database:
            staging.mark_followers(database, to_buy, follow)

    def drop_staged_beyond(self, actions: Iterable[str], limit: int) -> None:
        """Leave only the first `limit` staged rows with these actions to do; the rest wait."""
        with self._database.reading() as database:
            staging.postpone_beyond(database, actions, limit)

    def staged_totals(self) -> list[tuple[str, str, str, int, int, float, int]]:
        """Sum the staged rows: (action, kind, provider, rows, characters, seconds, sessions)."""
        with self._database.reading() as database:
            return staging.totals(database, keeps_rest=self._keeps_rest)

    def staged_voices(self, actions: Iterable[str]) -> list[tuple[str, str, str, str, int]]:
        """Count the staged rows with these actions: (provider, kind, model, voice, rows).

        Those that are asked for by the most rows come first; model and voice are those of speech.
        """
        with self._database.reading() as database:
            return staging.voices(database, actions)

    def orphans(self) -> int:
        """Count the finished jobs here that the staged manifest no longer has."""
        with self._database.reading() as database:
            return staging.orphans(database, keeps_rest=self._keeps_rest)

    def count_replaced(self, counts: Callable[[JobRecord], bool]) -> int:
        """Count results here that would go if the staged rows were done: they ask something else.

        Args:
            counts: Whether a result counts.
        """
        with self._database.reading() as database:
            return sum(counts(ledger.record_from(each)) for each in staging.replaced(database))

    def adopt_staged(self, settings: Mapping[str, str]) -> None:
        """Make the staged rows the run's, in one transaction.

        Args:
            settings: Facts about the run worth keeping, such as the manifest's path.

        Raises:
            DiskError: The disk failed.
        """
        with self._database.transaction() as database:
            staging.adopt(database, settings, keeps_rest=self._keeps_rest)

    def records(self, ids: Sequence[str]) -> dict[str, JobRecord]:
        """Look up what is known of these jobs."""
        query = "SELECT record FROM jobs WHERE id IN (SELECT value FROM json_each(?))"
        names = json.dumps(list(ids))
        with self._database.reading() as database:
            found = [ledger.record_from(row[0]) for row in database.execute(query, (names,))]
        return {record.id: record for record in found}

    def donors(self, key: str) -> list[JobRecord]:
        """Find finished jobs that already have what this key asks for: some, if there are many.

        Those whose files hold the samples exactly come first: they can become every format.
        """
        query = """SELECT record FROM jobs WHERE key = :key AND status = 'done'
                       AND lower(substr(output, -4)) NOT IN ('.ogg', '.mp3')
                   UNION ALL SELECT record FROM jobs WHERE key = :key AND status = 'done'
                       AND lower(substr(output, -4)) IN ('.ogg', '.mp3') LIMIT :most"""
        with self._database.reading() as database:
            found = database.execute(query, {"key": key, "most": _DONORS}).fetchall()
            return [ledger.record_from(row[0]) for row in found]

    def keys_with_donors(self, keys: Sequence[str]) -> set[str]:
        """Tell which of these keys some job already has, done or in doubt."""
        query = """SELECT DISTINCT key FROM jobs WHERE status IN ('done', 'suspect')
                   AND key IN (SELECT value FROM json_each(?))"""
        with self._database.reading() as database:
            return {row[0] for row in database.execute(query, (json.dumps(list(keys)),))}

    def failure_of(self, key: str, *, besides: str = "") -> JobRecord | None:
        """Find a job that failed at what this key asks for.

        Args:
            key: The key.
            besides: The id of a job that is not meant.
        """
        query = """SELECT record FROM jobs WHERE key = ? AND status = 'failed'
                   AND id <> ? LIMIT 1"""
        with self._database.reading() as database:
            row = database.execute(query, (key, besides)).fetchone()
            return ledger.record_from(row[0]) if row else None

    def suspects_of(self, key: str) -> list[JobRecord]:
        """Find the jobs, some if there are many, that have this key's result in doubt."""
        query = "SELECT record FROM jobs WHERE key = ? AND status = 'suspect' LIMIT ?"
        with self._database.reading() as database:
            found = database.execute(query, (key, _DONORS)).fetchall()
            return [ledger.record_from(row[0]) for row in found]

    def kept_places(self, job_id: str) -> set[str]:
        """Give the paths where results of a job are kept in doubt, of earlier contents too."""
        query = """SELECT output FROM jobs WHERE status = 'suspect'
                   AND (id = :id OR id > :id || char(31) AND id < :id || char(32))"""
        with self._database.reading() as database:
            return {row[0] for row in database.execute(query, {"id": job_id})}

    def count_suspects(self) -> int:
        """Count the rows whose result is in doubt."""
        query = "SELECT count(*) FROM jobs JOIN rows USING (id, key) WHERE status = 'suspect'"
        with self._database.reading() as database:
            return int(database.execute(query).fetchone()[0])

    def has_bought_from(self, provider: str) -> bool:
        """Tell whether a session with this provider ever led to a result here."""
        query = """SELECT EXISTS (SELECT 1 FROM attempts
                   WHERE provider = ? AND result IN ('done', 'kept', 'suspect'))"""
        with self._database.reading() as database:
            return bool(database.execute(query, (provider,)).fetchone()[0])

    def segments(self, keys: Sequence[str]) -> dict[str, list[SegmentRecord]]:
        """Find finished segments of long jobs: for each key the places where it may be."""
        with self._database.reading() as database:
            return segments.find(database, keys)

    def transcribed_seconds(self, job_key: str, *, rebuys_doubted: bool = False) -> float:
        """Sum the audio of a long recording's segments that are not to be bought again.

        Args:
            job_key: The recording's.
            rebuys_doubted: Those in doubt are, even if their attempts are used up.
        """
        with self._database.reading() as database:
            return segments.held_seconds(database, job_key, rebuys_doubted=rebuys_doubted)

    def segment_files(self) -> set[str]:
        """Give the paths of the files that hold one finished segment each."""
        with self._database.reading() as database:
            return segments.files(database)

    def kept_in_doubt(self) -> tuple[set[str], set[str]]:
        """Give the files below `folder` that results in doubt may be in, and those that they are in.

        Returns:
            Paths of main files that are ours, whatever became of them; paths that are in use.
        """
        with self._database.reading() as database:
            query = "SELECT path FROM own_files WHERE path >= 'suspect/' AND path < 'suspect0'"
            ours = {row[0] for row in database.execute(query)}
            if not ours:
                return set(), set()
            query = """SELECT json_extract(file.value, '$.path') FROM jobs,
                       json_each(CAST(record AS TEXT), '$.files') AS file WHERE status = 'suspect'
                       UNION SELECT path FROM segments
                       WHERE path >= 'suspect/' AND path < 'suspect0'"""
            return ours, {row[0] for row in database.execute(query)}

    def owns(self, output: str) -> bool:
        """Tell whether the file at this path below the run folder can only be this run's own.

        It is if a result ever stood there, or if an attempt at one has begun: a run killed between
        the file's rename and the commit leaves it there. Copies begin no attempts: theirs are where
        a plan put them, for whichever row.
        """
        query = """SELECT EXISTS (SELECT 1 FROM own_files WHERE path = :output)
                   OR EXISTS (SELECT 1 FROM rows WHERE output = :output
                              AND action IN ('copy', 'follow'))"""
        with self._database.reading() as database:
            found = database.execute(query, {"output": output}).fetchone()
        return bool(found[0])

    def has_begun(self) -> bool:
        """Tell whether a plan was ever adopted here."""
        with self._database.reading() as database:
            return bool(database.execute("SELECT EXISTS (SELECT 1 FROM rows)").fetchone()[0])

    def source(self, path: str) -> SourceRecord | None:
        """Look up a recording that was read before."""
        with self._database.reading() as database:
            row = database.execute("SELECT * FROM sources WHERE path = ?", (path,)).fetchone()
        if row is None:
            return None
        return SourceRecord(
            path=row[0], bytes=row[1], modified_ns=row[2], sha256=row[3], seconds=row[4]
        )

    def remember_sources(self, sources: Iterable[SourceRecord]) -> None:
        """Keep what was read of recordings, if the folder is ours to write in."""
        if not self._database.is_held:
            return
        values = [(s.path, s.bytes, s.modified_ns, s.sha256, s.seconds) for s in sources]
        with self._database.transaction() as database:
            database.executemany("INSERT OR REPLACE INTO sources VALUES (?,?,?,?,?)", values)

    def judge(self, records: Sequence[JobRecord], *, is_damaged: bool) -> None:
        """Note of finished jobs whether their files were found changed.

        Raises:
            DiskError: The disk failed.
        """
        with self._database.transaction() as database:
            database.execute(_DROP_REPORT)
            ledger.judge(database, records, is_damaged=is_damaged)

    def accept(self, record: JobRecord, *, kept: JobRecord) -> None:
        """Make a suspect job done, in one transaction.

        Args:
            record: What it is now: done, its files in their places.
            kept: What it was until now.

        Raises:
            DiskError: The disk failed: it is suspect still.
        """
        moved = {}
        if Path(record.output).suffix.lower() in EXACT_ENDINGS:
            moved[kept.output] = (record.output, record.files[0].bytes)
        with self._database.transaction() as database:
            database.execute(_DROP_REPORT)
            # First the job: where it stands now, older segments stood, and are gone.
            ledger.accept(database, record, kept=kept)
            segments.accept(database, keys=[doubt.key for doubt in kept.doubts], moved=moved)
            finished.note(database, [record])

    # -- running --------------------------------------------------------------------------------

    def recover(self, now: float) -> dict[str, int]:
        """Begin a run: close the attempts that a killed process left open.

        Nobody else may be running.

        Returns:
            For each key whose latest attempts were all lost: how many.
        """
        self._database.keep_little()
        with self._database.transaction() as database:
            return ledger.close_lost(database, now)

    def rows_to_do(self, actions: Iterable[str]) -> Iterator[Row]:
        """Stream the adopted rows with these actions, in the manifest's order."""
        names = json.dumps(list(actions))
        query = """SELECT * FROM rows WHERE position > ?
                   AND action IN (SELECT value FROM json_each(?)) ORDER BY position LIMIT ?"""
        position = 0
        while True:
            with self._database.reading() as database:
                found = database.execute(query, (position, names, _PAGE_ROWS)).fetchall()
                page = [staging.row_from(values) for values in found]
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
        changes: Sequence[SegmentChanges] = (),
    ) -> list[int]:
        """Write attempts' starts and ends and the outcomes of jobs and segments, all durable.

        Returns:
            The numbers of the attempts started, in order.

        Raises:
            DiskError: The disk failed: nothing of this is called done.
        """
        with self._database.transaction() as database:
            database.execute(_DROP_REPORT)
            numbers = ledger.start(database, starts)
            ledger.end(database, ends)
            ledger.save(database, records)
            finished.note(database, records)
            for change in changes:
                segments.write(database, change)
        return numbers

    def keep_report(self, report: str) -> None:
        """Keep what was reported of the run, until anything of it changes."""
        with self._database.transaction() as database:
            database.execute("INSERT OR REPLACE INTO meta VALUES ('report', ?)", (report,))

    def report(self) -> str:
        """Give what was reported of the run; empty if something has changed since."""
        return self._kept("report")

    def _kept(self, name: str) -> str:
        with self._database.reading() as database:
            query = "SELECT value FROM meta WHERE name = ?"
            found = database.execute(query, (name,)).fetchone()
        return str(found[0]) if found else ""

    # -- looking --------------------------------------------------------------------------------

    @contextmanager
    def steady(self) -> Iterator[None]:
        """See one state throughout a block, of a checkpoint opened to look while a run goes on."""
        with self._database.steady():
            yield

    def is_running(self) -> bool:
        """Tell whether a run is going on in the folder: not ours, of one opened to look."""
        return is_locked(self.folder)

    def settings(self) -> dict[str, str]:
        """Give what was kept about the run."""
        with self._database.reading() as database:
            return dict(database.execute("SELECT name, value FROM meta").fetchall())

    def totals(self) -> RunTotals:
        """Count where the run's manifest stands; also right while a run goes on."""
        with self._database.snapshot() as database:
            return ledger.totals(database)

    def sent_by_provider(self, *, is_running: bool = False) -> list[tuple[str, bool, int, float]]:
        """Sum the ledger: (provider, whether it led to a result, characters, audio seconds).

        Args:
            is_running: Sessions that are open may still lead to one.
        """
        with self._database.reading() as database:
            return ledger.sent_by_provider(database, is_running=is_running)

    def unsettled(self) -> list[tuple[str, int, int, float]]:
        """Sum the rows that have no answer yet: (provider, rows, characters, seconds)."""
        with self._database.reading() as database:
            return ledger.unsettled(database)

    def outcomes(self, status: Status | None = None) -> Iterator[tuple[Row, JobRecord | None]]:
        """Stream the run's rows in order, each with what became of it.

        Args:
            status: Only those that ended so; None gives all.
        """
        query = f"""SELECT rows.*, jobs.record FROM rows
            LEFT JOIN jobs ON jobs.id = rows.id AND jobs.key = rows.key
            WHERE position > ? {"" if status is None else "AND jobs.status = ?"}
            ORDER BY position LIMIT ?"""
        wanted = () if status is None else (status.value,)
        position = 0
        while True:
            with self._database.reading() as database:
                found = database.execute(query, (position, *wanted, _PAGE_ROWS)).fetchall()
                page = [_outcome(values) for values in found]
            if not page:
                return
            yield from page
            position = page[-1][0].position

    def is_asked_for(self, record: JobRecord) -> bool:
        """Whether a row asks for this very result, and not only for what is in it."""
        with self._database.reading() as database:
            return ledger.is_asked_for(database, record)

    def outcomes_of(self, ids: Sequence[str]) -> dict[str, tuple[Row, JobRecord | None]]:
        """Look up rows of the run's manifest by id, each with what became of it."""
        query = """SELECT rows.*, jobs.record FROM rows
            LEFT JOIN jobs ON jobs.id = rows.id AND jobs.key = rows.key
            WHERE rows.id IN (SELECT value FROM json_each(?))"""
        with self._database.reading() as database:
            found = database.execute(query, (json.dumps(list(ids)),)).fetchall()
        return {row.id: (row, record) for row, record in map(_outcome, found)}

    def done_records(self) -> Iterator[JobRecord]:
        """Stream every finished job of the folder, by id, also those the manifest has lost."""
        query = """SELECT id, record FROM jobs WHERE status = 'done' AND id > ?
                   ORDER BY id LIMIT ?"""
        last = ""
        while True:
            with self._database.reading() as database:
                found = database.execute(query, (last, _PAGE_ROWS)).fetchall()
                page = [ledger.record_from(record) for _, record in found]
            if not page:
                return
            yield from page
            last = found[-1][0]


def _outcome(values: Sequence[object]) -> tuple[Row, JobRecord | None]:
    *columns, record = values
    return staging.row_from(columns), ledger.record_from(record) if record is not None else None
