"""The results of a run in a bucket: looked up, put there, and brought back where they are read."""

import contextlib
import functools
import logging
import os
import shutil
import threading
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec

from batchjobs.errors import DiskError, OutputError
from batchjobs.files import run_folder
from batchjobs.files.address import Address
from batchjobs.files.atomic import NONE, disk_error, make_folder, part_path
from batchjobs.files.paths import PathEscapeError, path_inside, plain_path_inside
from batchjobs.files.shelf import Shelf
from batchjobs.storage.bucket import Bucket, ConflictError, hash_file, is_large
from batchjobs.storage.held import have_own_folder

_Item = TypeVar("_Item")
_logger = logging.getLogger(__name__)
_AT_ONCE: Final = 16
_TOLD_EVERY: Final = 100_000
"""Objects that are listed; a store gives 1,000 at a time, and each page waits for the one before."""
_MOST_CONFLICTS: Final = 8


class Upload(NamedTuple):
    """A file that is to go up.

    Attributes:
        path: Below the run folder, and below the place in the bucket.
        bytes: Its size.
        sha256: Of its content.
    """

    path: str
    bytes: int
    sha256: str


class BucketShelf(Shelf):
    """The results of a run in a bucket; its folder has what is being written or read.

    Args:
        folder: The run folder.
        open_bucket: Makes the way to the place of the results, when it is first needed.
    """

    is_here = False

    def __init__(self, folder: Path, open_bucket: Callable[[], Bucket]) -> None:
        super().__init__(folder)
        self._open_bucket = open_bucket
        self.guard: Callable[[], None] = lambda: None
        """Raises if the run is another's by now: asked before anything there is replaced or removed."""
        self.check: Callable[[], None] = lambda: None
        """The same, asked after anything was put there, and before it is told."""
        self.glance: Callable[[], None] = lambda: None
        """The same, asked before anything is put where nothing is: where a moment ago will do."""
        self._listing: _Listing | None = None
        self._has_changed = False
        self._removed: set[str] = set()
        self._turn = threading.Lock()

    @functools.cached_property
    def bucket(self) -> Bucket:
        """The place of the results."""
        return self._open_bucket()

    # -- what is there --------------------------------------------------------------------------

    def has(self, path: str, size: int) -> bool:
        """Whether an object of this size is there: by one list of all, and what came since by itself."""
        if path in self._removed:
            return False
        if self._list_once().has(path, size):
            return True
        if not self._has_changed:
            return False
        found = self.bucket.look(path)
        return found is not None and found.bytes == size

    def has_any(self, path: str) -> bool:
        """Whether an object stands there."""
        if path in self._removed:
            return False
        if self._list_once().names(path):
            return True
        return self._has_changed and self.bucket.look(path) is not None

    def find_size(self, path: str) -> int | None:
        """Find the size of an object, or of a file that only stands here; None if there is none."""
        found = None if path in self._removed else self.bucket.look(path)
        return super().find_size(path) if found is None else found.bytes

    def is_taken(self, path: str) -> bool:
        """Whether anything stands there, or in the folder."""
        if super().is_taken(path):
            return True
        return path not in self._removed and self._list_once().names(path)

    def list_below(self, prefix: str) -> list[str]:
        """List the objects in a folder, and what the run folder has of them."""
        there = {entry.name for entry in self.bucket.list_below(prefix)}
        return sorted(there.union(super().list_below(prefix)))

    def forget(self) -> None:
        """Look anew at what is there."""
        self._listing = None
        self._has_changed = False
        self._removed.clear()

    def _list_once(self) -> "_Listing":
        with self._turn:
            if self._listing is None:
                self._listing = _Listing(self.bucket)
            return self._listing

    # -- brought back ---------------------------------------------------------------------------

    @contextmanager
    def holding(self, paths: Iterable[str]) -> Iterator[Path]:
        """Have files in a folder of one's own throughout a block: those of the run folder come and go."""
        wanted = [path for path in dict.fromkeys(paths) if path]
        with have_own_folder(self._root / run_folder.HELD) as place:
            self._do_at_once(functools.partial(self._bring, place), wanted)
            yield place

    def _bring(self, place: Path, path: str) -> None:
        """Have a file in a folder; a segment's is most often in the run folder, and what is there is it."""
        target = path_inside(place, path)
        if run_folder.is_segment_file(path) and self._take(path, target):
            return
        if self.bucket.fetch(path, target):
            part_path(target).replace(target)
        else:
            self._take(path, target)

    def _take(self, path: str, target: Path) -> bool:
        """Let a file of the run folder stand in another place, too; false if it is not there."""
        source = self._find_place(path)
        if not source.is_file():
            return False
        try:
            make_folder(target.parent)
            try:
                os.link(source, target)
            except FileNotFoundError:
                return False
            except OSError:  # there are no links
                shutil.copyfile(source, target)
        except OSError as error:
            raise disk_error(error, target) from error
        return True

    # -- put there ------------------------------------------------------------------------------

    def measure(self, targets: Iterable[Path], parts: Mapping[Path, Path] = NONE) -> list[Upload]:
        """Say what is to go up of files; all of them stand beside their places then.

        Args:
            targets: The places.
            parts: Where those stand that do not yet, by target.
        """
        found = []
        for target in targets:
            part = part_path(target)
            try:
                if elsewhere := parts.get(target):
                    make_folder(target.parent)
                    elsewhere.replace(part)
                path = str(target.relative_to(self._root))
                found.append(Upload(path, part.stat().st_size, hash_file(part)))
            except OSError as error:
                raise disk_error(error, target) from error
        return found

    def publish(self, targets: Iterable[Path], parts: Mapping[Path, Path] = NONE) -> None:
        """Put files there, and take them out of the folder.

        Raises:
            BatchjobsError: The store failed, or the run is another's by now.
        """
        uploads = self.measure(targets, parts)
        self.put(uploads)
        self.check()
        self.release(uploads)

    def put(self, uploads: Iterable[Upload]) -> None:
        """Put files there that stand beside their places, and leave these where they are.

        Raises:
            BatchjobsError: The store failed, or the run is another's by now.
        """
        self._has_changed = True
        waiting = list(uploads)
        with self._turn:
            self._removed.difference_update(upload.path for upload in waiting)
        self._do_at_once(self._put, waiting)

    def release(self, uploads: Iterable[Upload]) -> None:
        """Take files that are there out of the folder; segments stay until their job needs them no more."""
        for upload in uploads:
            target = self._find_place(upload.path)
            with contextlib.suppress(OSError):  # the next file of that name takes its place
                if run_folder.is_segment_file(upload.path):
                    part_path(target).replace(target)
                else:
                    part_path(target).unlink(missing_ok=True)
                    target.unlink(missing_ok=True)

    def is_there(self, upload: Upload) -> bool:
        """Whether an object with this very content is there."""
        found = self.bucket.look(upload.path)
        return found is not None and (found.bytes, found.sha256) == (upload.bytes, upload.sha256)

    def is_beside(self, upload: Upload) -> bool:
        """Whether the file still stands beside its place in the folder, as it was."""
        part = part_path(self._find_place(upload.path))
        try:
            return part.stat().st_size == upload.bytes and hash_file(part) == upload.sha256
        except OSError:
            return False

    def _put(self, upload: Upload) -> None:
        """Put a file there as its own: only in the place of what was seen while the run was ours."""
        part = part_path(self._find_place(upload.path))
        if is_large(upload.bytes):
            if not self.is_there(upload):
                self.guard()
                self.bucket.write(upload.path, part, sha256=upload.sha256)
            return
        content = part.read_bytes()
        for _ in range(_MOST_CONFLICTS):
            self.glance()
            try:
                self.bucket.create(upload.path, content, sha256=upload.sha256)
            except ConflictError:
                if self._replace(upload, content):
                    return
            else:
                return
        raise DiskError(
            f"{self.bucket.address}/{upload.path} is written by another program too",
            hint="choose another --output",
        )

    def _replace(self, upload: Upload, content: bytes) -> bool:
        """Put a file in the place of another; false if that has changed meanwhile."""
        found = self.bucket.look(upload.path)
        if found is None:
            return False
        if (found.bytes, found.sha256) == (upload.bytes, upload.sha256):
            return True
        self.guard()
        try:
            self.bucket.replace(upload.path, content, e_tag=found.e_tag, sha256=upload.sha256)
        except ConflictError:
            return False
        return True

    def show(self, names: Iterable[str]) -> None:
        """Put files of the run folder there, whatever is there, and leave them here too.

        Raises:
            BatchjobsError: The store failed, or the run is another's by now.
        """
        self.guard()
        for name in names:
            if (path := self._root / name).is_file():
                self.glance()
                self.bucket.write(name, path)

    def _do_at_once(self, do: Callable[[_Item], None], items: Sequence[_Item]) -> None:
        """Do something for several, some at a time; where we are interrupted, none is waited for long."""
        if len(items) <= 1:
            deque(map(do, items), maxlen=0)
            return
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                deque(pool.map(do, items), maxlen=0)
            except KeyboardInterrupt:
                self.bucket.hurry()
                raise

    # -- removed --------------------------------------------------------------------------------

    def remove(self, paths: Iterable[str]) -> None:
        """Remove objects, and what the folder has of them."""
        gone = list(paths)
        if not gone:
            return
        for path in gone:
            self._find_place(path)
        self.guard()
        self.bucket.delete(gone)
        with self._turn:
            self._removed.update(gone)
        super().remove(gone)

    def _find_place(self, path: str) -> Path:
        """Find a file's place in the folder; what names it may have been written by others, in the bucket.

        Raises:
            OutputError: It is not below the folder.
        """
        try:
            return plain_path_inside(self._root, path)
        except PathEscapeError as error:
            raise OutputError(
                error.message,
                hint=f"the folder, or what lies in {self.bucket.address}, was tampered with",
            ) from error


