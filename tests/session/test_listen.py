"""A recording becomes its transcript on `/listen`: what is asked, when it goes out, what keeps it open."""

import itertools
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
import trio
import trio.testing

from batchjobs.errors import PermanentError, SessionError
from batchjobs.protocol.listen import FRAME_SECONDS
from batchjobs.protocol.stt import SttResult
from batchjobs.providers import Provider
from batchjobs.server import listen_session
from batchjobs.server.listen_session import read_parameters
from batchjobs.session import Endpoint, SttSession
from tests.builders import HOSTED
from tests.server.place import TOKEN, place
from tests.session.scripted import chunks_of, endpoint_at, run_service
from tests.streams import Peer, Talk, answers

LISTENS = replace(HOSTED, name="listens", stt_protocol="listen", stt_model="munsit")
ARABIC = ("السَّلامُ", "عليكـم", "می\u200cخواهم", "لـ\u200d", "١٢٣", "\u200fAPI\u200f", "a+b&c=d%/#")
MOST = tuple(chr(0x621 + n % 26) * 36 + f"{n:04}" for n in range(200))
BYTES_PER_SECOND = 32_000


async def _say(peer: Peer, name: str, **values: object) -> None:
    await peer.send(json.dumps({"type": name, **values}))


async def _hear(peer: Peer, notes: list[tuple[float, object]]) -> None:
    """Note when each frame and message came, until the client ends; then send the receipt."""
    await _say(peer, "Metadata", session_id="s", model="munsit", dropped_hotwords=[])
    seconds = 0.0
    while True:
        message = await peer.connection.get_message()
        now = trio.current_time()
        if isinstance(message, bytes):
            seconds += len(message) / BYTES_PER_SECOND
            notes.append((now, len(message) / BYTES_PER_SECOND))
            continue
        notes.append((now, json.loads(message)["type"]))
        if json.loads(message)["type"] == "CloseStream":
            await _say(peer, "Results", transcript="نعم", is_final=True)
            await _say(peer, "Metadata", audio_seconds_billed=seconds)
            return


async def _frames(seconds: int) -> AsyncGenerator[bytes, None]:
    """Give so much of a recording without any thread."""
    for _ in range(round(seconds / FRAME_SECONDS)):
        yield bytes(round(BYTES_PER_SECOND * FRAME_SECONDS))


async def _transcribe(
    talk: Talk, chunks: AsyncGenerator[bytes, None], *, provider: Provider = LISTENS
) -> SttResult:
    async with run_service(talk) as service:
        return await SttSession(endpoint_at(service, provider), chunks=chunks).run()
    raise AssertionError


async def test_a_minute_goes_out_as_fast_as_the_socket_takes_it(autojump_clock: object) -> None:
    """A stretch of 58 s in no time; what is beyond follows behind the service's window of 60 s."""
    notes: list[tuple[float, object]] = []

    async def talk(peer: Peer) -> None:
        await _hear(peer, notes)

    began = trio.current_time()
    await _transcribe(talk, _frames(58))
    assert trio.current_time() - began < 0.1
    notes.clear()
    began = trio.current_time()
    await _transcribe(talk, _frames(90))
    sent = 0.0
    for at, what in notes:
        if isinstance(what, float):
            sent += what
            assert sent - (at - began) <= 60
    assert 30 < trio.current_time() - began < 33


async def test_signs_of_life_go_out_while_a_slow_disk_is_waited_for(autojump_clock: object) -> None:
    """A decoder that takes half a minute a chunk: the service never waits for longer than 12 s."""
    notes: list[tuple[float, object]] = []

    async def talk(peer: Peer) -> None:
        await _hear(peer, notes)

    async def slow() -> AsyncGenerator[bytes, None]:
        for _ in range(3):
            await trio.sleep(30)
            yield bytes(6_400)

    result = await _transcribe(talk, slow())
    assert result.text == "نعم"
    times = [0.0, *(at - notes[0][0] for at, _ in notes)]
    assert max(b - a for a, b in itertools.pairwise(times)) < 12
    assert sum(what == "KeepAlive" for _, what in notes) >= 12


