"""Forks commands on request: each is a process of its own, in which everything is imported already.

    python -m tests.fork_server ADDRESS

A command that is started takes half a second of a processor to import what it needs, and its local server
as much again; a fork takes milliseconds. `tests/forks.py` asks, a connection for each process: a request
and three descriptors go in, the process's id comes out, and at its end its status. Until the connection is
closed a process that has ended keeps its id, as one does that its parent is yet to wait for.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from typing import Any, Final

from batchjobs.process.tuning import tune_imports
from tests.forks import HEADER, Forkable, early

__all__ = ["serve"]

_IMPORTED: Final = (
    "batchjobs.cli.commands.run",
    "batchjobs.api.run",
    "batchjobs.api.execute",
    "batchjobs.server.app",
    "batchjobs.server.engines.tone",
    "numpy",
    "soundfile",
    "soxr",
    "trio_websocket",
)
"""What brings most of what a run and its server import as they go, and starts no thread."""


@dataclass(slots=True)
class _Forks:
    """What was forked and is not forgotten yet."""

    callers: dict[int, socket.socket] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)

    def report(self) -> None:
        """Tell those who asked for them of the processes that have ended."""
        for pid, caller in self.callers.items():
            found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is not None and pid not in self.ended:
                self.ended.add(pid)
                is_code = found.si_code == os.CLD_EXITED
                status = found.si_status << 8 if is_code else found.si_status
                with contextlib.suppress(OSError):
                    caller.sendall(HEADER.pack(status))

    def forget(self, caller: socket.socket) -> None:
        """Let go of a process that nobody asks about any more, or of what was no request."""
        for pid, other in list(self.callers.items()):
            if other is caller:
                del self.callers[pid]
                if pid in self.ended:
                    self.ended.remove(pid)
                    os.waitpid(pid, 0)
        caller.close()


def serve(address: str) -> dict[str, Any] | None:
    """Serve requests until the standard input ends.

    Args:
        address: The Unix socket to listen on.

    Returns:
        In each process that is forked, what it is to become; None at the end.
    """
    forks = _Forks()
    heard, told = socket.socketpair()
    told.setblocking(False)
    signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with (
        socket.socket(socket.AF_UNIX) as listener,
        selectors.DefaultSelector() as selector,
        heard,
        told,
    ):
        listener.bind(address)
        listener.listen(64)
        for source in (listener, heard, sys.stdin.fileno()):
            selector.register(source, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    caller, _ = listener.accept()
                    request, descriptors = _read(caller)
                    pid = os.fork()
                    if not pid:
                        for other in forks.callers.values():
                            other.close()
                        signal.set_wakeup_fd(-1)
                        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                        return request | {"descriptors": descriptors, "caller": caller}
                    for descriptor in descriptors:
                        os.close(descriptor)
                    forks.callers[pid] = caller
                    selector.register(caller, selectors.EVENT_READ)
                elif key.fileobj is heard:
                    heard.recv(4_096)
                    forks.report()
                elif isinstance(key.fileobj, socket.socket):
                    selector.unregister(key.fileobj)
                    forks.forget(key.fileobj)
                else:
                    return None


def _read(caller: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Take a request, and the descriptors of its process's standard streams."""
    header, descriptors, _, _ = socket.recv_fds(caller, HEADER.size, 3)
    (size,) = HEADER.unpack(header)
    with caller.makefile("rb") as file:
        return json.loads(file.read(size)), descriptors


def become(request: dict[str, Any]) -> None:
    """Be the process that was asked for, as its interpreter would have made it."""
    descriptors = request["descriptors"]
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if request["new_session"]:
        os.setsid()
    os.chdir(request["folder"])
    with request["caller"] as caller:
        caller.sendall(HEADER.pack(os.getpid()))
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, f"__{name}__")
        new = open(  # noqa: SIM115  # for as long as the process lasts
            number,
            "w" if number else "r",
            encoding=old.encoding,
            errors=old.errors,
            closefd=False,
        )
        if name == "stderr":
            new.reconfigure(line_buffering=True)
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)
    subprocess.Popen = Forkable  # type: ignore[misc]  # so that its local server is forked, too
    sys.argv = ["", *request["arguments"]]
    if request["has_folder"]:
        sys.path.insert(0, os.getcwd())  # noqa: PTH109  # as text
    _run(request["module"])


def _run(module: str) -> None:
    """Run a program as ``python -m`` does, up to its end; what is imported is left to the system to free."""
    code = 1
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except Exception:
        traceback.print_exc()
    threading._shutdown()  # type: ignore[attr-defined]  # what an interpreter calls at its end
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def main() -> None:
    """Serve, or be one of those that are served."""
    address, own = sys.argv[1], early(os.environ)
    Forkable.find_server = lambda environment: address if early(environment) == own else ""
    sys.path.pop(0)  # the current folder, which is not that of the others
    tune_imports()
    for name in _IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    request = serve(address)
    if request is not None:
        become(request)


if __name__ == "__main__":
    main()
