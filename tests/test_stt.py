"""A transcription on a clock of plain numbers: pace, settling, and when the transcript stands."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.errors import (
    PermanentError,
    SessionError,
    StopError,
    SuspectError,
    ThrottledError,
    TimedOutError,
    TransientError,
)
from batchjobs.jobs import Doubt, Ending, Sign, Verdict
from batchjobs.protocol import codec
from batchjobs.protocol.messages import InvalidMessageError
from batchjobs.protocol.stt import (
    SAMPLE_RATE,
    TRANSCRIPTION_ERROR,
    SttClient,
    TranscriptJudge,
    TranscriptResult,
)
from batchjobs.providers import BUILT_IN, Provider

_HOSTED = BUILT_IN["munsit"]
_ANSWERING = dataclasses.replace(_HOSTED, name="answers", transcript_per_chunk=True, pace=0.0)
_SECOND = bytes(range(250)) * 128
_ARABIC = "السَّلامُ عليكـم ١٢٣ ok \u200d\u200c"


def _heard(text: str) -> str:
    return json.dumps({"event": "transcription", "data": text})


class _Session:
    """One machine, a clock, and what was sent."""

    def __init__(
        self,
        provider: Provider = _HOSTED,
        *,
        start: float = 100.0,
        judge: TranscriptJudge | None = None,
    ) -> None:
        self.now = start
        self.sent: list[bytes] = []
        self.machine = SttClient(provider=provider, now=start, judge=judge)

    def send(self, *chunks: bytes) -> "_Session":
        """Send chunks at the provider's pace."""
        for pcm in chunks:
            self.after(max(0.0, self.machine.next_chunk_at - self.now))
            if self.machine.ended:
                return self
            payload = json.loads(self.machine.payload_of(pcm))
            assert list(payload) == ["event", "data"]
            assert payload["event"] == "audio_chunk"
            self.sent.append(bytes(payload["data"]["audioBuffer"]))
            self.machine.sent(self.now)
        return self

    def end(self) -> "_Session":
        """Say that all was sent."""
        self.machine.sent_all(self.now)
        return self

    def after(self, seconds: float) -> "_Session":
        """Let time pass, waking the machine whenever it wants to be."""
        end = self.now + seconds
        while not self.machine.ended and self.machine.wait_until <= end:
            self.now = max(self.now, self.machine.wait_until)
            self.machine.woken(self.now)
        self.now = end
        return self

    def hear(self, *payloads: str | bytes) -> "_Session":
        """Receive messages now."""
        for payload in payloads:
            self.machine.received(payload, self.now)
        return self

    def close(self, code: int | None, reason: str = "") -> "_Session":
        """Let the peer close now."""
        self.machine.closed(code, reason, self.now)
        return self

    def failure(self) -> SessionError:
        """The error the attempt ended with."""
        assert self.machine.ended
        with pytest.raises(SessionError) as caught:
            self.machine.result()
        return caught.value


def _sent(provider: Provider = _HOSTED, seconds: int = 2) -> _Session:
    """Give a session that has sent its recording and heard nothing."""
    return _Session(provider).send(*[_SECOND] * seconds).end()


# -- what is sent ------------------------------------------------------------------------------


def test_every_chunk_is_a_whole_wav() -> None:
    """By default each chunk has its own header: the live service refused raw samples."""
    session = _sent(seconds=3)
    assert session.sent == [codec.wav_of(_SECOND, SAMPLE_RATE)] * 3
    assert SAMPLE_RATE == 16_000


def test_only_the_first_chunk_is_a_wav_if_asked() -> None:
    """In raw form the header comes once, as the documents allow."""
    raw = dataclasses.replace(_HOSTED, chunk_form="raw")
    assert _sent(raw, 3).sent == [codec.wav_of(_SECOND, SAMPLE_RATE), _SECOND, _SECOND]


def test_a_last_shorter_chunk_is_whole() -> None:
    """What is left of the recording is sent as it is."""
    session = _Session().send(_SECOND, b"\1\2")
    assert codec.pcm_of_chunk(session.sent[1]) == (b"\1\2", SAMPLE_RATE)
    assert session.machine.sent_seconds == 1 + 1 / 16_000


@pytest.mark.parametrize(("pace", "gap"), [(1.0, 1.0), (4.0, 0.25), (0.5, 2.0), (0.0, 0.0)])
def test_the_pace(pace: float, gap: float) -> None:
    """Chunks go out at the pace of their own sound; unpaced, as fast as they can."""
    session = _Session(dataclasses.replace(_HOSTED, pace=pace))
    for count in range(5):
        assert session.machine.next_chunk_at == 100 + count * gap
        session.send(_SECOND)
    assert session.machine.sent_seconds == 5


