"""What the sessions of one service share: its manners, what it knows, what it wrote down."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from websockets.asyncio.server import ServerConnection

from tests.manners.manners import Fault, Manners

__all__ = ["UNKNOWN", "Desk", "Recording", "Session", "fail", "message_of", "messages_of", "send"]

UNKNOWN: Final = ({"type": "usage", "credits": 12}, {"ping": 1}, {"event": "speech_started"})
"""Messages that no document has."""
_KNOWN_BY_BYTES: Final = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What a service hears in a recording that it knows by its first samples.

    Attributes:
        name: How to call it.
        pcm: 16-bit mono samples at 16 kHz.
        words: What is said in it; none if nothing is.
    """

    name: str
    pcm: bytes
    words: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Session:
    """What one session asked for, and what it got.

    Attributes:
        asked: The text, or the recording's name; empty if neither came.
        characters: Characters of text received.
        audio: Samples received.
        sent: Samples sent.
        went_wrong: Whether the service's fault happened to it, or it was one too many.
    """

    asked: str = ""
    characters: int = 0
    audio: bytearray = field(default_factory=bytearray)
    sent: bytearray = field(default_factory=bytearray)
    went_wrong: bool = False


class Desk:
    """What the sessions of one service share.

    Args:
        manners: How it speaks and hears.
        recordings: What it will be asked to transcribe.
        key: The key that it takes.
    """

    def __init__(self, manners: Manners, recordings: Sequence[Recording], key: str) -> None:
        self._recordings = {each.pcm[:_KNOWN_BY_BYTES]: each for each in recordings}
        self._faults: Counter[str] = Counter()
        self.manners = manners
        self.key = key
        self.open = 0
        self.whole_clips = 0
        self.sessions: list[Session] = []
        self.complaints: list[str] = []

    def known(self, audio: bytes | bytearray) -> Recording:
        """Recognise a recording."""
        return self._recordings[bytes(audio[:_KNOWN_BY_BYTES])]

    def fault_of(self, session: Session) -> Fault | None:
        """Give what goes wrong in a session that has said what it wants."""
        fault, asked = self.manners.fault, session.asked
        if fault is None or fault.of not in asked or self.whole_clips < fault.after_clips:
            return None
        if self._faults[asked] >= fault.times:
            return None
        self._faults[asked] += 1
        session.went_wrong = True
        return fault


async def message_of(connection: ServerConnection) -> dict[str, Any]:
    """Wait for a message."""
    message: dict[str, Any] = json.loads(await connection.recv())
    return message


async def messages_of(connection: ServerConnection) -> AsyncIterator[dict[str, Any]]:
    """Give messages until the connection ends with `ConnectionClosed`."""
    while True:
        yield await message_of(connection)


async def send(connection: ServerConnection, message: Mapping[str, object]) -> None:
    """Send a message."""
    await connection.send(json.dumps(message, ensure_ascii=False))


async def fail(connection: ServerConnection, fault: Fault) -> None:
    """Tell of a fault, and end the connection, as far as it does."""
    if fault.error is not None:
        await send(connection, fault.error)
    if fault.close_code == 0:
        connection.transport.abort()
    elif fault.close_code is not None:
        await connection.close(fault.close_code)
