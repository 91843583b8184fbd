"""The local server speaks over HTTP, on the sockets' port, to a client that is not ours."""

import http.client
import io
import json
import wave
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import trio

from tests.server.place import ARABIC, TOKEN, Place, place

MODEL: Final = "/api/v1/text-to-speech/m"
ASKED: Final = {"voice_id": "v", "text": ARABIC, "streaming": True, "sample_rate": 48_000}
PCM: Final = ARABIC.encode("utf-16-le")


def post(
    url: str, content: object = ASKED, *, path: str = MODEL, **headers: str
) -> tuple[int, Any, bytes]:
    """Post with the standard library's client; gives status, headers and body."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        body = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False)
        fields = {"x-api-key": TOKEN} | {k.replace("_", "-"): v for k, v in headers.items()}
        encoded = body if isinstance(body, bytes) else body.encode()
        connection.request("POST", path, encoded, fields)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


async def asked(where: Place, *arguments: Any, **named: Any) -> tuple[int, Any, bytes]:
    """Do the same in a thread."""
    return await trio.to_thread.run_sync(lambda: post(where.base_url, *arguments, **named))


async def test_samples_are_streamed() -> None:
    """In chunks, at any rate; the engine gets all that was asked for."""
    async with place() as where:
        parrot = where.parrot
        status, headers, body = await asked(where, ASKED | {"speed": 1.2, "dialect": "fusha"})
    assert (status, body) == (200, PCM)
    assert headers["content-type"] == "audio/pcm"
    assert headers["transfer-encoding"] == "chunked"
    assert parrot.spoken == [ARABIC]
    (speech,) = parrot.settings
    assert (speech.voice_id, speech.model_id, speech.speed) == ("v", "m", 1.2)
    assert (speech.sample_rate, speech.dialect) == (48_000, "fusha")


async def test_a_whole_wav_is_the_other_form() -> None:
    """Its length is told beforehand, and another program reads it."""
    async with place() as where:
        status, headers, body = await asked(
            where, ASKED | {"streaming": False, "sample_rate": 8_000}
        )
    assert (status, headers["content-type"]) == (200, "audio/wav")
    assert int(headers["content-length"]) == len(body)
    with wave.open(io.BytesIO(body)) as sound:
        assert sound.getparams()[:3] == (1, 2, 8_000)
        assert sound.readframes(10_000) == PCM


async def test_a_connection_takes_one_request_after_the_other() -> None:
    """Refusals too leave it open."""

    def several(url: str) -> list[int]:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        statuses = []
        for text in ("a", "", "b"):
            content = json.dumps(ASKED | {"text": text})
            connection.request("POST", MODEL, content, {"x-api-key": TOKEN})
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
        connection.close()
        return statuses

    async with place() as where:
        assert await trio.to_thread.run_sync(several, where.base_url) == [200, 400, 200]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "truncated"),
        (b"\xff", "JSON"),
        (ASKED | {"text": " \n"}, "empty"),
        (ASKED | {"voice_id": ""}, "voice_id"),
        (ASKED | {"speed": 2}, "speed"),
        (ASKED | {"stability": -1}, "stability"),
        (ASKED | {"sample_rate": 7_999}, "sample_rate"),
        (ASKED | {"sample_rate": 48_001}, "sample_rate"),
        (ASKED | {"dialect": "x"}, "auto, emirati, fusha"),
        ({"text": "a"}, "voice_id"),
        (ASKED | {"text": "x" * 201}, "200 characters"),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(content: object, words: str) -> None:
    """In the hosted services' words."""
    async with place(text_limit_characters=200) as where:
        status, _, body = await asked(where, content)
    assert status == 400
    said = json.loads(body)
    assert said["errorCode"] == 40001
    assert words in said["errorMessage"]


async def test_who_may_not_is_refused() -> None:
    """Another key, none, another path, a page of a stranger's, another method."""
    async with place() as where:
        assert (await asked(where, x_api_key="no"))[0] == 401
        assert (await asked(where, x_api_key=""))[0] == 401
        assert (await asked(where, x_api_key="", Authorization=f"Bearer {TOKEN}"))[0] == 200
        assert (await asked(where, path="/api/v1/elsewhere"))[0] == 404
        assert (await asked(where, path="/api/v1/text-to-speech/"))[0] == 404
        assert (await asked(where, Origin="https://example.org"))[0] == 403
        assert (await asked(where, Host="example.org"))[0] == 403


