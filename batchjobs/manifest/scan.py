"""A folder of recordings as a manifest: each content once, with its length."""

import hashlib
import os
import re
import time
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from batchjobs.audio import decoding, looking
from batchjobs.audio.recognition import ENDINGS, recognise
from batchjobs.audio.source import Recording
from batchjobs.audio.tracks import Tracks
from batchjobs.errors import DecoderMissingError, ManifestError, RecordingError
from batchjobs.files.atomic import disk_error, write_whole
from batchjobs.manifest.left_out import Cause, LeftOut, kind_of, list_beside, show_path, write_list
from batchjobs.manifest.walking import is_partial, walk
from batchjobs.options.watching import DEFAULT_SETTLE_SECONDS

UNFINISHED: Final = "its name is that of an unfinished copy"
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
        left_out: All else that is there, each with its cause.
        gone: Recordings of the manifest that are not there any more.
        tracks: New ones of several audio tracks, of which one is heard.
    """

    new: int = 0
    known: int = 0
    seconds: float = 0.0
    left_out: list[LeftOut] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    tracks: Tracks = field(default_factory=Tracks)

    def add_new(self, job_id: str, name: str, recording: Recording) -> bytes:
        """Count a recording that is new.

        Args:
            job_id: The id of its row.
            name: What it is called in the manifest.
            recording: What is known of it.

        Returns:
            The manifest's line for it.
        """
        self.new += 1
        self.seconds += recording.seconds
        self.tracks.add(show_path(name), heard=recording.track, tracks=recording.tracks)
        row = {"id": job_id, "audio": name, "seconds": round(recording.seconds, 3)}
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)

    @property
    def duplicates(self) -> list[tuple[str, str]]:
        """Recordings with the content of another: (path, the other's path)."""
        return [(item.path, item.reason) for item in self.left_out if item.cause is Cause.DUPLICATE]

    @property
    def unreadable(self) -> list[tuple[str, str]]:
        """Recordings that cannot be transcribed: (path, why)."""
        causes = {Cause.UNREADABLE, Cause.EXTRA}
        return [(item.path, item.reason) for item in self.left_out if item.cause in causes]


class KnownRows(NamedTuple):
    """What stands in a manifest of a scan already.

    Attributes:
        content: All of it; its last line has its end.
        ids: The rows' ids.
        paths: What they name, in order.
    """

    content: bytes
    ids: set[str]
    paths: dict[str, None]


def read_rows(manifest: Path) -> KnownRows:
    """Read what stands in a manifest of recordings, which need not exist.

    Raises:
        ManifestError: It cannot be read, or is none of recordings.
    """
    known = KnownRows(b"", set(), {})
    try:
        content = manifest.read_bytes()
    except FileNotFoundError:
        return known
    except OSError as error:
        raise ManifestError(f"{manifest} cannot be read: {error.strerror}") from error
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            row = orjson.loads(line)
            known.ids.add(str(row["id"]))
            known.paths[str(row["audio"])] = None
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise ManifestError(
                f"{manifest}:{number}: is no row of a scan",
                hint="choose another --output, or move it away",
            ) from error
    has_end = not content or content.endswith(b"\n")
    return known._replace(content=content if has_end else content + b"\n")


class Scan:
    """Adds the recordings below a folder to a manifest of JSON Lines, each content once.

    What stands in the manifest already stays as it is, byte for byte: its ids, and whatever
    was written beside them.

    Args:
        folder: Where to look, also in the folders below.
        manifest: The manifest, which need not exist; its rows name recordings from its own folder.
        settle_seconds: How long a file must not have been written to: it may still be copied.
        follows_links: Whether links are followed, as far as a run follows them.

    Raises:
        ManifestError: The folder cannot be read, or the manifest is none of recordings.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Path,
        *,
        settle_seconds: float = 0.0,
        follows_links: bool = False,
    ) -> None:
        if not folder.is_dir():
            raise ManifestError(f"{folder} is no folder", hint="give a folder of recordings")
        self._folder = folder.resolve()
        self._manifest = manifest
        self._base = manifest.parent.resolve()
        self._own = {self._base / manifest.name, self._base / list_beside(manifest).name}
        self._settle_seconds = settle_seconds
        self._follows_links = follows_links
        self._left_out: dict[str, LeftOut] = {}
        self._by_size: dict[int, list[tuple[str, str]]] = {}
        self._content, self._ids, self._paths = read_rows(manifest)

    @property
    def needs_input_root(self) -> bool:
        """Whether a run of the manifest needs ``--input-root``."""
        return not self._folder.is_relative_to(self._base)

    # -- looking --------------------------------------------------------------------------------

    def run(self, progress: Callable[[int], None] | None = None) -> ScanReport:
        """Look through the folder, and write the manifest with what is new.

        Raises:
            OutputError: The manifest cannot be created.
            DiskError: The disk failed or is full.
        """
        found = ScanReport()
        new = bytearray()
        entries = walk(self._folder, root=self._root, follows_links=self._follows_links)
        for number, entry in enumerate(entries, start=1):
            if isinstance(entry, LeftOut):
                found.left_out.append(entry)
            elif entry not in self._own:
                new += self._make_row(entry, found)
            if progress is not None:
                progress(number)
        found.gone = [name for name in self._paths if not os.path.exists(self._root / name)]  # noqa: PTH110
        if new or not self._manifest.exists():
            self._content += new
            write_whole(self._manifest, self._content)
        self._left_out = {item.path: item for item in found.left_out}
        write_list(self._manifest, found.left_out)
        return found

    def add(self, path: Path) -> ScanReport:
        """Add one recording that has arrived, durably, or note that it is left out.

        Raises:
            OutputError: The list of what is left out cannot be created.
            DiskError: The disk failed or is full.
        """
        found = ScanReport()
        row = b"" if path in self._own else self._make_row(path, found)
        if row:
            self._content += row
            try:
                with self._manifest.open("ab") as file:
                    file.write(row)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise disk_error(error, self._manifest) from error
        before = self._left_out.pop(show_path(path.relative_to(self._root)), None)
        self._left_out |= {item.path: item for item in found.left_out}
        if found.left_out != [before] and (before or found.left_out):
            write_list(self._manifest, self._left_out.values())
        return found

    @property
    def _root(self) -> Path:
        return self._folder if self.needs_input_root else self._base

    def _make_row(self, path: Path, found: ScanReport) -> bytes:
        """Make the row of a recording that is new; empty for anything else, which is noted."""
        name = str(path.relative_to(self._root))
        try:
            if name in self._paths:
                found.known += 1
                self._remember(path, name)
                return b""
            left_out = self._find_obstacle(path, name)
            if left_out is None:
                return self._make_new_row(path, name, found)
        except DecoderMissingError as error:
            left_out = leave(path, name, Cause.EXTRA, reason_of(error, path))
        except RecordingError as error:
            left_out = leave(path, name, Cause.UNREADABLE, reason_of(error, path))
        except OSError as error:
            reason = f"it cannot be read: {error.strerror}"
            left_out = leave(path, name, Cause.UNREADABLE, reason)
        found.left_out.append(left_out)
        return b""

    def _find_obstacle(self, path: Path, name: str) -> LeftOut | None:
        """Say why a file is not even looked at as a recording; None if nothing speaks against that.

        Raises:
            OSError: It cannot be read.
        """
        root = self._root if self._follows_links else None
        if obstacle := find_obstacle(path, name, stays_below=root):
            return obstacle
        if not self._is_settled(path):
            return leave(path, name, Cause.ARRIVING, "it is being written to; scan again")
        return None

    def _is_settled(self, path: Path) -> bool:
        """Wait until nothing was written to a file for long enough; not for one that goes on growing.

        Raises:
            OSError: It is gone.
        """
        before = path.stat()
        age = time.time() - before.st_mtime
        if not 0 <= age < self._settle_seconds:  # a time to come is another clock's
            return True
        time.sleep(self._settle_seconds - age)
        now = path.stat()
        return (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns)

    def _make_new_row(self, path: Path, name: str, found: ScanReport) -> bytes:
        recording = looking.look_at(path)
        other = self._find_same(path)
        if other:
            found.left_out.append(leave(path, name, Cause.DUPLICATE, other))
            return b""
        self._paths[name] = None
        self._remember(path, name)
        return found.add_new(self._make_id(path), name, recording)

    def _make_id(self, path: Path) -> str:
        made = make_id(path.relative_to(self._folder), self._ids)
        self._ids.add(made)
        return made

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
            if _read_head(Path(other)) == head and _hash(Path(other)) == digest:
                return name
        return ""


def default_manifest(folder: Path) -> Path:
    """Say where a folder's manifest stands unless another is named: here, with the folder's name."""
    return Path(f"{folder.resolve().name or 'recordings'}.jsonl")


def find_obstacle(path: Path, name: str, *, stays_below: Path | None) -> LeftOut | None:
    """Say why a file is not even looked at as a recording; None if nothing speaks against that.

    Args:
        path: The file.
        name: What it is called in the manifest.
        stays_below: Where links may lead, if they are followed.

    Raises:
        OSError: It cannot be read.
    """
    if not recognise(path) and path.suffix.lower() not in ENDINGS:
        return leave(path, name, Cause.NO_RECORDING)
    if is_partial(path):
        return leave(path, name, Cause.ARRIVING, UNFINISHED)
    if not _is_text(name):
        reason = "its name is not UTF-8; rename it, for example with convmv"
        return leave(path, name, Cause.UNREADABLE, reason)
    if stays_below is not None and not path.resolve().is_relative_to(stays_below.resolve()):
        reason = f"it leads out of {stays_below}, and a run reads nothing there"
        return leave(path, name, Cause.LINK, reason)
    return None


def leave(path: Path, name: str, cause: Cause, reason: str = "") -> LeftOut:
    """Note that a file is left out, and why."""
    return LeftOut(path=show_path(name), kind=kind_of(path), cause=cause, reason=reason)


def make_id(relative: Path, taken: Container[str]) -> str:
    """Make an id of a path: readable, a good file name, and the same the next time.

    Args:
        relative: The recording's path below the folder that is looked through.
        taken: Ids that others have.
    """
    name = _NOT_IN_IDS.sub("-", str(relative.with_suffix(""))).strip("-.")
    digest = hashlib.sha256(os.fsencode(relative)).hexdigest()
    short = name.encode("utf-8", "ignore")[:_ID_BYTES].decode("utf-8", "ignore")
    if not short or short != name or short in taken:
        short = f"{short}-{digest[:_HASH_HEX_DIGITS]}".strip("-")
    return short


def scan(
    folder: str | Path,
    manifest: str | Path,
    *,
    settle_seconds: float = DEFAULT_SETTLE_SECONDS,
    follows_links: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ScanReport:
    """Write a manifest of the recordings below a folder, or add to it what is new.

    Args:
        folder: The folder.
        manifest: The manifest, JSON Lines. If it is not above the folder, a run of it needs
            `Options.input_root`. What is left out is listed beside it, in ``.left-out.jsonl``.
        settle_seconds: How long a file must not have been written to: it may still be copied.
        follows_links: Whether links are followed, as far as a run follows them.
        progress: Called with the number of files looked at so far.

    Raises:
        ManifestError: The folder cannot be read, or the manifest is none of recordings.
        OutputError: The manifest cannot be created.
        DiskError: The disk failed or is full.
    """
    scanner = Scan(
        Path(folder), Path(manifest), settle_seconds=settle_seconds, follows_links=follows_links
    )
    return scanner.run(progress)


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HASHED_BYTES)
    except OSError:
        return b""


def _hash(path: Path) -> str:
    """Hash a file that was found before; it may be gone by now, and is then the same as none."""
    try:
        return decoding.sha256_of(path)
    except RecordingError:
        return ""


def reason_of(error: RecordingError, path: Path) -> str:
    """Say what is wrong with a recording, and what to do, without its path."""
    reason = error.message.removeprefix(f"{path} ")  # which has been said
    return f"{reason}; {error.hint}"


def _is_text(name: str) -> bool:
    """Say whether a name is text: file systems allow any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
