"""Groups of recordings that follow each other: which rows are their parts, and their transcripts."""

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, NamedTuple

import msgspec

from batchjobs.checkpoint.database import Database
from batchjobs.checkpoint.records import FileRecord, to_json
from batchjobs.jobs import Status

_OUTCOMES: Final = """
SELECT parts.name, parts.part, parts.position, groups.output, groups.record, rows.id, rows.output,
    json_extract(CAST(rows.job AS TEXT), '$.audio'), jobs.key, jobs.record
FROM parts JOIN groups ON groups.name = parts.name AND groups.is_asked
JOIN rows ON rows.position = parts.position
LEFT JOIN jobs ON jobs.id = rows.id AND jobs.key = rows.key
WHERE (parts.name, parts.part, parts.position) > (?, ?, ?)
ORDER BY parts.name, parts.part, parts.position LIMIT ?"""


class StagedPart(NamedTuple):
    """A row of a new plan that is a part of a group.

    Attributes:
        position: The row's.
        line: The manifest's line on which it starts.
        group: The group's name.
        part: Its number there.
    """

    position: int
    line: int
    group: str
    part: int


class PartTwin(NamedTuple):
    """A row whose part of a group an earlier row is already."""

    position: int
    group: str
    part: int
    first_line: int


class PartRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What of a job's record matters to its group."""

    status: Status
    output: str = ""
    files: tuple[FileRecord, ...] = ()
    audio_seconds: float = 0.0
    is_damaged: bool = False


