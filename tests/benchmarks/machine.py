"""What the benchmark ran on: processors that are really there, and versions; no names, no paths."""

import datetime as dt
import hashlib
import importlib.metadata
import os
import platform
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

__all__ = ["SPEEDUP_WANTED", "describe_machine", "two_core_speedup"]

SPEEDUP_WANTED: Final = 1.8
_BLOCK: Final = bytes(1 << 20)
_BLOCKS: Final = 60
_TRIES: Final = 3
_PACKAGES: Final = (
    "batchjobs",
    "aiohttp",
    "msgspec",
    "numpy",
    "orjson",
    "pybase64",
    "soundfile",
    "trio",
    "trio-websocket",
    "trustme",
    "websocket-client",
    "websockets",
    "wsproto",
)


def two_core_speedup() -> float:
    """Say how much faster two threads hash than one; 2 with two whole processors to ourselves."""

    def hashing(_: int) -> None:  # without the interpreter's lock
        digest = hashlib.sha256()
        for _ in range(_BLOCKS):
            digest.update(_BLOCK)

    def seconds(threads: int) -> float:
        with ThreadPoolExecutor(threads) as pool:
            began = time.perf_counter()
            list(pool.map(hashing, range(threads)))
            return time.perf_counter() - began

    hashing(0)
    return max(2 * seconds(1) / seconds(2) for _ in range(_TRIES))


def describe_machine() -> dict[str, object]:
    """Describe the machine and what is installed on it."""
    return {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "python": f"{platform.python_implementation()} {sys.version.split()[0]}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "processors": os.cpu_count(),
        "packages": ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
