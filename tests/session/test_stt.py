"""A recording becomes its transcript, at its pace, or it is told why not."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import trio
import trio.testing
from trio_websocket import WebSocketConnection

from batchjobs.errors import PermanentError, TimedOutError, TransientError
from batchjobs.jobs import Ending, Sign
from batchjobs.plausibility.transcripts import TranscriptRates
from batchjobs.protocol.codec import ChunkEncoding
from batchjobs.protocol.stt import SttResult
from batchjobs.providers import Provider
from batchjobs.server.engines.tone import ToneSynthesiser
from batchjobs.session import RECORDING_CODE, SttSession, recording_chunks, stt
from batchjobs.websocket.frames import send_texts
from tests.builders import HOSTED, make_speech, transcript_message
from tests.session.scripted import (
    ARABIC,
    CLOSE_SECONDS,
    chunks_of,
    endpoint_at,
    listens,
    run_service,
)
from tests.streams import Peer, Talk

pytestmark = pytest.mark.usefixtures("library_hooks")

TONES = make_speech(16_000)


async def transcribed(
    talk: Talk, *, provider: Provider = HOSTED, chunks: AsyncGenerator[bytes, None] | None = None
) -> SttResult:
    """Run one session that transcribes."""
    async with run_service(talk) as service:
        return await SttSession(endpoint_at(service, provider), chunks=chunks or chunks_of(3)).run()
    raise AssertionError


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
            await peer.send(transcript_message(" "))

    async def chunks(pcm: bytes) -> AsyncGenerator[bytes, None]:
        for start in range(0, len(pcm), 32_000):
            yield pcm[start : start + 32_000]

    found = []
    for pcm in (sound, bytes(len(sound))):
        async with run_service(hears_nothing) as service:
            judge = TranscriptRates().make_judge("service/model")
            session = SttSession(endpoint_at(service), chunks=chunks(pcm), judge=judge)
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


@pytest.mark.parametrize("more", ["", " ثم كلمات"])
async def test_a_late_answer_that_changes_nothing_is_the_end_soon(
    autojump_clock: object, more: str
) -> None:
    """The text has stood for long enough by then; but what came with it, piece by piece, is looked at."""
    answered: list[float] = []

    async def answers_late(peer: Peer) -> None:
        await peer.get()
        await peer.send(transcript_message(ARABIC))
        await peer.get()
        await trio.sleep(2.0 * HOSTED.settle_seconds)
        answered.append(trio.current_time())
        await peer.send(transcript_message(ARABIC))
        if more:
            await peer.send(transcript_message(ARABIC + more))
        await peer.get()

    async with run_service(answers_late, slice_bytes=1) as service:
        result = await SttSession(endpoint_at(service), chunks=chunks_of(2)).run()
    assert result.evidence.ending is Ending.SETTLED
    assert result.text == (ARABIC + more).strip()
    assert more or trio.current_time() - answered[0] < 0.3


@pytest.mark.parametrize("pace", [1.0, 4.0, 0.0])
async def test_audio_goes_out_at_its_pace(pace: float, autojump_clock: object) -> None:
    """Chunk i goes out i seconds after the start at pace 1, and not before."""
    times: list[float] = []

    async def timed(peer: Peer) -> None:
        while True:
            await peer.get()
            times.append(trio.current_time())
            await peer.send(transcript_message("نعم"))

    await transcribed(timed, provider=replace(HOSTED, pace=pace), chunks=chunks_of(6))
    step = 1 / pace if pace else 0.0
    assert [t - times[0] for t in times] == pytest.approx([i * step for i in range(6)], abs=0.01)


@pytest.mark.parametrize(("pace", "most"), [(1.0, 1), (0.0, 3)])
async def test_chunks_go_out_together_only_if_all_of_them_are_due(
    pace: float, most: int, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as make a good message for TLS; none waits for one that is to come."""
    sent: list[int] = []

    async def counted(connection: WebSocketConnection, texts: list[bytes]) -> None:
        sent.append(len(texts))
        await send_texts(connection, texts)

    monkeypatch.setattr(stt, "send_texts", counted)
    provider = replace(HOSTED, pace=pace)
    result = await transcribed(listens, provider=provider, chunks=chunks_of(8))
    assert result.verbatim == ARABIC * 8
    assert sum(sent) == 8
    assert max(sent) == most


@pytest.mark.parametrize(("form", "whole"), [("wav", [True] * 3), ("raw", [True, False, False])])
async def test_chunks_are_whole_files_or_only_the_first(
    form: str, whole: list[bool], autojump_clock: object
) -> None:
    """The chunk form is the provider's."""
    async with run_service(listens) as service:
        provider = replace(HOSTED, chunk_form=form)
        await SttSession(endpoint_at(service, provider), chunks=chunks_of(3)).run()
        sent = [bytes(m["data"]["audioBuffer"]) for m in service.peers[0].messages]
    assert [data.startswith(b"RIFF") for data in sent] == whole
    assert [data[-2:] for data in sent] == [b"\x01\x00", b"\x02\x00", b"\x03\x00"]


@pytest.mark.parametrize("encoding", ChunkEncoding)
async def test_chunks_are_written_as_asked(encoding: ChunkEncoding, autojump_clock: object) -> None:
    """Padded chunks are the longer ones on the wire, and hold the same bytes."""
    sent = {}
    for asked in (ChunkEncoding.COMPACT, encoding):
        async with run_service(listens) as service:
            endpoint = endpoint_at(service, encoding=asked)
            await SttSession(endpoint, chunks=chunks_of(3)).run()
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

    async with run_service(listens) as service:
        session = SttSession(endpoint_at(service), chunks=damaged())
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
    async with run_service(listens, break_sends_after=100_000) as service:
        with pytest.raises(TransientError) as caught:
            await SttSession(endpoint_at(service), chunks=chunks_of(9)).run()
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
    async with run_service(listens, stall_sends_after=300_000) as service:
        began = trio.current_time()
        with pytest.raises(TimedOutError, match="stopped taking audio"):
            await SttSession(endpoint_at(service), chunks=chunks_of(10)).run()
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
        await peer.send(transcript_message("نعم"))
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
