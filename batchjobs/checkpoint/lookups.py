"""What is known of jobs, of the files that they left, and of the recordings that were read."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from batchjobs.checkpoint.database import Database
from batchjobs.checkpoint.records import (
    SEPARATOR,
    JobRecord,
    ShapeRecord,
    SourceRecord,
    read_record,
)
from batchjobs.checkpoint.schema import IS_LOSSY
from batchjobs.files import run_folder

_DONORS: Final = 20
"""Of ten thousand rows that ask the same, each would read all the others."""
_IS_SUSPECT: Final = f"path >= '{run_folder.SUSPECTS}/' AND path < '{run_folder.SUSPECTS}0'"
"""A range, which an index knows: 0 comes after the slash."""
_IS_SEGMENT: Final = f"path >= '{run_folder.SEGMENTS}/' AND path < '{run_folder.SEGMENTS}0'"
IS_RESULT: Final = f"NOT ({_IS_SUSPECT}) AND NOT ({_IS_SEGMENT})"


GROUP_OUTPUTS: Final = "SELECT output FROM groups WHERE is_asked"


class SuspectFiles(NamedTuple):
    """Files of results in doubt.

    Attributes:
        ours: Paths of main files that are ours, whatever became of them.
        used: Paths of files that are in use.
    """

    ours: set[str]
    used: set[str]


class RejectedResult(NamedTuple):
    """A result that somebody has rejected.

    Attributes:
        place: The path that its row names.
        record: The result, as it is kept.
    """

    place: str
    record: JobRecord


@dataclass
class Lookups:
    """Looks up jobs, files and recordings."""

    _database: Database

    # -- jobs -----------------------------------------------------------------------------------

    def find(self, ids: Sequence[str]) -> dict[str, JobRecord]:
        """Find what is known of these jobs, by id."""
        query = "SELECT record FROM jobs WHERE id IN (SELECT value FROM json_each(?))"
        return {record.id: record for record in self._select(query, json.dumps(list(ids)))}

    def find_donors(self, key: str) -> list[JobRecord]:
        """Find finished jobs that already have what this key asks for: some, if there are many.

        Those whose files hold the samples exactly come first: they can become every format.
        """
        found = "SELECT record FROM jobs WHERE key = ?1 AND status = 'done'"
        query = f"{found} AND NOT {IS_LOSSY} UNION ALL {found} AND {IS_LOSSY} LIMIT ?2"
        return self._select(query, key, _DONORS)

    def find_suspects(self, key: str) -> list[JobRecord]:
        """Find the jobs, some if there are many, that have this key's result in doubt."""
        query = "SELECT record FROM jobs WHERE key = ? AND status = 'suspect' LIMIT ?"
        return self._select(query, key, _DONORS)

    def find_failure(self, key: str, *, besides: str = "") -> JobRecord | None:
        """Find a job that failed at what this key asks for.

        Args:
            key: The key.
            besides: The id of a job that is not meant.
        """
        query = """SELECT record FROM jobs WHERE key = ? AND status = 'failed'
                   AND id <> ? LIMIT 1"""
        found = self._select(query, key, besides)
        return found[0] if found else None

    def find_bought_keys(self, keys: Sequence[str]) -> set[str]:
        """Find which of these keys some job already has, done or in doubt."""
        query = """SELECT DISTINCT key FROM jobs WHERE status IN ('done', 'suspect')
                   AND key IN (SELECT value FROM json_each(?))"""
        return self._database.select_texts(query, json.dumps(list(keys)))

    def stream_done(self) -> Iterator[JobRecord]:
        """Read every finished job of the folder, by id, also those the manifest has lost."""
        query = """SELECT id, record FROM jobs WHERE status = 'done' AND id > ?
                   ORDER BY id LIMIT ?"""
        for page in self._database.stream_pages(query, ("",), _read_last):
            yield from page

    def count_suspects(self) -> int:
        """Count the rows whose result is in doubt."""
        query = "SELECT count(*) FROM jobs JOIN rows USING (id, key) WHERE status = 'suspect'"
        return self._database.select_number(query)

    def find_suspect_kinds(self) -> set[str]:
        """Find which kinds of results are in doubt."""
        query = """SELECT DISTINCT rows.kind FROM jobs JOIN rows USING (id, key)
                   WHERE status = 'suspect'"""
        return self._database.select_texts(query)

    def has_bought_from(self, provider: str) -> bool:
        """Whether a session with this provider ever led to a result here."""
        query = """SELECT EXISTS (SELECT 1 FROM attempts
                   WHERE provider = ? AND result IN ('done', 'kept', 'suspect'))"""
        return bool(self._database.select_number(query, provider))

    def find_exchanges(self) -> list[JobRecord]:
        """Find the takes that a killed check was about to put in the places of jobs' files.

        Returns:
            As `Checkpoint.begin_exchange` was given them.
        """
        query = f"""SELECT record FROM jobs WHERE instr(id, char(31)) > 0
                    AND output >= '{run_folder.TAKES}/' AND output < '{run_folder.TAKES}0'"""
        found = self._select(query)
        return [replace(record, id=record.id.partition(SEPARATOR)[0]) for record in found]

    def is_asked_for(self, record: JobRecord) -> bool:
        """Whether a row asks for this very result, there, and not only for what is in it."""
        query = "SELECT count(*) FROM rows WHERE id = ? AND key = ? AND output = ?"
        return bool(self._database.select_number(query, record.id, record.key, record.output))

    # -- files ----------------------------------------------------------------------------------

    def is_own_file(self, output: str) -> bool:
        """Whether the file at this path below the run folder can only be this run's own.

        It is if a result ever stood there, or if an attempt at one has begun: a run killed between
        the file's rename and the commit leaves it there. Copies begin no attempts: theirs are where
        a plan put them, for whichever row.
        """
        query = """SELECT EXISTS (SELECT 1 FROM own_files WHERE path = ?1)
                   OR EXISTS (SELECT 1 FROM rows WHERE output = ?1
                              AND action IN ('copy', 'follow'))"""
        return bool(self._database.select_number(query, output))

    def count_own_files(self) -> int:
        """Count the paths of results that were ever ours, the transcripts of groups left out."""
        # All, less the few that are not: a million are counted in an eighth of the time of a look at each.
        return self._database.select_number(
            f"""SELECT (SELECT count(*) FROM own_files)
                - (SELECT count(*) FROM own_files WHERE {_IS_SUSPECT})
                - (SELECT count(*) FROM own_files WHERE {_IS_SEGMENT})
                - (SELECT count(*) FROM own_files WHERE path IN ({GROUP_OUTPUTS}) AND {IS_RESULT})"""
        )

    def find_unasked(self) -> list[str]:
        """Find the paths of results that were ever ours and that no row or group names, in order."""
        query = f"""SELECT path FROM own_files WHERE {IS_RESULT}
                    EXCEPT SELECT output FROM rows EXCEPT {GROUP_OUTPUTS} ORDER BY path"""
        return self._database.select(query, (), _read_first)

    def find_suspect_paths(self, job_id: str) -> set[str]:
        """Find the paths where results of a job are kept in doubt, of earlier contents too."""
        query = """SELECT output FROM jobs WHERE status = 'suspect'
                   AND (id = ?1 OR id > ?1 || char(31) AND id < ?1 || char(32))"""
        return self._database.select_texts(query, job_id)

    def find_suspect_files(self) -> SuspectFiles:
        """Find the files that results in doubt may be in, and those that they are in."""
        ours = self._database.select_texts(f"SELECT path FROM own_files WHERE {_IS_SUSPECT}")
        if not ours:
            return SuspectFiles(set(), set())
        query = f"""SELECT json_extract(file.value, '$.path') FROM jobs,
                    json_each(CAST(record AS TEXT), '$.files') AS file WHERE status = 'suspect'
                    UNION SELECT path FROM segments WHERE {_IS_SUSPECT}"""
        return SuspectFiles(ours, self._database.select_texts(query))

    def find_rejected(self) -> list[RejectedResult]:
        """Find the results that were rejected, and the places of their rows, where none of it is to stand."""
        query = """SELECT rows.output, record FROM jobs JOIN rows USING (id, key)
                   WHERE status = 'suspect'
                   AND EXISTS (SELECT 1 FROM json_each(CAST(record AS TEXT), '$.doubts') AS doubt
                               WHERE json_extract(doubt.value, '$.sign') = 'rejected')"""
        return self._database.select(query, (), _read_rejected)

    # -- recordings -----------------------------------------------------------------------------

    def find_source(self, path: str) -> SourceRecord | None:
        """Look up a recording that was read before."""
        query = """SELECT path, bytes, modified_ns, sha256, seconds,
                   coalesce(heard, 1), coalesce(tracks, 1)
                   FROM sources LEFT JOIN tracks USING (path) WHERE path = ?"""
        found = self._database.select(query, (path,), SourceRecord._make)
        return found[0] if found else None

    def has_sources_below(self, start: str) -> bool:
        """Whether a recording was read before whose path begins so."""
        query = "SELECT 1 FROM sources WHERE path >= ? AND path < ? LIMIT 1"
        return bool(self._database.select(query, (start, f"{start}\U0010ffff"), tuple))

    def remember_sources(self, sources: Sequence[SourceRecord]) -> None:
        """Keep what was read of recordings, if the folder is ours to write in."""
        if self._database.is_held:
            with self._database.transaction() as connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO sources VALUES (?,?,?,?,?)",
                    [source[:5] for source in sources],
                )
                for table in ("tracks", "shapes"):
                    connection.executemany(
                        f"DELETE FROM {table} WHERE path = ?",
                        [(source.path,) for source in sources],
                    )
                connection.executemany(
                    "INSERT OR REPLACE INTO tracks VALUES (?,?,?)",
                    [(each.path, each.track, each.tracks) for each in sources if each.tracks > 1],
                )

    def find_shape(self, path: str, track: int) -> ShapeRecord | None:
        """Look up a track of a recording that was read before; 0 is its default one."""
        query = "SELECT path, track, seconds, channels FROM shapes WHERE path = ? AND track = ?"
        found = self._database.select(query, (path, track), ShapeRecord._make)
        return found[0] if found else None

    def find_length(self, track: int, path: str) -> float:
        """Give the seconds of a track of a recording, 0 the default one; 0 if it was never read."""
        shape, source = self.find_shape(path, track), self.find_source(path)
        return shape.seconds if shape else source.seconds if source else 0.0

    def remember_shapes(self, shapes: Sequence[ShapeRecord]) -> None:
        """Keep what was read of tracks, after the recordings that they are in."""
        if self._database.is_held:
            with self._database.transaction() as connection:
                connection.executemany("INSERT OR REPLACE INTO shapes VALUES (?,?,?,?)", shapes)

    def _select(self, query: str, *parameters: object) -> list[JobRecord]:
        return self._database.select(query, parameters, _read_last)


def _read_last(columns: Sequence[object]) -> JobRecord:
    return read_record(columns[-1])


def _read_first(columns: Sequence[object]) -> str:
    return str(columns[0])


def _read_rejected(columns: Sequence[object]) -> RejectedResult:
    place, record = columns
    return RejectedResult(str(place), read_record(record))
