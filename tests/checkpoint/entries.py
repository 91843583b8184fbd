"""Rows, attempts and outcomes to write into a checkpoint."""

from batchjobs.checkpoint import AttemptEnd, AttemptStart, Checkpoint, JobRecord, Row
from batchjobs.jobs import Kind, Status

_ARABIC = "مَرْحَبًا ‌بِكُـــم‍ ٤٥ x"


def _row(position: int, **changes: object) -> Row:
    values: dict[str, object] = {
        "position": position,
        "line": position + 1,
        "id": f"r{position}",
        "place": f"audio/r{position}.wav",
        "key": f"k{position}",
        "action": "new",
        "kind": "tts",
        "provider": "local",
        "characters": 10,
        "seconds": 0.0,
        "output": f"audio/r{position}.wav",
        "job": b"{}",
    }
    return Row(**(values | changes))  # type: ignore[arg-type]


def _done(number: int, **changes: object) -> JobRecord:
    values: dict[str, object] = {
        "id": f"r{number}",
        "key": f"k{number}",
        "kind": Kind.TTS,
        "status": Status.DONE,
        "output": f"audio/r{number}.wav",
        "provider": "local",
        "attempts": 1,
        "audio_seconds": 1.5,
    }
    return JobRecord(**(values | changes))  # type: ignore[arg-type]


def _failed(number: int, **changes: object) -> JobRecord:
    settled: dict[str, object] = {
        "status": Status.FAILED,
        "output": "",
        "error_class": "permanent",
        "audio_seconds": 0.0,
    }
    return _done(number, **(settled | changes))


def _start(number: int) -> AttemptStart:
    return AttemptStart(key=f"k{number}", job=f"r{number}", provider="local", started_at=1.0)


def _end(number: int, result: str, **changes: object) -> AttemptEnd:
    values: dict[str, object] = {"number": number, "ended_at": 2.0, "result": result}
    return AttemptEnd(**(values | changes))  # type: ignore[arg-type]


def _adopt(checkpoint: Checkpoint, *rows: Row) -> None:
    checkpoint.staging.begin()
    checkpoint.staging.add(rows)
    checkpoint.staging.adopt({})
