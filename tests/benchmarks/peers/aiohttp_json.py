"""aiohttp's client, json and base64, so many at once."""

import asyncio
import base64
import json
import ssl

from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector

from tests.benchmarks import program
from tests.benchmarks.meter import Meter
from tests.benchmarks.wire import CLOSE, INIT


async def speak(connection: ClientWebSocketResponse, text: str) -> tuple[int, int]:
    """Speak a text; give the messages and bytes of its audio."""
    await connection.send_json(INIT)
    await connection.receive_json()
    await connection.send_json({"type": "text", "text": text, "flush": True})
    await connection.send_json(CLOSE)
    messages, pcm = 0, bytearray()
    async for message in connection:
        pcm += base64.b64decode(json.loads(message.data)["audio"])
        messages += 1
    return messages, len(pcm)


async def transcribe(connection: ClientWebSocketResponse, chunks: list[bytes]) -> tuple[int, int]:
    """Send a recording; give the transcripts received and the bytes sent."""
    for chunk in chunks:
        await connection.send_json({"event": "audio_chunk", "data": {"audioBuffer": list(chunk)}})
    for _ in chunks:
        assert (await connection.receive_json())["data"]
    return len(chunks), sum(map(len, chunks))


async def run(arguments: program.Arguments, meter: Meter) -> tuple[int, int]:
    """Run all sessions; give all messages and bytes."""
    kind = arguments.kind
    chunks = [] if kind.is_speech else program.wav_chunks()
    context = ssl.create_default_context(cafile=arguments.ca) if arguments.ca else True
    limit = asyncio.Semaphore(arguments.concurrency)

    async with ClientSession(connector=TCPConnector(ssl=context, limit=0)) as client:

        async def session() -> tuple[int, int]:
            async with limit, client.ws_connect(arguments.target) as connection:
                if kind.is_speech:
                    return await speak(connection, kind.text)
                return await transcribe(connection, chunks)

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
