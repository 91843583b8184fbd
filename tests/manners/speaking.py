"""One session of text to speech, held as the service's manners are."""

import asyncio
import base64
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tests.manners import sound
from tests.manners.desk import UNKNOWN, Desk, Session, fail, message_of, messages_of, send
from tests.manners.manners import Closing, Marks

__all__ = ["speak"]

_BETWEEN_MESSAGES_SECONDS: Final = 0.005
_DEAF_SECONDS: Final = 15.0
"""Longer than the client waits; after it the service forgets the connection."""


async def speak(desk: Desk, connection: ServerConnection, session: Session) -> None:
    """Take a text, and send its clip while listening for the wish to close."""
    manners = desk.manners
    first = await message_of(connection)
    if first.get("type") != "initConnection" or not first.get("voice_id"):
        desk.complaints.append("a session that does not begin with initConnection and a voice")
    if first.get("x_api_key") != desk.key:
        desk.complaints.append("an initConnection without the key")
    if manners.room and desk.open > manners.room:
        session.went_wrong = True
        await send(connection, manners.full)
        await connection.close(1000)
        return
    await asyncio.sleep(manners.ready_seconds)
    await send(connection, {"type": "connectionInitialized"})
    await _read_text(desk, connection, session)
    speaking = asyncio.create_task(_send_clip(desk, connection, session))
    try:
        async for message in messages_of(connection):
            if message.get("type") == "closeConnection":
                await _asked_to_close(manners.closing, connection, speaking)
    finally:
        speaking.cancel()
        (ended,) = await asyncio.gather(speaking, return_exceptions=True)
        if isinstance(ended, Exception) and not isinstance(ended, ConnectionClosed):
            desk.complaints.append(repr(ended))


async def _read_text(desk: Desk, connection: ServerConnection, session: Session) -> None:
    """Read texts until one asks to be spoken."""
    async for message in messages_of(connection):
        if message.get("type") != "text":
            desk.complaints.append(f"{message.get('type')} before the text was whole")
            continue
        session.asked += message["text"]
        session.characters += len(message["text"])
        if message.get("flush"):
            return


async def _asked_to_close(
    closing: Closing, connection: ServerConnection, speaking: "asyncio.Task[None]"
) -> None:
    match closing:
        case Closing.NEVER:
            return
        case Closing.DEAF:
            connection.transport.pause_reading()
            await asyncio.sleep(_DEAF_SECONDS)
            connection.transport.abort()
        case Closing.DRAINS:
            await asyncio.wait([speaking])
        case Closing.DROPS | Closing.ITSELF:
            speaking.cancel()
    await connection.close(1000)


async def _send_clip(desk: Desk, connection: ServerConnection, session: Session) -> None:
    manners = desk.manners
    if manners.is_mute:
        return
    clip, fault = sound.clip(session.asked, loud=manners.is_loud), desk.fault_of(session)
    size = len(clip) if fault is None else int(len(clip) * fault.share) // 2 * 2
    await asyncio.sleep(manners.first_audio_seconds)
    starts = range(0, size, manners.message_bytes)
    middle = len(starts) // 2
    for number, start in enumerate(starts):
        if number == middle:
            await _send_what_is_in_the_middle(desk, connection)
        piece = clip[start : min(start + manners.message_bytes, size)]
        is_marked = manners.final is Marks.EACH or (
            manners.final is Marks.MIDDLE and number == middle
        )
        await send(connection, _audio(desk, piece, is_final=is_marked))
        session.sent += piece
        await asyncio.sleep(_BETWEEN_MESSAGES_SECONDS)
    if fault is not None:
        await fail(connection, fault)
        return
    if manners.final is Marks.LAST:
        await send(connection, _audio(desk, b"", is_final=True))
    desk.whole_clips += 1
    if manners.closing is Closing.ITSELF:
        await connection.close(1000)


async def _send_what_is_in_the_middle(desk: Desk, connection: ServerConnection) -> None:
    manners = desk.manners
    if manners.sends_empty:
        await send(connection, _audio(desk, b"", is_final=False))
    if manners.final is Marks.MIDDLE_EMPTY:
        await send(connection, _audio(desk, b"", is_final=True))
    for message in UNKNOWN if manners.sends_unknown else ():
        await send(connection, message)
    await asyncio.sleep(manners.pause_seconds)


def _audio(desk: Desk, piece: bytes, *, is_final: bool) -> dict[str, object]:
    message: dict[str, object] = {"audio": base64.b64encode(piece).decode()}
    if desk.manners.says_rate:
        message["sampleRate"] = sound.RATE
    if is_final:
        message["isFinal"] = True
    return message
