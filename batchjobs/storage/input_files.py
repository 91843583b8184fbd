"""The files that rows name, as files to be read: what is in a bucket is fetched for as long as that.

Planning needs a recording's hash and length, and so all of it; later a session needs it again. What
was fetched stays until then if there is room for it: so it comes once.
"""

import contextlib
import hashlib
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from batchjobs.errors import RecordingError
from batchjobs.files.address import Address, is_address
from batchjobs.files.atomic import disk_error
from batchjobs.storage.loop import wait
from batchjobs.storage.near_names import list_near_names
from batchjobs.storage.reading import FileFacts, ObjectChangedError, ObjectReader

_AHEAD: Final = 16
_AHEAD_BYTES: Final = 256 << 20
"""So many objects, and bytes, are fetched while others are looked at; one at least."""
_SHARE_OF_FREE: Final = 0.5
"""Of the disk: so much of what is free may be filled with what stays."""
_NAME_DIGITS: Final = 32
_MISSING_EXPLAINED: Final = 100
"""As many bad rows are shown."""
_MANIFEST: Final = "manifest"


@dataclass(slots=True, eq=False, kw_only=True)
class _Fetched:
    """An object's file.

    Attributes:
        name: The object's address.
        facts: What the object was.
        future: The file, once it is there.
        users: How many read it, or wait for it.
        is_ahead: Whether it was fetched for somebody who has not come yet.
    """

    name: str
    facts: FileFacts
    future: "Future[Path]"
    users: int = 0
    is_ahead: bool = False


class InputFile:
    """A file that a row names, for as long as it is borrowed; fetched once its path is asked for.

    Args:
        files: Whose it is.
        name: Its path, or its address.
        facts: What it was when it was looked at; None to look.
    """

    def __init__(self, files: "InputFiles", name: str, facts: FileFacts | None) -> None:
        self._files = files
        self._facts = facts
        self.name = name
        self.fetched: _Fetched | None = None

    @property
    def facts(self) -> FileFacts:
        """What tells its content from another.

        Raises:
            RecordingError: It cannot be found.
            BatchjobsError: Its store cannot be asked.
        """
        if self._facts is None:
            try:
                self._facts = self._files.look_up(self.name)
            except RecordingError as error:
                error.hint = self._files.explain_missing(self.name) or error.hint
                raise
        return self._facts

    @property
    def path(self) -> Path:
        """Where it can be read.

        Raises:
            RecordingError: It cannot be found, or is another one by now.
            BatchjobsError: It cannot be fetched.
        """
        if not is_address(self.name):
            return Path(self.name)
        if self.fetched is None:
            self.fetched = self._files.acquire(self.name, self.facts)
        return self.fetched.future.result()

    def rename_in(self, message: str) -> str:
        """Call the file in a message what its row calls it, and not what it is called here."""
        return message.replace(str(self.path), self.name) if self.fetched else message


