"""A local server on a real socket, with engines of the tests, and a client of few words."""

import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from batchjobs.errors import EngineError
from batchjobs.jobs import SpeechSettings
from batchjobs.protocol import codec, parsing
from batchjobs.protocol.messages import Audio, Message, Ready
from batchjobs.server.app import serve
from batchjobs.server.engines.interface import Recogniser
from batchjobs.server.faults import parse_fault
from batchjobs.server.settings import ServerSettings

TOKEN = "a/key+with=signs&%"

# Diacritics, Arabic-Indic digits, tatweel, a joiner and a non-joiner, marks of direction, Latin.
ARABIC = "مَرْحَبًا بِكُمْ، الرقم \u0663\u066b\u0665 في \u200fAPI\u200f جـــديد نمی\u200cشود لـ\u200d؟"


class Parrot:
    """Speaks a text as its UTF-16 code units, one a sample: what comes is what was asked."""

    def __init__(self) -> None:
        self.spoken: list[str] = []
        self.settings: list[SpeechSettings] = []
        self.stopped = threading.Event()

    def synthesise(self, text: str, settings: SpeechSettings) -> Iterator[bytes]:
        """Speak; two texts are poison, one never ends."""
        self.spoken.append(text)
        self.settings.append(settings)
        if text == "poison":
            raise EngineError("the parrot is unwell")
        if text == "bug":
            raise ZeroDivisionError
        try:
            for _ in itertools.count() if text == "endless" else range(1):
                yield text.encode("utf-16-le")
        finally:
            self.stopped.set()

    def close(self) -> None:
        """Nothing to give back."""


class ParrotEar:
    """Hears those samples as text again."""

    def __init__(self) -> None:
        self.closed = 0

    def start(self) -> "ParrotEarStream":
        """Begin a session."""
        return ParrotEarStream(self)

    def close(self) -> None:
        """Nothing to give back."""


class ParrotEarStream:
    """One session's hearing."""

    def __init__(self, ear: ParrotEar) -> None:
        self._ear = ear
        self._heard = b""

    def accept(self, pcm: bytes, sample_rate: int) -> str:
        """Hear more; the sample rate 8,000 is poison, 8,001 a bug."""
        if sample_rate == 8_000:
            raise EngineError("the parrot is unwell")
        if sample_rate == 8_001:
            raise ZeroDivisionError
        self._heard += pcm
        return self._heard.decode("utf-16-le", "ignore")

    def close(self) -> None:
        """Count it."""
        self._ear.closed += 1


