"""The local server on real sockets: who gets in, what sessions do, what faults look like."""

import contextlib
import hashlib
import itertools
import math
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from batchjobs import server as package
from batchjobs.errors import ConfigurationError, EngineError, OutputError
from batchjobs.jobs import SpeechSettings
from batchjobs.protocol import codec, messages
from batchjobs.protocol.messages import Audio, Failure, Message, Ready, Transcription
from batchjobs.server.app import serve
from batchjobs.server.faults import parse_fault
from batchjobs.server.settings import ServerSettings
from batchjobs.server.tts_session import TextBuffer

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

        On a stream of our own: the library leaves its socket open if the server closes first.
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
                f"/api/v1/websocket/{path}",
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
async def place(**settings: object) -> AsyncIterator[Place]:
    """Run a server with a parrot for an engine."""
    faults = tuple(parse_fault(spec) for spec in settings.pop("fault", "").split())  # type: ignore[attr-defined]
    parrot, ear = Parrot(), ParrotEar()
    async with trio.open_nursery() as nursery:
        base_url = await nursery.start(
            lambda task_status: serve(
                ServerSettings(token=TOKEN, faults=faults, **settings),  # type: ignore[arg-type]
                synthesiser=parrot,
                recogniser=ear,
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
    return messages.parse_tts_reply(await connection.get_message())


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


async def spoken(where: Place, *forms: object) -> tuple[list[Message], int]:
    """Run a whole speech session: init, the forms, close."""
    async with where.connect() as connection:
        await send(connection, INIT)
        assert await hear(connection) == Ready()
        await send(connection, *forms, CLOSE)
        return await all_heard(connection)


def chunk(words: str, rate: int = 16_000) -> str:
    """Write an audio chunk that the parrot understands."""
    return codec.encode_audio_chunk(codec.wav_of(words.encode("utf-16-le"), rate))


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


# -- getting in --------------------------------------------------------------------------------

QUERY_KEY = "a%2Fkey%2Bwith%3Dsigns%26%25"


@pytest.mark.parametrize("path", ["text-to-speech", "speech-to-text"])
async def test_every_documented_way_to_show_the_key_opens_a_connection(path: str) -> None:
    """Query, token, header and bearer all work, on both paths."""
    ways: list[tuple[str, list[tuple[bytes, bytes]]]] = [
        (f"?x-api-key={QUERY_KEY}", []),
        (f"?token={QUERY_KEY}", []),
        ("", [(b"x-api-key", TOKEN.encode())]),
        ("", [(b"Authorization", b"Bearer " + TOKEN.encode())]),
    ]
    async with place() as where:
        for query, headers in ways:
            async with where.connect(path + query, headers) as connection:
                await connection.ping()


async def test_transcription_without_the_right_key_is_refused_at_the_handshake() -> None:
    """With 401: a wrong key opens nothing there, nor does none."""
    async with place() as where:
        for path in ("speech-to-text?x-api-key=wrong", "speech-to-text", "speech-to-text?token=x"):
            assert (await where.refused(path))[0] == 401


@pytest.mark.parametrize("is_greeting", [True, False])
async def test_speech_with_a_wrong_key_is_told_40101_and_closed(*, is_greeting: bool) -> None:
    """As the documents show, in the query or a header, whether the client initialises or waits."""
    ways: list[tuple[str, list[tuple[bytes, bytes]]]] = [
        ("?x-api-key=wrong", []),
        ("?token=%ff", []),
        ("", [(b"x-api-key", b"wrong")]),
        (f"?x-api-key={QUERY_KEY}", [(b"Authorization", b"Bearer wrong")]),
    ]
    async with place(greeting_seconds=60.0 if is_greeting else 0.01) as where:
        for query, headers in ways:
            async with where.connect("text-to-speech" + query, headers) as connection:
                if is_greeting:
                    with contextlib.suppress(ConnectionClosed):  # it may be told before it speaks
                        await send(
                            connection, INIT | {"x_api_key": TOKEN}, text("أهلا", flush=True)
                        )
                heard, code = await all_heard(connection)
                assert heard == [Failure(code="40101", message="Invalid API key")]
                assert code == 1000
        assert where.parrot.spoken == []


async def test_wrong_keys_take_no_session_s_place() -> None:
    """Not of those that are open, nor of those that may begin in a second, and no fault's count."""
    limits = {
        "greeting_seconds": 0.01,
        "session_limit": 1,
        "sessions_per_second": 0.01,
        "fault": "handshake:503#1",
    }
    async with place(**limits) as where:
        for _ in range(3):
            async with where.connect("text-to-speech?x-api-key=wrong") as connection:
                heard, _ = await all_heard(connection)
                assert heard == [Failure(code="40101", message="Invalid API key")]
        path = f"text-to-speech?x-api-key={QUERY_KEY}"
        assert (await where.refused(path))[0] == 503
    async with place(session_limit=1) as where:
        async with where.silent("text-to-speech?x-api-key=wrong"):
            heard, code = await spoken(where, text("hello", flush=True))
        assert (words_of(heard), code) == ("hello", 1000)


async def test_those_with_a_wrong_key_who_stay_are_few() -> None:
    """They hold the places of the handshake: one more than the limit is cut off at once."""
    path = "text-to-speech?x-api-key=wrong"
    async with (
        place(handshake_limit=2, handshake_seconds=60.0, close_seconds=60.0) as where,
        where.silent(path),
        where.silent(path),
        await trio.open_tcp_stream("127.0.0.1", where.port) as third,
    ):
        assert await third.receive_some() == b""


@pytest.mark.parametrize(
    "times",
    [
        {"handshake_seconds": 0.1, "close_seconds": 60.0},
        {"handshake_seconds": 0.1, "greeting_seconds": 60.0},
        {"greeting_seconds": 0.1, "close_seconds": 0.1},
    ],
)
async def test_those_with_a_wrong_key_who_stay_are_cut_off(times: dict[str, float]) -> None:
    """As soon as a handshake may take no longer, or a close, though they never answer one."""
    async with place(**times) as where, where.silent("text-to-speech?x-api-key=wrong") as stream:
        with trio.fail_after(30), contextlib.suppress(trio.BrokenResourceError):
            while await stream.receive_some():
                pass


async def test_the_key_in_the_first_message_is_enough() -> None:
    """A speech connection without a key in its handshake brings it in ``initConnection``."""
    async with place() as where, where.connect("text-to-speech") as connection:
        await send(connection, INIT | {"x_api_key": TOKEN})
        assert await hear(connection) == Ready()


@pytest.mark.parametrize("keys", [{}, {"x_api_key": ""}, {"x_api_key": "wrong"}])
async def test_a_first_message_without_the_right_key_is_told_40101(keys: dict[str, str]) -> None:
    """The error has the documented code and the connection closes with 1000."""
    async with place() as where, where.connect("text-to-speech") as connection:
        await send(connection, INIT | keys)
        heard, code = await all_heard(connection)
        assert heard == [Failure(code="40101", message="Invalid API key")]
        assert code == 1000


async def test_a_wrong_key_in_the_first_message_spoils_a_right_handshake() -> None:
    """Live clients send the key twice; both have to be right."""
    async with place() as where, where.connect() as connection:
        await send(connection, INIT | {"x_api_key": "wrong"})
        heard, _ = await all_heard(connection)
        assert heard == [Failure(code="40101", message="Invalid API key")]
    async with place() as where, where.connect() as connection:
        await send(connection, INIT | {"x_api_key": TOKEN})
        assert await hear(connection) == Ready()


async def test_a_foreign_host_or_origin_is_refused_with_403() -> None:
    """Web pages and rebound names do not reach the server; an allowed origin does."""
    path = f"/api/v1/websocket/text-to-speech?x-api-key={QUERY_KEY}"
    async with place(allowed_origins=frozenset({"https://ours.example"})) as where:
        ours = f"127.0.0.1:{where.port}"
        answers = [
            await raw_answer(where.port, handshake(path, host="evil.example")),
            await raw_answer(where.port, handshake(path, host=f"127.0.0.1:{where.port + 1}")),
            await raw_answer(where.port, handshake(path, host=ours, Origin="https://evil.example")),
            await raw_answer(where.port, handshake(path, host=ours, Origin="https://ours.example")),
            await raw_answer(where.port, handshake(path, host=f"localhost:{where.port}")),
        ]
    statuses = [answer.split()[1] for answer in answers]
    assert statuses == [b"403", b"403", b"403", b"101", b"101"]


async def test_an_unknown_path_is_404() -> None:
    """Only the two documented paths exist."""
    async with place() as where:
        assert (await where.refused("text-to-text"))[0] == 404


async def test_compression_is_agreed_on_only_where_the_server_was_told_to() -> None:
    """A client that offers permessage-deflate gets a connection without it by default."""
    path = f"/api/v1/websocket/text-to-speech?x-api-key={QUERY_KEY}"
    async with place() as where:
        request = handshake(
            path,
            host=f"127.0.0.1:{where.port}",
            Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits",
        )
        answer = await raw_answer(where.port, request)
    assert answer.startswith(b"HTTP/1.1 101")
    assert b"extensions" not in answer.lower()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        handshake("/", host="xn--\u00e9.example"),
        b"",
    ],
)
async def test_what_is_no_handshake_harms_nobody(request_bytes: bytes) -> None:
    """Garbage, plain HTTP and bad names end their own connection; the next client is served."""
    async with place(handshake_seconds=0.2) as where:
        async with await trio.open_tcp_stream("127.0.0.1", where.port) as stream:
            await stream.send_all(request_bytes)
            await stream.send_eof()
            with contextlib.suppress(trio.BrokenResourceError):
                while await stream.receive_some():
                    pass
        heard, code = await spoken(where, text("hello", flush=True))
        assert (words_of(heard), code) == ("hello", 1000)


