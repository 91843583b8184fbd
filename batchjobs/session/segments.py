"""Makes the session that a segment asks for."""

from collections.abc import Callable
from pathlib import Path

from batchjobs import text
from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.jobs import Segment
from batchjobs.protocol.stt import SttJudge
from batchjobs.protocol.tts_audio import TtsJudge
from batchjobs.session.endpoint import Endpoint
from batchjobs.session.http_line import HttpLine
from batchjobs.session.http_tts import HttpTtsSession
from batchjobs.session.pool import ConnectionPool
from batchjobs.session.stt import SttSession, chunk_seconds_of, recording_chunks, to_heard
from batchjobs.session.tts import TtsSession


def hear_segment(
    endpoint: Endpoint,
    segment: Segment,
    *,
    judge: SttJudge,
    settle_seconds: float,
    on_proven: Callable[[], None],
    pool: ConnectionPool | None = None,
) -> SttSession:
    """Make the session that transcribes a recording.

    Args:
        endpoint: The way to the provider.
        segment: The recording, and what of it is heard.
        judge: Says whether the transcript can be that of the audio.
        settle_seconds: A settling time below the provider's.
        on_proven: Called when the service first does useful work.
        pool: Connections opened beforehand, if the run opens any.
    """
    return SttSession(
        endpoint,
        chunks=recording_chunks(
            Path(segment.audio), chunk_seconds_of(endpoint.provider), to_heard(segment.hearing)
        ),
        pool=pool,
        on_proven=on_proven,
        settle_seconds=settle_seconds,
        judge=judge,
        hotwords=segment.hotwords,
    )


def speak_segment(
    way: Endpoint | HttpLine,
    segment: Segment,
    *,
    judge: TtsJudge[ReceivedAudio],
    audio: ReceivedAudio,
    quiet_seconds: float,
    on_proven: Callable[[], None],
    pool: ConnectionPool | None = None,
) -> TtsSession | HttpTtsSession:
    """Make the session that speaks a text.

    Args:
        way: To the provider: by its socket, or over HTTP.
        segment: The text and how to speak it.
        judge: Says whether the audio is plausible.
        audio: Where it goes.
        quiet_seconds: A quiet time below the provider's, where the audio is ample.
        on_proven: Called when the service first does useful work.
        pool: Connections opened beforehand, if the run opens any.
    """
    if isinstance(way, HttpLine):
        return HttpTtsSession(way, segment, judge=judge, on_proven=on_proven, audio=audio)
    return TtsSession(
        way,
        segment,
        texts=text.split_messages(segment.text),
        judge=judge,
        pool=pool,
        on_proven=on_proven,
        audio=audio,
        quiet_seconds=quiet_seconds,
    )
