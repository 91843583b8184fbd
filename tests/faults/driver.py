"""Starts runs for the fault tests, each in a process of its own: as it is, broken, or dying.

    python -m tests.faults.driver

reads one request a line on its standard input, forks, and answers with the process's id and, once
it has ended, its status. Nothing of the product is imported for the first time after the fork, so a
run starts within milliseconds. No switch for any of this is in the product.
"""

import contextlib
import contextvars
import dataclasses
import gc
import itertools
import json
import os
import signal
import sqlite3
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import trio

from batchjobs.checkpoint import AttemptEnd, AttemptStart, JobRecord, database
from batchjobs.files import atomic
from batchjobs.files.shelf import Shelf
from batchjobs.outputs import reuse, suspects, writing
from batchjobs.runner import recorder, worker
from batchjobs.session import SttSession, TtsSession
from tests.faults.sabotage import plant

__all__ = ["BROKEN", "CALLS"]

CALLS = ("mkdir", "write", "pwrite64", "fsync", "fdatasync", "rename", "ftruncate", "unlink")
"""The system calls that change a disk, or what of it survives a power cut."""


def use_one_thread() -> None:
    """Let the main thread do what a run's threads do.

    strace counts each thread's calls apart. In one thread the n-th call is the same one each time,
    and n = 1, 2, 3 … reaches them all.
    """

    async def run_sync(
        call: Callable[..., object],
        *arguments: object,
        limiter: trio.CapacityLimiter | None = None,
        abandon_on_cancel: bool = False,
    ) -> object:
        await trio.lowlevel.checkpoint()
        return call(*arguments)

    plant(trio.to_thread, "run_sync", run_sync)


# -- the in-process twin of strace --------------------------------------------------------------


def die_at(point: int) -> None:
    """Let the process kill itself when it comes to its n-th change of the disk.

    Counted are the calls of Python's own; of SQLite's, which are out of reach here, the moments
    before and after each of its transactions becomes durable.
    """
    lock = threading.Lock()
    count = 0

    def tick() -> None:
        nonlocal count
        with lock:
            count += 1
            if count == point:
                os.kill(os.getpid(), signal.SIGKILL)

    for name in ("fsync", "fdatasync", "rename", "replace", "unlink", "mkdir", "write"):
        setattr(os, name, _ticking(getattr(os, name), tick))
    original = database.Database.transaction

    @contextlib.contextmanager
    def transaction(self: database.Database) -> Iterator[sqlite3.Connection]:
        with original(self) as connection:
            yield connection
            tick()
        tick()

    plant(database.Database, "transaction", transaction)


def _ticking(call: Callable[..., object], tick: Callable[[], None]) -> Callable[..., object]:
    def ticking(*arguments: object, **options: object) -> object:
        tick()
        return call(*arguments, **options)

    return ticking


# -- runs that are broken on purpose ------------------------------------------------------------


def _no_folder_sync() -> None:
    """Leave the sync of the folder out that makes a rename durable."""
    plant(atomic, "sync_folders", lambda folders: None)


def _no_file_sync() -> None:
    """Rename a file that may not be on the disk yet."""

    def write_part(target: Path, data: bytes | Iterable[bytes]) -> None:
        part = atomic.part_path(target)
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data if isinstance(data, bytes) else b"".join(data))

    for module in (writing, reuse):
        plant(module, "write_part", write_part)


def _commit_first() -> None:
    """Say that a job is done, and only then give its files their names."""
    write, publish = recorder.Recorder._write, Shelf.publish

    def write_and_publish(self: recorder.Recorder, group: list[recorder._Entry]) -> None:
        held: list[tuple[Any, ...]] = []

        def hold(*arguments: Any) -> None:
            shelf, targets, *parts = arguments
            held.append((shelf, list(targets), *parts))

        plant(Shelf, "publish", hold)
        write(self, group)
        for arguments in held:
            publish(*arguments)

    plant(recorder.Recorder, "_write", write_and_publish)


def _torn_tail_glued() -> None:
    """Write on at the end of whatever a killed run left beside a file's place."""

    def write_part(target: Path, data: bytes) -> None:
        part = atomic.part_path(target)
        part.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.write(descriptor, data)
        os.fsync(descriptor)
        os.close(descriptor)

    for module in (writing, reuse):
        plant(module, "write_part", write_part)