@pytest.mark.parametrize("request_bytes", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03", b""])
async def test_what_is_no_handshake_takes_nobodys_place(request_bytes: bytes) -> None:
    """Whoever has gone, or never was a client, does not count among those who still shake hands."""
    async with place(handshake_limit=2, handshake_seconds=20.0) as where:
        with trio.fail_after(10):
            for _ in range(4):
                async with await trio.open_tcp_stream("127.0.0.1", where.port) as stream:
                    await stream.send_all(request_bytes)
                    await stream.send_eof()
                    with contextlib.suppress(trio.BrokenResourceError):
                        while await stream.receive_some():
                            pass
            heard, code = await spoken(where, text("hello", flush=True))
        assert (words_of(heard), code) == ("hello", 1000)


# -- limits ------------------------------------------------------------------------------------


async def test_one_session_more_than_the_limit_is_sent_away_until_one_ends() -> None:
    """At the limit a handshake gets 429 with Retry-After; a place that is free is given again."""
    path = f"text-to-speech?x-api-key={QUERY_KEY}"
    async with place(session_limit=2) as where, where.connect():
        async with where.connect():
            status, headers = await where.refused(path)
            assert (status, headers["retry-after"]) == (429, "1")
        request = handshake(f"/api/v1/websocket/{path}")
        with trio.fail_after(10):  # the place is free once the server has seen the close
            while (await raw_answer(where.port, request)).split()[1] != b"101":
                pass


async def test_more_sessions_a_second_than_allowed_are_told_when_to_come_back() -> None:
    """The burst passes, the next is refused with the seconds to wait."""
    async with place(sessions_per_second=0.01) as where:
        async with where.connect():
            pass
        status, headers = await where.refused(f"text-to-speech?x-api-key={QUERY_KEY}")
        assert status == 429
        assert 90 <= int(headers["retry-after"]) <= 100


async def test_connections_that_never_finish_the_handshake_are_few_and_short() -> None:
    """One more than the limit is cut off at once, the others when their time is up."""
    async with place(handshake_limit=2, handshake_seconds=0.3) as where:
        started = trio.current_time()
        async with (
            await trio.open_tcp_stream("127.0.0.1", where.port) as first,
            await trio.open_tcp_stream("127.0.0.1", where.port) as second,
            await trio.open_tcp_stream("127.0.0.1", where.port) as third,
        ):
            assert await third.receive_some() == b""
            assert trio.current_time() - started < 0.3
            assert await first.receive_some() == b""
            assert await second.receive_some() == b""
            assert trio.current_time() - started >= 0.3
        heard, _ = await spoken(where, text("hello", flush=True))
        assert words_of(heard) == "hello"


async def test_a_speech_client_that_never_initialises_is_sent_away() -> None:
    """An open connection without the first message is a handshake too, and as short."""
    async with (
        place(handshake_seconds=0.05) as where,
        where.connect("text-to-speech") as connection,
    ):
        assert (await all_heard(connection)) == ([], 1001)


async def test_an_idle_session_is_sent_away_and_a_busy_one_is_not() -> None:
    """Silence ends a session that has nothing to do, not one that is still speaking."""
    async with place(idle_seconds=0.05, pace=1.0) as where:
        async with where.connect() as connection:
            await send(connection, INIT)
            assert await all_heard(connection) == ([Ready()], 1001)
        async with where.connect() as connection:
            await send(connection, INIT, text("a" * 4_000, flush=True))
            heard, code = await all_heard(connection)
            assert (words_of(heard), code) == ("a" * 4_000, 1001)
        async with where.listen() as connection:
            assert await all_heard(connection) == ([], 1001)


@pytest.mark.parametrize(("size", "code"), [(999, 1000), (1_000, 1000), (1_001, 1009)])
async def test_a_message_over_the_limit_is_answered_with_1009(size: int, code: int) -> None:
    """The limit itself passes; one more closes the connection, and the client is told why."""
    message = text("", flush=True)
    async with place(message_limit_bytes=1_000) as where, where.connect() as connection:
        await send(connection, INIT)
        await hear(connection)
        missing = size - len(orjson.dumps(message))
        await send(connection, message | {"text": "a" * missing})
        with contextlib.suppress(ConnectionClosed):
            await send(connection, CLOSE)
        heard, seen = await all_heard(connection)
        assert seen == code
        assert words_of(heard) == ("a" * missing if code == 1000 else "")


async def test_a_huge_message_over_the_limit_is_still_told_1009() -> None:
    """What is unread when the server closes does not reset the connection under its last words."""
    async with place(message_limit_bytes=1_000) as where, where.listen() as connection:
        with contextlib.suppress(ConnectionClosed):
            await connection.send_message("a" * 4_000_000)
        with pytest.raises(ConnectionClosed) as caught:
            await connection.get_message()
        assert caught.value.reason is not None
        assert caught.value.reason.code == 1009


@pytest.mark.parametrize("size", [9, 10, 11])
async def test_a_text_over_the_limit_is_told_40001(size: int) -> None:
    """Characters are counted over the whole session; the limit itself is spoken."""
    async with place(text_limit_characters=10) as where:
        heard, code = await spoken(where, text("مرحبا"), text("a" * (size - 5), flush=True))
        if size <= 10:
            assert (words_of(heard), code) == ("مرحبا" + "a" * (size - 5), 1000)
        else:
            failure = Failure(code="40001", message="text longer than 10 characters")
            assert (heard, code) == ([failure], 1008)


@pytest.mark.parametrize("samples", [15_999, 16_000, 16_001])
async def test_a_recording_over_the_limit_is_told_so(samples: int) -> None:
    """Seconds are counted over the whole session; the limit itself is heard."""
    async with place(audio_limit_seconds=1.0) as where, where.listen() as connection:
        await connection.send_message(chunk("a" * 8_000))
        await connection.get_message()
        await connection.send_message(chunk("b" * (samples - 8_000)))
        reply = messages.parse_stt_reply(await connection.get_message())
        if samples <= 16_000:
            assert reply == Transcription("a" * 8_000 + "b" * (samples - 8_000))
        else:
            assert reply == messages.TranscriptionError("audio longer than 1 seconds")
            assert await all_heard(connection) == ([], 1008)


# -- text to speech ----------------------------------------------------------------------------


async def test_what_is_flushed_is_spoken_exactly_and_close_drains_it() -> None:
    """All audio of the text comes before the server's close with 1000, in half seconds."""
    words = ARABIC * 1_000
    async with place() as where:
        heard, code = await spoken(where, text(words[:7]), text(words[7:], flush=True))
        assert (words_of(heard), code) == (words, 1000)
        assert where.parrot.spoken == [words]
        pieces = [message for message in heard if isinstance(message, Audio)]
        assert {len(piece.pcm) for piece in pieces[:-1]} == {24_000}
        assert {piece.sample_rate for piece in pieces} == {24_000}


async def test_the_settings_reach_the_engine_and_the_rate_every_message() -> None:
    """Voice, model, speed and output format are the client's."""
    init = INIT | {
        "model_id": "faseeh-v1-preview",
        "voice_settings": {"stability": 0.1, "similarity_boost": 0.2, "speed": 1.2},
        "output_format": "pcm_8000",
    }
    async with place() as where, where.connect() as connection:
        await send(connection, init, text("hi", flush=True))
        assert await hear(connection) == Ready()
        assert await hear(connection) == Audio(pcm="hi".encode("utf-16-le"), sample_rate=8_000)
        assert where.parrot.settings == [
            SpeechSettings(
                voice_id="ar-najdi-male-2",
                model_id="faseeh-v1-preview",
                stability=0.1,
                similarity_boost=0.2,
                speed=1.2,
                output_format="pcm_8000",
            )
        ]


async def test_nothing_is_spoken_before_it_is_asked_for() -> None:
    """Text without a flush waits; ``clear`` forgets it; an empty flush speaks what is there."""
    async with place() as where, where.connect() as connection:
        await send(connection, INIT, text("one. two. "), {"type": "clear"})
        await send(connection, text("three"), text("", flush=True), text("", flush=True))
        assert await hear(connection) == Ready()
        assert words_of([await hear(connection)]) == "three"
        await send(connection, CLOSE)
        assert await all_heard(connection) == ([], 1000)
        assert where.parrot.spoken == ["three"]


async def test_closing_speaks_what_was_not_flushed() -> None:
    """Text that the client has sent and paid for is not thrown away."""
    async with place() as where:
        heard, code = await spoken(where, text("one "), text("two"))
        assert (words_of(heard), code) == ("one two", 1000)


async def test_a_trigger_speaks_whole_sentences_and_keeps_the_rest() -> None:
    """What follows a sentence's end waits for the text that comes; no character is lost or moved."""
    async with place(trigger_seconds=60.0) as where:
        async with where.connect() as connection:
            await send(connection, INIT, text("كيف حالك", trigger=True))
            await send(connection, text("؟ أنا بخ", trigger=True))
            first = [await hear(connection), await hear(connection)]
            await send(connection, text("ير. 3.5", trigger=True), text(" km", flush=True), CLOSE)
            rest, _ = await all_heard(connection)
        assert words_of(first + rest) == "كيف حالك؟ أنا بخير. 3.5 km"
        assert where.parrot.spoken == ["كيف حالك؟", " أنا بخير.", " 3.5 km"]


@pytest.mark.parametrize("words", ["مرحبا بك في فصيح ", ARABIC + " جُمْلَةٌ. ثُمَّ", "no end", "End."])
async def test_a_trigger_is_heard_to_the_end_without_a_flush(words: str) -> None:
    """A client that has sent its whole text so, and sends nothing more, gets the whole of it."""
    async with place(trigger_seconds=0.01) as where, where.connect() as connection:
        await send(connection, INIT, text(words, trigger=True))
        heard = [await hear(connection)]
        while words_of(heard) != words:
            heard.append(await hear(connection))
        await send(connection, text("وداعا", trigger=True))
        heard.append(await hear(connection))
        assert words_of(heard) == words + "وداعا"


async def test_words_that_come_one_by_one_are_spoken_together() -> None:
    """A trigger on each of them, as of a model that writes, cuts no sentence and no word."""
    words = ["إِنَّ", " الـــ", "كِتا", "بَ ", "هُنا", ". ", "وَ", "هُ", "ناك"]
    async with place(trigger_seconds=60.0) as where:
        _, code = await spoken(where, *(text(word, trigger=True) for word in words))
        assert where.parrot.spoken == ["إِنَّ الـــكِتابَ هُنا.", " وَهُناك"]
        assert code == 1000


async def test_what_a_trigger_left_can_be_cleared() -> None:
    """``clear`` forgets it before it is spoken; nothing is due then."""
    async with place(trigger_seconds=60.0) as where:
        heard, _ = await spoken(
            where, text("one. two", trigger=True), {"type": "clear"}, text("three", flush=True)
        )
        assert words_of(heard) == "one.three"
        buffer = TextBuffer()
        assert buffer.add(messages.Text(text="a", try_trigger_generation=True)) == ""
        assert buffer.is_due
        buffer.clear()
        assert not buffer.is_due
        assert buffer.add(messages.Text(text="c. ", try_trigger_generation=True)) == "c."
        assert not buffer.is_due
        assert buffer.rest() == " "
        assert buffer.add(messages.Text(text="b")) == ""
        assert not buffer.is_due


async def test_text_without_any_flag_waits_for_a_flush_or_the_close() -> None:
    """As the documents say, also of a client that is idle: it is sent away, and nothing is spoken."""
    async with place(idle_seconds=0.05, trigger_seconds=0.01) as where:
        async with where.connect() as connection:
            with contextlib.suppress(ConnectionClosed):  # on a busy machine it is idle before that
                await send(connection, INIT, text("مرحبا بك في فصيح "))
            assert await all_heard(connection) == ([Ready()], 1001)
        assert where.parrot.spoken == []


def test_much_text_is_spoken_without_being_asked_for() -> None:
    """Past 2,000 characters whole sentences go, or all there is if there are none."""
    buffer = TextBuffer()
    sentence = "جملة. "
    assert buffer.add(messages.Text(text=sentence * 333 + "a")) == ""
    assert buffer.add(messages.Text(text="b")) == (sentence * 333).rstrip()
    assert buffer.rest() == " ab"
    assert buffer.add(messages.Text(text="a" * 1_999)) == ""
    assert buffer.add(messages.Text(text="b")) == "a" * 1_999 + "b"
    assert buffer.rest() == ""


async def test_text_is_taken_while_other_text_is_spoken() -> None:
    """Receiving does not wait for the engine: sixty utterances queue behind a paced one."""
    async with place(pace=4.0) as where, where.connect() as connection:
        await send(connection, INIT, text("a" * 24_000, flush=True))
        assert await hear(connection) == Ready()
        await hear(connection)
        for _ in range(50):
            await send(connection, text("b", flush=True))
        await connection.ping()
        await send(connection, CLOSE)
        heard, code = await all_heard(connection)
        assert words_of(heard).endswith("a" + "b" * 50)
        assert code == 1000


async def test_paced_audio_comes_no_faster_than_its_pace() -> None:
    """At 10 times real time two seconds of audio take at least the time of all but the last."""
    async with place(pace=10.0) as where:
        started = trio.current_time()
        heard, _ = await spoken(where, text("a" * 48_000, flush=True))
        assert len(heard) == 4
        assert trio.current_time() - started >= 0.15


async def test_a_client_that_leaves_stops_the_engine() -> None:
    """Nothing is spoken for nobody: the engine's iterator is closed, and the server goes on."""
    async with place() as where:
        async with where.connect() as connection:
            await send(connection, INIT, text("endless", flush=True))
            await hear(connection)
            await hear(connection)
        await trio.to_thread.run_sync(where.parrot.stopped.wait, 10)
        assert where.parrot.stopped.is_set()
        heard, _ = await spoken(where, text("hello", flush=True))
        assert words_of(heard) == "hello"


async def test_a_client_that_takes_nothing_is_given_up() -> None:
    """A peer that stops reading holds its place for the idle time and no longer."""
    path = f"/api/v1/websocket/text-to-speech?x-api-key={QUERY_KEY}"
    async with (
        place(idle_seconds=0.1, session_limit=1) as where,
        await trio.open_tcp_stream("127.0.0.1", where.port) as stream,
    ):
        await stream.send_all(handshake(path, host="localhost"))
        await stream.receive_some()
        for form in (INIT, text("endless", flush=True)):
            payload = orjson.dumps(form)
            await stream.send_all(b"\x81" + bytes([128 + len(payload)]) + bytes(4) + payload)
        await trio.to_thread.run_sync(where.parrot.stopped.wait, 10)
        assert where.parrot.stopped.is_set()


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (INIT | {"voice_id": " "}, "voice_id is empty"),
        ({"type": "initConnection"}, "voice_id"),
        (INIT | {"voice_settings": {"speed": 0.69}}, "speed has to be 0.7 to 1.2"),
        (INIT | {"voice_settings": {"speed": 1.21}}, "speed has to be 0.7 to 1.2"),
        (INIT | {"voice_settings": {"speed": "1"}}, "speed"),
        (INIT | {"output_format": "mp3_44100"}, "pcm_16000, pcm_22050, pcm_24000, pcm_8000"),
        (text("too early"), "while connected"),
        (CLOSE, "while connected"),
        ({"type": "surprise"}, "surprise"),
        ([], "not a text-to-speech message"),
    ],
)
async def test_a_bad_first_message_is_told_40001(form: object, said: str) -> None:
    """The error says what is wrong, then the connection closes with 1008."""
    async with place() as where, where.connect() as connection:
        await send(connection, form)
        heard, code = await all_heard(connection)
        assert [failure.code for failure in heard if isinstance(failure, Failure)] == ["40001"]
        assert said in str(heard)
        assert code == 1008


