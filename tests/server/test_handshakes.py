"""Who gets in: keys, hosts, origins and paths, on real sockets."""

import contextlib
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed

from batchjobs.protocol.messages import Failure, Ready
from tests.server.place import (
    INIT,
    QUERY_KEY,
    TOKEN,
    all_heard,
    handshake,
    hear,
    place,
    raw_answer,
    send,
    speak,
    text,
    words_of,
)


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
    limits: dict[str, Any] = {
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
            heard, code = await speak(where, text("hello", flush=True))
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
async def test_those_with_a_wrong_key_who_stay_are_cut_off(times: dict[str, Any]) -> None:
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
    async with place(handshake_seconds=2.0) as where:
        async with await trio.open_tcp_stream("127.0.0.1", where.port) as stream:
            await stream.send_all(request_bytes)
            await stream.send_eof()
            with contextlib.suppress(trio.BrokenResourceError):
                while await stream.receive_some():
                    pass
        heard, code = await speak(where, text("hello", flush=True))
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
            heard, code = await speak(where, text("hello", flush=True))
        assert (words_of(heard), code) == ("hello", 1000)
