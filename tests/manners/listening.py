"""A `/listen` service on another stack, asyncio and `websockets`, that ends as it is told to.

Nothing of batchjobs is in it: what it takes for the protocol is what the vendor's clients do.
"""

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

__all__ = ["BYTES_PER_SECOND", "ListenService", "Manner", "run_listen_service"]

BYTES_PER_SECOND: Final = 32_000
_MOST_FRAME_BYTES: Final = 6_400
# The library writes requests into its log, and the key is in them.
_quiet_logger: Final = logging.getLogger("tests.manners.websockets")
_quiet_logger.setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How sessions go.

    Attributes:
        close_code: Closes so in place of the receipt; None ends well.
        close_reason: With these words.
        closes_in_mid_audio: And that as soon as audio comes.
        error: Sent before the receipt, or in mid-audio.
        billed_share: Of what was sent, how much the receipt has.
        is_final_late: Sends one final more behind the end of the utterance.
        leaves_interim: Sends its last words never as final.
        receipt_early: Sends the receipt before it was asked to close.
        counts_from_turn: Times the words of each final from the turn's start, and ends the turn.
        close_after_receipt: Closes so behind the receipt; 0 breaks the line, None leaves it open.
        receipt_seconds: How long after the end of the audio the receipt comes.
        gives_no_receipt: Says nothing more once it has heard all.
        says_nothing: Hears no words.
        refuses: Answers the handshake with this status.
        key_way: How it takes the key: ``header``, ``bearer`` or ``query``.
        drops: Hot words with this in them are dropped.
        times: How many sessions go so; the others go well.
    """

    close_code: int | None = None
    close_reason: str = ""
    closes_in_mid_audio: bool = False
    error: dict[str, object] | None = None
    billed_share: float = 1.0
    is_final_late: bool = False
    leaves_interim: bool = False
    receipt_early: bool = False
    counts_from_turn: bool = False
    close_after_receipt: int | None = 1000
    receipt_seconds: float = 0.0
    gives_no_receipt: bool = False
    says_nothing: bool = False
    refuses: int = 0
    key_way: str = "header"
    drops: str = ""
    times: int = 1_000


@dataclass(slots=True)
class ListenService:
    """One service, on a port of its own; hears the same words in every recording."""

    manner: Manner
    finals: Sequence[Sequence[tuple[str, float, float]]]
    key: str
    port: int = 0
    sessions: int = 0
    kept_alive: int = 0
    went_wrong: int = 0
    complaints: list[str] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    heard_seconds: list[float] = field(default_factory=list)

    def look_at(self, connection: ServerConnection, request: Request) -> Response | None:
        """Look at a handshake as the service would."""
        parts = urlsplit(request.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        wanted = {"encoding": "linear16", "sample_rate": "16000", "channels": "1", "language": "ar"}
        if parts.path != "/api/v1/listen" or not wanted.items() <= asked.items():
            self.complaints.append(f"it asks for {parts.path} {asked}")
        if asked.get("smart_turn") not in {"true", "false"}:
            self.complaints.append("it leaves smart_turn open")
        found = {
            "header": request.headers.get_all("x-api-key"),
            "bearer": [each[7:] for each in request.headers.get_all("authorization")],
            "query": [asked[name] for name in ("api_key",) if name in asked],
        }
        if {way: keys for way, keys in found.items() if keys} != {self.manner.key_way: [self.key]}:
            self.complaints.append("the key came another way")
        self.asked.append(asked)
        return connection.respond(self.manner.refuses, "") if self.manner.refuses else None

    async def talk(self, connection: ServerConnection) -> None:
        """Hold one session."""
        self.sessions += 1
        manner = self.manner if self.went_wrong < self.manner.times else Manner()
        self.went_wrong += manner is self.manner
        number = len(self.heard_seconds)
        self.heard_seconds.append(0.0)
        words = self.asked[-1].get("hotwords", "").split(",")
        dropped = [word for word in words if manner.drops and manner.drops in word]
        opened = {"session_id": "s", "model": "munsit", "dropped_hotwords": dropped or None}
        await _send(connection, "Metadata", **opened)
        heard = 0
        async for message in connection:
            if isinstance(message, bytes):
                heard += len(message)
                self.heard_seconds[number] = heard / BYTES_PER_SECOND
                if len(message) > _MOST_FRAME_BYTES or len(message) % 2:
                    self.complaints.append(f"a frame of {len(message)} bytes")
                if manner.closes_in_mid_audio:
                    await self._break(connection, manner)
                    return
                if manner.receipt_early:
                    await _send(connection, "Metadata", audio_seconds_billed=0.2, turn_count=1)
                    return
                continue
            if json.loads(message)["type"] == "KeepAlive":
                self.kept_alive += 1
            if json.loads(message)["type"] == "CloseStream":
                await self._end(connection, manner, heard / BYTES_PER_SECOND)
                return

    async def _end(self, connection: ServerConnection, manner: Manner, seconds: float) -> None:
        await _send(connection, "SpeechStarted")
        for final in () if manner.says_nothing else self.finals:
            await self._say(connection, final, manner)
            if manner.counts_from_turn:
                await _send(connection, "UtteranceEnd")
        if manner.is_final_late:
            await _send(connection, "UtteranceEnd")
            await _send(connection, "Results", transcript="متأخرة", is_final=True, words=[])
        if manner.leaves_interim:
            await _send(connection, "Results", transcript="لم تكتمل", is_final=False, words=None)
        if manner.error is not None:
            await connection.send(json.dumps({"type": "Error", **manner.error}))
        if manner.close_code is not None:
            await self._break(connection, manner)
            return
        if manner.gives_no_receipt:
            await connection.wait_closed()
            return
        await _send(connection, "Gender", label="female", score=0.9)
        await _send(connection, "Sentiment", label="محايد", score=0.5)
        await _send(connection, "Novelty", of="a later version")
        await asyncio.sleep(manner.receipt_seconds)
        billed = seconds * manner.billed_share
        await _send(
            connection, "Metadata", audio_seconds_billed=billed, turn_count=1, session_id="s"
        )
        if manner.close_after_receipt is None:
            await connection.wait_closed()
        elif manner.close_after_receipt == 0:
            connection.transport.abort()
        else:
            await connection.close(manner.close_after_receipt)

    async def _say(
        self,
        connection: ServerConnection,
        final: Sequence[tuple[str, float, float]],
        manner: Manner,
    ) -> None:
        first = final[0][1] if manner.counts_from_turn else 0.0
        words = [
            {"word": word, "start": start - first, "end": end - first, "score": None}
            for word, start, end in final
        ]
        await _send(
            connection,
            "Results",
            transcript=" ".join(word for word, _, _ in final),
            is_final=True,
            speech_final=False,
            words=words,
            language=None,
        )

    async def _break(self, connection: ServerConnection, manner: Manner) -> None:
        assert manner.close_code is not None
        if manner.close_code:
            await connection.close(manner.close_code, manner.close_reason)
        else:
            connection.transport.abort()


async def _send(connection: ServerConnection, name: str, **values: Any) -> None:
    await connection.send(json.dumps({"type": name, **values}, ensure_ascii=False))


@contextlib.contextmanager
def run_listen_service(service: ListenService) -> Iterator[str]:
    """Serve in a thread for as long as the block lasts; gives the base URL."""
    is_up, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve_until_stopped() -> None:
        async with serve(
            service.talk,
            "127.0.0.1",
            0,
            process_request=service.look_at,
            logger=_quiet_logger,
            compression=None,
            ping_interval=None,
            max_queue=None,  # a client that is told to go has sent more by then
        ) as server:
            service.port = server.sockets[0].getsockname()[1]
            is_up.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve_until_stopped(),))
    thread.start()
    is_up.wait()
    try:
        yield f"ws://127.0.0.1:{service.port}/api/v1"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
