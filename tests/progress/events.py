"""One event of each kind."""

from dataclasses import replace

from batchjobs.checkpoint import JobRecord
from batchjobs.jobs import Ending, Kind, Status
from batchjobs.outputs.summary import RunSummary
from batchjobs.progress import (
    Event,
    JobFinished,
    JobRetried,
    RunFinished,
    RunStarted,
    RunStopping,
    ServiceLost,
    SlowedDown,
)
from tests.builders import make_evidence, make_file, make_record

ARABIC = "مَرْحَبًا \u200dـــ ٤٥"


def make_transcript_record(status: Status = Status.DONE) -> JobRecord:
    """Make the record of a recording."""
    evidence = make_evidence(ending=Ending.SETTLED)
    record = make_record(id=ARABIC, kind=Kind.STT, status=status, text=ARABIC, audio_seconds=2.5)
    return replace(record, files=(make_file(),), evidence=evidence)


STARTED = RunStarted(rows=3, to_do=2, folder=f"outputs/{ARABIC}")

DONE = JobFinished(record=make_transcript_record())

FAILED = JobFinished(record=make_transcript_record(Status.FAILED))

RETRIED = JobRetried(id="a", attempt=1, error_class="timeout", message="m", wait_seconds=1.5)

SLOWED = SlowedDown(provider="munsit", concurrency=7, message="m")

SERVICE_LOST = ServiceLost(provider="munsit", message="connection refused")

STOPPING = RunStopping(reason="SIGINT: open sessions have 30 s; once more to stop at once")

FINISHED = RunFinished(exit_code=1, totals=RunSummary(rows=3, spent={"USD": 0.5}))

ALL: tuple[Event, ...] = (STARTED, DONE, RETRIED, SLOWED, FAILED, STOPPING, FINISHED)
