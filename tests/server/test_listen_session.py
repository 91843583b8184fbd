"""Sessions on `/listen`: frames in, finals with times and a receipt out."""

import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import quote

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from batchjobs.errors import ConfigurationError
from batchjobs.jobs import SpeechSettings
from batchjobs.protocol import close_codes
from batchjobs.server import listen_session
from batchjobs.server.engines.tone import ToneRecogniser, ToneSynthesiser
from batchjobs.server.listen_session import read_parameters
from tests.server.place import ARABIC, TOKEN, Place, place

KEY = f"api_key={quote(TOKEN, safe='')}"
RATE = 16_000


@asynccontextmanager
async def _listening(
    where: Place, query: str = "interim_results=false"
) -> AsyncIterator[WebSocketConnection]:
    """Open a session and read its first message."""
    async with where.connect(f"/listen?{KEY}&{query}") as connection:
        opened = json.loads(await connection.get_message())
        assert opened["type"] == "Metadata"
        assert "audio_seconds_billed" not in opened
        yield connection


async def _rest(connection: WebSocketConnection) -> tuple[list[dict[str, Any]], int, str]:
    """Read until the close; gives the messages, the close code and its reason."""
    found = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            found.append(json.loads(await connection.get_message()))
    closed = connection.closed
    assert closed is not None
    return found, int(closed.code), closed.reason or ""


def _frames(text: str) -> list[bytes]:
    pcm = text.encode("utf-16-le")
    return [pcm[at : at + 40] for at in range(0, len(pcm), 40)]


async def test_a_session_ends_with_all_that_was_heard_and_a_receipt() -> None:
    """Diacritics, joiners and digits included; billed is what was sent; the close is a normal one."""
    async with place() as where, _listening(where) as connection:
        for frame in _frames(ARABIC):
            await connection.send_message(frame)
        await connection.send_message(json.dumps({"type": "KeepAlive"}))
        await connection.send_message(json.dumps({"type": "CloseStream"}))
        messages, code, _ = await _rest(connection)
    finals = [each for each in messages if each["type"] == "Results"]
    assert [each["transcript"] for each in finals] == [ARABIC]
    assert all(each["is_final"] for each in finals)
    words = finals[0]["words"]
    assert [each["word"] for each in words] == ARABIC.split()
    times = [moment for each in words for moment in (each["start"], each["end"])]
    assert times == sorted(times)
    receipt = messages[-1]
    seconds = len(ARABIC.encode("utf-16-le")) / 2 / RATE
    assert receipt["type"] == "Metadata"
    assert receipt["audio_seconds_billed"] == pytest.approx(seconds, abs=1e-3)
    assert code == 1000


async def test_silence_ends_a_turn() -> None:
    """What was heard before it is final, and the next turn is a final of its own."""
    loud = "".join(chr(0x6000 + number) for number in range(8_000))
    query = "interim_results=false&endpointing=400"
    async with place() as where, _listening(where, query) as connection:
        await connection.send_message(loud.encode("utf-16-le"))
        await connection.send_message(bytes(2 * 8_000))
        await connection.send_message(json.dumps({"type": "CloseStream"}))
        messages, _, _ = await _rest(connection)
    names = [each["type"] for each in messages]
    assert names[:3] == ["SpeechStarted", "Results", "UtteranceEnd"]
    assert messages[1]["speech_final"] is True
    assert messages[-1]["turn_count"] == 1


class HastyEar:
    """Understands all of a sentence at its first sound, sooner than anybody could say it."""

    def start(self) -> Self:
        """Begin a session."""
        return self

    def accept(self, pcm: bytes, _: int) -> str:
        """Hear more."""
        self.has_heard = getattr(self, "has_heard", False) or any(pcm)
        return ARABIC if self.has_heard else ""

    def close(self) -> None:
        """Nothing to give back."""


