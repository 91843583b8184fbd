"""Dask clusters made by hand, as people with several machines make them, and who works for a run."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import trustme

from tests.canary import KEY
from tests.clocks import PATIENCE_SECONDS, until
from tests.whole_runs import environment

__all__ = [
    "HandMade",
    "Owner",
    "Process",
    "Relay",
    "hand_made",
    "issue_papers",
    "processes_of_group",
    "workers_of",
]


_TRACKER_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Process:
    """A line of the table of processes."""

    pid: int
    parent: int
    group: int
    command: str


def list_processes() -> list[Process]:
    """List all processes that are alive; one that has ended and is yet to be waited for is not."""
    columns = ["-o", "pid=", "-o", "ppid=", "-o", "pgid=", "-o", "stat=", "-o", "args="]
    shown = subprocess.run(
        ["ps", "-A", "-ww", *columns], capture_output=True, text=True, check=True
    ).stdout
    found = []
    for line in shown.splitlines():
        pid, parent, group, state, *command = line.split(maxsplit=4)
        if not state.startswith("Z"):
            found.append(Process(int(pid), int(parent), int(group), "".join(command)))
    return found


def workers_of(owner: int) -> list[int]:
    """Give the ids of the processes that open sessions for a run with ``--workers``."""
    return [
        process.pid
        for process in list_processes()
        if process.parent == owner and "spawn_main" in process.command
    ]


def processes_of_group(group: int) -> list[Process]:
    """Give what is alive of a process group, as a terminal makes one for each command."""
    return [process for process in list_processes() if process.group == group]


class HandMade:
    """A scheduler, and workers that somebody started for it.

    Args:
        folder: Where the workers stand, and what all of them say is written.
        more: What their environment has besides the key.
    """

    def __init__(self, folder: Path, **more: str) -> None:
        self._folder = folder
        self._papers: Mapping[str, Path] = {}
        # Their own environment: it has the key, as the owner's has.
        self._environment = environment(BATCHJOBS_LOCAL_KEY=KEY, **more)
        with socket.create_server(("127.0.0.1", 0)) as place:
            self.port = place.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self._scheduler: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        """Have it."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all of it."""
        for process in (self._scheduler, *self._workers):
            if process is not None:
                process.kill()
                process.wait(PATIENCE_SECONDS)

    def seal(self, papers: Mapping[str, Path]) -> None:
        """Have it speak TLS, with what `issue_papers` gives."""
        self._papers = papers
        self.address = f"tls://127.0.0.1:{self.port}"

    @property
    def workers(self) -> list[int]:
        """The workers' process ids, of those that live."""
        self._workers = [process for process in self._workers if process.poll() is None]
        return [process.pid for process in self._workers]

    def start_scheduler(self) -> None:
        """Start the scheduler, and wait until it listens."""
        self._scheduler = self._start("scheduler", "--port", self.port)

        def listens() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return True
            return False

        until(listens)

    def kill_scheduler(self) -> None:
        """Kill the scheduler; its workers end by themselves."""
        assert self._scheduler is not None
        self._scheduler.kill()
        self._scheduler.wait(PATIENCE_SECONDS)

    def start_workers(self, count: int, **more: str) -> None:
        """Start more workers, one session host each; they find the scheduler by themselves."""
        for _ in range(count):
            alone = ["--nthreads", "1", "--no-nanny"]
            self._workers.append(self._start("worker", self.address, *alone, **more))

    def kill_workers(self) -> None:
        """Kill all workers."""
        for process in self._workers:
            process.kill()
            process.wait(PATIENCE_SECONDS)

    def kill_worker(self, pid: int) -> None:
        """Kill one, and start another in its place, as whoever minds them would."""
        os.kill(pid, signal.SIGKILL)
        self.start_workers(1)

    def said(self) -> str:
        """What all of them have written."""
        return (self._folder / "cluster.log").read_text(encoding="utf-8")

    def _start(self, *words: object, **more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", *map(str, words), "--host", "127.0.0.1"]
        command += ["--dashboard-address", "127.0.0.1:0"]
        if self._papers:
            command += ["--protocol", "tls"]
        for name, path in self._papers.items():
            command += [f"--tls-{name}", str(path)]
        with (self._folder / "cluster.log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=self._folder, env=self._environment | more, stdout=log, stderr=log
            )


def issue_papers(folder: Path) -> Mapping[str, Path]:
    """Write a certificate authority and a certificate of it: files by what Dask's options call them."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    ours = authority.issue_cert("127.0.0.1")
    papers = {name: folder / f"{name}.pem" for name in ("ca-file", "cert", "key")}
    authority.cert_pem.write_to_path(papers["ca-file"])
    ours.cert_chain_pems[0].write_to_path(papers["cert"])
    ours.private_key_pem.write_to_path(papers["key"])
    return papers


@contextlib.contextmanager
def hand_made(folder: Path, workers: int, **more: str) -> Iterator[HandMade]:
    """Have a cluster for as long as the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    with HandMade(folder, **more) as cluster:
        cluster.start_scheduler()
        cluster.start_workers(workers)
        yield cluster


class Relay:
    """A way to a port of this machine that can be cut, as a network's is.

    Args:
        port: Where it leads to.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._lines: list[socket.socket] = []
        self._place = socket.create_server(("127.0.0.1", 0))
        self.port = self._place.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        """Have it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._place.shutdown(socket.SHUT_RDWR)  # or else it goes on to accept
        self._threads[0].join()
        self.cut()
        for thread in self._threads:
            thread.join()
        for line in (self._place, *self._lines):
            line.close()

    def cut(self) -> None:
        """Cut what goes through it; whoever comes again gets through."""
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._place.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._lines += [near, far]
                for pair in ((near, far), (far, near)):
                    self._threads.append(threading.Thread(target=_pass_on, args=pair))
                    self._threads[-1].start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while content := source.recv(65_536):
            target.sendall(content)
    for line in (source, target):
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


class Owner:
    """A run's own process, and whoever else it starts, in a process group of their own.

    Args:
        home: Where its command is typed.
        words: What is typed after ``batchjobs run``.
        program: What is run in the place of ``batchjobs``.
        more: What its environment has besides the key.
    """

    def __init__(
        self, home: Path, *words: object, program: Sequence[str] = ("batchjobs",), **more: str
    ) -> None:
        self._errors = home / "stderr"
        command = [sys.executable, "-m", *program, "run", *map(str, words)]
        with self._errors.open("ab") as errors, (home / "stdout").open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=home,
                env=environment(BATCHJOBS_LOCAL_KEY=KEY, **more),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        """Have it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing of it behind, whatever went wrong."""
        for process in processes_of_group(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE_SECONDS)

    @property
    def code(self) -> int | None:
        """Its exit code; None while it lives."""
        return self._process.poll()

    def wait(self) -> int:
        """Wait for its end; gives the exit code."""
        return self._process.wait(PATIENCE_SECONDS)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to it alone."""
        self._process.send_signal(number)

    def press_ctrl_c(self) -> None:
        """Send SIGINT to all of them."""
        os.killpg(self.pid, signal.SIGINT)

    def left(self) -> list[str]:
        """What lives of it and of what it has started, a moment after its end.

        Python's tracker of resources ends as it sees that nobody needs it.
        """
        deadline = time.monotonic() + _TRACKER_SECONDS
        while (living := processes_of_group(self.pid)) and time.monotonic() < deadline:
            time.sleep(0.02)
        return [process.command for process in living]

    def said(self) -> str:
        """What it has written to its standard error."""
        return self._errors.read_text(encoding="utf-8")
