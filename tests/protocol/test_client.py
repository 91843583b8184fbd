"""What a client of either protocol keeps of its session."""

import pytest

from batchjobs.errors import StopError, TimedOutError, TransientError
from batchjobs.jobs import Ending
from batchjobs.protocol.client import Course
from batchjobs.protocol.conversation import STT, Conversation, Phase
from batchjobs.protocol.messages import Role, Transcription


def _open_course() -> Course[str]:
    return Course(Phase.SENDING, 100.0)


def _open_conversation() -> Conversation:
    return Conversation(STT, Role.CLIENT)


def test_the_evidence_is_of_the_first_result_and_of_the_longest_wait_between_two() -> None:
    """The times before the first result and after the last one are no gaps."""
    course = _open_course()
    for now in (105.0, 105.5, 108.0, 108.1):
        course.note_result(now)
    evidence = course.evidence(Ending.SETTLED, None, 120.0, asked_at=101.0)
    assert (evidence.first_result_seconds, evidence.longest_gap_seconds) == (4.0, 2.5)
    assert (evidence.messages, evidence.session_seconds) == (4, 20.0)


def test_a_result_before_it_was_asked_for_took_no_time() -> None:
    """Audio may come while the text is still being sent."""
    course = _open_course()
    course.note_result(105.0)
    evidence = course.evidence(Ending.QUIET, 1000, 120.0, asked_at=110.0)
    assert evidence.first_result_seconds == 0.0


@pytest.mark.parametrize("payload", ["<html>", '{"errorCode":40101,"message":"no"}'])
def test_an_error_that_is_read_is_the_outcome(payload: str) -> None:
    """Whether the service says it or cannot be read; what comes afterwards is not looked at."""
    course = _open_course()
    course.read(_open_conversation(), payload)
    assert course.has_ended
    assert course.read(_open_conversation(), '{"event":"transcription","data":"a"}') is None
    with pytest.raises((StopError, TransientError)):
        course.result()


def test_a_message_is_handed_on() -> None:
    """What is no error is the machine's to deal with."""
    course = _open_course()
    assert course.read(
        _open_conversation(), '{"event":"transcription","data":"a"}'
    ) == Transcription("a")
    assert not course.has_ended


def test_a_course_without_an_outcome_was_given_up() -> None:
    """Asked too early for its result, it says so; a deadline says how late it was."""
    course = _open_course()
    with pytest.raises(TransientError, match="given up"):
        course.result()
    course.time_out("no transcript came", 107.25)
    with pytest.raises(TimedOutError, match=r"no transcript came \(7\.2 s into the session\)"):
        course.result()
