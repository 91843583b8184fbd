"""Connections opened beforehand: time saved, and nothing lost by those that cannot be used."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import trio
import trio.testing

from batchjobs.errors import TransientError
from batchjobs.jobs import Ending, Kind, Segment, SpeechSettings, Verdict
from batchjobs.providers import BUILT_IN
from batchjobs.session import Link, Spares, SpeechSession, TranscriptSession
from tests.streams import FaultyStream, Peer, Service, Talk, answers, audio, head_of, tone
from tests.test_session import _CancelAt as CancelAt

DRAINING = replace(BUILT_IN["munsit"], close_drains=True, transcript_per_chunk=True, pace=0.0)
SPEECH = SpeechSettings(voice_id="v", model_id="m")
ROUND_TRIP_SECONDS = 0.08
STREAMING_SECONDS = 1.15
PCM = tone(1.0)
SESSIONS = 20


class Lenient:
    """A judge that finds every audio plausible."""

    minimum_seconds = 0.0

    def is_ample(self, pcm: object, sample_rate: int) -> bool:
        """Nothing is short here."""
        return True

    def verdict(self, pcm: object, sample_rate: int, ending: Ending) -> Verdict:
        """Doubt nothing."""
        return Verdict()


async def speaks(peer: Peer) -> None:
    """Speak for a while, from far away."""
    await peer.get()
    await trio.sleep(ROUND_TRIP_SECONDS)
    await peer.send('{"type":"connectionInitialized"}')
    await peer.text()
    for start in range(0, len(PCM), len(PCM) // 2):
        await peer.send(audio(PCM[start : start + len(PCM) // 2]))
        await trio.sleep(STREAMING_SECONDS / 2)
    await peer.connection.aclose(1000)


async def listens(peer: Peer) -> None:
    """Answer every chunk, the last one late."""
    while True:
        await peer.get()
        await trio.sleep(STREAMING_SECONDS / 2)
        await peer.send({"event": "transcription", "data": "نعم"})


@dataclass
class Place:
    """A service far away, and the way to it."""

    service: Service
    link: Link
    spares: Spares

    async def speak(self) -> float:
        """Have one session, and say how long it took."""
        began = trio.current_time()
        segment = Segment(key="k", kind=Kind.TTS, text="مرحبا", speech=SPEECH)
        session = SpeechSession(self.link, segment, texts=["مرحبا"], judge=Lenient())
        assert bytes((await session.run()).pcm) == PCM
        assert session.was_connected
        assert session.sent_characters == 5
        return trio.current_time() - began

    async def transcribe(self) -> float:
        """The same with a recording."""
        began = trio.current_time()

        async def chunks() -> AsyncGenerator[bytes, None]:
            for _ in range(2):
                yield bytes(32_000)

        session = TranscriptSession(self.link, chunks=chunks())
        assert (await session.run()).text == "نعم"
        assert session.sent_audio_seconds == 2.0
        return trio.current_time() - began


@asynccontextmanager
async def far(
    talk: Talk = speaks,
    *,
    most: int = 1,
    beforehand: bool = True,
    dial: Callable[[Service], Any] | None = None,
) -> AsyncIterator[Place]:
    """Open a way to a service behind three round trips: TCP, TLS, WebSocket."""
    before = trio.lowlevel.current_statistics().tasks_living
    async with trio.open_nursery() as outer:
        service = Service(outer, talk=talk)
        inner = service.dial if dial is None else dial(service)

        async def slowly(host: str, port: int, context: object) -> FaultyStream:
            await trio.sleep(3 * ROUND_TRIP_SECONDS)
            return await inner(host, port, context)

        link = Link(DRAINING, base_url="ws://127.0.0.1:9", key="k", dial=slowly)
        spares = Spares(link, has_room=lambda count: count < most)
        async with trio.open_nursery() as nursery:
            if beforehand:
                link.spares = spares
                nursery.start_soon(spares.run)
                await trio.testing.wait_all_tasks_blocked()
            yield Place(service, link, spares)
            nursery.cancel_scope.cancel()
        assert all(stream.is_closed for stream in service.streams)
        outer.cancel_scope.cancel()
    assert trio.lowlevel.current_statistics().tasks_living == before


async def test_a_chain_of_sessions_saves_the_handshakes(autojump_clock: object) -> None:
    """At 80 ms a round trip, sessions of a second take at most 0.9 of the time."""
    async with far(beforehand=False) as place:
        plain = sum([await place.speak() for _ in range(SESSIONS)])
    async with far() as place:
        beforehand = sum([await place.speak() for _ in range(SESSIONS)])
        assert len(place.service.streams) == SESSIONS + 1
    assert beforehand <= 0.9 * plain


async def test_recordings_go_over_them_too(autojump_clock: object) -> None:
    """A transcription asks first whether the line is alive, and still saves time."""
    async with far(listens, beforehand=False) as place:
        plain = sum([await place.transcribe() for _ in range(SESSIONS)])
    async with far(listens) as place:
        beforehand = sum([await place.transcribe() for _ in range(SESSIONS)])
        assert len(place.service.streams) == SESSIONS + 1
    assert beforehand < 0.9 * plain


def impatient(talk: Talk, seconds: float, code: int | None) -> Talk:
    """Make a service that leaves a connection on which nothing is said for a while."""

    async def talks(peer: Peer) -> None:
        real = peer.get
        first = None
        with trio.move_on_after(seconds):
            first = await real()
        if first is None:
            if code is not None:
                await peer.connection.aclose(code)
            return

        async def get() -> dict[str, Any]:
            peer.get = real  # type: ignore[method-assign]
            return first

        peer.get = get  # type: ignore[method-assign]
        await talk(peer)

    return talks


@pytest.mark.parametrize("code", [1000, 1001, 1011, None])
async def test_a_service_that_closes_idle_connections_costs_nothing(
    code: int | None, autojump_clock: object
) -> None:
    """A spare that is gone is not used: every session succeeds, at its usual length."""
    async with far(impatient(speaks, 0.3, code), beforehand=False) as place:
        plain = await place.speak()
    async with far(impatient(speaks, 0.3, code)) as place:
        for _ in range(5):
            assert await place.speak() <= plain + 0.001


def dying(kind: str) -> Callable[[Service], Any]:
    """Make a way whose every second connection dies as soon as a session uses it."""

    def dial(service: Service) -> Any:
        async def connect(host: str, port: int, context: object) -> FaultyStream:
            stream = await service.dial(host, port, context)
            if len(service.streams) % 2 == 0:
                match kind:
                    case "swallows":
                        stream.stall_sends_after = 1
                    case "breaks":
                        stream.break_sends_after = 1
                    case _:
                        stream.break_reads_after = 1  # once the handshake is answered
            return stream

        return connect

    return dial


@pytest.mark.parametrize("kind", ["swallows", "breaks", "reads"])
@pytest.mark.parametrize("session", ["speak", "transcribe"])
async def test_a_spare_that_turns_out_dead_is_replaced(
    kind: str, session: str, autojump_clock: object
) -> None:
    """The session begins again on a new connection: it does not fail, and sends nothing twice."""
    talk = speaks if session == "speak" else listens
    async with far(talk, dial=dying(kind)) as place:
        for _ in range(4):
            await getattr(place, session)()
        assert len(place.service.streams) > 5  # the dead, too


async def test_a_close_in_answer_to_the_first_message_is_a_stale_connection(
    autojump_clock: object,
) -> None:
    """A service may leave just as we begin; on a fresh connection that is a failure as ever."""

    async def leaves(peer: Peer) -> None:
        if peer.number not in {2, 5}:
            await speaks(peer)
            return
        await peer.get()
        await peer.connection.aclose(1001)

    async with far(leaves) as place:
        await place.speak()
        assert len(place.spares) == 1
        await place.speak()  # over the second, which leaves, and then the third
        place.spares.rest()  # the fourth
        with pytest.raises(TransientError, match="closed with 1001"):
            await place.speak()


async def test_a_dead_spare_and_then_no_connection_is_no_connection(
    autojump_clock: object,
) -> None:
    """The run has to see that the service was not reached, and that nothing was sent."""

    def dial(service: Service) -> Any:
        async def connect(host: str, port: int, context: object) -> FaultyStream:
            if len(service.streams) == 2:
                raise OSError("gone")
            stream = await service.dial(host, port, context)
            stream.stall_sends_after = 1 if len(service.streams) == 2 else float("inf")
            return stream

        return connect

    async with far(dial=dial) as place:
        await place.speak()
        segment = Segment(key="k", kind=Kind.TTS, text="مرحبا", speech=SPEECH)
        session = SpeechSession(place.link, segment, texts=["مرحبا"], judge=Lenient())
        with pytest.raises(TransientError, match="no connection: gone"):
            await session.run()
    assert not session.was_connected
    assert session.sent_characters == 0


async def test_what_a_service_says_over_a_spare_is_its_word(autojump_clock: object) -> None:
    """An error message is no stale connection: it is classed as always."""

    async def fails(peer: Peer) -> None:
        if peer.number == 1:
            await speaks(peer)
            return
        await peer.get()
        await peer.send({"type": "error", "errorCode": 50001, "errorMessage": "لا"})
        await peer.connection.aclose(1000)

    async with far(fails) as place:
        await place.speak()
        with pytest.raises(TransientError, match="لا"):
            await place.speak()
        assert len(place.service.streams) == 2


async def test_a_refused_spare_is_nobody_s_failure_and_not_asked_for_again_soon(
    autojump_clock: object,
) -> None:
    """Sessions go on as if there were no spares, and the service is left alone for half a minute."""
    refused = 0

    def dial(service: Service) -> Any:
        async def connect(host: str, port: int, context: object) -> FaultyStream:
            nonlocal refused
            if len(service.streams) - refused >= 1 and service.open:
                refused += 1
                raw = Service(service.nursery, raw=answers(b"HTTP/1.1 429 No\r\n\r\n"))
                return await raw.dial(host, port, context)
            return await service.dial(host, port, context)

        return connect

    async with far(dial=dial) as place:
        for _ in range(10):
            await place.speak()
    assert refused == 1


async def test_cancelled_with_spares_open_or_opening_nothing_stays(
    autojump_clock: object,
) -> None:
    """Wherever a cancellation strikes, streams are closed and tasks gone: `far` looks."""
    for seconds in (0.1, 0.25, 0.35, 0.5, 0.7, 1.4, 1.5, 1.6, 1.75, 2.5):
        async with far() as place:
            with trio.move_on_after(seconds) as scope:
                for _ in range(3):
                    await place.speak()
            assert scope.cancelled_caught


async def test_cancelled_at_any_step_of_a_session_over_a_spare_nothing_stays(
    autojump_clock: object,
) -> None:
    """Taking it, talking over it, closing it: at every step of any task."""
    step = 0
    was_cut = True
    while was_cut:
        step += 7  # prime to the lengths of what is repeated: it gets everywhere
        async with far() as place:
            await place.speak()
            scope = trio.CancelScope()
            instrument = CancelAt(scope, step)
            trio.lowlevel.add_instrument(instrument)
            try:
                with scope:
                    await place.speak()
            finally:
                trio.lowlevel.remove_instrument(instrument)
            was_cut = instrument.steps >= step
    assert step > 50


async def test_a_surprise_while_opening_one_is_not_the_run_s_end(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong with a spare, sessions go on without, and a line tells of it."""

    def dial(service: Service) -> Any:
        async def connect(host: str, port: int, context: object) -> FaultyStream:
            if len(service.streams) == 1:
                await trio.lowlevel.checkpoint()
                raise ZeroDivisionError
            return await service.dial(host, port, context)

        return connect

    async with far(dial=dial) as place:
        await place.speak()
        with pytest.raises(ExceptionGroup) as caught:
            await place.speak()  # its own dialling fails as surprisingly
        assert caught.group_contains(ZeroDivisionError)
    assert "failed unexpectedly" in caplog.text


