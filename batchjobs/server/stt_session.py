"""A speech-to-text session of the server: hears audio, answers each chunk."""

import contextlib
import logging
from typing import Final

import trio
from trio_websocket import ConnectionClosed

from batchjobs.errors import EngineError, PermanentError, SessionError
from batchjobs.protocol import codec, messages
from batchjobs.server.connection import Line
from batchjobs.server.engines.interface import Recogniser, RecogniserStream
from batchjobs.server.fault_injection import closing_code
from batchjobs.server.session_log import Account
from batchjobs.server.settings import ServerSettings

__all__ = ["ListeningSession"]

_logger = logging.getLogger(__name__)
_INVALID: Final = "40001"
_INTERNAL: Final = "50001"
_BYTES_PER_SAMPLE: Final = 2


class ListeningSession:
    """One client that sends audio and gets the cumulative transcript, once a chunk.

    Args:
        line: The connection.
        settings: The server's.
        recogniser: The engine.
        limiter: Bounds the worker threads.
        account: What the ledger is told.
    """

    def __init__(
        self,
        *,
        line: Line,
        settings: ServerSettings,
        recogniser: Recogniser,
        limiter: trio.CapacityLimiter,
        account: Account,
    ) -> None:
        self._line = line
        self._settings = settings
        self._recogniser = recogniser
        self._limiter = limiter
        self._account = account
        self._pace = line.delivery.pace(0.0)
        self._first_rate = 0
        self._stream: RecogniserStream | None = None
        self._unanswered = 0
        self._shown_unknown = False

    async def run(self) -> None:
        """Serve the client until the connection is gone."""
        try:
            with contextlib.suppress(ConnectionClosed):
                await self._listen()
        finally:
            if self._stream is not None:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(self._stream.close, limiter=self._limiter)
        answered = self._first_rate > 0 and not self._unanswered
        complete = answered and self._line.closed_normally and self._line.delivery.faithful
        self._account.end(complete=complete)

    async def _listen(self) -> None:
        try:
            while True:
                message = await self._line.hear()
                self._line.busy = True
                await self._take(message)
                self._line.busy = False
        except EngineError as error:
            _logger.warning("a recording was not understood: %s", error)
            await self._fail("the engine failed", _INTERNAL)
        except SessionError as error:
            await self._fail(error.message, _INVALID)
        except ConnectionClosed:
            raise
        except Exception:  # one session's crash is not the others'
            _logger.exception("a recording was not understood")
            await self._fail("the engine failed", _INTERNAL)

    async def _fail(self, reason: str, code: str) -> None:
        await self._line.fail(messages.TranscriptionError(reason), closing_code(code))

    async def _take(self, message: messages.Message) -> None:
        if not isinstance(message, messages.AudioChunk):
            if not self._shown_unknown:
                _logger.info("a message of an unknown kind is ignored: %r", message)
            self._shown_unknown = True
            return
        pcm, rate = self._samples(message.data)
        self._account.add_heard(pcm, rate)
        if self._account.audio_seconds > self._settings.audio_limit_seconds:
            limit = self._settings.audio_limit_seconds
            raise PermanentError(f"audio longer than {limit:g} seconds", code=_INVALID)
        self._unanswered += 1
        text = await trio.to_thread.run_sync(self._accept, pcm, rate, limiter=self._limiter)
        if self._pace:
            await trio.sleep(len(pcm) / (_BYTES_PER_SAMPLE * rate * self._pace))
        await self._line.say(messages.Transcription(text))
        self._unanswered -= 1

    def _samples(self, data: bytes) -> tuple[bytes, int]:
        try:
            pcm, rate = codec.pcm_of_chunk(data)
        except ValueError as error:
            raise PermanentError(f"Not a valid WAV file ({error})", code=_INVALID) from error
        if rate is None and not self._first_rate:
            raise PermanentError("Not a valid WAV file (missing RIFF header)", code=_INVALID)
        self._first_rate = self._first_rate or rate or 0
        return pcm, rate or self._first_rate

    def _accept(self, pcm: bytes, sample_rate: int) -> str:
        """Hear more, in a worker thread."""
        if self._stream is None:
            self._stream = self._recogniser.start()
        return self._stream.accept(pcm, sample_rate)
