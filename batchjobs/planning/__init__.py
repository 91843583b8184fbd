"""Jobs x checkpoint: what there is to do, what it costs, and every row that cannot be done."""

from batchjobs.planning.decisions import refuse_foreign_files
from batchjobs.planning.fingerprint import fingerprint
from batchjobs.planning.make_plan import make_plan
from batchjobs.planning.plan import (
    TO_BUY,
    TO_DO,
    Action,
    BadRowsError,
    Plan,
    Superseded,
    Use,
    Work,
    cost_of,
    decode_row,
    held_segments,
    is_intact,
    serves,
)
from batchjobs.planning.row_builder import recording_key, text_segments
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
    "cost_of",
    "decode_row",
    "fingerprint",
    "held_segments",
    "is_intact",
    "make_plan",
    "recording_key",
    "refuse_foreign_files",
    "serves",
    "text_segments",
]
