"""The hidden folder in which a dataset is made, what of it is finished, and how it takes its place."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import orjson

from batchjobs.checkpoint.lock import lock_folder
from batchjobs.dataset.layout import WrittenFile
from batchjobs.dataset.totals import Totals
from batchjobs.errors import OutputError, RunLockedError
from batchjobs.files.atomic import disk_error, part_path, sync_folders, write_whole

CHECKSUMS: Final = "SHA256SUMS"
CARD: Final = "README.md"
_MARK: Final = ".batchjobs-export.json"
"""In a finished dataset: it is ours, and how it was made. Loaders pass hidden files over."""
_SETTINGS: Final = "settings.json"


class ClipEntry(msgspec.Struct, frozen=True, array_like=True):
    """A clip that was written: its row's number, its file, and its length."""

    number: int
    path: str
    bytes: int
    sha256: str
    frames: int
    sample_rate: int
    is_made: bool


class WrittenPiece(msgspec.Struct, kw_only=True):
    """A piece that is on the disk.

    Attributes:
        number: Its place in the split.
        digest: Of the lines of the split's list that it was made of.
        files: What it wrote, but for clips.
        clips: The clips that it wrote as files.
        totals: Of its rows.
    """

    number: int
    digest: str
    files: list[WrittenFile]
    clips: list[ClipEntry]
    totals: Totals


class Staging:
    """The folder beside a dataset's place in which it is made.

    Args:
        target: Where the dataset will be.

    Attributes:
        folder: What will be the dataset.
        lists: Holds a list of rows a split.
        scratch: Holds what is needed for a moment.
        was_begun: Whether an earlier export has left finished pieces here.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self._root = part_path(target)
        self.folder = self._root / "data"
        self.lists = self._root / "lists"
        self.scratch = self._root / "scratch"
        self._before = self._root / "before"
        self.was_begun = False
        self._lock: int | None = None

    def open(self) -> None:
        """Take the place, which nobody else may be at work in, and see that it may be written to.

        Raises:
            OutputError: Something else is there, or it cannot be made.
            RunLockedError: Another export is going on there.
        """
        try:
            self._lock = lock_folder(self._root)
        except RunLockedError as error:
            raise RunLockedError(
                f"another export to {self.target} is going on", hint="wait for it, or stop it"
            ) from error
        try:
            if self._before.exists() and not self.target.exists():  # killed between two renames
                self._before.rename(self.target)
            refuse_foreign(self.target)
            for folder in (self.folder, self.lists, self.scratch):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self.close()
            raise disk_error(error, self.target) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the place; one in which nothing was begun is gone."""
        if self._lock is not None:
            if not self.was_begun and not (self._root / _SETTINGS).exists():
                shutil.rmtree(self._root, ignore_errors=True)
            os.close(self._lock)
            self._lock = None

    def begin(self, fingerprint: str) -> None:
        """Go on with what is finished, if it was made the same way; else begin anew.

        Raises:
            DiskError: The disk failed.
        """
        settings = self._root / _SETTINGS
        wanted = orjson.dumps({"fingerprint": fingerprint})
        try:
            self.was_begun = settings.exists() and settings.read_bytes() == wanted
            if not self.was_begun:
                settings.unlink(missing_ok=True)
                shutil.rmtree(self.folder)
                self.folder.mkdir()
                for journal in self._root.glob("*.journal"):
                    journal.unlink()
                write_whole(settings, wanted)
        except OSError as error:
            raise disk_error(error, self._root) from error

    def journal(self, split: str) -> "Journal":
        """Give the list of a split's finished pieces."""
        return Journal(self._root / f"{split}.journal", self.folder)

    def publish(self, mark: dict[str, object], known: Iterator[str]) -> None:
        """Put the dataset in its place: what was there before is there until this is.

        Args:
            mark: How it was made.
            known: The paths of its files; what else an earlier, killed export left is removed.

        Raises:
            DiskError: The disk failed.
        """
        try:
            if self.was_begun:
                _remove_others(self.folder, {*known})
            write_whole(self.folder / _MARK, orjson.dumps(mark, option=orjson.OPT_INDENT_2))
            refuse_foreign(self.target)
            _sync_tree(self.folder)
            if self.target.exists():
                shutil.rmtree(self._before, ignore_errors=True)
                self.target.rename(self._before)
            self.folder.rename(self.target)
            sync_folders([self.target.parent])
            shutil.rmtree(self._root, ignore_errors=True)
        except OSError as error:
            raise disk_error(error, self.target) from error


