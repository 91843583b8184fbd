"""Runs to be looked at and listened to: clips of every format, texts of every kind, made in no time."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from batchjobs.audio import encoding
from batchjobs.checkpoint import (
    AttemptEnd,
    AttemptStart,
    Checkpoint,
    CheckRecord,
    FileRecord,
    JobRecord,
    Row,
)
from batchjobs.jobs import Doubt, Sign, Status
from tests.builders import ARABIC, adopt, make_job, make_record, make_row, make_speech, make_tone

RATE: Final = 16_000
ENDINGS: Final = ("wav", "flac", "ogg", "mp3")
STARTED_AT: Final = 1_700_000_000.0
HOSTILE: Final = (
    "<script>document.title = 'owned'</script>",
    "</script></style><img src=x onerror=\"document.title = 'owned'\">",
    "<!--<script>",
    "\u202eevil\u202c \u2066over\u2069ride\u2028line\u2029end",
    "{{ 7 * 7 }} {% raw %} &lt;b&gt; &amp; \" ' ` ${7 * 7}",
    "javascript:document.title='owned'",
    f"{ARABIC} <b dir=rtl>",
)


def write_clip(folder: Path, path: str, seconds: float = 0.5) -> FileRecord:
    """Write a tone in the format of the path's ending; gives what a checkpoint knows of it."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    form = target.suffix.removeprefix(".")
    target.write_bytes(encoding.encode(make_tone(seconds, RATE), sample_rate=RATE, format=form))
    content = target.read_bytes()
    return FileRecord(path=path, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def make_clip_row(number: int, text: str, *, voice: str = "v", ending: str = "wav") -> Row:
    """Make the row of a text that is to be spoken."""
    path = f"audio/r{number}.{ending}"
    job = make_job(f"r{number}", text, speech=make_speech(RATE, voice_id=voice))
    return make_row(number, place=path, output=path, job=msgspec.json.encode(job))


def make_done(number: int, file: FileRecord, seconds: float = 0.5, **changes: Any) -> JobRecord:
    """Make the record of a clip that is done."""
    return make_record(
        number,
        output=file.path,
        files=(file,),
        audio_seconds=seconds,
        sample_rate=RATE,
        frames=round(seconds * RATE),
        finished_at=STARTED_AT + number,
        **changes,
    )


def make_suspect(number: int, file: FileRecord, seconds: float = 0.5, **changes: Any) -> JobRecord:
    """Make the record of a clip that is in doubt."""
    doubt = Doubt(sign=Sign.SHORT, message="lasts half as long as such texts do")
    return make_done(
        number,
        file,
        seconds,
        status=Status.SUSPECT,
        error_class="suspect",
        error_message=doubt.message,
        doubts=(doubt,),
        **changes,
    )


def make_run(
    folder: Path,
    rows: Sequence[Row],
    records: Sequence[JobRecord],
    checks: Sequence[CheckRecord] = (),
    settings: Mapping[str, str] | None = None,
) -> Path:
    """Make a run folder of rows and what came of them, an attempt each; gives the folder."""
    with Checkpoint.open(folder) as checkpoint:
        adopt(checkpoint, *rows)
        starts = [
            AttemptStart(key=each.key, job=each.id, provider="munsit", started_at=STARTED_AT)
            for each in records
        ]
        numbers = checkpoint.commit(starts=starts)
        ends = [
            AttemptEnd(
                number=number,
                ended_at=STARTED_AT + 1,
                result="done" if record.status is Status.DONE else "kept",
                characters=1_000,
            )
            for number, record in zip(numbers, records, strict=True)
        ]
        checkpoint.commit(ends=ends, records=records)
        checkpoint.keep_checks(checks)
    return folder
