"""A module that Dask's workers load before anything else: they are struck, make a mistake, or are others' workers.

``DASK_DISTRIBUTED__WORKER__PRELOAD`` names it, also for the workers that a run starts itself; `struck`,
`mistaken` and `strange` give the whole environment. Killed is one worker, once: the one that is started in its place
lives. A disk that fails stays so.
"""

import errno
import os
import platform
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import trio

from batchjobs.cluster import actor, host, identity
from tests.cluster.loopback import find_recordings_below
from tests.faults.sabotage import plant

__all__ = ["MISTAKES", "STRANGERS", "dask_setup", "mistaken", "strange", "struck"]

_FAULT: Final = "TESTS_WORKER_FAULT"
_AT: Final = "TESTS_WORKER_FAULT_AT"
_MARK: Final = "TESTS_WORKER_STRUCK"
_LATE: Final = "TESTS_WORKER_STARTS_LATE"
_PRELOAD: Final = {"DASK_DISTRIBUTED__WORKER__PRELOAD": '["tests.faults.struck_host"]'}
_CALLS: Final = ("fsync", "fdatasync", "rename", "replace", "unlink", "write")
LATE_SECONDS: Final = 4.0


def struck(mark: Path, *, fault: str, at: int, late_seconds: float = 0.0) -> Mapping[str, str]:
    """Give the environment of a run, or of a cluster, whose workers are struck.

    Args:
        mark: A file that is not there: it will be once a worker was struck.
        fault: ``SIGKILL``, or the name of an error that every change of a disk ends with.
        at: At which change of its disk, of a worker's.
        late_seconds: How much longer a worker takes to start that is started after that.
    """
    late = {_LATE: str(late_seconds)}
    return _PRELOAD | late | {_FAULT: fault, _AT: str(at), _MARK: str(mark)}


def mistaken(name: str) -> Mapping[str, str]:
    """Give the environment of a run, or of a cluster, whose workers make a mistake, by its name."""
    return _PRELOAD | {_FAULT: name}


def strange(name: str) -> Mapping[str, str]:
    """Give the environment of workers that are not as their owner is, by the difference."""
    return _PRELOAD | {_FAULT: name}


def dask_setup(_: object) -> None:
    """Make the mistake, or wait for the n-th change of the disk."""
    fault = os.environ[_FAULT]
    if plants := (MISTAKES | STRANGERS).get(fault):
        plants()
        return
    mark = Path(os.environ[_MARK])
    if mark.exists():
        time.sleep(float(os.environ[_LATE]))
    strike = _make_strike(fault, int(os.environ[_AT]), mark)
    for name in _CALLS:
        setattr(os, name, _striking(getattr(os, name), strike))


def _make_strike(fault: str, at: int, mark: Path) -> Callable[[], None]:
    count = 0

    def strike() -> None:
        nonlocal count
        count += 1
        if count < at:
            return
        if fault != "SIGKILL":
            mark.touch()
            number = getattr(errno, fault)
            raise OSError(number, os.strerror(number))
        if count == at:
            try:
                os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return
            os.kill(os.getpid(), signal.SIGKILL)

    return strike


def _striking(call: Callable[..., object], strike: Callable[[], None]) -> Callable[..., object]:
    def act(*arguments: object, **options: object) -> object:
        strike()
        return call(*arguments, **options)

    return act


# -- what must be noticed --------------------------------------------------------------------------


def opens_late() -> None:
    """No mistake, but a machine that is busy: a session opens long after it was ordered."""
    serve = host.Host._serve

    async def serve_late(self: host.Host, order: Any) -> None:
        await trio.sleep(LATE_SECONDS)
        await serve(self, order)

    plant(host.Host, "_serve", serve_late)


def lease_for_ever() -> None:
    """The same, and nobody asks whether the owner is still there."""
    opens_late()
    plant(host.Host, "_check_lease", lambda _: None)
    plant(host, "PATIENCE_SECONDS", 3_600.0)


def opens_twice() -> None:
    """What fails on the way back is bought again there, and nobody counts it."""
    make = host.Host._have_session

    async def have_two(self: host.Host, order: Any, audio: Any, opened: Any) -> object:
        with self._spool.open_buffer(order.segment.key) as other:
            await make(self, order, other, host._Open(trio.CancelScope()))
        return await make(self, order, audio, opened)

    plant(host.Host, "_have_session", have_two)


MISTAKES: Final[dict[str, Callable[[], None]]] = {
    mistake.__name__.replace("_", "-"): mistake
    for mistake in (opens_late, lease_for_ever, opens_twice)
}


# -- what must be refused --------------------------------------------------------------------------


def other_python() -> None:
    """A worker of another Python."""
    plant(platform, "python_version", lambda: "3.99.1")


def other_files() -> None:
    """A worker of a clone with other files in it."""
    plant(identity, "hash_code", lambda: "0123456789")


def other_folder() -> None:
    """A worker where nothing is seen of the run folder."""
    plant(actor, "Path", lambda path: Path("/nowhere", *Path(path).parts[1:]))


def other_recordings() -> None:
    """A worker where nothing is seen of the recordings, as of a disk that is not mounted there."""
    take = host.Host.take

    def take_moved(self: host.Host, orders: Any) -> None:
        take(self, find_recordings_below("/nowhere", orders))

    plant(host.Host, "take", take_moved)


STRANGERS: Final[dict[str, Callable[[], None]]] = {
    stranger.__name__.replace("_", "-"): stranger
    for stranger in (other_python, other_files, other_folder, other_recordings)
}
