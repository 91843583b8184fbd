"""One session over trio-websocket: deadlines around every wait, foreign errors translated once."""

from batchjobs.session.dial import Dial, dial_tcp
from batchjobs.session.endpoint import Endpoint
from batchjobs.session.error_map import CONNECTION_CODE
from batchjobs.session.http_line import HttpLine, require_http
from batchjobs.session.http_tts import HttpTtsSession
from batchjobs.session.pool import ConnectionPool
from batchjobs.session.segments import hear_segment, speak_segment
from batchjobs.session.stt import (
    RECORDING_CODE,
    SttSession,
    chunk_seconds_of,
    recording_chunks,
    to_heard,
)
from batchjobs.session.tts import TtsSession

__all__ = [
    "CONNECTION_CODE",
    "RECORDING_CODE",
    "ConnectionPool",
    "Dial",
    "Endpoint",
    "HttpLine",
    "HttpTtsSession",
    "SttSession",
    "TtsSession",
    "chunk_seconds_of",
    "dial_tcp",
    "hear_segment",
    "recording_chunks",
    "require_http",
    "speak_segment",
    "to_heard",
]
