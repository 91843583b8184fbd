"""One session over trio-websocket: deadlines around every wait, foreign errors translated once."""

from batchjobs.session.dial import Dial, dial_tcp
from batchjobs.session.endpoint import Link
from batchjobs.session.error_map import CONNECTION_CODE
from batchjobs.session.pool import Spares
from batchjobs.session.stt import RECORDING_CODE, TranscriptSession, recording_chunks
from batchjobs.session.tts import SpeechSession

__all__ = [
    "CONNECTION_CODE",
    "RECORDING_CODE",
    "Dial",
    "Link",
    "Spares",
    "SpeechSession",
    "TranscriptSession",
    "dial_tcp",
    "recording_chunks",
]