@pytest.mark.parametrize("seconds", [0.0, 0.75, 20.0])
async def test_words_are_timed_in_the_sound_and_not_in_the_silence_before_it(
    seconds: float,
) -> None:
    """However many there are, and however long that is."""
    sound = b"\x00\x10" * RATE
    async with place(recogniser=HastyEar()) as where, _listening(where) as connection:
        await connection.send_message(bytes(2 * round(seconds * RATE)) + sound)
        await connection.send_message(json.dumps({"type": "CloseStream"}))
        messages, _, _ = await _rest(connection)
    words = [word for each in messages if each["type"] == "Results" for word in each["words"]]
    assert [each["word"] for each in words] == ARABIC.split()
    assert words[0]["start"] >= seconds - 0.5  # what the engine hears at once
    assert words[-1]["end"] <= seconds + 1.0


async def test_what_an_engine_writes_close_up_is_lost_in_no_turn() -> None:
    """Each final has its turn's words, timed in it, though the engine put no space between the two."""
    texts = (ARABIC, "نستخدم trio، لا\u200dإله ١٩٤٨")
    speech = SpeechSettings(voice_id="v", model_id="m", output_format="pcm_16000")
    spoken = [b"".join(ToneSynthesiser().synthesise(text, speech)) for text in texts]
    silence = bytes(2 * RATE)
    async with place(recogniser=ToneRecogniser()) as where, _listening(where) as connection:
        for pcm in spoken:
            await connection.send_message(pcm + silence)
        await connection.send_message(json.dumps({"type": "CloseStream"}))
        messages, _, _ = await _rest(connection)
    finals = [each for each in messages if each["type"] == "Results"]
    assert [each["transcript"] for each in finals] == list(texts)
    lengths = [len(pcm) / 2 / RATE for pcm in spoken]
    first, second = (each["words"] for each in finals)
    assert [each["word"] for each in first + second] == [*texts[0].split(), *texts[1].split()]
    assert 0.0 <= first[0]["start"] < first[-1]["end"] < lengths[0] + 0.5
    assert lengths[0] < second[0]["start"] < second[-1]["end"] < sum(lengths) + 1.5
    assert all(each["start"] < each["end"] for each in first + second)
    assert messages[-1]["turn_count"] == 2


async def test_a_split_of_unbroken_speech_cuts_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last word waits for the next final, since it may not be whole."""
    monkeypatch.setattr(listen_session, "_SPLIT_SECONDS", 1.0)
    words = [letter * 3_000 for letter in "ابتثجحخدذرزسشصضط"]
    async with place() as where, _listening(where) as connection:
        await connection.send_message(" ".join(words).encode("utf-16-le"))
        await connection.send_message(json.dumps({"type": "CloseStream"}))
        messages, _, _ = await _rest(connection)
    finals = [each for each in messages if each["type"] == "Results"]
    assert [each["speech_final"] for each in finals] == [False, False, False, True]
    assert [word for each in finals for word in each["transcript"].split()] == words
    assert [timed["word"] for each in finals for timed in each["words"]] == words


async def test_everything_says_what_it_belongs_to() -> None:
    """The request's correlation id stands in all events, the receipt too."""
    query = f"correlation_id={quote('طلب ١')}&interim_results=true"
    async with place() as where, where.connect(f"/listen?{KEY}&{query}") as connection:
        await connection.send_message(("\u6000" * RATE).encode("utf-16-le"))
        await connection.send_message(json.dumps({"type": "CloseStream"}))
        messages, _, _ = await _rest(connection)
    assert {each["type"] for each in messages} >= {"Metadata", "SpeechStarted", "Results"}
    assert {each["correlation_id"] for each in messages} == {"طلب ١"}


async def test_interim_results_are_sent_to_those_who_ask() -> None:
    """Each is replaced by the next; the final has all."""
    text = "".join(chr(0x6000 + number) for number in range(16_000))
    async with place() as where, _listening(where, "interim_results=true") as connection:
        await connection.send_message(text.encode("utf-16-le"))
        await connection.send_message(json.dumps({"type": "CloseStream"}))
        messages, _, _ = await _rest(connection)
    results = [each for each in messages if each["type"] == "Results"]
    assert [each["is_final"] for each in results] == [False, False, True]
    assert results[-1]["transcript"] == text


