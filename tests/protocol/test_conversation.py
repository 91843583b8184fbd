"""Who may say what, and when: both sides read the same table."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.errors import InternalError
from batchjobs.protocol.codec import ChunkEncoding
from batchjobs.protocol.conversation import (
    LISTEN,
    PHASES,
    STT,
    TTS,
    AnyMessage,
    Conversation,
    Phase,
    State,
    Step,
    Wire,
)
from batchjobs.protocol.listen_messages import (
    AudioFrame,
    CloseStream,
    Configure,
    HeardWord,
    KeepAlive,
    ListenError,
    Opened,
    Receipt,
    Results,
    SpeechStarted,
    Trait,
    UtteranceEnd,
)
from batchjobs.protocol.messages import (
    Audio,
    AudioChunk,
    Clear,
    CloseConnection,
    Failure,
    InitConnection,
    InvalidMessageError,
    Ready,
    Role,
    Text,
    Transcription,
    TranscriptionError,
    Unknown,
)
from tests.canary import KEY, place_in

_EXAMPLES: dict[type, AnyMessage] = {
    InitConnection: InitConnection(voice_id="v", x_api_key=KEY),
    Text: Text(text="مرحبا "),
    Clear: Clear(),
    CloseConnection: CloseConnection(),
    Ready: Ready(),
    Audio: Audio(pcm=b"\0\0", sample_rate=24_000),
    Failure: Failure(code="50001", message="x"),
    AudioChunk: AudioChunk(b"\0"),
    Transcription: Transcription("نعم"),
    TranscriptionError: TranscriptionError("x"),
    AudioFrame: AudioFrame(b"\0\0"),
    KeepAlive: KeepAlive(),
    Configure: Configure(300),
    CloseStream: CloseStream(),
    Opened: Opened(session_id="s", model="munsit", dropped_hotwords=("كلمة",)),
    SpeechStarted: SpeechStarted(),
    Results: Results(transcript="نَعَم", is_final=True, words=(HeardWord("نَعَم", 0.5, 1.0),)),
    UtteranceEnd: UtteranceEnd(),
    Trait: Trait(kind="gender", label="female", score=0.5),
    ListenError: ListenError(code="x", message="y", recoverable=True),
    Receipt: Receipt(audio_seconds_billed=1.5, turn_count=2, session_id="s"),
}
_WIRES = [TTS, STT, LISTEN]


def _pair(wire: Wire) -> dict[Role, Conversation]:
    return {role: Conversation(wire, role) for role in Role}


def _sayable(wire: Wire, conversation: Conversation) -> list[AnyMessage]:
    return [
        _EXAMPLES[kind]
        for speaker, kind in wire.transitions[conversation.state]
        if speaker is conversation.role
    ]


def _told(sender: Conversation, receiver: Conversation, message: AnyMessage) -> AnyMessage:
    return receiver.receive(sender.send(message))


def _refusal(receiver: Conversation, payload: str | bytes) -> str:
    """Say how a message out of turn is refused; one of another protocol may just be unknown."""
    try:
        message = receiver.receive(payload)
    except InvalidMessageError as error:
        return str(error)
    assert isinstance(message, Unknown)
    return "ignored"


def test_a_whole_synthesis() -> None:
    """The documents' course of a TTS session is legal, message by message, on both sides."""
    pair = _pair(TTS)
    client, server = pair[Role.CLIENT], pair[Role.SERVER]
    course = [
        (client, InitConnection, State.INITIALISING),
        (server, Ready, State.OPEN),
        (client, Text, State.OPEN),
        (client, Clear, State.OPEN),
        (client, Text, State.OPEN),
        (server, Audio, State.OPEN),
        (client, CloseConnection, State.CLOSING),
        (server, Audio, State.CLOSING),
    ]
    for sender, kind, state in course:
        receiver = server if sender is client else client
        assert _told(sender, receiver, _EXAMPLES[kind]) == _EXAMPLES[kind]
        assert client.state is server.state is state


def test_a_whole_transcription() -> None:
    """Chunks and transcripts go both ways until an error ends it."""
    pair = _pair(STT)
    client, server = pair[Role.CLIENT], pair[Role.SERVER]
    assert _told(client, server, _EXAMPLES[AudioChunk]) == _EXAMPLES[AudioChunk]
    assert _told(server, client, _EXAMPLES[Transcription]) == _EXAMPLES[Transcription]
    assert _told(server, client, _EXAMPLES[TranscriptionError]) == _EXAMPLES[TranscriptionError]
    assert client.state is server.state is State.ENDED


