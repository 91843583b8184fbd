"""The sums over a run: where its rows stand, what was sent, what is still to be sent."""

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from batchjobs.checkpoint.database import Database
from batchjobs.checkpoint.records import SIDES


class RunTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run's current manifest stands, and what was sent over all runs in this folder.

    In the order of ``summary.json``, whose earlier versions did not count all of it.

    Attributes:
        rows: Rows of the manifest.
        done: Rows whose result is there.
        suspect: Rows whose result is kept and in doubt.
        failed: Rows that failed.
        not_run: Rows that have no answer yet.
        no_speech: Rows done whose recording held no speech.
        errors: Failed rows by class.
        doubts: Suspect rows by what speaks against them first.
        failed_passing: Those that failed for a reason that may pass: the next run tries them again.
        suspect_passing: Suspect rows with attempts left: the next run goes on with them.
        sides_silent: Channels of recordings heard apart that hold no speech, and were not sent.
        sides_same: Rows whose channels, some of them, are the same, and were heard once.
        audio_seconds: Of audio made or transcribed.
        attempts: Sessions begun.
        attempts_open: Sessions begun that have no end yet; where no run goes on, lost as well.
        attempts_lost: Sessions lost to a killed process.
        characters_sent: Over all attempts.
        audio_seconds_sent: Over all attempts.
        audio_seconds_billed: Over all attempts whose service said how much it billed.
    """

    rows: int = 0
    done: int = 0
    suspect: int = 0
    failed: int = 0
    not_run: int = 0
    no_speech: int = 0
    errors: dict[str, int] = {}
    doubts: dict[str, int] = {}
    failed_passing: int = 0
    suspect_passing: int = 0
    sides_silent: int = 0
    sides_same: int = 0
    audio_seconds: float = 0.0
    attempts: int = 0
    attempts_open: int = 0
    attempts_lost: int = 0
    characters_sent: int = 0
    audio_seconds_sent: float = 0.0
    audio_seconds_billed: float = 0.0


class SentTotal(NamedTuple):
    """What was sent to a provider, apart by whether it led to a result, if only to one in doubt.

    Attributes:
        provider: Its name.
        led_to_result: Whether it did.
        characters: Sent.
        audio_seconds: Sent.
        paid_seconds: Of audio that it takes money for: what it said that it billed, or else what was sent.
    """

    provider: str
    led_to_result: bool
    characters: int
    audio_seconds: float
    paid_seconds: float


class AccountTotal(NamedTuple):
    """What was sent with one account.

    Attributes:
        provider: Whom it is with.
        account: Its name; empty of attempts of which it is not known.
        characters: Sent.
        audio_seconds: Sent.
        paid_seconds: As in `SentTotal`.
    """

    provider: str
    account: str
    characters: int
    audio_seconds: float
    paid_seconds: float


class SpentTotal(NamedTuple):
    """What sessions of one day, provider, voice and result have sent.

    Attributes:
        day: On which they began, as ISO 8601 writes it, by this machine's clock.
        provider: Who was asked.
        voice: Which voice; empty for a transcription, and for a row that the manifest has lost.
        result: What became of them, as the ledger has it; empty of those that are open.
        attempts: How many.
        characters: Sent in them.
        audio_seconds: Sent in them.
        paid_seconds: As in `SentTotal`.
    """

    day: str
    provider: str
    voice: str
    result: str
    attempts: int
    characters: int
    audio_seconds: float
    paid_seconds: float


class Pace(NamedTuple):
    """How sessions went last.

    Attributes:
        moved_at: Unix time at which one last led to a result; 0 if none has.
        failure: What the last one that ended said, if it led to none.
    """

    moved_at: float
    failure: str


class UnsettledTotal(NamedTuple):
    """The rows of a provider that have no answer yet, and what they are to send."""

    provider: str
    rows: int
    characters: int
    audio_seconds: float

    @property
    def paid_seconds(self) -> float:
        """As in `SentTotal`."""
        return self.audio_seconds


_ROWS = """
SELECT count(*) AS rows,
    count(*) FILTER (WHERE status = 'done') AS done,
    count(*) FILTER (WHERE status = 'suspect') AS suspect,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    count(*) FILTER (WHERE status IS NULL) AS not_run,
    count(*) FILTER (WHERE status = 'done' AND error_class = 'no_speech') AS no_speech
FROM rows LEFT JOIN jobs ON jobs.id = rows.id AND jobs.key = rows.key"""
_RECORDS = """
SELECT count(*) FILTER (WHERE status = 'failed' AND json_extract(record, '$.is_passing')) AS failed_passing,
    count(*) FILTER (WHERE status = 'suspect' AND json_extract(record, '$.is_passing')) AS suspect_passing,
    total(json_extract(record, '$.audio_seconds')) FILTER (WHERE status = 'done') AS audio_seconds
FROM (SELECT status, CAST(record AS TEXT) AS record FROM jobs JOIN rows USING (id, key))"""
_SIDES = f"""
SELECT count(*) FILTER (WHERE state = 'silent') AS sides_silent,
    count(DISTINCT id) FILTER (WHERE state = 'same') AS sides_same
