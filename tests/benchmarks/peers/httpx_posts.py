"""The script that a user writes where speech comes over HTTP: asyncio `httpx`, one client for all."""

import asyncio

import httpx

from tests.benchmarks import program
from tests.benchmarks.meter import Meter


async def run(arguments: program.Arguments, meter: Meter) -> tuple[int, int]:
    """Run all sessions; give all messages and bytes."""
    kind = arguments.kind
    url = f"{arguments.url.replace('ws', 'http', 1)}/{kind.name}/text-to-speech/m"
    asked = {"voice_id": "v", "text": kind.text, "streaming": True, "sample_rate": 24_000}
    limit = asyncio.Semaphore(arguments.concurrency)

    async def session(client: httpx.AsyncClient) -> int:
        async with limit:
            pcm = bytearray()
            headers = {"x-api-key": program.KEY}
            async with client.stream("POST", url, json=asked, headers=headers) as answer:
                answer.raise_for_status()
                async for part in answer.aiter_bytes():
                    pcm += part
            return len(pcm)

    sampler = asyncio.create_task(meter.sample_asyncio())
    async with httpx.AsyncClient(timeout=60) as client:
        sizes = await asyncio.gather(*(session(client) for _ in range(arguments.sessions)))
    sampler.cancel()
    return sum(sizes) // kind.message_bytes, sum(sizes)


def main() -> None:
    """Measure."""
    arguments = program.arguments_of(__doc__)
    meter = Meter()
    with meter:
        messages, size = asyncio.run(run(arguments, meter))
    program.conclude(meter, arguments, messages, size)


if __name__ == "__main__":
    main()
