"""Every message of the corpus is read as it must be, and ends a session as it must."""

import json
from collections.abc import AsyncGenerator

import pytest
import trio

from batchjobs.errors import SessionError
from batchjobs.jobs import Status
from batchjobs.protocol.messages import InvalidMessageError
from batchjobs.protocol.parsing import parse_stt_reply, parse_tts_reply
from batchjobs.session import Endpoint, SttSession, TtsSession
from tests import tally
from tests.builders import (
    LenientJudge,
    audio_message,
    make_endpoint,
    make_segment,
    make_tone,
    transcript_message,
)
from tests.faults import corpus_messages
from tests.faults.corpus_messages import MessageCase
from tests.streams import Peer, Service, Talk


@pytest.mark.parametrize("protocol", ["tts", "stt"])
def test_every_hostile_message_is_read_as_it_must_be(protocol: str) -> None:
    """The parser gives the message's one meaning, or refuses it as garbage; nothing else."""
    parse = parse_tts_reply if protocol == "tts" else parse_stt_reply
    cases = corpus_messages.TTS if protocol == "tts" else corpus_messages.STT
    wrong = {}
    for case in cases:
        try:
            found = type(parse(case.payload)).__name__
        except InvalidMessageError:
            found = "garbage"
        except BaseException as error:
            found = f"CRASH {type(error).__name__}: {error}"
        if found != case.parsed:
            wrong[str(case.payload)[:200]] = f"{found}, not {case.parsed}"
    tally.count(cases=len(cases))
    assert not wrong, json.dumps(wrong, indent=1, ensure_ascii=False)[:5_000]


HONEST = make_tone(0.2)


async def speech_of(case: MessageCase, dialled: "Dialled") -> str:
    """Run a synthesis whose service says this in between; give its end."""

    async def talk(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(case.payload)
        await peer.send(audio_message(HONEST))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    segment = make_segment("نص آخر")
    endpoint = dialled.link(talk)
    session = TtsSession(endpoint, segment, texts=["نص", " آخر"], judge=LenientJudge())
    result = await session.run()
    if result.doubts:
        return str(Status.SUSPECT)
    return (
        "done" if bytes(result.pcm) == case.adds + HONEST else f"done with {len(result.pcm)} bytes"
    )


async def transcript_of(case: MessageCase, dialled: "Dialled") -> str:
    """Run a transcription whose service says this in between; give its end."""

    async def talk(peer: Peer) -> None:
        await peer.get()
        await peer.send(case.payload)
        await peer.send(transcript_message("النص الأخير"))
        await trio.sleep_forever()

    async def chunks() -> AsyncGenerator[bytes, None]:
        yield bytes(32_000)

    result = await SttSession(dialled.link(talk), chunks=chunks()).run()
    return "done" if result.text == "النص الأخير" else f"done with {result.text!r}"


class Dialled:
    """Makes endpoints of scripted services."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def link(self, talk: Talk) -> Endpoint:
        """Give the way to a service that talks so."""
        service = Service(self._nursery, talk=talk)
        return make_endpoint(service.dial)


@pytest.mark.parametrize("protocol", ["tts", "stt"])
async def test_every_hostile_message_ends_a_session_as_it_must(
    protocol: str, autojump_clock: object
) -> None:
    """A whole session over a WebSocket: done with exactly what was sent, or failed by its class."""
    cases = corpus_messages.TTS if protocol == "tts" else corpus_messages.STT
    converse = speech_of if protocol == "tts" else transcript_of
    wrong = {}
    for case in cases:
        code = case.code
        async with trio.open_nursery() as nursery:
            try:
                found = await converse(case, Dialled(nursery))
            except SessionError as error:
                found = error.label
                code = error.code
            except BaseException as error:
                found = f"CRASH {type(error).__name__}: {error}"
            nursery.cancel_scope.cancel()
        if found != case.ends or (case.code and code != case.code):
            wrong[str(case.payload)[:200]] = f"{found} {code}, not {case.ends} {case.code}"
    tally.count(cases=len(cases))
    assert not wrong, json.dumps(wrong, indent=1, ensure_ascii=False)[:5_000]
