"""A session on `/listen`, on a clock of plain numbers: what is sent when, and what stands at the end."""

import dataclasses
import json
from typing import Any

import pytest

from batchjobs.errors import (
    MisconfiguredError,
    QuotaSpentError,
    SessionError,
    StopError,
    ThrottledError,
    TimedOutError,
    TransientError,
)
from batchjobs.jobs import Ending, Sign
from batchjobs.protocol.listen import FRAME_SECONDS, ListenClient, chunk_seconds_of
from batchjobs.providers import Provider
from tests.builders import HOSTED

LISTENING = dataclasses.replace(HOSTED, name="listens", stt_protocol="listen")


class Session:
    """One machine, a clock, and what was sent."""

    def __init__(self, provider: Provider = LISTENING) -> None:
        self.now = 100.0
        self.machine = ListenClient(self.now, provider=provider)
        self.chunk_seconds = chunk_seconds_of(provider)
        self.hear("Metadata", session_id="s", model="munsit")

    def hear(self, name: str, **values: Any) -> "Session":
        """Let a message come."""
        self.machine.receive(json.dumps({"type": name, **values}), self.now)
        return self

    def final(self, text: str, *times: tuple[float, float]) -> "Session":
        """Let a final come, with its words' times."""
        words = [
            {"word": word, "start": start, "end": end}
            for word, (start, end) in zip(text.split(), times, strict=False)
        ]
        return self.hear("Results", transcript=text, is_final=True, words=words)

    def send(self, seconds: float) -> "Session":
        """Send so much audio, each chunk when it may go."""
        chunk = bytes(round(self.chunk_seconds * 32_000))
        left = round(seconds * 32_000)
        while left:
            self.machine.plan_chunk(chunk[:left])
            self.now = max(self.now, self.machine.next_chunk_at)
            assert self.machine.write_chunk(chunk[:left]) == chunk[:left]
            self.machine.note_sent(self.now)
            left -= min(left, len(chunk))
        return self

    def end(self) -> "Session":
        """Say that all was sent."""
        assert self.machine.write_end() == '{"type":"CloseStream"}'
        self.machine.note_all_sent(self.now)
        return self

    def pay(self, seconds: float) -> "Session":
        """Let the receipt come."""
        return self.hear("Metadata", audio_seconds_billed=seconds, turn_count=1)

    def failure(self) -> SessionError:
        """Give what it failed with."""
        with pytest.raises(SessionError) as caught:
            self.machine.course.result()
        return caught.value


def test_a_minute_goes_out_at_once_and_the_rest_behind_the_window() -> None:
    """The service closes a session that is more than 60 s ahead of real time."""
    session = Session().send(58)
    assert session.now == 100.0
    for _ in range(8):
        session.send(session.chunk_seconds)
        ahead = session.machine.sent_seconds - (session.now - 100.0)
        assert ahead == pytest.approx(58)
    assert session.now == pytest.approx(100.0 + 32)


def test_a_pace_that_is_asked_for_is_kept() -> None:
    """`--pace 2`: twice real time, within the window."""
    session = Session(dataclasses.replace(LISTENING, listen_pace=2.0)).send(10)
    assert session.now == pytest.approx(100.0 + 5 - FRAME_SECONDS / 2)


def test_finals_are_appended_and_what_is_not_final_is_replaced() -> None:
    """Diacritics, tatweel, joiners and digits stay as they are; interim words count for nothing."""
    session = Session().send(4).end()
    session.hear("Results", transcript="سل", is_final=False)
    session.final("السَّلامُ عليكـم", (0.5, 0.9), (1.0, 1.5))
    session.hear("UtteranceEnd").hear("Results", transcript="خطأ", is_final=False)
    session.final("می\u200cخواهم ١٢٣", (2.0, 2.5), (2.6, 3.0)).pay(4.0)
    result = session.machine.course.result()
    assert result.text == "السَّلامُ عليكـم می\u200cخواهم ١٢٣"
    assert result.word_start_seconds == (0.5, 1.0, 2.0, 2.6)
    assert result.word_end_seconds == (0.9, 1.5, 2.5, 3.0)
    evidence = result.evidence
    assert (evidence.ending, evidence.close_code) == (Ending.RECEIPT, None)
    assert (evidence.sent_audio_seconds, evidence.billed_audio_seconds) == (4.0, 4.0)
    assert not result.doubts


def test_silence_is_a_result_too() -> None:
    """A receipt without a word: all was heard, and nobody spoke."""
    result = Session().send(2).end().pay(2.0).machine.course.result()
    assert (result.text, result.word_end_seconds, result.doubts) == ("", (), ())


@pytest.mark.parametrize(
    ("billed", "is_doubted"),
    [(100.0, False), (98.1, False), (97.0, True), (0.0, True), (103.0, False)],
)
def test_a_receipt_of_less_than_was_sent_is_doubted(billed: float, is_doubted: bool) -> None:
    """More than a second and two in a hundred less: part of it was not heard."""
    result = Session().send(100).end().pay(billed).machine.course.result()
    assert [doubt.sign for doubt in result.doubts] == [Sign.UNHEARD] * is_doubted


def test_words_that_never_became_final_are_doubted() -> None:
    """They may be the last ones said."""
    session = Session().send(2).final("نعم", (0.1, 0.5)).end()
    result = (
        session.hear("Results", transcript="ولا", is_final=False).pay(2.0).machine.course.result()
    )
    assert result.text == "نعم"
    assert [doubt.sign for doubt in result.doubts] == [Sign.UNSETTLED]


