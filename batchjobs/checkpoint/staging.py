"""A plan in the making: rows in a temporary table, apart from those of the last run."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, NamedTuple

import msgspec

from batchjobs.checkpoint import finished, groups, packs
from batchjobs.checkpoint.database import Database
from batchjobs.checkpoint.new_rows import NewRows
from batchjobs.checkpoint.outline import Outline, StagedTotal, have_no_twins
from batchjobs.checkpoint.records import JobRecord, Row, read_record, read_row
from batchjobs.checkpoint.schema import IS_LOSSY, ROW_COLUMNS, ROW_INDEXES

_STAGED: Final = "temp.staged"
_REST: Final = """CASE WHEN rows.action = 'done' THEN 'done' ELSE coalesce((
    SELECT CASE jobs.status WHEN 'failed' THEN 'kept' ELSE jobs.status END
    FROM jobs WHERE jobs.id = rows.id AND jobs.key = rows.key), 'later') END"""
"""What is to be done about an adopted row that a plan leaves as it is: nothing, whatever it had once."""
_REST_KEPT: Final = "rest"
"""The fact that says what all adopted rows come to: to sum up a million takes a fifth of a look at them."""
_ORPHANS_KEPT: Final = "orphans"
"""The fact that says how many finished jobs they have no row for: a tenth of it."""
_SUMS: Final = "kind, provider, count(*), sum(characters), sum(seconds), sum(segments)"
_SPEECH: Final = """substr(job, instr(job, CAST('"speech":' AS BLOB)),
    instr(job, CAST(',"audio":' AS BLOB)) - instr(job, CAST('"speech":' AS BLOB)))"""
"""What an encoded job says of how to speak, cut out: its fields come in their order, the row at last, and
a quote inside a value has a backslash before it. To read a million jobs took five times as long (measured)."""
_SIZES: Final = 4
"""Lengths of rows that a sample has its share of: the shortest quarter of a voice's, the next …"""
_COST: Final = "(characters * ?2 + seconds * ?3)"
_NOTHING: Final = 1e-9
"""Of money: what sums of many digits differ by."""
_FEW: Final = 1_000
_MOST_VOICES: Final = 1_000
"""A manifest may name a million of them: too many to read."""


class Prices(NamedTuple):
    """What a provider takes for a character spoken, and for a second of audio transcribed."""

    provider: str
    character: float
    second: float


class VoiceUse(NamedTuple):
    """How many rows ask for a model and a voice; both are empty for a transcription."""

    provider: str
    kind: str
    model: str
    voice: str
    rows: int


