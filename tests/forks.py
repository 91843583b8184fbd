"""Processes that begin as forks of one in which the package is imported: `tests/fork_server.py`."""

import inspect
import json
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

__all__ = ["HEADER", "Early", "ForkServers", "Forkable", "early", "from_scratch"]

ROOT: Final = Path(__file__).parent.parent
HEADER: Final = struct.Struct("!I")
"""How long a request is; a process's id; the status by which it ended."""
_USUAL: Final = subprocess.Popen
_MODULES: Final = (
    "batchjobs",
    "batchjobs.server",
    "tests.faults.broken",
    "tests.faults.struck_book",
)
_MEASURES: Final = "COVERAGE_"
_LOOKED_AT: Final = ("PYTHON", "LC_", "LANG", _MEASURES)

Early = dict[str, str]
"""What of an environment an interpreter looks at before it runs anything."""


def early(environment: Mapping[str, str], *, measured: bool = True) -> Early:
    """Give what an interpreter looks at early; a path to this clone is there anyway.

    Args:
        environment: Of the process.
        measured: Whether its coverage is, if that of others is.
    """
    found = {
        name: text
        for name, text in environment.items()
        if name.startswith(_LOOKED_AT) and (measured or not name.startswith(_MEASURES))
    }
    if set(found.get("PYTHONPATH", "").split(os.pathsep)) <= {"", str(ROOT)}:
        found.pop("PYTHONPATH", None)
    return found


class Forkable(subprocess.Popen[Any]):
    """A process: forked if it is one of the package's own programs, started as ever if not.

    A forked one differs from the other in what was before its first line: the words that ``ps`` shows, and
    which modules are imported.
    """

    find_server: ClassVar[Callable[[Mapping[str, str]], str]] = staticmethod(lambda _: "")
    """Gives the address of the server that forks for such an environment; empty if none does."""

    _caller: socket.socket | None = None

    def _execute_child(self, *given: Any) -> None:
        execute: Callable[..., None] = super()._execute_child  # type: ignore[misc]  # this and what follows are private
        asked = inspect.signature(execute).bind(*given).arguments
        words = _words(asked)
        environment = dict(os.environ if asked["env"] is None else asked["env"])
        server = type(self).find_server(environment) if words else ""
        if not server:
            execute(*given)
            return
        module = words.index("-m") + 1
        request = {
            "module": words[module],
            "arguments": words[module + 1 :],
            "has_folder": "-P" not in words[:module],
            "environment": environment,
            "folder": str(asked["cwd"] or Path.cwd()),
            "new_session": asked["start_new_session"],
        }
        pipes = [asked[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        descriptors = [number if pipe < 0 else pipe for number, pipe in enumerate(pipes)]
        self._caller, self.pid = _ask(server, request, descriptors)
        self._child_created = True
        names = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(asked[name] for name in names))  # type: ignore[attr-defined]

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        """Ask for the status; an id of 0 says that it has not ended."""
        if self._caller is None:
            return super()._try_wait(wait_flags)  # type: ignore[misc,no-any-return]
        if not select.select([self._caller], [], [], 0 if wait_flags else None)[0]:
            return 0, 0
        (status,) = HEADER.unpack(_receive(self._caller))
        self._caller.close()
        return self.pid, status

    def _internal_poll(self, *given: Any, **options: Any) -> int | None:
        if self._caller is None:
            return super()._internal_poll(*given, **options)  # type: ignore[misc,no-any-return]
        if self.returncode is None and self._waitpid_lock.acquire(blocking=False):  # type: ignore[attr-defined]
            try:
                pid, status = self._try_wait(os.WNOHANG)
                if pid:
                    self._handle_exitstatus(status)  # type: ignore[attr-defined]
            finally:
                self._waitpid_lock.release()  # type: ignore[attr-defined]
        return self.returncode


def _words(asked: Mapping[str, Any]) -> list[str]:
    """Give a command's words if it is one that can be forked, with nothing special asked of it."""
    if asked["shell"] or asked["preexec_fn"] or asked["pass_fds"] or asked["executable"]:
        return []
    if not isinstance(asked["args"], Sequence) or isinstance(asked["args"], str | bytes):
        return []
    words = list(map(os.fsdecode, asked["args"]))
    known = [[sys.executable, *options, "-m"] for options in ([], ["-P"])]
    for start in known:
        if words[: len(start)] == start and words[len(start)] in _MODULES:
            return words if asked["cwd"] is None or Path(asked["cwd"]).is_dir() else []
    return []


def _ask(
    server: str, request: Mapping[str, Any], descriptors: Sequence[int]
) -> tuple[socket.socket, int]:
    """Have a process forked; gives the connection for its status, and its id."""
    content = json.dumps(request).encode()
    caller = socket.socket(socket.AF_UNIX)
    caller.connect(server)
    socket.send_fds(caller, [HEADER.pack(len(content))], list(descriptors))
    caller.sendall(content)
    (pid,) = HEADER.unpack(_receive(caller))
    return caller, pid


def _receive(caller: socket.socket) -> bytes:
    answer = caller.recv(HEADER.size, socket.MSG_WAITALL)
    if len(answer) < HEADER.size:
        raise RuntimeError("the fork server died")
    return answer


class ForkServers:
    """Starts a server that forks once it is needed: one for processes whose coverage is measured, or not."""

    def __init__(self) -> None:
        self._environment = dict(os.environ)
        self._lock = threading.Lock()
        self._running: list[tuple[Early, str]] = []
        self._processes = ExitStack()
        self._folder = Path(self._processes.enter_context(tempfile.TemporaryDirectory()))

    def find(self, environment: Mapping[str, str]) -> str:
        """Give the address of the server for an environment; empty if there can be none."""
        wanted = early(environment)
        with self._lock:  # trio starts processes in threads
            for known, address in self._running:
                if known == wanted:
                    return address
            for measured in (True, False):
                if wanted == early(self._environment, measured=measured):
                    self._running.append((wanted, self._start(wanted)))
                    return self._running[-1][1]
        return ""

    def _start(self, wanted: Early) -> str:
        address = str(self._folder / str(len(self._running)))
        others = {
            name: text
            for name, text in self._environment.items()
            if not name.startswith(_LOOKED_AT)
        }
        process = self._processes.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "tests.fork_server", address],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=others | wanted | {"PYTHONPATH": str(ROOT)},
                cwd=ROOT,
            )
        )
        assert process.stdout is not None
        assert process.stdout.readline(), "the server that forks did not start"
        return address

    @contextmanager
    def forking(self) -> Iterator[None]:
        """Have whatever this process starts forked that can be, for as long as the block lasts."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Forkable, "find_server", self.find)
            patch.setattr(subprocess, "Popen", Forkable)
            yield

    def close(self) -> None:
        """End them: they live as long as the pipe to them does."""
        self._processes.close()


@contextmanager
def from_scratch() -> Iterator[None]:
    """Have nothing forked for as long as the block lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", _USUAL)
        yield
