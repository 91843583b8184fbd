"""A text-to-speech session of the server: buffers text, has it spoken, sends the audio."""

import contextlib
import logging
import re
from dataclasses import dataclass
from typing import Final

import msgspec
import trio
from trio_websocket import ConnectionClosed

from batchjobs.errors import EngineError, PermanentError, SessionError, StopError
from batchjobs.jobs import SpeechSettings
from batchjobs.protocol import close_codes, messages
from batchjobs.protocol.conversation import AnyMessage
from batchjobs.server.admission import key_matches
from batchjobs.server.connection import Connection
from batchjobs.server.engines.interface import Synthesiser
from batchjobs.server.error_replies import (
    ENGINE_FAILED,
    INVALID_KEY,
    INVALID_REQUEST,
    close_code_of,
)
from batchjobs.server.session_log import SessionEntry
from batchjobs.server.settings import ServerSettings
from batchjobs.server.speaking import Pacing, Speaking
from batchjobs.speech import FASTEST, OUTPUT_FORMATS, SLOWEST

_logger = logging.getLogger(__name__)
_THRESHOLD_CHARACTERS: Final = 2_000
"""More text than this is spoken without being asked to; the documents only say that there is such
a threshold."""
# With the Arabic question mark and full stop, and closing quotes.
_SENTENCE_END: Final = re.compile(
    "[.!?\u2026\u061f\u06d4]+[\"'\u201d\u2019\u00bb)\\]]*(?=\\s|$)|\n"
)
_UTTERANCES_WAITING: Final = 64


