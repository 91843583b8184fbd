"""The sums over a run: where its rows stand, what was sent, what is still to be sent."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from batchjobs.checkpoint.database import Database

__all__ = ["RunTotals", "SentTotal", "Totals", "UnsettledTotal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTotals:
    """Where a run's current manifest stands.

    Attributes:
        rows: Rows of the manifest.
        done: Rows whose result is there.
        suspect: Rows whose result is kept and in doubt.
        failed: Rows that failed.
        no_speech: Rows done whose recording held no speech.
        errors: Failed rows by class.
        doubts: Suspect rows by what speaks against them first.
        failed_passing: Those that failed for a reason that may pass: the next run tries them again.
        suspect_passing: Suspect rows with attempts left: the next run goes on with them.
        characters_sent: Characters sent over all attempts of all runs in this folder.
        audio_seconds_sent: Seconds of audio sent over all attempts.
        audio_seconds_done: Seconds of audio made or transcribed.
        attempts: Sessions begun.
        attempts_open: Sessions begun that have no end yet; where no run goes on, lost as well.
        attempts_lost: Sessions lost to a killed process.
    """

    rows: int
    done: int
    suspect: int
    failed: int
    no_speech: int
    errors: Mapping[str, int]
    doubts: Mapping[str, int]
    failed_passing: int
    suspect_passing: int
    characters_sent: int
    audio_seconds_sent: float
    audio_seconds_done: float
    attempts: int
    attempts_open: int
    attempts_lost: int

    @property
    def not_run(self) -> int:
        """Rows that have no answer yet."""
        return self.rows - self.done - self.suspect - self.failed


class SentTotal(NamedTuple):
    """What was sent to a provider, apart by whether it led to a result.

    A result that is kept in doubt is one.
    """

    provider: str
    led_to_result: bool
    characters: int
    audio_seconds: float


class UnsettledTotal(NamedTuple):
    """The rows of a provider that have no answer yet, and what they are to send."""

    provider: str
    rows: int
    characters: int
    audio_seconds: float


class Totals:
    """Sums over the adopted rows and the attempts.

    Args:
        database: The checkpoint's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def count_rows(self) -> RunTotals:
        """Count where the run's manifest stands; also right while a run goes on."""
        with self._database.snapshot() as connection:
            return _count_rows(connection)

    def sum_sent(self, *, is_running: bool = False) -> list[SentTotal]:
        """Sum what was sent, by provider.

        Args:
            is_running: Sessions that are open may still lead to a result.
        """
        # What was kept and is no more, because its row was edited or copied from elsewhere, is waste.
        is_kept = """result = 'kept' AND (
            EXISTS (SELECT 1 FROM jobs WHERE jobs.key = attempts.key AND jobs.status = 'suspect')
            OR EXISTS (SELECT 1 FROM segments WHERE segments.key = attempts.key))"""
        query = f"""SELECT provider, result = 'done' OR {is_kept} OR (? AND ended_at IS NULL),
                   total(characters), total(audio_seconds) FROM attempts GROUP BY 1, 2"""
        with self._database.use() as connection:
            found = connection.execute(query, (is_running,))
            return [SentTotal(p, bool(led), int(c), float(s)) for p, led, c, s in found]

    def sum_unsettled(self) -> list[UnsettledTotal]:
        """Sum the rows that have no answer yet, by provider."""
        query = """SELECT provider, count(*), sum(characters), sum(seconds) FROM rows
                   WHERE provider <> '' AND NOT EXISTS (SELECT 1 FROM jobs
                       WHERE jobs.id = rows.id AND jobs.key = rows.key) GROUP BY provider"""
        with self._database.use() as connection:
            return [
                UnsettledTotal(provider, int(rows), int(characters), float(seconds))
                for provider, rows, characters, seconds in connection.execute(query)
            ]


def _count_rows(connection: sqlite3.Connection) -> RunTotals:
    rows, done, suspect, failed, no_speech = connection.execute(
        """SELECT count(*), total(jobs.status = 'done'), total(jobs.status = 'suspect'),
               total(jobs.status = 'failed'),
               total(jobs.status = 'done' AND jobs.error_class = 'no_speech')
           FROM rows LEFT JOIN jobs ON jobs.id = rows.id AND jobs.key = rows.key"""
    ).fetchone()
    errors = connection.execute(
        """SELECT error_class, count(*) FROM jobs JOIN rows USING (id, key)
           WHERE status = 'failed' GROUP BY error_class ORDER BY count(*) DESC"""
    ).fetchall()
    doubts = []
    if suspect:
        doubts = connection.execute(
            """SELECT json_extract(CAST(record AS TEXT), '$.doubts[0].sign'), count(*)
               FROM jobs JOIN rows USING (id, key)
               WHERE status = 'suspect' GROUP BY 1 ORDER BY count(*) DESC"""
        ).fetchall()
    failed_passing, suspect_passing = connection.execute(
        """SELECT total(status = 'failed'), total(status = 'suspect')
           FROM jobs JOIN rows USING (id, key) WHERE status IN ('failed', 'suspect')
           AND json_extract(CAST(record AS TEXT), '$.is_passing')"""
    ).fetchone()
    characters, seconds, attempts, still_open, lost = connection.execute(
        """SELECT total(characters), total(audio_seconds), count(*), total(ended_at IS NULL),
                  total(result = 'lost')
           FROM attempts"""
    ).fetchone()
    done_seconds = connection.execute(
        """SELECT total(json_extract(CAST(record AS TEXT), '$.audio_seconds'))
           FROM jobs JOIN rows USING (id, key) WHERE status = 'done'"""
    ).fetchone()[0]
    return RunTotals(
        rows=rows,
        done=int(done),
        suspect=int(suspect),
        failed=int(failed),
        no_speech=int(no_speech),
        errors=dict(errors),
        doubts=dict(doubts),
        failed_passing=int(failed_passing),
        suspect_passing=int(suspect_passing),
        characters_sent=int(characters),
        audio_seconds_sent=float(seconds),
        audio_seconds_done=float(done_seconds),
        attempts=attempts,
        attempts_open=int(still_open),
        attempts_lost=int(lost),
    )
