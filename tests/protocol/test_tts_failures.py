"""Errors and messages out of turn fail the attempt, and nothing comes after the end."""

import pytest

from batchjobs.errors import (
    PermanentError,
    QuotaSpentError,
    SessionError,
    StopError,
    ThrottledError,
    TransientError,
)
from batchjobs.protocol.messages import InvalidMessageError
from tests.builders import READY
from tests.canary import KEY
from tests.protocol.tts_session import DRAINING, FINAL, Session, open_session, sound


@pytest.mark.parametrize("when", ["at once", "ready", "in mid-audio", "draining"])
@pytest.mark.parametrize(
    ("payload", "kind", "code"),
    [
        ('{"type":"error","errorCode":40101,"errorMessage":"no"}', StopError, "40101"),
        ('{"type":"error","errorCode":"40201","errorMessage":"no"}', QuotaSpentError, "40201"),
        ('{"errorCode":40301,"message":"no"}', StopError, "40301"),
        ('{"type":"error","errorCode":40001,"errorMessage":"no"}', PermanentError, "40001"),
        ('{"type":"error","errorCode":"42901","message":"no"}', ThrottledError, "42901"),
        ('{"type":"error","errorCode":50001,"errorMessage":"no"}', TransientError, "50001"),
        ('{"type":"error","message":"no"}', TransientError, ""),
        ('{"audio":"AAA=","sampleRate":24000,"errorCode":50202}', TransientError, "50202"),
        ("<html>", InvalidMessageError, ""),
        (b"\xff\xfe", InvalidMessageError, ""),
        ('{"audio":"AAA","sampleRate":24000}', InvalidMessageError, ""),
    ],
)
def test_an_error_fails_the_attempt_at_any_time(
    when: str, payload: str | bytes, kind: type[SessionError], code: str
) -> None:
    """Whatever has come before, an error message or garbage ends the attempt in its class."""
    if when == "at once":
        session = Session()
        session.send()
    else:
        session = open_session().after(1)
    if when in {"in mid-audio", "draining"}:
        session.hear(sound(30))
    if when == "draining":
        session.after(3)
    error = session.hear(payload).failure()
    assert type(error) is kind
    assert error.code == code


def test_messages_out_of_turn_fail_the_attempt() -> None:
    """Audio before readiness, or readiness twice, is garbage; no text is bought twice."""
    session = Session()
    session.send()
    assert type(session.hear(sound()).failure()) is InvalidMessageError
    session = open_session().hear(READY)
    assert type(session.failure()) is InvalidMessageError
    assert session.kinds.count("text") == 3


def test_readiness_after_closing_sends_nothing_again() -> None:
    """A second connectionInitialized while draining is passed over."""
    session = open_session(DRAINING).hear(READY)
    assert not session.machine.course.has_ended
    assert session.kinds.count("text") == 3


def test_nothing_after_the_end_changes_the_result() -> None:
    """A peer that goes on sending, closing and erring after the decision is not heard."""
    done = open_session().hear(sound()).after(9)
    result = done.machine.course.result()
    failed = open_session().close(1011)
    error = failed.failure()
    for session in (done, failed):
        session.hear(sound(), READY, "<html>", '{"type":"error","errorCode":40101}')
        session.close(1006).close(1000).after(1_000)
        session.machine.note_sent(session.now)
        session.machine.wake(session.now)
    assert done.machine.course.result() is result
    assert failed.failure() is error
    assert done.machine.wait_until <= done.now


def test_a_result_before_the_end_is_a_failed_attempt() -> None:
    """A session given up half-way says so, in a class that is tried again."""
    session = open_session()
    with pytest.raises(TransientError, match="given up"):
        session.machine.course.result()
    assert not session.machine.course.has_ended


def test_waking_early_does_nothing() -> None:
    """A wake before its time changes neither the deadline nor the phase."""
    session = open_session().after(1)
    before = session.machine.wait_until
    session.machine.wake(before - 0.001)
    assert session.machine.wait_until == before
    assert not session.machine.course.has_ended


def test_audio_proves_the_key() -> None:
    """Readiness proves nothing, one piece of audio does."""
    session = open_session()
    assert not session.machine.course.is_proven
    session.hear(FINAL)
    assert not session.machine.course.is_proven
    assert session.hear(sound(0.1)).machine.course.is_proven


def test_the_key_shows_nowhere() -> None:
    """Neither the machine nor its result nor any failure shows the key."""
    session = open_session().hear(sound()).after(9)
    shown = f"{session.machine!r} {session.machine.course.result().evidence!r}"
    assert KEY not in shown
