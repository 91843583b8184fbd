"""What the server bounds: sessions, rates, sizes, and the time of those who stay."""

import contextlib

import orjson
import pytest
import trio
from trio_websocket import ConnectionClosed

from batchjobs.protocol import messages, parsing
from batchjobs.protocol.messages import Failure, Ready, Transcription
from tests.server.place import (
    CLOSE,
    INIT,
    QUERY_KEY,
    all_heard,
    chunk,
    handshake,
    hear,
    place,
    raw_answer,
    send,
    speak,
    text,
    words_of,
)


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
    cut_off: list[str] = []

    async def wait_end(name: str, stream: trio.SocketStream) -> None:
        async with stream:
            assert await stream.receive_some() == b""
            cut_off.append(name)

    async with place(handshake_limit=2, handshake_seconds=1.0) as where:
        started = trio.current_time()
        async with trio.open_nursery() as nursery:
            for name in ("first", "second", "third"):
                stream = await trio.open_tcp_stream("127.0.0.1", where.port)
                nursery.start_soon(wait_end, name, stream)
        assert trio.current_time() - started >= 1.0
        assert cut_off[0] == "third"
        heard, _ = await speak(where, text("hello", flush=True))
        assert words_of(heard) == "hello"


async def test_a_speech_client_that_never_initialises_is_sent_away() -> None:
    """An open connection without the first message is a handshake too, and as short."""
    async with (
        # Long enough for the handshake itself on a machine that has much else to do.
        place(handshake_seconds=2.0) as where,
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
        heard, code = await speak(where, text("مرحبا"), text("a" * (size - 5), flush=True))
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
        reply = parsing.parse_stt_reply(await connection.get_message())
        if samples <= 16_000:
            assert reply == Transcription("a" * 8_000 + "b" * (samples - 8_000))
        else:
            assert reply == messages.TranscriptionError("audio longer than 1 seconds")
            assert await all_heard(connection) == ([], 1008)
