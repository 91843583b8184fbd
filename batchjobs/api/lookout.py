"""Looks through a folder that is watched, and adds what has arrived whole to its manifest."""

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import trio

from batchjobs.checkpoint import Checkpoint, SourceRecord
from batchjobs.jobs import BAD_ROW, Status
from batchjobs.manifest.intake import Found, Intake, KnownRow, NewRow, Unreadable, Unsettled
from batchjobs.manifest.left_out import Cause, LeftOut, show_path, write_list
from batchjobs.manifest.scan import leave
from batchjobs.manifest.sightings import Sightings, State
from batchjobs.manifest.walking import is_partial, list_folders, walk
from batchjobs.options.watching import WatchSettings
from batchjobs.outputs.aftercare import Aftercare
from batchjobs.session.stt import RECORDING_CODE

_PATIENCE_SECONDS: Final = 15 * 60.0
"""So long a file that cannot be read is taken for one that is still on its way."""
_FILES_AT_ONCE: Final = 1_000
"""So many are looked into before a run of those that are new begins: the others wait for it."""

Listing = Iterable[tuple[str, dict[str, State] | None]]


class Lookout:
    """Looks through a folder. All methods block, and are called in threads that trio has started.

    Args:
        folder: The folder, resolved.
        manifest: Its manifest.
        checkpoint: The run folder's.
        settings: How the folder is watched.
        care: Tends what is done, and has files of its own in the folder.
        tell: Gets what a person should know.

    Attributes:
        lines: Rows that are in the manifest and not in the run yet.
        above: How many lines stand above them.
        is_anew: Whether the manifest has to be read anew, since somebody else has written to it.
        files: How many files the last look has found.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Path,
        checkpoint: Checkpoint,
        *,
        settings: WatchSettings,
        care: Aftercare,
        tell: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._manifest = manifest
        self._checkpoint = checkpoint
        self._follows_links = settings.follows_links
        self._care = care
        self._tell = tell
        self._sightings = Sightings(
            settle_seconds=settings.settle_seconds, patience_seconds=_PATIENCE_SECONDS
        )
        self._intake = self._open_intake()
        self._left_out: dict[str, LeftOut] = {}
        self._is_list_old = True
        self.lines = b""
        self.above = 0
        self.is_anew = True
        self.files = 0

    def _open_intake(self) -> Intake:
        return Intake(
            self._folder,
            self._manifest,
            follows_links=self._follows_links,
            find_source=self._checkpoint.lookups.find_source,
        )

    @property
    def has_rows(self) -> bool:
        """Whether the manifest has any rows."""
        return bool(self._intake.lines)

    @property
    def waiting(self) -> int:
        """How many files do not stand still yet."""
        return len(self._sightings.waiting)

    @property
    def odd(self) -> int:
        """How many files stand still and cannot be read, perhaps yet."""
        return len(self._sightings.odd)

    def is_readable(self) -> bool:
        """Whether the folder can be listed."""
        return os.access(self._folder, os.R_OK | os.X_OK)

    def forget_lines(self) -> None:
        """Forget the new rows, now that they are in the run."""
        self.lines = b""
        self.is_anew = False

    # -- looking --------------------------------------------------------------------------------

    def look(self, now: float) -> dict[str, State]:
        """Look through the whole folder.

        Args:
            now: The time.

        Returns:
            The files to look into, each as it was seen.

        Raises:
            ManifestError: The folder cannot be read; nothing of it is called gone.
        """
        seen: dict[str, None] = {}
        settled: dict[str, State] = {}
        is_whole, files = True, 0
        for place, found in self._list_folders():
            trio.from_thread.check_cancelled()
            seen[place] = None
            if found is None:
                is_whole = False
                continue
            files += len(found)
            for path in self._sightings.see(place, found, now):
                settled[path] = found[path.rpartition("/")[2]]
        self._sightings.end_look(seen, is_whole=is_whole)
        self.files = files
        for path, reason in self._sightings.pop_overdue(now).items():
            self._leave(Path(path), Cause.UNREADABLE, reason)
        self._write_list()
        return settled

    def glance(self, now: float) -> dict[str, State]:
        """Look at the files that wait, alone: what `look` gives, of them."""
        found: dict[str, State | None] = {}
        for path in self._sightings.waiting:
            try:
                status = os.lstat(path)
            except OSError:
                found[path] = None
            else:
                found[path] = (status.st_size, status.st_mtime_ns)
        settled = self._sightings.glance(found, now)
        return {path: state for path in settled if (state := found[path]) is not None}

    def _list_folders(self) -> Listing:
        skipped = {*self._intake.own, str(self._checkpoint.folder.resolve())}
        if self._care.done_folder is not None:
            skipped.add(str(self._care.done_folder))
        if self._follows_links:
            return _list_with_links(self._folder, skipped)
        return list_folders(str(self._folder), skipped=skipped)

    # -- taking ---------------------------------------------------------------------------------

    def take(self, settled: dict[str, State], now: float) -> None:
        """Look into files that stand still, and add those to the manifest that it has not had.

        Some, where there are many: a look names the others again.

        Args:
            settled: The files, each as it was seen.
            now: The time.

        Raises:
            OutputError: The manifest cannot be created.
            DiskError: The disk failed or is full.
        """
        if not self._intake.is_as_left():
            self._intake = self._open_intake()
            self.lines, self.is_anew = b"", True
        new: list[NewRow] = []
        sources: list[SourceRecord] = []
        for name, state in settled.items():
            trio.from_thread.check_cancelled()
            if len(new) >= _FILES_AT_ONCE:
                break
            found = self._look_into(name, state, now)
            if isinstance(found, NewRow):
                new.append(found)
            if isinstance(found, NewRow | KnownRow) and found.source is not None:
                sources.append(found.source)
        self._keep(new, sources)

    def _look_into(self, name: str, state: State, now: float) -> Found | None:
        """Look into a file; None for a transcript of ours."""
        found = None
        if not self._care.ours.has_path(name):
            found = self._intake.look_into(Path(name), state)
        if isinstance(found, Unreadable):
            self._sightings.keep_odd(name, state, found.reason, now)
        elif not isinstance(found, Unsettled):
            self._sightings.keep(name, state)
        if isinstance(found, KnownRow):
            self._care.note_known(found.id)
            found = self._find_again(name, found)
        if isinstance(found, LeftOut):
            self._leave(Path(name), found.cause, found.reason)
        elif isinstance(found, NewRow | KnownRow):
            self._take_back(Path(name))
        return found

    def _find_again(self, name: str, known: KnownRow) -> Found:
        """See whether a recording that has come back was gone before anybody could hear it."""
        if self.is_anew:  # all rows are decided about anyway
            return known
        outcome = self._checkpoint.rows.find_outcomes([known.id]).get(known.id)
        record = None if outcome is None else outcome.record
        if record is None or record.status is not Status.FAILED:
            return known
        source = known.source or self._checkpoint.lookups.find_source(name)
        if record.error_code == RECORDING_CODE and source is not None:
            return self._intake.take_again(source)
        if record.error_class == BAD_ROW:
            self.is_anew = True
        return known

    def _keep(self, new: Sequence[NewRow], sources: Sequence[SourceRecord]) -> None:
        """Add rows to the manifest, and remember what was read."""
        if sources:
            self._checkpoint.lookups.remember_sources(sources)
        if new:
            self._add(b"".join(row.line for row in new))

    def _add(self, content: bytes) -> None:
        if not self.lines:
            self.above = self._intake.lines
        try:
            self._intake.add(content)
        except BaseException:
            self._intake = self._open_intake()  # which has not had them, and finds them again
            self.is_anew = True
            raise
        self.lines += content

    # -- what is left out -----------------------------------------------------------------------

    def _leave(self, path: Path, cause: Cause, reason: str) -> None:
        item = leave(path, str(path.relative_to(self._intake.root)), cause, reason)
        if self._left_out.get(item.path) == item:
            return
        self._left_out[item.path] = item
        self._is_list_old = True
        if cause is not Cause.NO_RECORDING:
            because = f": {reason}" if reason else ""
            self._tell(f"not taken: {item.path} ({cause}{because})")

    def _take_back(self, path: Path) -> None:
        """Leave out no more what has become readable."""
        name = show_path(path.relative_to(self._intake.root))
        if self._left_out.pop(name, None) is not None:
            self._is_list_old = True

    def _write_list(self) -> None:
        if self._is_list_old:
            write_list(self._manifest, self._left_out.values())
            self._is_list_old = False


def _list_with_links(folder: Path, skipped: set[str]) -> Listing:
    found: dict[str, dict[str, State]] = {}
    for path in walk(folder, follows_links=True):
        if not isinstance(path, Path) or is_partial(path):
            continue
        if skipped.isdisjoint(map(str, (path, *path.parents))):
            with contextlib.suppress(OSError):
                status = path.stat()
                names = found.setdefault(str(path.parent), {})
                names[path.name] = status.st_size, status.st_mtime_ns
    return found.items()