class _Listing:
    """What is in a bucket, in 16 bytes an object.

    Args:
        bucket: The place that is listed.
    """

    def __init__(self, bucket: Bucket) -> None:
        names, files = array("Q"), array("Q")
        for number, entry in enumerate(bucket.list_below(), start=1):
            if not number % _TOLD_EVERY:
                _logger.info("%s is listed: %s objects so far", bucket.address, f"{number:,}")
            names.append(_hash(entry.name))
            files.append(_hash(f"{entry.name}\0{entry.bytes}"))
        for numbers in (names, files):
            _sort(numbers)
        self._names, self._files = names, files

    def has(self, path: str, size: int) -> bool:
        return _is_in(self._files, _hash(f"{path}\0{size}"))

    def names(self, path: str) -> bool:
        return _is_in(self._names, _hash(path))


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def _sort(numbers: "array[int]") -> None:
    """Sort numbers where they are: as a list of Python's, a million of them take 40 MiB more (measured)."""
    import numpy as np

    np.frombuffer(numbers, np.uint64).sort()


def _is_in(numbers: "array[int]", number: int) -> bool:
    place = bisect_left(numbers, number)
    return place < len(numbers) and numbers[place] == number


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What a run folder says whose results are in a bucket.

    Attributes:
        address: Where.
        token: By which the folder is known there.
        insecure: Whether the store may be elsewhere without TLS.
    """

    address: str
    token: str
    insecure: bool = False


def read_mark(folder: Path) -> Mark | None:
    """Read where the results of a run folder are, if they are in a bucket."""
    try:
        return msgspec.json.decode((folder / run_folder.BUCKET).read_bytes(), type=Mark)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise DiskError(
            f"{folder / run_folder.BUCKET} cannot be read: {error}",
            hint="it says where the results are; restore it",
        ) from error


def find_shelf(folder: Path) -> Shelf:
    """Find where the results of a run folder stand."""
    mark = read_mark(folder)
    if mark is None:
        return Shelf(folder)
    address = Address.parse(mark.address)
    return BucketShelf(folder, lambda: Bucket.open(address, insecure=mark.insecure))
