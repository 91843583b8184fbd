"""Any course of a transcription ends in a result or an error of the session."""

from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.errors import SessionError
from batchjobs.protocol.stt import SttResult
from batchjobs.providers import BUILT_IN, Provider
from tests.builders import HOSTED, transcript_message
from tests.protocol.stt_session import ANSWERING, ARABIC, Session

_PAYLOADS = st.sampled_from(
    [
        transcript_message(""),
        transcript_message("a"),
        transcript_message(ARABIC),
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
    st.tuples(
        st.just("hear"), st.sampled_from([transcript_message("a"), transcript_message("b"), "{}"])
    ),
    st.tuples(st.just("after"), st.floats(0, 20)),
    st.tuples(st.just("chunk"), st.booleans()),
    st.tuples(st.just("woken"), st.just(0)),
    st.tuples(st.just("end"), st.just(0)),
    st.tuples(st.just("close"), st.sampled_from([None, 1000, 1005, 1006, 1011, 1013])),
)


def _step(session: Session, name: str, value: object) -> None:
    machine = session.machine
    match name, value:
        case "hear", str() | bytes() as payload:
            machine.receive(payload, session.now)
        case "after", float() as seconds:
            session.now += seconds
        case "chunk", bool() as tells:
            machine.write_chunk(b"\0\0")
            if tells:
                machine.note_sent(session.now)
        case "woken", _:
            machine.wake(session.now)
        case "end", _:
            machine.note_all_sent(session.now)
        case _:
            assert value is None or isinstance(value, int)
            machine.receive_close(value, "", session.now)


@given(
    st.lists(_STEPS, max_size=20),
    st.sampled_from([HOSTED, ANSWERING, BUILT_IN["local"]]),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_any_course_ends_in_a_result_or_a_session_error(
    steps: list[tuple[str, object]],
    provider: Provider,
    ends: bool,
) -> None:
    """Whatever happens in whatever order, a silent peer leaves only a few wakes to the outcome."""
    session = Session(provider)
    for name, value in steps:
        _step(session, name, value)
    if ends:
        session.end()
    wakes = 0
    while not session.machine.course.has_ended:
        wakes += 1
        assert wakes <= 4
        session.now = max(session.now, session.machine.wait_until)
        session.machine.wake(session.now)
    try:
        result = session.machine.course.result()
    except SessionError:
        return
    assert isinstance(result, SttResult)
    assert result.evidence.messages > 0
    assert result.text in {"", "a", "b", ARABIC}
