"""Sessions against a scripted service over memory streams."""

import traceback
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import trio
import trio.testing

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.errors import SessionError
from batchjobs.protocol.tts_audio import TtsResult
from batchjobs.providers import Provider
from batchjobs.session import Endpoint, TtsSession
from tests.builders import (
    HOSTED,
    LenientJudge,
    audio_message,
    make_endpoint,
    make_segment,
    make_tone,
    transcript_message,
)
from tests.canary import key_with
from tests.streams import Peer, Raw, Service, Talk

DRAINING = replace(HOSTED, close_drains=True)

KEY = key_with("+/=&% 4711")

ARABIC = "مَرْحَبًا بِكُم ١٢٣ ـــ\u200dhello\u200c عالم "

PCM = make_tone(1.0)

CLOSE_SECONDS = 2.0


def endpoint_at(
    service: Service, provider: Provider = HOSTED, *, key: str = KEY, **others: Any
) -> Endpoint:
    """Make the way to a scripted service."""
    return make_endpoint(service.dial, provider, key=key, **others)


def speech(endpoint: Endpoint, texts: list[str] | None = None, **others: Any) -> TtsSession:
    """Make a session that speaks."""
    segment = make_segment(ARABIC)
    return TtsSession(
        endpoint,
        segment,
        texts=[ARABIC] if texts is None else texts,
        judge=LenientJudge(),
        **others,
    )


async def chunks_of(count: int, *, seconds: float = 1.0) -> AsyncGenerator[bytes, None]:
    """Give chunks of a recording without any thread."""
    for number in range(count):
        yield bytes([number + 1, 0]) * round(16_000 * seconds)


@asynccontextmanager
async def run_service(
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


async def run_speech(
    talk: Talk | None = None,
    *,
    raw: Raw | None = None,
    provider: Provider = HOSTED,
    texts: list[str] | None = None,
    **faults: Any,
) -> TtsResult[ReceivedAudio]:
    """Run one session that speaks against a scripted service."""
    async with run_service(talk, raw=raw, **faults) as service:
        return await speech(endpoint_at(service, provider), texts).run()
    raise AssertionError


async def fail_speech(
    kind: type[SessionError], *arguments: Any, within: float, **named: Any
) -> SessionError:
    """Run a session that must fail so, within so many seconds."""
    began = trio.current_time()
    with pytest.raises(kind) as caught:
        await run_speech(*arguments, **named)
    assert type(caught.value) is kind
    assert trio.current_time() - began <= within
    assert KEY not in "".join(traceback.format_exception(caught.value))
    return caught.value


async def speaks(peer: Peer, *, drains: bool = False) -> None:
    """Behave as a service should."""
    await peer.begin()
    await peer.text()
    for start in range(0, len(PCM), 10_001):
        await peer.send(audio_message(PCM[start : start + 10_001]))
    await peer.until_asked_to_close()
    await peer.connection.aclose(1000)


async def mute(peer: Peer) -> None:
    """Never say a word."""
    await trio.sleep_forever()


async def listens(peer: Peer) -> None:
    """Answer each chunk with a longer transcript, the Arabic as it is."""
    said = ""
    while True:
        await peer.get()
        said += ARABIC
        await peer.send(transcript_message(said))


class CancelAt(trio.abc.Instrument):
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
