"""The journal of a run in its bucket: entries with numbers, of which each is written by one only."""

import hashlib
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from msgspec import structs

from batchjobs.custody.entries import Claim, Entry, Owner, decode_entry, encode_entry
from batchjobs.errors import DiskError, RunLockedError
from batchjobs.files import run_folder
from batchjobs.formatting import duration
from batchjobs.storage.bucket import Bucket, ConflictError

_PLACE: Final = run_folder.CHECKPOINT
_ENTRIES: Final = f"{_PLACE}/journal"
_SNAPSHOTS: Final = f"{_PLACE}/snapshot"
_OWNER: Final = f"{_PLACE}/owner.json"
_DIGITS: Final = 10
_DELETED_AT_ONCE: Final = 1_000
_TRIES: Final = 5
_LATELY_SECONDS: Final = 1.0


class History(NamedTuple):
    """What a bucket has of a run.

    Attributes:
        owner: Who had it last; None if nobody.
        e_tag: Of what says so.
        entries: Numbers of the journal's entries, in order.
        snapshots: Numbers of the last entry in each copy of the checkpoint, in order.
    """

    owner: Owner | None
    e_tag: str
    entries: tuple[int, ...]
    snapshots: tuple[int, ...]

    @property
    def last(self) -> int:
        """The number of the last entry that there ever was; 0 if there was none."""
        return max((*self.entries[-1:], *self.snapshots[-1:]), default=0)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self.owner is not None or self.last > 0


class Journal:
    """Writes the journal of one owner, and sees when it is another's.

    Args:
        bucket: The place of the run.
        owner: Who writes it.
    """

    def __init__(self, bucket: Bucket, owner: Owner) -> None:
        self.bucket = bucket
        self.owner = owner
        self.number = 0
        """Of the last entry."""
        self.bytes_written = 0
        self._e_tag = ""
        self._seen_at = float("-inf")
        self._turn = threading.Lock()
        """Held while an entry is written, or looked for: who looks meanwhile would meet our own."""
        self._there: deque[int] = deque()
        """Numbers of the entries that are there, and may go."""

    # -- reading --------------------------------------------------------------------------------

    def survey(self) -> History:
        """Look at what is there."""
        found = self.bucket.read(_OWNER)
        entries = self._list_numbers(_ENTRIES)
        if found is not None:
            owner: Owner | None = _read_owner(found[0], self.bucket)
        else:  # it was killed before it could say so, or is about to
            claims = [entry for _, entry in self.read(list(entries)) if isinstance(entry, Claim)]
            owner = claims[-1].owner if claims else None
        return History(
            owner=owner,
            e_tag="" if found is None else found[1],
            entries=entries,
            snapshots=self._list_numbers(_SNAPSHOTS),
        )

    def _list_numbers(self, folder: str) -> tuple[int, ...]:
        names = (Path(entry.name).stem for entry in self.bucket.list_below(folder))
        return tuple(sorted(int(name) for name in names if name.isdecimal()))

    def read(self, numbers: list[int]) -> Iterator[tuple[int, Entry]]:
        """Read entries.

        Raises:
            DiskError: One is missing, or is none.
        """
        for number in numbers:
            found = self.bucket.read(_entry_name(number))
            place = f"{self.bucket.address}/{_entry_name(number)}"
            if found is None:
                raise DiskError(f"{place} is missing", hint="somebody has removed it: restore it")
            try:
                yield number, decode_entry(found[0])
            except msgspec.DecodeError as error:
                raise DiskError(f"{place} cannot be read: {error}") from error

    def is_claimed_since(self, before: History, now: History) -> bool:
        """Whether the run has become another's, neither ours nor whose it was."""
        known = [self.owner, *([] if before.owner is None else [before.owner])]
        later = [number for number in now.entries if number > before.last]
        owners = [entry.owner for _, entry in self.read(later) if isinstance(entry, Claim)]
        owners += [] if now.owner is None else [now.owner]
        return any(not any(owner.is_of(each) for each in known) for owner in owners)

    def fetch_snapshot(self, number: int, target: Path) -> bool:
        """Write a copy of the checkpoint beside a target; false if it is gone."""
        return self.bucket.fetch(_snapshot_name(number), target)

    # -- writing --------------------------------------------------------------------------------

    def go_on_after(self, history: History) -> None:
        """Write after what is there."""
        self.number = history.last
        self._there = deque(history.entries)
        self._e_tag = history.e_tag
        self.keep(() if history.owner is None else history.owner.claims)

    def keep(self, claims: Iterable[int]) -> None:
        """Never remove the entries by which the run was taken over, from now on.

        Args:
            claims: Their numbers.
        """
        known = tuple(sorted({*self.owner.claims, *claims}))
        self.owner = structs.replace(self.owner, claims=known)

    def append(self, entry: Entry) -> int:
        """Write the next entry.

        Returns:
            Its number.

        Raises:
            RunLockedError: Another has written it: the run is theirs.
        """
        content = encode_entry(entry)
        sha256 = hashlib.sha256(content).hexdigest()
        with self._turn:
            number = self.number + 1
            name = _entry_name(number)
            asked_at = _tell_time()  # not when the answer is read: we may be paused before that
            try:
                self.bucket.create(name, content, sha256=sha256)
            except ConflictError as error:
                # The store's answer may have been lost, and the request made again: then it is ours.
                found = self.bucket.look(name)
                if found is None or found.sha256 != sha256:
                    raise self._lost() from error
            self.number = number
            self._there.append(number)
            self._seen_at = asked_at
            self.bytes_written += len(content)
        return number

    def check_ours(self) -> None:
        """See that nobody has written an entry after ours.

        Raises:
            RunLockedError: Somebody has: the run is theirs.
        """
        with self._turn:
            asked_at = _tell_time()
            if self.bucket.look(_entry_name(self.number + 1)) is not None:
                raise self._lost()
            self._seen_at = asked_at

    def check_lately(self) -> None:
        """See the same, unless it was seen a moment ago: a process may have been paused since.

        Raises:
            RunLockedError: As `check_ours`.
        """
        if _tell_time() - self._seen_at > _LATELY_SECONDS:
            self.check_ours()

    def say_owner(self, owner: Owner) -> None:
        """Say whose the run is, where everybody looks first.

        Raises:
            RunLockedError: The run is another's by now.
        """
        content = msgspec.json.format(msgspec.json.encode(owner), indent=2) + b"\n"
        for _ in range(_TRIES):
            try:
                if self._e_tag:
                    self._e_tag = self.bucket.replace(_OWNER, content, e_tag=self._e_tag)
                else:
                    self._e_tag = self.bucket.create(_OWNER, content)
            except ConflictError:
                # The answer to this or an earlier one was lost; or whoever had the run before says that it
                # goes on, and has yet to meet our entry. The journal knows better.
                self.check_ours()
                found = self.bucket.read(_OWNER)
                self._e_tag = "" if found is None else found[1]
                if found is None or found[0] != content:
                    continue
            self.owner = owner
            return
        raise self._lost()

    def put_snapshot(self, number: int, source: Path) -> None:
        """Put a copy of the checkpoint there, and delete what is older than it.

        Args:
            number: Of the last entry in it.
            source: The copy.

        Raises:
            RunLockedError: The run is another's.
        """
        self.check_ours()
        self.bucket.write(_snapshot_name(number), source)
        # Whoever has the run by now has this copy or a later one: these are of no use to anybody.
        kept, older = frozenset(self.owner.claims), []
        while self._there and self._there[0] <= number:
            if (each := self._there.popleft()) not in kept:
                older.append(_entry_name(each))
        snapshots = self._list_numbers(_SNAPSHOTS)
        older += [_snapshot_name(each) for each in snapshots if each < number]
        for start in range(0, len(older), _DELETED_AT_ONCE):
            self.bucket.delete(older[start : start + _DELETED_AT_ONCE])

    def withdraw(self) -> None:
        """Remove all that is there of a run that never began.

        Raises:
            RunLockedError: Another has it by now: it is left alone.
        """
        self.check_ours()
        names = [_entry_name(number) for number in range(1, self.number + 1)]
        self.bucket.delete([*names, _OWNER])

    def _lost(self) -> RunLockedError:
        found = self.bucket.read(_OWNER)
        owner = None if found is None else _read_owner(found[0], self.bucket)
        who = "another" if owner is None or owner.is_of(self.owner) else describe_owner(owner)
        return RunLockedError(
            f"the run in {self.bucket.address} was taken over by {who}: nothing more is written here",
            hint="leave it there, or take it back with --take-over once that has ended",
        )