async def test_no_sign_of_life_is_sent_while_audio_goes_out(autojump_clock: object) -> None:
    """At real time there is none to give."""
    notes: list[tuple[float, object]] = []

    async def talk(peer: Peer) -> None:
        await _hear(peer, notes)

    provider = replace(LISTENS, listen_pace=1.0)
    await _transcribe(talk, _frames(20), provider=provider)
    assert [what for _, what in notes if isinstance(what, str)] == ["CloseStream"]


@pytest.mark.parametrize("words", [ARABIC, MOST], ids=["a few", "as many as there may be"])
async def test_hot_words_arrive_to_the_letter(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the address, our server's parser and its limit: 200 of 40 Arabic letters, too."""
    asked: list[listen_session.ListenParameters] = []

    def read(query: Mapping[str, str]) -> listen_session.ListenParameters:
        asked.append(read_parameters(query))
        return asked[-1]

    monkeypatch.setattr(listen_session, "read_parameters", read)
    async with place() as where:
        endpoint = Endpoint(LISTENS, base_url=where.base_url, key=TOKEN)
        session = SttSession(endpoint, chunks=chunks_of(1), hotwords=words)
        assert (await session.run()).evidence.dropped_hotwords == ()
    assert [each.hotwords for each in asked] == [words]


async def test_hot_words_that_are_dropped_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """Once, however many sessions say so, and in the evidence of each."""
    words = ("بيت", "س" * 41)
    async with place() as where:
        endpoint = Endpoint(LISTENS, base_url=where.base_url, key=TOKEN)
        for _ in range(2):
            result = await SttSession(endpoint, chunks=chunks_of(1), hotwords=words).run()
            assert result.evidence.dropped_hotwords == words[1:]
    assert [words[1] in line for line in caplog.messages] == [True]


async def test_without_hot_words_none_are_sent(autojump_clock: object) -> None:
    """The request is what it was before there were any."""
    async with run_service(lambda peer: _hear(peer, [])) as service:
        await SttSession(endpoint_at(service, LISTENS), chunks=chunks_of(1)).run()
        assert "hotwords" not in parse_qs(urlsplit(service.peers[0].request.path).query)


@pytest.mark.parametrize("status", [b"400 Bad Request", b"414 URI Too Long", b"431 Large"])
async def test_a_request_that_is_too_long_says_why(
    status: bytes, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    """Before it is sent, and where it is refused."""
    error = await _fail_with(LISTENS, status, hotwords=MOST)
    assert isinstance(error, PermanentError)
    assert "try fewer" in error.hint
    assert any("request line" in line for line in caplog.messages)


async def _fail_with(
    provider: Provider, status: bytes, *, hotwords: tuple[str, ...] = ()
) -> SessionError:
    """Let a handshake be refused, and give the session's failure."""
    raw = answers(b"HTTP/1.1 " + status + b"\r\n\r\n")
    async with run_service(raw=raw) as service:
        endpoint = endpoint_at(service, provider)
        session = SttSession(endpoint, chunks=chunks_of(1), hotwords=hotwords)
        with pytest.raises(SessionError) as caught:
            await session.run()
    return caught.value


@pytest.mark.parametrize("way", ["header", "bearer", "query"])
@pytest.mark.parametrize("status", [b"401 No", b"403 No"])
async def test_a_refused_handshake_is_final(
    way: str, status: bytes, autojump_clock: object
) -> None:
    """Whichever way the key went."""
    error = await _fail_with(replace(LISTENS, stt_auth=(way,)), status)
    assert error.reaction.name == "STOP"
    assert error.ends_as.exit_code == 77


@pytest.mark.parametrize("way", ["header", "bearer", "query"])
async def test_our_server_takes_the_key_each_way(way: str) -> None:
    """As the vendor's clients send it."""
    async with place() as where:
        provider = replace(LISTENS, stt_auth=(way,))
        endpoint = Endpoint(provider, base_url=where.base_url, key=TOKEN)
        assert (await SttSession(endpoint, chunks=chunks_of(1)).run()).evidence.messages >= 0