FROM (SELECT rows.id, json_extract(side.value, '$.state') AS state
      FROM rows JOIN jobs USING (id, key), json_each(CAST(record AS TEXT), '$.sides') AS side
      WHERE rows.layout GLOB '{SIDES}*' AND status = 'done')"""
_ATTEMPTS = """
SELECT count(*) AS attempts,
    count(*) FILTER (WHERE ended_at IS NULL) AS attempts_open,
    count(*) FILTER (WHERE result = 'lost') AS attempts_lost,
    coalesce(sum(characters), 0) AS characters_sent,
    total(audio_seconds) AS audio_seconds_sent,
    (SELECT total(audio_seconds) FROM receipts) AS audio_seconds_billed
FROM attempts"""
_ERRORS = """
SELECT error_class, count(*) FROM jobs JOIN rows USING (id, key)
WHERE status = 'failed' GROUP BY error_class ORDER BY count(*) DESC"""
_DOUBTS = """
SELECT json_extract(CAST(record AS TEXT), '$.doubts[0].sign'), count(*)
FROM jobs JOIN rows USING (id, key) WHERE status = 'suspect' GROUP BY 1 ORDER BY count(*) DESC"""
# What was kept and is no more, because its row was edited or copied from elsewhere, is waste.
_SENT = """
SELECT provider, result = 'done' OR (? AND ended_at IS NULL) OR result = 'kept' AND (
        EXISTS (SELECT 1 FROM jobs WHERE jobs.key = attempts.key AND jobs.status = 'suspect')
        OR EXISTS (SELECT 1 FROM segments WHERE segments.key = attempts.key)),
    sum(characters), sum(attempts.audio_seconds),
    sum(coalesce(receipts.audio_seconds, attempts.audio_seconds))
FROM attempts LEFT JOIN receipts ON attempt = number GROUP BY 1, 2"""
_BY_ACCOUNT = """
SELECT provider, account, sum(characters), sum(attempts.audio_seconds),
    sum(coalesce(receipts.audio_seconds, attempts.audio_seconds))
FROM attempts LEFT JOIN receipts ON attempt = number GROUP BY 1, 2 ORDER BY 1, 2"""
_SPENT = """
SELECT date(started_at, 'unixepoch', 'localtime'), sent.provider,
    coalesce(json_extract(CAST(rows.job AS TEXT), '$.speech.voice_id'), ''), result,
    count(*), sum(sent.characters), sum(sent.audio_seconds),
    sum(coalesce(receipts.audio_seconds, sent.audio_seconds))
FROM attempts AS sent LEFT JOIN rows ON rows.id = sent.job LEFT JOIN receipts ON attempt = sent.number
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"""
_PACE = """
SELECT coalesce((SELECT max(ended_at) FROM attempts WHERE result IN ('done', 'kept')), 0),
    coalesce((SELECT CASE WHEN result IN ('done', 'kept') THEN '' ELSE message END FROM attempts
              WHERE ended_at IS NOT NULL ORDER BY number DESC LIMIT 1), '')"""
_UNSETTLED = """
SELECT provider, count(*), sum(characters), sum(seconds) FROM rows
WHERE provider <> '' AND NOT EXISTS (
    SELECT 1 FROM jobs WHERE jobs.id = rows.id AND jobs.key = rows.key) GROUP BY provider"""


@dataclass
class Totals:
    """Sums over the adopted rows and the attempts."""

    _database: Database

    def count_rows(self) -> RunTotals:
        """Count where the run's manifest stands; also right while a run goes on."""
        with self._database.snapshot() as connection:
            found: dict[str, object] = {}
            for query in (_ROWS, _RECORDS, _SIDES, _ATTEMPTS):
                cursor = connection.execute(query)
                names = [column[0] for column in cursor.description]
                found |= zip(names, cursor.fetchone(), strict=True)
            found["errors"] = dict(connection.execute(_ERRORS).fetchall())
            found["doubts"] = dict(connection.execute(_DOUBTS).fetchall())
        return msgspec.convert(found, RunTotals)

    def sum_sent(self, *, is_running: bool = False) -> list[SentTotal]:
        """Sum what was sent, by provider.

        Args:
            is_running: Sessions that are open may still lead to a result.
        """
        return self._database.select(_SENT, (is_running,), SentTotal._make)

    def sum_spent(self) -> list[SpentTotal]:
        """Sum what was sent, by day, provider, voice and result, in this order."""
        return self._database.select(_SPENT, (), SpentTotal._make)

    def sum_accounts(self) -> list[AccountTotal]:
        """Sum what was sent, by provider and account."""
        return self._database.select(_BY_ACCOUNT, (), AccountTotal._make)

    def sum_unsettled(self) -> list[UnsettledTotal]:
        """Sum the rows that have no answer yet, by provider."""
        return self._database.select(_UNSETTLED, (), UnsettledTotal._make)

    def find_pace(self) -> Pace:
        """Say how sessions went last."""
        return self._database.select(_PACE, (), Pace._make)[0]