@pytest.mark.parametrize("wire", _WIRES)
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("state", list(State))
def test_only_what_the_table_names_may_be_said(wire: Wire, role: Role, state: State) -> None:
    """Sending out of turn is our mistake, receiving it the peer's; neither moves the state."""
    if state not in wire.transitions:
        return
    for kind, message in _EXAMPLES.items():
        ours, theirs = Conversation(wire, role), Conversation(wire, role.peer)
        ours.state = theirs.state = state
        following = wire.transitions[state].get((role, kind))
        if following is not None:
            assert _told(ours, theirs, message) == message
            assert ours.state is theirs.state is following
            continue
        with pytest.raises(InternalError, match=kind.__name__) as mistake:
            ours.send(message)
        assert ours.state is state
        assert not place_in(str(mistake.value))
        wires = [
            each
            for each in _WIRES
            if any(kind is k for m in each.transitions.values() for _, k in m)
        ]
        payload = wires[0].encode(message, ChunkEncoding.COMPACT)
        if isinstance(message, AudioChunk) and isinstance(payload, bytes):
            payload = payload.decode()  # it is sent as a text
        refusal = _refusal(theirs, payload)
        assert theirs.state is state
        assert not place_in(refusal)
        if any((role, kind) in moves for moves in wire.transitions.values()):
            assert f"the {role} sent {kind.__name__} while {state}" in refusal


def test_unknown_messages_change_nothing() -> None:
    """A well-formed message of no known type is handed on in every state."""
    for wire in _WIRES:
        for state in wire.transitions:
            client = Conversation(wire, Role.CLIENT)
            client.state = state
            assert isinstance(client.receive('{"type":"ping"}'), Unknown)
            assert client.state is state


def test_garbage_changes_nothing() -> None:
    """What cannot be read leaves the state where it was."""
    client = Conversation(TTS, Role.CLIENT)
    with pytest.raises(InvalidMessageError):
        client.receive("<html>")
    assert client.state is State.CONNECTED


@pytest.mark.parametrize("wire", _WIRES)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_two_sides_in_turn_never_disagree(wire: Wire, data: st.DataObject) -> None:
    """As long as nothing crosses on the wire, both sides are always in the same state."""
    pair = _pair(wire)
    for _ in range(12):
        speakers = [role for role in Role if _sayable(wire, pair[role])]
        if not speakers:
            return
        role = data.draw(st.sampled_from(speakers))
        message = data.draw(st.sampled_from(_sayable(wire, pair[role])))
        assert _told(pair[role], pair[role.peer], message) == message
        assert pair[role].state is pair[role.peer].state


@pytest.mark.parametrize("wire", _WIRES)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_messages_may_cross_on_the_wire(wire: Wire, data: st.DataObject) -> None:
    """However late they hear each other, nothing legal is refused, and they end up agreeing."""
    pair = _pair(wire)
    on_the_way: dict[Role, deque[str | bytes]] = {
        role: deque() for role in Role
    }  # by who will hear it
    for _ in range(16):
        role = data.draw(st.sampled_from(list(Role)))
        if bool(on_the_way[role]) and data.draw(st.booleans()):
            pair[role].receive(on_the_way[role].popleft())
        elif sayable := _sayable(wire, pair[role]):
            on_the_way[role.peer].append(pair[role].send(data.draw(st.sampled_from(sayable))))
    for role, waiting in on_the_way.items():
        while waiting:
            pair[role].receive(waiting.popleft())
    assert pair[Role.CLIENT].state is pair[Role.SERVER].state


def test_every_phase_of_a_client_is_reached_and_can_end() -> None:
    """From a client's first phase the table leads everywhere, and from everywhere to the end."""
    reached = [Phase.INITIALISING]
    for phase in reached:
        reached += [after for after in PHASES[phase].values() if after not in reached]
    assert set(reached) == set(Phase) == set(PHASES)
    assert {phase for phase in Phase if Step.DECIDE not in PHASES[phase]} == {Phase.ENDED}
    assert not PHASES[Phase.ENDED]


def test_a_result_is_the_first_one_once() -> None:
    """Whatever comes between, a client is told once that the service has begun to answer."""
    for phase, steps in PHASES.items():
        if Step.RESULT in steps:
            assert Step.RESULT not in PHASES[steps[Step.RESULT]], phase
