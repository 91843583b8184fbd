"""trio-websocket as it comes, json and base64: this project's library without this project."""

import base64
import json
import ssl

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

from tests.benchmarks import program
from tests.benchmarks.meter import Meter
from tests.benchmarks.wire import CLOSE, INIT


async def speak(connection: WebSocketConnection, text: str) -> tuple[int, int]:
    """Speak a text; give the messages and bytes of its audio."""
    await connection.send_message(json.dumps(INIT))
    await connection.get_message()
    await connection.send_message(json.dumps({"type": "text", "text": text, "flush": True}))
    await connection.send_message(json.dumps(CLOSE))
    messages, pcm = 0, bytearray()
    while True:
        try:
            message = await connection.get_message()
        except ConnectionClosed:
            return messages, len(pcm)
        pcm += base64.b64decode(json.loads(message)["audio"])
        messages += 1


async def transcribe(connection: WebSocketConnection, chunks: list[bytes]) -> tuple[int, int]:
    """Send a recording; give the transcripts received and the bytes sent."""
    for chunk in chunks:
        message = {"event": "audio_chunk", "data": {"audioBuffer": list(chunk)}}
        await connection.send_message(json.dumps(message))
    for _ in chunks:
        assert json.loads(await connection.get_message())["data"]
    return len(chunks), sum(map(len, chunks))


async def run(arguments: program.Arguments, meter: Meter) -> list[tuple[int, int]]:
    """Run all sessions; give the messages and bytes of each."""
    kind = arguments.kind
    chunks = [] if kind.is_speech else program.wav_chunks()
    context = ssl.create_default_context(cafile=arguments.ca) if arguments.ca else None
    limit = trio.Semaphore(arguments.concurrency)
    counts = []

    async def session() -> None:
        async with limit, open_websocket_url(arguments.target, context) as connection:
            if kind.is_speech:
                counts.append(await speak(connection, kind.text))
            else:
                counts.append(await transcribe(connection, chunks))

    async with trio.open_nursery() as sampler:
        sampler.start_soon(meter.sample_trio)
        async with trio.open_nursery() as sessions:
            for _ in range(arguments.sessions):
                sessions.start_soon(session)
        sampler.cancel_scope.cancel()
    return counts


def main() -> None:
    """Measure."""
    arguments = program.arguments_of(__doc__)
    meter = Meter()
    with meter:
        counts = trio.run(run, arguments, meter)
    messages, audio_bytes = (sum(column) for column in zip(*counts, strict=True))
    program.conclude(meter, arguments, messages, audio_bytes)


if __name__ == "__main__":
    main()
