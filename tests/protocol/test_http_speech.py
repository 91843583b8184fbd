"""What a request over HTTP says, what its answer means, and how long each part may take."""

import json
from typing import Any

import pytest

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.errors import MuteError, SessionError, TimedOutError, TransientError
from batchjobs.jobs import Ending
from batchjobs.protocol.http_speech import HttpSpeechClient, http_path, http_request
from tests.builders import ARABIC, HOSTED, LenientJudge, make_speech, make_tone

PCM = make_tone(0.5)
AUDIO = {"content-type": "audio/pcm", "transfer-encoding": "chunked"}


def begin(**changes: Any) -> HttpSpeechClient[ReceivedAudio]:
    """Begin a request at 100."""
    given: dict[str, Any] = {
        "text": ARABIC,
        "speech": make_speech(),
        "provider": HOSTED,
        "judge": LenientJudge(),
        "sink": ReceivedAudio(),
    }
    return HttpSpeechClient(100.0, **(given | changes))


def test_a_text_is_written_as_it_stands() -> None:
    """Byte for byte, marks, tatweel, joiners and all; what is not known over HTTP is not said."""
    body = http_request(ARABIC, make_speech(8_000, similarity_boost=0.1, stability=0.25))
    assert ARABIC.encode() in body
    assert json.loads(body) == {
        "voice_id": "v",
        "text": ARABIC,
        "stability": 0.25,
        "speed": 1.0,
        "streaming": True,
        "sample_rate": 8_000,
    }


def test_a_model_is_one_part_of_the_path() -> None:
    """Nothing in it leads elsewhere."""
    assert http_path(HOSTED, "m-1") == "/text-to-speech/m-1"
    assert http_path(HOSTED, "../x?y#نموذج") == (
        "/text-to-speech/..%2Fx%3Fy%23%D9%86%D9%85%D9%88%D8%B0%D8%AC"
    )


def test_a_whole_answer_is_a_result() -> None:
    """With the times, the counts and what showed the end."""
    machine = begin()
    machine.note_sent(100.5)
    machine.receive_head(200, AUDIO, 101.0)
    machine.receive_body(PCM[:7], 102.0)
    machine.receive_body(PCM[7:], 104.0)
    machine.receive_end(104.5)
    result = machine.course.result()
    assert bytes(result.pcm) == PCM
    assert result.evidence.ending is Ending.WHOLE_BODY
    assert result.evidence.messages == 2
    assert result.evidence.first_result_seconds == 1.5
    assert result.evidence.longest_gap_seconds == 2.0
    assert result.evidence.session_seconds == 4.5
    assert result.evidence.received_audio_seconds == 0.5
    assert result.support == ("the body of the answer came to its marked end",)


@pytest.mark.parametrize(
    ("content_type", "rate"),
    [
        ("audio/pcm", 24_000),
        ("Audio/L16; Rate=16000; channels=1", 16_000),
        ("audio/pcm;rate=4000", 24_000),
        ("audio/pcm;rate=x", 24_000),
        ("audio/x-anything", 24_000),
    ],
)
def test_the_rate_is_what_was_asked_unless_the_answer_says_another(
    content_type: str, rate: int
) -> None:
    """A rate that no speech comes at is not believed."""
    machine = begin()
    machine.receive_head(200, {"content-type": content_type, "content-length": "2"}, 101.0)
    machine.receive_body(PCM, 101.0)
    machine.receive_end(101.0)
    assert machine.course.result().sample_rate == rate


def test_half_a_sample_at_the_end_is_cut_off_and_told() -> None:
    """The rest is kept, and in doubt."""
    machine = begin()
    machine.receive_head(200, AUDIO, 101.0)
    machine.receive_body(PCM + b"x", 101.0)
    machine.receive_end(101.0)
    result = machine.course.result()
    assert bytes(result.pcm) == PCM
    assert [doubt.sign for doubt in result.doubts] == ["broken"]


def test_each_wait_has_its_own_deadline() -> None:
    """For the request to be taken, the first audio, the next audio; nothing is due before."""
    machine = begin()
    assert machine.wait_until == 100.0 + HOSTED.ready_seconds
    machine.note_sent(101.0)
    assert machine.wait_until == 101.0 + HOSTED.first_audio_seconds
    machine.receive_head(200, AUDIO, 102.0)
    assert machine.wait_until == 101.0 + HOSTED.first_audio_seconds  # a head is no audio
    machine.receive_body(PCM, 103.0)
    assert machine.wait_until == 103.0 + HOSTED.http_gap_seconds
    machine.wake(machine.wait_until - 0.001)
    assert not machine.course.has_ended
    machine.wake(machine.wait_until)
    with pytest.raises(TimedOutError, match="before its end"):
        machine.course.result()


def test_a_session_has_a_limit_in_all() -> None:
    """Audio that comes and comes, at its own pace, for far too long."""
    machine = begin(text="x" * 100_000)
    machine.receive_head(200, AUDIO, 100.0)
    now = 100.0
    while not machine.course.has_ended:
        now += 20.0
        machine.receive_body(PCM * 40, now)
        machine.wake(now)
        assert now < 2_000
    assert now >= 100.0 + HOSTED.session_limit_seconds
    with pytest.raises(TimedOutError, match="time limit"):
        machine.course.result()


def test_a_break_is_what_it_is_unless_a_refusal_was_said_before() -> None:
    """The status of an answer that breaks off says more than that it broke off."""
    broken = TransientError("the line broke")
    machine = begin()
    machine.receive_head(200, AUDIO, 101.0)
    machine.receive_break(broken)
    with pytest.raises(TransientError, match="the line broke"):
        machine.course.result()
    machine = begin()
    machine.receive_head(404, {"content-type": "application/json"}, 101.0)
    machine.receive_body(b'{"errorMessage":"no vo', 101.0)
    machine.receive_break(broken)
    with pytest.raises(SessionError, match="HTTP 404"):
        machine.course.result()


@pytest.mark.parametrize(
    ("status", "is_billed"),
    [(200, True), (400, False), (401, False), (402, False), (429, False), (500, True), (503, True)],
)
def test_what_the_service_refuses_it_does_not_bill(status: int, *, is_billed: bool) -> None:
    """Else a service that says "later" ten times would spend ten times the budget."""
    machine = begin()
    machine.note_sent(100.5)
    assert machine.sent_characters == len(ARABIC)
    machine.receive_head(status, {}, 101.0)
    assert machine.sent_characters == (len(ARABIC) if is_billed else 0)


def test_what_comes_after_the_outcome_changes_nothing() -> None:
    """Whoever is late is late."""
    machine = begin()
    machine.wake(machine.wait_until)
    with pytest.raises(TimedOutError):
        machine.course.result()
    machine.receive_body(PCM, 200.0)
    machine.receive_end(200.0)
    machine.receive_break(TransientError("x"))
    machine.wake(1_000.0)
    with pytest.raises(TimedOutError, match="did not take the text"):
        machine.course.result()


def test_a_long_refusal_is_cut() -> None:
    """No page of errors fills the memory."""
    machine = begin()
    machine.receive_head(500, {}, 101.0)
    for _ in range(100):
        machine.receive_body(b"x" * 1_000, 101.0)
    with pytest.raises(TransientError, match="HTTP 500"):
        machine.course.result()


def test_no_audio_is_a_mute_service() -> None:
    """Answered with nothing: the run's first text shows it, and no second one is sent."""
    machine = begin()
    machine.receive_head(200, AUDIO, 101.0)
    machine.receive_end(101.0)
    with pytest.raises(MuteError):
        machine.course.result()