@pytest.mark.parametrize(
    "payload",
    [
        "not JSON",
        '{"type":"text"}',
        '{"type":"text","text":5}',
        '{"type":"text","text":"a","x":' + "[" * 50_000,
        orjson.dumps(INIT).decode(),
        b"\xff\xfe",
    ],
)
async def test_a_bad_message_ends_its_session_and_no_other(payload: str | bytes) -> None:
    """Garbage, wrong types, deep nesting and wrong order get 40001 in the midst of a session."""
    async with place() as where, where.connect() as good:
        await send(good, INIT)
        await hear(good)
        async with where.connect() as bad:
            await send(bad, INIT)
            await hear(bad)
            await bad.send_message(payload)
            heard, code = await all_heard(bad)
            assert [failure.code for failure in heard if isinstance(failure, Failure)] == ["40001"]
            assert code == 1008
        await send(good, text("still here", flush=True), CLOSE)
        assert words_of((await all_heard(good))[0]) == "still here"


async def test_a_bad_message_while_audio_flows_leaves_the_frames_whole() -> None:
    """The error comes as a whole message after whole audio messages, and is the last."""
    async with place() as where, where.connect() as connection:
        await send(connection, INIT, text("endless", flush=True))
        await hear(connection)
        await connection.send_message("garbage")
        heard, code = await all_heard(connection)
        assert isinstance(heard[-1], Failure)
        assert all(isinstance(message, Audio) for message in heard[:-1])
        assert code == 1008


