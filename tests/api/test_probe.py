"""What a probe finds out about services that drain, drop, stay mute or refuse."""

import sys
from dataclasses import replace

import pytest
import trio

from batchjobs.api.probe import PROBE_CHARACTERS, ProbeReport, probe_cost, probe_service
from batchjobs.errors import (
    BatchjobsError,
    ConfigurationError,
    KeyRefusedError,
    ServiceUnavailableError,
)
from batchjobs.providers import BUILT_IN, Provider
from tests.builders import audio_message, make_tone, transcript_message
from tests.canary import KEY
from tests.session.http_scripted import (
    CHUNKED,
    LAST_CHUNK,
    Answer,
    Asked,
    Desk,
    chunk,
    says,
    whole,
)
from tests.streams import Peer, Raw, Service, Talk, answers

HEARS = replace(BUILT_IN["munsit"], voice="v")
HOSTED = replace(HEARS, stt_path="")
RATE = 24_000
SOUND = make_tone(PROBE_CHARACTERS / 24, RATE)


def speaks(*, drains: bool, delay: float = 0.3) -> Talk:
    """Make a service that takes its time to speak, and may drop what it has not yet sent."""

    async def talk(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        with trio.move_on_after(delay) as thinking:
            await peer.until_asked_to_close()
        if thinking.cancelled_caught or drains:
            await peer.send(audio_message(SOUND, RATE))
        if thinking.cancelled_caught:
            await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    return talk


class ByFirstWord(trio.abc.Stream):
    """A stream to one of two services, by what is sent first: a request over HTTP is a POST."""

    def __init__(self, socket: Service, http: Service) -> None:
        self._services = (socket, http)
        self._opened = trio.Event()
        self._stream: trio.abc.Stream | None = None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send; the first time, choose."""
        if self._stream is None:
            service = self._services[bytes(data).startswith(b"POST")]
            self._stream = await service.dial("", 0, None)
            self._opened.set()
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Do not wait."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive, once it is open."""
        await self._opened.wait()
        assert self._stream is not None
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        """Close what is open."""
        if self._stream is not None:
            await self._stream.aclose()


NOT_FOUND = says(whole("404 No"))


async def probed(
    talk: Talk | None = None,
    *,
    raw: Raw | None = None,
    http: Answer = NOT_FOUND,
    provider: Provider = HOSTED,
) -> ProbeReport:
    """Probe a scripted service; by default it does not know speech over HTTP."""
    async with trio.open_nursery() as nursery:
        service = Service(nursery, talk=talk, raw=raw)
        other = Service(nursery, raw=Desk(http).serve)

        async def dial(*_: object) -> ByFirstWord:
            return ByFirstWord(service, other)

        url = "wss://127.0.0.1:9/api/v1"
        found: ProbeReport | BatchjobsError
        try:
            found = await probe_service(provider, key=KEY, base_url=url, dial=dial)
        except BatchjobsError as error:
            found = error
        nursery.cancel_scope.cancel()
    if isinstance(found, BatchjobsError):
        raise found
    return found


async def test_a_service_that_drains_is_known_by_its_audio(autojump_clock: object) -> None:
    """The same audio without waiting for silence; the settings are ready to be put in."""
    found = await probed(speaks(drains=True))
    assert found.close_drains
    lines = ["[providers.munsit]", 'tts_transport = "websocket"', "close_drains = true"]
    assert found.settings.splitlines() == lines
    socket, http = found.transports
    assert (socket.speaks, http.speaks) == (True, False)
    assert socket.session_seconds == pytest.approx(0.0, abs=0.01)  # as it would be used
    assert "nothing is served at /text-to-speech/faseeh-v1-preview" in http.describe()
    assert found.close_audio_seconds == found.quiet_audio_seconds
    assert found.first_audio_seconds == pytest.approx(0.3)
    assert found.after_audio_seconds == pytest.approx(2.8, abs=0.01)


async def test_a_service_that_drops_is_not_trusted_to_drain(autojump_clock: object) -> None:
    """No audio at all after closeConnection."""
    found = await probed(speaks(drains=False))
    assert not found.close_drains
    assert found.close_audio_seconds == 0.0
    assert "close_drains = false\n" in found.settings
    assert found.transports[0].session_seconds == pytest.approx(0.3 + 2.5)


async def test_a_service_that_drops_a_part_is_not_trusted_either(autojump_clock: object) -> None:
    """Half of the audio, and a normal close, is no draining."""

    async def half(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(audio_message(SOUND[: len(SOUND) * 3 // 4 // 2 * 2], RATE))
        with trio.move_on_after(0.1) as speaking:
            await peer.until_asked_to_close()
        if speaking.cancelled_caught:
            await peer.send(audio_message(SOUND[len(SOUND) * 3 // 4 // 2 * 2 :], RATE))
            await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    found = await probed(half)
    assert not found.close_drains
    assert 0.0 <= found.close_audio_seconds < found.quiet_audio_seconds


async def test_a_mute_service_is_told_as_such(autojump_clock: object) -> None:
    """It connects, answers the first message, and says nothing."""

    async def mute(peer: Peer) -> None:
        await peer.begin()
        await trio.sleep_forever()

    with pytest.raises(ServiceUnavailableError, match=r"no audio came.*over HTTP: .*HTTP 404"):
        await probed(mute)


async def test_where_the_socket_is_silent_http_is_the_way(autojump_clock: object) -> None:
    """It is tried, timed, and what prints puts it into the settings."""

    async def mute(peer: Peer) -> None:
        await peer.begin()
        await trio.sleep_forever()

    async def speaks_late(asked: Asked) -> None:
        await trio.sleep(0.5)
        await says(CHUNKED, chunk(SOUND), LAST_CHUNK)(asked)

    found = await probed(mute, http=speaks_late)
    assert found.settings.splitlines() == ["[providers.munsit]", 'tts_transport = "http"']
    socket, http = found.transports
    assert (socket.speaks, http.speaks) == (False, True)
    assert "no audio came" in socket.describe()
    assert http.first_audio_seconds == pytest.approx(0.5)
    assert http.session_seconds == pytest.approx(0.5)
    assert http.audio_seconds == pytest.approx(PROBE_CHARACTERS / 24, abs=0.01)
    assert not found.close_drains


async def test_a_socket_that_is_not_there_is_no_reason_to_stop(autojump_clock: object) -> None:
    """Nor is HTTP that is not, nor the extra that it needs."""
    speaks_at_once = says(CHUNKED, chunk(SOUND), LAST_CHUNK)
    found = await probed(provider=replace(HOSTED, tts_path=""), http=speaks_at_once)
    assert found.tts_transport == "http"
    found = await probed(speaks(drains=True), provider=replace(HOSTED, tts_http_path=""))
    assert found.tts_transport == "websocket"
    assert "no such path" in found.transports[1].describe()


async def test_without_the_extra_the_socket_is_probed_all_the_same(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what to install is said."""
    monkeypatch.setitem(sys.modules, "httpx", None)
    found = await probed(speaks(drains=True))
    assert found.close_drains
    assert "pip install 'batchjobs[http]'" in found.transports[1].describe()


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, KeyRefusedError), (402, ServiceUnavailableError), (503, ServiceUnavailableError)],
)
async def test_a_refused_key_or_an_empty_wallet_is_told_as_in_a_run(
    autojump_clock: object, status: int, kind: type[Exception]
) -> None:
    """The same exit codes, and the key is not shown."""
    with pytest.raises(kind) as caught:
        await probed(raw=answers(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()))
    assert KEY not in str(caught.value)


async def test_a_service_that_has_no_room_for_the_second_session_says_nothing_of_draining(
    autojump_clock: object,
) -> None:
    """A refusal of the second session must not be read as an answer."""

    async def once(peer: Peer) -> None:
        if peer.number == 1:
            await speaks(drains=True)(peer)
            return
        await peer.begin()
        await peer.send({"type": "error", "errorCode": 42901, "errorMessage": "busy"})

    with pytest.raises(ServiceUnavailableError, match="42901"):
        await probed(once)


async def test_who_cannot_speak_cannot_be_probed() -> None:
    """No text to speech, or no voice: told before anything is spent."""
    without = replace(HOSTED, tts_path="", tts_http_path="")
    for provider in (without, replace(HOSTED, voice="")):
        with pytest.raises(ConfigurationError):
            await probed(provider=provider)


def test_a_probe_costs_a_few_characters() -> None:
    """Less than a cent at the hosted services' price."""
    assert 0.0 < probe_cost(HOSTED) < 0.01


async def test_the_local_server_is_probed_out_of_the_box() -> None:
    """A real server, started and ended for it, that drains."""
    found = await probe_service(replace(BUILT_IN["local"], engine="tone"), key="")
    assert found.close_drains
    assert found.audio_messages > 0
    assert [transport.speaks for transport in found.transports] == [True, True]
    (hearing,) = found.hearing
    assert (hearing.name, hearing.hears, hearing.has_times) == ("listen", True, True)
    assert hearing.text == "مرحبا، هذه جملة قصيرة للاختبار."  # tones are heard exactly
    assert hearing.billed_audio_seconds == pytest.approx(found.quiet_audio_seconds, abs=0.01)
    assert found.settings.endswith('close_drains = true\nstt_protocol = "listen"\n')


def _speaks_and(hears: Talk, *, path: str) -> Talk:
    """Make a service that speaks, and hears on one path only."""

    async def talk(peer: Peer) -> None:
        asked = peer.request.path.partition("?")[0].removeprefix("/api/v1")
        if asked == path:
            await hears(peer)
        elif asked.endswith("text-to-speech"):
            await speaks(drains=True)(peer)
        else:
            await peer.connection.aclose(4002, "unknown path")

    return talk


async def test_where_the_newer_socket_does_not_hear_the_older_one_is_tried(
    autojump_clock: object,
) -> None:
    """And the reason why not is told."""

    async def hears(peer: Peer) -> None:
        while True:
            await peer.get()
            await peer.send(transcript_message("مَرْحَبًا ١٢٣"))

    talk = _speaks_and(hears, path="/websocket/speech-to-text")
    found = await probed(talk, provider=HEARS)
    newer, older = found.hearing
    assert (newer.hears, older.hears, older.text) == (False, True, "مَرْحَبًا ١٢٣")
    assert "4002" in newer.describe()
    assert found.settings.endswith('stt_protocol = "transcription"\n')


async def test_a_service_that_hears_nowhere_is_still_probed(autojump_clock: object) -> None:
    """Its speech is what was asked about first; no setting is printed for what does not work."""
    found = await probed(_speaks_and(speaks(drains=True), path="nowhere"), provider=HEARS)
    assert [socket.hears for socket in found.hearing] == [False, False]
    assert "stt_protocol" not in found.settings
    assert found.close_drains
