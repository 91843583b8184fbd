"""Clients on another library, written by the services' documents alone, against our local server."""

import base64
import contextlib
import io
import json
import logging
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from websockets.exceptions import ConnectionClosedOK, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.canary import KEY, key_with
from tests.whole_runs import batchjobs, run_server

_WAIT_SECONDS = 60
_QUIET = logging.getLogger("sample client")
_QUIET.setLevel(logging.WARNING)  # this library's debug lines show the whole URL, with the key
_WORDS = "مرحبا بك في فصيح "
_MARKED = "مَرْحَبًا بِكُمْ ـــ الرقم ١٢٣، \u200fAPI\u200f لـ\u200d نمی\u200cشود"
_WRONG = key_with("/wrong=&")


_INIT = {
    "type": "initConnection",
    "model_id": "faseeh-v1-preview",
    "voice_id": "ar-najdi-male-2",
    "voice_settings": {"stability": 0.5, "similarity_boost": 0.75, "speed": 1.0},
    "output_format": "pcm_24000",
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose engine says exactly what its audio carries, and hears exactly that."""
    with run_server(tmp_path_factory.mktemp("served"), "--engine", "tone") as base_url:
        yield base_url


class Sample:
    """Does what the documents' example does: initialises once open, and reacts to what comes.

    Args:
        base_url: Of the server.
        key: Shown in the query alone.
        text: Sent once the connection is initialised: the fields of that one message.
    """

    def __init__(self, base_url: str, key: str, text: dict[str, object]) -> None:
        self._url = f"{base_url}/websocket/text-to-speech?x-api-key={quote(key, safe='')}"
        self._text = text
        self.pcm = b""
        self.rates: set[int] = set()
        self.errors: list[dict[str, object]] = []
        self.close_code: int | None = None

    def run(self, *, until_bytes: int | None = None, closing: bool = False) -> None:
        """React until so much audio has come, or the server closes."""
        with connect(self._url, compression=None, logger=_QUIET) as socket:
            with contextlib.suppress(ConnectionClosedOK):  # a browser drops what comes too late
                say(socket, _INIT)
            with contextlib.suppress(ConnectionClosedOK):
                while until_bytes is None or len(self.pcm) < until_bytes:
                    self._react(socket, json.loads(socket.recv(_WAIT_SECONDS)), closing=closing)
        self.close_code = socket.close_code

    def _react(self, socket: ClientConnection, data: dict[str, Any], *, closing: bool) -> None:
        if data.get("type") == "connectionInitialized":
            say(socket, {"type": "text", **self._text})
            if closing:
                say(socket, {"type": "closeConnection"})
        elif data.get("audio"):
            self.pcm += base64.b64decode(data["audio"])
            self.rates.add(data["sampleRate"])
        elif data.get("type") == "error" or data.get("errorCode"):
            self.errors.append(data)


def say(socket: ClientConnection, message: dict[str, Any]) -> None:
    """Send a message as JSON."""
    socket.send(json.dumps(message, ensure_ascii=False))


def heard(base_url: str, pcm: bytes, rate: int) -> str:
    """Have audio transcribed, the whole of it as one WAV in one message."""
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((1, 2, rate, 0, "NONE", ""))
        wav.writeframes(pcm)
    url = f"{base_url}/websocket/speech-to-text?model=munsit"
    with connect(
        url, compression=None, logger=_QUIET, additional_headers={"x-api-key": KEY}
    ) as socket:
        say(socket, {"event": "audio_chunk", "data": {"audioBuffer": list(file.getvalue())}})
        reply = json.loads(socket.recv(_WAIT_SECONDS))
    assert reply["event"] == "transcription"
    return str(reply["data"])


def whole(base_url: str, words: str) -> bytes:
    """Have a text spoken as a client does that flushes and closes."""
    sample = Sample(base_url, KEY, {"text": words, "flush": True})
    sample.run(closing=True)
    assert sample.pcm
    return sample.pcm


@pytest.mark.parametrize(
    "parts", [(_WORDS,), (_MARKED,), ("أهلا. كيف حالك؟", " أنا "), ("Hello there ",), ("Goodbye!",)]
)
def test_the_vendor_s_sample_that_never_flushes_gets_its_whole_clip(
    address: str, parts: tuple[str, ...]
) -> None:
    """The whole text in one message with a trigger: whole sentences first, then the rest of it."""
    words = "".join(parts)
    sample = Sample(address, KEY, {"text": words, "try_trigger_generation": True})
    clips = b"".join(whole(address, part) for part in parts)
    sample.run(until_bytes=len(clips))
    assert (sample.errors, sample.rates) == ([], {24_000})
    assert sample.pcm == clips
    assert heard(address, sample.pcm, 24_000) == words


def test_the_sample_without_any_flag_gets_its_clip_when_it_closes(address: str) -> None:
    """As the page shows it, text alone: it is buffered, and spoken once the client is done."""
    sample = Sample(address, KEY, {"text": _WORDS})
    sample.run(closing=True)
    assert sample.pcm == whole(address, _WORDS)
    assert sample.close_code == 1000


def test_the_sample_with_a_wrong_key_is_told_as_the_page_shows(address: str) -> None:
    """Open, the documented error in the documented form, closed; no audio."""
    sample = Sample(address, _WRONG, {"text": _WORDS, "try_trigger_generation": True})
    sample.run()
    told = {"type": "error", "errorCode": 40101, "errorMessage": "Invalid API key"}
    assert (sample.errors, sample.pcm, sample.close_code) == ([told], b"", 1000)


def test_transcription_with_a_wrong_key_opens_nothing(address: str) -> None:
    """The connection is rejected, as the documents say."""
    url = f"{address}/websocket/speech-to-text?x-api-key={quote(_WRONG, safe='')}"
    with pytest.raises(InvalidStatus) as caught, connect(url, logger=_QUIET):
        pytest.fail("it was let in")
    assert caught.value.response.status_code == 401


@pytest.mark.parametrize("way", ["query", "init", "header", "bearer", "transcription", "preopen"])
def test_our_own_client_ends_with_77_whichever_way_the_key_went(
    address: str, tmp_path: Path, way: str
) -> None:
    """An error message stops the run as a refused handshake does: one attempt, nothing else touched."""
    with wave.open(str(tmp_path / "a.wav"), "wb") as wav:
        wav.setparams((1, 2, 16_000, 0, "NONE", ""))
        wav.writeframes(b"\x10\x20" * 16_000)
    column, value = ("audio", "a.wav") if way == "transcription" else ("text", _WORDS)
    manifest = tmp_path / "wrong.csv"
    manifest.write_text(f"id,take,{column}\n" + "".join(f"{n},{n},{value}\n" for n in range(9)))
    ways = f'tts_auth = ["{way}"]' if way in {"query", "init", "header", "bearer"} else ""
    (tmp_path / "batchjobs.toml").write_text(f"[providers.munsit]\n{ways}\n")
    more = ["--preopen"] if way == "preopen" else []
    done = batchjobs(
        *("run", manifest, "-p", "munsit", "--voice", "v", "--base-url", address, *more),
        cwd=tmp_path,
        expect=77,
        MUNSIT_API_KEY=_WRONG,
    )
    counted = json.loads((tmp_path / "outputs" / "wrong" / "summary.json").read_bytes())
    assert (counted["attempts"], counted["failed"], counted["not_run"]) == (1, 0, 9)
    assert _WRONG not in done.stdout + done.stderr
