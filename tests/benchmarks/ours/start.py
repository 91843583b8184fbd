"""Measures how long commands take to begin, beyond a bare interpreter's start.

    python -m tests.benchmarks.ours.start --rounds 10

In turns: ``python -c pass``, ``batchjobs --help``, and ``batchjobs run`` of a short manifest until
its first connection comes in. The service is a socket that only listens: what it would say is not
what is measured here.
"""

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.commands import bare_environment, measured
from tests.benchmarks.manifests import write_configuration, write_sentences

_ROWS = 100
_PATIENCE_SECONDS = 30.0


def main() -> None:
    """Measure the three in turns, and report medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--scratch", type=Path)
    given = parser.parse_args()
    bare: list[float] = []
    helped: list[float] = []
    connected: list[float] = []
    with tempfile.TemporaryDirectory(dir=given.scratch) as name:
        for number in range(given.rounds):
            bare.append(measured([sys.executable, "-c", "pass"]).wall_seconds)
            helped.append(measured([sys.executable, "-m", "batchjobs", "--help"]).wall_seconds)
            folder = Path(name) / str(number)
            folder.mkdir()
            connected.append(_first_connection(folder))
    start = statistics.median(bare)
    print(
        json.dumps(
            {
                "python_seconds": round(start, 4),
                "help_extra_seconds": round(statistics.median(helped) - start, 4),
                "first_session_extra_seconds": round(statistics.median(connected) - start, 4),
                "sessions": given.rounds,
            }
        )
    )


def _first_connection(folder: Path) -> float:
    """Start a run, and give the seconds until its first connection is there."""
    manifest, configuration = folder / "manifest.csv", folder / "batchjobs.toml"
    write_sentences(manifest, _ROWS)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(_PATIENCE_SECONDS)
        write_configuration(configuration, f"ws://127.0.0.1:{server.getsockname()[1]}")
        command = [sys.executable, "-m", "batchjobs", "run", str(manifest), "-p", "canned"]
        command += ["-o", str(folder / "run"), "--config", str(configuration)]
        environment = bare_environment() | {"BATCHJOBS_BENCHMARK_KEY": "benchmark"}
        began = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            connection, _ = server.accept()
            seconds = time.perf_counter() - began
            connection.close()
        finally:
            process.kill()
            process.wait()
    return seconds


if __name__ == "__main__":
    main()
