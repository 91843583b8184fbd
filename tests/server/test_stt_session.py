"""Sessions of transcription: audio in, the whole transcript so far out."""

import struct

import orjson
import pytest
import trio

from batchjobs.protocol import codec, messages, parsing
from batchjobs.protocol.messages import Transcription
from tests.server.place import ARABIC, Place, all_heard, chunk, place, send


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
        assert parsing.parse_stt_reply(await connection.get_message()) == Transcription("hi")


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
            reply = parsing.parse_stt_reply(await connection.get_message())
            assert reply == messages.TranscriptionError("the engine failed")
            assert await all_heard(connection) == ([], 1011)
        assert "a recording was not understood" in caplog.text
        async with where.listen() as connection:
            await connection.send_message(chunk("hi"))
            assert "hi" in await connection.get_message()
