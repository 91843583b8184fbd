"""A folder of recordings as a manifest: each content once, with its length."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from batchjobs.audio import decoding
from batchjobs.errors import ManifestError, RecordingError
from batchjobs.files.atomic import disk_error, write_whole

ENDINGS: Final = frozenset(
    """
    .wav .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .m4a .m4b .mp4 .m4v .mov .mkv .mka .webm .wma
    .wmv .caf
    """.split()
)
_NOT_IN_IDS: Final = re.compile(r"[^\w.-]+")
_ID_BYTES: Final = 90
_HASH_HEX_DIGITS: Final = 8
_HASHED_BYTES: Final = 65_536


@dataclass(slots=True, kw_only=True)
class ScanReport:
    """What a scan came to.

    Attributes:
        new: Rows added to the manifest.
        known: Recordings that it had already.
        seconds: Length of the new ones.
        duplicates: Recordings with the content of another: (path, the other's path).
        unreadable: Files that cannot be transcribed: (path, why).
        gone: Recordings of the manifest that are not there any more.
    """

    new: int = 0
    known: int = 0
    seconds: float = 0.0
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


class Scan:
    """Adds the recordings below a folder to a manifest of JSON Lines, each content once.

    What stands in the manifest already stays as it is, byte for byte: its ids, and whatever
    was written beside them.

    Args:
        folder: Where to look, also in the folders below.
        manifest: The manifest, which need not exist; its rows name recordings from its own folder.

    Raises:
        ManifestError: The folder cannot be read, or the manifest is none of recordings.
    """

    def __init__(self, folder: Path, manifest: Path) -> None:
        if not folder.is_dir():
            raise ManifestError(f"{folder} is no folder", hint="give a folder of recordings")
        self._folder = folder.resolve()
        self._manifest = manifest
        self._base = manifest.parent.resolve()
        self._ids: set[str] = set()
        self._paths: dict[str, None] = {}
        self._by_size: dict[int, list[tuple[str, str]]] = {}
        self._content = self._read()

    @property
    def needs_input_root(self) -> bool:
        """Whether a run of the manifest needs ``--input-root``."""
        return not self._folder.is_relative_to(self._base)

    def _read(self) -> bytes:
        try:
            content = self._manifest.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise ManifestError(f"{self._manifest} cannot be read: {error.strerror}") from error
        for number, line in enumerate(content.splitlines(), start=1):
            try:
                row = orjson.loads(line)
                self._ids.add(str(row["id"]))
                self._paths[str(row["audio"])] = None
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                raise ManifestError(
                    f"{self._manifest}:{number}: is no row of a scan",
                    hint="choose another --output, or move it away",
                ) from error
        return content if not content or content.endswith(b"\n") else content + b"\n"

    # -- looking --------------------------------------------------------------------------------

    def run(self, progress: Callable[[int], None] | None = None) -> ScanReport:
        """Look through the folder, and write the manifest with what is new.

        Raises:
            OutputError: The manifest cannot be created.
            DiskError: The disk failed or is full.
        """
        found = ScanReport()
        new = bytearray()
        for number, path in enumerate(walk_recordings(self._folder), start=1):
            new += self._make_row(path, found)
            if progress is not None:
                progress(number)
        found.gone = [name for name in self._paths if not (self._root / name).exists()]
        if new or not self._manifest.exists():
            self._content += new
            write_whole(self._manifest, self._content)
        return found

    def add(self, path: Path) -> ScanReport:
        """Add one recording that has arrived, durably.

        Raises:
            DiskError: The disk failed or is full.
        """
        found = ScanReport()
        if row := self._make_row(path, found):
            self._content += row
            try:
                with self._manifest.open("ab") as file:
                    file.write(row)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise disk_error(error, self._manifest) from error
        return found

    @property
    def _root(self) -> Path:
        return self._folder if self.needs_input_root else self._base

    def _make_row(self, path: Path, found: ScanReport) -> bytes:
        """Make the row of a recording that is new; empty for any other, and count it."""
        name = str(path.relative_to(self._root))
        if name in self._paths:
            found.known += 1
            self._remember(path, name)
            return b""
        try:
            recording = decoding.probe(path)
            other = self._find_same(path)
        except RecordingError as error:
            reason = error.message.removeprefix(f"{path} ")  # which has been said
            found.unreadable.append((name, f"{reason}; {error.hint}"))
            return b""
        if other:
            found.duplicates.append((name, other))
            return b""
        self._paths[name] = None
        self._remember(path, name)
        found.new += 1
        found.seconds += recording.seconds
        row = {"id": self._make_id(path), "audio": name, "seconds": round(recording.seconds, 3)}
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)

    def _make_id(self, path: Path) -> str:
        """Make an id of a path: readable, a good file name, and the same the next time."""
        relative = str(path.relative_to(self._folder).with_suffix(""))
        name = _NOT_IN_IDS.sub("-", relative).strip("-.")
        digest = hashlib.sha256(os.fsencode(path.relative_to(self._folder))).hexdigest()
        short = name.encode("utf-8", "ignore")[:_ID_BYTES].decode("utf-8", "ignore")
        if not short or short != name or short in self._ids:
            short = f"{short}-{digest[:_HASH_HEX_DIGITS]}".strip("-")
        self._ids.add(short)
        return short

    # -- duplicates -----------------------------------------------------------------------------

    def _remember(self, path: Path, name: str) -> None:
        self._by_size.setdefault(path.stat().st_size, []).append((name, str(path)))

    def _find_same(self, path: Path) -> str:
        """Find a recording with the same content: of those of its size, by hash."""
        others = self._by_size.get(path.stat().st_size, [])
        if not others:
            return ""
        digest, head = decoding.sha256_of(path), _read_head(path)
        for name, other in others:
            if _read_head(Path(other)) == head and decoding.sha256_of(Path(other)) == digest:
                return name
        return ""


def scan(
    folder: str | Path, manifest: str | Path, *, progress: Callable[[int], None] | None = None
) -> ScanReport:
    """Write a manifest of the recordings below a folder, or add to it what is new.

    Args:
        folder: The folder.
        manifest: The manifest, JSON Lines. If it is not above the folder, a run of it needs
            `Options.input_root`.
        progress: Called with the number of recordings looked at so far.

    Raises:
        ManifestError: The folder cannot be read, or the manifest is none of recordings.
        OutputError: The manifest cannot be created.
        DiskError: The disk failed or is full.
    """
    return Scan(Path(folder), Path(manifest)).run(progress)


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HASHED_BYTES)
    except OSError:
        return b""


def walk_recordings(folder: Path) -> Iterator[Path]:
    """Walk through a folder in order, without what is hidden or leads elsewhere."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise ManifestError(f"{folder} cannot be read: {error.strerror}") from error
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith(".") or not _is_text(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from walk_recordings(path)
        elif path.suffix.lower() in ENDINGS and entry.is_file(follow_symlinks=False):
            yield path


def _is_text(name: str) -> bool:
    """Say whether a name is text: file systems allow any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
