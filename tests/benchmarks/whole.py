"""What the programs that write files share: their arguments, and a look at what they wrote."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.meter import Meter
from tests.benchmarks.wire import SAMPLE_RATE, Kind, kind_of

__all__ = ["Arguments", "arguments_of", "conclude"]

_MP3_SPARE_FRAMES: Final = 4 * 1_152
"""An MP3 is whole frames, and says nothing about what the encoder has put before and after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """What a program is told.

    Attributes:
        url: Where the service is, ``ws://HOST:PORT``.
        kind: The kind of session.
        sessions: How many: one a row, one a file.
        concurrency: How many at once.
        format: Of the files: ``wav``, ``flac`` or ``mp3``.
        scratch: The folder for the manifest and the files; None for the system's.
        workers: Processes that have the sessions, of ours; 0 for the program's own.
    """

    url: str
    kind: Kind
    sessions: int
    concurrency: int
    format: str
    scratch: Path | None
    workers: int

    @property
    def base_url(self) -> str:
        """The service's base URL for this kind of session."""
        return f"{self.url}/{self.kind.name}"


def arguments_of(description: str | None) -> Arguments:
    """Read the command line that the programs have in common."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--url", required=True)
    parser.add_argument("--kind", type=kind_of, default=kind_of("tts"))
    parser.add_argument("--sessions", type=int, required=True)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--format", choices=("wav", "flac", "mp3"), default="wav")
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--workers", type=int, default=0)
    return Arguments(**vars(parser.parse_args()))


def conclude(
    meter: Meter, arguments: Arguments, paths: Sequence[Path], messages: int, **others: object
) -> None:
    """Report, and fail if the files are not what so many sessions must come to.

    Args:
        meter: What was measured.
        arguments: What the program was told.
        paths: The files that it says it has written.
        messages: Audio messages that it says it has received.
        others: What the case adds to the report.
    """
    import soundfile

    kind = arguments.kind
    expected = kind.bytes // 2
    spare = _MP3_SPARE_FRAMES if arguments.format == "mp3" else 0
    for path in paths:
        held = soundfile.info(path)
        if held.samplerate != SAMPLE_RATE or not expected <= held.frames <= expected + spare:
            sys.exit(f"{path.name} holds {held.frames} frames and not {expected}")
    count = arguments.sessions
    if (len(set(paths)), messages) != (count, count * kind.messages):
        sys.exit(f"{len(set(paths))} files of {messages} messages, not {count} sessions")
    meter.report(sessions=count, messages=messages, bytes=count * kind.bytes, **others)
