"""Audio as it is received: in memory, and once that runs short, in a file of its own."""

from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from batchjobs.errors import DiskError

_BLOCK_BYTES: Final = 131_072


def _count_nothing(_: int) -> None:
    """Ignore how much memory it takes."""


class ReceivedAudio:
    """The 16-bit mono samples of one session, as they come.

    What comes is held in memory. Its beginning can be moved to a file with `start_move` and
    `end_move`, when all sessions together take too much; iterating gives all of it, in order.

    Args:
        count: Called with the bytes by which the memory held grows, or shrinks.
        path: The file that the beginning may be moved to.

    Attributes:
        sample_rate: In hertz; 0 until some audio has said so.
        held_bytes: How much is in memory and is not on its way to the file.
        has_file: Whether the file may exist.
        moved_bytes: How much is in the file.
        moved_powers: The mean square of each 20 ms that was moved.
        moved_sound: Whether any sample that was moved is other than zero.
    """

    def __init__(
        self, *, count: Callable[[int], None] = _count_nothing, path: Path | None = None
    ) -> None:
        self.path = path
        self.sample_rate = 0
        self.held_bytes = 0
        self.has_file = False
        self.moved_bytes = 0
        self.moved_powers = array("d")
        self.moved_sound = False
        self._parts: list[bytes] = []  # to let one buffer grow took a tenth of a session's time
        self._moving: bytes | None = None
        self._is_sealed = False
        self._count = count

    def __len__(self) -> int:
        """Count all bytes received, wherever they are."""
        return self.moved_bytes + len(self._moving or b"") + self.held_bytes

    def __bytes__(self) -> bytes:
        """Give all of it at once: for short audio only."""
        return b"".join(self)

    def __iter__(self) -> Iterator[bytes]:
        """Give all of it, block by block.

        Raises:
            DiskError: The file does not give back what was put into it.
        """
        self._is_sealed = True
        if self.path is not None and self.moved_bytes:
            yield from _read_file(self.path, self.moved_bytes)
        for part in (self._moving, self._join_parts()):
            if part:
                yield part

    def add(self, pcm: bytes) -> None:
        """Take samples that have come."""
        self._parts.append(pcm)
        self.held_bytes += len(pcm)
        self._count(len(pcm))

    def drop(self, count: int) -> None:
        """Take back the last bytes, of those that came last.

        Args:
            count: No more than are in memory and not on their way to the file.
        """
        rest = self._join_parts()[: self.held_bytes - count]
        self._parts, self.held_bytes = [rest], len(rest)
        self._count(-count)

    def seal(self) -> None:
        """End it: nothing comes or is moved any more, so that a thread may read it."""
        self._is_sealed = True

    def discard(self) -> None:
        """Free the memory; the file, if there is one, stays."""
        self._is_sealed = True
        self._count(-len(self._moving or b"") - self.held_bytes)
        self._parts.clear()
        self.held_bytes, self._moving = 0, None

    def start_move(self, unit_bytes: int) -> bytes | None:
        """Give what is to be written to the file: whole units, all but the last.

        Args:
            unit_bytes: Of 20 ms of audio, a whole number of samples.

        Returns:
            The bytes that follow the file's first `moved_bytes`; None if nothing can be moved.
        """
        size = (self.held_bytes // unit_bytes - 1) * unit_bytes
        if self._is_sealed or self._moving is not None or size <= 0:
            return None
        self.has_file = True
        held = self._join_parts()
        self._moving, rest = held[:size], held[size:]
        self._parts, self.held_bytes = [rest], len(rest)
        return self._moving

    def end_move(self, powers: "array[float]", *, has_sound: bool) -> None:
        """Free what `start_move` gave, which is in the file now.

        Args:
            powers: The mean square of each of its units.
            has_sound: Whether a sample of it is other than zero.
        """
        if self._is_sealed or self._moving is None:
            return  # it may be being read just now
        size = len(self._moving)
        self._moving = None
        self.moved_bytes += size
        self.moved_powers.extend(powers)
        self.moved_sound = self.moved_sound or has_sound
        self._count(-size)

    @property
    def rest(self) -> bytes:
        """What is in memory: the end of it, or all."""
        return self._join_parts() if self._moving is None else self._moving + self._join_parts()

    def _join_parts(self) -> bytes:
        """Make one of the parts in memory."""
        if len(self._parts) != 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0]


def _read_file(path: Path, size: int) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while size:
                block = file.read(min(size, _BLOCK_BYTES))
                if not block:
                    raise DiskError(f"{path} has lost {size:,} bytes", hint="check the disk")
                size -= len(block)
                yield block
    except OSError as error:
        raise DiskError(f"cannot read {path}: {error}", hint="check the disk") from error
