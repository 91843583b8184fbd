"""The local server: accepts connections, decides who gets in, and runs their sessions."""

import contextlib
import itertools
import logging
import math
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, assert_never

import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    wrap_server_stream,
)

from batchjobs.errors import ConfigurationError, SessionError
from batchjobs.jobs import Kind
from batchjobs.protocol.conversation import STT, TTS
from batchjobs.protocol.error_codes import NORMAL_CLOSE
from batchjobs.protocol.messages import Failure
from batchjobs.server.admission import BASE_PATH, RateGate, Refusal, examine
from batchjobs.server.connection import Line
from batchjobs.server.engines import registry
from batchjobs.server.engines.interface import Recogniser, Synthesiser
from batchjobs.server.fault_injection import Delivery, closing_code
from batchjobs.server.faults import Dice, Fault, FaultName
from batchjobs.server.session_log import Account, Ledger
from batchjobs.server.settings import ServerSettings
from batchjobs.server.stt_session import ListeningSession
from batchjobs.server.tts_session import SpeakingSession
from batchjobs.websocket.deflate import Deflate, negotiate

__all__ = ["serve"]

_logger = logging.getLogger(__name__)
_RECEIVE_BUFFER_BYTES: Final = 64 * 1024
_MESSAGES_WAITING: Final = 8
_LINGER_SECONDS: Final = 1.0