def test_the_pace_follows_the_sound_not_the_count() -> None:
    """Half a second of sound is followed after half a second, and a delay is caught up."""
    session = _Session().send(_SECOND[:16_000])
    assert session.machine.next_chunk_at == 100.5
    session.after(5)
    assert session.machine.next_chunk_at < session.now


# -- completeness ------------------------------------------------------------------------------


def test_a_settled_transcript_is_complete() -> None:
    """After the last chunk: a first transcript, then no change for the settling time."""
    session = _sent().after(1).hear(_heard("السلا")).after(0.2).hear(_heard(_ARABIC)).after(2.4)
    assert not session.machine.ended
    result = session.after(0.2).machine.result()
    assert result.text == _ARABIC
    evidence = result.evidence
    assert (evidence.ending, evidence.close_code, evidence.messages) == (Ending.SETTLED, None, 2)
    assert (evidence.first_result_seconds, evidence.longest_gap_seconds) == (2.0, 0.2)
    assert evidence.session_seconds == 1 + 1 + 0.2 + 2.5
    assert evidence.sent_audio_seconds == 2.0
    assert (evidence.sent_characters, evidence.received_audio_seconds) == (0, 0.0)


def test_the_transcript_is_replaced_never_appended() -> None:
    """The service's last word counts, also if it is shorter."""
    session = _Session().send(_SECOND).hear(_heard("one two three")).send(_SECOND)
    session.hear(_heard("one too free four")).end().after(0.3).hear(_heard("one two")).after(9)
    assert session.machine.result().text == "one two"


def test_a_repeated_transcript_settles() -> None:
    """The same text again is no change."""
    session = _sent().hear(_heard("a")).after(2).hear(_heard("a")).after(0.6)
    assert session.machine.result().evidence.messages == 2


def test_a_change_starts_the_settling_anew() -> None:
    """As long as the text changes within the settling time, it does not stand."""
    session = _sent()
    for count in range(20):
        session.hear(_heard("كلمة " * count)).after(2.4)
    assert not session.machine.ended
    assert session.after(0.2).machine.result().text == ("كلمة " * 19).strip()


def test_no_speech_is_an_outcome_of_its_own() -> None:
    """An empty transcript is a result with empty text, not a failure."""
    result = _sent().after(1).hear(_heard("")).after(9).machine.result()
    assert result.text == ""
    assert result.evidence.messages == 1


def test_a_transcript_without_text_is_none() -> None:
    """A transcription message without any text neither counts nor wipes out what was heard."""
    session = _sent().hear(_heard("a"), '{"event":"transcription"}').after(9)
    assert session.machine.result().text == "a"
    silent = _sent().hear('{"event":"transcription","data":null}').after(15)
    assert "no transcript came" in silent.failure().message


def test_the_last_words_have_their_own_time() -> None:
    """A transcript from before the last chunk does not count as the first one after it."""
    session = (
        _Session().send(_SECOND).after(0.5).hear(_heard("one")).send(_SECOND).end().after(14.9)
    )
    assert not session.machine.ended
    session.hear(_heard("one two")).after(2.4)
    assert not session.machine.ended
    assert session.after(0.2).machine.result().text == "one two"


def test_an_answer_that_comes_late_is_not_taken_for_the_last() -> None:
    """A service that answers each chunk a second late still owes the last: its words are waited for."""
    session = _Session().send(_SECOND, _SECOND).hear(_heard("one"))
    session.send(_SECOND).hear(_heard("one two")).send(_SECOND).end()
    session.hear(_heard("one two three")).after(_HOSTED.settle_seconds + 2)
    assert not session.machine.ended
    session.hear(_heard("one two three four")).after(_HOSTED.settle_seconds)
    assert session.machine.result().text == "one two three four"


def test_a_tail_of_silence_settles_after_all() -> None:
    """If nothing comes after the last chunk, what stands is the result after the longer wait."""
    session = _Session().send(_SECOND).after(0.5).hear(_heard("one")).send(_SECOND).end()
    assert session.machine.wait_until == session.now + 15
    assert session.after(15.1).machine.result().text == "one"
    assert session.machine.result().evidence.ending is Ending.SETTLED


def test_an_answer_between_the_last_chunk_and_the_end_counts() -> None:
    """A transcript that came before the recording was known to be over starts the settling."""
    session = _Session().send(_SECOND).after(0.5).hear(_heard("one")).end().after(2.6)
    assert session.machine.result().text == "one"


