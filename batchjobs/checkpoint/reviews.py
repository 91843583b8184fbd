"""What somebody who listened has decided about rows: kept beside the jobs, read by what exports them."""

import enum
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

import msgspec

from batchjobs.checkpoint.database import Database

_VALUES: Final = attrgetter("id", "key", "sha256", "decision", "note", "decided_at")
_COLUMNS: Final = "id, reviews.key, sha256, decision, note, decided_at"


class Decision(enum.StrEnum):
    """What can be decided about a clip or a transcript."""

    ACCEPT = "accept"
    """It is good: done, if it was suspect."""
    REJECT = "reject"
    """It is bad: to be bought again by the next run."""
    DROP = "drop"
    """The row is to be left out of exports, whatever its result is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A decision about a row.

    Attributes:
        id: The row's.
        key: Of what it asked for.
        sha256: Of the file that was listened to, or read, as its `FileRecord` has it.
        decision: What was decided.
        note: What was noted beside it; may be empty.
        decided_at: Unix time at which it was taken into the checkpoint.
    """

    id: str
    key: str
    sha256: str
    decision: Decision
    note: str = ""
    decided_at: float = 0.0


@dataclass
class Reviews:
    """Reads decisions."""

    _database: Database

    def find(self, ids: Sequence[str]) -> dict[str, Review]:
        """Find what was decided about these rows, by id; also where they ask for something else by now."""
        query = f"SELECT {_COLUMNS} FROM reviews WHERE id IN (SELECT value FROM json_each(?))"
        found = self._database.select(query, (json.dumps(list(ids)),), _read_review)
        return {review.id: review for review in found}

    def stream(self) -> Iterator[Review]:
        """Read every decision that is about what its row asks for now, by id."""
        query = f"""SELECT {_COLUMNS} FROM reviews JOIN rows USING (id)
                    WHERE reviews.key = rows.key AND id > ? ORDER BY id LIMIT ?"""
        for page in self._database.stream_pages(query, ("",), _read_review):
            yield from page

    def find_dropped(self) -> set[str]:
        """Find the ids of the rows that are to be left out of exports."""
        query = """SELECT reviews.id FROM reviews JOIN rows USING (id)
                   WHERE reviews.key = rows.key AND decision = 'drop'"""
        return self._database.select_texts(query)


def write(connection: sqlite3.Connection, reviews: Sequence[Review]) -> None:
    """Write decisions, each in the place of the row's earlier one."""
    connection.executemany(
        "INSERT OR REPLACE INTO reviews VALUES (?, ?, ?, ?, ?, ?)", map(_VALUES, reviews)
    )


def _read_review(columns: Sequence[object]) -> Review:
    names = ("id", "key", "sha256", "decision", "note", "decided_at")
    return msgspec.convert(dict(zip(names, columns, strict=True)), Review)
