"""Whole messages by the short way are the messages that wsproto gives, or the short way is left.

`FUZZ_STREAMS=20000 python -m pytest -n 0 tests/websocket/test_frames.py` takes ten times as many.
"""

import logging
import random

import pytest
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    Pong,
    Request,
    TextMessage,
)
from wsproto.utilities import RemoteProtocolError

from batchjobs.session import SttSession
from batchjobs.session.connect import open_connection
from batchjobs.websocket import frames, hooks
from batchjobs.websocket.frames import FastConnection
from tests.builders import make_endpoint, transcript_message
from tests.streams import Peer, Service
from tests.websocket.compression import QUICK, chunks_of
from tests.websocket.test_hooks import ARABIC, STREAMS, joined, script, size


def _shaken(client: WSConnection, trailing: bytes = b"") -> WSConnection:
    """Shake hands; give the server. The answer ends in whatever follows it at once."""
    server = WSConnection(ConnectionType.SERVER)
    server.receive_data(client.send(Request(host="host", target="/")))
    assert len(list(server.events())) == 1
    client.receive_data(server.send(AcceptConnection()) + trailing)
    return server


def _heard(client: WSConnection, wire: bytes, dice: random.Random) -> list[Event]:
    """Let a client hear a stream of bytes, cut at random, as trio-websocket would hand it over."""
    heard: list[Event] = []
    start = 0
    while start < len(wire):
        end = start + dice.choice((1, 2, 3, 5, 100, 4_096, 65_536, 1_000_000))
        if client.state.name == "CLOSED":
            break
        try:
            client.receive_data(wire[start:end])
        except RemoteProtocolError:
            heard.append(CloseConnection(code=1002, reason=str(end)))
            break
        for event in client.events():
            if isinstance(event, CloseConnection):  # where it is seen matters: nothing may follow
                event = CloseConnection(code=event.code, reason=str(end))  # noqa: PLW2901
            heard.append(event)
            if isinstance(event, Ping):
                client.send(event.response())
        start = end
    return heard


def _same(seed: int) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Give what both clients hear of one stream, which in one of three is damaged."""
    dice = random.Random(seed)
    events = script(seed).events
    for _ in range(dice.choice((0, 1, 3))):  # whole messages, as services send them
        text = (ARABIC * (size(dice) // 30 + 1))[: size(dice)]
        whole = TextMessage(data=text) if dice.random() < 0.7 else BytesMessage(data=text.encode())
        between = [at for at, e in enumerate(events) if getattr(e, "message_finished", False)]
        events.insert(dice.choice(between) + 1 if between else 0, whole)
    server = WSConnection(ConnectionType.SERVER)
    server.receive_data(WSConnection(ConnectionType.CLIENT).send(Request(host="h", target="/")))
    list(server.events())
    server.send(AcceptConnection())
    wire = bytearray(b"".join(server.send(event) for event in events))
    if dice.random() < 0.33:
        wire[dice.randrange(min(len(wire), dice.choice((2, 20, 2_000_000))))] ^= dice.randint(
            1, 255
        )
    if dice.random() < 0.1:  # a masked frame, or one with odd bits, where none may stand
        wire += bytes((dice.choice((0x81, 0x91, 0xC1, 0x83, 0x8B)), 0x81)) + b"keys" + b"x"
    both = []
    waits = False
    for client in (FastConnection(), WSConnection(ConnectionType.CLIENT)):
        cuts = random.Random(seed)
        kept = cuts.choice((0, 1, 7, 50_000))
        _shaken(client, bytes(wire[:kept]))
        early = list(client.events())
        both.append(_told(joined(early + _heard(client, bytes(wire[kept:]), cuts))))
        if isinstance(client, FastConnection) and client._received:
            waits = True
    ours, theirs = both
    # A message that never ends: wsproto says that it is no UTF-8 before it would have been whole.
    if waits and len(theirs) == len(ours) + 1 and theirs[-1][-2] == 1007:
        theirs.pop()
    return ours, theirs


def _told(events: list[Event]) -> list[tuple[object, ...]]:
    """Give what trio-websocket makes use of: how a message was cut is not."""
    names = ("data", "payload", "code")
    return [
        (type(event), *(getattr(event, name, None) for name in names), _place(event))
        for event in events
    ]


def _place(event: Event) -> object:
    """Give up to where the stream was read, for its end; of bad UTF-8 wsproto tells earlier."""
    return event.reason if isinstance(event, CloseConnection) and event.code != 1007 else None


@pytest.mark.unmeasured
def test_random_streams_are_heard_alike() -> None:
    """Any frames, whole, in parts, damaged, cut anywhere, from the first byte after the handshake."""
    differing = []
    for seed in range(STREAMS):
        ours, theirs = _same(seed)
        if ours != theirs:
            differing.append(seed)
    assert differing == []


def test_what_is_sent_is_what_wsproto_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte for byte, given the same key."""
    monkeypatch.setattr("os.urandom", lambda count: b"\x01\x80\xfe\x7f"[:count] or b"")
    dice = random.Random(1)
    fast, plain = FastConnection(), WSConnection(ConnectionType.CLIENT)
    monkeypatch.undo()
    for client in (fast, plain):
        _shaken(client)
        list(client.events())
    monkeypatch.setattr("os.urandom", lambda count: (b"\x01\x80\xfe\x7f" * 4)[:count])
    parts = [TextMessage(data="ا", message_finished=False), TextMessage(data="ب" * 2_000)]
    events: list[Event] = [
        *(TextMessage(data=(ARABIC * 5_000)[: size(dice)]) for _ in range(100)),
        *(BytesMessage(data=dice.randbytes(size(dice))) for _ in range(100)),
        *parts,
        TextMessage(data="ج" * 2_000),
        Ping(payload=b"p"),
        Pong(payload=b"p"),
        CloseConnection(code=1000),
    ]
    for event in events:
        assert bytes(fast.send(event)) == bytes(plain.send(event)), event


