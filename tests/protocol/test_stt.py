"""A transcription on a clock of plain numbers: what is sent, when, and what is handed out."""

import dataclasses
import json

import pytest

from batchjobs.errors import PermanentError, SessionError, StopError, ThrottledError, TransientError
from batchjobs.jobs import Doubt, Ending, Sign, Verdict
from batchjobs.protocol import codec
from batchjobs.protocol.messages import InvalidMessageError
from batchjobs.protocol.stt import SAMPLE_RATE, TRANSCRIPTION_ERROR
from tests.builders import HOSTED, transcript_message
from tests.protocol.stt_session import ANSWERING, ARABIC, SECOND, Session, send_seconds


def test_every_chunk_is_a_whole_wav() -> None:
    """By default each chunk has its own header: the live service refused raw samples."""
    session = send_seconds(seconds=3)
    assert session.sent == [codec.wav_of(SECOND, SAMPLE_RATE)] * 3
    assert SAMPLE_RATE == 16_000


def test_only_the_first_chunk_is_a_wav_if_asked() -> None:
    """In raw form the header comes once, as the documents allow."""
    raw = dataclasses.replace(HOSTED, chunk_form="raw")
    assert send_seconds(raw, 3).sent == [codec.wav_of(SECOND, SAMPLE_RATE), SECOND, SECOND]


def test_a_last_shorter_chunk_is_whole() -> None:
    """What is left of the recording is sent as it is."""
    session = Session().send(SECOND, b"\1\2")
    assert codec.pcm_of_chunk(session.sent[1]) == (b"\1\2", SAMPLE_RATE)
    assert session.machine.sent_seconds == 1 + 1 / 16_000


@pytest.mark.parametrize(("pace", "gap"), [(1.0, 1.0), (4.0, 0.25), (0.5, 2.0), (0.0, 0.0)])
def test_the_pace(pace: float, gap: float) -> None:
    """Chunks go out at the pace of their own sound; unpaced, as fast as they can."""
    session = Session(dataclasses.replace(HOSTED, pace=pace))
    for count in range(5):
        assert session.machine.next_chunk_at == 100 + count * gap
        session.send(SECOND)
    assert session.machine.sent_seconds == 5


def test_the_pace_follows_the_sound_not_the_count() -> None:
    """Half a second of sound is followed after half a second, and a delay is caught up."""
    session = Session().send(SECOND[:16_000])
    assert session.machine.next_chunk_at == 100.5
    session.after(5)
    assert session.machine.next_chunk_at < session.now


@pytest.mark.parametrize("text", [f" {ARABIC}", f"{ARABIC}\n", f"\u3000\t{ARABIC}\r\n "])
def test_a_transcript_has_no_white_space_around_it(text: str) -> None:
    """Live answers begin with a space; what came is kept for whoever joins several."""
    session = Session(ANSWERING).send(SECOND).hear(transcript_message(" السَّلامُ")).send(SECOND).end()
    result = session.hear(transcript_message(text)).machine.course.result()
    assert (result.text, result.verbatim) == (ARABIC, text)
    assert len(result.word_end_seconds) == len(ARABIC.split())
    assert not result.doubts


class _Judge:
    """Notes what it is told, and finds what it is told to."""

    def __init__(self, verdict: Verdict) -> None:
        self.heard: list[bytes] = []
        self.asked: list[str] = []
        self._verdict = verdict

    def hear(self, pcm: bytes) -> None:
        """Note it."""
        self.heard.append(pcm)

    def verdict(self, text: str) -> Verdict:
        """Say what was prepared."""
        self.asked.append(text)
        return self._verdict


def test_the_judge_hears_what_is_sent_and_has_the_last_word() -> None:
    """It is told of every chunk, asked once, and what it finds stands in the result."""
    doubt = Doubt(sign=Sign.UNHEARD, message="no words", start_seconds=0.5, end_seconds=2.0)
    judge = _Judge(Verdict(doubts=(doubt,), support=("a clause",)))
    session = Session(ANSWERING, judge=judge).send(SECOND, SECOND[:6_400])
    result = (
        session.hear(transcript_message(""), transcript_message(" ")).end().machine.course.result()
    )
    assert judge.heard == [SECOND, SECOND[:6_400]]
    assert judge.asked == [" "]
    assert (result.text, result.doubts, result.support) == ("", (doubt,), ("a clause",))
    assert result.evidence.ending is Ending.ANSWERED


