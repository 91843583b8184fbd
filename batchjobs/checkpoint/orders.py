"""What a hand at a running run has ordered: kept beside the facts about the run, and rows set to go again."""

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from batchjobs.checkpoint import ledger
from batchjobs.checkpoint.database import Database
from batchjobs.jobs import TOO_COSTLY

ORDERS: Final = "orders"
"""The name under which they are kept among the facts about the run."""
_ENDED: Final = """FROM rows JOIN jobs ON jobs.id = rows.id AND jobs.key = rows.key
    WHERE rows.kind <> '' AND jobs.error_class <> :dear
    AND rows.provider IN (SELECT value FROM json_each(:providers))
    AND (jobs.status = 'failed'
         OR jobs.status = 'suspect' AND NOT json_extract(CAST(jobs.record AS TEXT), '$.is_passing'))
    AND (rows.action IN ('kept', 'suspect') OR rows.action IN ('new', 'changed', 'retry', 'remake',
             'copy', 'follow')
         AND json_extract(CAST(jobs.record AS TEXT), '$.finished_at') >= :since)"""
"""Rows that have ended without a good result: in this run, or before it where the plan left them so.

Those that an earlier run has left to this one are in line, and so are those with attempts left.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which of the rows that ended failed or suspect are meant.

    Attributes:
        classes: By the class of their failure; ``suspect`` for results in doubt.
        ids: By their ids.
        is_all: All of them.
    """

    classes: Collection[str] = ()
    ids: Collection[str] = ()
    is_all: bool = False


class _Again(NamedTuple):
    """A row that is to go again, and how it has ended."""

    position: int
    id: str
    key: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeued:
    """What was set to go again.

    Attributes:
        positions: Of the rows.
        failed: How many of them had failed.
        suspect: How many have a result in doubt.
        segment_keys: Of the segments in doubt that are to be bought again.
        unknown: Ids that no row has.
        left: Rows that were named and do not go again: they are in line, done, too dear, or cannot be run.
        lost: As `Checkpoint.recover` gives it, without what was held against these rows.
    """

    positions: tuple[int, ...] = ()
    failed: int = 0
    suspect: int = 0
    segment_keys: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    lost: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Orders:
    """Keeps what was ordered; who writes here holds the run folder."""

    _database: Database

    def keep(self, facts: Mapping[str, str]) -> None:
        """Keep facts about the run, durably.

        Raises:
            DiskError: The disk failed.
        """
        with self._database.transaction() as connection:
            keep(connection, list(facts.items()))

    def requeue(
        self,
        choice: Choice,
        *,
        since: float,
        providers: Collection[str],
        facts: Sequence[tuple[str, str]] = (),
    ) -> Requeued:
        """Let rows that ended failed or suspect go again, durably: as a run with --retry-failed would.

        Rows that ask the same as one of them, and ended so too, go with it: one purchase serves all.

        Args:
            choice: Which of them.
            since: Unix time at which this run began.
            providers: Only rows of these: of others the run has no key.
            facts: What else is to be kept about the run.

        Raises:
            DiskError: The disk failed.
        """
        with self._database.transaction() as connection:
            rows = _find(connection, choice, since, providers)
            ids = [row.id for row in rows]
            segments = _let_go_again(connection, ids)
            unknown, left = _explain(connection, choice, ids)
            keep(connection, facts)
            return Requeued(
                positions=tuple(row.position for row in rows),
                failed=sum(row.status == "failed" for row in rows),
                suspect=sum(row.status == "suspect" for row in rows),
                segment_keys=tuple(segments),
                unknown=unknown,
                left=left,
                lost=ledger.count_lost(connection),
            )


def keep(connection: sqlite3.Connection, facts: Sequence[tuple[str, str]]) -> None:
    """Keep facts about the run."""
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", facts)


def drop(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Drop a fact about the run, unless it is another by now."""
    connection.execute("DELETE FROM meta WHERE name = ? AND value = ?", (name, value))


def _find(
    connection: sqlite3.Connection, choice: Choice, since: float, providers: Collection[str]
) -> list[_Again]:
    query = f"""WITH ended AS MATERIALIZED (SELECT rows.position, rows.id, rows.key, jobs.status,
                    CASE jobs.status WHEN 'suspect' THEN 'suspect' ELSE jobs.error_class END AS class
                {_ENDED}),
            chosen AS MATERIALIZED (SELECT key FROM ended WHERE :all
                OR class IN (SELECT value FROM json_each(:classes))
                OR id IN (SELECT value FROM json_each(:ids)))
            SELECT position, id, key, status FROM ended
            WHERE key IN (SELECT key FROM chosen) ORDER BY position"""
    values = {
        "dear": TOO_COSTLY,
        "since": since,
        "providers": json.dumps(list(providers)),
        "all": choice.is_all,
        "classes": json.dumps(list(choice.classes)),
        "ids": json.dumps(list(choice.ids)),
    }
    return list(map(_Again._make, connection.execute(query, values)))


def _let_go_again(connection: sqlite3.Connection, ids: list[str]) -> list[str]:
    """Write that rows are to go again, whoever runs them, with all their attempts.

    Returns:
        The keys of their segments that are in doubt.
    """
    asked = (json.dumps(ids),)
    these = "id IN (SELECT value FROM json_each(?))"
    # As before an attempt: whatever is copied to their places is known as ours after a kill.
    ledger.claim_files(connection, ids)
    again = "CAST(json_set(CAST(record AS TEXT), '$.is_passing', json('true'), '$.attempts', 0) AS BLOB)"
    connection.execute(f"UPDATE rows SET action = 'retry' WHERE {these}", asked)
    connection.execute(f"UPDATE jobs SET record = {again} WHERE {these}", asked)
    # What they lost to kills was held against them once, in their failure.
    ledger.answer_lost(connection, ids)
    doubted = f"""SELECT json_extract(doubt.value, '$.key') FROM jobs,
                  json_each(CAST(jobs.record AS TEXT), '$.doubts') AS doubt WHERE jobs.{these}"""
    keys = sorted({row[0] for row in connection.execute(doubted, asked) if row[0]})
    connection.execute(
        f"""UPDATE segments SET record = {again} WHERE key IN (SELECT value FROM json_each(?))
            AND json_array_length(CAST(record AS TEXT), '$.doubts') > 0""",
        (json.dumps(keys),),
    )
    return keys


def _explain(
    connection: sqlite3.Connection, choice: Choice, ids: list[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Say which ids that were named no row has, and which rows do not go again."""
    going = set(ids)
    missing = [name for name in choice.ids if name not in going]
    query = "SELECT id FROM rows WHERE id IN (SELECT value FROM json_each(?))"
    known = {row[0] for row in connection.execute(query, (json.dumps(missing),))}
    return (
        tuple(name for name in missing if name not in known),
        tuple(name for name in missing if name in known),
    )