@pytest.mark.parametrize(
    "times",
    [((0.5, 0.9),), ((2.0, 1.0), (2.5, 3.0)), ((1.5, 1.9), (1.0, 1.4)), ((-1.0, 0.2), (0.3, 0.5))],
    ids=["too few", "ends before it starts", "out of order", "before the beginning"],
)
def test_times_that_cannot_be_are_not_taken(times: tuple[tuple[float, float], ...]) -> None:
    """The text stands; its words are laid out by the sound instead."""
    result = Session().send(4).final("one two", *times).end().pay(4.0).machine.course.result()
    assert (result.text, result.word_start_seconds, result.word_end_seconds) == ("one two", (), ())


def test_a_receipt_before_all_was_sent_is_a_failure() -> None:
    """The service has ended the session by itself: what was not sent was not heard."""
    error = Session().send(2).final("one", (0.1, 0.5)).pay(2.0).failure()
    assert isinstance(error, TransientError)
    assert "before all audio was sent" in error.message


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (1000, "", TransientError),
        (1006, "", TransientError),
        (1011, "idle", TransientError),
        (1013, "", ThrottledError),
        (1008, "Concurrent session limit reached", ThrottledError),
        (1008, "insufficient wallet balance", QuotaSpentError),
        (1008, "API key refused", StopError),
        (4002, "invalid model", MisconfiguredError),
        (4008, "too far ahead", TransientError),
    ],
)
def test_a_close_without_a_receipt_is_told_apart(
    code: int, reason: str, kind: type[SessionError]
) -> None:
    """By its code, and 1008 by its reason: one throttles, one waits for money, one for a key."""
    session = Session().send(2).final("one", (0.1, 0.5)).end()
    session.machine.receive_close(code, reason, session.now)
    error = session.failure()
    assert type(error) is kind
    assert str(code) in error.message


def test_an_error_that_the_service_gets_over_ends_nothing() -> None:
    """One that it does not, ends the session, by its code."""
    session = Session().send(2).hear("Error", code="w", message="x", recoverable=True)
    assert not session.machine.course.has_ended
    session.hear("Error", code="429", message="too many", recoverable=False)
    assert isinstance(session.failure(), ThrottledError)


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (1008, "concurrent session limit reached", ThrottledError),
        ("limit", "Concurrent session limit reached", ThrottledError),
        (1008, "insufficient wallet balance", QuotaSpentError),
        (None, "insufficient wallet balance", QuotaSpentError),
        (1008, "invalid api key", StopError),
        (4002, "invalid parameter: language", MisconfiguredError),
        (4008, "audio is too far ahead", TransientError),
        (1011, "internal", TransientError),
        (401, "", StopError),
        (429, "", ThrottledError),
        (500, "", TransientError),
        ("x", "", TransientError),
        (1013, "", ThrottledError),
    ],
)
def test_an_error_that_ends_the_session_is_told_apart(
    code: object, message: str, kind: type[SessionError]
) -> None:
    """By its code, a number or a text, of a close or of a status; or by its words, as a close is."""
    error = Session().send(2).hear("Error", code=code, message=message).failure()
    assert type(error) is kind
    assert message in error.message
    assert error.code == ("" if code is None else str(code))


def test_a_service_that_sends_no_receipt_is_waited_for_and_given_up() -> None:
    """As long as messages come, it is still at work."""
    session = Session().send(2).end()
    for _ in range(3):
        session.now += LISTENING.receipt_seconds - 1
        assert session.machine.wait_until > session.now
        session.final("one")
    session.now = session.machine.wait_until
    session.machine.wake(session.now)
    assert isinstance(session.failure(), TimedOutError)


def test_a_line_that_takes_no_audio_is_given_up() -> None:
    """Not while the window keeps the next frame back, but after it would have let it go."""
    session = Session().send(70)
    assert (
        session.machine.wait_until >= session.machine.next_chunk_at + LISTENING.ready_seconds - 1e-6
    )
    session.now = session.machine.wait_until
    session.machine.wake(session.now)
    assert isinstance(session.failure(), TimedOutError)


def test_odd_fields_do_no_harm() -> None:
    """Null, missing, of another type: the text counts; without one it is no result."""
    session = Session().send(2)
    session.hear("Results", transcript="one", is_final=True, words=None, confidence=None)
    session.hear("Results", transcript="two", is_final=True, words=[{"word": 1}, "x"])
    session.hear("Results", transcript=["x"], is_final=True).hear("Novelty").hear("Gender", label=3)
    session.hear("Results", transcript="three", is_final=True, language=3, confidence="high")
    session.machine.receive("[1, 2]", session.now)
    session.end().hear("Metadata", session_id=17, audio_seconds_billed=2, turn_count=None)
    assert session.machine.course.result().text == "one two three"


@pytest.mark.parametrize("billed", ["nan", "inf", -1.0, True, [], 1e300])
def test_what_bills_no_length_is_no_receipt(billed: object) -> None:
    """It shows nothing: the session goes on to wait for one, and is not done without."""
    session = Session().send(2).end()
    session.hear("Metadata", audio_seconds_billed=billed)
    assert not session.machine.course.has_ended
    assert session.pay(2.0).machine.course.result().evidence.billed_audio_seconds == 2.0


def test_garbage_is_a_failure_of_the_session() -> None:
    """As on the other sockets."""
    session = Session()
    session.machine.receive("<html>", session.now)
    assert isinstance(session.failure(), TransientError)


def test_a_sign_of_life_is_due_when_nothing_went_out() -> None:
    """Well before the service's twelve seconds."""
    session = Session().send(1)
    assert session.machine.keep_alive_at - session.now < 10
    assert session.machine.write_keep_alive() == '{"type":"KeepAlive"}'