def test_doubts_of_both_kinds_stand_side_by_side() -> None:
    """What the judge finds comes after what the session showed."""
    few = Doubt(sign=Sign.FEW_WORDS, message="2 letters")
    session = Session(ANSWERING, judge=_Judge(Verdict(doubts=(few,))))
    session.send(SECOND, SECOND).hear(transcript_message("ab")).end().after(3)
    signs = [doubt.sign for doubt in session.machine.course.result().doubts]
    assert signs == [Sign.UNSETTLED, Sign.FEW_WORDS]


@pytest.mark.parametrize("when", ["at once", "sending", "awaiting", "settling"])
@pytest.mark.parametrize(
    ("payload", "kind", "code"),
    [
        (
            '{"event":"transcription_error","data":"Not a valid WAV file"}',
            TransientError,
            TRANSCRIPTION_ERROR,
        ),
        ('{"type":"transcription_error"}', TransientError, TRANSCRIPTION_ERROR),
        ('{"type":"error","message":"x"}', TransientError, TRANSCRIPTION_ERROR),
        ('"Not a valid WAV file"', TransientError, TRANSCRIPTION_ERROR),
        ('{"type":"error","errorCode":40101,"errorMessage":"x"}', StopError, "40101"),
        ('{"errorCode":"42901","message":"x"}', ThrottledError, "42901"),
        ('{"event":"error","errorCode":"40001"}', PermanentError, "40001"),
        ("<html>", InvalidMessageError, ""),
        (b"\xff", InvalidMessageError, ""),
    ],
)
def test_an_error_fails_the_attempt_at_any_time(
    when: str, payload: str | bytes, kind: type[SessionError], code: str
) -> None:
    """Whatever was heard before, an error or garbage ends the attempt in its class."""
    session = Session()
    if when != "at once":
        session.send(SECOND)
    if when in {"awaiting", "settling"}:
        session.end()
    if when == "settling":
        session.hear(transcript_message("a"))
    error = session.hear(payload).failure()
    assert type(error) is kind
    assert error.code == code
    assert not error.message.endswith(":")


def test_chunks_that_go_out_together_have_the_time_of_all() -> None:
    """A slow line that took one chunk in its time takes three in three times that, and not later."""
    machine = Session().machine
    waits = [machine.wait_until - 100.0]
    for _ in range(3):
        machine.write_chunk(SECOND)
        waits.append(machine.wait_until - 100.0)
    assert waits == pytest.approx([waits[0], waits[0], 2 * waits[0], 3 * waits[0]])
    machine.note_sent(101.0)
    assert machine.wait_until == pytest.approx(101.0 + waits[0])


def test_an_endless_error_text_is_cut() -> None:
    """A recogniser's words are shown short and without terminal controls."""
    text = json.dumps({"event": "transcription_error", "data": "\x1b[2J\n" + "x" * 100_000})
    message = send_seconds().hear(text).failure().message
    assert len(message) < 600
    assert "\x1b" not in message


def test_nothing_after_the_end_changes_the_result() -> None:
    """A peer that goes on after the decision is not heard, and a late chunk is no crash."""
    done = send_seconds().hear(transcript_message("a")).after(9)
    result = done.machine.course.result()
    failed = Session().send(SECOND).hear('{"event":"transcription_error","data":"x"}')
    error = failed.failure()
    for session in (done, failed):
        session.hear(transcript_message("b"), "<html>", '{"errorCode":40101}').close(1006).end()
        session.machine.write_chunk(SECOND)
        session.machine.note_sent(session.now)
        session.after(1_000).machine.wake(session.now)
    assert done.machine.course.result() is result
    assert failed.failure() is error


def test_a_result_before_the_end_is_a_failed_attempt() -> None:
    """A session given up half-way says so."""
    with pytest.raises(TransientError, match="given up"):
        send_seconds().machine.course.result()


def test_waking_early_does_nothing() -> None:
    """A wake before its time changes nothing."""
    session = send_seconds().hear(transcript_message("a"))
    before = session.machine.wait_until
    session.machine.wake(before - 0.001)
    assert session.machine.wait_until == before
    assert not session.machine.course.has_ended


def test_a_transcript_proves_the_key() -> None:
    """An open connection proves nothing, one transcript does, also an empty one."""
    session = send_seconds()
    assert not session.machine.course.is_proven
    assert session.hear(transcript_message("")).machine.course.is_proven
