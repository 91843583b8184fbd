"""Objects of any bucket, read: asked after, fetched and streamed, many at a time."""

import contextlib
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from batchjobs.errors import (
    BatchjobsError,
    ConfigurationError,
    KeyRefusedError,
    RecordingError,
    ServiceUnavailableError,
)
from batchjobs.files.address import Address
from batchjobs.files.atomic import disk_error, part_path
from batchjobs.storage.loop import call, submit, take_next
from batchjobs.storage.silence import Silence
from batchjobs.storage.store import describe_odd_name, explain, has_no_credentials, open_store

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

    from obstore import GetResult, ListStream, ObjectMeta
    from obstore.store import ObjectStore

PATIENT_SECONDS: Final = 120.0
"""So long a request is tried again that a store refuses for now, or cannot be reached for."""
HASTY_SECONDS: Final = 20.0
"""The same, before the store has answered anything: a wrong address is told soon."""
ASKED_AT_ONCE: Final = 64
"""Requests at a time; S3 itself takes 5,500 a second below one prefix."""
_PIECE_BYTES: Final = 1 << 20
_MARK_BYTES: Final = 8


class FileFacts(NamedTuple):
    """What tells one content of a file or an object from another, without reading it.

    Attributes:
        bytes: Its size.
        mark: When a file was last written, in nanoseconds; of an object a hash of its ETag.
    """

    bytes: int
    mark: int


class ObjectChangedError(BatchjobsError):
    """An object is another one now than it was when it was asked after."""


class ObjectReader:
    """Reads objects, each by its address.

    Args:
        insecure: Whether their store may be elsewhere without TLS.
    """

    def __init__(self, *, insecure: bool = False) -> None:
        self._insecure = insecure
        self._stores: dict[tuple[str, float], ObjectStore] = {}
        self._answered: set[str] = set()
        self._silences: dict[str, Silence] = {}
        self._room: asyncio.Semaphore | None = None

    def ask(self, address: Address) -> "Future[FileFacts]":
        """Begin to ask after an object.

        Returns:
            What tells its content from another; or the errors of `look_up`.
        """
        return submit(self._look_up(address))

    def list_below(self, place: Address) -> Iterator[tuple[str, FileFacts]]:
        """List the objects in a place, in no order.

        Yields:
            Each object's name below the place, and what tells its content from another.

        Raises:
            BatchjobsError: They cannot be listed.
        """
        import obstore

        base = f"{place.prefix}/" if place.prefix else ""
        with translate_errors(place):
            store = self._store_of(place)
        pages = obstore.list(store, place.prefix or None)
        while (page := call(self._take_page(place, pages))) is not None:
            for entry in page:
                if entry["path"].startswith(base):
                    yield entry["path"].removeprefix(base), _facts_of(entry)

    def look_up(self, address: Address) -> FileFacts:
        """Ask after an object.

        Raises:
            FileNotFoundError: There is none.
            BatchjobsError: It cannot be asked after.
        """
        return call(self._look_up(address))

    def fetch(self, address: Address, facts: FileFacts, target: Path) -> "Future[Path]":
        """Begin to write an object to a file that need not outlive the machine.

        Args:
            address: The object.
            facts: What it was when it was asked after.
            target: The file: whole, or not there.

        Returns:
            The file, once it is there; or one of these errors.

        Raises:
            FileNotFoundError: There is none.
            ObjectChangedError: It is another one by now.
            BatchjobsError: It cannot be read, or the file not be written.
        """
        return submit(self._fetch(address, facts, target))

    def read(self, address: Address, limit_bytes: int) -> "Future[bytes]":
        """Begin to read an object that is small.

        Args:
            address: The object.
            limit_bytes: Hardly more of it than this is read.

        Returns:
            Its content; or one of these errors.

        Raises:
            FileNotFoundError: There is none.
            BatchjobsError: It cannot be read.
        """
        return submit(self._read(address, limit_bytes))

    # -- in the loop ----------------------------------------------------------------------------

    async def _take_page(
        self, place: Address, pages: "ListStream[Sequence[ObjectMeta]]"
    ) -> "Sequence[ObjectMeta] | None":
        with translate_errors(place), self._silence_of(place).watch():
            page = await take_next(pages)
        if page is not None:
            self._answered.add(place.bucket)
        return page

    async def _look_up(self, address: Address) -> FileFacts:
        async with self._find_room():
            return await self._head(address)

    async def _fetch(self, address: Address, facts: FileFacts, target: Path) -> Path:
        part = part_path(target)
        try:
            async with self._find_room():
                result = await self._get(address)
                if _facts_of(result.meta) != facts:
                    raise ObjectChangedError(f"{address} has changed since it was looked at")
                size = 0
                try:
                    with part.open("wb") as file:
                        async for piece in self._stream(address, result):
                            size += file.write(piece)
                except OSError as error:
                    raise disk_error(error, part) from error
            if size != facts.bytes:
                raise ServiceUnavailableError(
                    f"{address} came as {size:,} bytes of {facts.bytes:,}",
                    hint="run the same command again",
                )
            return part.replace(target)  # a rename
        finally:
            part.unlink(missing_ok=True)  # likewise

    async def _read(self, address: Address, limit_bytes: int) -> bytes:
        content = bytearray()
        async with self._find_room():
            async for piece in self._stream(address, await self._get(address)):
                content += piece
                if len(content) >= limit_bytes:
                    break
        return bytes(content[:limit_bytes])

    async def _stream(self, address: Address, result: "GetResult") -> AsyncIterator[bytes]:
        """Give an object's bytes; a break in the middle is mended by obstore, if it is still the same."""
        try:
            with translate_errors(address):
                async for piece in result.stream(min_chunk_size=_PIECE_BYTES):
                    yield bytes(piece)
        except ServiceUnavailableError as error:
            with contextlib.suppress(FileNotFoundError):
                if await self._head(address) == _facts_of(result.meta):
                    raise
            raise ObjectChangedError(f"{address} changed while it was read") from error

    async def _head(self, address: Address) -> FileFacts:
        import obstore

        with translate_errors(address), self._silence_of(address).watch():
            meta = await obstore.head_async(self._store_of(address), address.prefix)
        self._answered.add(address.bucket)
        return _facts_of(meta)

    async def _get(self, address: Address) -> "GetResult":
        import obstore

        with translate_errors(address), self._silence_of(address).watch():
            result = await obstore.get_async(self._store_of(address), address.prefix)
        self._answered.add(address.bucket)
        return result

    def _find_room(self) -> "asyncio.Semaphore":
        import asyncio

        if self._room is None:  # all of this is in the loop's one thread
            self._room = asyncio.Semaphore(ASKED_AT_ONCE)
        return self._room

    def _silence_of(self, address: Address) -> Silence:
        bucket = address.bucket
        if bucket not in self._silences:
            self._silences[bucket] = Silence(str(Address(bucket)))
        return self._silences[bucket]

    def _store_of(self, address: Address) -> "ObjectStore":
        bucket = address.bucket
        seconds = PATIENT_SECONDS
        if bucket not in self._answered:
            seconds = min(PATIENT_SECONDS, HASTY_SECONDS)
        store = self._stores.get((bucket, seconds))
        if store is None:
            store = open_store(Address(bucket), seconds=seconds, insecure=self._insecure)
            self._stores[bucket, seconds] = store
        return store


