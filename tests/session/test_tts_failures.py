"""Closes, breaks and errors in mid-audio are told as what they are."""

from typing import Any

import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.errors import (
    MuteError,
    PermanentError,
    QuotaSpentError,
    SessionError,
    StopError,
    ThrottledError,
    TransientError,
)
from batchjobs.jobs import Doubt, Ending, Sign, Verdict
from batchjobs.providers import Provider
from batchjobs.session import TtsSession, exchange
from tests.builders import HOSTED, LenientJudge, audio_message, make_segment, make_tone
from tests.session.scripted import (
    CLOSE_SECONDS,
    DRAINING,
    PCM,
    endpoint_at,
    fail_speech,
    run_service,
    run_speech,
    speaks,
)
from tests.streams import Peer

pytestmark = pytest.mark.usefixtures("library_hooks")


@pytest.mark.parametrize("code", [1001, 1003, 1006, 1009, 1011, 1012, 3000, 4999])
async def test_a_close_in_mid_audio_is_a_failure(code: int, autojump_clock: object) -> None:
    """Audio that a close cut short is never called complete."""

    async def leaves(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(audio_message(PCM))
        if code == 1006:
            return
        await peer.connection.aclose(code, "because")

    error = await fail_speech(TransientError, leaves, within=CLOSE_SECONDS + 0.1)
    assert error.code == str(code)


async def test_a_close_with_1013_slows_the_run_down(autojump_clock: object) -> None:
    """Try again later is throttling."""

    async def leaves(peer: Peer) -> None:
        await peer.begin()
        await peer.connection.aclose(1013)

    await fail_speech(ThrottledError, leaves, within=CLOSE_SECONDS + 0.1)


@pytest.mark.parametrize("has_audio", [False, True])
async def test_a_normal_close_counts_only_after_audio_and_all_text(
    has_audio: bool, autojump_clock: object
) -> None:
    """1000 without audio is a failure; with it the judge has the last word."""

    async def leaves(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        if has_audio:
            await peer.send(audio_message(PCM))
        await peer.connection.aclose(1000)

    if has_audio:
        assert (await run_speech(leaves)).evidence.ending is Ending.CLOSED_BY_SERVER
    else:
        await fail_speech(MuteError, leaves, within=CLOSE_SECONDS + 0.1)


async def test_a_normal_close_in_mid_text_is_a_failure(autojump_clock: object) -> None:
    """A service that leaves before it has heard all cannot have said all."""

    async def leaves(peer: Peer) -> None:
        await peer.begin()
        await peer.get()
        await peer.send(audio_message(PCM))
        await peer.connection.aclose(1000)

    texts = ["x" * 1000 for _ in range(50)]
    error = await fail_speech(
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
        await peer.send(audio_message(PCM))
        await peer.stream.send_all(frame)
        await trio.sleep_forever()

    error = await fail_speech(
        TransientError, garbles, provider=provider, within=CLOSE_SECONDS + 0.1
    )
    assert error.code in {"1002", "1007"}


async def test_broken_frames_while_we_send_are_a_failure(autojump_clock: object) -> None:
    """A sender that finds the connection broken leaves the verdict to the listener."""

    async def garbles(peer: Peer) -> None:
        await peer.begin()
        await peer.get()
        await peer.stream.send_all(b"\xff\xff\xff\xff")
        await trio.sleep_forever()

    await fail_speech(TransientError, garbles, texts=["x" * 100] * 500, within=CLOSE_SECONDS + 0.1)


@pytest.mark.parametrize("payload", ["nonsense", '{"audio":"###"}', b"\x00\x01", "\u0000"])
async def test_messages_that_cannot_be_read_are_a_failure(
    payload: str | bytes, autojump_clock: object
) -> None:
    """Garbage ends in a named failure and no crash."""

    async def garbles(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(audio_message(PCM))
        await peer.send(payload)
        await trio.sleep_forever()

    began = trio.current_time()
    with pytest.raises(TransientError):
        await run_speech(garbles)
    assert trio.current_time() - began <= CLOSE_SECONDS + 0.1


@pytest.mark.parametrize(
    ("message", "kind", "code"),
    [
        ({"type": "error", "errorCode": 40101, "errorMessage": "no"}, StopError, "40101"),
        ({"type": "error", "errorCode": "40201", "message": "no"}, QuotaSpentError, "40201"),
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
        await peer.send(audio_message(PCM))
        await peer.send(message)
        await trio.sleep_forever()

    error = await fail_speech(kind, fails, within=CLOSE_SECONDS + 0.1)
    assert error.code == code


async def test_an_error_and_a_close_in_one_packet_are_told_as_the_error(
    autojump_clock: object,
) -> None:
    """The words before the close are the reason."""

    async def fails(peer: Peer) -> None:
        await peer.get()
        await peer.send({"type": "error", "errorCode": 40101, "errorMessage": "no"})
        await peer.connection.aclose(1011)

    assert (await fail_speech(StopError, fails, within=CLOSE_SECONDS + 0.1)).code == "40101"


async def test_a_message_beyond_16_mib_is_refused(autojump_clock: object) -> None:
    """Memory is bounded whatever comes."""

    async def huge(peer: Peer) -> None:
        await peer.begin()
        await peer.send("x" * (16 * 1024 * 1024 + 1))
        await trio.sleep_forever()

    assert (await fail_speech(TransientError, huge, within=CLOSE_SECONDS + 0.1)).code == "1009"


async def test_a_message_of_15_mib_is_taken(autojump_clock: object) -> None:
    """The library's own limit of 1 MiB would end long audio."""
    pcm = make_tone(220.0)

    async def large(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(audio_message(pcm))
        await peer.until_asked_to_close()

    assert bytes((await run_speech(large, texts=["x" * 200])).pcm) == pcm


async def test_an_implausible_result_is_handed_out_with_its_doubts(
    autojump_clock: object,
) -> None:
    """It was paid for: all of it comes, and what speaks against it."""
    doubt = Doubt(sign=Sign.SHORT, message="too short")

    class Strict(LenientJudge):
        def verdict(self, pcm: ReceivedAudio, sample_rate: int, ending: Ending) -> Verdict:
            return Verdict(doubts=(doubt,))

    async with run_service(speaks) as service:
        segment = make_segment("x")
        session = TtsSession(endpoint_at(service), segment, texts=["x"], judge=Strict())
        result = await session.run()
    assert result.doubts == (doubt,)
    assert bytes(result.pcm) == PCM


async def test_a_broken_line_in_mid_session_never_looks_like_no_connection(
    autojump_clock: object,
) -> None:
    """Text was sent by then, and may be billed."""
    error = await fail_speech(
        TransientError, speaks, texts=["x" * 1000] * 50, break_sends_after=20_000, within=0.1
    )
    assert error.code == "1006"
    error = await fail_speech(TransientError, speaks, break_reads_after=300, within=0.1)
    assert error.code == "1006"


@pytest.mark.parametrize("broken", [trio.BrokenResourceError, OSError])
async def test_a_read_that_breaks_in_mid_session_is_a_broken_connection(
    broken: type[Exception], autojump_clock: object
) -> None:
    """Whatever the stream calls it."""
    error = await fail_speech(
        TransientError, speaks, break_reads_after=300, broken=broken, within=CLOSE_SECONDS
    )
    assert error.code == "1006"


def test_a_connection_that_ends_without_any_close_broke() -> None:
    """No code at all must not pass for a normal end."""
    code, reason = exchange._close_of(ConnectionClosed(None))
    assert code == 1006
    assert reason
