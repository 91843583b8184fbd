"""Which of its two sockets for transcription a service hears on, found out with what it has just spoken."""

import tempfile
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import trio

from batchjobs.audio import decoding, encoding
from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.errors import SessionError
from batchjobs.formatting import plural
from batchjobs.protocol.stt import SAMPLE_RATE, SttResult
from batchjobs.providers import Provider
from batchjobs.session import Endpoint, SttSession, chunk_seconds_of
from batchjobs.speech import BYTES_PER_SAMPLE
from batchjobs.text import find_words

HEARING_SECONDS: Final = 10.0
"""Of audio, about, that a probe sends: a sentence, once or twice."""
_PROTOCOLS: Final = ("listen", "transcription")
"""The newer one first: it says itself when it has heard all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HearingSocket:
    """What was found out about one socket for transcription.

    Attributes:
        name: ``listen`` or ``transcription``, as `stt_protocol` has it.
        hears: Whether a transcript came that is complete.
        reason: Why none came; empty if it did.
        text: The transcript.
        has_times: Whether its words came with usable times.
        sent_audio_seconds: How much was sent.
        billed_audio_seconds: How much it says that it billed; 0 if it does not say.
        session_seconds: From the open connection to the known end.
    """

    name: str
    hears: bool
    reason: str = ""
    text: str = ""
    has_times: bool = False
    sent_audio_seconds: float = 0.0
    billed_audio_seconds: float = 0.0
    session_seconds: float = 0.0

    def describe(self) -> str:
        """Say what was found out, as one line."""
        if not self.hears:
            return f"{self.name}: does not hear: {self.reason}"
        words = plural(len(find_words(self.text)), "word")
        billed = (
            f", {self.billed_audio_seconds:.2f} s of them billed"
            if self.billed_audio_seconds
            else ""
        )
        times = "with their times" if self.has_times else "without times"
        return (
            f"{self.name}: hears, {words} {times} in {self.sent_audio_seconds:.2f} s of audio{billed},"
            f" all of it and its end after {self.session_seconds:.2f} s"
        )


async def probe_hearing(
    provider: Provider,
    make_endpoint: Callable[[Provider], Endpoint],
    audio: ReceivedAudio,
    sample_rate: int,
) -> tuple[HearingSocket, ...]:
    """Let a service hear audio: on its newer socket, and on the older one if that does not hear.

    Args:
        provider: The service.
        make_endpoint: Makes the way to it.
        audio: What it is to hear.
        sample_rate: Of that, in hertz.
    """
    found: list[HearingSocket] = []
    pcm = await trio.to_thread.run_sync(_convert, bytes(audio), sample_rate)
    for name in _PROTOCOLS:
        asked = replace(provider, stt_protocol=name)
        try:
            session = SttSession(make_endpoint(asked), chunks=_cut(pcm, chunk_seconds_of(asked)))
            result = await session.run()
        except SessionError as error:
            found.append(HearingSocket(name=name, hears=False, reason=error.message))
        else:
            found.append(_describe(name, result))
            break
    return tuple(found)


def _convert(pcm: bytes, sample_rate: int) -> bytes:
    """Make of speech what the sockets take, as a run makes it of a recording."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        file.write(encoding.encode(pcm, sample_rate=sample_rate, format="wav"))
        file.flush()
        chunks = decoding.pcm_chunks(Path(file.name), sample_rate=SAMPLE_RATE, gain=None)
        return b"".join(chunks)


async def _cut(pcm: bytes, seconds: float) -> AsyncGenerator[bytes, None]:
    size = round(SAMPLE_RATE * seconds) * BYTES_PER_SAMPLE
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]


def _describe(name: str, result: SttResult) -> HearingSocket:
    evidence = result.evidence
    return HearingSocket(
        name=name,
        hears=True,
        text=result.text,
        has_times=bool(result.word_start_seconds),
        sent_audio_seconds=round(evidence.sent_audio_seconds, 3),
        billed_audio_seconds=round(evidence.billed_audio_seconds, 3),
        session_seconds=round(evidence.session_seconds, 3),
    )
