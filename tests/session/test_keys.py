"""The key travels only as the provider says, over verified TLS only."""

import datetime as dt
import gc
import logging
import ssl
import traceback
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trio
import trio.testing
import trustme
from trio_websocket import wrap_server_stream

from batchjobs.errors import SessionError, StopError, TransientError
from batchjobs.session import Endpoint, SttSession
from batchjobs.session.handshake_guard import GuardedStream
from tests.builders import HOSTED
from tests.canary import place_in
from tests.session.scripted import KEY, chunks_of, endpoint_at, listens, run_service, speaks, speech
from tests.streams import Peer, answers, head_of

pytestmark = pytest.mark.usefixtures("library_hooks")

WAYS = ["query", "init", "header", "bearer", "token"]


def _ways_seen(peer: Peer) -> set[str]:
    """Find by which ways the key arrived."""
    headers = {bytes(k).lower(): bytes(v) for k, v in peer.request.headers}
    fields = parse_qs(urlsplit(peer.request.path).query, strict_parsing=False)
    found = {
        "query": fields.get("x-api-key") == [KEY],
        "token": fields.get("token") == [KEY],
        "header": headers.get(b"x-api-key") == KEY.encode(),
        "bearer": headers.get(b"authorization") == b"Bearer " + KEY.encode(),
        "init": any(m.get("x_api_key") == KEY for m in peer.messages),
    }
    return {name for name, is_there in found.items() if is_there}


