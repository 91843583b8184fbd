"""One session of speech to text, held as the service's manners are."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tests.manners import sound
from tests.manners.desk import UNKNOWN, Desk, Session, fail, messages_of, send
from tests.manners.manners import Closing, Hearing

__all__ = ["hear"]

_REFINED_AFTER_SECONDS: Final = 0.3
_REVISED_AFTER_SECONDS: Final = 1.5
_LATE_SECONDS: Final = 5.0
_WRONG_WORD: Final = "ماذا"


async def hear(desk: Desk, connection: ServerConnection, session: Session) -> None:
    """Take a recording in chunks, and answer them while more come."""
    answers: list[asyncio.Task[None]] = []
    began_at, fault = 0.0, None
    try:
        async for message in messages_of(connection):
            is_first = not session.audio
            session.audio += _samples(message)
            known = desk.known(session.audio)
            if is_first:
                session.asked = known.name
                began_at = asyncio.get_running_loop().time()
                fault = desk.fault_of(session)
                if fault is not None and not fault.hears_nothing:
                    await fail(connection, fault)
            if fault is None or fault.hears_nothing:
                words = known.words if fault is None else ()
                share = len(session.audio) / len(known.pcm)
                answer = _answer(desk, connection, words, share=share, began_at=began_at)
                answers.append(asyncio.create_task(answer))
    finally:
        for task in answers:
            task.cancel()
        for ended in await asyncio.gather(*answers, return_exceptions=True):
            if isinstance(ended, Exception) and not isinstance(ended, ConnectionClosed):
                desk.complaints.append(repr(ended))


async def _answer(
    desk: Desk,
    connection: ServerConnection,
    words: Sequence[str],
    *,
    share: float,
    began_at: float,
) -> None:
    """Answer one chunk, if this service answers it.

    Args:
        desk: The service's.
        connection: Where to.
        words: What is said in the whole recording.
        share: How much of it is there.
        began_at: When its first chunk came.
    """
    said = " ".join(words[: round(len(words) * share)])
    is_last = share >= 1.0
    match desk.manners.hearing:
        case Hearing.AT_END | Hearing.STARTS_LATE if not is_last:
            return
        case Hearing.STARTS_LATE:
            await asyncio.sleep(began_at + _LATE_SECONDS - asyncio.get_running_loop().time())
        case Hearing.ENDS_LATE if is_last:
            await asyncio.sleep(_LATE_SECONDS)
        case Hearing.ROUGH_THEN_REFINED:
            await _transcribe(desk, connection, said[: len(said) * 2 // 3])
            await asyncio.sleep(_REFINED_AFTER_SECONDS)
        case Hearing.REVISES_LATE if is_last:
            await _transcribe(desk, connection, " ".join([*words[:-1], _WRONG_WORD]))
            await asyncio.sleep(_REVISED_AFTER_SECONDS)
        case _:
            pass
    await _transcribe(desk, connection, said)
    if is_last and desk.manners.closing is Closing.ITSELF:
        await connection.close(1000)


async def _transcribe(desk: Desk, connection: ServerConnection, text: str) -> None:
    manners = desk.manners
    for message in UNKNOWN if manners.sends_unknown else ():
        await send(connection, message)
    told = manners.prefix + text
    data = {"text": told} if manners.is_object else told
    await send(connection, {manners.event: "transcription", "data": data})


def _samples(message: Mapping[str, Any]) -> bytes:
    """Read a chunk as the services take it: a whole WAV in an array of byte values.

    Raises:
        ValueError: It is none.
    """
    if message["event"] != "audio_chunk":
        raise ValueError(f"not a chunk of audio: {message['event']}")
    pcm, rate = sound.samples_of(bytes(message["data"]["audioBuffer"]))
    if rate != sound.RECORDING_RATE:
        raise ValueError(f"{rate} Hz")
    return pcm
