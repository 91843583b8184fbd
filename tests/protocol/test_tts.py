"""A synthesis on a clock of plain numbers: what is sent, and what is handed out."""

import json

import pytest

from batchjobs.errors import SuspectError
from batchjobs.jobs import Doubt, Ending, Sign, sum_severity
from batchjobs.providers import BUILT_IN
from tests.builders import READY, audio_message
from tests.canary import KEY
from tests.protocol.tts_session import DRAINING, FINAL, TEXTS, Judge, Session, open_session, sound


def test_first_the_connection_is_initialised() -> None:
    """Only the first message goes out before the service is ready, with settings and key."""
    session = Session()
    session.send()
    (sent,) = session.sent
    assert json.loads(sent) == {
        "type": "initConnection",
        "model_id": "faseeh-v1-preview",
        "voice_id": "ar-najdi-male-2",
        "voice_settings": {"stability": 0.5, "similarity_boost": 0.75, "speed": 0.9},
        "output_format": "pcm_24000",
        "x_api_key": KEY,
    }
    assert session.machine.sent_characters == 0
    assert not session.machine.course.is_proven


def test_a_key_that_travels_elsewhere_is_not_in_the_message() -> None:
    """Without a key the first message has no field for one."""
    session = Session(key="")
    session.send()
    assert "x_api_key" not in session.sent[0]


def test_texts_go_out_byte_for_byte_the_last_with_flush() -> None:
    """Each text is one message, as it came; only the last flushes."""
    session = open_session()
    texts = [json.loads(payload) for payload in session.sent[1:]]
    assert [text["text"] for text in texts] == list(TEXTS)
    assert [text["flush"] for text in texts] == [False, False, True]
    assert not any(text["try_trigger_generation"] for text in texts)
    assert session.machine.sent_characters == sum(map(len, TEXTS))
    assert "مَرْحَبًا بِكـم. " in session.sent[1]


def test_a_service_that_does_not_drain_is_not_asked_to_close_yet() -> None:
    """For a hosted service closeConnection waits for the quiet time."""
    session = open_session()
    assert session.kinds == ["initConnection", "text", "text", "text"]
    session.after(1).hear(sound()).after(2.4)
    assert session.kinds[-1] == "text"
    session.after(0.2)
    assert session.kinds[-1] == "closeConnection"
    assert session.machine.next_payload() is None


def test_a_service_that_drains_is_asked_to_close_at_once() -> None:
    """Where closing drains, closeConnection follows the last text."""
    session = open_session(DRAINING)
    assert session.kinds == ["initConnection", "text", "text", "text", "closeConnection"]


def test_nothing_is_sent_after_the_end() -> None:
    """A decided session has no more messages, whatever was waiting."""
    session = Session()
    session.send()
    session.machine.receive(READY, session.now)
    assert session.machine.next_payload() is not None
    session.close(1011)
    assert session.machine.next_payload() is None
    assert session.machine.sent_characters == len(TEXTS[0])


def test_a_doubt_is_handed_out_with_the_audio() -> None:
    """What the judge finds implausible was paid for: it is a result, and says what is wrong."""
    doubt = Doubt(sign=Sign.SHORT, message="0.10 s is too short", severity=0.9)
    session = open_session(judge=Judge(doubts=(doubt,))).hear(sound(0.1)).after(9)
    result = session.machine.course.result()
    assert result.doubts == (doubt,)
    assert result.support == ("the line was silent for 2.5 s", "it is known")
    assert len(result.pcm) == 4_800


