"""A service that speaks over HTTP, on bare sockets of asyncio, and answers as it is told to.

Nothing of batchjobs is in it, nor any library of HTTP: every byte of an answer is its own.
"""

import asyncio
import contextlib
import gzip
import json
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.manners import sound

__all__ = ["PostManner", "PostService", "run_post_service"]

_HEAD_END: Final = b"\r\n\r\n"
_RESET: Final = struct.pack("ii", 1, 0)
_FIELDS: Final = {"voice_id", "text", "stability", "speed", "streaming", "sample_rate", "dialect"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PostManner:
    """How requests are answered.

    Attributes:
        framing: ``chunked``, ``length``, ``close`` (ends with the connection), or ``gzip``, chunked.
        piece_bytes: How much goes out at once.
        share: How much of the audio comes before it breaks off; 1 is all of it.
        breaks: ``end`` leaves out the last chunk, or the rest of the length; ``reset`` resets.
        status: Of an answer that is no audio; 0 for one that is.
        body: What it says.
        headers: Further lines of its head.
        content_type: Of audio.
        is_wav: Whether the audio comes as a WAV whose length is not known beforehand.
        closes: Whether the connection is closed after each answer, without saying so beforehand.
        first_byte_seconds: How long an answer is late.
        is_mute: Whether no answer ever comes.
        times: For how many requests of each text it is so; then all is well.
    """

    framing: str = "chunked"
    piece_bytes: int = 10_001
    share: float = 1.0
    breaks: str = ""
    status: int = 0
    body: bytes = b""
    headers: tuple[str, ...] = ()
    content_type: str = "audio/pcm"
    is_wav: bool = False
    closes: bool = False
    first_byte_seconds: float = 0.0
    is_mute: bool = False
    times: int = 1_000


@dataclass(slots=True)
class PostService:
    """One service, on a port of its own.

    Attributes:
        manner: How requests are answered.
        key: What it takes in `x-api-key`.
        asked: The texts, in order.
        connections: How many were opened.
        complaints: What it would not have taken.
        port: Where it is, once it is up.
    """

    manner: PostManner
    key: str
    asked: list[str] = field(default_factory=list)
    connections: int = 0
    complaints: list[str] = field(default_factory=list)
    port: int = 0
    _times: Counter[str] = field(default_factory=Counter)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(_HEAD_END)
        line, *lines = head.decode("ascii").removesuffix("\r\n\r\n").split("\r\n")
        headers = {k.lower(): v for k, _, v in (each.partition(": ") for each in lines)}
        asked: dict[str, Any] = json.loads(await reader.readexactly(int(headers["content-length"])))
        self._look_at(line, headers, asked)
        text = asked["text"]
        self.asked.append(text)
        self._times[text] += 1
        manner = self.manner if self._times[text] <= self.manner.times else PostManner()
        if manner.is_mute:
            await reader.read()
            return False
        await asyncio.sleep(manner.first_byte_seconds)
        if manner.status:
            fields = (f"Content-Length: {len(manner.body)}", *manner.headers)
            await _send(writer, _head(f"{manner.status} x", *fields), manner.body)
            return not manner.closes
        await self._speak(writer, manner, sound.clip(text, loud=False))
        return not (manner.closes or manner.breaks or manner.framing == "close")

    def _look_at(self, line: str, headers: dict[str, str], asked: dict[str, Any]) -> None:
        method, path, version = line.split(" ")
        if (method, version) != ("POST", "HTTP/1.1") or not path.startswith(
            "/api/v1/text-to-speech/"
        ):
            self.complaints.append(line)
        if headers.get("x-api-key") != self.key or self.key in path:
            self.complaints.append("the key")
        if not headers["content-type"].startswith("application/json"):
            self.complaints.append("the type")
        if not set(asked) <= _FIELDS or asked["sample_rate"] != sound.RATE:
            self.complaints.append(f"the fields {sorted(asked)}")

    async def _speak(self, writer: asyncio.StreamWriter, manner: PostManner, pcm: bytes) -> None:
        whole = _endless_wav(pcm) if manner.is_wav else pcm
        packed = gzip.compress(whole) if manner.framing == "gzip" else whole
        # Cut, it ends behind a whole sample: nothing but HTTP shows that more was to come.
        kept = packed if manner.share == 1 else packed[: int(len(packed) * manner.share) // 2 * 2]
        fields = [f"Content-Type: {manner.content_type}", *manner.headers]
        is_chunked = manner.framing in {"chunked", "gzip"}
        if is_chunked:
            fields.append("Transfer-Encoding: chunked")
        if manner.framing == "gzip":
            fields.append("Content-Encoding: gzip")
        if manner.framing == "length":
            fields.append(f"Content-Length: {len(packed)}")
        await _send(writer, _head("200 OK", *fields))
        for start in range(0, len(kept), manner.piece_bytes):
            piece = kept[start : start + manner.piece_bytes]
            await _send(writer, b"%x\r\n%s\r\n" % (len(piece), piece) if is_chunked else piece)
        if manner.breaks == "reset":
            bare = writer.get_extra_info("socket")
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        elif is_chunked and not manner.breaks:
            await _send(writer, b"0\r\n\r\n")


def _head(status: str, *fields: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *fields]).encode() + _HEAD_END


def _endless_wav(pcm: bytes) -> bytes:
    return sound.wav(b"", sound.RATE)[:40] + b"\xff\xff\xff\xff" + pcm


async def _send(writer: asyncio.StreamWriter, *parts: bytes) -> None:
    for part in parts:
        writer.write(part)
        await writer.drain()


@contextlib.contextmanager
def run_post_service(service: PostService, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve in a thread for as long as the block lasts; gives the base URL."""
    is_up, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve_until_stopped() -> None:
        writers: list[asyncio.StreamWriter] = []

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            with contextlib.suppress(asyncio.CancelledError):
                await service.talk(reader, writer)

        server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
        service.port = server.sockets[0].getsockname()[1]
        is_up.set()
        await stop.wait()
        server.close()
        await asyncio.sleep(0)  # whoever has just been accepted begins
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        # Closing takes a few turns of the loop, which is closed itself then.
        for writer in writers:
            writer.transport.abort()
        closing = (writer.wait_closed() for writer in writers)
        await asyncio.gather(*closing, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve_until_stopped(),))
    thread.start()
    is_up.wait()
    try:
        host = "127.0.0.1" if context is None else "localhost"
        yield f"{'ws' if context is None else 'wss'}://{host}:{service.port}/api/v1"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
