"""A session on ``/listen`` of the server: hears frames, finalises turns, ends with a receipt."""

import contextlib
import itertools
import logging
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import trio
from trio_websocket import ConnectionClosed

from batchjobs.errors import ConfigurationError, EngineError
from batchjobs.protocol import close_codes
from batchjobs.protocol.growth import Growth
from batchjobs.protocol.listen_messages import (
    AudioFrame,
    CloseStream,
    Configure,
    HeardWord,
    KeepAlive,
    ListenError,
    Opened,
    Receipt,
    Results,
    ServerMessage,
    SpeechStarted,
    UtteranceEnd,
)
from batchjobs.protocol.messages import InvalidMessageError
from batchjobs.server.connection import Connection
from batchjobs.server.engines.interface import Recogniser
from batchjobs.server.hearing import Hearing
from batchjobs.server.session_log import SessionEntry
from batchjobs.speech import (
    BYTES_PER_SAMPLE,
    MODEL_WITHOUT_HOTWORDS,
    MOST_HOTWORD_CHARACTERS,
    MOST_HOTWORDS,
)
from batchjobs.text import find_words, weigh_word

_logger = logging.getLogger(__name__)
_RATES: Final = (8_000, 16_000)
_MODELS: Final = ("munsit", MODEL_WITHOUT_HOTWORDS)
_IDLE_SECONDS: Final = 12.0
_AHEAD_SECONDS: Final = 60.0
_STEP_SECONDS: Final = 0.5
"""Of audio that the engine hears at once."""
_SPLIT_SECONDS: Final = 60.0
"""Of unbroken speech, after which what was heard of it is made final."""
_SOUND_RMS: Final = 0.003
_SECONDS_A_LETTER: Final = 0.08


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenParameters:
    """What the request asks for.

    Attributes:
        sample_rate: Of the audio, in hertz.
        model: The model.
        sends_interim: Whether transcripts that are not final are sent.
        endpointing_ms: Milliseconds of silence that end a turn.
        hotwords: Words to expect.
        correlation_id: Of the caller's; stands in whatever the server says.
    """

    sample_rate: int = 16_000
    model: str = "munsit"
    sends_interim: bool = True
    endpointing_ms: int = 800
    hotwords: tuple[str, ...] = ()
    correlation_id: str = ""

    @property
    def dropped_hotwords(self) -> tuple[str, ...]:
        """Those that are not taken: too many, too long, or for a model that expects no words."""
        if self.model == MODEL_WITHOUT_HOTWORDS:
            return self.hotwords
        taken, rest = self.hotwords[:MOST_HOTWORDS], self.hotwords[MOST_HOTWORDS:]
        return rest + tuple(word for word in taken if len(word) > MOST_HOTWORD_CHARACTERS)


def read_parameters(query: Mapping[str, str]) -> ListenParameters:
    """Read a request's query.

    Raises:
        ConfigurationError: One of its fields makes no sense.
    """
    rate, endpointing = query.get("sample_rate", "16000"), query.get("endpointing", "800")
    hotwords = tuple(filter(None, query.get("hotwords", "").split(",")))
    found = ListenParameters(
        sample_rate=int(rate) if rate.isdecimal() else 0,
        model=query.get("model", "munsit"),
        sends_interim=query.get("interim_results", "true") == "true",
        endpointing_ms=int(endpointing) if endpointing.isdecimal() else 0,
        hotwords=hotwords,
        correlation_id=query.get("correlation_id", ""),
    )
    wrong = {
        "encoding": query.get("encoding", "linear16") != "linear16",
        "sample_rate": found.sample_rate not in _RATES,
        "channels": query.get("channels", "1") != "1",
        "language": query.get("language", "ar") != "ar",
        "model": found.model not in _MODELS,
        "interim_results": query.get("interim_results", "true") not in {"true", "false"},
        "smart_turn": query.get("smart_turn", "true") not in {"true", "false"},
        "endpointing": not 100 <= found.endpointing_ms <= 5_000,
        "correlation_id": len(found.correlation_id) > 128,
    }
    for name, is_wrong in wrong.items():
        if is_wrong:
            raise ConfigurationError(f"invalid parameter: {name}")
    return found


