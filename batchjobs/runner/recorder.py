"""The one writer of the checkpoint: commits in groups, and lets each task wait for its own part."""

import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec
import trio

from batchjobs.checkpoint import (
    AttemptEnd,
    AttemptStart,
    Checkpoint,
    JobRecord,
    SegmentChanges,
    Settled,
)
from batchjobs.errors import BatchjobsError, InternalError

_logger = logging.getLogger(__name__)
_GROUP: Final = 200
_GATHERING_SECONDS: Final = 0.01
"""Between two commits, where they come one after the other: a third as many, each as durable."""


class _Start(msgspec.Struct, eq=False, kw_only=True):
    """An attempt that is to begin, and gets its number."""

    start: AttemptStart
    number: int = 0


class _Order(msgspec.Struct, frozen=True, kw_only=True):
    """Something else to write, which no job waits for."""

    write: Callable[[], None]


class _Entry(msgspec.Struct, eq=False, kw_only=True):
    """Something to make durable, for a task that waits for it."""

    content: _Start | Settled | _Order
    error: BatchjobsError | None = None
    done: trio.Event = msgspec.field(default_factory=trio.Event)


class Recorder:
    """Commits in the order that survives a power cut.

    The files are written and synced beside their places by then; here they are renamed, their
    folders synced, and one transaction says so. Only then do the tasks that wait go on.

    While one group is on its way to the disk the next one gathers, so a slow disk makes larger
    groups and not a slower run; on a fast one a group gathers for a moment. The first does not wait.

    Args:
        checkpoint: The run folder's.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._send, self._receive = trio.open_memory_channel[_Entry](math.inf)
        self._error: BatchjobsError | None = None
        self._not_before = float("-inf")
        # A thread of its own: look-ups and decoding share forty, and may hang on to them.
        self._limiter = trio.CapacityLimiter(1)

    async def run(self) -> None:
        """Commit what comes until `close`, also if cancelled.

        Tasks wait here shielded: what they have was paid for.
        """
        with trio.CancelScope(shield=True):
            await self._run()

    async def _run(self) -> None:
        async with self._receive:
            async for first in self._receive:
                await trio.sleep_until(self._not_before)
                group = [first]
                while len(group) < _GROUP:
                    try:
                        group.append(self._receive.receive_nowait())
                    except (trio.WouldBlock, trio.EndOfChannel):
                        break
                await self._commit(group)
                self._not_before = trio.current_time() + _GATHERING_SECONDS

    def close(self) -> None:
        """Let `run` end once all is durable."""
        self._send.close()

    async def _commit(self, group: list[_Entry]) -> None:
        if self._error is None:
            try:
                await trio.to_thread.run_sync(self._write, group, limiter=self._limiter)
            except BatchjobsError as error:
                # What a failed sync has lost no later one brings back: nothing more is called done.
                self._error = error
            except Exception as error:  # whatever it is, no task may wait for ever
                _logger.exception("the checkpoint could not be written")
                shown = f"the checkpoint could not be written: {type(error).__name__}: {error}"
                self._error = InternalError(shown)
        for entry in group:
            entry.error = self._error
            entry.done.set()

    def _write(self, group: list[_Entry]) -> None:
        contents = [entry.content for entry in group]
        starts = [content for content in contents if isinstance(content, _Start)]
        outcomes = [content for content in contents if isinstance(content, Settled)]
        numbers = self._checkpoint.settle(
            starts=[starting.start for starting in starts], outcomes=outcomes
        )
        for starting, number in zip(starts, numbers, strict=True):
            starting.number = number
        for content in contents:
            if isinstance(content, _Order):
                content.write()

    async def begin(self, start: AttemptStart) -> int:
        """Put an attempt on the disk before its session opens.

        Returns:
            The attempt's number.

        Raises:
            BatchjobsError: The disk failed.
        """
        starting = _Start(start=start)
        await self._put(starting)
        return starting.number

    def finish(
        self,
        *,
        end: AttemptEnd | None = None,
        record: JobRecord | None = None,
        changes: SegmentChanges | None = None,
        targets: Sequence[Path] = (),
        parts: Mapping[Path, Path] = MappingProxyType({}),
    ) -> Awaitable[None]:
        """Make the end of an attempt, and with it maybe a job's outcome, durable.

        It is in line once this returns: no attempt that begins after that opens its session before
        this is durable.

        Args:
            end: How the attempt ended.
            record: What became of the job, if that is decided.
            changes: What became of segments of long jobs.
            targets: Places of its files, which stand beside them.
            parts: Where those stand that do not.

        Returns:
            An awaitable: done once it is durable, or raises a BatchjobsError if the disk failed.
        """
        return self._put(
            Settled(end=end, record=record, changes=changes, targets=targets, parts=parts)
        )

    def carry_out(self, write: Callable[[], None]) -> Awaitable[None]:
        """Write something else, in its turn.

        Args:
            write: Does it, in a transaction of its own, in the recorder's thread.

        Returns:
            An awaitable, as of `finish`.
        """
        return self._put(_Order(write=write))

    def _put(self, content: _Start | Settled | _Order) -> Awaitable[None]:
        entry = _Entry(content=content)
        self._send.send_nowait(entry)  # no more than the run has in hand
        return _wait_durable(entry)


async def _wait_durable(entry: _Entry) -> None:
    await entry.done.wait()
    if entry.error is not None:
        raise entry.error