class Part(NamedTuple):
    """A part of a group, and what became of its row.

    Attributes:
        number: In the group.
        id: The row's.
        output: Where the row's transcript is to stand.
        audio: The recording's path; empty for a row that cannot be run.
        key: Of what the row asks, if there is an answer.
        record: What became of it; None if it has no answer yet.
    """

    number: int
    id: str
    output: str
    audio: str
    key: str
    record: PartRecord | None

    @property
    def is_done(self) -> bool:
        """Whether its transcript is there, in its place."""
        record = self.record
        return (
            record is not None
            and record.status is Status.DONE
            and record.output == self.output
            and not record.is_damaged
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRecord:
    """A group's transcript as it was made.

    Attributes:
        mark: Tells what it was made of.
        files: Its files, the text first; none while they are about to be made.
        audio_seconds: How long all the recordings are.
        is_damaged: Whether its files were found changed since.
    """

    mark: str
    files: tuple[FileRecord, ...] = ()
    audio_seconds: float = 0.0
    is_damaged: bool = False


class Group(NamedTuple):
    """A group with its parts in order.

    Attributes:
        name: Its name.
        output: Where its transcript stands, or is to stand: the text's path below the run folder.
        record: Of its transcript; None if none was made.
        parts: The parts, by their numbers.
    """

    name: str
    output: str
    record: GroupRecord | None
    parts: tuple[Part, ...]


class _Columns(NamedTuple):
    """The columns of `_OUTCOMES`."""

    name: str
    part: int
    position: int
    output: str
    made: bytes | None
    id: str
    row_output: str
    audio: str | None
    key: str | None
    record: bytes | None


_HEAD: Final = ("name", "output", "made")
_part_decoder = msgspec.json.Decoder(PartRecord)
_group_decoder = msgspec.json.Decoder(GroupRecord)


@dataclass
class Groups:
    """Keeps groups: staged with a plan, adopted with it, and their transcripts."""

    _database: Database

    # -- a plan in the making -------------------------------------------------------------------

    def begin(self) -> None:
        """Start a new plan."""
        with self._database.use() as connection:
            drop_staged(connection)
            connection.execute(
                """CREATE TEMP TABLE staged_parts (position INTEGER PRIMARY KEY, line INTEGER NOT NULL,
                       name TEXT NOT NULL, part INTEGER NOT NULL)"""
            )
            connection.execute(
                "CREATE TEMP TABLE staged_groups (name TEXT PRIMARY KEY, output TEXT NOT NULL)"
            )

    def add_parts(self, parts: Sequence[StagedPart]) -> None:
        """Add parts of a new plan."""
        self._write_all("INSERT INTO temp.staged_parts VALUES (?, ?, ?, ?)", parts)

    def add_outputs(self, outputs: Mapping[str, str]) -> None:
        """Say where the staged groups' transcripts are to stand, by their names."""
        self._write_all("INSERT INTO temp.staged_groups VALUES (?, ?)", outputs.items())

    def find_twins(self) -> list[PartTwin]:
        """Find the staged rows whose part of a group an earlier row is, in order."""
        query = """SELECT position, name, part, first_line FROM (
                       SELECT *, first_value(line) OVER parts AS first_line,
                       row_number() OVER parts AS number FROM temp.staged_parts
                       WINDOW parts AS (PARTITION BY name, part ORDER BY position))
                   WHERE number > 1 ORDER BY position"""
        return self._database.select(query, (), PartTwin._make)

    def list_staged(self) -> list[tuple[str, tuple[int, ...]]]:
        """List the staged groups by name, each with the numbers of its parts in order."""
        query = "SELECT position, line, name, part FROM temp.staged_parts ORDER BY name, part"
        found = self._database.select(query, (), StagedPart._make)
        return [
            (name, tuple(each.part for each in parts))
            for name, parts in itertools.groupby(found, key=attrgetter("group"))
        ]

    # -- the adopted groups ---------------------------------------------------------------------

    def has_any(self) -> bool:
        """Whether the run's manifest has groups."""
        return bool(self._database.select_number("SELECT EXISTS (SELECT 1 FROM parts)"))

    def stream(self) -> Iterator[Group]:
        """Read the groups by name, each with what became of its parts."""
        pages = self._database.stream_pages(_OUTCOMES, ("", 0, 0), _Columns._make)
        found = itertools.chain.from_iterable(pages)
        for (name, output, made), members in itertools.groupby(found, key=attrgetter(*_HEAD)):
            record = None if made is None else _group_decoder.decode(made)
            yield Group(name, output, record, tuple(map(_read_part, members)))

    def claim(self, output: str, record: GroupRecord) -> None:
        """Write that a group's files are about to be made: whatever a kill leaves is ours, and not done.

        Raises:
            DiskError: The disk failed.
        """
        with self._database.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO own_files VALUES (?)", (output,))
            _keep(connection, output, record)

    def keep(self, output: str, record: GroupRecord | None) -> None:
        """Write what is known of a group's transcript; None if there is none.

        Raises:
            DiskError: The disk failed.
        """
        with self._database.transaction() as connection:
            _keep(connection, output, record)

    def _write_all(self, statement: str, values: Iterable[Sequence[object]]) -> None:
        with self._database.use() as connection:
            connection.execute("SAVEPOINT batch")
            connection.executemany(statement, values)
            connection.execute("RELEASE batch")


def adopt_staged(connection: sqlite3.Connection) -> None:
    """Make the staged groups the run's; the transcripts of others stay, and belong to no row."""
    connection.execute("DELETE FROM parts")
    connection.execute("INSERT INTO parts SELECT position, name, part FROM temp.staged_parts")
    connection.execute("UPDATE groups SET is_asked = 0")
    connection.execute(
        """INSERT INTO groups SELECT output, name, 1, NULL FROM temp.staged_groups WHERE true
           ON CONFLICT (output) DO UPDATE SET name = excluded.name, is_asked = 1"""
    )
    connection.execute(
        "DELETE FROM groups WHERE NOT is_asked AND output IN (SELECT output FROM rows)"
    )


def drop_staged(connection: sqlite3.Connection) -> None:
    """Drop the tables of a plan in the making."""
    connection.execute("DROP TABLE IF EXISTS temp.staged_parts")
    connection.execute("DROP TABLE IF EXISTS temp.staged_groups")


def _keep(connection: sqlite3.Connection, output: str, record: GroupRecord | None) -> None:
    connection.execute("DELETE FROM meta WHERE name = 'report'")
    content = None if record is None else to_json(record)
    connection.execute("UPDATE groups SET record = ? WHERE output = ?", (content, output))


def _read_part(columns: _Columns) -> Part:
    record = None if columns.record is None else _part_decoder.decode(columns.record)
    audio, key = columns.audio or "", columns.key or ""
    return Part(columns.part, columns.id, columns.row_output, audio, key, record)
