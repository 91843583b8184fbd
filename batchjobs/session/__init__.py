"""One session over trio-websocket: deadlines around every wait, foreign errors translated once."""

from batchjobs.session.dialling import Dial, dial_tcp
from batchjobs.session.failures import CONNECTION_CODE
from batchjobs.session.link import Link
from batchjobs.session.spares import Spares
from batchjobs.session.speech import SpeechSession
from batchjobs.session.transcript import RECORDING_CODE, TranscriptSession, recording_chunks

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
