"""Recordings with more than one audio track, of which one is heard: told, since the others are lost."""

from typing import Final

from batchjobs.formatting import plural

_SHOWN: Final = 3
_HINT: Final = "to hear another, give its number in column 'track', or pass --track for all films"


class Tracks:
    """Counts recordings of several tracks, and keeps the first of them."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._count = 0

    def add(self, name: str, *, heard: int, tracks: int) -> None:
        """Count a recording, unless it has a single track.

        Args:
            name: As the manifest has it.
            heard: The track that is heard, from 1.
            tracks: How many it has.
        """
        if tracks < 2 or name in self._first:
            return
        self._count += 1
        if len(self._first) < _SHOWN:
            self._first[name] = f"track {heard} of {tracks}"

    def tell(self) -> tuple[str, ...]:
        """Say in a sentence what is not heard; nothing if all is."""
        if not self._count:
            return ()
        have = "has" if self._count == 1 else "have"
        shown = ", ".join(f"{name} ({heard})" for name, heard in self._first.items())
        more = self._count - len(self._first)
        also = f" and {more:,} more" if more else ""
        recordings = plural(self._count, "recording")
        sentence = f"{recordings} {have} several audio tracks, of which one is heard: {shown}{also}"
        return (f"{sentence}; {_HINT}",)
