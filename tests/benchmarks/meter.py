"""The measured program's side: processor time, wall time, peak memory and the loop's lag."""

import gc
import json
import resource
import time
from array import array
from pathlib import Path
from typing import Final, Self

__all__ = ["Meter", "peak_bytes", "resident_bytes"]

_NAP_SECONDS: Final = 0.005


class Meter:
    """Measures the part of a program inside its ``with`` block, and prints what it measured.

    Args:
        children: Whether the processor time of children that have ended counts, too.

    Attributes:
        lags_seconds: By how much each nap of a sampler ended late.
    """

    def __init__(self, *, children: bool = False) -> None:
        self.lags_seconds = array("d")
        self._children = children
        self._cpu_seconds = 0.0
        self._wall_seconds = 0.0
        self._peak_bytes = 0

    def __enter__(self) -> Self:
        """Start; what was imported and prepared before does not count."""
        self._cpu_seconds, self._wall_seconds = -self._used_seconds(), -time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._cpu_seconds += self._used_seconds()
        self._wall_seconds += time.perf_counter()
        self._peak_bytes = peak_bytes()  # looking at what came of it takes memory, too

    async def sample_asyncio(self) -> None:
        """Note how late an asyncio loop wakes this task, until it is cancelled."""
        import asyncio

        while True:
            due = time.perf_counter() + _NAP_SECONDS
            await asyncio.sleep(_NAP_SECONDS)
            self.lags_seconds.append(max(0.0, time.perf_counter() - due))

    async def sample_trio(self) -> None:
        """Note how late a trio loop wakes this task, until it is cancelled."""
        import trio

        while True:
            due = time.perf_counter() + _NAP_SECONDS
            await trio.sleep(_NAP_SECONDS)
            self.lags_seconds.append(max(0.0, time.perf_counter() - due))

    def measured(self) -> dict[str, float | None]:
        """Give what was measured, by the names of the report; no lag without a sampler."""
        lags = sorted(self.lags_seconds)
        return {
            "cpu_seconds": round(self._cpu_seconds, 6),
            "wall_seconds": round(self._wall_seconds, 6),
            "peak_bytes": self._peak_bytes,
            "lag_p50_seconds": _quantile(lags, 0.5),
            "lag_p99_seconds": _quantile(lags, 0.99),
            "lag_max_seconds": _quantile(lags, 1.0),
        }

    def report(self, *, sessions: int, messages: int, bytes: int, **others: object) -> None:  # noqa: A002
        """Print the report: one line of JSON.

        Args:
            sessions: Sessions that came to their end.
            messages: Useful messages received in them: audio, or transcripts.
            bytes: Of audio: samples received, or WAV files sent.
            others: What the case adds.
        """
        counts = {"sessions": sessions, "messages": messages, "bytes": bytes}
        print(json.dumps(self.measured() | counts | others), flush=True)

    def _used_seconds(self) -> float:
        seconds = _cpu_seconds(resource.RUSAGE_SELF)
        return seconds + (_cpu_seconds(resource.RUSAGE_CHILDREN) if self._children else 0.0)


def peak_bytes() -> int:
    """Give the most memory this process ever held.

    Not ``ru_maxrss``, where there is better: Linux carries it over from whoever started us.
    """
    return _status_bytes("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def resident_bytes() -> int:
    """Give the memory this process holds now, its garbage collected."""
    gc.collect()
    return _status_bytes("VmRSS")


def _status_bytes(name: str) -> int:
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)


def _cpu_seconds(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def _quantile(ordered: list[float], share: float) -> float | None:
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 6)
