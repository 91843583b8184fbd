"""What a watch says of itself in its run folder, for whoever looks from outside whether it is well."""

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec

from batchjobs.files import run_folder

_WRITING: Final = ".part"


class Heartbeat(msgspec.Struct, kw_only=True):
    """How a watch is; its file's time says when that was.

    Attributes:
        pid: The process.
        every_seconds: How long it waits at least between two looks.
        folder: What it watches.
        looked_at: Unix time of the end of its last look.
        files: How many files that found.
        waiting: How many of them do not stand still yet.
        odd: How many of them stand still and cannot be read.
        trouble: What keeps it from its work; empty if nothing does.
        trouble_since: Unix time.
        exit_code: What it ended with; None while it has not.
        error: What ended it.
    """

    pid: int
    every_seconds: float
    folder: str = ""
    looked_at: float = 0.0
    files: int = 0
    waiting: int = 0
    odd: int = 0
    trouble: str = ""
    trouble_since: float = 0.0
    exit_code: int | None = None
    error: str = ""


def write_heartbeat(folder: Path, heartbeat: Heartbeat) -> None:
    """Write it whole; a disk that refuses ends nothing, and is told of where results are written."""
    path = folder / run_folder.WATCH
    part = path.with_name(f".{path.name}{_WRITING}")
    with contextlib.suppress(OSError):
        part.write_bytes(msgspec.json.format(msgspec.json.encode(heartbeat), indent=2) + b"\n")
        part.replace(path)


def read_heartbeat(folder: Path) -> tuple[Heartbeat, float] | None:
    """Read what a watch said last, and when (Unix time); None if none was ever in the folder."""
    path = folder / run_folder.WATCH
    try:
        with path.open("rb") as file:
            written_at = os.fstat(file.fileno()).st_mtime
            return msgspec.json.decode(file.read(), type=Heartbeat), written_at
    except (OSError, msgspec.DecodeError):
        return None
