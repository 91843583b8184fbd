"""Runs a whole command in a fresh process: its wall and processor seconds, its peak memory."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Measured", "bare_environment", "measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a command took and said.

    Attributes:
        wall_seconds: From before its start to after its end.
        cpu_seconds: User and system time of the process and of its children that it waited for.
        peak_bytes: Its largest resident memory.
        output: Its standard output.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


def bare_environment() -> dict[str, str]:
    """Give the environment without keys and settings: no mistake here can buy anything."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("BATCHJOBS_") and not name.endswith("_API_KEY")
    }


def measured(command: Sequence[str]) -> Measured:
    """Run a command to its end, in an environment without keys.

    Until the child has become the command, this process's memory counts as its own: measure from a
    process that holds little.

    Args:
        command: The program and its arguments.

    Raises:
        SystemExit: It failed.
    """
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, env=bare_environment())
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{' '.join(command)} ended with {process.returncode}")
        output.seek(0)
        said = output.read().decode()
    return Measured(
        wall_seconds=wall,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_bytes=usage.ru_maxrss * 1024,
        output=said,
    )