async def test_limits_hold_over_http_too() -> None:
    """Too many new sessions, or too long a body, are refused."""
    async with place(sessions_per_second=0.01) as where:
        assert (await asked(where))[0] == 200
        status, headers, _ = await asked(where)
        assert status == 429
        assert int(headers["retry-after"]) > 1
    async with place(message_limit_bytes=100) as where:
        assert (await asked(where, b"x" * 101))[0] == 413


@pytest.mark.parametrize("text", ["poison", "bug"])
async def test_an_engine_that_fails_is_an_error_of_the_server(text: str) -> None:
    """As long as nothing was sent; the next request is served."""
    async with place() as where:
        status, _, body = await asked(where, ASKED | {"text": text})
        assert (status, json.loads(body)["errorCode"]) == (500, 50001)
        assert (await asked(where))[0] == 200


async def test_a_client_that_goes_stops_the_engine() -> None:
    """What nobody hears is not spoken."""

    def leave(url: str) -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        content = json.dumps(ASKED | {"text": "endless"})
        connection.request("POST", MODEL, content, {"x-api-key": TOKEN})
        connection.getresponse().read(1_000)
        connection.close()

    async with place() as where:
        await trio.to_thread.run_sync(leave, where.base_url)
        await trio.to_thread.run_sync(where.parrot.stopped.wait)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("error:50001", 500),
        ("error-string:40301", 403),
        ("error:999", 999),
        ("handshake:503", 503),
        ("throttle", 429),
        ("throttle-handshake:9", 429),
        ("garbage", 200),
    ],
)
async def test_a_fault_may_be_an_answer(fault: str, status: int) -> None:
    """A status, or a success that is no audio; once."""
    async with place(fault=f"{fault}#1") as where:
        found, headers, body = await asked(where)
        assert found == status
        assert headers["content-type"] == "application/json"
        assert headers["retry-after"] == ({"throttle": "1"} | {"throttle-handshake:9": "9"}).get(
            fault
        )
        assert body
        assert (await asked(where))[::2] == (200, PCM)


@pytest.mark.parametrize(
    ("fault", "raises"),
    [
        ("drop", ConnectionError),
        ("close:1011", http.client.IncompleteRead),
    ],
)
@pytest.mark.parametrize("is_streaming", [True, False])
async def test_a_fault_may_be_no_end(
    fault: str, raises: type[Exception], is_streaming: bool
) -> None:
    """Reset, or ended without the last chunk; of a whole WAV nothing comes then."""
    async with place(fault=f"{fault}#1") as where:
        kinds = raises if is_streaming else (http.client.RemoteDisconnected, ConnectionError)
        with pytest.raises(kinds):
            await asked(where, ASKED | {"streaming": is_streaming})
        assert (await asked(where))[0] == 200


async def test_a_fault_may_be_wrong_audio() -> None:
    """Cut short, silenced, or half a sample longer, with an end as marked as any."""
    async with place(fault="truncate#1") as where:
        body = (await asked(where))[2]
        assert body
        assert PCM.startswith(body)
        assert len(body) < len(PCM) / 2
    async with place(fault="silence#1") as where:
        assert (await asked(where))[2] == bytes(len(PCM))
    async with place(fault="half-sample#1") as where:
        assert (await asked(where))[2] == PCM + b"\0"


@pytest.mark.parametrize("fault", ["hang", "silent", "mute"])
async def test_a_fault_may_be_waiting(fault: str) -> None:
    """For ever, before the answer, before its audio, or in it; a client goes when it likes."""

    def wait(url: str) -> str:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=0.5)
        found = ""
        try:
            connection.request("POST", MODEL, json.dumps(ASKED), {"x-api-key": TOKEN})
            answer = connection.getresponse()
            found = "head"
            found = "audio" if answer.read1(1) else found
            answer.read()
        except TimeoutError:
            return found
        finally:
            connection.close()
        return "end"

    async with place(fault=f"{fault}#1") as where:
        found = await trio.to_thread.run_sync(wait, where.base_url)
    assert found == {"hang": "audio", "silent": "head", "mute": ""}[fault]
