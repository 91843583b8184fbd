"""Results to write and to copy: a second of sound, transcripts in awkward letters."""

import numpy as np

from batchjobs.checkpoint import JobRecord
from batchjobs.files.atomic import publish
from batchjobs.jobs import Ending, Kind
from batchjobs.outputs.writing import Written
from batchjobs.transcripts.joining import Transcript, TranscriptPart, join_parts
from tests.builders import make_evidence, make_record

RATE = 24_000
PCM = (np.sin(np.arange(RATE) * 0.07) * 12_000).astype("<i2").tobytes()
TRANSCRIPTS = [
    "",
    "السَّلامُ عَلَيْكُم",
    "e\u0301 \u00e9 سـلام\u200dم \u200c٣٤ \u202babc\u202c\r\n\ttail \n",
    "\ufeffبداية\u2028line\u0085end\0",
]
EVIDENCE = make_evidence(ending=Ending.ANSWERED)


def make_transcript(text: str) -> Transcript:
    """A transcript of one part."""
    return join_parts([TranscriptPart(start_seconds=0.0, seconds=2.0, text=text)])


def publish_job(written: Written, *, sample_rate: int = RATE) -> JobRecord:
    """Publish what was written, and make the record of it."""
    publish(written.targets)
    return make_record(
        kind=Kind.TTS if sample_rate else Kind.STT,
        output=written.files[0].path,
        files=written.files,
        sample_rate=sample_rate,
        frames=len(PCM) // 2,
        pcm_sha256=written.pcm_sha256,
    )