async def serve(
    settings: ServerSettings,
    *,
    synthesiser: Synthesiser | None = None,
    recogniser: Recogniser | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled.

    Args:
        settings: Address, token, engine, limits, faults.
        synthesiser: Speaks, in place of the settings' engine; stays the caller's.
        recogniser: Listens, in place of the settings' engine; stays the caller's.
        task_status: Started with the base URL, ``ws://127.0.0.1:PORT/api/v1``.

    Raises:
        ConfigurationError: The engine or the address cannot be used.
        OutputError: The ledger cannot be created.
    """
    ledger = Ledger(settings.ledger)
    made: list[Synthesiser | Recogniser] = []
    try:
        # Models are loaded in a thread: that takes seconds, and signals have to be heard.
        if synthesiser is None:
            synthesiser = await trio.to_thread.run_sync(registry.make_synthesiser, settings.engine)
            made.append(synthesiser)
        if recogniser is None:
            recogniser = await trio.to_thread.run_sync(_recogniser, settings)
            made.append(recogniser)
        listener = await _open_listener(settings)
        server = _Server(settings, synthesiser, recogniser, ledger, _port(listener))
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, server.handle, [listener])
            task_status.started(_base_url(settings.host, _port(listener)))
    finally:
        with trio.CancelScope(shield=True):
            for engine in made:
                await trio.to_thread.run_sync(engine.close)
        ledger.close()


def _recogniser(settings: ServerSettings) -> Recogniser:
    return registry.make_recogniser(settings.engine, model_folder=settings.model_folder)


async def _open_listener(settings: ServerSettings) -> trio.SocketListener:
    try:
        first, *others = await trio.open_tcp_listeners(settings.port, host=settings.host)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        hint = "choose another port, or 0 for a free one"
        raise ConfigurationError(f"cannot listen on {where}: {error}", hint=hint) from error
    # A name with several addresses would get a different free port on each.
    for other in others:
        await other.aclose()
    return first


def _port(listener: trio.SocketListener) -> int:
    return int(listener.socket.getsockname()[1])


def _base_url(host: str, port: int) -> str:
    return f"ws://{f'[{host}]' if ':' in host else host}:{port}{BASE_PATH}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A session that was let in, and the fault that strikes it."""

    kind: Kind
    authorised: bool
    fault: Fault | None


class _Server:
    """What the connections share: the engines, the counts, the dice."""

    def __init__(
        self,
        settings: ServerSettings,
        synthesiser: Synthesiser,
        recogniser: Recogniser,
        ledger: Ledger,
        port: int,
    ) -> None:
        self._settings = settings
        self._synthesiser = synthesiser
        self._recogniser = recogniser
        self._ledger = ledger
        self._port = port
        self._dice = Dice(settings.faults, seed=settings.seed)
        self._rate = RateGate(settings.sessions_per_second)
        self._limiter = trio.CapacityLimiter(os.cpu_count() or 1)
        self._numbers = itertools.count(1)
        self._greeting: set[trio.SocketStream] = set()
        self._admitted: set[trio.SocketStream] = set()

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one TCP connection; nothing that goes wrong in it reaches the others."""
        if len(self._greeting) >= self._settings.handshake_limit:
            return
        try:
            async with trio.open_nursery() as nursery:
                with contextlib.suppress(ConnectionClosed):
                    await self._serve(nursery, stream)
                # The library's reader would stay as long as the peer does.
                nursery.cancel_scope.cancel()
            await _linger(stream)
        except Exception:  # the barrier: see above
            _logger.exception("a connection failed")
        finally:
            self._admitted.discard(stream)

    async def _serve(self, nursery: trio.Nursery, stream: trio.SocketStream) -> None:
        self._greeting.add(stream)
        try:
            greeted = await self._greet(nursery, stream)
        finally:
            self._greeting.discard(stream)
        if greeted is None:
            return
        connection, entry = greeted
        line = self._line(connection, stream, entry.kind, entry.fault)
        await self._run(line, entry)
        await line.close(NORMAL_CLOSE)
        self._admitted.discard(stream)

    async def _greet(
        self, nursery: trio.Nursery, stream: trio.SocketStream
    ) -> tuple[WebSocketConnection, _Entry] | None:
        """Answer the handshake; None if it was refused, or never finished."""
        with trio.move_on_after(self._settings.handshake_seconds) as scope:
            request = await wrap_server_stream(
                _Reading(nursery, scope, self._extension()),  # type: ignore[arg-type]  # it starts one task in it
                stream,
                message_queue_size=_MESSAGES_WAITING,
                max_message_size=self._settings.message_limit_bytes,
                receive_buffer_size=_RECEIVE_BUFFER_BYTES,
            )
            decision = self._decide(request)
            if isinstance(decision, Refusal):
                await self._refuse(request, decision, stream)
                return None
            self._admitted.add(stream)
            return await request.accept(), decision
        return None

    async def _refuse(
        self, request: WebSocketRequest, refusal: Refusal, stream: trio.SocketStream
    ) -> None:
        """Refuse a handshake, or whoever has shaken hands: still within the time for that.

        Whoever has shown a wrong key takes no session's place, but one of the few of those who
        shake hands, and no fault strikes.
        """
        if not refusal.error_code:
            await _reject(request, refusal)
            return
        line = self._line(await request.accept(), stream, Kind.TTS, None)
        # Clients begin by speaking: closed before that, many would fail at it and read nothing.
        with trio.move_on_after(self._settings.greeting_seconds), contextlib.suppress(SessionError):
            await line.hear()
        failure = Failure(code=refusal.error_code, message=refusal.reason)
        await line.fail(failure, closing_code(refusal.error_code))

    def _line(
        self,
        connection: WebSocketConnection,
        stream: trio.SocketStream,
        kind: Kind,
        fault: Fault | None,
    ) -> Line:
        return Line(
            connection=connection,
            stream=stream,
            wire=TTS if kind is Kind.TTS else STT,
            delivery=Delivery(fault),
            idle_seconds=self._settings.idle_seconds,
            close_seconds=self._settings.close_seconds,
        )

    def _extension(self) -> Deflate | None:
        limit = self._settings.message_limit_bytes
        return Deflate(limit) if self._settings.compresses else None

    def _decide(self, request: WebSocketRequest) -> _Entry | Refusal:
        decision = examine(
            target=request.path,
            # The library hands on every header but this one.
            host=request._event.host,  # noqa: SLF001
            headers=request.headers,
            settings=self._settings,
            port=self._port,
        )
        if isinstance(decision, Refusal):
            return decision
        refusal = self._overload()
        if refusal is not None:
            return refusal
        fault = self._dice.choose(decision.kind, open_sessions=len(self._admitted) + 1)
        return _refusal_by(fault) or _Entry(
            kind=decision.kind, authorised=decision.authorised, fault=fault
        )

    def _overload(self) -> Refusal | None:
        if len(self._admitted) >= self._settings.session_limit:
            return Refusal(status=429, reason="too many sessions", retry_after_seconds=1)
        wait = self._rate.wait_seconds(trio.current_time())
        if wait:
            seconds = math.ceil(wait)
            return Refusal(status=429, reason="too many new sessions", retry_after_seconds=seconds)
        return None

    async def _run(self, line: Line, entry: _Entry) -> None:
        account = Account(
            self._ledger,
            session=next(self._numbers),
            kind=entry.kind,
            fault=line.delivery.fault_name,
        )
        try:
            match entry.kind:
                case Kind.TTS:
                    await SpeakingSession(
                        line=line,
                        settings=self._settings,
                        synthesiser=self._synthesiser,
                        limiter=self._limiter,
                        account=account,
                        authorised=entry.authorised,
                    ).run()
                case Kind.STT:
                    await ListeningSession(
                        line=line,
                        settings=self._settings,
                        recogniser=self._recogniser,
                        limiter=self._limiter,
                        account=account,
                    ).run()
                case _:
                    assert_never(entry.kind)
        finally:
            account.end(complete=False)  # does nothing if the session has said how it ended


class _Reading:
    """Starts the library's reader; one that ends in the handshake ends the handshake.

    The library would wait on for a request that cannot come any more, of a peer that has gone or
    never was a WebSocket's, and hold one of the few places for the whole of the time.
    """

    def __init__(
        self, nursery: trio.Nursery, scope: trio.CancelScope, extension: Deflate | None
    ) -> None:
        self._nursery = nursery
        self._scope = scope
        self._extension = extension

    def start_soon(self, reader: Callable[[], Awaitable[None]]) -> None:
        """Start it."""
        if self._extension is not None:
            negotiate(reader, self._extension)
        self._nursery.start_soon(self._read, reader)

    async def _read(self, reader: Callable[[], Awaitable[None]]) -> None:
        await reader()
        self._scope.cancel()


def _refusal_by(fault: Fault | None) -> Refusal | None:
    if fault is None:
        return None
    reason = "a fault was asked for"
    match fault.name:
        case FaultName.HANDSHAKE:
            return Refusal(status=int(fault.argument), reason=reason)
        case FaultName.THROTTLE_HANDSHAKE:
            return Refusal(status=429, reason=reason, retry_after_seconds=int(fault.argument))
        case _:
            return None


async def _reject(request: WebSocketRequest, refusal: Refusal) -> None:
    headers = [(b"Content-Type", b"text/plain")]
    if refusal.retry_after_seconds is not None:
        headers.append((b"Retry-After", str(refusal.retry_after_seconds).encode()))
    await request.reject(refusal.status, extra_headers=headers, body=refusal.reason.encode())


async def _linger(stream: trio.SocketStream) -> None:
    """Let the peer read our last words: closing on unread data would reset the connection."""
    with trio.move_on_after(_LINGER_SECONDS):
        try:
            await stream.send_eof()
            while await stream.receive_some(_RECEIVE_BUFFER_BYTES):
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