@dataclass
class Staging:
    """Holds the rows of a new plan until they are adopted."""

    _database: Database
    _keeps_rest: bool = False
    _outline: Outline = field(default_factory=Outline)
    _indexed: set[str] = field(default_factory=set)
    _found: dict[str, str] = field(default_factory=dict)
    """What the adopted rows were found to be, if all stay as they are: facts to be kept."""
    _has_packs: bool = False
    """Whether there are rows that are not in the table yet; they stand behind those that are."""

    # -- rows -----------------------------------------------------------------------------------

    def begin(self, *, keeps_rest: bool = False) -> None:
        """Start a new plan; on disk, where it takes no memory.

        Args:
            keeps_rest: Adopted rows that are not staged stay as they are, and nothing is done about
                them: those of the same manifest are done, those that others were added to may wait.
        """
        self._keeps_rest = keeps_rest
        self._outline, self._indexed, self._found = Outline(), set(), {}
        self._has_packs = False
        with self._database.use() as connection:
            connection.execute("DROP TABLE IF EXISTS temp.staged")
            connection.execute(f"CREATE TEMP TABLE staged {ROW_COLUMNS}")
            packs.begin(connection)
            connection.execute("DROP TABLE IF EXISTS temp.doubtful")
            connection.execute("CREATE TEMP TABLE doubtful (position INTEGER PRIMARY KEY)")
        groups.Groups(self._database).begin()

    def add(self, rows: Sequence[Row]) -> None:
        """Add planned rows, each with a position of its own, whatever their ids and places."""
        with self._database.batch() as connection:
            if self._has_packs:
                packs.add(connection, rows)
            else:
                packs.write(connection, _STAGED, rows)
        self._outline.add(rows)

    def add_new(self, rows: NewRows) -> None:
        """Add planned rows that are new, behind all that are there."""
        with self._database.use() as connection:
            packs.add(connection, rows)
        self._has_packs = True
        self._outline.add_new(rows)

    @property
    def _whole(self) -> Database:
        """The database, with every row in the table: for all that asks for rows, or changes them."""
        if self._has_packs:
            with self._database.batch() as connection:
                packs.write_out(connection, _STAGED)
                packs.begin(connection)
            self._has_packs = False
        return self._database

    def find_twins(self) -> list[int]:
        """Find the rows that meet earlier ones, now that they are all there.

        Returns:
            The positions of rows whose id or place an earlier row has, in order.
        """
        found: set[int] = set()
        unsure = {
            "id": not self._outline.has_unique_ids,
            "place": not self._outline.has_unique_places,
        }
        for column in (column for column, is_unsure in unsure.items() if is_unsure):
            if self._has_packs and self._is_unlike(column):
                continue
            self._index(column)
            with self._whole.use() as connection:
                twins = f"""SELECT {column}, min(position) FROM temp.staged
                            WHERE {column} IS NOT NULL GROUP BY {column} HAVING count(*) > 1"""
                query = f"""WITH twins (shared, first) AS MATERIALIZED ({twins})
                            SELECT position FROM twins JOIN temp.staged ON {column} = shared
                            WHERE position > first"""
                found.update(row[0] for row in connection.execute(query))
        return sorted(found)

    def _is_unlike(self, column: str) -> bool:
        """Whether it is certain that no two rows have the same id, or place; none is written out for it."""
        written = f"SELECT {column} FROM temp.staged WHERE {column} IS NOT NULL"
        with self._database.use() as connection:
            rows = connection.execute(written)
            first = iter(lambda: [text for (text,) in rows.fetchmany(_FEW)], [])
            return have_no_twins(chain(first, packs.stream_column(connection, column)))

    def _index(self, *columns: str) -> None:
        """Index the rows by columns: once all are there, in a third of the time of one after the other."""
        for column in columns:
            if column not in self._indexed:
                with self._whole.use() as connection:
                    connection.execute(f"CREATE INDEX temp.staged_{column} ON staged ({column})")
                self._indexed.add(column)

    def take(self, position: int) -> tuple[Row, Row | None]:
        """Take a row out: it is returned, and the earlier row with its id or place, if there is one."""
        row = self._find_row("SELECT * FROM temp.staged WHERE position = ?", (position,))
        assert row is not None
        with self._whole.use() as connection:
            connection.execute("DELETE FROM temp.staged WHERE position = ?", (position,))
        self._outline.spoil()
        return row, self._find_holder(row, before=position)

    def meets_adopted(self) -> bool:
        """Whether a staged row has the id or the place of an adopted one that stays as it is."""
        query = """SELECT EXISTS (SELECT 1 FROM temp.staged JOIN rows
                   ON rows.id = staged.id OR rows.place = staged.place
                   WHERE rows.position NOT IN (SELECT position FROM temp.staged))"""
        return bool(self._whole.select_number(query))

    def find_at(self, place: str) -> Row | None:
        """Find the row whose result is to stand at a place."""
        self._index("place")
        return self._find_row("SELECT * FROM temp.staged WHERE place = ? LIMIT 1", (place,))

    def is_taken(self, place: str) -> bool:
        """Whether a row's result, or a folder above one, is to stand at a place."""
        self._index("place")
        query = """SELECT EXISTS (SELECT 1 FROM temp.staged
                   WHERE place = ?1 OR place > ?1 || '/' AND place < ?1 || '0')"""
        return bool(self._whole.select_number(query, place))

    def add_if_free(self, row: Row) -> Row | None:
        """Add a row after `find_twins`, unless another has its id or place: then that one is returned."""
        holder = self._find_holder(row)
        if holder is None:
            self.add([row])
        return holder

    def doubt(self, positions: Iterable[int]) -> None:
        """Note adopted rows that are not done, or whose files are not as they were."""
        statement = "INSERT OR IGNORE INTO temp.doubtful VALUES (?)"
        with self._database.batch() as connection:
            connection.executemany(statement, ((position,) for position in positions))

    def stream_doubtful(self) -> Iterator[list[Row]]:
        """Read the adopted rows that `doubt` noted, in the manifest's order, in pages."""
        query = """SELECT rows.* FROM temp.doubtful CROSS JOIN rows USING (position)
                   WHERE doubtful.position > ? ORDER BY doubtful.position LIMIT ?"""
        return self._database.stream_pages(query, (0,), read_row)

    def mark_followers(self, to_buy: Iterable[str], follow: str) -> None:
        """Turn rows that ask the same as one that will be bought into followers, if a copy can serve.

        An exact format serves all, so it leads; OGG and MP3 serve only rows of their own.

        Args:
            to_buy: The actions that mean a purchase.
            follow: The action of a follower.
        """
        if self._outline.has_unique_keys():
            return
        self._index("key")
        self._change(
            f"""WITH shared AS MATERIALIZED (SELECT key FROM temp.staged WHERE key <> ''
                       GROUP BY key HAVING count(*) > 1),
                   buys AS (SELECT position, key, lower(substr(output, -4)) AS ending,
                       NOT {IS_LOSSY} AS is_exact
                   FROM shared JOIN temp.staged USING (key)
                   WHERE action IN (SELECT value FROM json_each(?1)))
               UPDATE temp.staged SET action = ?2 WHERE position IN (
                   SELECT follower.position FROM buys AS follower WHERE EXISTS (
                       SELECT 1 FROM buys AS leader WHERE leader.key = follower.key
                       AND (leader.is_exact > follower.is_exact
                            OR leader.position < follower.position
                            AND (leader.is_exact OR leader.ending = follower.ending))))""",
            json.dumps(list(to_buy)),
            follow,
        )

    def postpone_beyond(self, actions: Iterable[str], limit: int) -> None:
        """Leave only the first `limit` rows with these actions to do; the rest wait."""
        self._change(
            """UPDATE temp.staged SET action = 'later' WHERE position IN (
                   SELECT position FROM temp.staged
                   WHERE action IN (SELECT value FROM json_each(?))
                   ORDER BY position LIMIT -1 OFFSET ?)""",
            json.dumps(list(actions)),
            limit,
        )

    def refuse_dear(self, actions: Iterable[str], prices: Prices, most: float) -> None:
        """Let no row with these actions be bought of a provider that would cost more than so much.

        A row whose result is kept in doubt keeps it, and is as it was; the others are to fail.

        Args:
            actions: Those that mean a purchase.
            prices: The provider's.
            most: What a row may cost, in its currency.
        """
        self._change(
            f"""UPDATE temp.staged SET action = CASE WHEN EXISTS (
                    SELECT 1 FROM jobs WHERE jobs.id = staged.id AND jobs.key = staged.key
                    AND jobs.status = 'suspect') THEN 'suspect' ELSE 'dear' END
                WHERE provider = ?1 AND {_COST} > ?4 AND action IN (SELECT value FROM json_each(?5))""",
            *prices,
            most + _NOTHING,
            json.dumps(list(actions)),
        )

    def find_dearest(self, prices: Prices) -> float:
        """Say what the dearest row of a provider costs that is not to be bought; 0 if there is none."""
        query = f"SELECT max({_COST}) FROM temp.staged WHERE provider = ?1 AND action = 'dear'"
        with self._whole.use() as connection:
            return float(connection.execute(query, prices).fetchone()[0] or 0)

    def keep_only(self, actions: Iterable[str], positions: Iterable[int]) -> None:
        """Leave only the rows at these positions to do, of those with these actions; the rest wait."""
        self._change(
            """UPDATE temp.staged SET action = 'later'
               WHERE action IN (SELECT value FROM json_each(?1))
               AND position NOT IN (SELECT value FROM json_each(?2))""",
            json.dumps(list(actions)),
            json.dumps(list(positions)),
        )

    def keep_sample(self, actions: Iterable[str], share: float) -> None:
        """Leave only a sample of the rows to do, and of each voice and length its share.

        Which rows are in it is decided by their keys among all rows, finished ones included: run
        again, a sample goes on and never grows. At least one row of each voice and length is in it.

        Args:
            actions: The rows with others stay as they are.
            share: From 0 to 1.
        """
        everything = "SELECT * FROM temp.staged"
        if self._keeps_rest:
            everything += """ UNION ALL SELECT * FROM rows
                              WHERE position NOT IN (SELECT position FROM temp.staged)"""
        self._change(
            f"""WITH spoken AS (SELECT position, key, kind, provider, characters + seconds AS length,
                       coalesce(json_extract(CAST(job AS TEXT), '$.speech.voice_id'), '') AS voice
                   FROM ({everything}) WHERE kind <> ''),
               sized AS (SELECT *, ntile(?3) OVER (
                       PARTITION BY provider, kind, voice ORDER BY length, key) AS size FROM spoken),
               ranked AS (SELECT position,
                       row_number() OVER (PARTITION BY provider, kind, voice, size ORDER BY key) AS place,
                       count(*) OVER (PARTITION BY provider, kind, voice, size) AS among FROM sized)
               UPDATE temp.staged SET action = 'later'
               WHERE action IN (SELECT value FROM json_each(?1)) AND position IN (
                   SELECT position FROM ranked WHERE place > max(1, ceil(among * ?2)))""",
            json.dumps(list(actions)),
            share,
            _SIZES,
        )

    def stream(self, actions: Iterable[str]) -> Iterator[Row]:
        """Read the staged rows with these actions, in the manifest's order."""
        query = """SELECT * FROM temp.staged WHERE position > ?
                   AND action IN (SELECT value FROM json_each(?)) ORDER BY position LIMIT ?"""
        names = json.dumps(list(actions))
        for page in self._whole.stream_pages(query, (0,), read_row, parameters=(names,)):
            yield from page

    # -- sums -----------------------------------------------------------------------------------

    def sum_rows(self) -> list[StagedTotal]:
        """Sum the rows, with the adopted ones that stay as they are."""
        totals = self._outline.sum_up()
        if totals is None:
            query = f"SELECT action, {_SUMS} FROM temp.staged GROUP BY action, kind, provider"
            totals = self._whole.select(query, (), StagedTotal._make)
        return totals + self._sum_rest() if self._keeps_rest else totals

    def _sum_rest(self) -> list[StagedTotal]:
        """Sum the adopted rows that stay as they are; if all do, it is known until something changes."""
        is_all = self._keeps_all()
        if is_all and (known := self._read_found(_REST_KEPT)):
            return msgspec.json.decode(known, type=list[StagedTotal])
        query = f"""SELECT {_REST} AS rest, {_SUMS} FROM rows
                    WHERE position NOT IN (SELECT position FROM temp.staged)
                    GROUP BY rest, kind, provider"""
        totals = self._whole.select(query, (), StagedTotal._make)
        if is_all:
            self._found[_REST_KEPT] = msgspec.json.encode(totals).decode()
        return totals

    def _keeps_all(self) -> bool:
        """Whether all adopted rows stay as they are."""
        query = "SELECT EXISTS (SELECT 1 FROM temp.staged)"
        return self._keeps_rest and not self._whole.select_number(query)

    def _read_found(self, name: str) -> str:
        """Read what the adopted rows were found to be; empty unless kept since the report of them as they are."""
        with self._database.use() as connection:
            kept = dict(connection.execute("SELECT name, value FROM meta").fetchall())
        mark, _, content = kept.get(name, "").partition(" ")
        return content if "report" in kept and mark == _mark_of(kept["report"]) else ""

    def count_voices(self, actions: Iterable[str]) -> list[VoiceUse]:
        """Count the rows with these actions by model and voice, those of the most rows first."""
        counted = self._outline.count_manners(actions)
        database = self._whole if counted is None else self._database
        with database.use() as connection:
            connection.execute(
                """CREATE TEMP TABLE manners (provider TEXT, kind TEXT, speech BLOB, rows INTEGER,
                   PRIMARY KEY (provider, kind, speech)) WITHOUT ROWID"""
            )
            if counted is not None:
                connection.executemany("INSERT INTO temp.manners VALUES (?, ?, ?, ?)", counted)
            else:
                # Counted as they come: to group them, SQLite sorts, which takes twice as long (measured).
                connection.execute(
                    f"""INSERT INTO temp.manners SELECT provider, kind, {_SPEECH}, 1 FROM temp.staged
                        WHERE action IN (SELECT value FROM json_each(?))
                        ON CONFLICT DO UPDATE SET rows = rows + 1""",
                    (json.dumps(list(actions)),),
                )
        query = """WITH read AS (SELECT provider, kind, rows, '{' || CAST(speech AS TEXT) || '}' AS speech
                                 FROM temp.manners)
                   SELECT provider, kind, coalesce(json_extract(speech, '$.speech.model_id'), '') AS model,
                          coalesce(json_extract(speech, '$.speech.voice_id'), '') AS voice, sum(rows)
                   FROM read GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2, 3, 4 LIMIT ?"""
        found = database.select(query, (_MOST_VOICES,), VoiceUse._make)
        with database.use() as connection:
            connection.execute("DROP TABLE temp.manners")
        return found

    def count_orphans(self) -> int:
        """Count the finished jobs here that the staged manifest no longer has."""
        if not self._has_jobs() and not self._keeps_rest:
            return 0
        is_all = self._keeps_all()
        if is_all and (known := self._read_found(_ORPHANS_KEPT)):
            return int(known)
        query = """SELECT (SELECT count(*) FROM jobs WHERE status = 'done')
                   - (SELECT count(*) FROM temp.staged JOIN jobs USING (id) WHERE status = 'done')"""
        if self._keeps_rest:  # each of them has a finished job
            query += """ - (SELECT count(*) FROM rows
                            WHERE position NOT IN (SELECT position FROM temp.staged))"""
        orphans = self._whole.select_number(query)
        if is_all:
            self._found[_ORPHANS_KEPT] = str(orphans)
        return orphans

    def count_replaced(self, counts: Callable[[JobRecord], bool]) -> int:
        """Count results here that would go if the staged rows were done: they ask something else.

        They have a row's id or file. What is set apart is not among them: its own manifest has given
        it up.

        Args:
            counts: Whether a result counts.
        """
        if not self._has_jobs():
            return 0
        # A row number, and not the records, tells which are the same: SQLite sorts them.
        query = """SELECT record FROM jobs WHERE rowid IN (
                       SELECT jobs.rowid FROM temp.staged JOIN jobs ON jobs.id = staged.id
                       WHERE jobs.key <> staged.key
                       UNION SELECT jobs.rowid FROM temp.staged JOIN jobs ON jobs.output = staged.output
                       WHERE jobs.key <> staged.key)
                   AND status <> 'failed' AND instr(id, char(31)) = 0"""
        with self._whole.use() as connection:
            return sum(counts(read_record(record)) for (record,) in connection.execute(query))

    def _has_jobs(self) -> bool:
        return bool(self._database.select_number("SELECT EXISTS (SELECT 1 FROM jobs)"))

    # -- the end --------------------------------------------------------------------------------

    def adopt(self, settings: Mapping[str, str]) -> None:
        """Make the staged rows the run's, in one transaction.

        Args:
            settings: Facts about the run worth keeping, such as the manifest's path.

        Raises:
            DiskError: The disk failed.
        """
        database = self._whole if self._keeps_rest else self._database
        with database.transaction() as connection:
            has_rows = connection.execute("SELECT EXISTS (SELECT 1 FROM temp.staged)").fetchone()[0]
            if not self._keeps_rest:
                groups.adopt_staged(connection)
            if has_rows or not self._keeps_rest:
                _put_in_place(connection, keeps_rest=self._keeps_rest)
            else:
                _keep_found(connection, self._found)
            connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", settings.items())
            connection.execute("DROP TABLE temp.staged")
            connection.execute("DROP TABLE temp.doubtful")
            packs.drop(connection)
            groups.drop_staged(connection)
        self._has_packs = False

    def _find_row(self, query: str, parameters: Sequence[object]) -> Row | None:
        found = self._whole.select(query, parameters, read_row)
        return found[0] if found else None

    def _find_holder(self, row: Row, *, before: int | None = None) -> Row | None:
        self._index("id", "place")
        query = """SELECT * FROM temp.staged WHERE (id = ?1 OR place = ?2)
                   AND (?3 IS NULL OR position < ?3) ORDER BY id = ?1 DESC, position LIMIT 1"""
        return self._find_row(query, (row.id, row.place, before))

    def _change(self, statement: str, *parameters: object) -> None:
        """Change staged rows."""
        with self._whole.use() as connection:
            before = connection.total_changes
            connection.execute(statement, parameters)
            if connection.total_changes != before:
                self._outline.spoil()


