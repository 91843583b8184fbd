"""What tests need many of, each whole by itself: a test says only what it is about.

A maker's ``changes`` take the place of what it would give to the fields of these names.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pybase64
from msgspec import structs

from batchjobs.audio import encoding
from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.checkpoint import AttemptEnd, AttemptStart, Checkpoint, FileRecord, JobRecord, Row
from batchjobs.jobs import Ending, Evidence, Job, Kind, Segment, SpeechSettings, Status, Verdict
from batchjobs.providers import BUILT_IN, Provider
from batchjobs.session import Endpoint
from tests.canary import KEY

HOSTED: Final = replace(BUILT_IN["munsit"], stt_protocol="transcription")
"""A service as it is built in, on the documents' sockets."""
EAGER: Final = replace(HOSTED, close_drains=True, transcript_per_chunk=True, pace=0.0)
"""One that lets a session end at once: it drains, answers every chunk, and takes them unpaced."""
ARABIC: Final = "مَرْحَبًا ‌بِكُـــم‍ ٤٥ x"
TO_VERSION_5: Final = (
    "DROP TABLE parts; DROP TABLE groups; DROP TABLE shapes; DROP TABLE receipts;"
    " ALTER TABLE attempts DROP COLUMN account;"
    " PRAGMA user_version = 5;"
)
"""Makes of a checkpoint one of an earlier version."""
TO_VERSION_4: Final = (
    "DROP TABLE checks; DROP TABLE reviews; DROP TABLE tracks; DROP TABLE loudness;"
    f" {TO_VERSION_5} PRAGMA user_version = 4;"
)
READY: Final = '{"type":"connectionInitialized"}'


# -- what is asked -------------------------------------------------------------------------------


def make_speech(rate: int = 24_000, **changes: Any) -> SpeechSettings:
    """Make settings of a voice, at a sample rate in hertz."""
    speech = SpeechSettings(voice_id="v", model_id="m", output_format=f"pcm_{rate}")
    return replace(speech, **changes)


def make_segment(text: str, **changes: Any) -> Segment:
    """Make what one session is to speak."""
    return replace(Segment(key="k", kind=Kind.TTS, text=text, speech=make_speech()), **changes)


def make_job(name: str, text: str, **changes: Any) -> Job:
    """Make a row that is to be spoken."""
    job = Job(id=name, line=1, kind=Kind.TTS, provider="quick", text=text, speech=make_speech())
    return structs.replace(job, **changes)


def make_recording_job(path: Path, name: str = "t") -> Job:
    """Make the row of a recording that is to be transcribed."""
    return Job(id=name, line=2, kind=Kind.STT, provider="quick", audio=str(path))


def make_endpoint(dial: Callable[..., Any], provider: Provider = HOSTED, **others: Any) -> Endpoint:
    """Make the way to a service of the tests."""
    given: dict[str, Any] = {"base_url": "ws://127.0.0.1:9/api/v1", "key": KEY, "dial": dial}
    return Endpoint(provider, **(given | others))


class LenientJudge:
    """A judge that finds every audio plausible."""

    minimum_seconds = 0.0

    def is_ample(self, pcm: ReceivedAudio, sample_rate: int) -> bool:
        """Find that all of it may be there."""
        return True

    def verdict(self, pcm: ReceivedAudio, sample_rate: int, ending: Ending) -> Verdict:
        """Doubt nothing."""
        return Verdict()


# -- what a checkpoint keeps ---------------------------------------------------------------------


def make_row(number: int, **changes: Any) -> Row:
    """Make a row as planned, with the key and the output of its number."""
    output = f"audio/r{number}.wav"
    row = Row(
        position=number,
        line=number + 1,
        id=f"r{number}",
        place=output,
        key=f"k{number}",
        action="new",
        kind="tts",
        provider="local",
        characters=10,
        seconds=0.0,
        output=output,
        job=b"{}",
    )
    return row._replace(**changes)


def make_record(number: int = 1, **changes: Any) -> JobRecord:
    """Make the record of a row that is done."""
    record = JobRecord(
        id=f"r{number}",
        key=f"k{number}",
        kind=Kind.TTS,
        status=Status.DONE,
        output=f"audio/r{number}.wav",
        provider="local",
        attempts=1,
        audio_seconds=1.5,
    )
    return replace(record, **changes)


def make_failed_record(number: int = 1, **changes: Any) -> JobRecord:
    """Make the record of a row that has failed for good."""
    record = make_record(number, status=Status.FAILED, output="", audio_seconds=0.0)
    return replace(record, **({"error_class": "permanent"} | changes))


def make_file(path: str = "a.wav", **changes: Any) -> FileRecord:
    """Make the record of a file."""
    return replace(FileRecord(path=path, bytes=1, sha256="s"), **changes)


def make_start(number: int = 1, **changes: Any) -> AttemptStart:
    """Make the start of an attempt at a row."""
    start = AttemptStart(key=f"k{number}", job=f"r{number}", provider="local", started_at=1.0)
    return replace(start, **changes)


def make_end(number: int, result: str = "done", **changes: Any) -> AttemptEnd:
    """Make the end of an attempt."""
    return replace(AttemptEnd(number=number, ended_at=2.0, result=result), **changes)


def make_evidence(**changes: Any) -> Evidence:
    """Make what is seen of a session that went well."""
    evidence = Evidence(
        ending=Ending.DRAINED,
        close_code=1000,
        messages=2,
        first_result_seconds=0.5,
        longest_gap_seconds=0.25,
        session_seconds=2.0,
    )
    return replace(evidence, **changes)


def adopt(checkpoint: Checkpoint, *rows: Row) -> None:
    """Make these rows the manifest of a run."""
    checkpoint.staging.begin()
    checkpoint.staging.add(rows)
    checkpoint.staging.adopt({})


# -- sounds and messages -------------------------------------------------------------------------


def make_tone(seconds: float, sample_rate: int = 24_000) -> bytes:
    """Make a tone that swells and dies away, as 16-bit mono samples."""
    times = np.arange(round(seconds * sample_rate))
    wave = np.sin(times * (2 * np.pi * 220 / sample_rate)) * np.hanning(len(times))
    return bytes((wave * 8_000).astype("<i2").tobytes())


def write_recording(path: Path, pcm: bytes = bytes(32_000), sample_rate: int = 16_000) -> Path:
    """Write 16-bit mono samples to a file, a second of silence if none are given."""
    path.write_bytes(encoding.encode(pcm, sample_rate=sample_rate, format=path.suffix[1:]))
    return path


def audio_message(pcm: bytes, sample_rate: int | None = 24_000, **others: object) -> str:
    """Write a service's message with audio; it may name no rate."""
    rate = {} if sample_rate is None else {"sampleRate": sample_rate}
    return json.dumps({"audio": pybase64.b64encode_as_string(pcm), **rate, **others})


def transcript_message(text: str) -> str:
    """Write a service's message with a transcript."""
    return json.dumps({"event": "transcription", "data": text}, ensure_ascii=False)