class InputFiles:
    """Lends the files that rows name. Its calls may come from several threads.

    What is fetched goes to a temporary folder, and no longer stays than it is read, unless `keep_in`
    names a folder for it.

    Args:
        insecure: Whether a store may be elsewhere without TLS.
    """

    def __init__(self, *, insecure: bool = False) -> None:
        self._reader = ObjectReader(insecure=insecure)
        self._lock = threading.Lock()
        self._asked: dict[str, Future[FileFacts]] = {}
        self._read: dict[tuple[str, int], Future[bytes]] = {}
        self._expected = deque[tuple[str, FileFacts]]()
        self._ahead: list[_Fetched] = []
        self._fetched: dict[tuple[str, FileFacts], _Fetched] = {}
        self._bytes = 0
        self._folder: Path | None = None
        self._room_bytes = 0
        self._guesses = _MISSING_EXPLAINED

    def keep_in(self, folder: Path) -> None:
        """Let what is fetched stay for whoever reads it next, as far as there is room on the disk.

        What a run that was killed has left there is used again.

        Args:
            folder: Where it stays; need not be there.
        """
        self._folder = folder
        if folder.is_dir():
            self._bytes = sum(file.stat().st_size for file in folder.iterdir())
        free = shutil.disk_usage(folder.parent).free + self._bytes
        self._room_bytes = int(free * _SHARE_OF_FREE)

    def ask_ahead(self, names: Iterable[str]) -> None:
        """Ask after several objects at once, which are about to be looked up; paths are passed over."""
        self._asked = {
            name: self._reader.ask(Address.parse(name)) for name in {*filter(is_address, names)}
        }

    def fetch_ahead(self, expected: Iterable[tuple[str, FileFacts]]) -> None:
        """Fetch objects, some at a time, that are about to be read in this order.

        Args:
            expected: Their addresses, and what they are.
        """
        with self._lock:
            for fetched in self._ahead:  # whoever was to come did not
                self._drop(fetched)
            self._ahead.clear()
            self._expected = deque(expected)
            self._fetch_next()

    def list_below(self, place: Address) -> Iterator[tuple[str, FileFacts]]:
        """List the objects in a place: `ObjectReader.list_below`."""
        return self._reader.list_below(place)

    def look_up(self, name: str) -> FileFacts:
        """Say what tells a file's content from another.

        Raises:
            RecordingError: It cannot be found.
            BatchjobsError: Its store cannot be asked.
        """
        if not is_address(name):
            try:
                status = Path(name).stat()
            except OSError as error:
                raise RecordingError(f"cannot read {name}: {error.strerror}") from error
            return FileFacts(status.st_size, status.st_mtime_ns)
        try:
            asked = self._asked.get(name)
            return self._reader.look_up(Address.parse(name)) if asked is None else asked.result()
        except FileNotFoundError as error:
            raise _missing(name) from error

    def explain_missing(self, name: str) -> str:
        """Say what there is in place of an object that is not there; empty if nothing is alike.

        Args:
            name: Its address; for a path nothing is said.
        """
        if not is_address(name) or not self._guesses:
            return ""
        self._guesses -= 1
        for other, difference in list_near_names(name):
            with contextlib.suppress(FileNotFoundError):
                self._reader.look_up(other)
                return f"there is '{other}', {difference}"
        return ""

    def is_as_it_was(self, name: str, facts: FileFacts) -> bool:
        """Whether a file is there, and has not changed.

        Args:
            name: Its path, or its address.
            facts: What it was.

        Raises:
            BatchjobsError: Its store cannot be asked.
        """
        try:
            return self.look_up(name) == facts
        except RecordingError:
            return False

    def open(self, address: Address) -> BinaryIO:
        """Open an object that is read for hours, as a manifest of many recordings is.

        It is fetched first, and is of one version: a store closes a connection that takes so long.

        Raises:
            FileNotFoundError: There is none.
            ObjectChangedError: It changes again and again.
            BatchjobsError: It cannot be read.
        """
        for is_last in (False, False, True):
            with self._lock:
                target = self._find_folder() / _MANIFEST
            facts = self._reader.look_up(address)
            try:
                path = wait(self._reader.fetch(address, facts, target))
            except ObjectChangedError:
                if is_last:
                    raise
                continue
            stream = path.open("rb")
            path.unlink()
            return stream
        raise AssertionError

    def read(self, name: str, limit_bytes: int) -> bytes:
        """Read an object that is small.

        Args:
            name: Its address.
            limit_bytes: No more of it than this is read.

        Raises:
            RecordingError: There is none.
            BatchjobsError: It cannot be read.
        """
        read = self._read.pop((name, limit_bytes), None)
        try:
            if read is None:
                return self._reader.read(Address.parse(name), limit_bytes).result()
            return read.result()
        except FileNotFoundError as error:
            raise _missing(name) from error

    def read_ahead(self, names: Iterable[str], limit_bytes: int) -> None:
        """Begin to read several small objects, which are about to be read; paths are passed over."""
        self._read = {
            (name, limit_bytes): self._reader.read(Address.parse(name), limit_bytes)
            for name in {*filter(is_address, names)}
        }

    @contextmanager
    def borrow(
        self, name: str, facts: FileFacts | None = None, *, is_last: bool = False
    ) -> Iterator[InputFile]:
        """Lend a file for the length of a block.

        Args:
            name: Its path, or its address.
            facts: What it was when it was looked at; None to look now.
            is_last: Whether nobody is expected to read it again: then it does not stay.
        """
        file = InputFile(self, name, facts)
        try:
            yield file
        except RecordingError as error:
            error.message = file.rename_in(error.message)
            raise
        finally:
            if file.fetched is not None:
                self._give_back(file.fetched, is_last=is_last)

    def acquire(self, name: str, facts: FileFacts) -> _Fetched:
        """Fetch an object, unless it is there; it stays at least until it is given back.

        Raises:
            RecordingError: It is gone, or is another one by now.
            BatchjobsError: It cannot be fetched.
        """
        with self._lock:
            fetched = self._begin(name, facts)
            fetched.users += 1
            if fetched.is_ahead:
                fetched.is_ahead = False
                self._ahead.remove(fetched)
        try:
            fetched.future.result()
        except BaseException as error:
            self._give_back(fetched, is_last=True)
            if isinstance(error, FileNotFoundError):
                raise _missing(name) from error
            if isinstance(error, ObjectChangedError):
                raise RecordingError(error.message, hint="run the same command again") from error
            raise
        return fetched

    def close(self) -> None:
        """Remove all that was fetched, and give up what is on its way."""
        for asked in self._asked.values():
            asked.cancel()
        for read in self._read.values():
            read.cancel()
        with self._lock:
            self._expected.clear()
            self._ahead.clear()
            for fetched in list(self._fetched.values()):
                self._drop(fetched)
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            self._folder, self._room_bytes, self._bytes = None, 0, 0

    def _give_back(self, fetched: _Fetched, *, is_last: bool) -> None:
        with self._lock:
            fetched.users -= 1
            self._drop_unless_kept(fetched, is_last=is_last)
            self._fetch_next()

    def _drop_unless_kept(self, fetched: _Fetched, *, is_last: bool = False) -> None:
        if fetched.users:
            return
        if is_last or self._bytes > self._room_bytes:
            self._drop(fetched)
        elif (
            fetched.future.done()
        ):  # its file tells by itself that it is there: of many, in no memory
            self._fetched.pop((fetched.name, fetched.facts), None)

    def _fetch_next(self) -> None:
        """Begin to fetch what comes next, as far as not too much waits to be read."""
        while self._expected and len(self._ahead) < _AHEAD:
            if self._ahead and sum(each.facts.bytes for each in self._ahead) > _AHEAD_BYTES:
                return
            fetched = self._begin(*self._expected.popleft())
            if not fetched.users and not fetched.is_ahead:
                fetched.is_ahead = True
                self._ahead.append(fetched)

    def _begin(self, name: str, facts: FileFacts) -> _Fetched:
        """Give an object's file, which may be on its way."""
        fetched = self._fetched.get((name, facts))
        if fetched is not None:
            return fetched
        target = self._find_folder() / _file_name(name, facts)
        future: Future[Path] = Future()
        if target.is_file() and target.stat().st_size == facts.bytes:
            future.set_result(target)
        else:
            future = self._reader.fetch(Address.parse(name), facts, target)
            self._bytes += facts.bytes
        fetched = _Fetched(name=name, facts=facts, future=future)
        self._fetched[name, facts] = fetched
        return fetched

    def _drop(self, fetched: _Fetched) -> None:
        """Remove an object's file, or give it up."""
        if self._fetched.pop((fetched.name, fetched.facts), None) is None:
            return
        self._bytes -= fetched.facts.bytes
        if not fetched.future.cancel() and not fetched.future.exception():
            fetched.future.result().unlink(missing_ok=True)

    def _find_folder(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="batchjobs-"))
        try:
            self._folder.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise disk_error(error, self._folder) from error
        return self._folder


def _file_name(name: str, facts: FileFacts) -> str:
    """Name the file of an object, of this content; its ending stays, by which some formats are known."""
    digest = hashlib.sha256(repr((name, facts)).encode()).hexdigest()[:_NAME_DIGITS]
    ending = PurePosixPath(name).suffix
    return digest + (ending if ending.isascii() and ending[1:].isalnum() else "")


def _missing(name: str) -> RecordingError:
    return RecordingError(
        f"there is no object '{name}'",
        hint="names differ by every capital, mark and sign; is it in this bucket?",
    )
