"""The server as a whole: its log of sessions, its start, its end."""

import hashlib
import math
from pathlib import Path

import orjson
import pytest
import trio

from batchjobs.errors import ConfigurationError, OutputError
from batchjobs.protocol import codec, parsing
from batchjobs.protocol.messages import Audio, Message, Ready, Transcription
from batchjobs.server.app import serve
from batchjobs.server.settings import ServerSettings
from tests.server.place import (
    ARABIC,
    CLOSE,
    INIT,
    TOKEN,
    Parrot,
    ParrotEar,
    Place,
    all_heard,
    chunk,
    hear,
    place,
    send,
    speak,
    text,
)


def _ends(path: Path) -> list[dict[str, object]]:
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    return [line for line in lines if line["event"] == "end"]


async def test_the_ledger_tells_what_was_complete_and_what_was_not(tmp_path: Path) -> None:
    """A drained session is complete when the client sees the close; a spoilt or a left one is not."""
    ledger = tmp_path / "ledger.jsonl"
    async with place(ledger=ledger) as where:
        await speak(where, text("مر"), text("حبا", flush=True))
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
        await speak(where, text("hello", flush=True))
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
                chunk = codec.encode_audio_chunk(codec.wav_of(piece, 16_000))
                await connection.send_message(chunk.decode())
                reply = parsing.parse_stt_reply(await connection.get_message())
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
