"""When a transcript stands: settled, closed, answered in full, or doubted."""

import dataclasses

import pytest

from batchjobs.errors import SessionError, SuspectError, ThrottledError, TransientError
from batchjobs.jobs import Ending, Sign
from tests.builders import HOSTED, transcript_message
from tests.protocol.stt_session import ANSWERING, ARABIC, SECOND, Session, send_seconds


def test_a_settled_transcript_is_complete() -> None:
    """After the last chunk: a first transcript, then no change for the settling time."""
    session = (
        send_seconds()
        .after(1)
        .hear(transcript_message("السلا"))
        .after(0.2)
        .hear(transcript_message(ARABIC))
        .after(2.4)
    )
    assert not session.machine.course.has_ended
    result = session.after(0.2).machine.course.result()
    assert result.text == ARABIC
    evidence = result.evidence
    assert (evidence.ending, evidence.close_code, evidence.messages) == (Ending.SETTLED, None, 2)
    assert (evidence.first_result_seconds, evidence.longest_gap_seconds) == (2.0, 0.2)
    assert evidence.session_seconds == 1 + 1 + 0.2 + 2.5
    assert evidence.sent_audio_seconds == 2.0
    assert (evidence.sent_characters, evidence.received_audio_seconds) == (0, 0.0)


def test_the_transcript_is_replaced_never_appended() -> None:
    """The service's last word counts, also if it is shorter."""
    session = Session().send(SECOND).hear(transcript_message("one two three")).send(SECOND)
    session.hear(transcript_message("one too free four")).end().after(0.3).hear(
        transcript_message("one two")
    ).after(9)
    assert session.machine.course.result().text == "one two"


def test_a_repeated_transcript_settles() -> None:
    """The same text again is no change."""
    session = (
        send_seconds()
        .hear(transcript_message("a"))
        .after(2)
        .hear(transcript_message("a"))
        .after(0.6)
    )
    assert session.machine.course.result().evidence.messages == 2


def test_a_change_starts_the_settling_anew() -> None:
    """As long as the text changes within the settling time, it does not stand."""
    session = send_seconds()
    for count in range(20):
        session.hear(transcript_message("كلمة " * count)).after(2.4)
    assert not session.machine.course.has_ended
    assert session.after(0.2).machine.course.result().text == ("كلمة " * 19).strip()


def test_no_speech_is_an_outcome_of_its_own() -> None:
    """An empty transcript is a result with empty text, not a failure."""
    result = send_seconds().after(1).hear(transcript_message("")).after(9).machine.course.result()
    assert result.text == ""
    assert result.evidence.messages == 1


def test_a_transcript_without_text_is_none() -> None:
    """A transcription message without any text neither counts nor wipes out what was heard."""
    session = send_seconds().hear(transcript_message("a"), '{"event":"transcription"}').after(9)
    assert session.machine.course.result().text == "a"
    silent = send_seconds().hear('{"event":"transcription","data":null}').after(15)
    assert "no transcript came" in silent.failure().message


def test_the_last_words_have_their_own_time() -> None:
    """A transcript from before the last chunk does not count as the first one after it."""
    session = (
        Session()
        .send(SECOND)
        .after(0.5)
        .hear(transcript_message("one"))
        .send(SECOND)
        .end()
        .after(14.9)
    )
    assert not session.machine.course.has_ended
    session.hear(transcript_message("one two")).after(2.4)
    assert not session.machine.course.has_ended
    assert session.after(0.2).machine.course.result().text == "one two"


def test_an_answer_that_comes_late_is_not_taken_for_the_last() -> None:
    """A service that answers each chunk a second late still owes the last: its words are waited for."""
    session = Session().send(SECOND, SECOND).hear(transcript_message("one"))
    session.send(SECOND).hear(transcript_message("one two")).send(SECOND).end()
    session.hear(transcript_message("one two three")).after(HOSTED.settle_seconds + 2)
    assert not session.machine.course.has_ended
    session.hear(transcript_message("one two three four")).after(HOSTED.settle_seconds)
    assert session.machine.course.result().text == "one two three four"


def test_a_tail_of_silence_settles_after_all() -> None:
    """If nothing comes after the last chunk, what stands is the result after the longer wait."""
    session = Session().send(SECOND).after(0.5).hear(transcript_message("one")).send(SECOND).end()
    assert session.machine.wait_until == session.now + 15
    assert session.after(15.1).machine.course.result().text == "one"
    assert session.machine.course.result().evidence.ending is Ending.SETTLED


def test_an_answer_between_the_last_chunk_and_the_end_counts() -> None:
    """A transcript that came before the recording was known to be over starts the settling."""
    session = Session().send(SECOND).after(0.5).hear(transcript_message("one")).end().after(2.6)
    assert session.machine.course.result().text == "one"


def test_a_text_that_still_changes_at_the_cap_is_doubted() -> None:
    """A service that is far behind is not called done; what it gave so far is kept."""
    session = send_seconds()
    for count in range(40):
        session.after(2).hear(transcript_message("كلمة " * count))
    result = session.machine.course.result()
    assert result.text == ("كلمة " * 28).strip()
    assert result.evidence.ending is Ending.UNSETTLED
    assert result.settled_seconds == 0.0
    [doubt] = result.doubts
    assert doubt.sign is Sign.UNSETTLED
    assert "still changed 60.0 s after the last audio" in doubt.message
    assert 0 < doubt.severity < 1


