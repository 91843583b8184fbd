"""Deadlines of a transcription: what feeds them, and what does not."""

import dataclasses

import pytest

from batchjobs.errors import TimedOutError
from batchjobs.jobs import Sign
from tests.builders import HOSTED, transcript_message
from tests.protocol.stt_session import SECOND, Session, send_seconds

_NOISE = ("{}", '{"event":"ping"}', "[]", "5", '{"event":"transcription"}')


@pytest.mark.parametrize("noise", _NOISE)
def test_only_transcripts_feed_the_deadlines(noise: str) -> None:
    """Unknown messages, however many, keep no session alive."""
    session = send_seconds()
    for _ in range(20):
        session.hear(noise).after(1)
    error = session.failure()
    assert type(error) is TimedOutError
    assert "no transcript came" in error.message
    settling = send_seconds().hear(transcript_message("a"))
    for _ in range(6):
        settling.hear(noise).after(0.5)
    assert settling.machine.course.result().text == "a"


def test_no_transcript_in_time() -> None:
    """Without any transcript the attempt ends after its own time."""
    session = send_seconds().after(14.9)
    assert not session.machine.course.has_ended
    assert "no transcript came (16.0 s into the session)" in session.after(0.2).failure().message


@pytest.mark.parametrize("pace", [0.0, 0.5, 1.0, 4.0])
def test_a_service_that_stops_taking_audio(pace: float) -> None:
    """A chunk that does not go out ends the attempt, whatever transcripts come."""
    provider = dataclasses.replace(HOSTED, pace=pace)
    session = Session(provider).send(SECOND)
    for count in range(50):
        session.hear(transcript_message(str(count))).after(1)
    error = session.failure()
    assert type(error) is TimedOutError
    assert "stopped taking audio" in error.message


@pytest.mark.parametrize("pace", [0.02, 0.5, 1.0, 4.0])
def test_a_pace_alone_never_times_out(pace: float) -> None:
    """However slow the pace, waiting for the next chunk is no stalled service."""
    session = Session(dataclasses.replace(HOSTED, pace=pace)).send(*[SECOND] * 200)
    assert not session.machine.course.has_ended
    assert session.machine.sent_seconds == 200


def test_transcripts_without_end_end_at_the_limit() -> None:
    """A session has a limit beyond the length of its audio, whatever the other settings."""
    endless = dataclasses.replace(HOSTED, settle_limit_seconds=1e8, session_limit_seconds=30.0)
    session = send_seconds(endless)
    for count in range(40):
        session.after(1).hear(transcript_message(str(count)))
    [doubt] = session.machine.course.result().doubts
    assert doubt.sign is Sign.UNSETTLED
    assert session.machine.wait_until <= session.now
