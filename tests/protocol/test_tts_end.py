"""When a synthesis is complete: the quiet, the close, and marks of the end."""

import dataclasses

import pytest

from batchjobs.errors import MuteError, SessionError, ThrottledError, TransientError
from batchjobs.jobs import Ending
from batchjobs.providers import Provider
from tests.builders import HOSTED, READY
from tests.protocol.tts_session import DRAINING, FINAL, TEXTS, Judge, Session, open_session, sound


def test_quiet_then_close_is_complete() -> None:
    """First audio, quiet time, closeConnection, the server's close: done, with the evidence."""
    session = open_session().after(1).hear(sound(0.5)).after(1.5).hear(sound(0.25, fill=b"\3\4"))
    session.after(3).close(1000)
    result = session.machine.course.result()
    assert bytes(result.pcm) == b"\1\2" * 12_000 + b"\3\4" * 6_000
    assert result.sample_rate == 24_000
    evidence = result.evidence
    assert (evidence.ending, evidence.close_code, evidence.messages) == (Ending.QUIET, 1000, 2)
    assert (evidence.first_result_seconds, evidence.longest_gap_seconds) == (1.0, 1.5)
    assert evidence.session_seconds == 0.5 + 1 + 1.5 + 3
    assert evidence.sent_characters == sum(map(len, TEXTS))
    assert evidence.received_audio_seconds == 0.75
    assert evidence.sent_audio_seconds == 0.0
    assert session.judge.endings == [Ending.QUIET]


def test_a_peer_that_never_closes_is_complete_all_the_same() -> None:
    """After quiet time and drain time the outcome is decided without the server's close."""
    session = open_session().after(1).hear(sound()).after(2.5 + 4.9)
    assert not session.machine.course.has_ended
    session.after(0.2)
    assert session.machine.course.result().evidence.ending is Ending.QUIET
    assert session.machine.course.result().evidence.close_code is None


def test_audio_while_draining_belongs_to_the_result() -> None:
    """What comes after closeConnection is kept, and its gap is told from the audio before."""
    session = (
        open_session()
        .after(1)
        .hear(sound())
        .after(3)
        .hear(sound(fill=b"\5\6"))
        .after(1)
        .close(1000)
    )
    result = session.machine.course.result()
    assert bytes(result.pcm).endswith(b"\5\6")
    assert len(result.pcm) == 96_000
    assert result.evidence.longest_gap_seconds == 3.0


def test_the_draining_ends_only_when_the_server_closes() -> None:
    """Where closing drains, pauses do not end it; the server's close does."""
    session = open_session(DRAINING).after(20).hear(sound()).after(4.9).hear(sound()).after(4.9)
    assert not session.machine.course.has_ended
    session.close(1000)
    result = session.machine.course.result()
    assert (result.evidence.ending, result.evidence.close_code) == (Ending.DRAINED, 1000)
    assert session.judge.endings == [Ending.DRAINED]


@pytest.mark.parametrize("code", [None, 1000, 1005])
def test_a_normal_close_in_mid_audio_may_be_the_end(code: int | None) -> None:
    """A close with 1000 or without a code after audio is an end that the judge is told of."""
    session = open_session().after(1).hear(sound()).after(0.1).close(code)
    assert session.machine.course.result().evidence.ending is Ending.CLOSED_BY_SERVER
    assert session.machine.course.result().evidence.close_code == code
    assert session.judge.endings == [Ending.CLOSED_BY_SERVER]


def test_a_close_before_ours_went_out_is_not_called_drained() -> None:
    """What the server closed before it was asked to is told as its own doing."""
    session = Session(DRAINING, texts=("واحد",))
    session.send()
    session.machine.receive(READY, session.now)
    session.machine.next_payload()
    session.machine.note_sent(session.now)
    session.machine.receive(sound(), session.now)
    session.close(1000)
    assert session.machine.course.result().evidence.ending is Ending.CLOSED_BY_SERVER


@pytest.mark.parametrize("provider", [HOSTED, DRAINING])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1001, TransientError),
        (1006, TransientError),
        (1008, TransientError),
        (1009, TransientError),
        (1011, TransientError),
        (1012, TransientError),
        (1013, ThrottledError),
        (4321, TransientError),
    ],
)
def test_any_other_close_in_mid_audio_fails(
    provider: Provider, code: int, kind: type[SessionError]
) -> None:
    """Whatever audio has come, a close that is not normal is a failed attempt."""
    error = open_session(provider).after(1).hear(sound(60)).close(code, "why").failure()
    assert type(error) is kind
    assert error.code == str(code)
    assert "in mid-audio (why)" in error.message


@pytest.mark.parametrize("provider", [HOSTED, DRAINING])
@pytest.mark.parametrize("code", [None, 1000, 1006])
def test_a_close_before_any_audio_fails(provider: Provider, code: int | None) -> None:
    """No audio at all is a failure, however politely it was said."""
    error = open_session(provider).after(1).close(code).failure()
    assert type(error) is (TransientError if code == 1006 else MuteError)
    assert ("before any audio" if code == 1006 else "without any audio") in error.message


