"""Sessions against a scripted service over memory streams, on a clock that jumps."""

import datetime as dt
import functools
import itertools
import json
import logging
import ssl
import sys
import traceback
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import soundfile
import trio
import trio.testing
import trustme
from trio_websocket import ConnectionClosed, WebSocketConnection

from batchjobs.errors import (
    MuteError,
    PermanentError,
    SessionError,
    StopError,
    ThrottledError,
    TimedOutError,
    TransientError,
)
from batchjobs.jobs import Doubt, Ending, Kind, Segment, Sign, SpeechSettings, Verdict
from batchjobs.plausibility.transcripts import TranscriptRates
from batchjobs.protocol.codec import ChunkEncoding
from batchjobs.protocol.stt import TranscriptResult
from batchjobs.protocol.tts import SpeechResult
from batchjobs.providers import BUILT_IN, Provider
from batchjobs.server.engines.tone import ToneSynthesiser
from batchjobs.session import (
    CONNECTION_CODE,
    RECORDING_CODE,
    Link,
    SpeechSession,
    TranscriptSession,
    exchange,
    recording_chunks,
)
from batchjobs.session.handshake_guard import GuardedStream
from batchjobs.websocket import direct_delivery
from tests.canary import key_with, place_in
from tests.streams import READY, Peer, Raw, Service, Talk, answers, audio, head_of, tone

HOSTED = BUILT_IN["munsit"]
TONES = SpeechSettings(voice_id="any", model_id="any", output_format="pcm_16000")
DRAINING = replace(HOSTED, close_drains=True)
KEY = key_with("+/=&% 4711")
ARABIC = "مَرْحَبًا بِكُم ١٢٣ ـــ\u200dhello\u200c عالم "
PCM = tone(1.0)
SPEECH = SpeechSettings(voice_id="v", model_id="m")
CLOSE_SECONDS = 2.0


class Lenient:
    """A judge that finds every audio plausible."""

    minimum_seconds = 0.0

    def is_ample(self, pcm: bytes, sample_rate: int) -> bool:
        """Find that all of it may be there."""
        return True

    def verdict(self, pcm: bytes, sample_rate: int, ending: Ending) -> Verdict:
        """Doubt nothing."""
        return Verdict()


@pytest.fixture(autouse=True, params=[True, False], ids=["hooks", "no hooks"])
def library_hooks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Let every session go both ways: with our parts in the library, and without."""
    made = functools.partial(Link, library_hooks=request.param)
    monkeypatch.setattr(sys.modules[__name__], "Link", made)
    return bool(request.param)


def link_to(
    service: Service, provider: Provider = HOSTED, *, key: str = KEY, **others: Any
) -> Link:
    """Make the way to a scripted service."""
    return Link(provider, base_url="ws://127.0.0.1:9/api/v1", key=key, dial=service.dial, **others)


def speech(link: Link, texts: list[str] | None = None, **others: Any) -> SpeechSession:
    """Make a session that speaks."""
    segment = Segment(key="k", kind=Kind.TTS, text=ARABIC, speech=SPEECH)
    return SpeechSession(
        link, segment, texts=[ARABIC] if texts is None else texts, judge=Lenient(), **others
    )


async def chunks_of(count: int, *, seconds: float = 1.0) -> AsyncGenerator[bytes, None]:
    """Give chunks of a recording without any thread."""
    for number in range(count):
        yield bytes([number + 1, 0]) * round(16_000 * seconds)


@asynccontextmanager
async def serving(
    talk: Talk | None = None, *, raw: Raw | None = None, **faults: Any
) -> AsyncIterator[Service]:
    """Run a scripted service, and see that the client left no stream open and no task behind."""
    before = trio.lowlevel.current_statistics().tasks_living
    failure: SessionError | None = None
    async with trio.open_nursery() as nursery:
        service = Service(nursery, talk=talk, raw=raw, faults=faults)
        try:
            yield service
        except SessionError as error:
            failure = error
        assert all(stream.is_closed for stream in service.streams)
        nursery.cancel_scope.cancel()
    assert trio.lowlevel.current_statistics().tasks_living == before
    if failure is not None:
        raise failure


async def spoken(
    talk: Talk | None = None,
    *,
    raw: Raw | None = None,
    provider: Provider = HOSTED,
    texts: list[str] | None = None,
    **faults: Any,
) -> SpeechResult:
    """Run one session that speaks against a scripted service."""
    async with serving(talk, raw=raw, **faults) as service:
        return await speech(link_to(service, provider), texts).run()
    raise AssertionError


async def missed(
    kind: type[SessionError], *arguments: Any, within: float, **named: Any
) -> SessionError:
    """Run a session that must fail so, within so many seconds."""
    began = trio.current_time()
    with pytest.raises(kind) as caught:
        await spoken(*arguments, **named)
    assert type(caught.value) is kind
    assert trio.current_time() - began <= within
    assert KEY not in "".join(traceback.format_exception(caught.value))
    return caught.value


async def speaks(peer: Peer, *, drains: bool = False) -> None:
    """Behave as a service should."""
    await peer.begin()
    await peer.text()
    for start in range(0, len(PCM), 10_001):
        await peer.send(audio(PCM[start : start + 10_001]))
    await peer.until_asked_to_close()
    await peer.connection.aclose(1000)


# -- what goes well ----------------------------------------------------------------------------


async def test_a_text_becomes_its_audio(autojump_clock: object) -> None:
    """The samples are those sent, odd cuts included; the text arrives as it was."""
    async with serving(speaks) as service:
        session = speech(link_to(service), [ARABIC, "next\n", ""])
        assert not session.was_connected
        assert session.sent_characters == 0
        result = await session.run()
        messages = service.peers[0].messages
    assert bytes(result.pcm) == PCM
    assert result.sample_rate == 24_000
    assert result.evidence.ending is Ending.QUIET
    assert result.evidence.close_code == 1000
    assert session.was_connected
    assert session.sent_characters == len(ARABIC) + 5
    assert session.sent_audio_seconds == 0.0
    assert [m.get("text") for m in messages[1:4]] == [ARABIC, "next\n", ""]
    assert [m.get("flush") for m in messages[1:4]] == [False, False, True]


async def test_where_close_drains_no_quiet_time_is_spent(autojump_clock: object) -> None:
    """The close follows the text at once, and the server's close is the end."""
    began = trio.current_time()
    result = await spoken(speaks, provider=DRAINING)
    assert bytes(result.pcm) == PCM
    assert result.evidence.ending is Ending.DRAINED
    assert trio.current_time() - began < 0.1


