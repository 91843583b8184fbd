#!/usr/bin/env bash
# `dask scheduler --host 127.0.0.1 --no-dashboard`, `dask worker tcp://127.0.0.1:PORT`: who can reach them.
#
# One would guess: a scheduler on 127.0.0.1 without a dashboard listens on 127.0.0.1, on its one port; and a
# worker that is given a scheduler on 127.0.0.1 listens there, too. What is not encrypted, and asks nobody for
# a name, stays on the machine.
#
# It is so: the scheduler's port is on 127.0.0.1; its HTTP server, which gives out the workers' addresses, the
# tasks and the logs, runs without the dashboard, too, on 0.0.0.0:8787. The worker listens on all interfaces,
# with its own port, over which whoever reaches it runs code, and with an HTTP server: only its `--host`
# decides, the scheduler's address does not. `--host 127.0.0.1` for each of them
# and `--dashboard-address 127.0.0.1:0` keep all of it at home.
#
# Seen on 2026-11-28 with distributed 2026.8.0 on Linux. Source: this output, by the system's table of sockets.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet distributed==2026.8.0 psutil

cat > "$work/sockets.py" <<'PYTHON'
import subprocess
import sys
import time
from importlib.metadata import version
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil

PORT = "18786"
HOME = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]


def listening(process):
    """Give the addresses on which a process and its children listen."""
    places = set()
    for each in (process, *process.children(recursive=True)):
        for connection in each.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                places.add(f"{connection.laddr.ip}:{connection.laddr.port}")
    return sorted(places)


def sockets_of(scheduler_words, worker_words):
    """Start both, and give what each listens on."""
    dask, quiet = [sys.executable, "-m", "dask"], {"stderr": subprocess.DEVNULL}
    address = f"tcp://127.0.0.1:{PORT}"
    commands = (
        [*dask, "scheduler", "--port", PORT, *scheduler_words],
        [*dask, "worker", address, "--no-nanny", "--nthreads", "1", *worker_words],
    )
    started = [psutil.Popen(command, **quiet) for command in commands]
    try:
        time.sleep(8)
        found = [listening(process) for process in started]
        page = next((place for place in found[0] if not place.endswith(PORT)), None)
        if page is not None:
            try:
                with urlopen(f"http://127.0.0.1:{page.rpartition(':')[2]}/info/main/workers.html") as got:
                    print("  the scheduler's page of workers:", got.status)
            except HTTPError as error:
                print("  the scheduler's page of workers:", error.code)
        return found
    finally:
        for process in started:
            process.kill()
            process.wait()


def main():
    print("distributed", version("distributed"))
    guessed = sockets_of(["--host", "127.0.0.1", "--no-dashboard"], ["--no-dashboard"])
    print("as one would guess: scheduler", guessed[0], "worker", guessed[1])
    told = sockets_of(HOME, HOME)
    print("told for each of them: scheduler", told[0], "worker", told[1])

    def strangers(places):
        return [place for place in places if not place.startswith("127.0.0.1:")]

    expected = {
        "the scheduler's HTTP server is on all interfaces": bool(strangers(guessed[0])),
        "the worker is on all interfaces": bool(strangers(guessed[1])),
        "told, neither is": not strangers(told[0] + told[1]),
    }
    for what, holds in expected.items():
        print("as seen:" if holds else "CHANGED, not so:", what)
    return 0 if all(expected.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
PYTHON
"$work/venv/bin/python" "$work/sockets.py"
