"""The script that a user writes: asyncio `websockets`, json and base64, so many at once."""

import asyncio
import base64
import json
import ssl
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.benchmarks import program
from tests.benchmarks.meter import Meter, resident_bytes
from tests.benchmarks.wire import CLOSE, INIT


async def speak(connection: ClientConnection, text: str) -> tuple[int, int]:
    """Speak a text; give the messages and bytes of its audio."""
    await connection.send(json.dumps(INIT))
    await connection.recv()
    await connection.send(json.dumps({"type": "text", "text": text, "flush": True}))
    await connection.send(json.dumps(CLOSE))
    messages, pcm = 0, bytearray()
    async for message in connection:
        pcm += base64.b64decode(json.loads(message)["audio"])
        messages += 1
    return messages, len(pcm)


async def transcribe(connection: ClientConnection, chunks: list[bytes]) -> tuple[int, int]:
    """Send a recording; give the transcripts received and the bytes sent."""
    for chunk in chunks:
        message = {"event": "audio_chunk", "data": {"audioBuffer": list(chunk)}}
        await connection.send(json.dumps(message))
    for _ in chunks:
        assert json.loads(await connection.recv())["data"]
    return len(chunks), sum(map(len, chunks))


async def run(arguments: program.Arguments, meter: Meter) -> tuple[int, int]:
    """Run all sessions; give all messages and bytes."""
    kind = arguments.kind
    chunks = [] if kind.is_speech else program.wav_chunks()
    # One context for all, or, as in the library's docs, none given: it makes one a connection.
    shared = bool(arguments.ca) and not arguments.context_per_connection
    options: dict[str, Any] = {}
    if shared:
        options["ssl"] = ssl.create_default_context(cafile=arguments.ca)
    limit = asyncio.Semaphore(arguments.concurrency)

    async def session() -> tuple[int, int]:
        async with limit, connect(arguments.target, **options) as connection:
            if kind.is_speech:
                return await speak(connection, kind.text)
            return await transcribe(connection, chunks)

    sampler = asyncio.create_task(meter.sample_asyncio())
    counts = await asyncio.gather(*(session() for _ in range(arguments.sessions)))
    sampler.cancel()
    return sum(count for count, _ in counts), sum(size for _, size in counts)


async def hold(arguments: program.Arguments) -> int:
    """Open all sessions and hold them; give the memory that they take in all."""
    context = ssl.create_default_context(cafile=arguments.ca) if arguments.ca else None
    before = resident_bytes()

    async def opened() -> ClientConnection:
        connection = await connect(arguments.target, ssl=context)
        await connection.send(json.dumps(INIT))
        await connection.recv()
        text = {"type": "text", "text": arguments.kind.text, "flush": True}
        await connection.send(json.dumps(text))
        return connection

    limit = asyncio.Semaphore(arguments.concurrency)

    async def in_turn() -> ClientConnection:
        async with limit:
            return await opened()

    connections = await asyncio.gather(*(in_turn() for _ in range(arguments.sessions)))
    held = resident_bytes() - before
    for connection in connections:
        connection.transport.abort()
    return held


def main() -> None:
    """Measure."""
    arguments = program.arguments_of(__doc__)
    meter = Meter()
    if arguments.hold:
        with meter:
            held = asyncio.run(hold(arguments))
        meter.report(sessions=arguments.sessions, messages=0, bytes=0, held_bytes=held)
        return
    with meter:
        messages, audio_bytes = asyncio.run(run(arguments, meter))
    program.conclude(meter, arguments, messages, audio_bytes)


if __name__ == "__main__":
    main()
