"""One event of each kind."""

from batchjobs.checkpoint import FileRecord, JobRecord
from batchjobs.jobs import Ending, Evidence, Kind, Status
from batchjobs.outputs.summary import RunSummary
from batchjobs.progress import (
    Event,
    JobFinished,
    JobRetried,
    RunFinished,
    RunStarted,
    RunStopping,
    SlowedDown,
)

_ARABIC = "مَرْحَبًا \u200dـــ ٤٥"


def _record(status: Status = Status.DONE) -> JobRecord:
    return JobRecord(
        id=_ARABIC,
        key="k",
        kind=Kind.STT,
        status=status,
        text=_ARABIC,
        audio_seconds=2.5,
        files=(FileRecord(path="a", bytes=1, sha256="s"),),
        evidence=Evidence(
            ending=Ending.SETTLED,
            messages=1,
            first_result_seconds=0.1,
            longest_gap_seconds=0.1,
            session_seconds=0.1,
        ),
    )


_STARTED = RunStarted(rows=3, to_do=2, folder=f"outputs/{_ARABIC}")

_DONE = JobFinished(record=_record())

_FAILED = JobFinished(record=_record(Status.FAILED))

_RETRIED = JobRetried(id="a", attempt=1, error_class="timeout", message="m", wait_seconds=1.5)

_SLOWED = SlowedDown(provider="munsit", concurrency=7, message="m")

_STOPPING = RunStopping(reason="SIGINT: open sessions have 30 s; once more to stop at once")

_FINISHED = RunFinished(exit_code=1, totals=RunSummary(rows=3, spent={"USD": 0.5}))

_ALL: tuple[Event, ...] = (_STARTED, _DONE, _RETRIED, _SLOWED, _FAILED, _STOPPING, _FINISHED)
