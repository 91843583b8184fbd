"""The one truth about what is done: an SQLite file in the run folder, with a ledger of attempts."""

from batchjobs.checkpoint.checkpoint import Checkpoint
from batchjobs.checkpoint.checks import (
    SILENCE_DBFS,
    CheckedOutcome,
    CheckRecord,
    CheckVerdict,
    ClipSigns,
    SpeechScores,
    WordRun,
    describe_check,
)
from batchjobs.checkpoint.groups import Group, GroupRecord, Part, StagedPart
from batchjobs.checkpoint.holding import hold_results
from batchjobs.checkpoint.lookups import RejectedResult
from batchjobs.checkpoint.loudness import LoudnessRecord
from batchjobs.checkpoint.new_rows import Mold, NewRows
from batchjobs.checkpoint.orders import ORDERS, Choice, Requeued
from batchjobs.checkpoint.outline import StagedTotal, cut_speech
from batchjobs.checkpoint.records import (
    SIDES,
    AttemptEnd,
    AttemptStart,
    FileRecord,
    JobRecord,
    Row,
    SegmentChanges,
    SegmentRecord,
    Settled,
    ShapeRecord,
    SourceRecord,
)
from batchjobs.checkpoint.reviews import Decision, Review
from batchjobs.checkpoint.rows import FinishedPage, Outcome
from batchjobs.checkpoint.staging import Prices
from batchjobs.checkpoint.totals import RunTotals, SentTotal, SpentTotal

__all__ = [
    "ORDERS",
    "SIDES",
    "SILENCE_DBFS",
    "AttemptEnd",
    "AttemptStart",
    "CheckRecord",
    "CheckVerdict",
    "CheckedOutcome",
    "Checkpoint",
    "Choice",
    "ClipSigns",
    "Decision",
    "FileRecord",
    "FinishedPage",
    "Group",
    "GroupRecord",
    "JobRecord",
    "LoudnessRecord",
    "Mold",
    "NewRows",
    "Outcome",
    "Part",
    "Prices",
    "RejectedResult",
    "Requeued",
    "Review",
    "Row",
    "RunTotals",
    "SegmentChanges",
    "SegmentRecord",
    "SentTotal",
    "Settled",
    "ShapeRecord",
    "SourceRecord",
    "SpeechScores",
    "SpentTotal",
    "StagedPart",
    "StagedTotal",
    "WordRun",
    "cut_speech",
    "describe_check",
    "hold_results",
]
