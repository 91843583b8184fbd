"""A place in a bucket, written and read, whose errors are ours."""

import hashlib
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self, TypeVar

from batchjobs.errors import (
    BatchjobsError,
    ConfigurationError,
    DiskError,
    OutputError,
)
from batchjobs.files.address import Address
from batchjobs.files.atomic import fill_part
from batchjobs.storage.loop import take_next
from batchjobs.storage.patience import NoPatienceError, Patience
from batchjobs.storage.store import (
    describe_odd_name,
    explain,
    has_no_credentials,
    open_store,
)

if TYPE_CHECKING:
    from obstore import BytesStream
    from obstore.store import ObjectStore

_Piece = TypeVar("_Piece")
PATIENT_SECONDS: Final = 600.0
"""So long a request is tried again that a store refuses for now, or cannot be reached for."""
_HASTY_SECONDS: Final = 20.0
"""Of the first requests: a wrong endpoint, or a machine without credentials, is told at once."""
_WHOLE_BYTES: Final = 64 << 20
"""Larger files go up in pieces: in one request they would have to stand in memory."""
_PIECE_BYTES: Final = 8 << 20
_PIECES_AT_ONCE: Final = 4
"""Of a file that goes up: each stands in memory; twelve, as the library has it, were 100 MiB."""
_DIGEST: Final = "sha256"
"""Under which attribute of an object the hash of its content stands."""
_AGAIN: Final = "once the store can be reached, run the same command again"


class ConflictError(BatchjobsError):
    """An object is there already, or is not the one that was to be replaced."""

    exit_code = 75


class Found(NamedTuple):
    """An object.

    Attributes:
        bytes: Its size.
        e_tag: Names this version of it.
        sha256: Of its content, as whoever wrote it says; empty if it does not.
    """

    bytes: int
    e_tag: str
    sha256: str = ""


class Listed(NamedTuple):
    """An object in a list.

    Attributes:
        name: Below the place that was listed.
        bytes: Its size.
    """

    name: str
    bytes: int


