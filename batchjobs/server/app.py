"""The local server: accepts connections, decides who gets in, and runs their sessions."""

import contextlib
import dataclasses
import functools
import itertools
import logging
import math
import os
import socket
from collections.abc import Awaitable, Callable
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
from batchjobs.protocol import close_codes
from batchjobs.protocol.conversation import LISTEN, TTS, Wire
from batchjobs.protocol.messages import Failure
from batchjobs.server.admission import (
    BASE_PATH,
    Admission,
    Refusal,
    SessionRate,
    examine,
    examine_speech,
)
from batchjobs.server.connection import Connection
from batchjobs.server.engines import registry
from batchjobs.server.engines.interface import Recogniser, Synthesiser
from batchjobs.server.error_replies import close_code_of
from batchjobs.server.fault_injection import FaultInjector
from batchjobs.server.faults import Dice, Fault, FaultName
from batchjobs.server.http_connection import HttpConnection, HttpRequest, PeerGoneError
from batchjobs.server.http_speech import HttpSpeech
from batchjobs.server.listen_session import ListenSession
from batchjobs.server.session_log import SessionEntry, SessionLog
from batchjobs.server.settings import ServerSettings
from batchjobs.server.stt_session import SttSession
from batchjobs.server.tts_session import TtsSession
from batchjobs.websocket.deflate import Deflate, negotiate
from batchjobs.websocket.heads import take_long_heads

