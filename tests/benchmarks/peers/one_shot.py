"""A script of one session under ``xargs -P``: a process for each."""

import os
import shlex
import subprocess
import sys

from tests.benchmarks import program
from tests.benchmarks.meter import Meter


def main() -> None:
    """Measure all processes; each runs the threads' script with one session."""
    arguments = program.arguments_of(__doc__)
    script = "tests.benchmarks.peers.websocket_client_threads"
    command = [sys.executable, "-m", script, "--url", arguments.url, "--kind", arguments.kind.name]
    command += ["--sessions", "1", "--concurrency", "1", "--ca", arguments.ca]
    line = f"seq {arguments.sessions} | xargs -P {arguments.concurrency} -I@ {shlex.join(command)}"
    meter = Meter(children=True)
    with meter:
        subprocess.run(line, shell=True, check=True, stdout=subprocess.PIPE, env=os.environ)
    # Each process has checked its own session's counts; xargs fails if one does.
    count, kind = arguments.sessions, arguments.kind
    program.conclude(meter, arguments, count * kind.messages, count * kind.bytes)


if __name__ == "__main__":
    main()