async def test_who_waits_for_a_spare_that_is_opening_can_be_cancelled(
    autojump_clock: object,
) -> None:
    """A connection that was about to be given is closed."""

    async def hangs(stream: trio.abc.Stream) -> None:
        await head_of(stream)
        await trio.sleep_forever()

    async with far() as place:
        request = ("/", [])
        place.service._raw = hangs
        place.spares.replenish(request)
        with trio.move_on_after(5) as scope:
            await place.spares.take(request)
        assert scope.cancelled_caught
        assert not place.spares._spares


async def test_what_nobody_takes_is_closed_after_a_while(autojump_clock: object) -> None:
    """Not held for ever, be it for another kind of session; then there is room again."""
    async with far() as place:
        place.spares.replenish(("/a", []))
        place.spares.replenish(("/b", []))  # no room
        await trio.sleep(25)
        assert place.service.open == 1
        await trio.sleep(10)
        assert place.service.open == 0
        place.spares.replenish(("/b", []))
        spare = await place.spares.take(("/b", []))
        await trio.sleep(100)
        assert spare is not None
        assert spare.is_open  # whoever has it keeps it
        spare.close()


async def test_only_the_same_request_shares_a_connection(autojump_clock: object) -> None:
    """What was opened for speech is not given to a transcription."""
    async with far() as place:
        place.spares.replenish(("/a", []))
        assert await place.spares.take(("/b", [])) is None
        spare = await place.spares.take(("/a", []))
        assert spare is not None
        spare.close()
