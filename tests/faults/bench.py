"""A tone server with a ledger, and runs against it: forked, traced by strace, killed by it."""

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.canary import KEY
from tests.clocks import PATIENCE_SECONDS
from tests.whole_runs import environment, run_server

if TYPE_CHECKING:
    from tests.faults.oracle import Case

__all__ = ["Bench", "Forked", "benches", "knock", "strace_is_missing"]

_LONGEST_RUN_SECONDS = PATIENCE_SECONDS
_KNOCK = """GET /nothing HTTP/1.1
Host: {host}
Connection: Upgrade
Upgrade: websocket
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==

"""
_KNOCKS = 3
_SYSTEM_CALLS = {
    "rename": "?rename,?renameat,?renameat2",
    "unlink": "?unlink,?unlinkat",
    "mkdir": "?mkdir,?mkdirat",
    "pwrite64": "?pwrite64,?pwritev",
}
"""Where processors differ: each has one of these."""


def strace_is_missing() -> str:
    """Why strace cannot be used here; empty if it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    inject = ["-e", "trace=mkdir", "-e", f"inject={_SYSTEM_CALLS['mkdir']}:signal=SIGKILL"]
    command = ["strace", "-f", "-qq", "-o", os.devnull, *inject, "mkdir", "/proc/none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != -signal.SIGKILL:
        return f"strace cannot kill here: {done.stderr.strip() or done.returncode}"
    return ""


def knock(base_url: str) -> None:
    """Wait until a server has looked at every connection that was made before this.

    One of a process that was killed may still stand in its queue, with a request, and begins its
    session only then: on a busy machine it was counted as the next run's. It takes as many turns of the
    server's loop as one knock does, and who comes first in a turn is left to chance: so whoever knocks
    does so again.
    """
    address = urlsplit(base_url)
    assert address.hostname is not None
    # A whole handshake, to a path that is not there: what is none holds the server up for a while.
    asked = _KNOCK.format(host=address.netloc).replace("\n", "\r\n").encode()
    for _ in range(_KNOCKS):
        with socket.create_connection(
            (address.hostname, address.port), timeout=PATIENCE_SECONDS
        ) as visitor:
            visitor.sendall(asked)
            assert b"404" in visitor.recv(1_024)


class Ledger:
    """What a server wrote down, line by line as it comes.

    Args:
        path: Where.
        base_url: The server's.
    """

    def __init__(self, path: Path, base_url: str) -> None:
        self._path = path
        self._base_url = base_url
        self._offset = 0
        self._open = 0

    def has_grown(self) -> bool:
        """Whether there is something new."""
        return self._path.exists() and self._path.stat().st_size > self._offset

    def count(self, words: str) -> int:
        """How often these words stand in what is new."""
        if not self.has_grown():
            return 0
        with self._path.open("rb") as file:
            file.seek(self._offset)
            return file.read().count(words.encode())

    def settled(self) -> list[dict[str, object]]:
        """The lines since the last time, once every session that was begun has ended."""
        lines: list[dict[str, object]] = []
        knock(self._base_url)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            if self.has_grown():
                with self._path.open("rb") as file:
                    file.seek(self._offset)
                    content = file.read()
                self._offset += len(content)
                new = [json.loads(line) for line in content.splitlines()]
                self._open += sum(1 if line["event"] == "start" else -1 for line in new)
                lines += new
            elif not self._open:
                return lines
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._open} sessions never ended")
            time.sleep(0.001)


class Bench:
    """A tone server with a ledger, and forked or freshly started runs against it.

    Args:
        folder: Where everything goes.
        base_url: The server's.
    """

    def __init__(self, folder: Path, base_url: str) -> None:
        self.folder = folder
        self.base_url = base_url
        self.ledger = Ledger(folder / "ledger.jsonl", base_url)
        self.environment = {
            name: value
            for name, value in environment(BATCHJOBS_LOCAL_KEY=KEY).items()
            if not name.startswith("COVERAGE_")  # its files would be disk writes to strike, too
        }
        self._numbers = itertools.count(1)
        self._driver = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.driver"],
            env=self.environment,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End the driver."""
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        self._driver.stdin.close()
        self._driver.wait(PATIENCE_SECONDS)
        self._driver.stdout.close()

    def new_folder(self) -> Path:
        """A run folder that nobody has used; its parent is there."""
        folder = self.folder / f"case{next(self._numbers)}" / "run"
        folder.parent.mkdir()
        return folder

    def command(self, case: "Case", *more: object) -> list[str]:
        """The arguments of a run."""
        work = case.work
        given = ["run", work.manifest, "-o", case.folder, "--base-url", self.base_url]
        return [*map(str, given), "-c", str(work.concurrency), "--attempts", "40", *map(str, more)]

    @contextlib.contextmanager
    def forked(
        self,
        case: "Case",
        *more: object,
        arguments: Sequence[str] = (),
        broken: str = "",
        one_thread: bool = False,
        die_at: int = 0,
        gate: Path | None = None,
        stdout: Path | None = None,
    ) -> Iterator["Forked"]:
        """Start a run in a process forked from one that has imported everything already.

        Args:
            case: Whose folder.
            more: Arguments of the run.
            arguments: Those of another command, in place of a run's.
            broken: A mistake for it to make.
            one_thread: Whether its main thread does what its threads do.
            die_at: At which change of the disk it kills itself; 0 is never.
            gate: What it waits for before it begins.
            stdout: Where its output goes.
        """
        request = {
            "arguments": list(arguments) or self.command(case, *(more or ("-q",))),
            "cwd": str(self.folder),
            "broken": broken,
            "one_thread": one_thread,
            "die_at": die_at,
            "gate": str(gate or ""),
            "stdout": str(stdout or ""),
            "stderr": str(case.folder.parent / "stderr"),
        }
        pid = int(str(self._exchange(request)["pid"]))
        child = Forked(self, pid)
        timer = threading.Timer(_LONGEST_RUN_SECONDS, child.give_up)
        timer.start()
        try:
            yield child
        finally:
            timer.cancel()
            if child.code is None:
                os.kill(pid, signal.SIGKILL)
                self.ended()

    def run(
        self, case: "Case", *, arguments: Sequence[str] = (), broken: str = "", die_at: int = 0
    ) -> int:
        """Run to the end, or to wherever it ends; gives the exit code."""
        with self.forked(case, arguments=arguments, broken=broken, die_at=die_at) as child:
            return child.wait()

    @contextlib.contextmanager
    def strace(
        self,
        case: "Case",
        options: Sequence[str],
        *more: object,
        arguments: Sequence[str] = (),
        broken: str = "",
        one_thread: bool = False,
        stdout: Path | None = None,
    ) -> Iterator["Forked"]:
        """Start a run that strace has hold of from its first moment."""
        gate = case.folder.parent / "gate"
        gate.unlink(missing_ok=True)
        os.mkfifo(gate)
        with self.forked(
            case,
            *more,
            arguments=arguments,
            broken=broken,
            one_thread=one_thread,
            gate=gate,
            stdout=stdout,
        ) as child:
            command = ["strace", "-f", *options, "-p", str(child.pid)]
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
                try:
                    assert strace.stderr is not None
                    said = strace.stderr.readline()
                    if "attached" not in said:
                        raise RuntimeError(f"strace does not attach: {said}")
                    gate.open("wb").close()
                    yield child
                finally:
                    if child.code is None:
                        strace.kill()

    def struck(
        self,
        case: "Case",
        call: str,
        count: int,
        *,
        arguments: Sequence[str] = (),
        broken: str = "",
    ) -> int:
        """Run, and be killed as the `count`-th such call begins; gives the exit code."""
        names = _SYSTEM_CALLS.get(call, call)
        inject = f"inject={names}:signal=SIGKILL:when={count}"
        options = ["-o", os.devnull, "-e", f"trace={names}", "-e", inject]
        with self.strace(
            case, options, arguments=arguments, broken=broken, one_thread=True
        ) as child:
            return child.wait()

    def _exchange(self, request: Mapping[str, object] | None = None) -> dict[str, object]:
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        if request is not None:
            self._driver.stdin.write(json.dumps(request) + "\n")
            self._driver.stdin.flush()
        line = self._driver.stdout.readline()
        if not line:
            raise RuntimeError("the driver died")
        return dict(json.loads(line))

    def ended(self) -> int:
        """Wait for the forked run's end; gives its exit code, negative for a signal."""
        return int(str(self._exchange()["code"]))


class Forked:
    """A run's process.

    Args:
        bench: Whose it is.
        pid: Its id.
    """

    def __init__(self, bench: Bench, pid: int) -> None:
        self._bench = bench
        self.pid = pid
        self.code: int | None = None
        self._hung = False

    def give_up(self) -> None:
        """Kill it, because it takes too long."""
        self._hung = True
        os.kill(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill it."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its end; gives its exit code, negative for a signal."""
        if self.code is None:
            self.code = self._bench.ended()
        if self._hung:
            raise TimeoutError(f"a run took over {_LONGEST_RUN_SECONDS:g} s")
        return self.code


@contextlib.contextmanager
def benches(folder: Path, count: int, *server: object) -> Iterator[list[Bench]]:
    """So many servers, each with its ledger and its driver."""
    with contextlib.ExitStack() as stack:
        made = []
        for number in range(count):
            place = folder / f"bench{number}"
            place.mkdir(parents=True)
            ledger = ("--engine", "tone", "--ledger", place / "ledger.jsonl")
            bench = Bench(place, stack.enter_context(run_server(place, *ledger, *server)))
            stack.callback(bench.close)
            made.append(bench)
        yield made
