"""What a run folder holds of a book: its chapters in order, and what their rows say of it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from batchjobs.checkpoint import Checkpoint
from batchjobs.jobs import Kind, Status

_FACTS: Final = {
    "book": "title",
    "author": "author",
    "date": "date",
    "publisher": "publisher",
    "narrator": "narrator",
    "series": "series",
    "series_index": "series_index",
    "description": "description",
    "language": "language",
}
"""The manifest's columns, by what they fill in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenChapter:
    """A chapter that is done.

    Attributes:
        title: As the manifest has it.
        path: Its sound.
        frames: Its length as the checkpoint has it, at its own sample rate.
        sample_rate: In hertz.
    """

    title: str
    path: Path
    frames: int
    sample_rate: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.frames / self.sample_rate

    def frames_at(self, sample_rate: int) -> int:
        """How many frames it has at a sample rate."""
        return round(self.seconds * sample_rate)


@dataclass(slots=True, kw_only=True)
class Album:
    """A book in a run folder.

    Attributes:
        chapters: Those that are done, in the manifest's order.
        missing: Ids of those that are not.
        suspects: How many of these are kept in doubt.
        title: The book's; may be empty, like all that follow.
        author: Its author.
        date: When it appeared.
        publisher: Who published it.
        narrator: Who reads it, if somebody is to be named.
        series: The series that it belongs to.
        series_index: Its place in that.
        description: What it is about.
        language: As its rows have it, such as ``ar``.
        cover: Where its picture is: the manifest's cell, from the manifest's folder.
        sample_rate: The highest of its chapters, in hertz.
    """

    chapters: list[SpokenChapter] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    suspects: int = 0
    title: str = ""
    author: str = ""
    date: str = ""
    publisher: str = ""
    narrator: str = ""
    series: str = ""
    series_index: str = ""
    description: str = ""
    language: str = ""
    cover: str = ""
    sample_rate: int = 0

    @property
    def seconds(self) -> float:
        """How long its chapters are."""
        return sum(chapter.seconds for chapter in self.chapters)


def read_album(folder: Path, place: Path) -> Album:
    """Read the chapters of a run.

    Args:
        folder: The run folder.
        place: The folder below which its results are.

    Raises:
        NoRunError: There is no run in the folder.
    """
    album = Album()
    with Checkpoint.read(folder) as checkpoint:
        beside = _manifest_folder(checkpoint.read_settings())
        for row, record in checkpoint.rows.stream_outcomes():
            if row.kind == Kind.STT:
                continue
            if record is None or record.status is not Status.DONE:
                album.missing.append(row.id)
                album.suspects += record is not None and record.status is Status.SUSPECT
                continue
            columns = {name: str(value) for name, value in row.read().row.items() if value}
            _learn(album, columns, beside)
            album.sample_rate = max(album.sample_rate, record.sample_rate)
            album.chapters.append(
                SpokenChapter(
                    title=columns.get("title", row.id),
                    path=place / record.output,
                    frames=record.frames,
                    sample_rate=record.sample_rate,
                )
            )
    return album


def _manifest_folder(settings: Mapping[str, str]) -> Path:
    """Find the folder that a manifest's paths are relative to, wherever this is called."""
    path = settings.get("manifest_path", "")
    if not path:  # it came from the standard input
        return Path(settings.get("working_folder", ""))
    if os.path.exists(path):  # noqa: PTH110  # false, too, where we may not look
        return Path(path).parent
    return Path(settings.get("manifest", "")).parent  # moved, perhaps with its run


def _learn(album: Album, columns: Mapping[str, str], beside: Path) -> None:
    """Fill in what a row says of the book and is not known yet."""
    for column, name in _FACTS.items():
        if not getattr(album, name):
            setattr(album, name, columns.get(column, ""))
    if columns.get("cover") and not album.cover:
        album.cover = str(beside / columns["cover"])