@pytest.mark.parametrize("name", ["munsit", "faseeh"])
@pytest.mark.parametrize(
    ("asked", "messages", "ending", "shown"),
    [
        (2.5, [sound()], Ending.QUIET, "silent for 2.5 s"),
        (None, [sound()], Ending.QUIET, "silent for 2.5 s"),
        (0.5, [sound()], Ending.CLOSED_BY_SERVER, "silent for 0.5 s"),
        (2.5, [sound(), FINAL], Ending.CLOSED_BY_SERVER, "silent for 1 s"),
    ],
)
def test_only_a_silence_below_the_providers_is_a_short_one(
    name: str, asked: float | None, messages: list[str], ending: Ending, shown: str
) -> None:
    """A run always hands a quiet time: one that is whole is believed, one that is short less."""
    session = open_session(BUILT_IN[name], quiet_seconds=asked).hear(*messages).after(9)
    result = session.machine.course.result()
    assert session.judge.endings == [ending]
    assert result.evidence.ending is Ending.QUIET
    assert shown in result.support[0]


def test_what_showed_the_end_is_said() -> None:
    """A drain, a close, and audio that came after a silence each in their words."""
    drained = open_session(DRAINING).hear(sound()).close(1000).machine.course.result()
    assert drained.support[0] == "asked to close, the service sent what was pending and closed"
    closed = open_session().hear(sound()).close(1000).machine.course.result()
    assert closed.support[0] == "the service closed normally by itself"
    late = open_session().hear(sound()).after(2.6).hear(sound()).after(9).machine.course.result()
    assert late.support[0] == "asked to close, the service sent more, and then nothing"


def test_odd_bytes_are_carried_over() -> None:
    """A sample cut in two by messages is whole in the result."""
    pcm = bytes(range(256)) * 4
    session = open_session()
    for start in range(0, len(pcm), 3):
        session.hear(audio_message(pcm[start : start + 3]))
    assert bytes(session.after(9).machine.course.result().pcm) == pcm


def test_half_a_sample_at_the_end_is_cut_off_and_told() -> None:
    """An odd number of bytes in all may show that something is missing."""
    result = open_session().hear(audio_message(b"\1\2\3")).after(9).machine.course.result()
    assert bytes(result.pcm) == b"\1\2"
    assert [doubt.sign for doubt in result.doubts] == [Sign.BROKEN]
    assert "half a sample" in result.doubts[0].message


def test_half_a_sample_alone_is_nothing_to_keep() -> None:
    """One byte is no audio."""
    error = open_session().hear(audio_message(b"\1")).after(9).failure()
    assert type(error) is SuspectError
    assert "half a sample" in error.message


def test_a_sample_rate_that_changes_ends_the_session() -> None:
    """One rate throughout, read from each message; what came of the first is kept."""
    session = open_session().hear(sound(2, rate=24_000), sound(rate=16_000))
    result = session.machine.course.result()
    assert (len(result.pcm), result.sample_rate) == (96_000, 24_000)
    assert [doubt.sign for doubt in result.doubts] == [Sign.BROKEN]
    assert "from 24000 to 16000" in result.doubts[0].message
    assert result.evidence.ending is Ending.STOPPED
    half = open_session().hear(audio_message(b"\1\2\3")).after(9).machine.course.result()
    assert sum_severity(half.doubts) < sum_severity(result.doubts)


def test_the_services_rate_counts_not_the_asked_one() -> None:
    """Audio at another rate than asked for is kept at its own; a message without one goes on."""
    session = open_session().hear(
        audio_message(b"\0\0" * 8_000, 16_000), audio_message(b"\0\0" * 8_000, None)
    )
    result = session.after(9).machine.course.result()
    assert result.sample_rate == 16_000
    assert result.evidence.received_audio_seconds == 1.0


def test_without_any_rate_the_asked_one_counts() -> None:
    """A service that never says its rate has the one it was asked for."""
    session = open_session().hear(audio_message(b"\0\0" * 12_000, None)).after(9)
    assert session.machine.course.result().sample_rate == 24_000
    assert session.machine.course.result().evidence.received_audio_seconds == 0.5


def test_an_empty_message_of_another_rate_changes_nothing() -> None:
    """Only audio has a rate."""
    session = open_session().hear(sound(), '{"audio":"","sampleRate":8000}').after(9)
    assert session.machine.course.result().sample_rate == 24_000
