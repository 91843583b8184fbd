"""Where a page finds what is to be played: files of the run, and recordings that were transcribed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias
from urllib.parse import quote

from batchjobs.checkpoint import JobRecord, Row
from batchjobs.files.address import is_address
from batchjobs.jobs import BadRow, Job, Kind


class Clip(NamedTuple):
    """Something to be played.

    Attributes:
        url: From the page, percent-encoded.
        path: The file.
        sha256: What tells its content from every other.
    """

    url: str
    path: Path
    sha256: str


FindClip: TypeAlias = Callable[[Row, Job | BadRow, JobRecord | None], Clip | None]


def find_from_disk(folder: Path, place: Path) -> FindClip:
    """Let a page that is opened from the disk find clips, by their paths from the run folder.

    Args:
        folder: The run folder, where the page stands.
        place: The folder below which its results are read.
    """
    base = folder.resolve()

    def find(row: Row, job: Job | BadRow, record: JobRecord | None) -> Clip | None:
        return _find(place, row, job, record, lambda path: os.path.relpath(path, base))

    return find


def find_from_server(place: Path, served: dict[str, Path]) -> FindClip:
    """Let a page that is served find clips, at addresses below its own.

    Args:
        place: The folder below which the run's results are read.
        served: Gets the file of each address, which the server may give out; no others.
    """

    def find(row: Row, job: Job | BadRow, record: JobRecord | None) -> Clip | None:
        name = f"recordings/{row.position}"
        clip = _find(place, row, job, record, lambda path: f"{name}{path.suffix}")
        if clip is not None:
            served[clip.url] = clip.path
        return clip

    return find


def _find(
    place: Path,
    row: Row,
    job: Job | BadRow,
    record: JobRecord | None,
    name_recording: Callable[[Path], str],
) -> Clip | None:
    if isinstance(job, BadRow):
        return None
    if job.kind is Kind.STT:
        if is_address(job.audio):  # a page fetches nothing
            return None
        path = Path(job.audio)
        return Clip(_encode(name_recording(path)), path, row.key)
    if record is None or not record.files:
        return None
    file = record.files[0]
    return Clip(_encode(file.path), place / file.path, file.sha256)


def _encode(path: str) -> str:
    """Write a path as an address: whatever a name holds, it is a name below the page's own."""
    return quote(path, safe="/")
