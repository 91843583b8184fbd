"""The files of an audiobook: encoded, tagged, marked and read again before they count."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batchjobs.audiobook.album import Album, SpokenChapter
from batchjobs.audiobook.blocks import BLOCK_SECONDS, read_blocks
from batchjobs.audiobook.coding import Listener, change_level, encode
from batchjobs.audiobook.cover import Picture, add_cover
from batchjobs.audiobook.filters import Level
from batchjobs.audiobook.kinds import KINDS
from batchjobs.audiobook.meter import Loudness, Reading, join_readings
from batchjobs.audiobook.overlap import RunAhead
from batchjobs.audiobook.tags import find_language, make_tags
from batchjobs.audiobook.titles import cut_title
from batchjobs.errors import OutputError
from batchjobs.files.atomic import disk_error, part_path, publish
from batchjobs.options.audiobook import BindSettings

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.container.core import Chapter as Mark

_MOST_OVER_DB: Final = 0.05
_LEAST_LOST_SECONDS: Final = 0.2
_MOST_REMADE: Final = 2
"""Encoders add peaks of their own: seen in what was written, and made again lower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """One file to make."""

    target: Path
    chapters: Sequence[SpokenChapter]
    tags: dict[str, str]


class Maker:
    """Makes files of an album's chapters.

    Args:
        album: The chapters.
        settings: How they are made.
        picture: The cover, if any.
        progress: Called with the seconds of sound that are written.
    """

    def __init__(
        self,
        album: Album,
        settings: BindSettings,
        *,
        picture: Picture | None,
        progress: Callable[[float], None],
    ) -> None:
        self._album = album
        self._settings = settings
        self._kind = KINDS[settings.form]
        self._rate = album.sample_rate
        self._pause_frames = round(settings.pause_seconds * self._rate)
        self._picture = picture
        self._progress = progress

    def make(
        self, volumes: Sequence[Volume], level: Level, bitrate: int
    ) -> tuple[Loudness, Level, float]:
        """Write files beside their targets, hear what is written, and rename them once it is right.

        If their encoder goes through the highest true peak allowed, they are made again, lower.

        Args:
            volumes: What to make.
            level: What to do to the level at first.
            bitrate: What to ask of the encoder, in bits a second.

        Returns:
            What the files measure, the level they were made with, and their length in seconds.

        Raises:
            RecordingError: A chapter's file is missing or damaged.
            OutputError: A file cannot be created.
            DiskError: The disk failed or is full.
        """
        ceiling_db = self._settings.true_peak_db
        targets = [_prepare_target(volume.target) for volume in volumes]
        try:
            seconds, found = self._write(volumes, targets, level, bitrate)
            for _ in range(_MOST_REMADE):
                over = found.peak_db - ceiling_db
                if over <= _MOST_OVER_DB:
                    break
                ceiling = ceiling_db if level.ceiling_db is None else level.ceiling_db
                level = replace(level, ceiling_db=ceiling - over - _MOST_OVER_DB)
                seconds, found = self._write(volumes, targets, level, bitrate)
            publish(targets)
        except BaseException:
            for target in targets:
                part_path(target).unlink(missing_ok=True)
            raise
        return found, level, seconds

    def _write(
        self, volumes: Sequence[Volume], targets: Sequence[Path], level: Level, bitrate: int
    ) -> tuple[float, Loudness]:
        """Write the files beside their targets; gives their length in seconds, and what they measure."""
        import av

        seconds, readings = 0.0, []
        for volume, target in zip(volumes, targets, strict=True):
            part = part_path(target)
            name, options = self._kind.muxer, self._kind.options_for(len(volume.chapters))
            try:
                part.unlink(missing_ok=True)  # what lies there is not written through
                with av.open(str(part), "w", format=name, options=options) as container:
                    stream = self._prepare(container, volume, bitrate)
                    readings.append(self._encode(container, stream, volume, level, seconds))
                with part.open("rb") as file:
                    os.fsync(file.fileno())
                seconds += self._count_frames(volume.chapters) / self._rate
                self._check(part, volume)
            except av.error.FFmpegError as error:
                if isinstance(error, OSError) and error.errno:
                    raise disk_error(OSError(error.errno, error.strerror), target) from error
                raise OutputError(
                    f"cannot write {target}: {error}", hint="try --to flac"
                ) from error
            except OSError as error:
                raise disk_error(error, target) from error
        return seconds, join_readings(readings)

    def _prepare(self, container: "OutputContainer", volume: Volume, bitrate: int) -> "AudioStream":
        """Begin a file: its encoder, tags, marks and cover."""
        from av.audio.stream import AudioStream

        stream = container.add_stream(
            self._kind.codec, rate=self._rate, layout="mono", options=dict(self._kind.codec_options)
        )
        assert isinstance(stream, AudioStream)
        if self._kind.has_bitrate:
            stream.bit_rate = bitrate
        container.metadata.update(make_tags(self._album, self._settings.form) | volume.tags)
        stream.metadata["language"] = find_language(self._album)
        if len(volume.chapters) > 1:
            container.set_chapters(self._make_marks(volume.chapters))
        if self._picture is not None:
            add_cover(container, self._picture)
        container.start_encoding()
        return stream

    def _encode(
        self,
        container: "OutputContainer",
        stream: "AudioStream",
        volume: Volume,
        level: Level,
        before_seconds: float,
    ) -> Reading:
        """Encode a file's chapters, and hear what was made: level, encoder and ear side by side.

        One encoder goes through the whole file, and what it makes is heard once, as it is written:
        on two processors that takes as long as the encoder alone (measured).
        """
        listener = Listener(stream.codec_context)
        frames = change_level(self._read_sound(volume.chapters), level, self._kind, self._rate)
        with RunAhead(frames) as ready, RunAhead(encode(stream, ready)) as batches:
            for number, packets in enumerate(batches, start=1):
                listener.push(packets)
                container.mux(packets)
                self._progress(before_seconds + number * BLOCK_SECONDS)
        return listener.end()

    def _check(self, part: Path, volume: Volume) -> None:
        """See that a written file can be read, and has all of its sound and marks."""
        import av

        wanted = self._count_frames(volume.chapters) / self._rate
        with av.open(str(part), format=self._kind.demuxer) as file:
            found = (file.duration or 0) / av.time_base
            marks = len(file.chapters())
        is_marked = marks == len(volume.chapters) or len(volume.chapters) == 1
        if found < wanted - _LEAST_LOST_SECONDS or not is_marked:
            raise OutputError(
                f"{part} holds {found:.1f} s and {marks} marks, not {wanted:.1f} s and "
                f"{len(volume.chapters)}",
                hint="check the disk, and bind again",
            )

    def _read_sound(self, chapters: Sequence[SpokenChapter]) -> Iterator[bytes]:
        for number, chapter in enumerate(chapters):
            if number and self._pause_frames:
                yield bytes(2 * self._pause_frames)
            yield from read_blocks(chapter, self._rate)

    def _count_frames(self, chapters: Sequence[SpokenChapter]) -> int:
        pauses = self._pause_frames * (len(chapters) - 1)
        return sum(chapter.frames_at(self._rate) for chapter in chapters) + pauses

    def _make_marks(self, chapters: Sequence[SpokenChapter]) -> "list[Mark]":
        marks: list[Mark] = []
        start = 0
        for number, chapter in enumerate(chapters, start=1):
            pause = self._pause_frames if number < len(chapters) else 0
            end = start + chapter.frames_at(self._rate) + pause
            marks.append(
                {
                    "id": number,
                    "start": start,
                    "end": end,
                    "time_base": Fraction(1, self._rate),
                    "metadata": {"title": cut_title(chapter.title)},
                }
            )
            start = end
        return marks


def _prepare_target(target: Path) -> Path:
    """Make a target's folder, and resolve its path."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            raise OutputError(f"{target} is a folder", hint="name a file")
        return target.parent.resolve() / target.name
    except OSError as error:
        raise disk_error(error, target) from error
