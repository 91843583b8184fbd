"""What becomes of a recording once its transcript is durable: the transcript beside it, itself moved away."""

import functools
import hashlib
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from batchjobs.audio import decoding
from batchjobs.checkpoint import Checkpoint, JobRecord, SourceRecord
from batchjobs.errors import BatchjobsError, RecordingError
from batchjobs.files import run_folder
from batchjobs.files.atomic import disk_error, make_folder, part_path, sync_folders, write_part
from batchjobs.files.moving import ChangedError, choose_place, move, put
from batchjobs.files.paths import PathEscapeError, path_inside
from batchjobs.jobs import CONTENT_COLUMN, Job, Status

_ENDINGS: Final = (".txt", ".srt")
"""What people read, and what players take up that show a recording."""
_DIGEST_BYTES: Final = 8


class Ours:
    """Which files beside recordings are ours: as a list in the run folder has them, with their content.

    A file is on the list before it is written. One that somebody has edited is not ours any more.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: Path) -> None:
        self._list = folder / run_folder.BESIDE
        self._written: set[bytes] = set()
        """Digests of path and content: of hundreds of thousands of files they take little room."""
        self._paths: set[bytes] = set()
        self._size_bytes = 0
        """Of its whole lines: a full disk or a kill may leave half of one behind them."""
        try:
            with self._list.open("rb") as lines:
                for line in itertools.takewhile(lambda each: each.endswith(b"\n"), lines):
                    self._size_bytes += len(line)
                    row = orjson.loads(line)
                    self._note(row["path"], row["of"], row["sha256"])
        except FileNotFoundError:
            return

    def add(self, path: str, *, of: str, sha256: str) -> None:
        """Put a file on the list, durably, before it is written.

        Args:
            path: The file's.
            of: The recording that it is of: two may share a name but for their endings.
            sha256: Of its content.

        Raises:
            OutputError: The list cannot be created.
            DiskError: The disk failed or is full.
        """
        if _digest(path, of, sha256) in self._written:
            return
        row = {"path": path, "of": of, "sha256": sha256}
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        try:
            is_new = not self._list.exists()
            with self._list.open("ab") as file:
                file.truncate(self._size_bytes)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise disk_error(error, self._list) from error
        self._size_bytes += len(line)
        if is_new:
            sync_folders([self._list.parent])
        self._note(path, of, sha256)

    def has_written(self, path: Path, *, of: str) -> bool:
        """Whether a file is as we have written it for a recording."""
        try:
            if path.is_symlink() or not path.is_file():
                return False
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError:
            return False
        return _digest(str(path), of, sha256) in self._written

    def has_path(self, path: str) -> bool:
        """Whether a file of ours ever stood at a path."""
        return _digest(path) in self._paths

    def _note(self, path: str, of: str, sha256: str) -> None:
        self._written.add(_digest(path, of, sha256))
        self._paths.add(_digest(path))


def _digest(*words: str) -> bytes:
    content = "\0".join(words).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


@dataclass(slots=True, kw_only=True)
class Aftercare:
    """Tends recordings that are done.

    Attributes:
        folder: The folder that is watched, resolved.
        checkpoint: The run folder's.
        done_folder: Where recordings move; None if they stay.
        beside: Whether transcripts are written beside them.
        ours: Files beside recordings that are ours.
        waiting: Ids of rows that are to be tended, each with what kept it from being so.
    """

    folder: Path
    checkpoint: Checkpoint
    done_folder: Path | None
    beside: bool
    ours: Ours
    waiting: dict[str, str] = field(default_factory=dict)

    @property
    def is_wanted(self) -> bool:
        """Whether anything is to be done at all."""
        return self.beside or self.done_folder is not None

    def note_known(self, row_id: str) -> None:
        """Note that the recording of a row is in the folder: a kill may have left it so.

        Where recordings stay, one whose transcript was put beside it is not looked at again.
        """
        if self.done_folder is not None or (self.beside and not self.ours.has_path(row_id)):
            self.waiting.setdefault(row_id, "")

    def tend_all(self, tell: Callable[[str], None]) -> None:
        """Tend all that is waiting.

        Args:
            tell: Called with what keeps a recording from being tended, once.

        Raises:
            DiskError: The disk failed or is full.
        """
        for row_id in list(self.waiting):
            if problem := self.tend(row_id):
                tell(problem)

    def tend(self, row_id: str) -> str:
        """Do what is to be done about a row's recording, if it is done and is still there.

        Returns:
            What keeps it from being done, if that has not been said; else nothing.

        Raises:
            DiskError: The disk failed or is full.
        """
        before = self.waiting.pop(row_id, "")
        outcome = self.checkpoint.rows.find_outcomes([row_id]).get(row_id)
        if outcome is None or outcome.record is None or outcome.record.status is not Status.DONE:
            return ""
        job = outcome.row.read_job()
        source = self.checkpoint.lookups.find_source(job.audio)
        if source is None or not self._is_there(job, source):
            return ""
        try:
            self._tend(Path(job.audio), source, outcome.record)
            self.ours.add(row_id, of="", sha256="")
        except (ChangedError, FileNotFoundError):
            return ""  # another recording took its place, or it is gone: both are fine
        except (PathEscapeError, OSError) as error:
            self.waiting[row_id] = str(error)
            return "" if before == str(error) else f"{job.audio} stays where it is: {error}"
        except BatchjobsError as error:
            self.waiting[row_id] = error.message
            return "" if before == error.message else error.message
        return ""

    def _is_there(self, job: Job, source: SourceRecord) -> bool:
        """Whether a row's recording stands where it was heard, as it was heard."""
        try:
            status = Path(job.audio).lstat()
        except OSError:
            return False
        is_same = (status.st_size, status.st_mtime_ns) == (source.bytes, source.modified_ns)
        wanted = job.row.get(CONTENT_COLUMN, source.sha256)
        return is_same and wanted == source.sha256 and Path(job.audio).is_relative_to(self.folder)

    def _tend(self, path: Path, source: SourceRecord, record: JobRecord) -> None:
        place, root = path, self.folder
        is_same = functools.partial(_is_same, path, source=source)
        if self.done_folder is not None:
            root = self.done_folder
            place = choose_place(root, path.relative_to(self.folder), is_same)
        if self.beside:
            for ending, content in self._read_transcripts(record):
                self._write_beside(place, root, ending, content)
        if self.done_folder is not None:
            state = (source.bytes, source.modified_ns)
            move(path, place, state=state, sha256=source.sha256, is_same=is_same)

    def _read_transcripts(self, record: JobRecord) -> Iterator[tuple[str, bytes]]:
        for name in run_folder.files_of_result(record.output):
            path = self.checkpoint.folder / name
            if path.suffix.lower() in _ENDINGS and path.is_file():
                yield path.suffix.lower(), path.read_bytes()

    def _write_beside(self, recording: Path, root: Path, ending: str, content: bytes) -> None:
        """Write a transcript under a recording's name, or behind it where another file has that name.

        Raises:
            FileExistsError: Both names are somebody else's files'.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        names = recording.with_suffix(ending), recording.with_name(recording.name + ending)
        for wanted in dict.fromkeys(names):
            target = path_inside(root, str(wanted.relative_to(root.resolve())))
            is_ours = self.ours.has_written(target, of=str(recording))
            if os.path.lexists(wanted) and not (is_ours and wanted == target):
                continue
            self.ours.add(str(target), of=str(recording), sha256=sha256)
            make_folder(target.parent)
            write_part(target, content)
            part = part_path(target)
            if is_ours:
                part.replace(target)
                sync_folders([target.parent])
                return
            try:
                put(part, target)
            except FileExistsError:
                continue
            return
        raise FileExistsError(
            f"{names[0].name} and {names[-1].name} beside it are not ours to overwrite"
        )


def _is_same(path: Path, other: Path, source: SourceRecord) -> bool:
    """Whether a file in the folder of what is done is a recording that was on its way there."""
    try:
        if path.samefile(other):
            return not other.is_symlink()
        if other.stat().st_size != source.bytes:
            return False
        return decoding.sha256_of(other) == source.sha256
    except (OSError, RecordingError):
        return False