async def test_bytes_may_come_one_by_one(autojump_clock: object) -> None:
    """However the network slices, the result is the same."""
    assert bytes((await spoken(speaks, slice_bytes=7)).pcm) == PCM


async def test_the_service_is_proven_by_its_first_audio(autojump_clock: object) -> None:
    """The callback comes once, when there is audio."""
    proofs: list[float] = []

    async def late(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await trio.sleep(3)
        assert not proofs
        await peer.send(audio(PCM))
        await peer.send(audio(PCM))
        await peer.until_asked_to_close()

    async with serving(late) as service:
        await speech(link_to(service), on_proven=lambda: proofs.append(trio.current_time())).run()
    assert len(proofs) == 1


async def test_messages_take_the_short_way_where_the_library_is_known(
    library_hooks: bool,
    autojump_clock: object,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where it has changed, a line says so, and the audio comes as well."""
    made: list[direct_delivery.Mailbox] = []

    class Noted(direct_delivery.Mailbox):
        """Notes that it is used."""

        def __init__(self, queue: Any) -> None:
            super().__init__(queue)
            made.append(self)

    monkeypatch.setattr(direct_delivery, "Mailbox", Noted)
    for name in ("_send_channel", "_renamed"):
        monkeypatch.setattr(direct_delivery, "_ATTRIBUTE", name)
        assert bytes((await spoken(speaks_once)).pcm) == PCM
    assert [each.take is not None for each in made] == [True] * library_hooks
    assert ("slower parts stay in use" in caplog.text) is library_hooks


async def speaks_once(peer: Peer) -> None:
    """Say one message, and leave the close to the client."""
    await peer.begin()
    await peer.text()
    await peer.send(audio(PCM))
    await trio.sleep_forever()


async def test_what_goes_wrong_while_closing_takes_no_result_back(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even a mistake in a library: what is decided is paid for."""

    async def stumble(*_: object, **__: object) -> None:
        raise ValueError("in the library")

    async with serving(speaks_once) as service:
        monkeypatch.setattr(WebSocketConnection, "aclose", stumble)
        assert bytes((await speech(link_to(service)).run()).pcm) == PCM
    assert "after its session" in caplog.text


async def test_a_mistake_of_ours_in_mid_audio_is_told_as_what_it_is(autojump_clock: object) -> None:
    """Whatever it is, even what the library catches for purposes of its own."""

    def stumble() -> None:
        raise KeyError("of ours")

    async def speaks(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(audio(PCM))
        await trio.sleep_forever()

    with pytest.RaisesGroup(KeyError, flatten_subgroups=True):
        async with serving(speaks) as service:
            await speech(link_to(service), on_proven=stumble).run()


async def test_a_peer_that_never_answers_the_close_changes_nothing(
    autojump_clock: object,
) -> None:
    """The outcome is decided by then; the close may take two seconds and no more."""

    async def deaf(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(audio(PCM))
        await peer.stop_answering()
        await trio.sleep_forever()

    began = trio.current_time()
    assert bytes((await spoken(deaf)).pcm) == PCM
    allowed = HOSTED.quiet_seconds + HOSTED.drain_seconds + CLOSE_SECONDS
    assert trio.current_time() - began == pytest.approx(allowed, abs=0.1)


@pytest.mark.parametrize(
    "last_words",
    [b"\x89\x00", b"\xff\xff\xff", b"\x81\x7f" + b"\x00" * 4 + b"\x7f" * 4 + b"x" * 100],
)
async def test_what_comes_while_closing_takes_no_result_back(
    last_words: bytes, autojump_clock: object
) -> None:
    """A ping, garbage or a monstrous frame after the decision does not make us pay again."""

    async def noisy(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(audio(PCM))
        await peer.until_asked_to_close()
        await peer.stop_answering()
        while True:
            data = await peer.stream.receive_some()
            if data and data[0] == 0x88:
                await peer.stream.send_all(last_words)
            if not data:
                return

    assert bytes((await spoken(noisy)).pcm) == PCM


async def test_a_connection_dropped_after_the_quiet_time_is_no_failure(
    autojump_clock: object,
) -> None:
    """The audio was complete before the line broke."""

    async def leaves(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(audio(PCM))
        await peer.until_asked_to_close()

    result = await spoken(leaves)
    assert result.evidence.ending is Ending.QUIET
    assert result.evidence.close_code == 1006


async def test_pings_are_answered_while_audio_is_awaited(autojump_clock: object) -> None:
    """A service that checks on us does not drop us."""

    async def pinging(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        with trio.fail_after(1):
            await peer.connection.ping(b"there?")
        await peer.send(audio(PCM))
        await peer.until_asked_to_close()

    assert bytes((await spoken(pinging)).pcm) == PCM


# -- handshakes --------------------------------------------------------------------------------


async def test_a_tcp_peer_that_says_nothing_ends_by_its_deadline(autojump_clock: object) -> None:
    """The handshake has one deadline, and its failure never reached the service."""

    async def silent(stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    error = await missed(TimedOutError, raw=silent, within=HOSTED.connect_seconds + 0.1)
    assert error.code == CONNECTION_CODE


async def test_a_dial_that_never_ends_has_the_same_deadline(autojump_clock: object) -> None:
    """A look-up or connect that hangs is a handshake that hangs."""

    async def hangs(host: str, port: int, context: ssl.SSLContext | None) -> trio.abc.Stream:
        await trio.sleep_forever()
        raise AssertionError

    link = Link(HOSTED, base_url="ws://127.0.0.1:9", key=KEY, dial=hangs)
    began = trio.current_time()
    with pytest.raises(TimedOutError):
        await speech(link).run()
    assert trio.current_time() - began == pytest.approx(HOSTED.connect_seconds)


async def test_a_head_that_drips_ends_by_the_same_deadline(autojump_clock: object) -> None:
    """A byte a second feeds no deadline."""

    async def drips(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 ")
        while True:
            await stream.send_all(b"1")
            await trio.sleep(1)

    await missed(TimedOutError, raw=drips, within=HOSTED.connect_seconds + 0.1)


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
    error = await missed(TransientError, raw=answers(response), within=0.1)
    assert error.code in {code, "protocol"}


@pytest.mark.parametrize("fault", ["break_reads_after", "break_sends_after"])
async def test_a_reset_in_the_handshake_is_told_at_once(fault: str, autojump_clock: object) -> None:
    """The library would wait for ever; nobody waits for a connection that is gone."""
    error = await missed(TransientError, speaks, within=0.1, **{fault: 0})
    assert error.code == CONNECTION_CODE


async def test_an_upgrade_that_proves_nothing_ends(autojump_clock: object) -> None:
    """A 101 without the right answer to our nonce opens no connection."""
    response = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    )
    await missed(TransientError, raw=answers(response), within=0.1)


REFUSALS = [
    ("401 Unauthorized", "", StopError, "401", None),
    ("402 Payment Required", "", StopError, "402", None),
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
    async with serving(raw=answers(response)) as service:
        session = speech(link_to(service))
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
    error = await missed(
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

    await missed(TransientError, raw=answers(b"HTTP/1.1 500 No\r\n", then=endless), within=1)
    assert taken < 64


async def test_frames_right_behind_the_handshake_are_not_lost(autojump_clock: object) -> None:
    """What comes in one packet with the upgrade belongs to the session."""

    async def eager(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        for _ in range(3):
            await peer.send(audio(tone(5.0)))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    assert len((await spoken(eager)).pcm) == 3 * len(tone(5.0))


@pytest.mark.parametrize("number", range(5))
async def test_a_service_that_takes_us_and_leaves_at_once_is_a_broken_connection(
    number: int, autojump_clock: object
) -> None:
    """An end right behind the upgrade is no failure of the handshake."""

    async def leaves(peer: Peer) -> None:
        return

    error = await missed(TransientError, leaves, within=0.1)
    assert error.code == "1006"


async def test_no_host_name_is_told_as_no_connection() -> None:
    """A label that cannot be looked up is an error of ours to tell, not a crash."""
    link = Link(HOSTED, base_url=f"ws://{'a' * 70}.example/api", key=KEY)
    with pytest.raises(TransientError) as caught:
        await speech(link).run()
    assert caught.value.code == CONNECTION_CODE


async def test_a_refused_connection_is_told_as_no_connection() -> None:
    """The reason is the system's own words."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    link = Link(HOSTED, base_url=f"ws://127.0.0.1:{port}/api", key=KEY)
    with pytest.raises(TransientError, match="refused") as caught:
        await speech(link).run()
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

    link = Link(HOSTED, base_url="ws://127.0.0.1:9", key=KEY, dial=full)
    with pytest.raises(ThrottledError) as caught:
        await speech(link).run()
    assert caught.value.code == "EMFILE"


# -- speech that does not come -----------------------------------------------------------------


async def mute(peer: Peer) -> None:
    """Never say a word."""
    await trio.sleep_forever()


async def test_a_first_message_unanswered_has_its_deadline(autojump_clock: object) -> None:
    """A mute service ends within the time to get ready."""
    error = await missed(TimedOutError, mute, within=HOSTED.ready_seconds + CLOSE_SECONDS + 0.1)
    assert "first message" in error.message


@pytest.mark.parametrize("provider", [HOSTED, DRAINING])
async def test_no_audio_has_its_deadline(provider: Provider, autojump_clock: object) -> None:
    """A service that takes the text and stays silent fails; no file is made."""

    async def silent(peer: Peer) -> None:
        await peer.begin()
        await trio.sleep_forever()

    error = await missed(
        MuteError,
        silent,
        provider=provider,
        within=HOSTED.first_audio_seconds + CLOSE_SECONDS + 0.1,
    )
    assert "no audio" in error.message


@pytest.mark.parametrize(
    "noise",
    ['{"type":"notice"}', audio(b""), audio(b"", isFinal=True), '{"type":"warning","x":[1,2]}'],
)
async def test_a_flood_without_audio_feeds_no_deadline(noise: str, autojump_clock: object) -> None:
    """Only audio counts as progress."""

    async def floods(peer: Peer) -> None:
        await peer.begin()
        while True:
            await peer.send(noise)
            await trio.sleep(0.05)

    await missed(MuteError, floods, within=HOSTED.first_audio_seconds + CLOSE_SECONDS + 0.2)


async def test_pings_feed_no_deadline(autojump_clock: object) -> None:
    """A service that only ever pings is a mute service."""

    async def pings(peer: Peer) -> None:
        await peer.begin()
        while True:
            await peer.stream.send_all(b"\x89\x00")
            await trio.sleep(1)

    await missed(MuteError, pings, within=HOSTED.first_audio_seconds + CLOSE_SECONDS + 0.1)


async def test_dripping_bytes_feed_no_deadline(autojump_clock: object) -> None:
    """A message that comes a byte a second is no message."""

    async def drips(peer: Peer) -> None:
        await peer.begin()
        await peer.stream.send_all(b"\x81\x7e\xff\x00")
        while True:
            await peer.stream.send_all(b"{")
            await trio.sleep(1)

    await missed(MuteError, drips, within=HOSTED.first_audio_seconds + CLOSE_SECONDS + 0.1)


async def test_a_service_that_stops_reading_ends_by_its_deadline(autojump_clock: object) -> None:
    """A send that hangs is bounded, also by the close that follows."""
    texts = ["x" * 1000 for _ in range(50)]
    error = await missed(
        TimedOutError,
        speaks,
        texts=texts,
        stall_sends_after=20_000,
        within=HOSTED.ready_seconds + CLOSE_SECONDS + 0.1,
    )
    assert "stopped taking text" in error.message


async def test_audio_slower_than_a_tenth_of_its_pace_ends(autojump_clock: object) -> None:
    """A service that drips audio does not hold a slot for ever."""

    async def slow(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        while True:
            await peer.send(audio(tone(0.01)))
            await trio.sleep(1)

    await missed(TimedOutError, slow, within=60)


@pytest.mark.parametrize("code", [1001, 1003, 1006, 1009, 1011, 1012, 3000, 4999])
async def test_a_close_in_mid_audio_is_a_failure(code: int, autojump_clock: object) -> None:
    """Audio that a close cut short is never called complete."""

    async def leaves(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(audio(PCM))
        if code == 1006:
            return
        await peer.connection.aclose(code, "because")

    error = await missed(TransientError, leaves, within=CLOSE_SECONDS + 0.1)
    assert error.code == str(code)


async def test_a_close_with_1013_slows_the_run_down(autojump_clock: object) -> None:
    """Try again later is throttling."""

    async def leaves(peer: Peer) -> None:
        await peer.begin()
        await peer.connection.aclose(1013)

    await missed(ThrottledError, leaves, within=CLOSE_SECONDS + 0.1)


@pytest.mark.parametrize("has_audio", [False, True])
async def test_a_normal_close_counts_only_after_audio_and_all_text(
    has_audio: bool, autojump_clock: object
) -> None:
    """1000 without audio is a failure; with it the judge has the last word."""

    async def leaves(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        if has_audio:
            await peer.send(audio(PCM))
        await peer.connection.aclose(1000)

    if has_audio:
        assert (await spoken(leaves)).evidence.ending is Ending.CLOSED_BY_SERVER
    else:
        await missed(MuteError, leaves, within=CLOSE_SECONDS + 0.1)


async def test_a_normal_close_in_mid_text_is_a_failure(autojump_clock: object) -> None:
    """A service that leaves before it has heard all cannot have said all."""

    async def leaves(peer: Peer) -> None:
        await peer.begin()
        await peer.get()
        await peer.send(audio(PCM))
        await peer.connection.aclose(1000)

    texts = ["x" * 1000 for _ in range(50)]
    error = await missed(
        TransientError, leaves, texts=texts, stall_sends_after=20_000, within=CLOSE_SECONDS + 0.1
    )
    assert error.code == "1000"


@pytest.mark.parametrize("frame", [b"\xff\xff\xff\xff", b"\x83\x00", b"\x81\x02\xc3\x28"])
@pytest.mark.parametrize("provider", [HOSTED, DRAINING])
async def test_broken_frames_in_mid_audio_are_a_failure(
    frame: bytes, provider: Provider, autojump_clock: object
) -> None:
    """Garbage on the line is no normal end, whatever has come before it."""

    async def garbles(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(audio(PCM))
        await peer.stream.send_all(frame)
        await trio.sleep_forever()

    error = await missed(TransientError, garbles, provider=provider, within=CLOSE_SECONDS + 0.1)
    assert error.code in {"1002", "1007"}


async def test_broken_frames_while_we_send_are_a_failure(autojump_clock: object) -> None:
    """A sender that finds the connection broken leaves the verdict to the listener."""

    async def garbles(peer: Peer) -> None:
        await peer.begin()
        await peer.get()
        await peer.stream.send_all(b"\xff\xff\xff\xff")
        await trio.sleep_forever()

    await missed(TransientError, garbles, texts=["x" * 100] * 500, within=CLOSE_SECONDS + 0.1)


@pytest.mark.parametrize("payload", ["nonsense", '{"audio":"###"}', b"\x00\x01", "\u0000"])
async def test_messages_that_cannot_be_read_are_a_failure(
    payload: str | bytes, autojump_clock: object
) -> None:
    """Garbage ends in a named failure and no crash."""

    async def garbles(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(audio(PCM))
        await peer.send(payload)
        await trio.sleep_forever()

    began = trio.current_time()
    with pytest.raises(TransientError):
        await spoken(garbles)
    assert trio.current_time() - began <= CLOSE_SECONDS + 0.1


@pytest.mark.parametrize(
    ("message", "kind", "code"),
    [
        ({"type": "error", "errorCode": 40101, "errorMessage": "no"}, StopError, "40101"),
        ({"type": "error", "errorCode": "40201", "message": "no"}, StopError, "40201"),
        ({"errorCode": "40001", "errorMessage": "لا"}, PermanentError, "40001"),
        ({"type": "error", "errorCode": "42901"}, ThrottledError, "42901"),
        ({"type": "error", "errorCode": 50202, "message": "up"}, TransientError, "50202"),
        ({"type": "error", "message": "free words"}, TransientError, ""),
    ],
)
async def test_an_error_message_goes_by_its_code(
    message: dict[str, Any], kind: type[SessionError], code: str, autojump_clock: object
) -> None:
    """Numbers or strings, with or without a type."""

    async def fails(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(audio(PCM))
        await peer.send(message)
        await trio.sleep_forever()

    error = await missed(kind, fails, within=CLOSE_SECONDS + 0.1)
    assert error.code == code


async def test_an_error_and_a_close_in_one_packet_are_told_as_the_error(
    autojump_clock: object,
) -> None:
    """The words before the close are the reason."""

    async def fails(peer: Peer) -> None:
        await peer.get()
        await peer.send({"type": "error", "errorCode": 40101, "errorMessage": "no"})
        await peer.connection.aclose(1011)

    assert (await missed(StopError, fails, within=CLOSE_SECONDS + 0.1)).code == "40101"


async def test_a_message_beyond_16_mib_is_refused(autojump_clock: object) -> None:
    """Memory is bounded whatever comes."""

    async def huge(peer: Peer) -> None:
        await peer.begin()
        await peer.send("x" * (16 * 1024 * 1024 + 1))
        await trio.sleep_forever()

    assert (await missed(TransientError, huge, within=CLOSE_SECONDS + 0.1)).code == "1009"


async def test_a_message_of_15_mib_is_taken(autojump_clock: object) -> None:
    """The library's own limit of 1 MiB would end long audio."""
    pcm = tone(220.0)

    async def large(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(audio(pcm))
        await peer.until_asked_to_close()

    assert bytes((await spoken(large, texts=["x" * 200])).pcm) == pcm


async def test_an_implausible_result_is_handed_out_with_its_doubts(
    autojump_clock: object,
) -> None:
    """It was paid for: all of it comes, and what speaks against it."""
    doubt = Doubt(sign=Sign.SHORT, message="too short")

    class Strict(Lenient):
        def verdict(self, pcm: bytes, sample_rate: int, ending: Ending) -> Verdict:
            return Verdict(doubts=(doubt,))

    async with serving(speaks) as service:
        segment = Segment(key="k", kind=Kind.TTS, text="x", speech=SPEECH)
        session = SpeechSession(link_to(service), segment, texts=["x"], judge=Strict())
        result = await session.run()
    assert result.doubts == (doubt,)
    assert bytes(result.pcm) == PCM


async def test_deadlines_shrink_and_grow_as_the_machine_says(autojump_clock: object) -> None:
    """From first audio (30 s) to quiet (2.5 s) and to final quiet (1 s) the listener follows."""

    async def paused(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await trio.sleep(HOSTED.first_audio_seconds - 1)
        await peer.send(audio(PCM))
        await trio.sleep(HOSTED.quiet_seconds - 0.1)
        await peer.send(audio(PCM))
        await peer.send(audio(b"", isFinal=True))
        asked = trio.current_time()
        await peer.until_asked_to_close()
        assert trio.current_time() - asked == pytest.approx(HOSTED.final_quiet_seconds, abs=0.01)
        await peer.connection.aclose(1000)

    assert bytes((await spoken(paused)).pcm) == PCM * 2


async def test_a_broken_line_in_mid_session_never_looks_like_no_connection(
    autojump_clock: object,
) -> None:
    """Text was sent by then, and may be billed."""
    error = await missed(
        TransientError, speaks, texts=["x" * 1000] * 50, break_sends_after=20_000, within=0.1
    )
    assert error.code == "1006"
    error = await missed(TransientError, speaks, break_reads_after=300, within=0.1)
    assert error.code == "1006"


@pytest.mark.parametrize("broken", [trio.BrokenResourceError, OSError])
async def test_a_read_that_breaks_in_mid_session_is_a_broken_connection(
    broken: type[Exception], autojump_clock: object
) -> None:
    """Whatever the stream calls it."""
    error = await missed(
        TransientError, speaks, break_reads_after=300, broken=broken, within=CLOSE_SECONDS
    )
    assert error.code == "1006"


def test_a_connection_that_ends_without_any_close_broke() -> None:
    """No code at all must not pass for a normal end."""
    code, reason = exchange._close_of(ConnectionClosed(None))
    assert code == 1006
    assert reason


# -- transcripts -------------------------------------------------------------------------------


async def transcribed(
    talk: Talk, *, provider: Provider = HOSTED, chunks: AsyncGenerator[bytes, None] | None = None
) -> TranscriptResult:
    """Run one session that transcribes."""
    async with serving(talk) as service:
        return await TranscriptSession(
            link_to(service, provider), chunks=chunks or chunks_of(3)
        ).run()
    raise AssertionError


def heard(text: str) -> dict[str, Any]:
    """Write a transcription."""
    return {"event": "transcription", "data": text}


async def listens(peer: Peer) -> None:
    """Answer each chunk with a longer transcript, the Arabic as it is."""
    said = ""
    while True:
        await peer.get()
        said += ARABIC
        await peer.send(heard(said))


async def test_a_recording_becomes_its_transcript(autojump_clock: object) -> None:
    """The last text stands, once it has settled."""
    result = await transcribed(listens)
    assert result.text == (ARABIC * 3).strip()
    assert result.verbatim == ARABIC * 3
    assert result.evidence.ending is Ending.SETTLED
    assert result.evidence.sent_audio_seconds == 3.0


async def test_a_transcript_is_judged_by_the_sound_that_was_sent(autojump_clock: object) -> None:
    """Speech-like sound that comes back empty is a result in doubt; silence is one without."""
    sound = b"".join(ToneSynthesiser().synthesise(ARABIC * 3, TONES))

    async def hears_nothing(peer: Peer) -> None:
        while True:
            await peer.get()
            await peer.send(heard(" "))

    async def chunks(pcm: bytes) -> AsyncGenerator[bytes, None]:
        for start in range(0, len(pcm), 32_000):
            yield pcm[start : start + 32_000]

    found = []
    for pcm in (sound, bytes(len(sound))):
        async with serving(hears_nothing) as service:
            judge = TranscriptRates().judge("service/model")
            session = TranscriptSession(link_to(service), chunks=chunks(pcm), judge=judge)
            result = await session.run()
            assert result.text == ""
            found.append([doubt.sign for doubt in result.doubts])
    assert found == [[Sign.UNHEARD], []]


async def test_where_every_chunk_is_answered_no_settling_is_awaited(
    autojump_clock: object,
) -> None:
    """The last answer is the end."""
    provider = replace(HOSTED, transcript_per_chunk=True, pace=0.0)
    began = trio.current_time()
    result = await transcribed(listens, provider=provider)
    assert result.evidence.ending is Ending.ANSWERED
    assert trio.current_time() - began < 0.1


@pytest.mark.parametrize("pace", [1.0, 4.0, 0.0])
async def test_audio_goes_out_at_its_pace(pace: float, autojump_clock: object) -> None:
    """Chunk i goes out i seconds after the start at pace 1, and not before."""
    times: list[float] = []

    async def timed(peer: Peer) -> None:
        while True:
            await peer.get()
            times.append(trio.current_time())
            await peer.send(heard("نعم"))

    await transcribed(timed, provider=replace(HOSTED, pace=pace), chunks=chunks_of(6))
    step = 1 / pace if pace else 0.0
    assert [t - times[0] for t in times] == pytest.approx([i * step for i in range(6)], abs=0.01)


@pytest.mark.parametrize(("form", "whole"), [("wav", [True] * 3), ("raw", [True, False, False])])
async def test_chunks_are_whole_files_or_only_the_first(
    form: str, whole: list[bool], autojump_clock: object
) -> None:
    """The chunk form is the provider's."""
    async with serving(listens) as service:
        provider = replace(HOSTED, chunk_form=form)
        await TranscriptSession(link_to(service, provider), chunks=chunks_of(3)).run()
        sent = [bytes(m["data"]["audioBuffer"]) for m in service.peers[0].messages]
    assert [data.startswith(b"RIFF") for data in sent] == whole
    assert [data[-2:] for data in sent] == [b"\x01\x00", b"\x02\x00", b"\x03\x00"]


@pytest.mark.parametrize("encoding", ChunkEncoding)
async def test_chunks_are_written_as_asked(encoding: ChunkEncoding, autojump_clock: object) -> None:
    """Padded chunks are the longer ones on the wire, and hold the same bytes."""
    sent = {}
    for asked in (ChunkEncoding.COMPACT, encoding):
        async with serving(listens) as service:
            link = link_to(service, encoding=asked)
            await TranscriptSession(link, chunks=chunks_of(3)).run()
            sent[asked] = len(service.streams[0].sent), service.peers[0].messages
    assert sent[encoding][1] == sent[ChunkEncoding.COMPACT][1]
    is_padded = encoding is ChunkEncoding.PADDED
    assert (sent[encoding][0] > sent[ChunkEncoding.COMPACT][0] + 10_000) is is_padded


async def test_a_recording_damaged_midway_is_nobodys_fault_but_its_own(
    autojump_clock: object, tmp_path: Path
) -> None:
    """It fails for good, without another try, and the audio sent is counted."""
    from batchjobs.errors import RecordingError

    async def damaged() -> AsyncGenerator[bytes, None]:
        yield bytes(32_000)
        yield bytes(32_000)
        raise RecordingError("cut off", hint="copy it again")

    async with serving(listens) as service:
        session = TranscriptSession(link_to(service), chunks=damaged())
        assert session.sent_audio_seconds == 0.0
        assert not session.was_connected
        with pytest.raises(PermanentError, match="cut off") as caught:
            await session.run()
    assert caught.value.code == RECORDING_CODE
    assert caught.value.hint == "copy it again"
    assert session.sent_audio_seconds == 2.0
    assert session.sent_characters == 0
    assert session.was_connected


async def test_chunks_of_a_file_come_in_order(tmp_path: Path) -> None:
    """A recording read in threads is the same recording."""
    path = tmp_path / "تسجيل.wav"
    samples = np.arange(16_000 * 10 + 77, dtype=np.int16)
    soundfile.write(path, samples, 16_000)
    chunks = [chunk async for chunk in recording_chunks(path, 1.0)]
    assert b"".join(chunks) == samples.tobytes()
    assert [len(chunk) for chunk in chunks] == [32_000] * 10 + [154]


async def test_an_answer_before_the_last_word_ends_it_at_once(autojump_clock: object) -> None:
    """The recording's end is found out after the last answer came: nothing more is awaited."""

    async def late() -> AsyncGenerator[bytes, None]:
        yield bytes(32_000)
        await trio.sleep(3)

    provider = replace(HOSTED, transcript_per_chunk=True, pace=0.0)
    began = trio.current_time()
    result = await transcribed(listens, provider=provider, chunks=late())
    assert result.evidence.ending is Ending.ANSWERED
    assert trio.current_time() - began == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("_", range(8))  # who of the two sees it first is up to chance
async def test_a_send_that_breaks_leaves_the_verdict_to_the_listener(
    _: int, autojump_clock: object
) -> None:
    """The failure is the connection's, with its code."""
    async with serving(listens, break_sends_after=100_000) as service:
        with pytest.raises(TransientError) as caught:
            await TranscriptSession(link_to(service), chunks=chunks_of(9)).run()
    assert caught.value.code == "1006"


async def test_no_transcript_has_its_deadline(autojump_clock: object) -> None:
    """A service that only listens fails."""

    async def only_listens(peer: Peer) -> None:
        while True:
            await peer.get()

    began = trio.current_time()
    with pytest.raises(TimedOutError, match="no transcript"):
        await transcribed(only_listens)
    allowed = 2 + HOSTED.first_transcript_seconds + CLOSE_SECONDS
    assert trio.current_time() - began <= allowed + 0.1


async def test_a_service_that_stops_taking_audio_ends_by_its_deadline(
    autojump_clock: object,
) -> None:
    """A send that hangs is bounded."""
    async with serving(listens, stall_sends_after=300_000) as service:
        began = trio.current_time()
        with pytest.raises(TimedOutError, match="stopped taking audio"):
            await TranscriptSession(link_to(service), chunks=chunks_of(10)).run()
        allowed = 4 + 1 + HOSTED.ready_seconds + CLOSE_SECONDS
        assert trio.current_time() - began <= allowed + 0.1


@pytest.mark.parametrize("code", [1000, 1011])
async def test_a_close_before_all_audio_was_sent_is_a_failure(
    code: int, autojump_clock: object
) -> None:
    """A normal code makes no difference; the generator is closed."""
    ended: list[bool] = []

    async def watched() -> AsyncGenerator[bytes, None]:
        try:
            for _ in range(10):
                yield bytes(32_000)
        finally:
            ended.append(True)

    async def leaves(peer: Peer) -> None:
        await peer.get()
        await peer.send(heard("نعم"))
        await peer.connection.aclose(code)

    with pytest.raises(TransientError) as caught:
        await transcribed(leaves, chunks=watched())
    assert caught.value.code == str(code)
    assert ended == [True]


async def test_a_recogniser_that_fails_is_told_in_its_own_words(autojump_clock: object) -> None:
    """The code is the one that is worth one more try."""

    async def fails(peer: Peer) -> None:
        await peer.get()
        await peer.send({"event": "transcription_error", "data": "overloaded"})
        await trio.sleep_forever()

    with pytest.raises(TransientError, match="overloaded") as caught:
        await transcribed(fails)
    assert caught.value.code == "transcription_error"


# -- keys --------------------------------------------------------------------------------------

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
    async with serving(speaks) as service:
        link = link_to(service, provider)
        await speech(link).run()
        assert _ways_seen(service.peers[0]) == set(ways)
        assert not place_in(repr(link))
    async with serving(listens) as service:
        await TranscriptSession(link_to(service, provider), chunks=chunks_of(1)).run()
        assert _ways_seen(service.peers[0]) == set(ways) - {"init"}
    shown = caplog.text + "".join(capfd.readouterr())
    assert not place_in(shown)
    logging.getLogger("trio-websocket").setLevel(logging.NOTSET)


async def test_a_model_of_the_recogniser_travels_in_the_query(autojump_clock: object) -> None:
    """Percent-encoded, as all that does."""
    async with serving(listens) as service:
        provider = replace(HOSTED, stt_model="munsit en&ar")
        await TranscriptSession(link_to(service, provider), chunks=chunks_of(1)).run()
        path = service.peers[0].request.path
    assert path == "/api/v1/websocket/speech-to-text?model=munsit%20en%26ar"


async def test_transcription_by_munsit_names_its_model(autojump_clock: object) -> None:
    """As built in, as the vendor's newest clients do: in the request's query, the key not."""
    async with serving(listens) as service:
        link = link_to(service, HOSTED)
        await TranscriptSession(link, chunks=chunks_of(1)).run()
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
    port = listeners[0].transport_listener.socket.getsockname()[1]
    link = Link(HOSTED, base_url=f"wss://127.0.0.1:{port}/api/v1", key=KEY)
    assert link.context is not None
    if case != "unknown authority":
        ca.configure_trust(link.context)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, accept, listeners)
        with pytest.raises(StopError) as caught:
            await speech(link).run()
        nursery.cancel_scope.cancel()
    assert caught.value.code == ("402" if case == "good" else "tls")
    assert bool(received) == (case == "good")
    assert not place_in("".join(traceback.format_exception(caught.value)))


async def test_plain_sockets_serve_too(tmp_path: Path) -> None:
    """Without TLS the stream is the socket, and waits as it does."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    link = Link(HOSTED, base_url=f"ws://127.0.0.1:{port}/api/v1", key=KEY)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, answers(b"HTTP/1.1 403 No\r\n\r\n"), listeners)
        with pytest.raises(StopError):
            await speech(link).run()
        stream = GuardedStream(await link.dial(link.host, link.port, None))
        await stream.wait_send_all_might_not_block()
        await stream.aclose()
        nursery.cancel_scope.cancel()


async def test_one_tls_context_serves_a_link(autojump_clock: object) -> None:
    """A fresh context a connection would cost more than the session; ws has none."""
    seen: list[ssl.SSLContext | None] = []

    async def dial(host: str, port: int, context: ssl.SSLContext | None) -> trio.abc.Stream:
        seen.append(context)
        raise OSError("no")

    link = Link(HOSTED, base_url="wss://example.org/api/v1", key=KEY, dial=dial)
    assert (link.host, link.port, link.host_header) == ("example.org", 443, "example.org")
    for _ in range(3):
        with pytest.raises(TransientError):
            await speech(link).run()
    assert len(seen) == 3
    assert len(set(map(id, seen))) == 1
    assert seen[0] is not None
    assert seen[0].verify_mode is ssl.CERT_REQUIRED
    assert seen[0].check_hostname
    assert Link(HOSTED, base_url="ws://[::1]:8/api", key="").context is None


async def test_at_most_32_handshakes_at_once(autojump_clock: object) -> None:
    """A thousand sessions broken at once do not come back at once."""
    opening = 0
    most = 0

    async def slow(stream: trio.abc.Stream) -> None:
        nonlocal opening, most
        opening += 1
        most = max(most, opening)
        await head_of(stream)
        await trio.sleep(1)
        opening -= 1

    async with serving(raw=slow) as service:
        link = link_to(service)

        async def one() -> None:
            with pytest.raises(TransientError):
                await speech(link).run()

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(one)
    assert most == 32


async def test_a_crowd_of_connections_is_spread_and_a_few_are_not(autojump_clock: object) -> None:
    """A thousand sessions that start at once dial over a second, a small run's all at once."""
    for sessions, seconds in ((64, 0.0), (1_000, 0.936)):
        dialled: list[float] = []

        async def dial(host: str, port: int, context: object) -> trio.abc.Stream:
            dialled.append(trio.current_time())  # noqa: B023
            raise OSError("nobody there")

        link = Link(HOSTED, base_url="ws://127.0.0.1:9", key=KEY, dial=dial)

        async def one() -> None:
            with pytest.raises(TransientError):
                await speech(link).run()  # noqa: B023

        async with trio.open_nursery() as nursery:
            for _ in range(sessions):
                nursery.start_soon(one)
        assert len(dialled) == sessions
        assert max(dialled) - min(dialled) == pytest.approx(seconds)
        gaps = [later - sooner for sooner, later in itertools.pairwise(sorted(dialled)[63:])]
        assert gaps == pytest.approx([0.001] * (sessions - 64), abs=1e-6)


# -- cancellation ------------------------------------------------------------------------------


class _CancelAt(trio.abc.Instrument):
    """Cancels a scope at the n-th step of any task."""

    def __init__(self, scope: trio.CancelScope, step: int) -> None:
        self.scope = scope
        self.step = step
        self.steps = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count, and strike."""
        self.steps += 1
        if self.steps == self.step:
            self.scope.cancel()


async def _cancelled_at(step: int, kind: Kind, provider: Provider) -> tuple[bool, bool, float]:
    """Cancel a session at a step: whether that came before its end, its result, the time."""
    talk = speaks if kind is Kind.TTS else listens
    result: object = None
    async with serving(talk) as service:
        link = link_to(service, provider)
        session = (
            speech(link, [ARABIC, "b"])
            if kind is Kind.TTS
            else TranscriptSession(link, chunks=chunks_of(2))
        )
        scope = trio.CancelScope()
        instrument = _CancelAt(scope, step)
        trio.lowlevel.add_instrument(instrument)
        try:
            with scope:
                result = await session.run()
        finally:
            trio.lowlevel.remove_instrument(instrument)
    if isinstance(result, SpeechResult):
        assert bytes(result.pcm) == PCM
    return instrument.steps >= step, result is not None, 0.0


@pytest.mark.unmeasured
@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("provider", [HOSTED, DRAINING])
async def test_cancelled_at_any_step_nothing_is_left_open(
    kind: Kind, provider: Provider, autojump_clock: object
) -> None:
    """Whatever it is doing: no task stays, the stream is closed, a decided result is kept."""
    step = 0
    kept = False
    while True:
        step += 1
        was_cut, has_result, _ = await _cancelled_at(step, kind, provider)
        if not was_cut:
            break
        assert has_result or not kept, "a result that was decided got lost later"
        kept = kept or has_result
    assert kept
    assert step > 50


async def test_a_decided_result_survives_a_cancellation_while_closing(
    autojump_clock: object,
) -> None:
    """What is paid for is handed over, even if somebody wants to stop meanwhile."""

    async def deaf(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(audio(PCM))
        await peer.stop_answering()
        await trio.sleep_forever()

    result = None
    async with serving(deaf) as service:
        with trio.move_on_after(HOSTED.quiet_seconds + HOSTED.drain_seconds + 0.5):
            result = await speech(link_to(service)).run()
    assert result is not None


async def test_an_undecided_session_is_cut_at_once(autojump_clock: object) -> None:
    """Nothing waits for a polite close."""
    async with serving(mute) as service:
        began = trio.current_time()
        with trio.move_on_after(1) as scope:
            await speech(link_to(service)).run()
        assert scope.cancelled_caught
        assert trio.current_time() - began == pytest.approx(1)


def test_the_script_reads_what_the_protocol_writes() -> None:
    """The scripted service speaks the real messages."""
    assert json.loads(READY)["type"] == "connectionInitialized"
    assert json.loads(audio(b"\x00\x00"))["sampleRate"] == 24_000