def test_texts_at_once_are_what_wsproto_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte for byte, given the same key, at every size; they are in memory once, then in none."""
    fast, plain = FastConnection(), WSConnection(ConnectionType.CLIENT)
    for client in (fast, plain):
        _shaken(client)
        list(client.events())
    sizes = (0, 1, 125, 126, 4_095, 4_096, 4_097, 8_193, 65_535, 65_536, 106_842)
    texts = [(ARABIC.encode() * 4_000)[:size].decode(errors="ignore") for size in sizes]
    texts += ["x" * size for size in sizes]
    monkeypatch.setattr("os.urandom", lambda count: (b"\x01\x80\xfe\x7f" * 4)[:count])
    fast.texts = waiting = [text.encode() for text in texts]
    written = bytes(fast.send(TextMessage(data="")))
    assert written == b"".join(plain.send(TextMessage(data=text)) for text in texts)
    assert waiting == []
    assert bytes(fast.send(TextMessage(data="next"))) == plain.send(TextMessage(data="next"))


def test_texts_at_once_have_a_key_each() -> None:
    """RFC 6455 wants each unpredictable."""
    client = FastConnection()
    server = _shaken(client)
    list(client.events())
    client.texts = [ARABIC.encode() * 100] * 20
    wire = bytes(client.send(TextMessage(data="")))
    size = len(wire) // 20
    assert len({wire[at + 4 : at + 8] for at in range(0, len(wire), size)}) == 20
    server.receive_data(wire)
    heard = [event.data for event in joined(list(server.events())) if isinstance(event, Message)]
    assert heard == [ARABIC * 100] * 20


def test_a_long_message_is_passed_on_in_pieces() -> None:
    """Nobody makes us hold more than the library's limit lets it hold."""
    client = FastConnection()
    server = _shaken(client)
    list(client.events())
    wire = server.send(BytesMessage(data=bytes(3_000_000)))
    client.receive_data(wire[:1_000_000])
    pieces = list(client.events())
    assert pieces
    assert not any(getattr(piece, "message_finished", True) for piece in pieces)
    client.receive_data(wire[1_000_000:])
    last = list(client.events())[-1]
    assert isinstance(last, BytesMessage)
    assert last.message_finished


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n"])
def test_the_handshake_may_come_byte_by_byte(end: bytes) -> None:
    """However the answer's head is cut, the frames after it are read."""
    for step in (1, 2, 3, 1_000):
        client = FastConnection()
        server = WSConnection(ConnectionType.SERVER)
        server.receive_data(bytes(client.send(Request(host="host", target="/"))))
        list(server.events())
        answer = server.send(AcceptConnection())
        if end == b"\n\n":
            answer = answer.replace(b"\r\n", b"\n")
        wire = answer + server.send(TextMessage(data=ARABIC))
        heard: list[Event] = []
        for start in range(0, len(wire), step):
            client.receive_data(wire[start : start + step])
            heard += client.events()
        assert [type(event) for event in heard] == [AcceptConnection, TextMessage]
        assert isinstance(heard[-1], TextMessage)
        assert heard[-1].data == ARABIC