def test_a_text_that_still_changes_at_the_cap_is_doubted() -> None:
    """A service that is far behind is not called done; what it gave so far is kept."""
    session = _sent()
    for count in range(40):
        session.after(2).hear(_heard("كلمة " * count))
    result = session.machine.result()
    assert result.text == ("كلمة " * 28).strip()
    assert result.evidence.ending is Ending.UNSETTLED
    assert result.settled_seconds == 0.0
    [doubt] = result.doubts
    assert doubt.sign is Sign.UNSETTLED
    assert "still changed 60.0 s after the last audio" in doubt.message
    assert 0 < doubt.severity < 1


def test_nothing_that_still_changes_at_the_cap_is_a_failure() -> None:
    """Where there is no text to keep, the attempt has failed."""
    session = _sent()
    for count in range(40):
        session.after(2).hear(_heard("a" if count % 2 else " "))
    error = session.failure()
    assert type(error) is SuspectError
    assert "still changed 60.0 s after the last audio" in error.message
    assert "--pace" in error.hint


def test_the_cap_is_never_shorter_than_the_settling() -> None:
    """A settling time longer than its cap is waited for in full."""
    slow = dataclasses.replace(_HOSTED, settle_seconds=90.0)
    session = _sent(slow).hear(_heard("a")).after(89)
    assert not session.machine.ended
    assert session.after(2).machine.result().text == "a"


@pytest.mark.parametrize("code", [None, 1000, 1005])
def test_a_normal_close_while_draining_is_an_end(code: int | None) -> None:
    """After a transcript and the last chunk, the server's close ends it at once."""
    result = _sent().hear(_heard("a")).after(0.1).close(code).machine.result()
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
    error = _sent().hear(_heard("a")).close(code, "why").failure()
    assert type(error) is kind
    assert error.code == str(code)
    assert "before the transcript stood (why)" in error.message


@pytest.mark.parametrize("code", [None, 1000, 1006])
def test_a_close_before_the_end_of_the_audio_fails(code: int | None) -> None:
    """However normal, a close before all audio was sent is no end."""
    error = _Session().send(_SECOND).hear(_heard("a")).close(code).failure()
    assert type(error) is TransientError
    assert "before all audio was sent" in error.message


@pytest.mark.parametrize("code", [None, 1000])
def test_a_close_without_any_transcript_fails(code: int | None) -> None:
    """A polite close is no sign that no speech was heard."""
    assert "before the transcript stood" in _sent().close(code).failure().message


# -- a service that answers every chunk --------------------------------------------------------


def test_all_chunks_answered_is_the_end() -> None:
    """Where each chunk has one answer, the last answer ends it without any waiting."""
    session = _Session(_ANSWERING).send(*[_SECOND] * 3).hear(_heard("a"), _heard("a b")).end()
    assert not session.machine.ended
    result = session.hear(_heard("a b c")).machine.result()
    assert (result.text, result.evidence.ending) == ("a b c", Ending.ANSWERED)
    assert result.evidence.messages == 3


def test_all_chunks_answered_before_the_end_is_told() -> None:
    """If the last answer came first, the end of the audio is the end."""
    session = _Session(_ANSWERING).send(_SECOND).hear(_heard("a"))
    assert not session.machine.ended
    assert session.end().machine.result().evidence.ending is Ending.ANSWERED


def test_owed_answers_are_waited_for_as_long_as_they_come() -> None:
    """A busy server is given the settling time for each answer, far past the cap."""
    session = _Session(_ANSWERING).send(*[_SECOND] * 60).end()
    for count in range(59):
        session.after(2.4).hear(_heard(f"{count}"))
    assert not session.machine.ended
    assert session.after(2.4).hear(_heard("last")).machine.result().text == "last"


def test_an_owed_answer_that_never_comes_is_doubted() -> None:
    """A server known to answer each chunk that stops half-way has not heard all: it is said where."""
    session = _sent(_ANSWERING, 5).hear(_heard("a"), _heard(" a b")).after(3)
    result = session.machine.result()
    assert (result.text, result.evidence.ending) == ("a b", Ending.UNSETTLED)
    [doubt] = result.doubts
    assert doubt.sign is Sign.UNSETTLED
    assert "after 2 of 5 answers" in doubt.message
    assert (doubt.start_seconds, doubt.end_seconds) == (2.0, 5.0)
    assert doubt.severity == pytest.approx(0.6)


