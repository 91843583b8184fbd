"""The command line with one seeded bug: what the fault tests must catch.

    python -m tests.faults.broken BUG run MANIFEST ...

No switch for any of these is in the product; they are made here, from outside.
"""

import contextlib
import errno
import logging
import os
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TextIO

import trio
import trio_websocket

from batchjobs import limits, runner
from batchjobs.api import execute
from batchjobs.api import run as api
from batchjobs.cli import console, main
from batchjobs.cli.commands import run
from batchjobs.files import atomic
from batchjobs.process import signals
from batchjobs.protocol.tts import TtsClient
from batchjobs.session import connect, redaction
from tests.faults.driver import BROKEN
from tests.faults.sabotage import plant

__all__ = ["BUGS"]

LOADED: Final = api, execute  # all of the product is imported before any of it is patched


def fsync_unheard() -> None:
    """A failed fsync is taken for a success."""
    real = os.fsync

    def deaf(descriptor: int) -> None:
        with contextlib.suppress(OSError):
            real(descriptor)

    plant(os, "fsync", deaf)


def write_unheard() -> None:
    """A write that found no room is taken for a success."""
    real = os.write

    def deaf(descriptor: int, data: memoryview) -> int:
        try:
            return real(descriptor, data)
        except OSError as error:
            if error.errno not in {errno.EDQUOT, errno.ENOSPC, errno.EFBIG}:
                raise
            return len(data)

    plant(os, "write", deaf)


def links_followed() -> None:
    """Paths below the run folder are taken as they are written."""

    def trusting(root: Path, relative: str) -> Path:
        return root / relative

    def publish(targets: Iterable[Path], parts: Mapping[Path, Path] = atomic.NONE) -> None:
        atomic._rename(targets, parts)

    for module in list(sys.modules.values()):
        if module.__name__.startswith("batchjobs."):
            for name, fault in (("path_inside", trusting), ("publish", publish)):
                if hasattr(module, name):
                    plant(module, name, fault)


def key_logged() -> None:
    """A line of the log has the URL, and with it the key."""
    real = trio_websocket.wrap_client_stream

    def telling_all(nursery: Any, stream: Any, host: str, target: str, **more: Any) -> object:
        logging.getLogger("batchjobs.session").debug("connecting to %s%s", host, target)
        return real(nursery, stream, host, target, **more)

    plant(connect, "wrap_client_stream", telling_all)


def key_echoed() -> None:
    """What a service says is told as it came."""
    plant(redaction.Redactor, "redact_errors", lambda _: contextlib.nullcontext())


def anyone_trusted() -> None:
    """Certificates are not looked at."""
    plant(ssl, "create_default_context", ssl._create_unverified_context)


def bug_inside() -> None:
    """Every synthesis meets a bug of ours."""

    def boom(_: object) -> str:
        raise RuntimeError("a bug that was put here")

    plant(TtsClient, "next_payload", boom)


def planning_dies() -> None:
    """A signal in planning ends the process where it stands."""
    plant(signals, "raise_first", contextlib.nullcontext)


def results_die() -> None:
    """A signal while the results are written ends the process where it stands."""

    @contextlib.contextmanager
    def nothing() -> Iterator[signals.SignalNote]:
        yield signals.SignalNote()

    plant(signals, "note_first", nothing)
    plant(signals, "raise_first", contextlib.nullcontext)


def never_nohup() -> None:
    """Signals that were switched off are listened to all the same."""
    plant(runner.runner, "list_stopping", lambda: signals._STOPPING)


def streams_trusted() -> None:
    """Output is printed as if every stream always took it."""

    def print_it(line: str = "", stream: TextIO | None = None) -> None:
        print(line, file=stream or sys.stdout, flush=True)

    for module in (console, run):
        plant(module, "say", print_it)


def attempts_counted_after() -> None:
    """Attempts are written down when they end, and not before their sessions open."""
    BROKEN["attempts-counted-after"]()


def wall_clock_limit() -> None:
    """The rate of starts goes by the wall clock."""
    offset = time.time() - time.monotonic()

    def current_time() -> float:
        return time.time() - offset

    def add_start(self: limits.StartRate, _: float) -> None:
        wall = current_time() + trio.current_time() - time.monotonic()
        self._next_at = wall + self._interval_seconds

    plant(limits.StartRate, "add_start", add_start)


def steps() -> None:
    """No bug, but a wall clock that is set forth and back by an hour, a few times a second."""
    real, real_ns = time.time, time.time_ns

    def step() -> int:
        return (0, 3_600, -3_600, 86_400)[int(time.monotonic() * 8) % 4]

    time.time = lambda: real() + step()
    time.time_ns = lambda: real_ns() + step() * 10**9


def steps_and_wall_clock_limit() -> None:
    """A wall clock in a limiter, and one that is set."""
    wall_clock_limit()
    steps()


BUGS: Mapping[str, Callable[[], None]] = {
    bug.__name__.replace("_", "-"): bug
    for bug in (
        fsync_unheard,
        write_unheard,
        links_followed,
        key_logged,
        key_echoed,
        anyone_trusted,
        bug_inside,
        planning_dies,
        results_die,
        never_nohup,
        streams_trusted,
        attempts_counted_after,
        steps,
        steps_and_wall_clock_limit,
    )
}

if __name__ == "__main__":
    BUGS[sys.argv.pop(1)]()
    main()
