"""The manifest of a folder that is watched: recordings become rows as they are found whole."""

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import orjson

from batchjobs.audio import decoding, looking
from batchjobs.checkpoint import SourceRecord
from batchjobs.errors import DecoderMissingError, ManifestError, RecordingError
from batchjobs.files.atomic import disk_error, sync_folders
from batchjobs.jobs import CONTENT_COLUMN
from batchjobs.manifest.left_out import Cause, LeftOut, list_beside
from batchjobs.manifest.scan import find_obstacle, leave, make_id, reason_of
from batchjobs.manifest.sightings import State

_HASH_HEX_DIGITS: Final = 8


class NewRow(NamedTuple):
    """A recording that the manifest has not had.

    Attributes:
        id: The row's.
        line: The row as it is to stand in the manifest.
        source: What was read of it: it need not be read again.
    """

    id: str
    line: bytes
    source: SourceRecord


class KnownRow(NamedTuple):
    """A recording that the manifest has.

    Attributes:
        id: The row's; empty if only the path is known, and nothing of what was there.
        source: What was read of it now; None if it had not changed.
    """

    id: str
    source: SourceRecord | None


class Unreadable(NamedTuple):
    """A file that should be a recording and cannot be read: perhaps not all of it is there yet.

    Attributes:
        reason: What is wrong with it.
    """

    reason: str


class Unsettled(NamedTuple):
    """A file that has changed, or gone, while it was read."""


Found: TypeAlias = NewRow | KnownRow | LeftOut | Unreadable | Unsettled
"""What a file turned out to be."""