class Journal:
    """What pieces of a split are on the disk, a line each; of one piece the last line holds.

    Args:
        path: Its file.
        folder: The dataset's.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self._path = path
        self._folder = folder
        self._places: dict[int, tuple[int, int]] = {}
        end = 0
        path.touch()
        with path.open("rb") as lines:
            for line in lines:
                try:
                    self._places[_decoder.decode(line).number] = (end, len(line))
                except msgspec.DecodeError:  # the machine stopped in the middle of it
                    break
                end += len(line)
        os.truncate(path, end)

    def find(self, number: int) -> WrittenPiece | None:
        """Find a piece that was written, if its files are all there, by their sizes."""
        if number not in self._places:
            return None
        piece = self._read(number)
        files = [*piece.files, *(WrittenFile(c.path, c.bytes, c.sha256) for c in piece.clips)]
        try:
            is_there = all(
                (self._folder / file.path).stat().st_size == file.bytes for file in files
            )
        except OSError:
            return None
        return piece if is_there else None

    def stream(self, count: int) -> Iterator[WrittenPiece]:
        """Read the first pieces, in their order."""
        return map(self._read, range(count))

    def append(self, piece: WrittenPiece) -> None:
        """Note a piece that is on the disk, durably."""
        line = msgspec.json.encode(piece) + b"\n"
        try:
            with self._path.open("ab") as file:
                place = file.tell()
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise disk_error(error, self._path) from error
        self._places[piece.number] = (place, len(line))

    def _read(self, number: int) -> WrittenPiece:
        offset, length = self._places[number]
        with self._path.open("rb") as file:
            file.seek(offset)
            return _decoder.decode(file.read(length))


def refuse_foreign(target: Path) -> None:
    """See that a place is free, or holds a dataset of ours and nothing else.

    Raises:
        OutputError: It does not.
    """
    if not target.exists() and not target.is_symlink():
        return
    hint = "give another --output, or move it away"
    if not target.is_dir() or target.is_symlink():
        raise OutputError(f"{target} is there, and is no folder", hint=hint)
    if not any(target.iterdir()):
        return
    if not (target / _MARK).is_file():
        raise OutputError(f"{target} holds something else than an export", hint=hint)
    sums = _read_checksums(target)
    for path in _walk(target):
        if path not in sums and path not in {_MARK, CHECKSUMS}:
            raise OutputError(f"{target} holds {path}, which no export made", hint=hint)
    if CARD in sums and _hash(target / CARD) not in {sums[CARD], ""}:
        raise OutputError(f"{target / CARD} was edited since it was exported", hint=hint)


def checksum_line(file: WrittenFile) -> bytes:
    """Write a file's line for ``sha256sum -c``."""
    return f"{file.sha256}  {file.path}\n".encode()


_decoder = msgspec.json.Decoder(WrittenPiece)


def _read_checksums(folder: Path) -> dict[str, str]:
    found = {}
    with contextlib.suppress(FileNotFoundError), (folder / CHECKSUMS).open("rb") as lines:
        for line in lines:
            digest, _, path = line.decode(errors="replace").rstrip("\n").partition("  ")
            found[path] = digest
    return found


def _hash(path: Path) -> str:
    import hashlib

    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


def _walk(folder: Path) -> Iterator[str]:
    """Name all files below a folder, by their paths from it."""
    for place, _, names in os.walk(folder):
        for name in names:
            yield Path(place, name).relative_to(folder).as_posix()


def _remove_others(folder: Path, known: set[str]) -> None:
    for path in list(_walk(folder)):
        if path not in known:
            (folder / path).unlink()
    for place, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):  # it holds something
            Path(place).rmdir()


def _sync_tree(folder: Path) -> None:
    sync_folders(Path(place) for place, _, _ in os.walk(folder))