@pytest.mark.parametrize("code", [None, 1000, 1011])
def test_a_close_while_texts_are_going_out_fails(code: int | None) -> None:
    """A close before the last text went out cannot be the end, even after audio."""
    session = Session()
    session.send()
    session.machine.receive(READY, session.now)
    session.machine.next_payload()
    session.machine.receive(sound(), session.now)
    assert "in mid-audio" in session.close(code).failure().message


def test_a_line_dropped_after_the_quiet_time_is_complete() -> None:
    """The audio was complete before the peer dropped the line instead of closing."""
    session = open_session().after(1).hear(sound()).after(3).close(1006)
    assert session.machine.course.result().evidence.ending is Ending.QUIET
    assert session.machine.course.result().evidence.close_code == 1006


def test_a_line_dropped_after_the_quiet_was_belied_fails() -> None:
    """If audio came after closeConnection, a break is in mid-audio again."""
    session = open_session().after(1).hear(sound()).after(3).hear(sound()).after(0.1).close(1006)
    assert type(session.failure()) is TransientError


@pytest.mark.parametrize("code", [1011, 1013])
def test_an_abnormal_close_after_the_quiet_time_fails(code: int) -> None:
    """A server that says it failed is believed."""
    assert open_session().after(1).hear(sound()).after(3).close(code).failure().code == str(code)


def test_each_audio_message_starts_the_quiet_time_anew() -> None:
    """As long as gaps are shorter than the quiet time, nothing ends."""
    session = open_session().after(5)
    for _ in range(100):
        session.hear(sound(1)).after(2.4)
    assert "closeConnection" not in session.kinds
    assert len(session.after(10).machine.course.result().pcm) == 100 * 48_000


def test_audio_marked_final_ends_nothing() -> None:
    """`isFinal` on a message with audio is ignored: it was seen in mid-speech."""
    session = open_session().after(1).hear(sound(final=True)).after(2.4).hear(sound(final=True))
    assert "closeConnection" not in session.after(2.4).kinds


def test_an_empty_final_message_shortens_the_quiet_time() -> None:
    """An empty `isFinal` message after audio leaves the shorter wait, measured from the audio."""
    session = open_session().after(1).hear(sound()).after(0.2).hear(FINAL).after(0.7)
    assert "closeConnection" not in session.kinds
    assert "closeConnection" in session.after(0.2).kinds


def test_an_empty_final_message_shortens_nothing_while_there_may_be_more() -> None:
    """It was seen between two parts of the audio: what is not ample has the whole quiet time."""
    judge = Judge(finds_ample=False)
    session = open_session(judge=judge).after(1).hear(sound(), FINAL).after(2.4)
    assert "closeConnection" not in session.kinds
    assert "closeConnection" in session.after(0.2).kinds


def test_audio_after_a_final_message_brings_the_quiet_time_back() -> None:
    """What was marked final was not: the whole quiet time counts again."""
    session = open_session().after(1).hear(sound(), FINAL).after(0.5).hear(sound()).after(2.4)
    assert "closeConnection" not in session.kinds


def test_final_before_any_audio_ends_nothing() -> None:
    """An empty `isFinal` message without audio is no audio."""
    session = open_session().after(1).hear(FINAL, '{"isFinal":true}').after(28)
    assert not session.machine.course.has_ended
    assert type(session.after(2).failure()) is MuteError


def test_a_longer_final_wait_never_lengthens_the_quiet_time() -> None:
    """The shorter of both waits counts after an empty final message."""
    slow = dataclasses.replace(HOSTED, final_quiet_seconds=9.0)
    assert "closeConnection" in open_session(slow).hear(sound(), FINAL).after(2.6).kinds


def test_a_pause_is_a_pause_while_the_audio_is_too_short() -> None:
    """With less audio than the text can take, the quiet time is that of the first audio."""
    session = (
        open_session(judge=Judge(minimum_seconds=2.0)).after(1).hear(sound(1), FINAL).after(29)
    )
    assert "closeConnection" not in session.kinds
    session.hear(sound(1)).after(2.6)
    assert "closeConnection" in session.kinds


def test_audio_before_the_last_text_does_not_start_the_quiet_time() -> None:
    """After the last text the first audio has its own time, also if there was audio before it."""
    session = Session()
    session.send()
    session.machine.receive(READY, session.now)
    session.machine.next_payload()
    session.machine.note_sent(session.now)
    session.after(1).machine.receive(sound(), session.now)
    session.after(1).send()
    assert session.kinds.count("closeConnection") == 0
    session.after(29)
    assert session.kinds.count("closeConnection") == 0
    session.hear(sound()).after(2.6)
    assert session.kinds.count("closeConnection") == 1
    result = session.after(6).machine.course.result()
    assert len(result.pcm) == 96_000
    assert result.evidence.first_result_seconds == 0.0
    assert result.evidence.longest_gap_seconds == 30.0


def test_all_audio_before_the_last_text_is_not_lost() -> None:
    """If nothing more comes after the last text, what came is the result after the longer wait."""
    session = Session(texts=("نعم",))
    session.send()
    session.machine.receive(READY, session.now)
    session.machine.next_payload()
    session.machine.receive(sound(), session.now)
    session.now += 1
    session.machine.note_sent(session.now)
    assert session.machine.wait_until == session.now + 30
    assert session.after(40).machine.course.result().evidence.ending is Ending.QUIET
