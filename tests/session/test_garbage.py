"""A session that has ended is gone: nothing of it waits for the collector, which comes rarely."""

import gc
import weakref
from collections import Counter

import pytest

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.jobs import Kind
from batchjobs.session import SttSession
from tests.session.scripted import (
    DRAINING,
    chunks_of,
    endpoint_at,
    listens,
    run_service,
    speaks,
    speech,
)


@pytest.mark.parametrize("kind", list(Kind))
async def test_nothing_of_a_session_waits_for_the_collector(
    kind: Kind, library_hooks: bool, autojump_clock: object
) -> None:
    """Neither its audio nor its exchange: a hundred sessions' audio would be held by circles."""
    audio = ReceivedAudio()
    gone = weakref.ref(audio)
    gc.collect()
    before = _count_ours()
    gc.disable()
    try:
        async with run_service(speaks if kind is Kind.TTS else listens) as service:
            endpoint = endpoint_at(service, DRAINING)
            if kind is Kind.TTS:
                await speech(endpoint, ["a"], audio=audio).run()
            else:
                await SttSession(endpoint, chunks=chunks_of(1)).run()
        del audio
        assert (_count_ours() - before, gone()) == (Counter(), None)
    finally:
        gc.enable()


_OURS = frozenset({"Attempt", "Exchange", "TtsClient", "SttClient", "SpeechJudge"})


def _count_ours() -> Counter[str]:
    return Counter(name for thing in gc.get_objects() if (name := type(thing).__name__) in _OURS)
