"""What every measured program of sessions shares: its arguments, and the end that it comes to."""

import argparse
import functools
import os
import sys
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.meter import Meter
from tests.benchmarks.wire import (
    CHUNK_PCM_BYTES,
    Kind,
    kind_of,
    speech_messages,
)

__all__ = ["KEY", "Arguments", "arguments_of", "conclude", "frames", "recording", "wav_chunks"]

KEY: Final = "benchmark-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """What a program is told.

    Attributes:
        url: Where the service is, ``ws://HOST:PORT``.
        kind: The kind of session.
        sessions: How many.
        concurrency: How many at once.
        ca: The file of certificates to trust; empty without TLS.
        context_per_connection: Whether to leave the TLS context to the library, as its docs do.
        encoding: How this project writes what is to be transcribed, ``compact`` or ``padded``.
        hold: Whether to hold all sessions open at once and look at the memory they take.
        ramp_seconds: Over how long the workers start.
        http: Whether this project asks for speech over HTTP.
    """

    url: str
    kind: Kind
    sessions: int
    concurrency: int
    ca: str
    context_per_connection: bool
    encoding: str
    hold: bool
    ramp_seconds: float
    http: bool

    @property
    def target(self) -> str:
        """The URL of one session."""
        return self.url + self.kind.path

    def start_seconds(self, worker: int) -> float:
        """When a worker is to start."""
        return self.ramp_seconds * worker / self.concurrency


def arguments_of(description: str | None) -> Arguments:
    """Read the command line that all programs have in common."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--url", required=True)
    parser.add_argument("--kind", type=kind_of, required=True)
    parser.add_argument("--sessions", type=int, required=True)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--ca", default="")
    parser.add_argument("--context-per-connection", action="store_true")
    parser.add_argument("--encoding", choices=("compact", "padded"), default="compact")
    parser.add_argument("--hold", action="store_true")
    parser.add_argument("--ramp-seconds", type=float, default=0.0)
    parser.add_argument("--http", action="store_true")
    found = Arguments(**vars(parser.parse_args()))
    if not found.kind.is_speech:
        wav_chunks()  # made before anything is measured
        frames()
    if found.ca:  # for whoever lets the library, or the product, make its context
        os.environ["SSL_CERT_FILE"] = found.ca
    return found


@functools.cache
def recording() -> list[bytes]:
    """Make the seconds of audio that are to be transcribed: 16-bit samples, without a header."""
    # Noise like that of the speech: the size of the JSON depends on how many digits a byte takes.
    pcm = b"".join(speech_messages(kind_of("tts")))
    return [
        pcm[start : start + CHUNK_PCM_BYTES]
        for start in (number * 15_000 for number in range(kind_of("stt").messages))
    ]


@functools.cache
def wav_chunks() -> list[bytes]:
    """Make the same as whole WAV files, as the live service wants each message."""
    from batchjobs.audio.pcm import wav_header

    return [wav_header(len(pcm), sample_rate=16_000) + pcm for pcm in recording()]


@functools.cache
def frames(seconds: float = 0.2) -> list[bytes]:
    """Make the same without its seconds, as the frames of the newer socket."""
    pcm, size = b"".join(recording()), round(seconds * 32_000)
    return [pcm[start : start + size] for start in range(0, len(pcm), size)]


def conclude(meter: Meter, arguments: Arguments, messages: int, audio_bytes: int) -> None:
    """Report, and fail if this is not what so many sessions must come to."""
    count, kind = arguments.sessions, arguments.kind
    meter.report(sessions=count, messages=messages, bytes=audio_bytes)
    if (messages, audio_bytes) != (count * kind.messages, count * kind.bytes):
        shown = f"{messages} messages, {audio_bytes} bytes"
        sys.exit(f"not {count} sessions of {kind.messages} messages, {kind.bytes} bytes: {shown}")