async def _answers(peer: Peer) -> None:
    """Answer every chunk with what was heard so far, now and then with a ping before it."""
    heard = 0
    while True:
        heard += len((await peer.get())["data"]["audioBuffer"])
        await peer.connection.pong(b"unasked")
        await peer.send(transcript_message(f"{ARABIC}{heard}" + "ا" * 2_000))


@pytest.mark.parametrize("extra", [0, 2, 124, 126, 1_022, 4_000])
def test_many_messages_at_once_are_what_wsproto_reads(extra: int) -> None:
    """Each of its size, the last shorter, each with a key of its own; text goes as it is."""
    dice, client = random.Random(extra), FastConnection()
    server = _shaken(client)
    list(client.events())
    client.piece_bytes = 6_400
    payload, text = dice.randbytes(20 * 6_400 + extra), "ب" * 9_000
    wire = bytes(client.send(BytesMessage(data=payload))) + bytes(client.send(TextMessage(text)))
    assert len({wire[at + 4 : at + 8] for at in range(0, 20 * 6_408, 6_408)}) == 20
    server.receive_data(wire)
    heard = [event.data for event in joined(list(server.events())) if isinstance(event, Message)]
    assert [len(piece) for piece in heard[:-1]] == [6_400] * 20 + [extra] * bool(extra)
    assert b"".join(heard[:-1]) == payload
    assert heard[-1] == text


@pytest.mark.parametrize("fast", [True, False])
async def test_a_connection_that_cannot_sends_one_after_the_other(
    autojump_clock: object, fast: bool
) -> None:
    """The service gets the same messages."""
    got: list[object] = []

    async def take(peer: Peer) -> None:
        for _ in range(5):
            got.append(await peer.connection.get_message())  # noqa: PERF401  # one waits for each
        await peer.send(transcript_message(ARABIC))

    async with trio.open_nursery() as nursery:
        service = Service(nursery, talk=take)
        endpoint = make_endpoint(service.dial, QUICK, library_hooks=fast)
        streams: list[trio.abc.Stream] = []
        connection = await open_connection(endpoint, ("/", []), nursery, streams)
        await frames.send_in_pieces(connection, bytes(range(250)) * 10, 1_000)
        texts = [ARABIC.encode() * 500, b"short"]
        await frames.send_texts(connection, texts)
        assert texts == []
        await connection.get_message()
        nursery.cancel_scope.cancel()
    pieces = [bytes(range(250)) * 4, bytes(range(250)) * 4, bytes(range(250)) * 2]
    assert got == [*pieces, ARABIC * 500, "short"]


@pytest.mark.parametrize("is_known", [True, False])
async def test_sessions_use_it_where_the_library_is_known(
    autojump_clock: object,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    is_known: bool,
) -> None:
    """They hear the same with and without; a library that has changed is told of once."""
    made: list[FastConnection] = []

    class Counted(FastConnection):
        """Notes that it is used."""

        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(frames, "FastConnection", Counted)
    if not is_known:
        monkeypatch.setattr(hooks, "_ATTRIBUTE", "_renamed")
    heard = []
    async with trio.open_nursery() as nursery:
        service = Service(nursery, talk=_answers)
        for fast in (True, True, False):
            endpoint = make_endpoint(service.dial, QUICK, library_hooks=fast)
            chunks = chunks_of(bytes(range(256)) * 500)
            heard.append((await SttSession(endpoint, chunks=chunks).run()).text)
        nursery.cancel_scope.cancel()
    assert heard[0] == heard[1] == heard[2]
    assert heard[0].startswith(ARABIC)
    assert len(made) == 2 * is_known
    assert ("trio-websocket has changed" in caplog.text) is not is_known


def test_another_wsproto_goes_on_by_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where it does something else, or has no such parts, ours stay out, and a line says so."""
    assert frames.knows_wsproto()
    frames.knows_wsproto.cache_clear()
    monkeypatch.setattr(frames, "_WHOLE_TEXT", 0x82)
    with caplog.at_level(logging.WARNING):
        assert not frames.knows_wsproto()
    assert "wsproto has changed" in caplog.text
    monkeypatch.undo()
    frames.knows_wsproto.cache_clear()
