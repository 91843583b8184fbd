"""Runs to export: written into checkpoints as a run would, clips and all, without a service."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from batchjobs.checkpoint import Checkpoint, JobRecord, Row
from batchjobs.files.atomic import publish
from batchjobs.jobs import Job, Kind, Status
from batchjobs.outputs.writing import write_speech
from tests.builders import adopt, make_job, make_record, make_row, make_speech

ARABIC: Final = "مَرْحَبًا ‌بِكُـــم‍ ٤٥ x"
AWKWARD: Final[Sequence[Mapping[str, object]]] = (
    {"id": "007", "text": ARABIC, "output": "audio/a.wav", "note": "NA", "score": 1},
    {"id": "1e5", "text": 'He said: "Run|it" again,\nand nothing.', "output": "audio/b.flac"},
    {"id": "a.b", "text": "\"Quoted\" text, 'single'", "output": "audio/c.mp3", "rate": 16_000},
    {"id": "صباح", "text": "صباح الخير؟ ٣٤", "output": "audio/d.ogg", "score": 1.5},
    {"id": "x\ty", "text": "'tis | a\u2028line", "output": "audio/e.wav", "seconds": 1.5},
)
"""Rows that lose something where a form is careless; `rate` is the clip's, and no column."""


def make_sound(seconds: float, rate: int, pitch: float = 220.0) -> bytes:
    """Make a tone with silence around it, as 16-bit mono samples; no two pitches are alike."""
    times = np.arange(round(seconds * rate))
    wave = np.sin(times * (2 * np.pi * pitch / rate)) * 8_000
    edge = rate // 4
    wave[:edge] = wave[-edge:] = 0
    return bytes(wave.astype("<i2").tobytes())


def make_run(
    folder: Path,
    rows: Iterable[Mapping[str, Any]] = AWKWARD,
    *,
    statuses: Mapping[str, Status | None] | None = None,
) -> Path:
    """Make a run whose rows are done.

    Args:
        folder: The run folder.
        rows: As in a manifest; `seconds`, `rate` and `voice_id` make their clips, and are no columns.
        statuses: What became of others, by id; None of those that were not run.
    """
    statuses = statuses or {}
    planned: list[Row] = []
    records: list[JobRecord] = []
    with Checkpoint.open(folder) as checkpoint:
        for number, given in enumerate(rows, start=1):
            row, record = _make(folder, number, dict(given), statuses)
            planned.append(row)
            if record is not None:
                records.append(record)
        adopt(checkpoint, *planned)
        checkpoint.commit(records=records)
    return folder


def _make(
    folder: Path, number: int, columns: dict[str, Any], statuses: Mapping[str, Status | None]
) -> tuple[Row, JobRecord | None]:
    seconds, rate = columns.pop("seconds", 1.0 + number / 100), columns.pop("rate", 24_000)
    name, output = columns["id"], columns.get("output", f"audio/{number}.wav")
    job: Job = make_job(
        name,
        columns["text"],
        provider="munsit",
        row=columns,
        speech=make_speech(rate, voice_id=columns.get("voice_id", "v"), model_id="model-1"),
    )
    row = make_row(
        number, id=name, output=output, place=output.casefold(), job=msgspec.json.encode(job)
    )
    status = statuses.get(name, Status.DONE)
    if status is None:
        return row, None
    record = make_record(number, id=name, status=status, provider="munsit")
    if status is Status.FAILED:
        return row, replace(record, output="", error_class="permanent")
    pcm = make_sound(seconds, rate, 100 + number % 1_000)
    written = write_speech(folder.resolve(), output, pcm, rate)
    publish(written.targets)
    frames = len(pcm) // 2
    record = replace(
        record,
        output=output,
        files=written.files,
        sample_rate=rate,
        frames=frames,
        pcm_sha256=written.pcm_sha256,
        audio_seconds=frames / rate,
        kind=Kind.TTS,
    )
    return row, record


def texts_of(rows: Iterable[Mapping[str, Any]] = AWKWARD) -> dict[str, str]:
    """Give the texts of rows by their ids."""
    return {row["id"]: row["text"] for row in rows}


def frames_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Give by id how many frames a run's clips have, and their rates."""
    with Checkpoint.read(folder) as checkpoint:
        found = checkpoint.rows.stream_records(Status.DONE)
        return {row.id: (record.frames, record.sample_rate) for row, record in found}
