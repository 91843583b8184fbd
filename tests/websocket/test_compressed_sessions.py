"""Whole sessions with compression: what others read, and what it saves."""

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest
import trio
import websockets.sync.client
import websockets.sync.server

from batchjobs.protocol import codec
from batchjobs.server.app import serve
from batchjobs.server.settings import ServerSettings
from batchjobs.session import dial_tcp
from batchjobs.websocket import hooks
from tests.builders import make_endpoint, transcript_message
from tests.streams import FaultyStream, Peer, Service
from tests.websocket.compression import ARABIC, QUICK, transcribe


def speech_like(seconds: float) -> bytes:
    """Give sound that packs about as speech does: swelling harmonics over some noise, at 16 kHz."""
    dice = np.random.default_rng(7)
    times = np.arange(round(seconds * 16_000)) / 16_000
    pitch = 2 * np.pi * (120 * times + 6 * np.sin(3 * times))
    wave = sum(np.sin(pitch * number) / number for number in range(1, 12))
    wave = wave * np.abs(np.sin(4 * times)) ** 3 + dice.normal(0, 0.01, len(times))
    return bytes((wave * 3_000).astype("<i2").tobytes())


@dataclass
class Streams:
    """Dials, and counts what goes over the wire."""

    seen: list[FaultyStream] = field(default_factory=list)

    async def dial(self, host: str, port: int, context: object) -> FaultyStream:
        """Connect to a real server."""
        self.seen.append(FaultyStream(await dial_tcp(host, port, None)))
        return self.seen[-1]


@contextmanager
def others_server(heard: list[bytes], agreed: list[str]) -> Iterator[str]:
    """Run the server of another library, which answers every chunk with its length."""

    def talk(connection: websockets.sync.server.ServerConnection) -> None:
        assert connection.request is not None
        agreed.append(connection.request.headers.get("Sec-WebSocket-Extensions", ""))
        for message in connection:
            heard.append(bytes(json.loads(message)["data"]["audioBuffer"]))
            connection.send(transcript_message(ARABIC * len(heard)))

    with websockets.sync.server.serve(talk, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


async def test_another_library_s_server_reads_it_and_a_third_of_the_bytes_travel() -> None:
    """Every byte arrives and every answer, and a second of speech takes less than 45 %.

    Compact JSON of a second of speech is 105 kB; 37 kB of it were measured on the wire.
    """
    pcm = speech_like(8.0)
    sizes = {}
    for compresses in (False, True):
        heard: list[bytes] = []
        agreed: list[str] = []
        streams = Streams()
        with others_server(heard, agreed) as url:
            endpoint = make_endpoint(
                streams.dial, QUICK, base_url=url, key="k", compresses=compresses
            )
            assert await transcribe(endpoint, pcm) == ARABIC * 8
        assert b"".join(data[len(codec.wav_of(b"", 16_000)) :] for data in heard) == pcm
        assert ("permessage-deflate" in agreed[0]) is compresses
        sizes[compresses] = len(streams.seen[0].sent)
    assert sizes[True] < 0.45 * sizes[False]


async def test_the_local_server_takes_it_from_another_library_s_client() -> None:
    """Told to, it gives compression to who asks for it, and serves who does not without."""
    sizes = []

    def listen(url: str, compression: str | None) -> str:
        with websockets.sync.client.connect(
            f"{url}/websocket/speech-to-text",
            additional_headers={"x-api-key": "token"},
            compression=compression,
        ) as client:
            assert client.response is not None
            sizes.append(client.response.headers.get("Sec-WebSocket-Extensions"))
            client.send(codec.encode_audio_chunk(codec.wav_of(bytes(32_000), 16_000)).decode())
            return str(client.recv())

    async with trio.open_nursery() as nursery:
        url = await nursery.start(
            serve, ServerSettings(token="token", engine="tone", compresses=True)
        )
        replies = [
            await trio.to_thread.run_sync(listen, url, compression)
            for compression in ("deflate", None)
        ]
        nursery.cancel_scope.cancel()
    assert replies[0] == replies[1]
    assert sizes[0] is not None
    assert sizes[0].startswith("permessage-deflate")
    assert sizes[1] is None


async def listens(peer: Peer) -> None:
    """Answer every chunk."""
    while True:
        await peer.get()
        await peer.send(transcript_message(ARABIC))


async def test_a_service_that_takes_none_is_told_of_once(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    """Sessions go on uncompressed, and one line says so."""
    async with trio.open_nursery() as nursery:
        service = Service(nursery, talk=listens)
        endpoint = make_endpoint(service.dial, QUICK, compresses=True)
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                assert await transcribe(endpoint, bytes(64_000)) == ARABIC
        nursery.cancel_scope.cancel()
    assert caplog.text.count("takes no compression") == 1


async def test_a_library_that_has_changed_goes_on_without(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the hook finds nothing to hold on to, sessions go on uncompressed, and a line says so."""
    monkeypatch.setattr(hooks, "_ATTRIBUTE", "_renamed")
    async with trio.open_nursery() as nursery:
        service = Service(nursery, talk=listens)
        endpoint = make_endpoint(service.dial, QUICK, compresses=True)
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                assert await transcribe(endpoint, bytes(64_000)) == ARABIC
        nursery.cancel_scope.cancel()
    assert caplog.text.count("trio-websocket has changed") == 1
