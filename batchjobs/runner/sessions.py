"""Makes the sessions of a run, with what it has learnt of voices and models so far."""

from pathlib import Path

from batchjobs import text
from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.jobs import Kind, Segment
from batchjobs.plausibility.clips import SpeechRates
from batchjobs.plausibility.transcripts import TranscriptRates
from batchjobs.runner.service import Service, Session
from batchjobs.session import SttSession, TtsSession, recording_chunks

__all__ = ["SessionMaker"]


class SessionMaker:
    """Makes sessions that share what is known of each voice's pace and each model's yield."""

    def __init__(self) -> None:
        self._speech_rates = SpeechRates()
        self._transcript_rates = TranscriptRates()

    def make(self, segment: Segment, service: Service, audio: ReceivedAudio) -> Session:
        """Make a session, which is yet to be run.

        Args:
            segment: What it is asked to do.
            service: Whom it is with.
            audio: Where its audio goes.
        """
        endpoint = service.endpoint
        if segment.kind is Kind.STT:
            return SttSession(
                endpoint,
                chunks=recording_chunks(Path(segment.audio), endpoint.provider.chunk_seconds),
                pool=service.pool,
                on_proven=service.prove,
                settle_seconds=service.settle.next_seconds(),
                judge=self._transcript_rates.make_judge(
                    f"{service.name}/{endpoint.provider.stt_model}"
                ),
            )
        speech = segment.speech
        assert speech is not None
        voice = f"{service.name}/{speech.model_id}/{speech.voice_id}"
        return TtsSession(
            endpoint,
            segment,
            texts=text.split_messages(segment.text),
            judge=self._speech_rates.make_judge(
                voice=voice, spoken=segment.text, speed=speech.speed
            ),
            pool=service.pool,
            on_proven=service.prove,
            audio=audio,
            quiet_seconds=service.quiet.seconds,
        )