_logger = logging.getLogger(__name__)
_RECEIVE_BUFFER_BYTES: Final = 64 * 1024
_MESSAGES_WAITING: Final = 8
_HEAD_BYTES: Final = 64 * 1024
"""Of a request: two hundred hot words of forty Arabic letters take 49,000."""
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
        OutputError: The session log cannot be created.
    """
    log = SessionLog(settings.ledger)
    made: list[Synthesiser | Recogniser] = []
    try:
        # Models are loaded in a thread: that takes seconds, and signals have to be heard.
        if synthesiser is None:
            synthesiser = await trio.to_thread.run_sync(registry.make_synthesiser, settings.engine)
            made.append(synthesiser)
        if recogniser is None:
            load = functools.partial(registry.make_recogniser, model_folder=settings.model_folder)
            recogniser = await trio.to_thread.run_sync(load, settings.engine)
            made.append(recogniser)
        listener = await _open_listener(settings)
        server = _Server(settings, synthesiser, recogniser, log, _port_of(listener))
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, server.handle, [listener])
            task_status.started(_base_url_of(settings.host, _port_of(listener)))
    finally:
        with trio.CancelScope(shield=True):
            for engine in made:
                await trio.to_thread.run_sync(engine.close)
        log.close()


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


def _port_of(listener: trio.SocketListener) -> int:
    return int(listener.socket.getsockname()[1])


def _base_url_of(host: str, port: int) -> str:
    return f"ws://{f'[{host}]' if ':' in host else host}:{port}{BASE_PATH}"


class _Server:
    """What the connections share: the engines, the counts, the dice."""

    def __init__(
        self,
        settings: ServerSettings,
        synthesiser: Synthesiser,
        recogniser: Recogniser,
        log: SessionLog,
        port: int,
    ) -> None:
        self._settings = settings
        self._synthesiser = synthesiser
        self._recogniser = recogniser
        self._log = log
        self._port = port
        self._dice = Dice(settings.faults, seed=settings.seed)
        self._rate = SessionRate(settings.sessions_per_second)
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
            if await self._speaks_http(stream):
                await self._serve_http(stream)
                return
            greeted = await self._greet(nursery, stream)
        finally:
            self._greeting.discard(stream)
        if greeted is None:
            return
        websocket, admission = greeted
        connection = self._connection(websocket, stream, admission.wire, admission.fault)
        await self._run(connection, admission)
        await connection.close(close_codes.NORMAL)
        self._admitted.discard(stream)

    async def _speaks_http(self, stream: trio.SocketStream) -> bool:
        """Whether the client posts; a socket begins with GET. What it sends stays to be read."""
        with trio.move_on_after(self._settings.handshake_seconds):
            first = await stream.socket.recv(1, socket.MSG_PEEK)
            return first == b"P"
        return False

    async def _serve_http(self, stream: trio.SocketStream) -> None:
        """Answer the requests of a connection, one after the other."""
        connection = HttpConnection(stream, self._settings)
        with contextlib.suppress(PeerGoneError):
            while (request := await connection.receive_request()) is not None:
                self._greeting.discard(stream)
                try:
                    await self._answer(connection, request, stream)
                finally:
                    self._admitted.discard(stream)
                if not connection.begin_next():
                    return

    async def _answer(
        self, connection: HttpConnection, request: HttpRequest, stream: trio.SocketStream
    ) -> None:
        model = examine_speech(
            target=request.target,
            host=request.host,
            headers=request.headers,
            settings=self._settings,
            port=self._port,
        )
        if isinstance(model, Refusal):
            await connection.refuse(model)
            return
        fault = None
        refusal = self._refusal_of_load()
        if refusal is None:
            fault = self._dice.choose(Kind.TTS, open_sessions=len(self._admitted) + 1)
            refusal = _http_refusal_by(fault)
        if refusal is not None:
            await connection.refuse(refusal)
            return
        self._admitted.add(stream)
        faults = FaultInjector(fault)
        entry = SessionEntry(
            self._log, session=next(self._numbers), kind=Kind.TTS, fault=faults.fault_name
        )
        try:
            await HttpSpeech(
                connection=connection,
                model=model,
                settings=self._settings,
                synthesiser=self._synthesiser,
                limiter=self._limiter,
                entry=entry,
                faults=faults,
            ).run(request.body)
        finally:
            entry.end(complete=False)  # does nothing if the session has said how it ended

    async def _greet(
        self, nursery: trio.Nursery, stream: trio.SocketStream
    ) -> tuple[WebSocketConnection, Admission] | None:
        """Answer the handshake; None if it was refused, or never finished."""
        limit = self._settings.message_limit_bytes
        extension = Deflate(limit) if self._settings.compresses else None
        with trio.move_on_after(self._settings.handshake_seconds) as scope:
            request = await wrap_server_stream(
                _ReaderStart(nursery, scope, extension),  # type: ignore[arg-type]  # it starts one task in it
                stream,
                message_queue_size=_MESSAGES_WAITING,
                max_message_size=limit,
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
        """Refuse a handshake, or close the connection after it, within the handshake's time.

        A client with a wrong key takes none of the sessions' places, but one of the few of the
        handshakes, and no fault strikes it.
        """
        if not refusal.error_code:
            await _reject(request, refusal)
            return
        connection = self._connection(await request.accept(), stream, TTS, None)
        # Clients begin by speaking: closed before that, many would fail at it and read nothing.
        with trio.move_on_after(self._settings.greeting_seconds), contextlib.suppress(SessionError):
            await connection.hear()
        failure = Failure(code=refusal.error_code, message=refusal.reason)
        await connection.fail(failure, close_code_of(refusal.error_code))

    def _connection(
        self,
        websocket: WebSocketConnection,
        stream: trio.SocketStream,
        wire: Wire,
        fault: Fault | None,
    ) -> Connection:
        return Connection(
            websocket=websocket,
            stream=stream,
            wire=wire,
            faults=FaultInjector(fault),
            settings=self._settings,
        )

    def _decide(self, request: WebSocketRequest) -> Admission | Refusal:
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
        refusal = self._refusal_of_load()
        if refusal is not None:
            return refusal
        fault = self._dice.choose(decision.kind, open_sessions=len(self._admitted) + 1)
        return _refusal_by(fault) or dataclasses.replace(decision, fault=fault)

    def _refusal_of_load(self) -> Refusal | None:
        if len(self._admitted) >= self._settings.session_limit:
            return Refusal(status=429, reason="too many sessions", retry_after_seconds=1)
        wait = self._rate.wait_seconds(trio.current_time())
        if wait:
            seconds = math.ceil(wait)
            return Refusal(status=429, reason="too many new sessions", retry_after_seconds=seconds)
        return None

    async def _run(self, connection: Connection, admission: Admission) -> None:
        entry = SessionEntry(
            self._log,
            session=next(self._numbers),
            kind=admission.kind,
            fault=connection.faults.fault_name,
        )
        try:
            match admission.kind:
                case Kind.TTS:
                    await TtsSession(
                        connection=connection,
                        settings=self._settings,
                        synthesiser=self._synthesiser,
                        limiter=self._limiter,
                        entry=entry,
                        authorised=admission.authorised,
                    ).run()
                case Kind.STT if admission.wire is LISTEN:
                    await ListenSession(
                        connection=connection,
                        query=admission.query,
                        recogniser=self._recogniser,
                        limiter=self._limiter,
                        entry=entry,
                    ).run()
                case Kind.STT:
                    await SttSession(
                        connection=connection,
                        settings=self._settings,
                        recogniser=self._recogniser,
                        limiter=self._limiter,
                        entry=entry,
                    ).run()
                case _:
                    assert_never(admission.kind)
        finally:
            entry.end(complete=False)  # does nothing if the session has said how it ended


class _ReaderStart:
    """Starts the library's reader; one that ends in the handshake ends the handshake.

    The library would wait for a request that cannot come any more, of a peer that has gone or never
    spoke WebSocket, and hold one of the few places for the whole of the time.
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
        take_long_heads(reader, _HEAD_BYTES)
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


def _http_refusal_by(fault: Fault | None) -> Refusal | None:
    """Give the answer to a request that a fault puts in place of audio, if it is one of these."""
    if fault is None:
        return None
    match fault.name:
        case FaultName.THROTTLE:
            return Refusal(status=429, reason="too many sessions at once", retry_after_seconds=1)
        case FaultName.ERROR | FaultName.ERROR_STRING:
            status = max(400, int(fault.argument[:3]))
            return Refusal(status=status, reason="a fault was asked for", error_code=fault.argument)
        case _:
            return _refusal_by(fault)


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
