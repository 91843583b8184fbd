"""A row's inputs: recordings and text files, found below the folders they may be in."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from batchjobs.errors import RecordingError
from batchjobs.files.address import Address, address_inside, find_mistake, is_address
from batchjobs.files.paths import PathEscapeError, leaves_error, path_inside
from batchjobs.manifest.cells import shorten
from batchjobs.manifest.columns import RowError
from batchjobs.manifest.near_paths import NearPaths
from batchjobs.manifest.source import BOM
from batchjobs.storage.input_files import InputFiles

_TEXT_FILE_LIMIT_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Where the files that rows name may be.

    Attributes:
        folder: What relative paths are relative to.
        input_root: A second place, tried after `folder`.
        files: Reads what of these is in a bucket.
    """

    folder: Path | Address
    input_root: Path | Address | None
    files: InputFiles = field(repr=False, compare=False, default_factory=InputFiles)
    _near: NearPaths = field(init=False, repr=False, compare=False, default_factory=NearPaths)

    def find(self, value: str, column: str) -> str:
        """Find a row's input below the manifest's folder or the input root.

        Args:
            value: The path, as the row has it.
            column: The column that has it, for messages.

        Returns:
            Its path; or its address, whose object is there only if there is another place for it.

        Raises:
            RowError: It is in neither, or no plain file.
        """
        roots = [root for root in (self.folder, self.input_root) if root is not None]
        escape = None
        for root in roots:
            try:
                place = _place_inside(root, value)
                if self._is_there(place, is_last=root is roots[-1]):
                    return str(place)
            except PathEscapeError as error:
                escape = escape or error
        if escape is not None:
            hint = "inputs stand below the manifest's folder, or below --input-root"
            hint = find_mistake(value) or hint
            raise RowError(column, escape.message, hint=hint) from escape
        folders = [root for root in roots if isinstance(root, Path)]
        hint = find_mistake(value) or self._near.explain(folders, value)
        hint = hint or "paths are relative to the manifest, or to --input-root"
        raise RowError(column, f"there is no file '{shorten(value)}'", hint=hint)

    @property
    def reads_ahead(self) -> bool:
        """Whether texts may be in a bucket, and where one is is seen without asking."""
        last = self.folder if self.input_root is None else self.input_root
        return isinstance(last, Address) and (isinstance(self.folder, Path) or last is self.folder)

    def read_ahead(self, values: Iterable[str]) -> None:
        """Begin to read text files in a bucket, many at once, that are about to be read.

        Args:
            values: Their paths, as the rows have them; a mistake in one is told when its row is judged.
        """
        found = []
        for value in values:
            with contextlib.suppress(RowError):
                found.append(self.find(value, "text_file"))
        self.files.read_ahead(found, _TEXT_FILE_LIMIT_BYTES + 1)

    def place_of(self, value: str) -> str:
        """Say where an input that cannot be found would be; nowhere if that leads out."""
        with contextlib.suppress(PathEscapeError):
            return str(_place_inside(self.input_root or self.folder, value))
        return str(Path())

    def read_text(self, value: str) -> str:
        """Read a text file exactly, but for a byte order mark.

        Args:
            value: Its path, as the row has it.

        Raises:
            RowError: It cannot be found, is too large, unreadable or not UTF-8.
        """
        found = self.find(value, "text_file")
        if not is_address(found):
            return read_text(Path(found), value, "text_file")
        try:
            data = self.files.read(found, _TEXT_FILE_LIMIT_BYTES + 1)
        except RecordingError as error:
            raise RowError("text_file", error.message, hint=error.hint) from error
        return _decode(data, value, "text_file")

    def _is_there(self, place: Path | Address, *, is_last: bool) -> bool:
        """Whether an input is there; of an object that can be nowhere else it is seen as it is read."""
        if isinstance(place, Path):
            return place.exists()
        if is_last:
            return True
        try:
            self.files.look_up(str(place))
        except RecordingError:
            return False
        return True


def _place_inside(root: Path | Address, value: str) -> Path | Address:
    """Find where an input is.

    Raises:
        PathEscapeError: It leaves the root.
    """
    if isinstance(root, Address):
        return address_inside(root, value)
    if is_address(value):
        raise leaves_error(root, value)
    return path_inside(root, value)


def read_text(path: Path, relative: str, column: str) -> str:
    """Read a text file exactly, but for a byte order mark.

    Args:
        path: The file.
        relative: What messages call it.
        column: The column that names it, or has what it holds.

    Raises:
        RowError: It is too large, unreadable or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_TEXT_FILE_LIMIT_BYTES + 1)
    except OSError as error:
        raise RowError(column, f"'{relative}' cannot be read: {error.strerror}") from error
    return _decode(data, relative, column)


def _decode(data: bytes, relative: str, column: str) -> str:
    """Make text of what a file holds.

    Raises:
        RowError: It is too large, or not UTF-8.
    """
    if len(data) > _TEXT_FILE_LIMIT_BYTES:
        hint = "make several files and rows of it"
        raise RowError(column, f"'{relative}' is larger than 16 MiB", hint=hint)
    hint = "convert it: iconv -f UTF-16 -t UTF-8 OLD > NEW"
    if data.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")):
        raise RowError(column, f"'{relative}' is UTF-16 or UTF-32, not UTF-8", hint=hint)
    try:
        return data.decode().removeprefix(BOM)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RowError(
            column,
            f"'{relative}' is not UTF-8 on its line {line}",
            hint="save it as UTF-8, or convert it with iconv",
        ) from error
