"""The one truth about what is done: an SQLite file in the run folder, with a ledger of attempts."""

from batchjobs.checkpoint.checkpoint import Checkpoint
from batchjobs.checkpoint.database import FILE_NAME
from batchjobs.checkpoint.records import (
    AttemptEnd,
    AttemptStart,
    FileRecord,
    JobRecord,
    Row,
    RunTotals,
    SegmentChanges,
    SegmentRecord,
    SourceRecord,
)

__all__ = [
    "FILE_NAME",
    "AttemptEnd",
    "AttemptStart",
    "Checkpoint",
    "FileRecord",
    "JobRecord",
    "Row",
    "RunTotals",
    "SegmentChanges",
    "SegmentRecord",
    "SourceRecord",
]
