"""Which files below a folder are new or have changed, and stand still: decided by what is seen when."""

from collections.abc import Mapping
from typing import NamedTuple

State = tuple[int, int]
"""A file's size, and when it was written to last: some copies have their whole size from the start."""


class _Waiting(NamedTuple):
    """A file that has changed: as it was seen, and since when it has been so."""

    state: State
    since: float


class _Odd(NamedTuple):
    """A file that stands still and is no recording that can be read: perhaps only half of it is there."""

    reason: str
    since: float


class Sightings:
    """Remembers what a folder's files were like, and says which of them to look into.

    Nothing here reads a clock or a file. A file's own time is only compared with itself: clocks of
    other machines, and copies that keep the time of the original, make no difference.

    Args:
        settle_seconds: How long a file must have been seen unchanged.
        patience_seconds: How long a file may stand still unreadable before it is told.
    """

    def __init__(self, *, settle_seconds: float, patience_seconds: float) -> None:
        self._settle_seconds = settle_seconds
        self._patience_seconds = patience_seconds
        self._known: dict[str, dict[str, State]] = {}
        """By folder: a name alone takes less room than its path, in hundreds of thousands."""
        self._waiting: dict[str, _Waiting] = {}
        self._odd: dict[str, _Odd] = {}

    @property
    def waiting(self) -> list[str]:
        """Files that have changed and do not stand still for long enough yet."""
        return list(self._waiting)

    @property
    def odd(self) -> dict[str, str]:
        """Files that stand still and cannot be read, each with what is wrong with it."""
        return {path: odd.reason for path, odd in self._odd.items()}

    def see(self, folder: str, found: Mapping[str, State], now: float) -> list[str]:
        """Take in what a folder holds.

        Args:
            folder: Its path.
            found: Its plain files, by name.
            now: The time.

        Returns:
            The paths of files to look into: new or changed, and unchanged for long enough.
        """
        known = self._known.get(folder, {})
        settled = []
        for name, state in found.items():
            if known.get(name) != state:
                path = f"{folder}/{name}"
                if self._has_settled(path, state, now):
                    settled.append(path)
        for name in known.keys() - found.keys():
            del known[name]
            self._odd.pop(f"{folder}/{name}", None)
        return settled

    def glance(self, found: Mapping[str, State | None], now: float) -> list[str]:
        """Take in how those that wait are now, between two looks through all.

        Args:
            found: Their paths; None for one that is gone.
            now: The time.

        Returns:
            As `see`.
        """
        settled = []
        for path, state in found.items():
            if state is None:
                self._waiting.pop(path, None)
            elif self._has_settled(path, state, now):
                settled.append(path)
        return settled

    def end_look(self, seen: Mapping[str, object], *, is_whole: bool) -> None:
        """Forget folders that are gone.

        Args:
            seen: The paths of folders that were come upon.
            is_whole: Whether all of them could be listed: what cannot be read is not gone.
        """
        if not is_whole:
            return
        for folder in self._known.keys() - seen.keys():
            del self._known[folder]
        for files in (self._waiting, self._odd):
            for path in [path for path in files if path.rpartition("/")[0] not in seen]:
                del files[path]

    def keep(self, path: str, state: State) -> None:
        """Remember that a file was looked into: it is not named again until it changes."""
        folder, _, name = path.rpartition("/")
        self._known.setdefault(folder, {})[name] = state
        self._waiting.pop(path, None)
        self._odd.pop(path, None)

    def keep_odd(self, path: str, state: State, reason: str, now: float) -> None:
        """Remember a file that cannot be read: it may be half of one that is still on its way."""
        self.keep(path, state)
        self._odd[path] = _Odd(reason, now)

    def pop_overdue(self, now: float) -> dict[str, str]:
        """Give the files that have been unreadable for so long that nothing more will come, once each."""
        limit = now - self._patience_seconds
        overdue = {path: odd.reason for path, odd in self._odd.items() if odd.since <= limit}
        for path in overdue:
            del self._odd[path]
        return overdue

    def _has_settled(self, path: str, state: State, now: float) -> bool:
        before = self._waiting.get(path)
        if before is None or before.state != state:
            self._waiting[path] = _Waiting(state, now)
            return False
        return now - before.since >= self._settle_seconds
