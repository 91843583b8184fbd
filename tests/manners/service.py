"""A server on another stack, asyncio and `websockets`, that has whatever manners it is given.

Nothing of batchjobs is in it: what it takes for the protocol is what the services' documents say. It
writes down what each session asked for and got, and complains of what a service would not take.
"""

import asyncio
import base64
import contextlib
import json
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.manners import sound
from tests.manners.manners import Closing, Fault, Hearing, Manners, Marks

__all__ = ["Recording", "Service", "Session", "serving"]

_SPEAKING: Final = "/api/v1/websocket/text-to-speech"
_HEARING: Final = "/api/v1/websocket/speech-to-text"
_BETWEEN_MESSAGES_SECONDS: Final = 0.005
_REFINED_AFTER_SECONDS: Final = 0.3
_REVISED_AFTER_SECONDS: Final = 1.5
_LATE_SECONDS: Final = 5.0
_KNOWN_BY_BYTES: Final = 4_000
_UNKNOWN: Final = ({"type": "usage", "credits": 12}, {"ping": 1}, {"event": "speech_started"})
# The library writes requests into its log, and the key is in some of them.
_quiet_logger: Final = logging.getLogger("tests.manners.websockets")
_quiet_logger.setLevel(logging.ERROR)


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
        went_wrong: Whether it had its fault, or was one too many.
        dropped_bytes: What was still to be sent when it was asked to close, and never was.
    """

    asked: str = ""
    characters: int = 0
    audio: bytearray = field(default_factory=bytearray)
    sent: bytearray = field(default_factory=bytearray)
    went_wrong: bool = False
    dropped_bytes: int = 0


class Service:
    """One row's service.

    Args:
        manners: How it speaks and hears.
        recordings: What it will be asked to transcribe.
        key: The key that it takes.
    """

    def __init__(self, manners: Manners, recordings: Sequence[Recording], key: str) -> None:
        self._manners = manners
        self._recordings = {each.pcm[:_KNOWN_BY_BYTES]: each for each in recordings}
        self._key = key
        self._open = 0
        self._whole_clips = 0
        self._faults: Counter[str] = Counter()
        self.port = 0
        self.sessions: list[Session] = []
        self.complaints: list[str] = []

    def check(self, connection: ServerConnection, request: Request) -> Response | None:
        """Take a handshake, or refuse it as a service would."""
        parts = urlsplit(request.path)
        if parts.path == _SPEAKING:
            keys = parse_qs(parts.query).get("x-api-key", [])
        else:
            keys = request.headers.get_all("x-api-key")
        if parts.path not in {_SPEAKING, _HEARING}:
            self.complaints.append(f"there is no {parts.path}")
            return connection.respond(404, "")
        if keys != [self._key]:
            self.complaints.append("a handshake without the key")
            return connection.respond(401, "")
        return None

    async def talk(self, connection: ServerConnection) -> None:
        """Hold one session."""
        assert connection.request is not None
        session = Session()
        self.sessions.append(session)
        self._open += 1
        is_speech = urlsplit(connection.request.path).path == _SPEAKING
        try:
            if is_speech:
                await self._speak(connection, session)
            else:
                await self._hear(connection, session)
        except ConnectionClosed:
            pass
        except Exception as error:
            self.complaints.append(repr(error))
        finally:
            self._open -= 1

    # -- speech -----------------------------------------------------------------------------------

    async def _speak(self, connection: ServerConnection, session: Session) -> None:
        manners = self._manners
        first = await _message(connection)
        if first.get("type") != "initConnection" or not first.get("voice_id"):
            self.complaints.append("a session that does not begin with initConnection and a voice")
        if first.get("x_api_key") != self._key:
            self.complaints.append("an initConnection without the key")
        if manners.room and self._open > manners.room:
            session.went_wrong = True
            await _send(connection, manners.full)
            await connection.close(1000)
            return
        await asyncio.sleep(manners.ready_seconds)
        await _send(connection, {"type": "connectionInitialized"})
        await self._read_text(connection, session)
        speaking = asyncio.create_task(self._send_clip(connection, session))
        try:
            async for message in _messages(connection):
                if message.get("type") == "closeConnection":
                    await self._asked_to_close(connection, session, speaking)
        finally:
            speaking.cancel()
            (ended,) = await asyncio.gather(speaking, return_exceptions=True)
            if isinstance(ended, Exception) and not isinstance(ended, ConnectionClosed):
                self.complaints.append(repr(ended))

    async def _read_text(self, connection: ServerConnection, session: Session) -> None:
        async for message in _messages(connection):
            if message.get("type") != "text":
                self.complaints.append(f"{message.get('type')} before the text was whole")
                continue
            session.asked += message["text"]
            session.characters += len(message["text"])
            if message.get("flush"):
                return

    async def _asked_to_close(
        self, connection: ServerConnection, session: Session, speaking: "asyncio.Task[None]"
    ) -> None:
        match self._manners.closing:
            case Closing.NEVER:
                return
            case Closing.DRAINS:
                await asyncio.wait([speaking])
            case Closing.DROPS | Closing.ITSELF:
                speaking.cancel()
                clip = sound.clip(session.asked, loud=self._manners.is_loud)
                session.dropped_bytes = 0 if session.went_wrong else len(clip) - len(session.sent)
        await connection.close(1000)

    async def _send_clip(self, connection: ServerConnection, session: Session) -> None:
        manners = self._manners
        if manners.is_mute:
            return
        clip = sound.clip(session.asked, loud=manners.is_loud)
        fault = self._fault_of(session)
        whole = len(clip)
        if fault is not None:
            whole = int(whole * fault.share) // 2 * 2
        await asyncio.sleep(manners.first_audio_seconds)
        messages = [*range(0, whole, manners.message_bytes)]
        for number, start in enumerate(messages):
            is_middle = number == len(messages) // 2
            if is_middle and number:
                await self._send_what_comes_in_the_middle(connection)
            piece = clip[start : min(start + manners.message_bytes, whole)]
            marked = manners.final is Marks.EACH or (is_middle and manners.final is Marks.MIDDLE)
            await _send(connection, self._audio(piece) | ({"isFinal": True} if marked else {}))
            session.sent += piece
            await asyncio.sleep(_BETWEEN_MESSAGES_SECONDS)
        if fault is not None:
            await _go_wrong(connection, fault)
            return
        if manners.final is Marks.LAST:
            await _send(connection, self._audio(b"") | {"isFinal": True})
        self._whole_clips += 1
        if manners.closing is Closing.ITSELF:
            await connection.close(1000)

    async def _send_what_comes_in_the_middle(self, connection: ServerConnection) -> None:
        manners = self._manners
        if manners.sends_empty:
            await _send(connection, self._audio(b""))
        if manners.final is Marks.MIDDLE_EMPTY:
            await _send(connection, self._audio(b"") | {"isFinal": True})
        for message in _UNKNOWN if manners.sends_unknown else ():
            await _send(connection, message)
        await asyncio.sleep(manners.pause_seconds)

    def _audio(self, piece: bytes) -> dict[str, object]:
        rate = {"sampleRate": sound.RATE} if self._manners.says_rate else {}
        return {"audio": base64.b64encode(piece).decode(), **rate}

    # -- transcripts ------------------------------------------------------------------------------

    async def _hear(self, connection: ServerConnection, session: Session) -> None:
        answers: list[asyncio.Task[None]] = []
        fault: Fault | None = None
        known: Recording | None = None
        first_at = asyncio.get_running_loop().time()
        try:
            async for message in _messages(connection):
                session.audio += _samples(message)
                if known is None:
                    known = self._recordings[bytes(session.audio[:_KNOWN_BY_BYTES])]
                    session.asked = known.name
                    fault = self._fault_of(session)
                    if fault is not None and not fault.hears_nothing:
                        await _go_wrong(connection, fault)
                if fault is None or fault.hears_nothing:
                    heard = () if fault is not None else known.words
                    share = len(session.audio) / len(known.pcm)
                    answer = self._answer(connection, heard, share, first_at)
                    answers.append(asyncio.create_task(answer))
        finally:
            for task in answers:
                task.cancel()
            for ended in await asyncio.gather(*answers, return_exceptions=True):
                if isinstance(ended, Exception) and not isinstance(ended, ConnectionClosed):
                    self.complaints.append(repr(ended))

    async def _answer(
        self, connection: ServerConnection, words: Sequence[str], share: float, first_at: float
    ) -> None:
        """Answer one chunk, if this service answers it; `share` of the recording is there."""
        said = " ".join(words[: round(len(words) * share)])
        is_last = share >= 1.0
        match self._manners.hearing:
            case Hearing.AT_END if not is_last:
                return
            case Hearing.STARTS_LATE:
                if not is_last:
                    return
                await asyncio.sleep(first_at + _LATE_SECONDS - asyncio.get_running_loop().time())
            case Hearing.ENDS_LATE if is_last:
                await asyncio.sleep(_LATE_SECONDS)
            case Hearing.ROUGH_THEN_REFINED:
                await self._transcribe(connection, said[: len(said) * 2 // 3])
                await asyncio.sleep(_REFINED_AFTER_SECONDS)
            case Hearing.REVISES_LATE if is_last:
                await self._transcribe(connection, " ".join([*words[:-1], "ماذا"]))
                await asyncio.sleep(_REVISED_AFTER_SECONDS)
            case _:
                pass
        await self._transcribe(connection, said)
        if is_last and self._manners.closing is Closing.ITSELF:
            await connection.close(1000)

    async def _transcribe(self, connection: ServerConnection, text: str) -> None:
        manners = self._manners
        told = manners.prefix + text
        data = {"text": told} if manners.is_object else told
        for message in _UNKNOWN if manners.sends_unknown else ():
            await _send(connection, message)
        await _send(connection, {manners.event: "transcription", "data": data})

    # -- faults -----------------------------------------------------------------------------------

    def _fault_of(self, session: Session) -> Fault | None:
        """Give what goes wrong in a session that has said what it wants."""
        fault, asked = self._manners.fault, session.asked
        if fault is None or fault.of not in asked or self._whole_clips < fault.after_clips:
            return None
        if self._faults[asked] >= fault.times:
            return None
        self._faults[asked] += 1
        session.went_wrong = True
        return fault


async def _go_wrong(connection: ServerConnection, fault: Fault) -> None:
    if fault.error is not None:
        await _send(connection, fault.error)
    if fault.close_code == 0:
        connection.transport.abort()
    elif fault.close_code is not None:
        await connection.close(fault.close_code)


def _samples(message: Mapping[str, Any]) -> bytes:
    """Read a chunk as the documents have it: a whole WAV in an array of byte values."""
    if message["event"] != "audio_chunk":
        raise ValueError(f"not a chunk of audio: {message['event']}")
    pcm, rate = sound.samples_of(bytes(message["data"]["audioBuffer"]))
    if rate != sound.RECORDING_RATE:
        raise ValueError(f"{rate} Hz")
    return pcm


async def _message(connection: ServerConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await connection.recv())
    return message


async def _messages(connection: ServerConnection) -> AsyncIterator[dict[str, Any]]:
    while True:
        yield await _message(connection)


async def _send(connection: ServerConnection, message: Mapping[str, object]) -> None:
    await connection.send(json.dumps(message, ensure_ascii=False))


class _Serving(threading.Thread):
    """Runs the event loop of all services."""

    def __init__(self, services: Sequence[Service]) -> None:
        super().__init__(name="services", daemon=True)
        self._services = services
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_over = asyncio.Event()
        self._are_there = threading.Event()

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            async with contextlib.AsyncExitStack() as stack:
                for service in self._services:
                    server = await stack.enter_async_context(
                        serve(
                            service.talk,
                            "127.0.0.1",
                            0,
                            process_request=service.check,
                            logger=_quiet_logger,
                            compression=None,
                            ping_interval=None,
                            max_size=None,
                        )
                    )
                    service.port = server.sockets[0].getsockname()[1]
                self._are_there.set()
                await self._is_over.wait()
        finally:
            self._are_there.set()

    def __enter__(self) -> Self:
        self.start()
        self._are_there.wait()
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._is_over.set)
        self.join()


@contextlib.contextmanager
def serving(services: Sequence[Service]) -> Iterator[None]:
    """Let services listen, each on a port of its own, for as long as the block lasts."""
    with _Serving(services):
        yield
