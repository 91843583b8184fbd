"""One account of the audio that all sessions hold in memory; what is too much goes to files."""

import itertools
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

import trio

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.audio.pcm import is_silent, window_frames, window_powers
from batchjobs.errors import BatchjobsError, OutputError
from batchjobs.files.atomic import disk_error

_LEAST_BYTES: Final = 4_096
"""To move less frees nothing worth a file."""
_ENOUGH: Final = 0.5
"""So much of the limit is left in memory: the next round is then some time away."""
_PATIENCE: Final = 1.125
"""If nothing more can be moved, the next look is at so much more."""

_Move: TypeAlias = tuple[ReceivedAudio, bytes]


class AudioSpool:
    """Bounds the received audio in memory over all sessions.

    As long as there is little of it, nothing happens. Above the limit those that hold most write it
    to files of their own, opened, appended to and closed at once by a thread: no session waits for
    the disk, none holds a descriptor. The files are scratch: never synced, and of no use to any
    later run, which removes what a killed one has left.

    Args:
        folder: Where the files go; it is made when it is needed.
        limit_bytes: How much may be in memory.
        on_error: Called once if the disk fails; nothing is lost then, and nothing more is moved.
    """

    def __init__(
        self,
        folder: Path,
        *,
        on_error: Callable[[BatchjobsError], None],
        limit_bytes: int,
    ) -> None:
        self.held_bytes = 0
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._look_at_bytes = limit_bytes
        self._on_error = on_error
        self._has_failed = False
        self._open: set[ReceivedAudio] = set()
        self._doomed: list[Path] = []
        self._numbers = itertools.count(1)
        self._wake = trio.Event()
        self._thread = trio.CapacityLimiter(1)

    @contextmanager
    def open_buffer(self, key: str) -> Iterator[ReceivedAudio]:
        """Hold a session's audio for as long as the block lasts.

        Args:
            key: Begins the file's name.
        """
        path = self._folder / f"{key}.{next(self._numbers)}.spool"
        audio = ReceivedAudio(count=self._count, path=path)
        self._open.add(audio)
        try:
            yield audio
        finally:
            self._open.remove(audio)
            audio.discard()
            if audio.has_file:
                self._doomed.append(path)
                self._wake.set()

    async def run(self) -> None:
        """Move what is too much, and remove what is done with, until cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._wake = trio.Event()
                await self._move_excess()
        finally:
            _remove(self._doomed)

    def _count(self, size: int) -> None:
        self.held_bytes += size
        if self.held_bytes > self._look_at_bytes:
            self._wake.set()

    async def _move_excess(self) -> None:
        doomed, self._doomed = self._doomed, []
        moves = self._take_moves()
        if moves or doomed:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(_remove, doomed, limiter=self._thread)
                await self._carry_out(moves)
        self._look_at_bytes = max(self._limit_bytes, int(self.held_bytes * _PATIENCE))

    def _take_moves(self) -> list[_Move]:
        """Take from the buffers that hold most, until enough is taken."""
        excess = self.held_bytes - int(self._limit_bytes * _ENOUGH)
        if self.held_bytes <= self._limit_bytes or self._has_failed:
            return []
        moves: list[_Move] = []
        for audio in sorted(self._open, key=lambda audio: audio.held_bytes, reverse=True):
            if excess <= 0 or audio.held_bytes < _LEAST_BYTES:
                break
            pcm = audio.start_move(2 * window_frames(audio.sample_rate))
            if pcm is not None:
                moves.append((audio, pcm))
                excess -= len(pcm)
        return moves

    async def _carry_out(self, moves: Sequence[_Move]) -> None:
        try:
            moved = await trio.to_thread.run_sync(
                _move_all, self._folder, moves, limiter=self._thread
            )
        except BatchjobsError as error:
            self._has_failed = True
            self._on_error(error)
            return
        for (audio, _), (powers, has_sound) in zip(moves, moved, strict=True):
            audio.end_move(powers, has_sound=has_sound)


def _move_all(folder: Path, moves: Sequence[_Move]) -> list[tuple["array[float]", bool]]:
    """Append to each file, and say what is to be known of what was moved.

    Raises:
        BatchjobsError: The disk failed or is full.
    """
    if not moves:
        return []
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise disk_error(error, folder) from error
    if folder.is_symlink():
        shown = f"{folder} has become a symbolic link"
        raise OutputError(shown, hint="the run folder was tampered with")
    moved = []
    for audio, pcm in moves:
        assert audio.path is not None
        try:
            _append(audio.path, pcm, audio.moved_bytes)
        except OSError as error:
            raise disk_error(error, audio.path) from error
        powers = window_powers(pcm, sample_rate=audio.sample_rate)
        moved.append((array("d", powers.tobytes()), not is_silent(pcm)))
    return moved


def _append(path: Path, pcm: bytes, offset: int) -> None:
    """Write behind what is there already, to a file that is ours."""
    created = 0 if offset else os.O_CREAT | os.O_EXCL
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | created, 0o666)
    try:
        view = memoryview(pcm)
        while view:
            size = os.pwrite(descriptor, view, offset)
            view, offset = view[size:], offset + size
    finally:
        os.close(descriptor)


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            continue  # the next run's sweep finds it
