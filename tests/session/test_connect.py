"""Handshakes: deadlines, refusals, floods, and what is not HTTP."""

import ssl

import pytest
import trio
import trio.testing

from batchjobs.errors import (
    PermanentError,
    QuotaSpentError,
    SessionError,
    StopError,
    ThrottledError,
    TimedOutError,
    TransientError,
)
from batchjobs.session import CONNECTION_CODE, Endpoint
from tests.builders import HOSTED, audio_message, make_endpoint, make_tone
from tests.session.scripted import (
    KEY,
    endpoint_at,
    fail_speech,
    run_service,
    run_speech,
    speaks,
    speech,
)
from tests.streams import Peer, answers

pytestmark = pytest.mark.usefixtures("library_hooks")


async def test_a_tcp_peer_that_says_nothing_ends_by_its_deadline(autojump_clock: object) -> None:
    """The handshake has one deadline, and its failure never reached the service."""

    async def silent(stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    error = await fail_speech(TimedOutError, raw=silent, within=HOSTED.connect_seconds + 0.1)
    assert error.code == CONNECTION_CODE


async def test_a_dial_that_never_ends_has_the_same_deadline(autojump_clock: object) -> None:
    """A look-up or connect that hangs is a handshake that hangs."""

    async def hangs(host: str, port: int, context: ssl.SSLContext | None) -> trio.abc.Stream:
        await trio.sleep_forever()
        raise AssertionError

    endpoint = make_endpoint(hangs, key=KEY)
    began = trio.current_time()
    with pytest.raises(TimedOutError):
        await speech(endpoint).run()
    assert trio.current_time() - began == pytest.approx(HOSTED.connect_seconds)


async def test_a_head_that_drips_ends_by_the_same_deadline(autojump_clock: object) -> None:
    """A byte a second feeds no deadline."""

    async def drips(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 ")
        while True:
            await stream.send_all(b"1")
            await trio.sleep(1)

    await fail_speech(TimedOutError, raw=drips, within=HOSTED.connect_seconds + 0.1)


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", CONNECTION_CODE),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "protocol"),
        (b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200", CONNECTION_CODE),
        (b"", CONNECTION_CODE),
    ],
)
async def test_what_is_not_http_is_told_at_once(
    response: bytes, code: str, autojump_clock: object
) -> None:
    """A banner, or an early end, is a transient failure and no waiting."""
    error = await fail_speech(TransientError, raw=answers(response), within=0.1)
    assert error.code in {code, "protocol"}


@pytest.mark.parametrize("fault", ["break_reads_after", "break_sends_after"])
async def test_a_reset_in_the_handshake_is_told_at_once(fault: str, autojump_clock: object) -> None:
    """The library would wait for ever; nobody waits for a connection that is gone."""
    error = await fail_speech(TransientError, speaks, within=0.1, **{fault: 0})
    assert error.code == CONNECTION_CODE


async def test_an_upgrade_that_proves_nothing_ends(autojump_clock: object) -> None:
    """A 101 without the right answer to our nonce opens no connection."""
    response = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    )
    await fail_speech(TransientError, raw=answers(response), within=0.1)


REFUSALS = [
    ("401 Unauthorized", "", StopError, "401", None),
    ("402 Payment Required", "", QuotaSpentError, "402", None),
    ("403 Forbidden", "", StopError, "403", None),
    ("404 Not Found", "", PermanentError, "404", None),
    ("429 Too Many", "Retry-After: 7\r\n", ThrottledError, "429", 7.0),
    ("429 Too Many", "retry-after:12\r\n", ThrottledError, "429", 12.0),
    ("429 Too Many", "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n", ThrottledError, "429", None),
    ("429 Too Many", "Retry-After: 99999999\r\n", ThrottledError, "429", None),
    ("429 Too Many", "", ThrottledError, "429", None),
    ("500 Oops", "", TransientError, "500", None),
    ("503 Busy", "Retry-After: 3\r\n", TransientError, "503", 3.0),
    ("302 Found", "Location: ws://elsewhere/\r\n", PermanentError, "302", None),
    ("308 Moved", "Location: ws://elsewhere/\r\n", PermanentError, "308", None),
    ("200 OK", "", TransientError, "200", None),
    ("103 Early Hints", "", TransientError, "103", None),
]