class Bucket:
    """Reads and writes the objects below a place in a bucket. Its calls block: they are for threads.

    Args:
        store: Of obstore, with its names below the place.
        address: The place, for messages.
    """

    def __init__(self, store: "ObjectStore", address: Address) -> None:
        self._store = store
        self._patience = Patience(str(address))
        self.address = address

    @classmethod
    def open(cls, address: Address, *, is_hasty: bool = False, insecure: bool = False) -> Self:
        """Make the way to a place; where its store is and who asks is in the environment (``AWS_…``).

        Args:
            address: The place.
            is_hasty: Whether to give up soon.
            insecure: Whether the store may be elsewhere without TLS.

        Raises:
            MissingExtraError: obstore is not installed.
            ConfigurationError: The environment has something that cannot be.
        """
        seconds = _HASTY_SECONDS if is_hasty else PATIENT_SECONDS
        store = open_store(address, seconds=seconds, insecure=insecure)
        return cls(store, address)

    def hurry(self) -> None:
        """Wait no longer than a moment for a store that is silent: somebody wants out."""
        self._patience.hurry()

    # -- reading --------------------------------------------------------------------------------

    def look(self, name: str) -> Found | None:
        """Look whether an object is there, without reading it."""
        try:
            with self._translate_errors(name):
                return self._patience.wait_for(self._look(name))
        except FileNotFoundError:
            return None

    async def _look(self, name: str) -> Found:
        import obstore

        result = await obstore.get_async(self._store, name, options={"head": True})
        meta = result.meta
        sha256 = str(result.attributes.get(_DIGEST, ""))
        return Found(meta["size"], meta["e_tag"] or "", sha256)

    def read(self, name: str) -> tuple[bytes, str] | None:
        """Read a small object; None if it is not there.

        Returns:
            Its content and its ETag.
        """
        try:
            with self._translate_errors(name):
                return self._patience.wait_for(self._read(name))
        except FileNotFoundError:
            return None

    async def _read(self, name: str) -> tuple[bytes, str]:
        import obstore

        result = await obstore.get_async(self._store, name)
        return bytes(await result.bytes_async()), result.meta["e_tag"] or ""

    def fetch(self, name: str, target: Path) -> bool:
        """Write an object's content beside a target, synced; false if it is not there."""
        try:
            with self._translate_errors(name):
                stream = self._patience.wait_for(self._begin_read(name))
        except FileNotFoundError:
            return False

        def fill(descriptor: int) -> None:
            for piece in self._stream(name, stream, is_long=True):
                view = memoryview(piece)
                while view:
                    view = view[os.write(descriptor, view) :]

        fill_part(target, fill)
        return True

    async def _begin_read(self, name: str) -> "BytesStream":
        import obstore

        result = await obstore.get_async(self._store, name)
        return result.stream(min_chunk_size=_PIECE_BYTES)

    def list_below(self, prefix: str = "") -> Iterator[Listed]:
        """List the objects in a folder of the place, in no order.

        Args:
            prefix: The folder; empty for all.
        """
        import obstore

        for page in self._stream(prefix, obstore.list(self._store, prefix or None)):
            for entry in page:
                yield Listed(entry["path"], entry["size"])

    def _stream(
        self, name: str, stream: AsyncIterator[_Piece], *, is_long: bool = False
    ) -> Iterator[_Piece]:
        """Give what comes of a store piece by piece."""
        while True:
            with self._translate_errors(name):
                piece = self._patience.wait_for(take_next(stream), is_long=is_long)
            if piece is None:
                return
            yield piece

    # -- writing --------------------------------------------------------------------------------

    def create(self, name: str, content: bytes, *, sha256: str = "") -> str:
        """Put an object where there is none.

        Args:
            name: Its name.
            content: What is to stand in it.
            sha256: Of that, to be known by.

        Returns:
            Its ETag.

        Raises:
            ConflictError: There is one.
        """
        return self._put(name, content, "create", sha256)

    def replace(self, name: str, content: bytes, *, e_tag: str, sha256: str = "") -> str:
        """Put an object in the place of one that is as it was seen.

        Args:
            name: Its name.
            content: What is to stand in it.
            e_tag: Of what is there.
            sha256: Of the content, to be known by.

        Returns:
            Its ETag.

        Raises:
            ConflictError: It is another by now, or gone.
        """
        return self._put(name, content, {"e_tag": e_tag}, sha256)

    def write(self, name: str, source: Path, *, sha256: str = "") -> None:
        """Put a file there, whatever is there; a large one in pieces, and nothing before it is whole.

        Args:
            name: Its name.
            source: The file.
            sha256: Of its content, to be known by.
        """
        self._put(name, source, "overwrite", sha256)

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects; those that are not there are no matter."""
        if names:
            with self._translate_errors(names[0]):
                try:
                    self._patience.wait_for(self._delete(list(names)))
                except FileNotFoundError:  # a local store says so
                    return

    async def _delete(self, names: list[str]) -> None:
        import obstore

        await obstore.delete_async(self._store, names)

    def _put(
        self, name: str, content: bytes | Path, mode: str | dict[str, str], sha256: str
    ) -> str:
        with self._translate_errors(name):
            request = self._begin_put(name, content, mode, sha256)
            return self._patience.wait_for(request, is_long=isinstance(content, Path))

    async def _begin_put(
        self, name: str, content: bytes | Path, mode: str | dict[str, str], sha256: str
    ) -> str:
        import obstore

        result = await obstore.put_async(
            self._store,
            name,
            content,
            mode=mode,  # type: ignore[arg-type]
            attributes={_DIGEST: sha256} if sha256 else None,
            chunk_size=_PIECE_BYTES,
            max_concurrency=_PIECES_AT_ONCE,
        )
        return result["e_tag"] or ""

    @contextmanager
    def _translate_errors(self, name: str) -> Iterator[None]:
        from obstore import exceptions

        place = f"{self.address}/{name}"
        try:
            yield
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError) as error:
            raise ConflictError(f"{place} is not as it was") from error
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise OutputError(
                f"{place} may not be used: {explain(error)}",
                hint="give the key rights to list, read, write and delete there, or another --output",
            ) from error
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise self._no_bucket() from error
            raise
        except exceptions.InvalidPathError as error:  # one such name, and nothing can be listed
            raise OutputError(
                describe_odd_name(self.address, error),
                hint="rename or delete it, or give another --output",
            ) from error
        except (exceptions.BaseError, NoPatienceError) as error:
            raise self._explain(error, place) from error
        except ValueError as error:
            raise OutputError(
                f"{place} cannot be: {error}", hint="choose another --output"
            ) from error

    def _explain(self, error: Exception, place: str) -> BatchjobsError:
        if "NoSuchBucket" in str(error):
            return self._no_bucket()
        if has_no_credentials(error):
            return ConfigurationError(
                f"there are no credentials to write to {self.address} with",
                hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; of a profile: "
                'eval "$(aws configure export-credentials --format env)"',
            )
        self._patience.lose()
        if isinstance(error, NoPatienceError):
            return DiskError(f"{place} was waited for in vain: no answer came", hint=_AGAIN)
        return DiskError(f"{place} cannot be used: {explain(error)}", hint=_AGAIN)

    def _no_bucket(self) -> OutputError:
        return OutputError(
            f"there is no bucket '{self.address.bucket}'", hint="make it, or give another --output"
        )


def hash_file(path: Path) -> str:
    """Hash a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, _DIGEST).hexdigest()


def is_large(size: int) -> bool:
    """Whether a file of so many bytes does not go up in one request."""
    return size > _WHOLE_BYTES
