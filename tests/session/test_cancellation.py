"""Cancelled at any step, a session leaves nothing open and takes no result back."""

import json

import pytest
import trio
import trio.testing

from batchjobs.jobs import Kind
from batchjobs.protocol.tts_audio import TtsResult
from batchjobs.providers import Provider
from batchjobs.session import SttSession
from tests.builders import HOSTED, READY, audio_message
from tests.session.scripted import (
    ARABIC,
    DRAINING,
    PCM,
    CancelAt,
    chunks_of,
    endpoint_at,
    listens,
    mute,
    run_service,
    speaks,
    speech,
)
from tests.streams import Peer

pytestmark = pytest.mark.usefixtures("library_hooks")


async def _cancelled_at(step: int, kind: Kind, provider: Provider) -> tuple[bool, bool, float]:
    """Cancel a session at a step: whether that came before its end, its result, the time."""
    talk = speaks if kind is Kind.TTS else listens
    result: object = None
    async with run_service(talk) as service:
        endpoint = endpoint_at(service, provider)
        session = (
            speech(endpoint, [ARABIC, "b"])
            if kind is Kind.TTS
            else SttSession(endpoint, chunks=chunks_of(2))
        )
        scope = trio.CancelScope()
        instrument = CancelAt(scope, step)
        trio.lowlevel.add_instrument(instrument)
        try:
            with scope:
                result = await session.run()
        finally:
            trio.lowlevel.remove_instrument(instrument)
    if isinstance(result, TtsResult):
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
        await peer.send(audio_message(PCM))
        await peer.stop_answering()
        await trio.sleep_forever()

    result = None
    async with run_service(deaf) as service:
        with trio.move_on_after(HOSTED.quiet_seconds + HOSTED.drain_seconds + 0.5):
            result = await speech(endpoint_at(service)).run()
    assert result is not None


async def test_an_undecided_session_is_cut_at_once(autojump_clock: object) -> None:
    """Nothing waits for a polite close."""
    async with run_service(mute) as service:
        began = trio.current_time()
        with trio.move_on_after(1) as scope:
            await speech(endpoint_at(service)).run()
        assert scope.cancelled_caught
        assert trio.current_time() - began == pytest.approx(1)


def test_the_script_reads_what_the_protocol_writes() -> None:
    """The scripted service speaks the real messages."""
    assert json.loads(READY)["type"] == "connectionInitialized"
    assert json.loads(audio_message(b"\x00\x00"))["sampleRate"] == 24_000
