"""The session that an attempt runs, in this process or in another one, and what comes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import msgspec

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.errors import BatchjobsError
from batchjobs.jobs import Doubt, Evidence, Segment
from batchjobs.outputs.writing import Parts
from batchjobs.plausibility.clips import SpeechJudge
from batchjobs.plausibility.transcripts import TranscriptJudge
from batchjobs.protocol.stt import SttResult
from batchjobs.protocol.tts_audio import TtsResult


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechElsewhere:
    """A synthesis whose samples another process has, and has written.

    Attributes:
        frames: How many samples there are.
        sample_rate: In hertz.
        evidence: What was seen of the session.
        doubts: What speaks against it.
        support: What speaks for it.
        parts: The file, beside no place yet.
        error: Why there is none, if the disk failed there.
    """

    frames: int
    sample_rate: int
    evidence: Evidence
    doubts: tuple[Doubt, ...]
    support: tuple[str, ...]
    parts: Parts
    error: BatchjobsError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptElsewhere(SttResult):
    """A transcript whose files another process has written, if it is of a whole job.

    Attributes:
        parts: The files, beside no place yet.
        error: Why there are none, if the disk failed there.
    """

    parts: Parts
    error: BatchjobsError | None = None


Result: TypeAlias = TtsResult[ReceivedAudio] | SpeechElsewhere | SttResult


class Session(Protocol):
    """One connection that speaks one text, or hears one recording."""

    @property
    def was_connected(self) -> bool:
        """Whether the service took the connection, with the key if that travels in the request."""

    @property
    def sent_characters(self) -> int:
        """Characters sent, also of a session that failed or was cancelled."""

    @property
    def sent_audio_seconds(self) -> float:
        """Seconds of audio sent, likewise."""

    async def run(self) -> Result:
        """Have it.

        Raises:
            SessionError: The attempt failed; the class says what to do about it.
            BatchjobsError: Nothing can be had any more.
        """


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What another process is to know of a session, and this one for its result.

    Attributes:
        provider: Whom it is with.
        segment: What it is asked to do.
        output: The result's path below the run folder: its ending is its form; empty to write nothing.
        wait_seconds: The quiet time, or the settling time.
        ample_seconds: So much audio is about what the voice takes for the text; infinity where it is not
            known, or matters nothing.
        judge: Judges the result by what the other process has measured, and learns from it.
        on_proven: Called when the service first does useful work; None if it is known that it does.
    """

    provider: str
    segment: Segment
    output: str
    wait_seconds: float
    ample_seconds: float = float("inf")
    judge: SpeechJudge | TranscriptJudge
    on_proven: Callable[[], None] | None


class Elsewhere(Protocol):
    """Makes sessions that other processes run, and write the results of."""

    def make_session(self, asked: Asked) -> Session:
        """Make a session, which is yet to be run."""


def frames_of(result: TtsResult[ReceivedAudio] | SpeechElsewhere) -> int:
    """Count the samples of a synthesis, wherever they are."""
    return result.frames if isinstance(result, SpeechElsewhere) else len(result.pcm) // 2
