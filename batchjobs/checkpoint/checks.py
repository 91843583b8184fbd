"""What a check found of finished results: verdicts, what was heard, signs; of the takes, too."""

import enum
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from batchjobs.checkpoint.database import Database
from batchjobs.checkpoint.records import JobRecord, Row, read_record, read_row, to_json


class CheckVerdict(enum.StrEnum):
    """What a check says of a result."""

    GOOD = "good"
    BAD = "bad"
    INCONCLUSIVE = "inconclusive"
    """It cannot be told from what was heard: nothing is bought for it."""
    SCORED = "scored"
    """A transcript beside its row's reference: measured, and judged by nobody."""


SILENCE_DBFS: Final = -120.0
"""The level of a clip in which every sample is zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordRun:
    """Words in a row that stand on one side only: missing from what was heard, or foreign to the text.

    Attributes:
        words: The words, as they are written there.
        count: How many.
        first: The place of the first among the words of its side, from 0; signs alone are no word.
    """

    words: str
    count: int
    first: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechScores:
    """What listeners would say of a clip, from 1 (bad) to 5 (excellent), as a model of them judges.

    Attributes:
        signal: Of the speech itself.
        background: Of what is behind it.
        overall: Of both.
    """

    signal: float
    background: float
    overall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSigns:
    """What can be measured of a clip, without a model but for the scores.

    Attributes:
        seconds: Its length.
        level_dbfs: Of the parts with sound, the root mean square.
        peak_dbfs: Of the loudest sample.
        clipped: The share of samples at full scale, where several stand in a row.
        head_silence_seconds: Before the first sound.
        tail_silence_seconds: After the last one.
        letters_per_second: Between these; a digit counts for four letters.
        rate_deviations: How far its length is from what the voice takes for such a text, in
            deviations of it: above 0 is faster.
        pitch_hz: The middle pitch of the voiced parts; 0 if there are too few.
        voice_deviations: How far pitch and colour are from the voice's other clips, in deviations.
        scores: What listeners would say, where that was asked for.
    """

    seconds: float
    level_dbfs: float
    peak_dbfs: float
    clipped: float = 0.0
    head_silence_seconds: float = 0.0
    tail_silence_seconds: float = 0.0
    letters_per_second: float = 0.0
    rate_deviations: float = 0.0
    pitch_hz: float = 0.0
    voice_deviations: float = 0.0
    scores: SpeechScores | None = None

    @property
    def has_sound(self) -> bool:
        """Whether there is anything to be heard."""
        return self.level_dbfs > SILENCE_DBFS


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRecord:
    """What a check found of one result.

    It holds for the file with this hash and no other: a clip that was bought anew has none.

    Attributes:
        id: The row's.
        sha256: Of the result's main file, as in its `FileRecord`.
        path: Where that stood, below the run folder.
        take: 0 for what the run itself bought, n for the nth time that it was bought again.
        verdict: What the check says.
        reasons: Why, a clause each; for `good` there may be none.
        badness: By how much a result is the worse: the worst stand first. 0 is faultless.
        cer: Character error rate of the normalised texts; None where nothing was heard of it.
        wer: Word error rate.
        missing: The longest run of the text's words that were not heard.
        foreign: The longest run of heard words that are not in the text.
        heard: The transcript.
        provider: Who heard it; empty where it was judged by its signs alone.
        signs: What was measured of the clip; None of a transcript.
        checked_at: Unix time.
    """

    id: str
    sha256: str
    path: str = ""
    take: int = 0
    verdict: CheckVerdict
    reasons: tuple[str, ...] = ()
    badness: float = 0.0
    cer: float | None = None
    wer: float | None = None
    missing: WordRun | None = None
    foreign: WordRun | None = None
    heard: str = ""
    provider: str = ""
    signs: ClipSigns | None = None
    checked_at: float = 0.0


class CheckedOutcome(NamedTuple):
    """A row, what became of it, and what a check found of that; None where there is nothing."""

    row: Row
    record: JobRecord | None
    check: CheckRecord | None


# Of results in other files than those that were checked nothing is known.
_IS_CURRENT = """checks.id = rows.id AND checks.sha256 =
    json_extract(CAST(jobs.record AS TEXT), '$.files[0].sha256')"""
_OUTCOMES = f"""SELECT rows.*, jobs.record, checks.record FROM rows
                LEFT JOIN jobs ON jobs.id = rows.id AND jobs.key = rows.key
                LEFT JOIN checks ON {_IS_CURRENT}"""
_decoder = msgspec.json.Decoder(CheckRecord)


@dataclass
class Checks:
    """Reads what a check found."""

    _database: Database

    def stream_outcomes(self) -> Iterator[CheckedOutcome]:
        """Read the rows in the manifest's order, each with its record and what was found of it."""
        query = f"{_OUTCOMES} WHERE position > ? ORDER BY position LIMIT ?"
        for page in self._database.stream_pages(query, (0,), _read_outcome):
            yield from page

    def find_outcomes(self, ids: Sequence[str]) -> dict[str, CheckedOutcome]:
        """Look up rows by id, each with its record and what was found of it."""
        query = f"{_OUTCOMES} WHERE rows.id IN (SELECT value FROM json_each(?))"
        found = self._database.select(query, (json.dumps(list(ids)),), _read_outcome)
        return {outcome.row.id: outcome for outcome in found}

    def find(self, ids: Sequence[str]) -> dict[str, CheckRecord]:
        """Look up by row id what was found of the results as they stand."""
        outcomes = self.find_outcomes(ids).values()
        return {each.row.id: each.check for each in outcomes if each.check is not None}

    def find_takes(self, row_id: str) -> list[CheckRecord]:
        """Look up all that was ever found of a row's results, the run's own and each take."""
        query = "SELECT record FROM checks WHERE id = ? ORDER BY take"
        return self._database.select(query, (row_id,), _read_check)

    def count(self) -> dict[CheckVerdict, int]:
        """Count the verdicts over the results as they stand; those without one are not counted."""
        query = f"""SELECT checks.verdict, count(*) FROM rows
                    JOIN jobs ON jobs.id = rows.id AND jobs.key = rows.key
                    JOIN checks ON {_IS_CURRENT} GROUP BY 1"""
        if not self.has_any():
            return {}
        found = self._database.select(query, (), tuple)
        counts = {CheckVerdict(str(verdict)): int(str(count)) for verdict, count in found}
        return {verdict: counts[verdict] for verdict in CheckVerdict if verdict in counts}

    def has_any(self) -> bool:
        """Whether anything was ever checked here: asked before a join over all rows."""
        return bool(self._database.select_number("SELECT EXISTS (SELECT 1 FROM checks)"))


def write_checks(connection: sqlite3.Connection, records: Sequence[CheckRecord]) -> None:
    """Write what was found, in the place of what was found of the same files before."""
    connection.executemany(
        "INSERT OR REPLACE INTO checks VALUES (?, ?, ?, ?, ?, ?)",
        [
            (each.id, each.sha256, each.take, each.verdict.value, each.badness, to_json(each))
            for each in records
        ],
    )


def describe_check(check: CheckRecord) -> Mapping[str, object]:
    """Give what was found as results show it, in plain types."""
    found: dict[str, object] = msgspec.to_builtins(check)
    for name in ("id", "sha256", "path"):  # the result has these itself
        del found[name]
    return found


def _read_outcome(columns: Sequence[object]) -> CheckedOutcome:
    *row, record, check = columns
    return CheckedOutcome(
        read_row(row),
        None if record is None else read_record(record),
        None if check is None else _read_check((check,)),
    )


def _read_check(columns: Sequence[object]) -> CheckRecord:
    content = columns[0]
    if not isinstance(content, bytes):
        raise msgspec.DecodeError("a record is no JSON")
    return _decoder.decode(content)
