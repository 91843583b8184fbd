"""The chapters of a run as an audiobook: one M4B with chapter marks, or tagged MP3 or FLAC files."""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from batchjobs import audio
from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import ConfigurationError, ManifestError, OutputError, UsageError
from batchjobs.files import disk_error, part_path, publish
from batchjobs.jobs import Kind, Status
from batchjobs.planning import decode_row

if TYPE_CHECKING:
    import av
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.container.core import Chapter

__all__ = ["BindSettings", "Bound", "bind"]

_BLOCK_SECONDS: Final = 1.0
_LIMITER_HEADROOM_DB: Final = 1.0
"""The limiter looks at samples; the true peak between them is higher, by 0.6 dB at most seen."""
_SILENT_LUFS: Final = -70.0
"""What the measure says of silence (EBU R 128's gate)."""
_M4B: Final = "m4b"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Container:
    name: str
    codec: str
    options: dict[str, str]


_CONTAINERS: Final = {
    # Of the muxers for AAC, only this one takes a cover through the library.
    _M4B: _Container(name="mp4", codec="aac", options={"movflags": "+faststart", "brand": "M4B "}),
    "mp3": _Container(name="mp3", codec="libmp3lame", options={}),
    "flac": _Container(name="flac", codec="flac", options={}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BindSettings:
    """How an audiobook is made.

    Attributes:
        form: ``m4b``: one file; ``mp3`` or ``flac``: a folder with a file for each chapter.
        loudness_lufs: Integrated loudness of the whole book (EBU R 128).
        true_peak_db: The highest true peak, in dBTP.
        bitrate: Bits a second, for AAC and MP3.
        pause_seconds: Silence between chapters.
        is_partial: Whether chapters may be missing.
        cover: A picture to use in place of the book's own.
    """

    form: str = _M4B
    loudness_lufs: float = -19.0
    true_peak_db: float = -1.5
    bitrate: int = 64_000
    pause_seconds: float = 2.0
    is_partial: bool = False
    cover: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What was made.

    Attributes:
        path: The file, or the folder of files.
        chapters: How many chapters are in it.
        seconds: How long it is.
        measured_lufs: The loudness before.
        gain_db: What was added.
        is_limited: Whether peaks had to be held down.
        missing: Ids of the chapters that are not in it.
    """

    path: Path
    chapters: int
    seconds: float
    measured_lufs: float
    gain_db: float
    is_limited: bool
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chapter:
    title: str
    path: Path
    seconds: float


@dataclass(slots=True, kw_only=True)
class _Album:
    """What is in a run folder: its chapters, and what their rows say of the book."""

    chapters: list[_Chapter]
    missing: list[str]
    title: str = ""
    author: str = ""
    cover: str = ""
    sample_rate: int = 0


def bind(
    folder: Path,
    settings: BindSettings,
    *,
    output: Path | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Bound:
    """Make an audiobook of a run's chapters, in the manifest's order.

    Args:
        folder: The run folder.
        settings: How.
        output: The file, or the folder for files; None for the book's title in the run folder.
        progress: Told what is being done, and how far it is, 0 to 1.

    Raises:
        NoRunError: There is no run in the folder.
        ManifestError: Chapters are missing, or there are none.
        RecordingError: A chapter's file is missing or damaged.
        ConfigurationError: The extra ``book`` is not installed.
        OutputError: The file cannot be created.
        DiskError: The disk failed or is full.
    """
    _check_extra()
    if settings.form not in _CONTAINERS:
        raise UsageError(f"no audiobook as '{settings.form}'", hint="use m4b, mp3 or flac")
    album = _album(folder)
    if album.missing and not settings.is_partial:
        named = ", ".join(album.missing[:10]) + (" …" if len(album.missing) > 10 else "")
        raise ManifestError(
            f"{len(album.missing)} chapters are not done: {named}",
            hint="run the manifest again, or pass --partial",
        )
    if not album.chapters:
        raise ManifestError(f"{folder} holds no chapters", hint="run a manifest of texts first")
    tell = progress or _ignore
    loudness, peak = _measured(album, lambda share: tell("measuring", share))
    gain = 0.0 if loudness <= _SILENT_LUFS else settings.loudness_lufs - loudness
    level = _Level(gain_db=gain, limit_db=settings.true_peak_db - _LIMITER_HEADROOM_DB)
    is_limited = peak + gain > settings.true_peak_db
    target = output or folder / _file_name(album.title or folder.resolve().name, settings.form)
    maker = _Maker(album, settings, level if is_limited else _Level(gain_db=gain), tell)
    seconds = maker.one_file(target) if settings.form == _M4B else maker.files(target)
    return Bound(
        path=target,
        chapters=len(album.chapters),
        seconds=seconds,
        measured_lufs=loudness,
        gain_db=gain,
        is_limited=is_limited,
        missing=tuple(album.missing),
    )


def _ignore(_: str, __: float) -> None:
    """Stand in for progress."""


def _check_extra() -> None:
    try:
        import av
    except ImportError as error:
        raise ConfigurationError(
            "binding a book needs the extra 'book'", hint="pip install 'batchjobs[book]'"
        ) from error
    av.logging.set_level(None)


def _file_name(title: str, form: str) -> str:
    shown = "".join("-" if c in '/\\:*?"<>|\0' or ord(c) < 32 else c for c in title)
    name = shown.strip(". ").encode()[:200].decode("utf-8", "ignore") or "book"
    return f"{name}.{form}" if form == _M4B else f"{name}-{form}"


def _album(folder: Path) -> _Album:
    album = _Album(chapters=[], missing=[])
    with Checkpoint.read(folder) as checkpoint:
        manifest = Path(checkpoint.settings().get("manifest", ""))
        for row, record in checkpoint.outcomes():
            if row.kind == Kind.STT:
                continue
            if record is None or record.status is not Status.DONE:
                album.missing.append(row.id)
                continue
            columns = {name: str(value) for name, value in decode_row(row).row.items() if value}
            album.title = album.title or columns.get("book", "")
            album.author = album.author or columns.get("author", "")
            if columns.get("cover") and not album.cover:
                album.cover = str(manifest.parent / columns["cover"])
            album.sample_rate = max(album.sample_rate, record.sample_rate)
            album.chapters.append(
                _Chapter(
                    title=columns.get("title", row.id),
                    path=folder / record.output,
                    seconds=record.frames / record.sample_rate,
                )
            )
    return album


# -- sound --------------------------------------------------------------------------------------


def _blocks(chapter: _Chapter, sample_rate: int) -> Iterator[bytes]:
    return audio.pcm_chunks(chapter.path, sample_rate=sample_rate, chunk_seconds=_BLOCK_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Level:
    """What is done to the level: a gain, and a ceiling if the gain would go through it."""

    gain_db: float
    limit_db: float | None = None


class _Filter:
    """A chain of FFmpeg's audio filters, fed with 16-bit mono blocks."""

    def __init__(self, sample_rate: int, *filters: tuple[str, str]) -> None:
        import av

        graph = av.filter.Graph()
        self._source = graph.add_abuffer(
            format="s16", sample_rate=sample_rate, layout="mono", time_base=Fraction(1, sample_rate)
        )
        last = self._source
        for name, options in (*filters, ("abuffersink", "")):
            following = graph.add(name, options) if options else graph.add(name)
            last.link_to(following)
            last = following
        graph.configure()
        self._sink = last
        self._graph = graph
        self._rate = sample_rate
        self._frames = 0

    def push(self, pcm: bytes) -> "Iterator[av.AudioFrame]":
        """Give what comes out for what goes in."""
        import av

        samples = np.frombuffer(pcm, dtype="<i2").reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts = self._rate, self._frames
        frame.time_base = Fraction(1, self._rate)
        self._frames += samples.shape[1]
        self._source.push(frame)
        yield from self._pulled()

    def end(self) -> "Iterator[av.AudioFrame]":
        """Give what is still inside."""
        self._source.push(None)
        yield from self._pulled()

    def _pulled(self) -> "Iterator[av.AudioFrame]":
        import av

        while True:
            try:
                yield self._sink.pull()  # type: ignore[misc]  # of an audio sink
            except (av.error.BlockingIOError, av.error.EOFError):
                return


def _measured(album: _Album, tell: Callable[[float], None]) -> tuple[float, float]:
    """Measure the whole book: integrated loudness in LUFS, and true peak in dBTP."""
    loudness, peak = _SILENT_LUFS, -200.0
    meter = _Filter(album.sample_rate, ("ebur128", "metadata=1:peak=true"))
    total = sum(chapter.seconds for chapter in album.chapters)
    done = 0.0

    def read(frames: "Iterator[av.AudioFrame]") -> None:
        nonlocal loudness, peak
        for frame in frames:
            found = frame.metadata
            loudness = float(found.get("lavfi.r128.I", loudness))
            value = float(found.get("lavfi.r128.true_peak", 0.0))
            peak = max(peak, 20 * float(np.log10(value)) if value > 0 else peak)

    for chapter in album.chapters:
        for block in _blocks(chapter, album.sample_rate):
            read(meter.push(block))
            done += _BLOCK_SECONDS
            tell(min(1.0, done / total))
    read(meter.end())
    return loudness, peak


# -- files --------------------------------------------------------------------------------------


class _Maker:
    """Writes the files of an audiobook."""

    def __init__(
        self,
        album: _Album,
        settings: BindSettings,
        level: _Level,
        tell: Callable[[str, float], None],
    ) -> None:
        self._album = album
        self._settings = settings
        self._level = level
        self._tell = tell
        self._container = _CONTAINERS[settings.form]
        self._total = sum(chapter.seconds for chapter in album.chapters)
        self._done = 0.0
        self._picture = _picture(settings.cover or Path(album.cover or "/nowhere"))

    def one_file(self, target: Path) -> float:
        """Write all chapters as one file with marks; gives its length in seconds."""
        chapters = self._album.chapters
        return self._write(target, chapters, {"title": self._album.title or target.stem})

    def files(self, target: Path) -> float:
        """Write a file for each chapter; gives their length in seconds."""
        seconds = 0.0
        count = len(self._album.chapters)
        for number, chapter in enumerate(self._album.chapters, start=1):
            name = f"{number:0{max(2, len(str(count)))}} {chapter.title}"
            path = target / f"{_file_name(name, _M4B).removesuffix('.m4b')}.{self._settings.form}"
            tags = {"title": chapter.title, "track": f"{number}/{count}"}
            seconds += self._write(path, [chapter], tags)
        return seconds

    def _write(self, target: Path, chapters: Sequence[_Chapter], tags: dict[str, str]) -> float:
        import av

        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target = target.parent.resolve() / target.name
            part = part_path(target)
            try:
                with av.open(
                    str(part), "w", format=self._container.name, options=self._container.options
                ) as container:
                    seconds = self._encode(container, chapters, tags)
                with part.open("rb") as file:
                    os.fsync(file.fileno())
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        except av.error.FFmpegError as error:
            raise OutputError(
                f"cannot write {target}: {error}", hint="choose another file"
            ) from error
        except OSError as error:
            raise disk_error(error, target) from error
        publish([target])
        return seconds

    def _encode(
        self, container: "OutputContainer", chapters: Sequence[_Chapter], tags: dict[str, str]
    ) -> float:
        from av.audio.stream import AudioStream

        rate = self._album.sample_rate
        stream = container.add_stream(self._container.codec, rate=rate, layout="mono")
        assert isinstance(stream, AudioStream)
        if self._settings.form != "flac":
            stream.bit_rate = self._settings.bitrate
        container.metadata.update(self._tags() | tags)
        if len(chapters) > 1:
            container.set_chapters(self._marks(chapters))
        self._add_cover(container)
        frames = 0
        level = _Filter(rate, *self._filters())
        for pcm in self._sound(chapters):
            frames += len(pcm) // 2
            _mux(container, stream, level.push(pcm))
        _mux(container, stream, level.end())
        container.mux(stream.encode(None))
        return frames / rate

    def _filters(self) -> list[tuple[str, str]]:
        filters = [("volume", f"{self._level.gain_db:.4f}dB:precision=float")]
        if self._level.limit_db is not None:
            limit = 10 ** (self._level.limit_db / 20)
            filters.append(("alimiter", f"limit={limit:.5f}:level=0:attack=5:release=50:latency=1"))
        return [*filters, ("aformat", f"sample_rates={self._album.sample_rate}")]

    def _sound(self, chapters: Sequence[_Chapter]) -> Iterator[bytes]:
        rate = self._album.sample_rate
        for number, chapter in enumerate(chapters):
            if number and self._pause_frames:
                yield bytes(2 * self._pause_frames)
            left = self._frames(chapter)  # what the marks count on
            for block in _blocks(chapter, rate):
                yield block[: 2 * left]
                left -= min(left, len(block) // 2)
                self._done += _BLOCK_SECONDS
                self._tell("encoding", min(1.0, self._done / self._total))
            if left:
                yield bytes(2 * left)

    def _frames(self, chapter: _Chapter) -> int:
        return round(chapter.seconds * self._album.sample_rate)

    @property
    def _pause_frames(self) -> int:
        return round(self._settings.pause_seconds * self._album.sample_rate)

    def _marks(self, chapters: Sequence[_Chapter]) -> "list[Chapter]":
        marks: list[Chapter] = []
        start = 0
        for number, chapter in enumerate(chapters, start=1):
            pause = self._pause_frames if number < len(chapters) else 0
            end = start + self._frames(chapter) + pause
            marks.append(
                {
                    "id": number,
                    "start": start,
                    "end": end,
                    "time_base": Fraction(1, self._album.sample_rate),
                    "metadata": {"title": chapter.title},
                }
            )
            start = end
        return marks

    def _tags(self) -> dict[str, str]:
        album = self._album
        found = {
            "album": album.title,
            "artist": album.author,
            "album_artist": album.author,
            "genre": "Audiobook",
        }
        return {name: value for name, value in found.items() if value}

    def _add_cover(self, container: "OutputContainer") -> None:
        if self._picture is None:
            return
        import av
        from av.stream import Disposition

        codec, width, height, content = self._picture
        stream = container.add_mux_stream(codec, rate=1, width=width, height=height)
        stream.time_base = Fraction(1, 1)
        stream.disposition = Disposition.attached_pic
        packet = av.Packet(content)
        packet.stream = stream
        packet.pts = packet.dts = 0
        packet.time_base = Fraction(1, 1)
        packet.is_keyframe = True
        container.start_encoding()
        container.mux(packet)


def _mux(
    container: "OutputContainer", stream: "AudioStream", frames: "Iterator[av.AudioFrame]"
) -> None:
    for frame in frames:
        container.mux(stream.encode(frame))


def _picture(path: Path) -> tuple[str, int, int, bytes] | None:
    """Read a cover: its codec, size and bytes; None if there is none that players show."""
    import av

    try:
        content = path.read_bytes()
        with av.open(io.BytesIO(content)) as image:
            stream = image.streams.video[0]
            name = stream.codec_context.name
            if name not in {"png", "mjpeg"}:
                return None
            return name, stream.width, stream.height, content
    except (OSError, IndexError, av.error.FFmpegError):
        return None
