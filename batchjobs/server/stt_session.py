"""A speech-to-text session of the server: hears audio, answers each chunk."""

import contextlib
import logging

import trio
from trio_websocket import ConnectionClosed

from batchjobs.errors import EngineError, PermanentError, SessionError
from batchjobs.protocol import codec, messages
from batchjobs.protocol.conversation import AnyMessage
from batchjobs.server.connection import Connection
from batchjobs.server.engines.interface import Recogniser
from batchjobs.server.error_replies import ENGINE_FAILED, INVALID_REQUEST, close_code_of
from batchjobs.server.hearing import Hearing
from batchjobs.server.session_log import SessionEntry
from batchjobs.server.settings import ServerSettings
from batchjobs.speech import BYTES_PER_SAMPLE

_logger = logging.getLogger(__name__)


class SttSession:
    """One client that sends audio and gets the cumulative transcript, once a chunk.

    Args:
        connection: The client's.
        settings: The server's.
        recogniser: The engine.
        limiter: Bounds the worker threads.
        entry: What the session log says of it.
    """

    def __init__(
        self,
        *,
        connection: Connection,
        settings: ServerSettings,
        recogniser: Recogniser,
        limiter: trio.CapacityLimiter,
        entry: SessionEntry,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._hearing = Hearing(recogniser, limiter)
        self._entry = entry
        self._pace = connection.faults.pace(0.0)
        self._first_rate = 0
        self._unanswered = 0
        self._has_logged_unknown = False

    async def run(self) -> None:
        """Serve the client until the connection is gone."""
        async with self._hearing:
            with contextlib.suppress(ConnectionClosed):
                await self._listen()
        answered = self._first_rate > 0 and not self._unanswered
        complete = (
            answered and self._connection.is_closed_normally and self._connection.faults.is_faithful
        )
        self._entry.end(complete=complete)

    async def _listen(self) -> None:
        try:
            while True:
                message = await self._connection.hear()
                self._connection.is_busy = True
                await self._handle(message)
                self._connection.is_busy = False
        except EngineError as error:
            _logger.warning("a recording was not understood: %s", error)
            await self._fail("the engine failed", ENGINE_FAILED)
        except SessionError as error:
            await self._fail(error.message, INVALID_REQUEST)
        except ConnectionClosed:
            raise
        except Exception:  # one session's crash is not the others'
            _logger.exception("a recording was not understood")
            await self._fail("the engine failed", ENGINE_FAILED)

    async def _fail(self, reason: str, code: str) -> None:
        await self._connection.fail(messages.TranscriptionError(reason), close_code_of(code))

    async def _handle(self, message: AnyMessage) -> None:
        if not isinstance(message, messages.AudioChunk):
            if not self._has_logged_unknown:
                _logger.info("a message of an unknown kind is ignored: %r", message)
            self._has_logged_unknown = True
            return
        pcm, rate = self._pcm_of(message.data)
        self._entry.add_heard(pcm, rate)
        if self._entry.audio_seconds > self._settings.audio_limit_seconds:
            limit = self._settings.audio_limit_seconds
            raise PermanentError(f"audio longer than {limit:g} seconds", code=INVALID_REQUEST)
        self._unanswered += 1
        text = await self._hearing.accept(pcm, rate)
        if self._pace:
            await trio.sleep(len(pcm) / (BYTES_PER_SAMPLE * rate * self._pace))
        await self._connection.say(messages.Transcription(text))
        self._unanswered -= 1

    def _pcm_of(self, data: bytes) -> tuple[bytes, int]:
        try:
            pcm, rate = codec.pcm_of_chunk(data)
        except ValueError as error:
            raise PermanentError(f"Not a valid WAV file ({error})", code=INVALID_REQUEST) from error
        if rate is None and not self._first_rate:
            raise PermanentError("Not a valid WAV file (missing RIFF header)", code=INVALID_REQUEST)
        self._first_rate = self._first_rate or rate or 0
        return pcm, rate or self._first_rate
