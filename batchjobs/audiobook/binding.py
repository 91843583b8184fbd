"""The chapters of a run as an audiobook: one M4B with chapter marks, or tagged MP3 or FLAC files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchjobs.audiobook.album import Album, read_album
from batchjobs.audiobook.cover import SHOWN_PICTURES, Picture, read_picture
from batchjobs.audiobook.files import Maker, Volume
from batchjobs.audiobook.kinds import KINDS, M4B, MOST_LISTED_CHAPTERS
from batchjobs.audiobook.measuring import Measuring
from batchjobs.audiobook.meter import join_readings
from batchjobs.audiobook.rehearsal import Aim, Rehearsal, fit, take_excerpts
from batchjobs.audiobook.titles import MOST_TITLE_BYTES, cut_title, is_too_long
from batchjobs.checkpoint import hold_results
from batchjobs.errors import ManifestError, MissingExtraError, UsageError
from batchjobs.formatting import plural
from batchjobs.options import check_settings
from batchjobs.options.audiobook import BindSettings
from batchjobs.process.invocation import quote_command

_MEASURING_SHARE: Final = 0.2
"""What measuring a second of sound takes of what writing it takes."""
_MOST_NAME_BYTES: Final = 200
_M4B_ENDINGS: Final = frozenset([".m4b", ".m4a", ".mp4"])


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundBook:
    """What was made.

    Attributes:
        path: The file, or the folder of files.
        chapters: How many chapters are in it.
        seconds: How long it is.
        measured_lufs: The loudness before.
        reached_lufs: The loudness of what was made, decoded again.
        peak_db: Its highest true peak, in dBTP.
        gain_db: What was added.
        is_limited: Whether peaks had to be held down.
        missing: Ids of the chapters that are not in it.
        lost_cover: The picture that the manifest names, if it is not there or cannot be shown.
        notes: What else is not as in the manifest, and why: a sentence each.
    """

    path: Path
    chapters: int
    seconds: float
    measured_lufs: float
    reached_lufs: float
    peak_db: float
    gain_db: float
    is_limited: bool
    missing: tuple[str, ...]
    lost_cover: str
    notes: tuple[str, ...] = ()


_AS_COMMANDED: Final = BindSettings()


def bind(
    folder: str | Path,
    settings: BindSettings = _AS_COMMANDED,
    *,
    output: str | Path | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> BoundBook:
    """Make an audiobook of a run's chapters, in the manifest's order.

    Args:
        folder: The run folder.
        settings: How; by default as the command does it.
        output: The file, or the folder for files; None for the book's title in the run folder.
        progress: Called with what is being done, and how much of all is done, 0 to 1.

    Raises:
        UsageError: There is no such form, a setting is out of its range, the output's ending is of
            another form, or the cover given is no picture.
        NoRunError: There is no run in the folder.
        ManifestError: Chapters are missing, or there are none.
        RecordingError: A chapter's file is missing or damaged.
        MissingExtraError: The extra ``book`` is not installed.
        OutputError: The file cannot be created.
        DiskError: The disk failed or is full.
    """
    _check_extra()
    folder, output = Path(folder), None if output is None else Path(output)
    _check_form(settings.form, output)
    check_settings(settings)
    with hold_results(folder) as place:
        return _bind(folder, place, settings, output, progress)


def _bind(
    folder: Path,
    place: Path,
    settings: BindSettings,
    output: Path | None,
    progress: Callable[[str, float], None] | None,
) -> BoundBook:
    album = _read_complete(folder, place, settings)
    picture = _find_picture(album, settings)
    kind = KINDS[settings.form]
    measuring = Measuring(folder, place, album.chapters)
    bar = _Bar(progress, to_measure=measuring.open_seconds, to_write=album.seconds)
    readings = measuring.run(bar.measured)
    before = join_readings(readings)
    aim = Aim(
        lufs=settings.loudness_lufs, ceiling_db=settings.true_peak_db, bitrate=settings.bitrate
    )

    def rehearse() -> Rehearsal:
        excerpts = take_excerpts(album.chapters, readings, album.sample_rate)
        return Rehearsal(excerpts, kind, album.sample_rate)

    bar.rehearse()
    level, bitrate = fit(rehearse, before, aim, kind)
    stem = _to_file_name(album.title or folder.resolve().name)
    mark = "." if settings.form == M4B else "-"
    target = output or folder / f"{stem}{mark}{settings.form}"
    maker = Maker(album, settings, picture=picture, progress=bar.written)
    volumes = _plan_volumes(album, target, settings.form)
    after, level, seconds = maker.make(volumes, level, bitrate)
    return BoundBook(
        path=target,
        chapters=len(album.chapters),
        seconds=seconds,
        measured_lufs=before.lufs,
        reached_lufs=after.lufs,
        peak_db=after.peak_db,
        gain_db=level.gain_db,
        is_limited=level.ceiling_db is not None,
        missing=tuple(album.missing),
        lost_cover="" if picture else album.cover,
        notes=tuple(note_bounds(album, settings.form)),
    )


class _Bar:
    """One measure of how far it is, over measuring and writing, that never goes back.

    Args:
        progress: Called with what is being done, and how much of all is done; None for nobody.
        to_measure: Seconds of sound to measure.
        to_write: Seconds of sound to write.
    """

    def __init__(
        self, progress: Callable[[str, float], None] | None, *, to_measure: float, to_write: float
    ) -> None:
        self._progress = progress
        self._before = to_measure * _MEASURING_SHARE
        self._all = self._before + to_write
        self._done = 0.0

    def measured(self, seconds: float) -> None:
        """Take note of what was measured."""
        self._show("measuring", seconds * _MEASURING_SHARE)

    def rehearse(self) -> None:
        """Take note that the level is looked for, on excerpts."""
        self._show("rehearsing", self._before)

    def written(self, seconds: float) -> None:
        """Take note of what was written."""
        self._show("encoding", self._before + seconds)

    def _show(self, what: str, done: float) -> None:
        self._done = max(self._done, min(done, self._all))
        if self._progress is not None:
            self._progress(what, self._done / self._all if self._all else 1.0)


def _check_extra() -> None:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("binding a book", package="av", extra="book") from error
    av.logging.set_level(None)


def _check_form(form: str, output: Path | None) -> None:
    if form not in KINDS:
        raise UsageError(f"no audiobook as '{form}'", hint="use m4b, mp3 or flac")
    if form == M4B and output and output.suffix.lower() not in _M4B_ENDINGS:
        ending = output.suffix.lower().removeprefix(".")
        other = f"give --to {ending} for a folder of files" if ending in KINDS else ""
        raise UsageError(f"{output} does not end in .m4b", hint=other or "name it BOOK.m4b")
    if form != M4B and output and not output.is_dir() and _is_file_name(output):
        raise UsageError(
            f"--to {form} makes a folder with a file for each chapter; {output} names a file",
            hint=f"name a folder, as in {output.stem}-{form}, or give --to m4b for one file",
        )


def _is_file_name(output: Path) -> bool:
    ending = output.suffix.lower()
    return ending in _M4B_ENDINGS or ending.removeprefix(".") in KINDS


def _read_complete(folder: Path, place: Path, settings: BindSettings) -> Album:
    """Read the chapters of a run; refuse if some are missing that should not be."""
    album = read_album(folder, place)
    if album.missing and not settings.is_partial:
        named = ", ".join(album.missing[:10]) + (" …" if len(album.missing) > 10 else "")
        are = "is" if len(album.missing) == 1 else "are"
        raise ManifestError(
            f"{plural(len(album.missing), 'chapter')} {are} not done: {named}",
            hint="listen to what is suspect, then: "
            f"{quote_command('accept', folder, '--all')}; or pass --partial"
            if album.suspects
            else "run the manifest again, or pass --partial",
        )
    if not album.chapters and album.missing:
        raise ManifestError(
            f"{folder} holds no chapters that are done", hint="run the manifest again"
        )
    if not album.chapters:
        raise ManifestError(f"{folder} holds no chapters", hint="run a manifest of texts first")
    return album


def _find_picture(album: Album, settings: BindSettings) -> Picture | None:
    if settings.cover is not None:
        picture = read_picture(settings.cover)
        if picture is None:
            raise UsageError(f"{settings.cover} is no picture", hint=f"give a {SHOWN_PICTURES}")
        return picture
    return read_picture(Path(album.cover)) if album.cover else None


def note_bounds(album: Album, form: str) -> Iterator[str]:
    """Say where an M4B cannot hold what the manifest has."""
    if form != M4B:
        return
    cut = [chapter.title for chapter in album.chapters if is_too_long(chapter.title)]
    if cut:
        yield (
            f"{plural(len(cut), 'title')} cut: an M4B holds {MOST_TITLE_BYTES} bytes of a chapter's "
            f"title, as in '{cut_title(cut[0])[-20:]}'"
        )
    if len(album.chapters) > MOST_LISTED_CHAPTERS:
        yield (
            f"{len(album.chapters):,} chapters: Nero's list of them, which holds "
            f"{MOST_LISTED_CHAPTERS}, is left out; QuickTime's, which most players read, has all"
        )


def _plan_volumes(album: Album, target: Path, form: str) -> list[Volume]:
    if form == M4B:
        tags = {"title": album.title or target.stem}
        return [Volume(target=target, chapters=album.chapters, tags=tags)]
    count = len(album.chapters)
    volumes = []
    for number, chapter in enumerate(album.chapters, start=1):
        name = _to_file_name(f"{number:0{max(2, len(str(count)))}} {chapter.title}")
        tags = {"title": chapter.title, "track": f"{number}/{count}"}
        volumes.append(Volume(target=target / f"{name}.{form}", chapters=[chapter], tags=tags))
    return volumes


def _to_file_name(title: str) -> str:
    """Write a title as a file name that every file system takes."""
    shown = "".join("-" if c in '/\\:*?"<>|\0' or ord(c) < 32 else c for c in title)
    return cut_title(shown, _MOST_NAME_BYTES).strip(". ") or "book"