def test_a_close_with_answers_owed_is_doubted() -> None:
    """Nor has one that closes half-way, with 1000."""
    result = _sent(_ANSWERING, 5).hear(_heard("a")).close(1000).machine.result()
    assert (result.text, result.evidence.ending) == ("a", Ending.CLOSED_BY_SERVER)
    assert [doubt.sign for doubt in result.doubts] == [Sign.UNSETTLED]


def test_no_text_with_answers_owed_is_a_failure() -> None:
    """Where there is no text to keep, the attempt has failed."""
    error = _sent(_ANSWERING, 5).hear(_heard(" "), _heard("")).after(3).failure()
    assert type(error) is SuspectError
    assert "after 2 of 5 answers" in error.message


# -- what is made of the text ------------------------------------------------------------------


@pytest.mark.parametrize("text", [f" {_ARABIC}", f"{_ARABIC}\n", f"\u3000\t{_ARABIC}\r\n "])
def test_a_transcript_has_no_white_space_around_it(text: str) -> None:
    """Live answers begin with a space; what came is kept for whoever joins several."""
    session = _Session(_ANSWERING).send(_SECOND).hear(_heard(" السَّلامُ")).send(_SECOND).end()
    result = session.hear(_heard(text)).machine.result()
    assert (result.text, result.verbatim) == (_ARABIC, text)
    assert len(result.word_end_seconds) == len(_ARABIC.split())
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
    session = _Session(_ANSWERING, judge=judge).send(_SECOND, _SECOND[:6_400])
    result = session.hear(_heard(""), _heard(" ")).end().machine.result()
    assert judge.heard == [_SECOND, _SECOND[:6_400]]
    assert judge.asked == [" "]
    assert (result.text, result.doubts, result.support) == ("", (doubt,), ("a clause",))
    assert result.evidence.ending is Ending.ANSWERED


def test_doubts_of_both_kinds_stand_side_by_side() -> None:
    """What the judge finds comes after what the session showed."""
    few = Doubt(sign=Sign.FEW_WORDS, message="2 letters")
    session = _Session(_ANSWERING, judge=_Judge(Verdict(doubts=(few,))))
    session.send(_SECOND, _SECOND).hear(_heard("ab")).end().after(3)
    signs = [doubt.sign for doubt in session.machine.result().doubts]
    assert signs == [Sign.UNSETTLED, Sign.FEW_WORDS]


# -- deadlines ---------------------------------------------------------------------------------

_NOISE = ("{}", '{"event":"ping"}', "[]", "5", '{"event":"transcription"}')


@pytest.mark.parametrize("noise", _NOISE)
def test_only_transcripts_feed_the_deadlines(noise: str) -> None:
    """Unknown messages, however many, keep no session alive."""
    session = _sent()
    for _ in range(20):
        session.hear(noise).after(1)
    error = session.failure()
    assert type(error) is TimedOutError
    assert "no transcript came" in error.message
    settling = _sent().hear(_heard("a"))
    for _ in range(6):
        settling.hear(noise).after(0.5)
    assert settling.machine.result().text == "a"


def test_no_transcript_in_time() -> None:
    """Without any transcript the attempt ends after its own time."""
    session = _sent().after(14.9)
    assert not session.machine.ended
    assert "no transcript came (16.0 s into the session)" in session.after(0.2).failure().message


@pytest.mark.parametrize("pace", [0.0, 0.5, 1.0, 4.0])
def test_a_service_that_stops_taking_audio(pace: float) -> None:
    """A chunk that does not go out ends the attempt, whatever transcripts come."""
    provider = dataclasses.replace(_HOSTED, pace=pace)
    session = _Session(provider).send(_SECOND)
    for count in range(50):
        session.hear(_heard(str(count))).after(1)
    error = session.failure()
    assert type(error) is TimedOutError
    assert "stopped taking audio" in error.message


@pytest.mark.parametrize("pace", [0.02, 0.5, 1.0, 4.0])
def test_a_pace_alone_never_times_out(pace: float) -> None:
    """However slow the pace, waiting for the next chunk is no stalled service."""
    session = _Session(dataclasses.replace(_HOSTED, pace=pace)).send(*[_SECOND] * 200)
    assert not session.machine.ended
    assert session.machine.sent_seconds == 200


def test_transcripts_without_end_end_at_the_limit() -> None:
    """A session has a limit beyond the length of its audio, whatever the other settings."""
    endless = dataclasses.replace(_HOSTED, settle_limit_seconds=1e8, session_limit_seconds=30.0)
    session = _sent(endless)
    for count in range(40):
        session.after(1).hear(_heard(str(count)))
    [doubt] = session.machine.result().doubts
    assert doubt.sign is Sign.UNSETTLED
    assert session.machine.wait_until <= session.now