def _facts_of(meta: "ObjectMeta") -> FileFacts:
    version = meta["e_tag"] or str(meta["last_modified"])
    digest = hashlib.sha256(version.encode()).digest()[:_MARK_BYTES]
    return FileFacts(meta["size"], int.from_bytes(digest) >> 1)  # SQLite's integers have a sign


# -- errors -----------------------------------------------------------------------------------------


@contextmanager
def translate_errors(address: Address) -> Iterator[None]:
    """Turn obstore's errors into ours, but for an object that is not there.

    Args:
        address: What is read, for messages.

    Raises:
        FileNotFoundError: There is no such object.
        ObjectChangedError: It changed while it was read.
        ConfigurationError: The bucket is not there, or there are no credentials.
        RecordingError: It is there, and has to be restored first.
        KeyRefusedError: The credentials are refused.
        ServiceUnavailableError: Anything else.
    """
    from obstore import exceptions

    try:
        yield
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        if "InvalidObjectState" in str(error):  # a matter of this object, not of the key
            raise RecordingError(
                f"{address} is in cold storage", hint="restore it there, or take the row out"
            ) from error
        raise KeyRefusedError(
            f"{address} may not be read: {explain(error)}",
            hint="give the key that is in AWS_ACCESS_KEY_ID the rights to list and read there",
        ) from error
    except exceptions.PreconditionError as error:
        raise ObjectChangedError(f"{address} changed while it was read") from error
    except ValueError as error:  # a name that obstore does not take
        raise FileNotFoundError(str(error)) from error
    except (exceptions.BaseError, FileNotFoundError) as error:
        if "NoSuchBucket" in str(error):
            raise ConfigurationError(
                f"there is no bucket '{address.bucket}'",
                hint="correct its name, or say where it is: AWS_ENDPOINT_URL, AWS_REGION",
            ) from error
        if isinstance(error, FileNotFoundError):
            raise
        raise _translate(error, address) from error


def _translate(error: Exception, address: Address) -> BatchjobsError:
    from obstore import exceptions

    if isinstance(error, exceptions.InvalidPathError):  # one such name, and nothing can be listed
        return ConfigurationError(
            describe_odd_name(address, error),
            hint="rename or delete it",
        )
    if has_no_credentials(error):
        return ConfigurationError(
            f"there are no credentials to read {address} with",
            hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; of a profile: "
            'eval "$(aws configure export-credentials --format env)"; '
            "a public bucket is read with AWS_SKIP_SIGNATURE=true",
        )
    return ServiceUnavailableError(
        f"{address} cannot be read: {explain(error)}",
        hint="once the store can be reached, run the same command again",
    )