def test_nothing_that_still_changes_at_the_cap_is_a_failure() -> None:
    """Where there is no text to keep, the attempt has failed."""
    session = send_seconds()
    for count in range(40):
        session.after(2).hear(transcript_message("a" if count % 2 else " "))
    error = session.failure()
    assert type(error) is SuspectError
    assert "still changed 60.0 s after the last audio" in error.message
    assert "--pace" in error.hint


def test_the_cap_is_never_shorter_than_the_settling() -> None:
    """A settling time longer than its cap is waited for in full."""
    slow = dataclasses.replace(HOSTED, settle_seconds=90.0)
    session = send_seconds(slow).hear(transcript_message("a")).after(89)
    assert not session.machine.course.has_ended
    assert session.after(2).machine.course.result().text == "a"


@pytest.mark.parametrize("code", [None, 1000, 1005])
def test_a_normal_close_while_draining_is_an_end(code: int | None) -> None:
    """After a transcript and the last chunk, the server's close ends it at once."""
    result = (
        send_seconds().hear(transcript_message("a")).after(0.1).close(code).machine.course.result()
    )
    assert (result.evidence.ending, result.evidence.close_code) == (Ending.CLOSED_BY_SERVER, code)
    assert result.text == "a"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1001, TransientError),
        (1006, TransientError),
        (1011, TransientError),
        (1013, ThrottledError),
    ],
)
def test_any_other_close_fails(code: int, kind: type[SessionError]) -> None:
    """A broken connection loses its transcript: the segment is sent again from its start."""
    error = send_seconds().hear(transcript_message("a")).close(code, "why").failure()
    assert type(error) is kind
    assert error.code == str(code)
    assert "before the transcript stood (why)" in error.message


@pytest.mark.parametrize("code", [None, 1000, 1006])
def test_a_close_before_the_end_of_the_audio_fails(code: int | None) -> None:
    """However normal, a close before all audio was sent is no end."""
    error = Session().send(SECOND).hear(transcript_message("a")).close(code).failure()
    assert type(error) is TransientError
    assert "before all audio was sent" in error.message


@pytest.mark.parametrize("code", [None, 1000])
def test_a_close_without_any_transcript_fails(code: int | None) -> None:
    """A polite close is no sign that no speech was heard."""
    assert "before the transcript stood" in send_seconds().close(code).failure().message


def test_all_chunks_answered_is_the_end() -> None:
    """Where each chunk has one answer, the last answer ends it without any waiting."""
    session = (
        Session(ANSWERING)
        .send(*[SECOND] * 3)
        .hear(transcript_message("a"), transcript_message("a b"))
        .end()
    )
    assert not session.machine.course.has_ended
    result = session.hear(transcript_message("a b c")).machine.course.result()
    assert (result.text, result.evidence.ending) == ("a b c", Ending.ANSWERED)
    assert result.evidence.messages == 3


def test_all_chunks_answered_before_the_end_is_told() -> None:
    """If the last answer came first, the end of the audio is the end."""
    session = Session(ANSWERING).send(SECOND).hear(transcript_message("a"))
    assert not session.machine.course.has_ended
    assert session.end().machine.course.result().evidence.ending is Ending.ANSWERED


def test_owed_answers_are_waited_for_as_long_as_they_come() -> None:
    """A busy server is given the settling time for each answer, far past the cap."""
    session = Session(ANSWERING).send(*[SECOND] * 60).end()
    for count in range(59):
        session.after(2.4).hear(transcript_message(f"{count}"))
    assert not session.machine.course.has_ended
    assert (
        session.after(2.4).hear(transcript_message("last")).machine.course.result().text == "last"
    )


def test_an_owed_answer_that_never_comes_is_doubted() -> None:
    """A server known to answer each chunk that stops half-way has not heard all: it is said where."""
    session = (
        send_seconds(ANSWERING, 5)
        .hear(transcript_message("a"), transcript_message(" a b"))
        .after(3)
    )
    result = session.machine.course.result()
    assert (result.text, result.evidence.ending) == ("a b", Ending.UNSETTLED)
    [doubt] = result.doubts
    assert doubt.sign is Sign.UNSETTLED
    assert "after 2 of 5 answers" in doubt.message
    assert (doubt.start_seconds, doubt.end_seconds) == (2.0, 5.0)
    assert doubt.severity == pytest.approx(0.6)


def test_a_close_with_answers_owed_is_doubted() -> None:
    """Nor has one that closes half-way, with 1000."""
    result = (
        send_seconds(ANSWERING, 5).hear(transcript_message("a")).close(1000).machine.course.result()
    )
    assert (result.text, result.evidence.ending) == ("a", Ending.CLOSED_BY_SERVER)
    assert [doubt.sign for doubt in result.doubts] == [Sign.UNSETTLED]


def test_no_text_with_answers_owed_is_a_failure() -> None:
    """Where there is no text to keep, the attempt has failed."""
    error = (
        send_seconds(ANSWERING, 5)
        .hear(transcript_message(" "), transcript_message(""))
        .after(3)
        .failure()
    )
    assert type(error) is SuspectError
    assert "after 2 of 5 answers" in error.message