class Place:
    """A running server and its engines."""

    def __init__(self, base_url: str, parrot: Parrot, ear: ParrotEar) -> None:
        self.base_url = base_url
        self.port = int(base_url.rpartition(":")[2].partition("/")[0])
        self.parrot = parrot
        self.ear = ear

    @asynccontextmanager
    async def connect(
        self,
        path: str = "text-to-speech?x-api-key=a%2Fkey%2Bwith%3Dsigns%26%25",
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> AsyncIterator[WebSocketConnection]:
        """Open a WebSocket, by default one for speech with the key in its query.

        A path that begins with a slash is not below ``websocket/``. On a stream of our own: the library leaves its socket open if the server closes first.
        """
        host = self.base_url.removeprefix("ws://").rpartition(":")[0].strip("[]")
        async with (
            await trio.open_tcp_stream(host, self.port) as stream,
            trio.open_nursery() as nursery,
        ):
            connection = await wrap_client_stream(
                nursery,
                stream,
                f"localhost:{self.port}",
                f"/api/v1/{path[1:] if path.startswith('/') else f'websocket/{path}'}",
                extra_headers=headers or [],
            )
            yield connection
            with trio.move_on_after(5):
                await connection.aclose()
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[WebSocketConnection]:
        """Open a WebSocket for transcription with the key in its header."""
        key = (b"X-API-Key", TOKEN.encode())
        async with self.connect("speech-to-text", [key]) as connection:
            yield connection

    @asynccontextmanager
    async def silent(self, path: str) -> AsyncIterator[trio.SocketStream]:
        """Shake hands by hand, and answer nothing that comes then."""
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            await stream.send_all(handshake(f"/api/v1/websocket/{path}"))
            assert (await stream.receive_some(12)).endswith(b" 101")
            yield stream

    async def refused(self, path: str) -> tuple[int, dict[str, str]]:
        """Expect a handshake to be refused, and give its status and headers.

        By hand: the library leaves the socket of a refused handshake open.
        """
        answer = await raw_answer(self.port, handshake(f"/api/v1/websocket/{path}"))
        status, *lines = answer.decode().partition("\r\n\r\n")[0].split("\r\n")
        headers = dict(line.lower().split(": ") for line in lines)
        assert status.split()[1] != "101"
        return int(status.split()[1]), headers


@asynccontextmanager
async def place(
    *, fault: str = "", recogniser: Recogniser | None = None, **settings: Any
) -> AsyncIterator[Place]:
    """Run a server with a parrot for an engine, and another ear if one is given."""
    faults = tuple(parse_fault(spec) for spec in fault.split())
    parrot, ear = Parrot(), ParrotEar()
    async with trio.open_nursery() as nursery:
        base_url = await nursery.start(
            lambda task_status: serve(
                ServerSettings(token=TOKEN, faults=faults, **settings),
                synthesiser=parrot,
                recogniser=recogniser or ear,
                task_status=task_status,
            )
        )
        yield Place(base_url, parrot, ear)
        nursery.cancel_scope.cancel()


INIT = {"type": "initConnection", "voice_id": "ar-najdi-male-2"}


async def send(connection: WebSocketConnection, *forms: object) -> None:
    """Send JSON messages."""
    for form in forms:
        await connection.send_message(orjson.dumps(form).decode())


def text(words: str, *, flush: bool = False, trigger: bool = False) -> dict[str, object]:
    """Write a text message."""
    return {"type": "text", "text": words, "flush": flush, "try_trigger_generation": trigger}


CLOSE = {"type": "closeConnection"}


async def hear(connection: WebSocketConnection) -> Message:
    """Read one TTS reply."""
    return parsing.parse_tts_reply(await connection.get_message())


def code_of(closed: ConnectionClosed) -> int:
    """Give the close code that the client saw."""
    return closed.reason.code if closed.reason else 0


async def all_heard(connection: WebSocketConnection) -> tuple[list[Message], int]:
    """Read replies until the server closes, and give its code."""
    heard: list[Message] = []
    while True:
        try:
            heard.append(await hear(connection))
        except ConnectionClosed as closed:
            return heard, code_of(closed)


def words_of(heard: list[Message]) -> str:
    """Understand the parrot."""
    pcm = b"".join(message.pcm for message in heard if isinstance(message, Audio))
    return pcm.decode("utf-16-le")


async def speak(where: Place, *forms: object) -> tuple[list[Message], int]:
    """Run a whole speech session: init, the forms, close."""
    async with where.connect() as connection:
        await send(connection, INIT)
        assert await hear(connection) == Ready()
        await send(connection, *forms, CLOSE)
        return await all_heard(connection)


def chunk(words: str, rate: int = 16_000) -> str:
    """Write an audio chunk that the parrot understands."""
    return codec.encode_audio_chunk(codec.wav_of(words.encode("utf-16-le"), rate)).decode()


async def raw_answer(port: int, request: bytes) -> bytes:
    """Send bytes over TCP and read the answer's head."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(request)
        received = b""
        while b"\r\n\r\n" not in received:
            piece = await stream.receive_some()
            if not piece:
                break
            received += piece
        return received


def handshake(path: str, *, host: str = "localhost", **headers: str) -> bytes:
    """Write a handshake by hand."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


QUERY_KEY = "a%2Fkey%2Bwith%3Dsigns%26%25"
