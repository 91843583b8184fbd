"""Jobs x checkpoint: what there is to do, what it costs, and every row that cannot be done."""

from batchjobs.planning.fingerprint import fingerprint_of
from batchjobs.planning.intact import can_serve, find_held_segments, is_intact
from batchjobs.planning.keys import cut_text, recording_key
from batchjobs.planning.make_plan import make_plan
from batchjobs.planning.ownership import refuse_foreign_files
from batchjobs.planning.plan import (
    TO_BUY,
    TO_DO,
    Action,
    BadRowsError,
    Plan,
    Superseded,
    Use,
    Work,
)
from batchjobs.planning.totals import LETTERS_PER_SECOND

__all__ = [
    "LETTERS_PER_SECOND",
    "TO_BUY",
    "TO_DO",
    "Action",
    "BadRowsError",
    "Plan",
    "Superseded",
    "Use",
    "Work",
    "can_serve",
    "cut_text",
    "find_held_segments",
    "fingerprint_of",
    "is_intact",
    "make_plan",
    "recording_key",
    "refuse_foreign_files",
]