class ListenSession:
    """One client that sends frames of audio, and gets what is final of their transcript.

    Args:
        connection: The client's.
        query: The request's.
        recogniser: The engine.
        limiter: Bounds the worker threads.
        entry: What the session log says of it.
    """

    def __init__(
        self,
        *,
        connection: Connection,
        query: Mapping[str, str],
        recogniser: Recogniser,
        limiter: trio.CapacityLimiter,
        entry: SessionEntry,
    ) -> None:
        self._connection = connection
        self._query = query
        self._hearing = Hearing(recogniser, limiter)
        self._entry = entry
        self._session_id = f"local-{id(self):x}"
        self._asked = ListenParameters()
        self._pending = bytearray()
        self._growth = Growth()
        self._text = self._final_text = ""
        self._said_until = self._speech_at = 0.0
        self._turns = 0
        self._quiet_seconds = 0.0
        self._final_at = 0.0
        self._is_speaking = False
        self._is_complete = False

    async def run(self) -> None:
        """Serve the client until the connection is gone."""
        async with self._hearing:
            with contextlib.suppress(ConnectionClosed):
                await self._serve()
        self._entry.end(complete=self._is_complete and self._connection.faults.is_faithful)

    async def _serve(self) -> None:
        connection = self._connection
        try:
            await self._converse()
        except ConfigurationError as error:
            # By the close alone the vendor's own clients take it for a break, and connect again.
            code = close_codes.BAD_PARAMETER
            failure = ListenError(code=str(code), message=error.message)
            await connection.fail(failure, code, error.message)
        except (EngineError, InvalidMessageError) as error:
            _logger.warning("a recording was not understood: %s", error)
            await connection.fail(
                ListenError(code=str(close_codes.INTERNAL_ERROR), message="the engine failed"),
                close_codes.INTERNAL_ERROR,
            )

    async def _converse(self) -> None:
        """Say hello and hear the client.

        Raises:
            ConfigurationError: It asks for what makes no sense, at first or later.
            EngineError: The engine failed.
            InvalidMessageError: A message of the client's cannot be read.
        """
        self._asked = read_parameters(self._query)
        await self._say(
            Opened(
                session_id=self._session_id,
                model=self._asked.model,
                dropped_hotwords=self._asked.dropped_hotwords,
            )
        )
        await self._listen()

    async def _listen(self) -> None:
        opened_at = trio.current_time()
        while True:
            message = None
            with trio.move_on_after(_IDLE_SECONDS):
                message = await self._connection.hear()
            match message:
                case None:
                    await self._connection.close(close_codes.INTERNAL_ERROR, "idle")
                    return
                case AudioFrame(pcm=pcm):
                    self._entry.add_heard(pcm, self._asked.sample_rate)
                    ahead = self._entry.audio_seconds - (trio.current_time() - opened_at)
                    if ahead > _AHEAD_SECONDS:
                        reason = "audio is too far ahead of real time"
                        await self._connection.close(close_codes.TOO_FAR_AHEAD, reason)
                        return
                    await self._take(pcm)
                case Configure(endpointing=milliseconds):
                    changed = {**self._query, "endpointing": str(milliseconds)}
                    self._asked = read_parameters(changed)
                case CloseStream():
                    await self._finish()
                    return
                case KeepAlive() | _:
                    continue

    async def _take(self, pcm: bytes) -> None:
        self._pending += pcm
        step = round(_STEP_SECONDS * self._asked.sample_rate) * BYTES_PER_SAMPLE
        while len(self._pending) >= step:
            first = bytes(self._pending[:step])
            del self._pending[:step]
            await self._hear(first)

    async def _hear(self, pcm: bytes) -> None:
        """Let the engine hear more, and say what comes of it."""
        self._connection.is_busy = True
        text = await self._hearing.accept(pcm, self._asked.sample_rate)
        self._connection.is_busy = False
        if text != self._text:
            self._text = text
            heard = max(self._said_until, self._heard_seconds - _STEP_SECONDS / 2)
            self._growth.note(self._new_text, heard)
            if self._asked.sends_interim:
                await self._say(Results(transcript=self._new_text.strip()))
        samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32_768
        if len(samples) and float(np.sqrt(np.mean(samples**2))) > _SOUND_RMS:
            self._quiet_seconds = 0.0
            if not self._is_speaking:
                self._is_speaking = True
                self._speech_at = self._heard_seconds - len(samples) / self._asked.sample_rate
                await self._say(SpeechStarted())
        else:
            self._quiet_seconds += len(samples) / self._asked.sample_rate
        if self._quiet_seconds * 1_000 >= self._asked.endpointing_ms:
            await self._finalise(ends_turn=True)
        elif self._heard_seconds - self._final_at >= _SPLIT_SECONDS:
            await self._finalise(ends_turn=False)

    @property
    def _heard_seconds(self) -> float:
        """How much the engine has heard: not what waits for it."""
        waiting = len(self._pending) / (BYTES_PER_SAMPLE * self._asked.sample_rate)
        return self._entry.audio_seconds - waiting

    @property
    def _new_text(self) -> str:
        """What was heard since the last final."""
        if self._text.startswith(self._final_text):
            return self._text[len(self._final_text) :]
        # The engine has changed what is final; as many words as that has stand for it.
        places = find_words(self._text)[len(find_words(self._final_text)) :]
        return self._text[places[0][0] :] if places else ""

    async def _finalise(self, *, ends_turn: bool) -> None:
        """Make what was heard since the last time final, if there is anything.

        Args:
            ends_turn: Whether there is a silence; if not, the last word may go on, and waits.
        """
        text, ends = self._new_text, self._growth.ends
        places = find_words(text) if ends_turn else find_words(text)[:-1]
        if places:
            stop = places[-1][1]
            words = [text[begin:end] for begin, end in places]
            await self._say(
                Results(
                    transcript=text[:stop].lstrip(),
                    is_final=True,
                    speech_final=ends_turn,
                    words=self._time_words(words, ends[: len(words)]),
                    confidence=1.0,
                    language="ar",
                )
            )
            self._final_text = self._text[: len(self._text) - len(text) + stop]
            self._said_until = ends[len(words) - 1]
            self._growth = Growth()
            self._growth.note(text[stop:], ends[-1])
        self._final_at = self._heard_seconds
        if ends_turn and self._is_speaking:
            self._is_speaking = False
            self._turns += 1
            await self._say(UtteranceEnd())

    def _time_words(self, words: list[str], ends: list[float]) -> tuple[HeardWord, ...]:
        """Say when words were said; those that came at once share the sound before they came."""
        found: list[HeardWord] = []
        begin = max(self._said_until, self._speech_at)
        timed = zip(words, ends, strict=True)
        for end, group in itertools.groupby(timed, key=operator.itemgetter(1)):
            together = [word for word, _ in group]
            weights = [weigh_word(word) for word in together]
            length = min(sum(weights) * _SECONDS_A_LETTER, max(0.0, end - begin))
            times = [
                round(end - length * (1 - share / sum(weights)), 3)
                for share in itertools.accumulate(weights, initial=0.0)
            ]
            found += map(HeardWord, together, times, times[1:])
            begin = end
        return tuple(found)

    async def _say(self, message: ServerMessage) -> None:
        said = msgspec.structs.replace(message, correlation_id=self._asked.correlation_id)
        await self._connection.say(said)

    async def _finish(self) -> None:
        if self._pending:
            rest = bytes(self._pending)
            self._pending.clear()
            await self._hear(rest)
        await self._finalise(ends_turn=True)
        await self._say(
            Receipt(
                audio_seconds_billed=round(self._entry.audio_seconds, 3),
                turn_count=self._turns,
                session_id=self._session_id,
            )
        )
        self._is_complete = True
        await self._connection.close(close_codes.NORMAL)
