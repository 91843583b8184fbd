"""The files of an audiobook: encoded, tagged, marked and read again before they count."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batchjobs.audio import decoding
from batchjobs.audiobook.album import Album, SpokenChapter
from batchjobs.audiobook.cover import Picture, add_cover
from batchjobs.audiobook.kinds import KINDS
from batchjobs.audiobook.levels import Chain, Level, Loudness, Meter, level_filters
from batchjobs.audiobook.tags import find_language, make_tags
from batchjobs.audiobook.titles import cut_title
from batchjobs.errors import OutputError
from batchjobs.files.atomic import disk_error, part_path, publish
from batchjobs.options.audiobook import BindSettings

if TYPE_CHECKING:
    import av
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.container.core import Chapter as Mark

_BLOCK_SECONDS: Final = 1.0
_MOST_OVER_DB: Final = 0.05
_MOST_REMADE: Final = 2
"""Encoders add peaks of their own: seen in what was written, and made again lower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """One file to make."""

    target: Path
    chapters: Sequence[SpokenChapter]
    tags: dict[str, str]


def read_blocks(chapter: SpokenChapter, sample_rate: int) -> Iterator[bytes]:
    """Read a chapter as 16-bit mono, exactly as long as the checkpoint says."""
    left = chapter.frames_at(sample_rate)  # what the marks count on
    for block in decoding.pcm_chunks(
        chapter.path, sample_rate=sample_rate, chunk_seconds=_BLOCK_SECONDS
    ):
        yield block[: 2 * left]
        left -= min(left, len(block) // 2)
    if left:
        yield bytes(2 * left)


class Maker:
    """Makes files of an album's chapters.

    Args:
        album: The chapters.
        settings: How they are made.
        picture: The cover, if any.
        progress: Called with what is being done, and how far it is, 0 to 1.
    """

    def __init__(
        self,
        album: Album,
        settings: BindSettings,
        *,
        picture: Picture | None,
        progress: Callable[[str, float], None],
    ) -> None:
        self._album = album
        self._settings = settings
        self._kind = KINDS[settings.form]
        self._rate = album.sample_rate
        self._pause_frames = round(settings.pause_seconds * self._rate)
        self._picture = picture
        self._progress = progress

    def make(self, volumes: Sequence[Volume], level: Level) -> tuple[Loudness, Level, float]:
        """Write files beside their targets, read them again, and rename them once they are right.

        If their encoder goes through the highest true peak allowed, they are made again, lower.

        Args:
            volumes: What to make.
            level: What to do to the level at first.

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
            seconds, found = self._write(volumes, targets, level), self._measure(targets)
            for _ in range(_MOST_REMADE):
                over = found.peak_db - ceiling_db
                if over <= _MOST_OVER_DB:
                    break
                ceiling = ceiling_db if level.ceiling_db is None else level.ceiling_db
                level = replace(level, ceiling_db=ceiling - over - _MOST_OVER_DB)
                seconds, found = self._write(volumes, targets, level), self._measure(targets)
            publish(targets)
        except BaseException:
            for target in targets:
                part_path(target).unlink(missing_ok=True)
            raise
        return found, level, seconds

    def _write(self, volumes: Sequence[Volume], targets: Sequence[Path], level: Level) -> float:
        """Write the files beside their targets; gives their length in seconds."""
        import av

        seconds = 0.0
        for volume, target in zip(volumes, targets, strict=True):
            part = part_path(target)
            name, options = self._kind.muxer, self._kind.options_for(len(volume.chapters))
            done = 0.0
            try:
                part.unlink(missing_ok=True)  # what lies there is not written through
                with av.open(str(part), "w", format=name, options=options) as container:
                    for done in self._encode(container, volume, level):
                        self._progress("encoding", min(1.0, (seconds + done) / self._album.seconds))
                with part.open("rb") as file:
                    os.fsync(file.fileno())
            except av.error.FFmpegError as error:
                if isinstance(error, OSError) and error.errno:
                    raise disk_error(OSError(error.errno, error.strerror), target) from error
                raise OutputError(
                    f"cannot write {target}: {error}", hint="try --to flac"
                ) from error
            except OSError as error:
                raise disk_error(error, target) from error
            seconds += done
        return seconds

    def _measure(self, targets: Sequence[Path]) -> Loudness:
        """Decode what was written, and measure it."""
        import av

        meter = Meter()
        for number, target in enumerate(targets):
            with av.open(str(part_path(target)), format=self._kind.demuxer) as file:
                self._progress("checking", number / len(targets))
                meter.push(file.decode(audio=0))
        return meter.end()

    def _encode(
        self, container: "OutputContainer", volume: Volume, level: Level
    ) -> Iterator[float]:
        """Encode a file's chapters; gives the seconds that are done."""
        from av.audio.stream import AudioStream

        stream = container.add_stream(
            self._kind.codec, rate=self._rate, layout="mono", options=dict(self._kind.codec_options)
        )
        assert isinstance(stream, AudioStream)
        if self._kind.has_bitrate:
            stream.bit_rate = self._settings.bitrate
        container.metadata.update(make_tags(self._album, self._settings.form) | volume.tags)
        stream.metadata["language"] = find_language(self._album)
        if len(volume.chapters) > 1:
            container.set_chapters(self._make_marks(volume.chapters))
        if self._picture is not None:
            add_cover(container, self._picture)
        frames = 0
        filters = [
            *level_filters(level, self._rate),
            ("volume", f"{self._kind.loss_db:.4f}dB:precision=float"),
        ]
        chain = Chain(self._rate, filters)
        for pcm in self._read_sound(volume.chapters):
            _encode_frames(container, stream, chain.push(pcm))
            frames += len(pcm) // 2
            yield frames / self._rate
        _encode_frames(container, stream, chain.end())
        container.mux(stream.encode(None))

    def _read_sound(self, chapters: Sequence[SpokenChapter]) -> Iterator[bytes]:
        for number, chapter in enumerate(chapters):
            if number and self._pause_frames:
                yield bytes(2 * self._pause_frames)
            yield from read_blocks(chapter, self._rate)

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


def _encode_frames(
    container: "OutputContainer", stream: "AudioStream", frames: "Iterator[av.AudioFrame]"
) -> None:
    for frame in frames:
        container.mux(stream.encode(frame))
