"""Speech that does not come ends by its deadline, whatever else comes."""

import pytest
import trio
import trio.testing

from batchjobs.errors import MuteError, TimedOutError
from batchjobs.providers import Provider
from tests.builders import HOSTED, audio_message, make_tone
from tests.session.scripted import (
    CLOSE_SECONDS,
    DRAINING,
    PCM,
    fail_speech,
    mute,
    run_speech,
    speaks,
)
from tests.streams import Peer

pytestmark = pytest.mark.usefixtures("library_hooks")


async def test_a_first_message_unanswered_has_its_deadline(autojump_clock: object) -> None:
    """A mute service ends within the time to get ready."""
    error = await fail_speech(
        TimedOutError, mute, within=HOSTED.ready_seconds + CLOSE_SECONDS + 0.1
    )
    assert "first message" in error.message


@pytest.mark.parametrize("provider", [HOSTED, DRAINING])
async def test_no_audio_has_its_deadline(provider: Provider, autojump_clock: object) -> None:
    """A service that takes the text and stays silent fails; no file is made."""

    async def silent(peer: Peer) -> None:
        await peer.begin()
        await trio.sleep_forever()

    error = await fail_speech(
        MuteError,
        silent,
        provider=provider,
        within=HOSTED.first_audio_seconds + CLOSE_SECONDS + 0.1,
    )
    assert "no audio" in error.message


@pytest.mark.parametrize(
    "noise",
    [
        '{"type":"notice"}',
        audio_message(b""),
        audio_message(b"", isFinal=True),
        '{"type":"warning","x":[1,2]}',
    ],
)
async def test_a_flood_without_audio_feeds_no_deadline(noise: str, autojump_clock: object) -> None:
    """Only audio counts as progress."""

    async def floods(peer: Peer) -> None:
        await peer.begin()
        while True:
            await peer.send(noise)
            await trio.sleep(0.05)

    await fail_speech(MuteError, floods, within=HOSTED.first_audio_seconds + CLOSE_SECONDS + 0.2)


async def test_pings_feed_no_deadline(autojump_clock: object) -> None:
    """A service that only ever pings is a mute service."""

    async def pings(peer: Peer) -> None:
        await peer.begin()
        while True:
            await peer.stream.send_all(b"\x89\x00")
            await trio.sleep(1)

    await fail_speech(MuteError, pings, within=HOSTED.first_audio_seconds + CLOSE_SECONDS + 0.1)


async def test_dripping_bytes_feed_no_deadline(autojump_clock: object) -> None:
    """A message that comes a byte a second is no message."""

    async def drips(peer: Peer) -> None:
        await peer.begin()
        await peer.stream.send_all(b"\x81\x7e\xff\x00")
        while True:
            await peer.stream.send_all(b"{")
            await trio.sleep(1)

    await fail_speech(MuteError, drips, within=HOSTED.first_audio_seconds + CLOSE_SECONDS + 0.1)


async def test_a_service_that_stops_reading_ends_by_its_deadline(autojump_clock: object) -> None:
    """A send that hangs is bounded, also by the close that follows."""
    texts = ["x" * 1000 for _ in range(50)]
    error = await fail_speech(
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
            await peer.send(audio_message(make_tone(0.01)))
            await trio.sleep(1)

    await fail_speech(TimedOutError, slow, within=60)


async def test_deadlines_shrink_and_grow_as_the_machine_says(autojump_clock: object) -> None:
    """From first audio (30 s) to quiet (2.5 s) and to final quiet (1 s) the listener follows."""

    async def paused(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await trio.sleep(HOSTED.first_audio_seconds - 1)
        await peer.send(audio_message(PCM))
        await trio.sleep(HOSTED.quiet_seconds - 0.1)
        await peer.send(audio_message(PCM))
        await peer.send(audio_message(b"", isFinal=True))
        asked = trio.current_time()
        await peer.until_asked_to_close()
        assert trio.current_time() - asked == pytest.approx(HOSTED.final_quiet_seconds, abs=0.01)
        await peer.connection.aclose(1000)

    assert bytes((await run_speech(paused)).pcm) == PCM * 2


async def test_what_came_while_this_process_stood_still_is_not_late(
    autojump_clock: trio.testing.MockClock, library_hooks: object
) -> None:
    """A machine that sleeps, or is busy, notices the end of the quiet time and the next audio at once."""

    async def goes_on(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(audio_message(PCM))
        await trio.sleep(HOSTED.quiet_seconds - 0.1)
        autojump_clock.jump(5.0)
        await peer.send(audio_message(PCM))
        sent = trio.current_time()
        await peer.until_asked_to_close()
        assert trio.current_time() - sent == pytest.approx(HOSTED.quiet_seconds, abs=0.01)
        await peer.connection.aclose(1000)

    assert bytes((await run_speech(goes_on)).pcm) == PCM * 2


async def test_a_process_that_stood_still_waits_a_moment_and_no_longer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Where nothing has come, the quiet time is over."""

    async def says_no_more(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(audio_message(PCM))
        await trio.sleep(HOSTED.quiet_seconds - 0.1)
        autojump_clock.jump(5.0)
        woke = trio.current_time()
        await peer.until_asked_to_close()
        assert trio.current_time() - woke == pytest.approx(1.0, abs=0.01)
        await peer.connection.aclose(1000)

    assert bytes((await run_speech(says_no_more)).pcm) == PCM
