"""Compression: every message comes through as by another library, and bombs do not."""

import random
import tracemalloc
import zlib
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed
from wsproto.utilities import RemoteProtocolError

from batchjobs.errors import TransientError
from batchjobs.websocket.deflate import Deflate
from tests.builders import make_endpoint
from tests.streams import Peer, Service
from tests.websocket.compression import ARABIC, QUICK, transcribe

LIMIT = 1_000_000

BOMB = 200 * 1024 * 1024


async def test_a_bomb_is_refused(autojump_clock: object) -> None:
    """A message that inflates beyond our limit ends the attempt, however small it travels."""

    async def bombs(peer: Peer) -> None:
        await peer.get()
        await peer.send("x" * (16 * 1024 * 1024 + 1))
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        service = Service(nursery, talk=bombs, extension=lambda: Deflate(LIMIT))
        endpoint = make_endpoint(service.dial, QUICK, compresses=True)
        with pytest.raises(TransientError) as caught:
            await transcribe(endpoint, bytes(32_000))
        assert len(service.streams[0].received) < 200_000
        nursery.cancel_scope.cancel()
    assert caught.value.code == "1009"


def pair(
    ours_is_client: bool, *, limit: int = LIMIT, forgets: bool = False
) -> tuple[FrameProtocol, FrameProtocol]:
    """Give our end and the library's own of one connection."""
    ours = Deflate(limit)
    theirs = PerMessageDeflate(
        client_no_context_takeover=forgets, server_no_context_takeover=forgets
    )
    client, server = (ours, theirs) if ours_is_client else (theirs, ours)
    answer = server.accept(f"permessage-deflate; {client.offer()}")
    client.finalize(f"permessage-deflate; {answer}")
    return (
        FrameProtocol(ours_is_client, [ours]),
        FrameProtocol(not ours_is_client, [theirs]),
    )


def read(protocol: FrameProtocol, data: bytes, dice: random.Random) -> list[tuple[Opcode, object]]:
    """Feed bytes, cut at random, and give whole messages."""
    messages: list[tuple[Opcode, object]] = []
    parts: list[Any] = []
    start = 0
    while start < len(data):
        end = start + dice.choice((1, 2, 5, 100, 4_096, 65_536))
        protocol.receive_bytes(data[start:end])
        start = end
        for frame in protocol.received_frames():
            payload: Any = frame.payload
            if frame.opcode in {Opcode.PING, Opcode.PONG}:
                messages.append((frame.opcode, bytes(payload)))
                continue
            parts.append(payload)
            if frame.message_finished:
                messages.append((frame.opcode, type(parts[0])().join(parts)))
                parts = []
    return messages


