"""A service's list of voices: asked for once, with the key in a header, and believed as far as it goes."""

import contextlib
import json
from collections.abc import Awaitable, Callable

import h11
import pytest
import trio
import trio.testing

from batchjobs.errors import (
    PermanentError,
    SessionError,
    StopError,
    ThrottledError,
    TimedOutError,
    TransientError,
)
from batchjobs.session.voices import ask_voices
from batchjobs.speech import Voice
from tests.builders import make_endpoint

VOICES = [
    {"voice_id": "ar-hijazi-female-2", "name": "سارة", "gender": "female", "dialect": "hijazi"},
    {"voice_id": "cl-8f21", "name": None, "gender": None, "dialect": None, "type": None},
]
Serve = Callable[[trio.abc.Stream, h11.Connection], Awaitable[None]]


async def answer(stream: trio.abc.Stream, server: h11.Connection, status: int, body: bytes) -> None:
    """Answer with a status and a body in one piece."""
    headers = [("Content-Length", str(len(body))), ("Location", "https://elsewhere.example/")]
    response = h11.Response(status_code=status, headers=headers)
    parts = (response, h11.Data(data=body), h11.EndOfMessage())
    await stream.send_all(b"".join(server.send(part) or b"" for part in parts))


async def ask(serve: Serve, key: str = "geheim-12345") -> tuple[tuple[Voice, ...], h11.Request]:
    """Ask a service that answers so; give what was understood, and the request it got."""
    ours, theirs = trio.testing.memory_stream_pair()
    requests: list[h11.Request] = []
    dialled = 0

    async def dial(*_: object) -> trio.abc.Stream:
        nonlocal dialled
        dialled += 1
        return ours

    async def listen() -> None:
        server = h11.Connection(h11.SERVER)
        while not isinstance(event := server.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                server.receive_data(bytes(await theirs.receive_some(65_536)))
            elif isinstance(event, h11.Request):
                requests.append(event)
        with contextlib.suppress(trio.BrokenResourceError):  # it has heard enough
            await serve(theirs, server)

    endpoint = make_endpoint(dial)
    endpoint.key = key
    endpoint.redactor = type(endpoint.redactor)(key)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            found = await ask_voices(endpoint)
            nursery.cancel_scope.cancel()
    except ExceptionGroup as group:
        assert dialled == 1
        raise group.exceptions[0] from None
    return found, requests[0]


def answering(status: int, body: object) -> Serve:
    """Make a service that answers with JSON, or with bytes as they are."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def serve(stream: trio.abc.Stream, server: h11.Connection) -> None:
        await answer(stream, server, status, content)

    return serve


@pytest.mark.parametrize(
    "body", [VOICES, {"voices": VOICES}, {"data": VOICES}, {"data": {"voices": VOICES}}]
)
async def test_the_list_is_read_in_every_form_that_is_known(body: object) -> None:
    """Facts that are missing or null stay empty; the key is in its header, and only there."""
    found, request = await ask(answering(200, body))
    assert found == (
        Voice(id="ar-hijazi-female-2", name="سارة", gender="female", language="hijazi"),
        Voice(id="cl-8f21"),
    )
    assert request.method == b"GET"
    assert request.target.endswith(b"/api/v1/voices")
    headers = dict(request.headers)
    assert headers[b"x-api-key"] == b"geheim-12345"
    assert b"geheim" not in request.target


async def test_names_alone_are_a_list_too() -> None:
    """And whatever would write to the terminal is taken out of them."""
    found, _ = await ask(answering(200, ["a", "b\x1b[31m", {"name": "no id"}, 7]))
    assert [voice.id for voice in found] == ["a", "b [31m"]
    assert await ask(answering(200, [])) == ((), (await ask(answering(200, [])))[1])


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b"geheim-12345", StopError),
        (403, b"", StopError),
        (404, b"", PermanentError),
        (302, b"", TransientError),
        (429, b"", ThrottledError),
        (503, b"", TransientError),
        (200, b"<html>", PermanentError),
        (200, b"\xff\xfe", PermanentError),
        (200, b"[" * 100_000, PermanentError),
        (200, b'{"error": "geheim-12345"}', PermanentError),
        (200, b'"text"', PermanentError),
        (200, b'[{"name": "x"}]', PermanentError),
        (200, b" " * 5_000_000, PermanentError),
    ],
)
async def test_what_is_no_list_is_an_error(
    status: int, body: bytes, kind: type[SessionError]
) -> None:
    """No redirect is followed, nothing endless is read, and the key is in no message."""
    with pytest.raises(kind) as caught:
        await ask(answering(status, body))
    assert "geheim" not in f"{caught.value} {caught.value.hint} {caught.value.code}"


async def test_an_answer_that_breaks_off_is_none() -> None:
    """Half a list is not the list."""

    async def serve(stream: trio.abc.Stream, server: h11.Connection) -> None:
        head = h11.Response(status_code=200, headers=[("Content-Length", "5000")])
        await stream.send_all((server.send(head) or b"") + b'["a",')
        await stream.aclose()

    with pytest.raises(TransientError):
        await ask(serve)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"SSH-2.0-OpenSSH\r\n" * 2])
async def test_nobody_is_waited_for_without_end(
    autojump_clock: trio.testing.MockClock, said: bytes
) -> None:
    """Mute, a byte a second, or another protocol: it ends within half a minute."""

    async def serve(stream: trio.abc.Stream, server: h11.Connection) -> None:
        await stream.send_all(said)
        while True:
            await trio.sleep(1.0)
            if said.startswith(b"HTTP"):
                await stream.send_all(b"x")

    began = trio.current_time()
    with pytest.raises(TimedOutError, match="did not answer in 30 s"):
        await ask(serve)
    assert trio.current_time() - began <= 30.0
