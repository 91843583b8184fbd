"""Sessions of speech: text in, audio out, exactly, and ended as agreed."""

import contextlib

import orjson
import pytest
import trio
from trio_websocket import ConnectionClosed

from batchjobs.jobs import SpeechSettings
from batchjobs.protocol import messages
from batchjobs.protocol.messages import Audio, Failure, Ready
from batchjobs.server.tts_session import TextBuffer
from tests.server.place import (
    ARABIC,
    CLOSE,
    INIT,
    QUERY_KEY,
    all_heard,
    handshake,
    hear,
    place,
    send,
    speak,
    text,
    words_of,
)


async def test_what_is_flushed_is_spoken_exactly_and_close_drains_it() -> None:
    """All audio of the text comes before the server's close with 1000, in half seconds."""
    words = ARABIC * 1_000
    async with place() as where:
        heard, code = await speak(where, text(words[:7]), text(words[7:], flush=True))
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
        heard, code = await speak(where, text("one "), text("two"))
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
        _, code = await speak(where, *(text(word, trigger=True) for word in words))
        assert where.parrot.spoken == ["إِنَّ الـــكِتابَ هُنا.", " وَهُناك"]
        assert code == 1000


async def test_what_a_trigger_left_can_be_cleared() -> None:
    """``clear`` forgets it before it is spoken; nothing is due then."""
    async with place(trigger_seconds=60.0) as where:
        heard, _ = await speak(
            where, text("one. two", trigger=True), {"type": "clear"}, text("three", flush=True)
        )
        assert words_of(heard) == "one.three"
        buffer = TextBuffer()
        said = buffer.add(messages.Text(text="a", try_trigger_generation=True))
        assert (said, buffer.is_due) == ("", True)
        buffer.clear()
        assert buffer.is_due is False
        said = buffer.add(messages.Text(text="c. ", try_trigger_generation=True))
        assert (said, buffer.is_due) == ("c.", False)
        assert buffer.take_all() == " "
        assert (buffer.add(messages.Text(text="b")), buffer.is_due) == ("", False)


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
    assert buffer.take_all() == " ab"
    assert buffer.add(messages.Text(text="a" * 1_999)) == ""
    assert buffer.add(messages.Text(text="b")) == "a" * 1_999 + "b"
    assert buffer.take_all() == ""


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
        heard, _ = await speak(where, text("a" * 48_000, flush=True))
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
        heard, _ = await speak(where, text("hello", flush=True))
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
        heard, code = await speak(where, text(poison, flush=True))
        assert heard == [Failure(code="50001", message="the engine failed")]
        assert code == 1011
        assert "a text was not spoken" in caplog.text
        assert words_of((await speak(where, text("hello", flush=True)))[0]) == "hello"