@pytest.mark.parametrize("ways", [(), *[(way,) for way in WAYS], ("query", "init")])
async def test_the_key_travels_only_as_the_provider_says(
    ways: tuple[str, ...],
    autojump_clock: object,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """By each way whole and percent-encoded where need be, and into no log whatever its level."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("trio-websocket").setLevel(logging.DEBUG)
    provider = replace(HOSTED, tts_auth=ways, stt_auth=tuple(w for w in ways if w != "init"))
    async with run_service(speaks) as service:
        endpoint = endpoint_at(service, provider)
        await speech(endpoint).run()
        assert _ways_seen(service.peers[0]) == set(ways)
        assert not place_in(repr(endpoint))
    async with run_service(listens) as service:
        await SttSession(endpoint_at(service, provider), chunks=chunks_of(1)).run()
        assert _ways_seen(service.peers[0]) == set(ways) - {"init"}
    shown = caplog.text + "".join(capfd.readouterr())
    assert not place_in(shown)
    logging.getLogger("trio-websocket").setLevel(logging.NOTSET)


async def test_a_model_of_the_recogniser_travels_in_the_query(autojump_clock: object) -> None:
    """Percent-encoded, as all that does."""
    async with run_service(listens) as service:
        provider = replace(HOSTED, stt_model="munsit en&ar")
        await SttSession(endpoint_at(service, provider), chunks=chunks_of(1)).run()
        path = service.peers[0].request.path
    assert path == "/api/v1/websocket/speech-to-text?model=munsit%20en%26ar"


async def test_transcription_by_munsit_names_its_model(autojump_clock: object) -> None:
    """As built in, as the vendor's newest clients do: in the request's query, the key not."""
    async with run_service(listens) as service:
        endpoint = endpoint_at(service, HOSTED)
        await SttSession(endpoint, chunks=chunks_of(1)).run()
        path = service.peers[0].request.path
    assert path == "/api/v1/websocket/speech-to-text?model=munsit"


def _certificate(ca: trustme.CA, case: str) -> trustme.LeafCert:
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    match case:
        case "expired":
            return ca.issue_cert("127.0.0.1", not_before=past - dt.timedelta(9), not_after=past)
        case "wrong host":
            return ca.issue_cert("example.org")
        case _:
            return ca.issue_cert("127.0.0.1")


@pytest.mark.parametrize("case", ["good", "expired", "wrong host", "unknown authority"])
async def test_the_key_goes_over_verified_tls_only(case: str) -> None:
    """A certificate that is not to be trusted ends the run, and not a byte of ours was sent."""
    ca = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _certificate(ca, case).configure_cert(server_context)
    received = bytearray()

    async def accept(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            received.extend(await head_of(stream))
            await stream.send_all(b"HTTP/1.1 402 Payment Required\r\n\r\n")
        except trio.BrokenResourceError:
            return

    listeners = await trio.open_ssl_over_tcp_listeners(0, server_context, host="127.0.0.1")
    listener = listeners[0].transport_listener
    assert isinstance(listener, trio.SocketListener)
    port = listener.socket.getsockname()[1]
    endpoint = Endpoint(HOSTED, base_url=f"wss://127.0.0.1:{port}/api/v1", key=KEY)
    assert endpoint.context is not None
    if case != "unknown authority":
        ca.configure_trust(endpoint.context)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, accept, listeners)
        with pytest.raises(StopError) as caught:
            await speech(endpoint).run()
        nursery.cancel_scope.cancel()
    assert caught.value.code == ("402" if case == "good" else "tls")
    assert bool(received) == (case == "good")
    assert not place_in("".join(traceback.format_exception(caught.value)))


async def test_plain_sockets_serve_too(tmp_path: Path) -> None:
    """Without TLS the stream is the socket, and waits as it does."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    endpoint = Endpoint(HOSTED, base_url=f"ws://127.0.0.1:{port}/api/v1", key=KEY)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, answers(b"HTTP/1.1 403 No\r\n\r\n"), listeners)
        with pytest.raises(StopError):
            await speech(endpoint).run()
        stream = GuardedStream(await endpoint.dial(endpoint.host, endpoint.port, None))
        await stream.wait_send_all_might_not_block()
        await stream.aclose()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _serving(
    ca: trustme.CA, port: int, resumed: list[bool], **odd: Any
) -> AsyncIterator[int]:
    """Serve over TLS, and note of each connection whether it resumed a session."""

    async def accept(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.do_handshake()
            async with trio.open_nursery() as nursery:
                request = await wrap_server_stream(nursery, stream)
                resumed.append(bool(stream.session_reused))
                connection = await request.accept()
                await connection.aclose(1013)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    for name, value in odd.items():
        setattr(context, name, value)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    listeners = await trio.open_ssl_over_tcp_listeners(port, context, host="127.0.0.1")
    listener = listeners[0].transport_listener
    assert isinstance(listener, trio.SocketListener)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, accept, listeners)
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def _secure_endpoint(ca: trustme.CA, port: int) -> Endpoint:
    endpoint = Endpoint(HOSTED, base_url=f"wss://127.0.0.1:{port}/api/v1", key=KEY)
    assert endpoint.context is not None
    ca.configure_trust(endpoint.context)
    return endpoint


async def test_a_connection_resumes_the_tls_session_of_the_one_before() -> None:
    """A server that has begun anew since does not know it: it shows its certificate again."""
    ca = trustme.CA()
    resumed: list[bool] = []
    async with _serving(ca, 0, resumed) as port:
        endpoint = _secure_endpoint(ca, port)
        for _ in range(2):
            with pytest.raises(SessionError):
                await speech(endpoint).run()
    async with _serving(ca, port, resumed):
        with pytest.raises(SessionError):
            await speech(endpoint).run()
    assert resumed == [False, True, False]


async def test_a_server_that_fails_to_resume_is_asked_for_it_once() -> None:
    """OpenSSL does so where it asks clients for certificates and its session ids have no context."""
    ca = trustme.CA()
    resumed: list[bool] = []

    def fails(connection: ssl.SSLObject, *_: object) -> ssl.AlertDescription | None:
        failed = ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR
        return failed if connection.session_reused else None

    codes = []
    async with _serving(ca, 0, resumed, sni_callback=fails) as port:
        endpoint = _secure_endpoint(ca, port)
        for _ in range(4):
            with pytest.raises(SessionError) as caught:
                await speech(endpoint).run()
            codes.append(caught.value.code)
    assert codes == ["1013", "connection", "1013", "1013"]
    assert resumed == [False, False, False]


async def test_an_endpoint_leaves_nothing_behind() -> None:
    """A program that runs for months makes one a run: a context holds all authorities of the machine."""
    ca = trustme.CA()

    async def speak_once(port: int) -> weakref.ref[ssl.SSLContext]:
        endpoint = _secure_endpoint(ca, port)
        with suppress(SessionError):
            await speech(endpoint).run()
        assert endpoint.context is not None
        return weakref.ref(endpoint.context)

    async with _serving(ca, 0, []) as port:
        left = [await speak_once(port) for _ in range(3)]
    gc.collect()
    assert [context() for context in left] == [None] * 3


async def test_one_tls_context_serves_an_endpoint(autojump_clock: object) -> None:
    """A fresh context a connection would cost more than the session; ws has none."""
    seen: list[ssl.SSLContext | None] = []

    async def dial(host: str, port: int, context: ssl.SSLContext | None) -> trio.abc.Stream:
        seen.append(context)
        raise OSError("no")

    endpoint = Endpoint(HOSTED, base_url="wss://example.org/api/v1", key=KEY, dial=dial)
    assert (endpoint.host, endpoint.port, endpoint.host_header) == (
        "example.org",
        443,
        "example.org",
    )
    for _ in range(3):
        with pytest.raises(TransientError):
            await speech(endpoint).run()
    assert len(seen) == 3
    assert len(set(map(id, seen))) == 1
    assert seen[0] is not None
    assert seen[0].verify_mode is ssl.CERT_REQUIRED
    assert seen[0].check_hostname
    assert Endpoint(HOSTED, base_url="ws://[::1]:8/api", key="").context is None