class Intake:
    """Makes rows of recordings, and adds them to a manifest, durably.

    What stands in the manifest stays as it is. A row that is made here says which content it is of,
    so that a recording that is replaced, or whose name is used again, is another row.

    Args:
        folder: The folder that is watched, resolved.
        manifest: The manifest, which need not exist.
        follows_links: Whether links are followed, as far as a run follows them.
        find_source: Looks up what was read of a path before.

    Raises:
        ManifestError: The manifest cannot be read, or is none of recordings.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Path,
        *,
        follows_links: bool,
        find_source: Callable[[str], SourceRecord | None],
    ) -> None:
        base = manifest.parent.resolve()
        self.root = base if folder.is_relative_to(base) else folder
        """What the manifest's paths are relative to."""
        self.own = {str(base / manifest.name), str(base / list_beside(manifest).name)}
        """Files that are the watch's own."""
        self._folder = folder
        self._manifest = manifest
        self._follows_links = follows_links
        self._find_source = find_source
        self._ids: set[str] = set()
        """Folded: file systems may not tell letters' cases apart, and ids name files."""
        self._rows: dict[str, tuple[tuple[str, bytes], ...]] = {}
        """By path: the ids of its rows, each with the hash of its content, which may be empty."""
        self.lines = 0
        """How many lines the manifest has."""
        self._size_bytes = self._read()

    def _read(self) -> int:
        """Read the manifest; a line that was cut off by a kill is taken off its end."""
        try:
            content = self._manifest.read_bytes()
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise ManifestError(f"{self._manifest} cannot be read: {error.strerror}") from error
        whole = content.rfind(b"\n") + 1
        for number, line in enumerate(content.splitlines(), start=1):
            try:
                row = orjson.loads(line)
                self._note(str(row["id"]), str(row["audio"]), str(row.get(CONTENT_COLUMN) or ""))
            except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
                if whole and number > content.count(b"\n", 0, whole):
                    os.truncate(self._manifest, whole)
                    return whole
                raise ManifestError(
                    f"{self._manifest}:{number}: is no row of a scan",
                    hint="choose another --manifest, or move it away",
                ) from error
            self.lines = number
        return len(content)

    def _note(self, row_id: str, name: str, sha256: str) -> None:
        try:
            digest = bytes.fromhex(sha256)
        except ValueError:  # somebody else's column
            digest = b""
        self._ids.add(row_id.casefold())
        self._rows[name] = (*self._rows.get(name, ()), (row_id, digest))

    def is_as_left(self) -> bool:
        """Whether nobody else has written to the manifest since."""
        try:
            return self._manifest.stat().st_size == self._size_bytes
        except FileNotFoundError:
            return not self._size_bytes

    # -- looking --------------------------------------------------------------------------------

    def look_into(self, path: Path, state: State) -> Found:
        """Say what a file is, and make its row if it is a recording that the manifest has not had.

        Args:
            path: The file, which has stood still.
            state: As it was seen.

        Returns:
            What it is. A new row is known from now on, and is to be added.
        """
        name = str(path.relative_to(self.root))
        if found := self._find_unchanged(path, name, state):
            return found
        try:
            return self._read_recording(path, name, state)
        except DecoderMissingError as error:
            return leave(path, name, Cause.EXTRA, reason_of(error, path))
        except RecordingError as error:
            return Unreadable(reason_of(error, path)) if path.exists() else Unsettled()
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                return Unsettled()
            reason = f"it cannot be read: {error.strerror}"
            return leave(path, name, Cause.UNREADABLE, reason)

    def _find_unchanged(self, path: Path, name: str, state: State) -> Found | None:
        """Find the row of a file that was read before and has not changed; it is not read again."""
        rows = self._rows.get(name, ())
        known = self._find_source(str(path)) if rows else None
        if known is None or (known.bytes, known.modified_ns) != state:
            return None
        return self._find_known(rows, known) or self._make_row(path, name, known)

    def _read_recording(self, path: Path, name: str, state: State) -> Found:
        root = self.root if self._follows_links else None
        if obstacle := find_obstacle(path, name, stays_below=root):
            return obstacle
        recording = looking.look_at(path)
        sha256 = decoding.sha256_of(path)
        status = path.stat()
        if (status.st_size, status.st_mtime_ns) != state:
            return Unsettled()
        source = SourceRecord(
            path=str(path),
            bytes=status.st_size,
            modified_ns=status.st_mtime_ns,
            sha256=sha256,
            seconds=recording.seconds,
            track=recording.track,
            tracks=recording.tracks,
        )
        known = self._find_known(self._rows.get(name, ()), source)
        if known is None:
            return self._make_row(path, name, source)
        return known._replace(source=source)

    def _find_known(
        self, rows: tuple[tuple[str, bytes], ...], source: SourceRecord
    ) -> KnownRow | None:
        """Find the row of a content among those of its path."""
        digest = bytes.fromhex(source.sha256)
        for row_id, content in rows:
            if content == digest:
                return KnownRow(row_id, None)
        # A scan's row is of whatever was there when it was heard: the same, unless it was heard before.
        unmarked = [row_id for row_id, content in rows if not content]
        before = self._find_source(source.path) if unmarked else None
        if unmarked and (before is None or before.sha256 == source.sha256):
            return KnownRow(unmarked[-1], None)
        return None

    def take_again(self, source: SourceRecord) -> NewRow:
        """Make another row of a recording that the manifest has, and that nobody has heard.

        Args:
            source: What was read of it.
        """
        path = Path(source.path)
        return self._make_row(path, str(path.relative_to(self.root)), source)

    def _make_row(self, path: Path, name: str, source: SourceRecord) -> NewRow:
        first = make_id(path.relative_to(self._folder), ())
        others = (
            f"{first}-{source.sha256[:_HASH_HEX_DIGITS]}{end}"
            for end in itertools.chain([""], map("-{}".format, itertools.count(2)))
        )
        row_id = first
        while row_id.casefold() in self._ids:
            row_id = next(others)
        self._note(row_id, name, source.sha256)
        row = {"id": row_id, "audio": name, "seconds": round(source.seconds, 3)}
        row |= {CONTENT_COLUMN: source.sha256}
        return NewRow(row_id, orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE), source)

    def add(self, content: bytes) -> None:
        """Add rows to the manifest, durably.

        Raises:
            OutputError: It cannot be created.
            DiskError: The disk failed or is full.
        """
        try:
            self._manifest.parent.mkdir(parents=True, exist_ok=True)
            with self._manifest.open("r+b" if self._size_bytes else "ab") as file:
                file.seek(self._size_bytes)
                file.truncate()  # what a full disk took half of
                if self._size_bytes and not self._ends_in_newline():
                    content = b"\n" + content
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise disk_error(error, self._manifest) from error
        if not self._size_bytes:
            sync_folders([self._manifest.parent])
        self._size_bytes += len(content)
        self.lines += content.strip().count(b"\n") + 1

    def _ends_in_newline(self) -> bool:
        with self._manifest.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"
