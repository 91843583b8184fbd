"""The same script with this project's codec: what the library costs, all else being equal."""

import asyncio
import ssl

from websockets.asyncio.client import ClientConnection, connect

from batchjobs.protocol import messages, parsing
from tests.benchmarks import program
from tests.benchmarks.meter import Meter


async def speak(connection: ClientConnection, text: str) -> tuple[int, int]:
    """Speak a text; give the messages and bytes of its audio."""
    await connection.send(messages.encode(messages.InitConnection(voice_id="v")))
    await connection.recv()
    await connection.send(messages.encode(messages.Text(text=text, flush=True)))
    await connection.send(messages.encode(messages.CloseConnection()))
    count, pcm = 0, bytearray()
    async for message in connection:
        audio = parsing.parse_tts_reply(message)
        assert isinstance(audio, messages.Audio)
        pcm += audio.pcm
        count += 1
    return count, len(pcm)


async def transcribe(connection: ClientConnection, chunks: list[bytes]) -> tuple[int, int]:
    """Send a recording; give the transcripts received and the bytes sent."""
    for chunk in chunks:
        await connection.send(messages.encode(messages.AudioChunk(chunk)))
    for _ in chunks:
        assert isinstance(parsing.parse_stt_reply(await connection.recv()), messages.Transcription)
    return len(chunks), sum(map(len, chunks))


async def run(arguments: program.Arguments, meter: Meter) -> tuple[int, int]:
    """Run all sessions; give all messages and bytes."""
    kind = arguments.kind
    chunks = [] if kind.is_speech else program.wav_chunks()
    context = ssl.create_default_context(cafile=arguments.ca) if arguments.ca else None
    limit = asyncio.Semaphore(arguments.concurrency)

    async def session() -> tuple[int, int]:
        async with limit, connect(arguments.target, ssl=context) as connection:
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
        count, audio_bytes = asyncio.run(run(arguments, meter))
    program.conclude(meter, arguments, count, audio_bytes)


if __name__ == "__main__":
    main()
