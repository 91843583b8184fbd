"""The script for the newer socket that a user writes: asyncio `websockets`, frames of samples, json."""

import asyncio
import json

from websockets.asyncio.client import ClientConnection, connect

from tests.benchmarks import program
from tests.benchmarks.meter import Meter


async def transcribe(connection: ClientConnection, frames: list[bytes]) -> tuple[int, int]:
    """Send a recording; give the finals received and the bytes sent."""
    for frame in frames:
        await connection.send(frame)
    await connection.send(json.dumps({"type": "CloseStream"}))
    finals: list[str] = []
    words: list[dict[str, object]] = []
    billed = 0.0
    async for message in connection:
        event = json.loads(message)
        if event["type"] == "Results" and event["is_final"]:
            finals.append(event["transcript"])
            words += event["words"]
        elif event["type"] == "Metadata":
            billed = event.get("audio_seconds_billed", 0.0)
    assert words
    assert billed
    return len(finals), sum(map(len, frames))


async def run(arguments: program.Arguments, meter: Meter) -> tuple[int, int]:
    """Run all sessions; give all finals and bytes."""
    frames = program.frames()
    limit = asyncio.Semaphore(arguments.concurrency)

    async def session() -> tuple[int, int]:
        async with limit, connect(arguments.target) as connection:
            return await transcribe(connection, frames)

    sampler = asyncio.create_task(meter.sample_asyncio())
    counts = await asyncio.gather(*(session() for _ in range(arguments.sessions)))
    sampler.cancel()
    return sum(count for count, _ in counts), sum(size for _, size in counts)


def main() -> None:
    """Measure."""
    arguments = program.arguments_of(__doc__)
    meter = Meter()
    with meter:
        messages, audio_bytes = asyncio.run(run(arguments, meter))
    program.conclude(meter, arguments, messages, audio_bytes)


if __name__ == "__main__":
    main()
