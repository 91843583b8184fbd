"""`websocket-client` in a pool of threads, json and base64."""

import base64
import json
import ssl
from concurrent.futures import ThreadPoolExecutor

from websocket import WebSocket, create_connection

from tests.benchmarks import program
from tests.benchmarks.meter import Meter
from tests.benchmarks.wire import CLOSE, INIT


def speak(connection: WebSocket, text: str) -> tuple[int, int]:
    """Speak a text; give the messages and bytes of its audio."""
    connection.send(json.dumps(INIT))
    connection.recv()
    connection.send(json.dumps({"type": "text", "text": text, "flush": True}))
    connection.send(json.dumps(CLOSE))
    messages, pcm = 0, bytearray()
    while message := connection.recv():  # empty at the close
        pcm += base64.b64decode(json.loads(message)["audio"])
        messages += 1
    return messages, len(pcm)


def transcribe(connection: WebSocket, chunks: list[bytes]) -> tuple[int, int]:
    """Send a recording; give the transcripts received and the bytes sent."""
    for chunk in chunks:
        connection.send(json.dumps({"event": "audio_chunk", "data": {"audioBuffer": list(chunk)}}))
    for _ in chunks:
        assert json.loads(connection.recv())["data"]
    return len(chunks), sum(map(len, chunks))


def main() -> None:
    """Measure."""
    arguments = program.arguments_of(__doc__)
    kind = arguments.kind
    chunks = [] if kind.is_speech else program.wav_chunks()
    options = {"context": ssl.create_default_context(cafile=arguments.ca)} if arguments.ca else {}

    def session(_: int) -> tuple[int, int]:
        # Its check of UTF-8 is in Python, and would be all that is measured.
        connection = create_connection(
            arguments.target, timeout=60, sslopt=options, skip_utf8_validation=True
        )
        try:
            if kind.is_speech:
                return speak(connection, kind.text)
            return transcribe(connection, chunks)
        finally:
            connection.close()

    meter = Meter()
    with meter, ThreadPoolExecutor(arguments.concurrency) as pool:
        counts = list(pool.map(session, range(arguments.sessions)))
    messages, audio_bytes = (sum(column) for column in zip(*counts, strict=True))
    program.conclude(meter, arguments, messages, audio_bytes)


if __name__ == "__main__":
    main()