# -- errors ------------------------------------------------------------------------------------


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
    session = _Session()
    if when != "at once":
        session.send(_SECOND)
    if when in {"awaiting", "settling"}:
        session.end()
    if when == "settling":
        session.hear(_heard("a"))
    error = session.hear(payload).failure()
    assert type(error) is kind
    assert error.code == code
    assert not error.message.endswith(":")


def test_an_endless_error_text_is_cut() -> None:
    """A recogniser's words are shown short and without terminal controls."""
    text = json.dumps({"event": "transcription_error", "data": "\x1b[2J\n" + "x" * 100_000})
    message = _sent().hear(text).failure().message
    assert len(message) < 600
    assert "\x1b" not in message


def test_nothing_after_the_end_changes_the_result() -> None:
    """A peer that goes on after the decision is not heard, and a late chunk is no crash."""
    done = _sent().hear(_heard("a")).after(9)
    result = done.machine.result()
    failed = _Session().send(_SECOND).hear('{"event":"transcription_error","data":"x"}')
    error = failed.failure()
    for session in (done, failed):
        session.hear(_heard("b"), "<html>", '{"errorCode":40101}').close(1006).end()
        session.machine.payload_of(_SECOND)
        session.machine.sent(session.now)
        session.after(1_000).machine.woken(session.now)
    assert done.machine.result() is result
    assert failed.failure() is error


def test_a_result_before_the_end_is_a_failed_attempt() -> None:
    """A session given up half-way says so."""
    with pytest.raises(TransientError, match="given up"):
        _sent().machine.result()


def test_waking_early_does_nothing() -> None:
    """A wake before its time changes nothing."""
    session = _sent().hear(_heard("a"))
    before = session.machine.wait_until
    session.machine.woken(before - 0.001)
    assert session.machine.wait_until == before
    assert not session.machine.ended


def test_a_transcript_proves_the_key() -> None:
    """An open connection proves nothing, one transcript does, also an empty one."""
    session = _sent()
    assert not session.machine.proven
    assert session.hear(_heard("")).machine.proven


# -- anything at all ---------------------------------------------------------------------------

_PAYLOADS = st.sampled_from(
    [
        _heard(""),
        _heard("a"),
        _heard(_ARABIC),
        "{}",
        '{"event":"transcription","data":null}',
        '{"event":"transcription_error","data":"x"}',
        '{"errorCode":"42901"}',
        "<html>",
        b"\xff",
    ]
)
_STEPS = st.one_of(
    st.tuples(st.just("hear"), _PAYLOADS),
    st.tuples(st.just("hear"), st.sampled_from([_heard("a"), _heard("b"), "{}"])),
    st.tuples(st.just("after"), st.floats(0, 20)),
    st.tuples(st.just("chunk"), st.booleans()),
    st.tuples(st.just("woken"), st.just(0)),
    st.tuples(st.just("end"), st.just(0)),
    st.tuples(st.just("close"), st.sampled_from([None, 1000, 1005, 1006, 1011, 1013])),
)


def _step(session: _Session, name: str, value: object) -> None:
    machine = session.machine
    match name, value:
        case "hear", str() | bytes() as payload:
            machine.received(payload, session.now)
        case "after", float() as seconds:
            session.now += seconds
        case "chunk", bool() as tells:
            machine.payload_of(b"\0\0")
            if tells:
                machine.sent(session.now)
        case "woken", _:
            machine.woken(session.now)
        case "end", _:
            machine.sent_all(session.now)
        case _, int() | None as code:
            machine.closed(code, "", session.now)


@given(
    st.lists(_STEPS, max_size=20),
    st.sampled_from([_HOSTED, _ANSWERING, BUILT_IN["local"]]),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_any_course_ends_in_a_result_or_a_session_error(
    steps: list[tuple[str, object]],
    provider: Provider,
    ends: bool,
) -> None:
    """Whatever happens in whatever order, a silent peer leaves only a few wakes to the outcome."""
    session = _Session(provider)
    for name, value in steps:
        _step(session, name, value)
    if ends:
        session.end()
    wakes = 0
    while not session.machine.ended:
        wakes += 1
        assert wakes <= 4
        session.now = max(session.now, session.machine.wait_until)
        session.machine.woken(session.now)
    try:
        result = session.machine.result()
    except SessionError:
        return
    assert isinstance(result, TranscriptResult)
    assert result.evidence.messages > 0
    assert result.text in {"", "a", "b", _ARABIC}
