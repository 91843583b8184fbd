"""Any course of a synthesis ends in a result or an error of the session."""

from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.errors import SessionError
from batchjobs.jobs import Ending
from batchjobs.protocol.tts_audio import TtsResult
from batchjobs.providers import Provider
from tests.builders import HOSTED, READY, audio_message
from tests.protocol.tts_session import DRAINING, FINAL, TEXTS, Judge, Session, sound

_PAYLOADS = st.sampled_from(
    [
        READY,
        sound(0.1),
        sound(2.0),
        sound(0.1, rate=16_000),
        sound(0.1, final=True),
        audio_message(b"\0"),
        audio_message(b"\0\0", None),
        FINAL,
        "{}",
        "<html>",
        b"\xff",
        '{"type":"error","errorCode":50001}',
        '{"type":"error","errorCode":"42901"}',
        '{"event":"transcription","data":"x"}',
    ]
)

_CLOSES = st.sampled_from([None, 1000, 1005, 1006, 1011, 1013, 4000])

_WAITS = st.floats(0, 40)

_STEPS = st.one_of(
    st.tuples(st.just("hear"), _PAYLOADS),
    st.tuples(st.just("hear"), st.sampled_from([READY, sound(1.0)])),
    st.tuples(st.just("after"), _WAITS),
    st.tuples(st.just("send"), st.booleans()),
    st.tuples(st.just("woken"), st.just(0)),
    st.tuples(st.just("close"), _CLOSES),
)


def _step(session: Session, name: str, value: object) -> None:
    machine = session.machine
    match name, value:
        case "hear", str() | bytes() as payload:
            machine.receive(payload, session.now)
        case "after", float() as seconds:
            session.now += seconds  # a machine that is woken late, or not at all
        case "send", bool() as tells:
            if machine.next_payload() is not None and tells:
                machine.note_sent(session.now)
        case "woken", _:
            machine.wake(session.now)
        case _:
            assert value is None or isinstance(value, int)
            machine.receive_close(value, "", session.now)


@given(
    st.lists(_STEPS, max_size=25),
    st.sampled_from([HOSTED, DRAINING]),
    st.floats(0, 5),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_any_course_ends_in_a_result_or_a_session_error(
    steps: list[tuple[str, object]],
    provider: Provider,
    minimum: float,
    starts: bool,
) -> None:
    """Whatever happens in whatever order, a silent peer leaves only a few wakes to the outcome."""
    session = Session(provider, judge=Judge(minimum_seconds=minimum))
    if starts:
        session.send()
        session.hear(READY)
    for name, value in steps:
        _step(session, name, value)
    wakes = 0
    while not session.machine.course.has_ended:
        wakes += 1
        assert wakes <= 8
        session.now = max(session.now, session.machine.wait_until)
        session.machine.wake(session.now)
        session.send()
    try:
        result = session.machine.course.result()
    except SessionError:
        return
    assert isinstance(result, TtsResult)
    assert result.pcm
    assert len(result.pcm) % 2 == 0
    is_whole = result.evidence.ending is not Ending.STOPPED
    assert result.evidence.sent_characters == sum(map(len, TEXTS)) or not is_whole
    assert session.kinds.count("text") <= 3