def _slot_released_early() -> None:
    """Let a worker go on once its session has ended, while files and commit are on their way."""
    session_ended: contextvars.ContextVar[trio.Event] = contextvars.ContextVar("session_ended")
    buy = worker.Worker._buy

    def telling(run: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def run_and_tell(session: object) -> object:
            try:
                return await run(session)
            finally:
                session_ended.get().set()

        return run_and_tell

    for session in (TtsSession, SttSession):
        plant(session, "run", telling(session.run))

    async def buy_on_the_side(self: worker.Worker, *arguments: Any) -> None:
        event = trio.Event()
        session_ended.set(event)

        async def work() -> None:
            await trio.lowlevel.checkpoint()
            with contextlib.suppress(Exception):
                await buy(self, *arguments)
            event.set()

        trio.lowlevel.spawn_system_task(work, context=contextvars.copy_context())
        await event.wait()

    plant(worker.Worker, "_buy", buy_on_the_side)


def _attempts_counted_after() -> None:
    """Write an attempt's start together with its end, and not before its session opens."""
    begin, finish = recorder.Recorder.begin, recorder.Recorder.finish
    begun: dict[int, AttemptStart] = {}
    numbers = itertools.count(-1, -1)

    async def begin_later(self: recorder.Recorder, start: AttemptStart) -> int:
        await trio.lowlevel.checkpoint()
        number = next(numbers)
        begun[number] = start
        return number

    async def begin_and_finish(
        self: recorder.Recorder,
        *,
        end: AttemptEnd | None = None,
        record: JobRecord | None = None,
        **files: Any,
    ) -> None:
        if end is not None:
            number = await begin(self, begun.pop(end.number))
            fields = {name: getattr(end, name) for name in AttemptEnd.__slots__}
            end = AttemptEnd(**fields | {"number": number})
        await finish(self, end=end, record=record, **files)

    plant(recorder.Recorder, "begin", begin_later)
    plant(recorder.Recorder, "finish", begin_and_finish)


def _commits_not_synced() -> None:
    """Let SQLite leave it to the system when a commit reaches the disk."""
    original = database.Database.transaction

    @contextlib.contextmanager
    def transaction(self: database.Database) -> Iterator[sqlite3.Connection]:
        self._connection.execute("PRAGMA synchronous = NORMAL")
        with original(self) as connection:
            yield connection

    plant(database.Database, "transaction", transaction)


def _accept_moves() -> None:
    """Move what is kept in doubt to its final name, and only then say that it is accepted."""

    def moved(folder: Path, output: str, donor: JobRecord, *, place: Path) -> writing.Written:
        target = folder.resolve() / output
        target.parent.mkdir(exist_ok=True)
        (place / donor.output).rename(atomic.part_path(target))
        main = dataclasses.replace(donor.files[0], path=output)
        return writing.Written(targets=(target,), files=(main,), pcm_sha256=donor.pcm_sha256)

    plant(reuse, "copy_result", moved)


def _kept_written_over() -> None:
    """Write the better of two results in doubt over the other, which is committed."""
    choose_path = suspects.choose_path
    plant(suspects, "choose_path", lambda row, _: choose_path(row, ()))


BROKEN: Mapping[str, Callable[[], None]] = {
    "no-folder-sync": _no_folder_sync,
    "no-file-sync": _no_file_sync,
    "commit-first": _commit_first,
    "torn-tail-glued": _torn_tail_glued,
    "slot-released-early": _slot_released_early,
    "attempts-counted-after": _attempts_counted_after,
    "commits-not-synced": _commits_not_synced,
    "accept-moves": _accept_moves,
    "kept-written-over": _kept_written_over,
}
"""Mistakes that a run may be made to make, to see that they are noticed."""


# -- starting -----------------------------------------------------------------------------------


def _become(request: Mapping[str, Any]) -> None:
    """Be the process that was asked for; never returns."""
    code = 70
    try:
        os.chdir(str(request["cwd"]))
        streams = (os.devnull, request["stdout"] or os.devnull, request["stderr"] or os.devnull)
        for number, path in enumerate(streams):
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
            os.dup2(os.open(str(path), flags, 0o600), number)
        if request["broken"]:
            BROKEN[str(request["broken"])]()
        if request["one_thread"]:
            use_one_thread()
        if request["die_at"]:
            die_at(int(str(request["die_at"])))
        if request["gate"]:
            os.close(os.open(str(request["gate"]), os.O_RDONLY))  # waits until somebody opens it
        sys.argv = ["batchjobs", *map(str, request["arguments"])]
        code = _exit_code()
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(code)


def _exit_code() -> int:
    from batchjobs.cli import main

    try:
        main()
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else 70


def main() -> int:
    """Serve requests until the standard input ends."""
    # What a run imports as it goes, imported before anything forks.
    import numpy as np  # noqa: F401
    import soundfile  # noqa: F401
    import trio_websocket  # noqa: F401

    import batchjobs.api.accept
    import batchjobs.api.execute
    import batchjobs.api.run  # noqa: F401
    from batchjobs.cli.commands import run  # noqa: F401

    gc.freeze()  # a run's collector looks at what is its own
    pid = 0
    for line in sys.stdin:
        if pid:  # until now its id was nobody else's: whoever kills it late strikes no stranger
            os.waitpid(pid, 0)
        pid = os.fork()
        if not pid:
            _become(json.loads(line))
        print(json.dumps({"pid": pid}), flush=True)
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        is_code = ended.si_code == os.CLD_EXITED
        code = ended.si_status if is_code else -ended.si_status
        print(json.dumps({"code": code}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