class TextBuffer:
    """Text that waits to be spoken, verbatim, until a flush, a trigger or its sheer length.

    A trigger speaks whole sentences at once. What follows the last of them is due as soon as no more
    text comes: clients that have said all they have to say, and never flush, are heard to the end,
    and of those that send a text word by word no word, let alone half of one, is spoken by itself.
    """

    __slots__ = ("_is_due", "_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._size = 0
        self._is_due = False

    @property
    def is_due(self) -> bool:
        """Whether there are words to be spoken unless more text comes."""
        return self._is_due and any(not part.isspace() for part in self._parts if part)

    def add(self, message: messages.Text) -> str:
        """Take a piece of text and give what is to be spoken now; may be empty."""
        self._parts.append(message.text)
        self._size += len(message.text)
        if message.flush:
            return self.take_all()
        if message.try_trigger_generation:
            self._is_due = True
            return self._take_sentences()
        if self._size >= _THRESHOLD_CHARACTERS:
            return self._take_sentences() or self.take_all()
        return ""

    def take_all(self) -> str:
        """Give all that is buffered, and empty the buffer."""
        text = "".join(self._parts)
        self.clear()
        return text

    def clear(self) -> None:
        """Forget what is buffered."""
        self._parts = []
        self._size = 0
        self._is_due = False

    def _take_sentences(self) -> str:
        """Give whole sentences, if there are any, and keep what follows the last."""
        is_due = self._is_due
        text = self.take_all()
        cut = max((match.end() for match in _SENTENCE_END.finditer(text)), default=0)
        self._parts, self._size, self._is_due = [text[cut:]], len(text) - cut, is_due
        return text[:cut]


@dataclass(frozen=True, slots=True)
class _Utterance:
    text: str
    flushed: bool


class TtsSession:
    """One client that sends text and gets audio.

    Receiving goes on while speaking. ``closeConnection`` drains: what was flushed is sent, what was
    not is spoken too, then the server closes with 1000.

    Args:
        connection: The client's.
        settings: The server's.
        synthesiser: The engine.
        limiter: Bounds the worker threads.
        entry: What the session log says of it.
        authorised: Whether the handshake showed the key.
    """

    def __init__(
        self,
        *,
        connection: Connection,
        settings: ServerSettings,
        synthesiser: Synthesiser,
        limiter: trio.CapacityLimiter,
        entry: SessionEntry,
        authorised: bool,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._synthesiser = synthesiser
        self._limiter = limiter
        self._entry = entry
        self._authorised = authorised
        self._buffer = TextBuffer()
        self._waiting = 0
        self._speech = SpeechSettings(voice_id="", model_id="")
        self._pacing = Pacing(connection.faults.pace(settings.pace))

    async def run(self) -> None:
        """Serve the client until the connection is gone."""
        with contextlib.suppress(ConnectionClosed):
            await self._initialise()
            await self._converse()
        spoken = not self._waiting and not self._buffer.take_all()
        complete = spoken and self._entry.characters > 0 and self._connection.is_closed_normally
        self._entry.end(complete=complete and self._connection.faults.is_faithful)

    # -- the client's messages ------------------------------------------------------------------

    async def _initialise(self) -> None:
        try:
            # Without a key so far, this is still a part of the handshake.
            wait = self._settings.handshake_seconds
            message = await self._connection.hear(within_seconds=wait)
            # The protocol's table lets nothing else through.
            assert isinstance(message, messages.InitConnection)
            self._check(message)
            self._speech = _settings_of(message)
        except SessionError as error:
            await self._refuse(error)
        self._entry.voice_id = self._speech.voice_id
        await self._connection.say(messages.Ready())

    def _check(self, message: messages.InitConnection) -> None:
        key = "" if message.x_api_key is msgspec.UNSET else message.x_api_key
        if not (key_matches(key.encode(), self._settings.token) if key else self._authorised):
            raise StopError("Invalid API key", code=INVALID_KEY)
        if not message.voice_id.strip():
            raise PermanentError("voice_id is empty", code=INVALID_REQUEST)
        if not SLOWEST <= message.voice_settings.speed <= FASTEST:
            raise PermanentError(f"speed has to be {SLOWEST} to {FASTEST}", code=INVALID_REQUEST)
        if message.output_format not in OUTPUT_FORMATS:
            known = ", ".join(sorted(OUTPUT_FORMATS))
            raise PermanentError(f"output_format has to be one of {known}", code=INVALID_REQUEST)

    async def _converse(self) -> None:
        sender, receiver = trio.open_memory_channel[_Utterance](_UTTERANCES_WAITING)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._generate, receiver)
            with contextlib.suppress(ConnectionClosed):
                await self._listen(sender)
            # The client is gone: stop what is being spoken.
            nursery.cancel_scope.cancel()

    async def _listen(self, sender: trio.MemorySendChannel[_Utterance]) -> None:
        try:
            while True:
                await self._handle(await self._hear_next(sender), sender)
        except SessionError as error:
            await self._refuse(error)

    async def _hear_next(self, sender: trio.MemorySendChannel[_Utterance]) -> AnyMessage:
        """Wait for the next message, and speak what is due if none comes soon."""
        if self._buffer.is_due:
            with trio.move_on_after(self._settings.trigger_seconds):
                return await self._connection.hear()
            await self._queue(self._buffer.take_all(), sender, flushed=True)
        return await self._connection.hear()

    async def _handle(
        self, message: AnyMessage, sender: trio.MemorySendChannel[_Utterance]
    ) -> None:
        match message:
            case messages.Text():
                self._entry.add_text(message.text)
                if self._entry.characters > self._settings.text_limit_characters:
                    limit = self._settings.text_limit_characters
                    raise PermanentError(
                        f"text longer than {limit} characters", code=INVALID_REQUEST
                    )
                text = self._buffer.add(message)
                asked = message.flush or message.try_trigger_generation
                await self._queue(text, sender, flushed=asked and not self._buffer.is_due)
            case messages.Clear():
                self._buffer.clear()
            case _:  # closeConnection: the protocol's table lets nothing else through
                self._connection.is_busy = True
                await self._queue(self._buffer.take_all(), sender, flushed=True)
                await sender.aclose()

    async def _queue(
        self, text: str, sender: trio.MemorySendChannel[_Utterance], *, flushed: bool
    ) -> None:
        if text:
            self._waiting += 1
            self._connection.is_busy = True
            await sender.send(_Utterance(text=text, flushed=flushed))

    async def _refuse(self, error: SessionError) -> None:
        code = error.code or INVALID_REQUEST
        failure = messages.Failure(code=code, message=error.message)
        await self._connection.fail(failure, close_code_of(code))

    # -- speaking -------------------------------------------------------------------------------

    async def _generate(self, receiver: trio.MemoryReceiveChannel[_Utterance]) -> None:
        try:
            async for utterance in receiver:
                await self._speak(utterance)
            await self._connection.finish()
            # Before the close, so that a client that saw the close finds the line.
            self._entry.end(complete=self._connection.faults.is_faithful)
            await self._connection.close(close_codes.NORMAL)
        except ConnectionClosed:
            return  # the listening task has seen the same
        except EngineError as error:
            _logger.warning("a text was not spoken: %s", error)
            await self._fail_internally()
        except Exception:  # one session's crash is not the others'
            _logger.exception("a text was not spoken")
            await self._fail_internally()

    async def _fail_internally(self) -> None:
        failure = messages.Failure(code=ENGINE_FAILED, message="the engine failed")
        with contextlib.suppress(ConnectionClosed):
            await self._connection.fail(failure, close_code_of(ENGINE_FAILED))

    async def _speak(self, utterance: _Utterance) -> None:
        async with Speaking(
            self._synthesiser, utterance.text, self._speech, self._limiter
        ) as speaking:
            while speaking.has_more:
                await self._send(await speaking.pull())
        self._waiting -= 1
        if not self._waiting:
            self._connection.is_busy = False
            if utterance.flushed:
                await self._connection.finish_flush()

    async def _send(self, pcm: bytes) -> None:
        rate = self._speech.sample_rate
        for piece in self._pacing.cut(pcm, rate):
            await self._pacing.wait_due(piece, rate)
            await self._connection.say(messages.Audio(pcm=piece, sample_rate=rate))
            self._entry.add_sent(piece, rate)


def _settings_of(message: messages.InitConnection) -> SpeechSettings:
    return SpeechSettings(
        voice_id=message.voice_id,
        model_id=message.model_id,
        stability=message.voice_settings.stability,
        similarity_boost=message.voice_settings.similarity_boost,
        speed=message.voice_settings.speed,
        output_format=message.output_format,
    )