async def test_a_client_too_far_ahead_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a minute ahead of real time; here it is three seconds."""
    assert listen_session._AHEAD_SECONDS == 60
    monkeypatch.setattr(listen_session, "_AHEAD_SECONDS", 3.0)
    async with place() as where, _listening(where) as connection:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(30):
                await connection.send_message(("\u2000" * RATE).encode("utf-16-le"))
        _, code, reason = await _rest(connection)
    assert (code, "ahead" in reason) == (4008, True)


async def test_a_silent_client_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without audio or a sign of life for its time; a sign of life keeps it."""
    monkeypatch.setattr(listen_session, "_IDLE_SECONDS", 0.3)
    async with place() as where, _listening(where) as connection:
        for _ in range(4):
            await trio.sleep(0.15)
            await connection.send_message(json.dumps({"type": "KeepAlive"}))
        _, code, reason = await _rest(connection)
    assert (code, reason) == (1011, "idle")


@pytest.mark.parametrize(
    "query",
    [
        "encoding=opus",
        "sample_rate=44100",
        "channels=2",
        "language=en",
        "model=whisper",
        "endpointing=99",
        "endpointing=x",
        "smart_turn=maybe",
        "interim_results=1",
        f"correlation_id={'x' * 129}",
    ],
)
async def test_a_parameter_that_makes_no_sense_closes_with_4002(query: str) -> None:
    """And says which, before that too: the vendor's clients take a close alone for a break."""
    async with place() as where, where.connect(f"/listen?{KEY}&{query}") as connection:
        messages, code, reason = await _rest(connection)
    name = query.rpartition("&")[2].partition("=")[0]
    assert (reason, code) == (f"invalid parameter: {name}", 4002)
    assert messages == [{"type": "Error", "code": 4002, "message": reason, "recoverable": False}]


async def test_a_session_too_many_is_said_before_the_close() -> None:
    """As the services' own clients want it: one that hears of no error takes the close for a break."""
    async with place(fault="throttle") as where, _listening(where) as connection:
        await connection.send_message(json.dumps({"type": "CloseStream"}))
        messages, code, reason = await _rest(connection)
    assert [(each["type"], each["code"]) for each in messages] == [("Error", 1008)]
    assert (code, reason) == (1008, "concurrent session limit reached")
    assert messages[0]["message"] == reason


async def test_hot_words_that_are_not_taken_are_told() -> None:
    """Those beyond two hundred, those that are too long, all of a model that expects none."""
    words = [f"w{number}" for number in range(201)]
    words[3] = "x" * 41
    async with place() as where:
        query = f"hotwords={quote(','.join(words))}"
        async with where.connect(f"/listen?{KEY}&{query}") as connection:
            opened = json.loads(await connection.get_message())
        query = "model=munsit-en-ar&hotwords=a,b"
        async with where.connect(f"/listen?{KEY}&{query}") as connection:
            of_another_model = json.loads(await connection.get_message())
    assert opened["dropped_hotwords"] == ["w200", "x" * 41]
    assert of_another_model["dropped_hotwords"] == ["a", "b"]


@pytest.mark.parametrize("payload", [b"\0", "<html>"])
async def test_what_cannot_be_read_ends_the_session(payload: str | bytes) -> None:
    """Half a sample, no JSON: an error that says so, and a close."""
    async with place() as where, _listening(where) as connection:
        await connection.send_message(payload)
        messages, code, _ = await _rest(connection)
    assert messages[-1]["type"] == "Error"
    assert messages[-1]["recoverable"] is False
    assert code == 1011


def test_defaults_are_the_services() -> None:
    """A query that says nothing asks for what the vendor's clients get."""
    found = read_parameters({})
    assert (found.sample_rate, found.model, found.endpointing_ms) == (RATE, "munsit", 800)
    with pytest.raises(ConfigurationError, match="sample_rate"):
        read_parameters({"sample_rate": "٨٠٠٠x"})


async def test_a_change_that_makes_no_sense_ends_the_session_with_its_name() -> None:
    """As the same field in the request does; one that makes sense goes on."""
    async with place() as where, _listening(where) as connection:
        await connection.send_message(json.dumps({"type": "Configure", "endpointing": 300}))
        await connection.send_message(json.dumps({"type": "Configure", "endpointing": -1}))
        messages, code, reason = await _rest(connection)
    assert ([each["code"] for each in messages], code) == ([4002], close_codes.BAD_PARAMETER)
    assert "endpointing" in reason
