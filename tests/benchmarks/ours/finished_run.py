"""Leaves a run folder as a finished run of many rows leaves it, without a service.

    python -m tests.benchmarks.ours.finished_run FOLDER ROWS

Writes FOLDER/manifest.csv and FOLDER/run through the product's own planning and checkpoint. Run the
manifest once for the results that it writes at its end.
"""

import hashlib
import itertools
import sys
import time
from pathlib import Path
from typing import Final

from batchjobs import manifest
from batchjobs.audio import encoding
from batchjobs.checkpoint import (
    AttemptEnd,
    AttemptStart,
    Checkpoint,
    FileRecord,
    JobRecord,
    Row,
)
from batchjobs.jobs import Ending, Evidence, Kind, Status
from batchjobs.options import Defaults, Options
from batchjobs.planning.make_plan import make_plan
from batchjobs.planning.plan import TO_BUY
from batchjobs.providers import BUILT_IN
from tests.benchmarks.manifests import PRICED_PROVIDER, write_sentences

_SAMPLE_RATE: Final = 24_000
_PCM: Final = b"\x00\x10" * 64
_GROUP_ROWS: Final = 1_000


def main() -> None:
    """Build the folder that the command line names."""
    folder, rows = Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True)
    write_sentences(folder / "manifest.csv", rows)
    with Checkpoint.open(folder / "run") as checkpoint:
        _plan(folder / "manifest.csv", checkpoint)
        planned = checkpoint.rows.stream_to_do(TO_BUY)
        while group := list(itertools.islice(planned, _GROUP_ROWS)):
            _finish(checkpoint, group)


def _plan(path: Path, checkpoint: Checkpoint) -> None:
    rows = manifest.read_rows(
        path,
        name=str(path),
        folder=path.parent,
        providers=BUILT_IN,
        defaults=Defaults(provider=PRICED_PROVIDER),
    )
    make_plan(rows, checkpoint=checkpoint, providers=BUILT_IN, options=Options(), name=str(path))
    checkpoint.staging.adopt(
        {"manifest": str(path), "provider": PRICED_PROVIDER, "planned_at": str(time.time())}
    )


def _finish(checkpoint: Checkpoint, group: list[Row]) -> None:
    """Do what a run does about rows that succeed: attempts, files, outcomes."""
    content = encoding.encode(_PCM, sample_rate=_SAMPLE_RATE, format="wav")
    sha256 = hashlib.sha256(content).hexdigest()
    for row in group:
        path = checkpoint.folder / row.output
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    now = time.time()
    numbers = checkpoint.commit(starts=[_start(row, now) for row in group])
    checkpoint.commit(
        ends=[
            AttemptEnd(number=number, ended_at=now, result="done", characters=row.characters)
            for number, row in zip(numbers, group, strict=True)
        ],
        records=[_record(row, len(content), sha256, now) for row in group],
    )


def _start(row: Row, now: float) -> AttemptStart:
    return AttemptStart(
        key=row.key,
        job=row.id,
        provider=row.provider,
        started_at=now,
        characters=row.characters,
    )


def _record(row: Row, size: int, sha256: str, now: float) -> JobRecord:
    seconds = len(_PCM) / 2 / _SAMPLE_RATE
    return JobRecord(
        id=row.id,
        key=row.key,
        kind=Kind.TTS,
        status=Status.DONE,
        output=row.output,
        files=(FileRecord(path=row.output, bytes=size, sha256=sha256),),
        provider=row.provider,
        attempts=1,
        sample_rate=_SAMPLE_RATE,
        frames=len(_PCM) // 2,
        pcm_sha256=hashlib.sha256(_PCM).hexdigest(),
        audio_seconds=seconds,
        evidence=Evidence(
            ending=Ending.DRAINED,
            close_code=1000,
            messages=1,
            first_result_seconds=0.21,
            longest_gap_seconds=0.1,
            session_seconds=0.35,
            sent_characters=row.characters,
            received_audio_seconds=seconds,
        ),
        cost=0.01,
        started_at=now,
        finished_at=now,
    )


if __name__ == "__main__":
    main()