@given(
    seed=st.integers(0, 2**32),
    ours_is_client=st.booleans(),
    we_send=st.booleans(),
    forgets=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_any_messages_in_any_frames_come_through_as_by_wsproto_s_own(
    seed: int, ours_is_client: bool, we_send: bool, forgets: bool
) -> None:
    """Texts and bytes of all lengths, fragmented, with pings between, cut anywhere, both ways."""
    dice = random.Random(seed)
    ours, theirs = pair(ours_is_client, forgets=forgets)
    sender, receiver = (ours, theirs) if we_send else (theirs, ours)
    sent: list[tuple[Opcode, object]] = []
    wire = b""
    for _ in range(dice.randint(1, 6)):
        message = dice.choice(
            (ARABIC * dice.randint(0, 900), dice.randbytes(dice.randint(0, 3_000)))
        )
        cuts = sorted(dice.randint(0, len(message)) for _ in range(dice.randint(0, 3)))
        for begin, end in zip([0, *cuts], [*cuts, len(message)], strict=True):
            wire += sender.send_data(message[begin:end], fin=False)
            # wsproto 1.3 forgets within a message that it is compressed, once a ping comes between.
            if not we_send and dice.random() < 0.3:
                wire += sender.ping(b"\x01")
                sent.append((Opcode.PING, b"\x01"))
        wire += sender.send_data(message[:0], fin=True)
        sent.append((Opcode.TEXT if isinstance(message, str) else Opcode.BINARY, message))
    assert read(receiver, wire, dice) == sent


def test_the_window_is_kept_or_forgotten_as_agreed() -> None:
    """A message that refers to the one before is read, unless it was agreed that none does."""
    for forgets in (False, True):
        ours, theirs = pair(ours_is_client=True, forgets=forgets)
        first, second = (theirs.send_data(ARABIC * 9, fin=True) for _ in range(2))
        assert (len(second) < len(first) / 3) is not forgets
        assert (
            read(ours, bytes(first + second), random.Random(1)) == [(Opcode.TEXT, ARABIC * 9)] * 2
        )


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
@pytest.mark.parametrize("frames", [1, 7])
def test_inflation_ends_at_the_limit(size: int, frames: int) -> None:
    """A message of exactly the limit is taken, one byte more is not, in one frame or in several."""
    ours, theirs = pair(ours_is_client=True)
    step = size // frames + 1
    wire = b"".join(
        theirs.send_data(bytes(min(step, size - start)), fin=start + step >= size)
        for start in range(0, size, step)
    )
    assert len(wire) < 2_000
    if size <= LIMIT:
        assert read(ours, wire * 2, random.Random(1)) == [(Opcode.BINARY, bytes(size))] * 2
    else:
        with pytest.raises(ParseFailed) as caught:
            read(ours, wire, random.Random(1))
        assert caught.value.code == 1009


def test_a_bomb_takes_no_memory() -> None:
    """200 MiB of nothing in 200 kB are refused before they are inflated."""
    ours, _ = pair(ours_is_client=True)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(bytes(BOMB)) + packer.flush(zlib.Z_SYNC_FLUSH)[:-4]
    frame = b"\xc2\x7f" + len(packed).to_bytes(8, "big") + packed
    tracemalloc.start()
    try:
        with pytest.raises(ParseFailed) as caught:
            read(ours, frame, random.Random(1))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.code == 1009
    assert peak < 4 * LIMIT


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\xc1\x03abc", 1007),  # no deflate
        (b"\xc1\x0a\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd", 1007),  # more, after the last
        (b"\xc9\x00", 1002),  # a compressed ping
        (b"\x01\x00\xc0\x00", 1002),  # a compressed continuation
        (b"\xa1\x00", 1002),  # a bit that nobody has agreed on
    ],
)
def test_what_cannot_be_is_refused(frame: bytes, code: int) -> None:
    """Each with the close code that says why."""
    ours, _ = pair(ours_is_client=True)
    with pytest.raises(ParseFailed) as caught:
        read(ours, frame, random.Random(1))
    assert caught.value.code == code


@pytest.mark.parametrize(
    "payload",
    ["f2 48 cd c9 c9 07 00", "00 05 00 fa ff 48 65 6c 6c 6f 00", "f3 48 cd c9 c9 07 00 00"],
)
def test_the_standard_s_examples_are_read(payload: str) -> None:
    """RFC 7692, 7.2.3: an ordinary block, one without compression, one marked as the last."""
    ours, _ = pair(ours_is_client=True)
    data = bytes.fromhex(payload)
    frame = bytes([0xC1, len(data)]) + data
    plain = b"\x81\x05Hello"
    hello = (Opcode.TEXT, "Hello")
    assert read(ours, frame + plain + frame, random.Random(1)) == [hello] * 3


@pytest.mark.parametrize("bits", ["8", "16", "x", "", None])
def test_an_answer_that_makes_no_sense_is_no_handshake(bits: str | None) -> None:
    """The service does not speak WebSocket; it is no surprise of ours."""
    answer = "client_max_window_bits" if bits is None else f"server_max_window_bits={bits}"
    with pytest.raises(RemoteProtocolError):
        Deflate(LIMIT).finalize(f"permessage-deflate; {answer}")


def test_an_offer_that_makes_no_sense_is_declined() -> None:
    """A server goes on without."""
    for bits in ("8", "16", "x", ""):
        extension = Deflate(LIMIT)
        assert extension.accept(f"permessage-deflate; server_max_window_bits={bits}") is None
        assert not extension.enabled()


def test_between_messages_no_compressor_is_held() -> None:
    """A compressor takes 256 KiB, and sessions are many."""
    extension = Deflate(LIMIT)
    extension.finalize("permessage-deflate")
    protocol = FrameProtocol(True, [extension])
    protocol.send_data("half", fin=False)
    assert extension._compressor is not None
    protocol.send_data("whole", fin=True)
    assert extension._compressor is None
