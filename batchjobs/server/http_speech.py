"""Speech over HTTP, from the server's side: one request, one text, one answer."""

import logging
from typing import Annotated, Final, assert_never

import msgspec
import trio

from batchjobs.errors import EngineError
from batchjobs.jobs import SpeechSettings
from batchjobs.protocol import close_codes
from batchjobs.protocol.codec import wav_of
from batchjobs.protocol.messages import Audio
from batchjobs.server.admission import Refusal
from batchjobs.server.engines.interface import Synthesiser
from batchjobs.server.error_replies import ENGINE_FAILED, INVALID_REQUEST
from batchjobs.server.fault_injection import Action, Close, Drop, FaultInjector, Hang, Raw, Say
from batchjobs.server.faults import FaultName
from batchjobs.server.http_connection import HttpConnection, PeerGoneError
from batchjobs.server.session_log import SessionEntry
from batchjobs.server.settings import ServerSettings
from batchjobs.server.speaking import Pacing, Speaking
from batchjobs.speech import (
    DEFAULT_SPEED,
    DEFAULT_STABILITY,
    DIALECTS,
    FASTEST,
    HIGHEST_HZ,
    LOWEST_HZ,
    SLOWEST,
)

_logger = logging.getLogger(__name__)
_DEFAULT_HZ: Final = 24_000
_SAMPLES: Final = "audio/pcm"
_WAV: Final = "audio/wav"
_JSON: Final = "application/json"


class _Asked(msgspec.Struct, kw_only=True):
    """The body of a request."""

    voice_id: Annotated[str, msgspec.Meta(min_length=1)]
    text: str
    stability: Annotated[float, msgspec.Meta(ge=0, le=1)] = DEFAULT_STABILITY
    speed: Annotated[float, msgspec.Meta(ge=SLOWEST, le=FASTEST)] = DEFAULT_SPEED
    streaming: bool = False
    sample_rate: Annotated[int, msgspec.Meta(ge=LOWEST_HZ, le=HIGHEST_HZ)] = _DEFAULT_HZ
    dialect: str = DIALECTS[0]


class HttpSpeech:
    """Speaks one text over a connection that speaks HTTP.

    Args:
        connection: The client's.
        model: The model that it asks for.
        settings: The server's.
        synthesiser: The engine.
        limiter: Bounds the worker threads.
        entry: What the session log says of it.
        faults: What becomes of what is said.
    """

    def __init__(
        self,
        *,
        connection: HttpConnection,
        model: str,
        settings: ServerSettings,
        synthesiser: Synthesiser,
        limiter: trio.CapacityLimiter,
        entry: SessionEntry,
        faults: FaultInjector,
    ) -> None:
        self._connection = connection
        self._model = model
        self._settings = settings
        self._synthesiser = synthesiser
        self._limiter = limiter
        self._entry = entry
        self._faults = faults
        self._pacing = Pacing(faults.pace(settings.pace))
        self._sample_rate = _DEFAULT_HZ
        self._whole: list[bytes] | None = None
        self._has_begun = False
        self._has_ended = False

    async def run(self, body: bytes) -> None:
        """Answer a request; what of its answer cannot be finished is broken off.

        Args:
            body: What was posted.

        Raises:
            PeerGoneError: There is nobody to answer any more.
        """
        asked = self._read(body)
        if isinstance(asked, Refusal):
            await self._connection.refuse(asked)
            return
        self._entry.voice_id = asked.voice_id
        self._entry.add_text(asked.text)
        self._sample_rate = asked.sample_rate
        self._whole = None if asked.streaming else []
        try:
            await self._speak(asked)
        except EngineError as error:
            _logger.warning("a text was not spoken: %s", error)
            await self._fail()
        except PeerGoneError:
            raise
        except Exception:  # one session's crash is not the others'
            _logger.exception("a text was not spoken")
            await self._fail()

    def _read(self, body: bytes) -> _Asked | Refusal:
        try:
            asked = msgspec.json.decode(body, type=_Asked)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _refusal(str(error))
        limit = self._settings.text_limit_characters
        if not asked.text.strip():
            return _refusal("text is empty")
        if len(asked.text) > limit:
            return _refusal(f"text longer than {limit} characters")
        if asked.dialect not in DIALECTS:
            return _refusal(f"dialect has to be one of {', '.join(DIALECTS)}")
        return asked

    async def _speak(self, asked: _Asked) -> None:
        speech = SpeechSettings(
            voice_id=asked.voice_id,
            model_id=self._model,
            stability=asked.stability,
            speed=asked.speed,
            output_format=f"pcm_{asked.sample_rate}",
            dialect=asked.dialect,
        )
        async with Speaking(self._synthesiser, asked.text, speech, self._limiter) as speaking:
            while speaking.has_more and not self._has_ended:
                await self._send_audio(await speaking.pull())
        for actions in (self._faults.after_flush(), self._faults.before_end()):
            await self._perform(*actions)
        await self._end()

    async def _send_audio(self, pcm: bytes) -> None:
        rate = self._sample_rate
        for piece in self._pacing.cut(pcm, rate):
            await self._pacing.wait_due(piece, rate)
            await self._perform(*self._faults.replace(Audio(pcm=piece, sample_rate=rate)))
            if self._has_ended:
                return
            self._entry.add_sent(piece, rate)

    async def _perform(self, *actions: Action) -> None:
        for action in actions:
            if not self._has_ended:
                await self._carry_out(action)

    async def _carry_out(self, action: Action) -> None:
        match action:
            case Say(message=message):
                assert isinstance(message, Audio)
                await self._send(message.pcm)
            case Raw(text=text):
                self._has_ended = True
                await self._connection.answer(200, {"Content-Type": _JSON}, text.encode())
            case Close(code=close_codes.NORMAL):
                await self._end()
            case Close():
                await self._break_off()
            case Drop():
                await self._connection.reset()
                raise PeerGoneError
            case Hang():
                await self._hang()
            case _:
                assert_never(action)

    async def _hang(self) -> None:
        if self._faults.fault_name != FaultName.MUTE:
            await self._begin()
        await self._connection.wait_closed()
        raise PeerGoneError

    async def _begin(self) -> None:
        if not self._has_begun and self._whole is None:
            self._has_begun = True
            await self._connection.begin(200, {"Content-Type": _SAMPLES})

    async def _send(self, pcm: bytes) -> None:
        await self._begin()
        if self._whole is None:
            await self._connection.send(pcm)
        else:
            self._whole.append(pcm)

    async def _end(self) -> None:
        """End the answer, after which the session log has its line."""
        if self._has_ended:
            return
        self._has_ended = True
        await self._begin()
        if self._whole is None:
            await self._connection.end()
        else:
            wav = wav_of(b"".join(self._whole), self._sample_rate)
            await self._connection.answer(200, {"Content-Type": _WAV}, wav)
        self._entry.end(complete=self._faults.is_faithful)

    async def _fail(self) -> None:
        """Say that the engine failed, as long as nothing else was said; else break off."""
        if self._has_begun or self._has_ended:
            await self._break_off()
        self._has_ended = True
        refusal = Refusal(status=500, reason="the engine failed", error_code=ENGINE_FAILED)
        await self._connection.refuse(refusal)

    async def _break_off(self) -> None:
        """Leave the answer without its end; the connection closes."""
        self._has_ended = True
        raise PeerGoneError


def _refusal(reason: str) -> Refusal:
    return Refusal(status=400, reason=reason, error_code=INVALID_REQUEST)