BODIES = {
    "none": "Content-Length: 0\r\n\r\n",
    "whole": "Content-Length: 5\r\n\r\nsorry",
    "until the end": "Connection: close\r\n\r\nsorry",
    "cut off": "Content-Length: 500\r\n\r\nsorry",
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(("status", "headers", "kind", "code", "wait"), REFUSALS)
async def test_a_refusal_is_classed_by_its_status(
    status: str,
    headers: str,
    kind: type[SessionError],
    code: str,
    wait: float | None,
    body: str,
    autojump_clock: object,
) -> None:
    """Whatever its body looks like, the status decides; and a redirect is never followed."""
    response = f"HTTP/1.1 {status}\r\n{headers}{BODIES[body]}".encode()
    async with run_service(raw=answers(response)) as service:
        session = speech(endpoint_at(service))
        with pytest.raises(kind) as caught:
            await session.run()
        assert len(service.streams) == 1
    assert caught.value.code == code
    assert caught.value.retry_after_seconds == wait
    assert not session.was_connected


@pytest.mark.parametrize("status", ["401 No", "503 Busy"])
async def test_an_endless_error_body_is_not_read(status: str, autojump_clock: object) -> None:
    """The head says all; the body may go on for ever."""

    async def endless(stream: trio.abc.Stream) -> None:
        while True:
            await stream.send_all(b"x" * 1000)
            await trio.sleep(0.1)

    response = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\n\r\n".encode()
    error = await fail_speech(
        StopError if "401" in status else TransientError,
        raw=answers(response, then=endless),
        within=0.2,
    )
    assert error.code == status[:3]


async def test_an_endless_head_is_cut_off(autojump_clock: object) -> None:
    """No answer to a handshake takes more than some KiB of memory."""
    taken = 0

    async def endless(stream: trio.abc.Stream) -> None:
        nonlocal taken
        while True:
            taken += 1
            await stream.send_all(b"X-More: " + b"x" * 1000 + b"\r\n")
            await trio.sleep(0.001)

    await fail_speech(TransientError, raw=answers(b"HTTP/1.1 500 No\r\n", then=endless), within=1)
    assert taken < 64


async def test_frames_right_behind_the_handshake_are_not_lost(autojump_clock: object) -> None:
    """What comes in one packet with the upgrade belongs to the session."""

    async def eager(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        for _ in range(3):
            await peer.send(audio_message(make_tone(5.0)))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    assert len((await run_speech(eager)).pcm) == 3 * len(make_tone(5.0))


@pytest.mark.parametrize("number", range(5))
async def test_a_service_that_takes_us_and_leaves_at_once_is_a_broken_connection(
    number: int, autojump_clock: object
) -> None:
    """An end right behind the upgrade is no failure of the handshake."""

    async def leaves(peer: Peer) -> None:
        return

    error = await fail_speech(TransientError, leaves, within=0.1)
    assert error.code == "1006"


async def test_no_host_name_is_told_as_no_connection() -> None:
    """A label that cannot be looked up is an error of ours to tell, not a crash."""
    endpoint = Endpoint(HOSTED, base_url=f"ws://{'a' * 70}.example/api", key=KEY)
    with pytest.raises(TransientError) as caught:
        await speech(endpoint).run()
    assert caught.value.code == CONNECTION_CODE


async def test_a_refused_connection_is_told_as_no_connection() -> None:
    """The reason is the system's own words, and where; without its number and Python's brackets."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    endpoint = Endpoint(HOSTED, base_url=f"ws://127.0.0.1:{port}/api", key=KEY)
    with pytest.raises(TransientError) as caught:
        await speech(endpoint).run()
    assert caught.value.message == f"no connection: 127.0.0.1, port {port}: Connection refused"
    assert caught.value.code == CONNECTION_CODE


@pytest.mark.parametrize("deep", [False, True])
async def test_no_file_descriptors_left_slows_the_run_down(
    deep: bool, autojump_clock: object
) -> None:
    """It is our machine that has no room: no attempt is used up."""

    async def full(host: str, port: int, context: ssl.SSLContext | None) -> trio.abc.Stream:
        error = OSError(24, "Too many open files")
        if not deep:
            raise error
        group = ExceptionGroup("all", [ConnectionRefusedError(111, "refused"), error])
        raise OSError("all attempts to connect failed") from group

    endpoint = make_endpoint(full, key=KEY)
    with pytest.raises(ThrottledError) as caught:
        await speech(endpoint).run()
    assert caught.value.code == "EMFILE"