def describe_owner(owner: Owner) -> str:
    """Say who has a run."""
    return f"{owner.host}:{owner.folder} (process {owner.pid})"


def refuse_foreign(history: History, bucket: Bucket, now: float) -> RunLockedError:
    """Say that a run is another's, and what to do.

    Args:
        history: What there is of it.
        bucket: Where it is.
        now: Unix time.
    """
    owner = history.owner
    if owner is None:
        return RunLockedError(
            f"there is a run in {bucket.address}, and nobody says whose it is",
            hint="add --take-over to go on with it here, or give another --output",
        )
    if owner.ended_at:
        state = f"it ended {duration(now - owner.ended_at)} ago"
    else:
        state = f"it was last heard of {duration(now - owner.renewed_at)} ago"
    return RunLockedError(
        f"the run in {bucket.address} is that of {describe_owner(owner)}; {state}",
        hint="go on with it there; or, once that process is gone, add --take-over to go on here",
    )


def _read_owner(content: bytes, bucket: Bucket) -> Owner:
    try:
        return msgspec.json.decode(content, type=Owner)
    except msgspec.DecodeError as error:
        raise DiskError(
            f"{bucket.address}/{_OWNER} cannot be read: {error}",
            hint="it is of another version, or another program's: choose another --output",
        ) from error


def _tell_time() -> float:
    """Tell the time by a clock that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _entry_name(number: int) -> str:
    return f"{_ENTRIES}/{number:0{_DIGITS}}"


def _snapshot_name(number: int) -> str:
    return f"{_SNAPSHOTS}/{number:0{_DIGITS}}.gz"
