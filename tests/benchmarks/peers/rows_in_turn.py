"""What the asyncio scripts that write files have in common: a manifest's rows, so many at once."""

import asyncio
import csv
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.benchmarks.meter import Meter


async def speak_rows(
    manifest: Path,
    speak: Callable[[dict[str, str]], Awaitable[int]],
    *,
    concurrency: int,
    meter: Meter,
) -> int:
    """Speak all rows of a manifest.

    Args:
        manifest: A CSV file.
        speak: Speaks one row, and gives how many messages came.
        concurrency: How many at once.
        meter: Samples the loop's lag.

    Returns:
        How many messages came.
    """
    room = asyncio.Semaphore(concurrency)

    async def speak_in_turn(row: dict[str, str]) -> int:
        async with room:
            return await speak(row)

    sampler = asyncio.create_task(meter.sample_asyncio())
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    counts = await asyncio.gather(*map(speak_in_turn, rows))
    sampler.cancel()
    return sum(counts)