def _keep_found(connection: sqlite3.Connection, found: Mapping[str, str]) -> None:
    """Keep what the adopted rows were found to be, beside the report: whatever changes anything drops that."""
    report = connection.execute("SELECT value FROM meta WHERE name = 'report'").fetchone()
    if report is not None:
        mark = _mark_of(report[0])
        facts = [(name, f"{mark} {content}") for name, content in found.items()]
        connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", facts)


def _mark_of(report: str) -> str:
    return hashlib.sha256(report.encode()).hexdigest()


def _put_in_place(connection: sqlite3.Connection, *, keeps_rest: bool) -> None:
    connection.execute("DELETE FROM meta WHERE name = 'report'")
    # A copy that was killed between its rename and its commit has left a file, as `is_own_file` knows
    # of the last plan; the new one may buy what that would have copied.
    connection.execute(
        """INSERT OR IGNORE INTO own_files
           SELECT output FROM rows WHERE action IN ('copy', 'follow')"""
    )
    if keeps_rest:
        finished.forget_staged(connection)
        connection.execute("DELETE FROM rows WHERE position IN (SELECT position FROM temp.staged)")
        connection.execute(
            f"""UPDATE rows SET action = {_REST}
                WHERE action NOT IN ('done', 'kept', 'suspect', 'later')"""
        )
        connection.execute("INSERT INTO rows SELECT * FROM temp.staged")
    else:
        connection.execute("DELETE FROM finished")
        for name in ("id", "place", "key"):
            connection.execute(f"DROP INDEX rows_{name}")
        connection.execute("DELETE FROM rows")
        connection.execute("INSERT INTO rows SELECT * FROM temp.staged")
        packs.write_out(connection, "rows")
        for statement in filter(str.strip, ROW_INDEXES.split(";")):
            connection.execute(statement)
    finished.fill(connection, only_staged=keeps_rest)
    _put_in_doubt(connection, only_staged=keeps_rest)


def _put_in_doubt(connection: sqlite3.Connection, *, only_staged: bool) -> None:
    """Set results apart that copies will overwrite, and those whose files are gone.

    See `ledger.claim_files`: copies begin no attempts. A result that is made again is none until then,
    should the run end before its turn.
    """
    # The others are done, or were looked at when they were adopted.
    rows = "temp.staged CROSS JOIN rows USING (position)" if only_staged else "rows"
    connection.execute(
        f"""UPDATE OR REPLACE jobs SET id = id || char(31) || key WHERE id IN (
               SELECT jobs.id FROM {rows} CROSS JOIN jobs ON jobs.output = rows.output
               WHERE jobs.status = 'done' AND instr(jobs.id, char(31)) = 0
               AND (rows.action = 'remake' OR rows.action IN ('copy', 'follow')
                    AND (jobs.id <> rows.id OR jobs.key <> rows.key)))"""
    )
    # What was paid for in a format that is not asked any more outlives that its row fails.
    connection.execute(
        """UPDATE OR REPLACE jobs SET id = id || char(31) || key WHERE id IN (
               SELECT id FROM rows JOIN jobs USING (id, key)
               WHERE rows.action = 'dear' AND jobs.status = 'done')"""
    )
