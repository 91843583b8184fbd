"""What is put into libraries does what they do: random frames through both, the same comes out.

`FUZZ_STREAMS=20000 python -m pytest -n 0 tests/websocket/test_hooks.py` takes ten times as many.
"""

import dataclasses
import itertools
import os
import random
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import wsproto.frame_protocol
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, Pong, TextMessage

import batchjobs
from batchjobs.websocket import masking

STREAMS = int(os.environ.get("FUZZ_STREAMS", "2000"))
EDGES = (0, 1, 2, 3, 4, 7, 8, 125, 126, 127, 255, 256, 257, 65_535, 65_536, 200_000)
ARABIC = "مَرْحَبًا بِكُم ١٢٣ ـــ\u200dhello\u200c عالم 😀 "
DAMAGED = 0.2
"""A share of the streams has one byte changed on its way: both have to say the same of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What one end sends, and how it arrives."""

    is_client: bool
    events: list[Event]
    seed: int


def size(dice: random.Random) -> int:
    """Draw a length, as often small as large, with the edges of the frame format."""
    return dice.choice((dice.choice(EDGES), int(2 ** dice.uniform(0, 17.6)), dice.randint(0, 300)))


def message(dice: random.Random) -> list[Event]:
    """Make a message in several frames, the last one empty, with control frames between them."""
    content: str | bytes
    if dice.random() < 0.5:
        content = (ARABIC * (size(dice) // 30 + 1))[: size(dice)]
        kind: Any = TextMessage
    else:
        content, kind = dice.randbytes(size(dice)), BytesMessage
    cuts = sorted(dice.randint(0, len(content)) for _ in range(dice.choice((0, 0, 1, 3))))
    events: list[Event] = []
    bounds = [0, *cuts, len(content)]
    for begin, end in itertools.pairwise(bounds):
        events.append(kind(data=content[begin:end], message_finished=False))
        while dice.random() < 0.3:
            events.append(dice.choice((Ping, Pong))(payload=dice.randbytes(dice.randint(0, 125))))
    events.append(kind(data=content[:0], message_finished=True))
    return events


def script(seed: int) -> Script:
    """Make a stream: a few messages, pings and pongs, and often a close."""
    dice = random.Random(seed)
    events = [event for _ in range(dice.choice((1, 1, 2, 4))) for event in message(dice)]
    if dice.random() < 0.5:
        events.insert(0, Ping(payload=dice.randbytes(dice.randint(0, 125))))
    if dice.random() < 0.5:
        events.append(CloseConnection(code=dice.choice((1000, 1011, 4000)), reason=ARABIC))
    return Script(is_client=dice.random() < 0.8, events=events, seed=seed)


def through(
    script: Script, masker: type, monkeypatch: pytest.MonkeyPatch
) -> tuple[bytes, list[Event]]:
    """Send a stream with one masker, and receive it, cut at random, with the same."""
    dice = random.Random(script.seed)
    monkeypatch.setattr(wsproto.frame_protocol, "XorMaskerSimple", masker)
    # The same keys for both.
    drawn = types.SimpleNamespace(urandom=random.Random(script.seed).randbytes)
    monkeypatch.setattr(wsproto.frame_protocol, "os", drawn)
    ends = [Connection(ConnectionType.CLIENT), Connection(ConnectionType.SERVER)]
    sender, receiver = ends if script.is_client else reversed(ends)
    wire = bytearray().join(sender.send(event) for event in script.events)
    sent = bytes(wire)
    if dice.random() < DAMAGED:
        wire[dice.randrange(min(len(wire), dice.choice((2, 20, 2_000_000))))] ^= dice.randint(
            1, 255
        )
    heard: list[Event] = []
    start = 0
    while start < len(wire) and not any(isinstance(event, CloseConnection) for event in heard):
        end = start + dice.choice((1, 3, 100, 4_096, 65_536, 1_000_000))
        receiver.receive_data(bytes(wire[start:end]))
        heard += receiver.events()
        start = end
    return sent, heard


def joined(events: list[Event]) -> list[Event]:
    """Put a message's pieces together again."""
    whole: list[Event] = []
    parts: list[Message[Any]] = []
    for event in events:
        if not isinstance(event, Message):
            whole.append(event)
            continue
        parts.append(event)
        if event.message_finished:
            data = type(parts[0].data)().join(part.data for part in parts)
            whole.append(dataclasses.replace(parts[0], data=data, message_finished=True))
            parts = []
    return whole


def differing(masker: type, streams: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give the seeds of the streams that come out otherwise than with wsproto's own masker."""
    theirs = wsproto.frame_protocol.XorMaskerSimple
    found = []
    whole = 0
    for seed in range(streams):
        stream = script(seed)
        with monkeypatch.context() as patched:
            expected = through(stream, theirs, patched)
            if through(stream, masker, patched) != expected:
                found.append(seed)
        whole += joined(stream.events) == joined(expected[1])
    assert whole > streams / 2  # the fuzz itself works: undamaged streams arrive
    return found


@pytest.fixture(autouse=True)
def _theirs() -> Iterator[None]:
    """Begin with wsproto's own masker, whatever ran before, and leave none of ours."""
    masking.remove_fast_masker()
    yield
    masking.remove_fast_masker()


def test_random_frames_come_out_of_our_masker_as_out_of_the_library_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same bytes go out and the same events come in, all opcodes, sizes and cuts, and errors."""
    assert not differing(masking._NumpyMasker, STREAMS, monkeypatch)


def test_a_masker_that_loses_its_place_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fuzz sees a key that is not carried on from one piece of a frame to the next."""

    class Forgetful(masking._NumpyMasker):
        def process(self, data: bytes | bytearray) -> bytearray:
            key = self._key
            masked = super().process(data)
            self._key = key
            return masked

    assert differing(Forgetful, 100, monkeypatch)


@pytest.mark.parametrize("is_wanted", [True, False])
def test_a_run_has_our_masker_or_the_library_s(
    is_wanted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One setting decides, in a process that has run with the other, too."""
    seen: list[type] = []

    def look(_: object) -> None:
        seen.append(wsproto.frame_protocol.XorMaskerSimple)

    manifest = tmp_path / "one.csv"
    manifest.write_text("id,text\na,السلام عليكم\n", encoding="utf-8")
    for hooks in (not is_wanted, is_wanted):
        folder = tmp_path / str(hooks)
        options = batchjobs.Options(engine="tone", output=folder, library_hooks=hooks)
        assert batchjobs.run(manifest, options, observe=look).exit_code == 0
    assert (seen[0] is masking._NumpyMasker) is not is_wanted
    assert (seen[-1] is masking._NumpyMasker) is is_wanted


def test_compression_without_hooks_is_refused(tmp_path: Path) -> None:
    """One cannot be had without the other, and that is told before anything begins."""
    options = batchjobs.Options(engine="tone", compress=True, library_hooks=False)
    with pytest.raises(batchjobs.errors.UsageError, match="compress"):
        batchjobs.plan(tmp_path / "one.csv", options)
