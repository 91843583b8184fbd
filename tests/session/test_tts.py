"""A text becomes its audio, and what comes while closing takes no result back."""

from typing import Any

import pytest
import trio
import trio.testing
from trio_websocket import WebSocketConnection

from batchjobs.jobs import Ending
from batchjobs.websocket import direct_delivery
from tests.builders import HOSTED, audio_message
from tests.session.scripted import (
    ARABIC,
    CLOSE_SECONDS,
    DRAINING,
    PCM,
    endpoint_at,
    run_service,
    run_speech,
    speaks,
    speech,
)
from tests.streams import Peer

pytestmark = pytest.mark.usefixtures("library_hooks")


async def test_a_text_becomes_its_audio(autojump_clock: object) -> None:
    """The samples are those sent, odd cuts included; the text arrives as it was."""
    async with run_service(speaks) as service:
        session = speech(endpoint_at(service), [ARABIC, "next\n", ""])
        assert (session.was_connected, session.sent_characters) == (False, 0)
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
    result = await run_speech(speaks, provider=DRAINING)
    assert bytes(result.pcm) == PCM
    assert result.evidence.ending is Ending.DRAINED
    assert trio.current_time() - began < 0.1


async def test_bytes_may_come_one_by_one(autojump_clock: object) -> None:
    """However the network slices, the result is the same."""
    assert bytes((await run_speech(speaks, slice_bytes=7)).pcm) == PCM


async def test_the_service_is_proven_by_its_first_audio(autojump_clock: object) -> None:
    """The callback comes once, when there is audio."""
    proofs: list[float] = []

    async def late(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await trio.sleep(3)
        assert not proofs
        await peer.send(audio_message(PCM))
        await peer.send(audio_message(PCM))
        await peer.until_asked_to_close()

    async with run_service(late) as service:
        await speech(
            endpoint_at(service), on_proven=lambda: proofs.append(trio.current_time())
        ).run()
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
        assert bytes((await run_speech(speaks_once)).pcm) == PCM
    assert [each.take is not None for each in made] == [True] * library_hooks
    assert ("slower parts stay in use" in caplog.text) is library_hooks


async def speaks_once(peer: Peer) -> None:
    """Say one message, and leave the close to the client."""
    await peer.begin()
    await peer.text()
    await peer.send(audio_message(PCM))
    await trio.sleep_forever()


async def test_what_goes_wrong_while_closing_takes_no_result_back(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even a mistake in a library: what is decided is paid for."""

    async def stumble(*_: object, **__: object) -> None:
        raise ValueError("in the library")

    async with run_service(speaks_once) as service:
        monkeypatch.setattr(WebSocketConnection, "aclose", stumble)
        assert bytes((await speech(endpoint_at(service)).run()).pcm) == PCM
    assert "after its session" in caplog.text


async def test_a_mistake_of_ours_in_mid_audio_is_told_as_what_it_is(autojump_clock: object) -> None:
    """Whatever it is, even what the library catches for purposes of its own."""

    def stumble() -> None:
        raise KeyError("of ours")

    async def speaks(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(audio_message(PCM))
        await trio.sleep_forever()

    with pytest.RaisesGroup(KeyError, flatten_subgroups=True):
        async with run_service(speaks) as service:
            await speech(endpoint_at(service), on_proven=stumble).run()


async def test_a_peer_that_never_answers_the_close_changes_nothing(
    autojump_clock: object,
) -> None:
    """The outcome is decided by then; the close may take two seconds and no more."""

    async def deaf(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(audio_message(PCM))
        await peer.stop_answering()
        await trio.sleep_forever()

    began = trio.current_time()
    assert bytes((await run_speech(deaf)).pcm) == PCM
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
        await peer.send(audio_message(PCM))
        await peer.until_asked_to_close()
        await peer.stop_answering()
        while True:
            data = await peer.stream.receive_some()
            if data and data[0] == 0x88:
                await peer.stream.send_all(last_words)
            if not data:
                return

    assert bytes((await run_speech(noisy)).pcm) == PCM


async def test_a_connection_dropped_after_the_quiet_time_is_no_failure(
    autojump_clock: object,
) -> None:
    """The audio was complete before the line broke."""

    async def leaves(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(audio_message(PCM))
        await peer.until_asked_to_close()

    result = await run_speech(leaves)
    assert result.evidence.ending is Ending.QUIET
    assert result.evidence.close_code == 1006


async def test_pings_are_answered_while_audio_is_awaited(autojump_clock: object) -> None:
    """A service that checks on us does not drop us."""

    async def pinging(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        with trio.fail_after(1):
            await peer.connection.ping(b"there?")
        await peer.send(audio_message(PCM))
        await peer.until_asked_to_close()

    assert bytes((await run_speech(pinging)).pcm) == PCM
