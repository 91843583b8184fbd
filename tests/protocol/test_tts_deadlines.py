"""Deadlines of a synthesis: only audio feeds them."""

import dataclasses

import pytest

from batchjobs.errors import MuteError, TimedOutError
from batchjobs.jobs import Ending, Sign
from batchjobs.providers import Provider
from tests.builders import HOSTED, READY, audio_message
from tests.protocol.tts_session import DRAINING, FINAL, Judge, Session, open_session, sound

_NOISE = ("{}", '{"type":"ping"}', '{"audio":"","sampleRate":24000}', FINAL, "[]", "5")


@pytest.mark.parametrize("provider", [HOSTED, DRAINING])
@pytest.mark.parametrize("noise", _NOISE)
def test_only_audio_feeds_the_deadlines(provider: Provider, noise: str) -> None:
    """Unknown and empty messages, however many, keep no session alive."""
    session = open_session(provider)
    for _ in range(40):
        session.hear(noise).after(1)
    assert "no audio came" in session.failure().message
    session = open_session(provider).after(1).hear(sound())
    for _ in range(40):
        session.hear(noise).after(0.5)
    assert session.machine.course.has_ended


def test_a_service_that_never_gets_ready() -> None:
    """Without connectionInitialized the attempt ends after its own time."""
    session = Session()
    session.send()
    session.after(19.9).hear('{"type":"ping"}')
    assert not session.machine.course.has_ended
    error = session.after(0.2).failure()
    assert type(error) is TimedOutError
    assert "did not answer the first message (20.0 s into the session)" in error.message


def test_a_service_that_stops_taking_text() -> None:
    """A text that does not go out ends the attempt after its own time, each text anew."""
    session = Session()
    session.send()
    session.machine.receive(READY, session.now)
    for _ in range(2):
        assert session.machine.next_payload()
        session.after(19).machine.note_sent(session.now)
    assert not session.machine.course.has_ended
    session.machine.next_payload()
    assert "stopped taking text" in session.after(21).failure().message


@pytest.mark.parametrize("provider", [HOSTED, DRAINING])
def test_a_service_that_stays_silent(provider: Provider) -> None:
    """No audio within its time is a failure, never an empty file."""
    session = open_session(provider).after(29.9)
    assert not session.machine.course.has_ended
    error = session.after(0.2).failure()
    assert type(error) is MuteError
    assert "no audio came" in error.message


def test_a_draining_service_that_stops_in_the_middle() -> None:
    """Where the close is the end, silence is not: the attempt fails after the drain time."""
    session = open_session(DRAINING).after(1).hear(sound()).after(5.1)
    error = session.failure()
    assert type(error) is TimedOutError
    assert "before the service closed" in error.message


def test_a_byte_a_second_is_no_audio() -> None:
    """Audio far below its own pace ends the attempt, however steadily it drips."""
    session = open_session(judge=Judge(minimum_seconds=1.0)).after(1)
    for _ in range(60):
        session.hear(audio_message(b"\0")).after(1)
    error = session.failure()
    assert type(error) is TimedOutError
    assert "slower than a tenth" in error.message
    assert session.now - 100 < 65


def test_audio_without_end_ends_at_the_limit() -> None:
    """A stream that never stops is not taken for a quiet one when the session's time is over."""
    short = dataclasses.replace(HOSTED, session_limit_seconds=60.0)
    session = open_session(short, texts=("كلمة " * 100,)).after(1)
    for _ in range(100):
        session.hear(sound(0.5)).after(1)
    error = session.failure()
    assert type(error) is TimedOutError
    assert "limit" in error.message
    assert session.judge.endings == []


def test_a_quiet_that_began_before_the_limit_counts() -> None:
    """If the limit falls into the draining after a quiet time, the audio is complete."""
    short = dataclasses.replace(HOSTED, session_limit_seconds=5.0)
    session = open_session(short).hear(sound()).after(2.6)
    assert session.kinds[-1] == "closeConnection"
    assert session.after(2).machine.course.result().evidence.ending is Ending.QUIET


def test_the_limit_grows_with_the_text() -> None:
    """A text that takes long to speak has the time for it."""
    session = Session(judge=Judge(minimum_seconds=1_000.0))
    assert session.machine._limit() == 100 + 900 + 10_000


def test_far_more_audio_than_text_ends_the_session() -> None:
    """A service that does not stop talking fills no memory; what came until then is kept."""
    session = open_session(texts=("نعم",))
    for _ in range(100):
        session.hear(sound(1))
    result = session.machine.course.result()
    assert [doubt.sign for doubt in result.doubts] == [Sign.LONG]
    assert "far more audio" in result.doubts[0].message
    assert result.evidence.ending is Ending.STOPPED
    assert result.evidence.received_audio_seconds == 70  # 60 s, and 3 for each of 3 characters
    assert len(result.pcm) == 70 * 48_000