@pytest.mark.parametrize("poison", ["poison", "bug"])
async def test_an_engine_that_fails_costs_one_session(
    poison: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The client is told 50001, the log says why, the next session is served."""
    async with place() as where:
        heard, code = await spoken(where, text(poison, flush=True))
        assert heard == [Failure(code="50001", message="the engine failed")]
        assert code == 1011
        assert "a text was not spoken" in caplog.text
        assert words_of((await spoken(where, text("hello", flush=True)))[0]) == "hello"


# -- speech to text ----------------------------------------------------------------------------


async def test_every_chunk_is_answered_with_the_whole_transcript_so_far() -> None:
    """One transcription a chunk, cumulative; WAV first, then WAV or raw samples."""
    words = [ARABIC, "tail ـــ ‌‍", "end"]
    async with place() as where:
        async with where.listen() as connection:
            await connection.send_message(chunk(words[0]))
            await connection.send_message(chunk(words[1]))
            await connection.send_message(
                codec.encode_audio_chunk(words[2].encode("utf-16-le")),
            )
            heard = [orjson.loads(await connection.get_message()) for _ in range(3)]
        assert heard == [
            {"event": "transcription", "data": words[0]},
            {"event": "transcription", "data": words[0] + words[1]},
            {"event": "transcription", "data": "".join(words)},
        ]
        await _closed(where, 1)


async def _closed(where: Place, count: int) -> None:
    with trio.fail_after(10):
        while where.ear.closed < count:  # noqa: ASYNC110 - closed in a thread of the server
            await trio.sleep(0.001)


async def test_the_compatibility_form_is_heard_and_the_unknown_ignored() -> None:
    """``{"audioBuffer": […]}`` is a chunk; an event of another name is none, and no error."""
    async with place() as where, where.listen() as connection:
        data = list(codec.wav_of("hi".encode("utf-16-le"), 16_000))
        await send(connection, {"event": "hello", "data": {"audioBuffer": []}})
        await send(connection, {"event": "hello", "data": {"audioBuffer": []}})
        await send(connection, {"audioBuffer": data})
        assert messages.parse_stt_reply(await connection.get_message()) == Transcription("hi")


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (codec.encode_audio_chunk(b"\1\2"), "missing RIFF header"),
        (codec.encode_audio_chunk(b""), "missing RIFF header"),
        (codec.encode_audio_chunk(b"RIFF\0\0\0\0AVI "), "not WAVE"),
        (
            codec.encode_audio_chunk(
                codec.wav_of(b"", 16_000)[:22] + struct.pack("<H", 2) + codec.wav_of(b"", 1)[24:]
            ),
            "2 channels",
        ),
        ("garbage", "not an audio chunk"),
        ('{"audioBuffer":[256]}', "not an audio chunk"),
    ],
)
async def test_bad_audio_is_told_in_words(payload: str, said: str) -> None:
    """A ``transcription_error`` says what is wrong, then the connection closes with 1008."""
    async with place() as where, where.listen() as connection:
        await connection.send_message(payload)
        reply = orjson.loads(await connection.get_message())
        assert reply["event"] == "transcription_error"
        assert said in reply["data"]
        assert await all_heard(connection) == ([], 1008)


@pytest.mark.parametrize("rate", [8_000, 8_001])
async def test_a_recogniser_that_fails_costs_one_session(
    rate: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The client gets a ``transcription_error``, the log the reason, the next session its text."""
    async with place() as where:
        async with where.listen() as connection:
            await connection.send_message(chunk("hi", rate))
            reply = messages.parse_stt_reply(await connection.get_message())
            assert reply == messages.TranscriptionError("the engine failed")
            assert await all_heard(connection) == ([], 1011)
        assert "a recording was not understood" in caplog.text
        async with where.listen() as connection:
            await connection.send_message(chunk("hi"))
            assert "hi" in await connection.get_message()


# -- faults on the wire ------------------------------------------------------------------------


async def struck(
    where: Place, words: str = "hello, parrot"
) -> tuple[list[Message], int, list[str]]:
    """Run a speech session that may break; also give what was not JSON."""
    heard: list[Message] = []
    garbage: list[str] = []
    async with where.connect() as connection:
        with contextlib.suppress(ConnectionClosed):
            await send(connection, INIT)
            heard.append(await hear(connection))
            await send(connection, text(words, flush=True), CLOSE)
        while True:
            try:
                payload = await connection.get_message()
            except ConnectionClosed as closed:
                return heard, code_of(closed), garbage
            try:
                heard.append(messages.parse_tts_reply(payload))
            except messages.InvalidMessageError:
                garbage.append(str(payload))


@pytest.mark.parametrize(
    ("fault", "words", "code"),
    [
        ("drop", "hello,", 1006),
        ("close:1012", "hello,", 1012),
        ("truncate", "hello", 1000),
        ("error:40201", "hello,", 1000),
        ("slow:5", "hello, parrot", 1000),
        ("garbage", "", 1000),
        ("silence", "\0" * 13, 1000),
    ],
)
async def test_a_fault_of_speech_is_seen_by_the_client(fault: str, words: str, code: int) -> None:
    """Each breaks the audio where it says, and ends as it says."""
    async with place(fault=fault) as where:
        heard, seen, garbage = await struck(where)
        assert (words_of(heard), seen, bool(garbage)) == (words, code, fault == "garbage")


async def test_an_error_s_code_may_be_a_string_on_the_wire() -> None:
    """``error-string`` differs from ``error`` in nothing but the quotes."""
    for fault, form in (("error:50202", b"50202"), ("error-string:50202", b'"50202"')):
        async with place(fault=fault) as where, where.connect() as connection:
            await send(connection, INIT, text("hello", flush=True))
            await connection.get_message()
            await connection.get_message()
            payload = await connection.get_message()
            assert b'"errorCode":' + form in str(payload).encode()


async def test_half_a_sample_and_another_rate_are_seen_by_the_client() -> None:
    """The audio has an odd length, or two rates."""
    async with place(fault="half-sample") as where:
        heard, code = await spoken(where, text("hello", flush=True))
        assert (sum(len(m.pcm) for m in heard if isinstance(m, Audio)), code) == (11, 1000)
    async with place(fault="rate-change") as where:
        heard, _ = await spoken(where, text("hello", flush=True))
        assert [m.sample_rate for m in heard if isinstance(m, Audio)] == [24_000, 44_100]


@pytest.mark.parametrize(("fault", "replies"), [("mute", 0), ("silent", 1), ("hang", 2)])
async def test_a_silent_server_keeps_the_connection(fault: str, replies: int) -> None:
    """After its last reply nothing comes, not even a close, but the connection lives."""
    async with place(fault=fault, idle_seconds=0.05) as where, where.connect() as connection:
        await send(connection, INIT, text("hello", flush=True), CLOSE)
        for _ in range(replies):
            await connection.get_message()
        with trio.move_on_after(0.2) as scope:
            await connection.get_message()
        assert scope.cancelled_caught
        await connection.ping()


async def test_a_throttled_server_refuses_above_its_number() -> None:
    """``throttle:1`` serves one session and gives the second 42901 and a close to try later."""
    async with place(fault="throttle:1") as where, where.connect() as first:
        await send(first, INIT)
        assert await hear(first) == Ready()
        async with where.connect() as second:
            await send(second, INIT)
            heard, code = await all_heard(second)
            assert [m.code for m in heard if isinstance(m, Failure)] == ["42901"]
            assert code == 1013


async def test_a_fault_of_the_handshake_is_an_http_status() -> None:
    """The status is the asked one, and a throttled handshake says when to come back."""
    path = f"text-to-speech?x-api-key={QUERY_KEY}"
    async with place(fault="handshake:502#1 throttle-handshake:7#1") as where:
        assert (await where.refused(path))[0] == 502
        status, headers = await where.refused(path)
        assert (status, headers["retry-after"]) == (429, "7")
        assert words_of((await spoken(where, text("hello", flush=True)))[0]) == "hello"


async def test_a_slow_server_drips_small_pieces() -> None:
    """Slower than real time, the pieces are smaller and come as steadily."""
    async with place(fault="slow:0.5") as where:
        heard, _ = await spoken(where, text("a" * 6_100, flush=True))
        assert [len(m.pcm) for m in heard if isinstance(m, Audio)] == [12_000, 200]


@pytest.mark.parametrize(
    ("fault", "event", "code"),
    [
        ("drop", None, 1006),
        ("close:1011", None, 1011),
        ("truncate", None, 1000),
        ("error:50001", "transcription_error", 1011),
        ("throttle", "error", 1013),
        ("slow:100", "transcription", None),
    ],
)
async def test_a_fault_of_transcription_is_seen_by_the_client(
    fault: str, event: str | None, code: int | None
) -> None:
    """It strikes in place of the first transcript."""
    async with place(fault=fault) as where, where.listen() as connection:
        await connection.send_message(chunk("hello" * 100))
        seen: list[object] = []
        with contextlib.suppress(ConnectionClosed):
            reply = orjson.loads(await connection.get_message())
            seen.append(reply.get("event", reply.get("type")))
        assert seen == ([event] if event else [])
        if code is not None:
            assert await all_heard(connection) == ([], code)


async def test_garbage_in_place_of_a_transcript_is_no_json() -> None:
    """What comes cannot be parsed."""
    async with place(fault="garbage") as where, where.listen() as connection:
        await connection.send_message(chunk("hello"))
        with pytest.raises(messages.InvalidMessageError):
            messages.parse_stt_reply(await connection.get_message())


# -- the ledger, and the server as a whole -----------------------------------------------------


def _ends(path: Path) -> list[dict[str, object]]:
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    return [line for line in lines if line["event"] == "end"]


async def test_the_ledger_tells_what_was_complete_and_what_was_not(tmp_path: Path) -> None:
    """A drained session is complete when the client sees the close; a spoilt or a left one is not."""
    ledger = tmp_path / "ledger.jsonl"
    async with place(ledger=ledger) as where:
        await spoken(where, text("مر"), text("حبا", flush=True))
        (end,) = _ends(ledger)
        assert end["complete"] is True
        assert end["text_sha256"] == hashlib.sha256("مرحبا".encode()).hexdigest()
        assert (end["voice_id"], end["audio_seconds"]) == (INIT["voice_id"], round(5 / 24_000, 6))
        async with where.connect() as connection:
            await send(connection, INIT, text("endless", flush=True))
            await hear(connection)
        async with where.connect() as connection:
            await send(connection, INIT, text("said", flush=True))
            await hear(connection)
            await hear(connection)
        async with where.listen() as connection:
            await connection.send_message(chunk("heard"))
            await connection.get_message()
        with trio.fail_after(10):
            while len(_ends(ledger)) < 4:  # noqa: ASYNC110 - a file has no event
                await trio.sleep(0.001)
    complete = {end["session"]: end["complete"] for end in _ends(ledger)}
    assert complete == {1: True, 2: False, 3: True, 4: True}
    async with place(ledger=ledger, fault="truncate") as where:
        await spoken(where, text("hello", flush=True))
    assert (_ends(ledger)[-1]["complete"], _ends(ledger)[-1]["fault"]) == (False, "truncate")
    assert TOKEN not in ledger.read_text()


async def test_a_session_cut_off_by_the_server_s_end_has_its_line(tmp_path: Path) -> None:
    """Also sessions that the server's own end interrupts are told, as incomplete."""
    ledger = tmp_path / "ledger.jsonl"
    async with place(ledger=ledger) as where, where.connect() as connection:
        await send(connection, INIT, text("endless", flush=True))
        await hear(connection)
        await hear(connection)
    assert [end["complete"] for end in _ends(ledger)] == [False]


async def test_the_tone_engine_says_and_hears_the_same_text() -> None:
    """Text to audio to the same text, through both sockets of a server that made its own engines."""
    async with trio.open_nursery() as nursery:
        base_url = await nursery.start(serve, ServerSettings(token=TOKEN, engine="tone"))
        where = Place(base_url, Parrot(), ParrotEar())
        async with where.connect() as connection:
            await send(connection, INIT | {"output_format": "pcm_16000"})
            await hear(connection)
            await send(connection, text(ARABIC, flush=True), CLOSE)
            heard, _ = await all_heard(connection)
        pcm = b"".join(message.pcm for message in heard if isinstance(message, Audio))
        reply: Message = Ready()
        async with where.listen() as connection:
            for i in range(math.ceil(len(pcm) / 32_000)):
                piece = pcm[i * 32_000 : (i + 1) * 32_000]
                await connection.send_message(codec.encode_audio_chunk(codec.wav_of(piece, 16_000)))
                reply = messages.parse_stt_reply(await connection.get_message())
        assert reply == Transcription(ARABIC)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        (ServerSettings(token=TOKEN, engine="parrot"), ConfigurationError),
        (ServerSettings(token=TOKEN, engine="tone", host="192.0.2.1"), ConfigurationError),
        (ServerSettings(token=TOKEN, engine="tone", ledger=Path("/")), OutputError),
    ],
)
async def test_a_server_that_cannot_start_says_why(
    settings: ServerSettings, error: type[Exception]
) -> None:
    """A bad engine, address or ledger is a named error, before anything is served."""
    with trio.fail_after(20), pytest.raises(error):
        await serve(settings)


async def test_a_server_says_where_it_is() -> None:
    """The base URL is ready to use, brackets and all, and a taken port is an error."""
    async with place(host="::1") as where:
        assert where.base_url.startswith("ws://[::1]:")
        async with where.connect() as connection:
            await connection.ping()
    async with place(host="localhost") as first:
        with pytest.raises(ConfigurationError, match="choose another port"):
            await serve(ServerSettings(token=TOKEN, engine="tone", port=first.port))


def test_the_package_gives_its_two_names_and_no_others() -> None:
    """The lazy names are the real ones; a misspelt one is an AttributeError."""
    assert package.serve is serve
    assert package.ServerSettings is ServerSettings
    with pytest.raises(AttributeError, match="server"):
        _ = package.sevre
