"""Faults as clients see them on the wire."""

import contextlib

import orjson
import pytest
import trio
from trio_websocket import ConnectionClosed

from batchjobs.protocol import messages, parsing
from batchjobs.protocol.messages import Audio, Failure, Message, Ready
from tests.server.place import (
    CLOSE,
    INIT,
    QUERY_KEY,
    Place,
    all_heard,
    chunk,
    code_of,
    hear,
    place,
    send,
    speak,
    text,
    words_of,
)


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
                heard.append(parsing.parse_tts_reply(payload))
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
        heard, code = await speak(where, text("hello", flush=True))
        assert (sum(len(m.pcm) for m in heard if isinstance(m, Audio)), code) == (11, 1000)
    async with place(fault="rate-change") as where:
        heard, _ = await speak(where, text("hello", flush=True))
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
        assert words_of((await speak(where, text("hello", flush=True)))[0]) == "hello"


async def test_a_slow_server_drips_small_pieces() -> None:
    """Slower than real time, the pieces are smaller and come as steadily."""
    async with place(fault="slow:0.5") as where:
        heard, _ = await speak(where, text("a" * 6_100, flush=True))
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
            parsing.parse_stt_reply(await connection.get_message())
