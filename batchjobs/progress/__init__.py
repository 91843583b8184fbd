"""What a run tells while it goes, and who listens: bars, plain lines, lines of JSON."""

from batchjobs.progress.bars import Bars
from batchjobs.progress.events import (
    AccountLeft,
    Event,
    JobFinished,
    JobRetried,
    LimitReached,
    Observer,
    RunChanged,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStopping,
    SegmentFinished,
    ServiceBack,
    ServiceLost,
    SessionDone,
    SessionLaunched,
    SlowedDown,
    shield_observer,
)
from batchjobs.progress.json_lines import JsonLines
from batchjobs.progress.lines import Lines

__all__ = [
    "AccountLeft",
    "Bars",
    "Event",
    "JobFinished",
    "JobRetried",
    "JsonLines",
    "LimitReached",
    "Lines",
    "Observer",
    "RunChanged",
    "RunFinished",
    "RunPaused",
    "RunResumed",
    "RunStarted",
    "RunStopping",
    "SegmentFinished",
    "ServiceBack",
    "ServiceLost",
    "SessionDone",
    "SessionLaunched",
    "SlowedDown",
    "shield_observer",
]
