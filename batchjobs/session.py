"""One session over trio-websocket: deadlines around every wait, foreign errors translated once."""

import errno
import logging
import os
import re
import resource
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Final, TypeAlias, TypeVar
from urllib.parse import quote, urlsplit

import h11
import trio
import wsproto.utilities
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)

from batchjobs import audio
from batchjobs.errors import (
    PermanentError,
    RecordingError,
    SessionError,
    StopError,
    ThrottledError,
    TimedOutError,
    TransientError,
)
from batchjobs.jobs import Segment
from batchjobs.protocol import codes
from batchjobs.protocol.stt import SAMPLE_RATE, SttClient, TranscriptResult
from batchjobs.protocol.tts import Judge, SpeechResult, TtsClient
from batchjobs.providers import Provider

__all__ = [
    "CONNECTION_CODE",
    "RECORDING_CODE",
    "Dial",
    "Link",
    "SpeechSession",
    "TranscriptSession",
    "recording_chunks",
]

Dial: TypeAlias = Callable[[str, int, ssl.SSLContext | None], Awaitable[trio.abc.Stream]]
"""Opens the byte stream to a host and port, under TLS if a context is given."""

CONNECTION_CODE: Final = "connection"
"""The code of attempts that never reached the service."""
RECORDING_CODE: Final = "recording"
"""The code of attempts that a damaged recording ended: the service has no part in it."""
_Request: TypeAlias = tuple[str, list[tuple[bytes, bytes]]]
"""The target, with its query, and the extra headers."""
_Machine = TypeVar("_Machine", TtsClient, SttClient)

_RECEIVE_BYTES: Final = 65_536
"""4 KiB, the library's default, makes a speech session cost 2.2 times as much (measured)."""
_QUEUED_MESSAGES: Final = 8
_MESSAGE_LIMIT: Final = 16 * 1024 * 1024
"""The library's 1 MiB is 16 seconds of audio in one message."""
_SWITCHING_PROTOCOLS: Final = 101
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})\b")
_RETRY_AFTER: Final = re.compile(rb"(?im)^retry-after:[ \t]*([0-9]{1,6})[ \t]*\r?$")
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_HANDSHAKES_AT_ONCE: Final = 32
_CLOSE_SECONDS: Final = 2.0
_CHUNKS_A_HOP: Final = 8
_FILES_KEPT: Final = 48
_FILES_A_CPU: Final = 2
"""A thread that writes has a file and its folder open."""
_BROKEN: Final = 1006
_STRUCK: Final = "***"
_KEY_PART_CHARACTERS: Final = 4
"""So many characters of a key's beginning, at a cut, are taken for the key."""
_DEFAULT_PORTS: Final = {"ws": 80, "wss": 443}
_OUT_OF_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE})
_FOREIGN: Final = (
    OSError,
    HandshakeError,
    ConnectionClosed,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    h11.ProtocolError,
    wsproto.utilities.ProtocolError,
)


class _NoUrls(logging.Filter):
    """Keeps the library's debug lines out of every log: one of them holds the URL with the key."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG


logging.getLogger("trio-websocket").addFilter(_NoUrls())


class _HandshakeBrokenError(OSError):
    """The peer ended, or flooded, a handshake."""


class _GuardedStream(trio.abc.Stream):
    """A stream that ends a handshake which the peer refuses, leaves or floods.

    trio-websocket would wait for ever after an early end of file or a reset, and for the whole of
    an HTTP error's body, which it holds in memory; a body that ends with the connection never ends
    for it. The status line and the headers are all that we want of a refusal.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._head = bytearray()
        self._is_opening = True

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError as error:
            if self._is_opening:
                raise _HandshakeBrokenError(_LEFT) from error
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError as error:
            if self._is_opening:
                raise _HandshakeBrokenError(_LEFT) from error
            raise
        if self._is_opening:
            self._look_at(data)
        return data

    def _look_at(self, data: bytes | bytearray) -> None:
        """Follow the handshake's answer to the end of its head; h11 ends one beyond 16 KiB."""
        self._head += data
        line, end = _STATUS_LINE.match(self._head), _HEAD_END.search(self._head)
        if line and end:
            status = int(line[1])
            if status >= 200:
                raise _refusal(status, _RETRY_AFTER.search(self._head, 0, end.start() + 1))
            if status == _SWITCHING_PROTOCOLS:
                self._is_opening = False
                return
        if not data:
            raise _HandshakeBrokenError(_LEFT)

    async def aclose(self) -> None:
        await self._stream.aclose()


_LEFT: Final = "the service closed the connection in the handshake"


def _refusal(status: int, retry_after: re.Match[bytes] | None) -> SessionError:
    """Class a handshake's refusal."""
    if 300 <= status < 400:
        shown = f"the service redirects elsewhere (HTTP {status})"
        hint = "the key goes to the configured host only; check --base-url"
        return PermanentError(shown, code=str(status), hint=hint)
    seconds = float(retry_after[1]) if retry_after else None
    return codes.from_status(status, retry_after_seconds=seconds)


async def dial_tcp(host: str, port: int, context: ssl.SSLContext | None) -> trio.abc.Stream:
    """Connect over TCP, and over verified TLS if there is a context."""
    try:
        stream = await trio.open_tcp_stream(host, port)
    except UnicodeError as error:  # an empty or endless label, before any look-up
        raise OSError(f"'{host}' is no host name") from error
    if stream.socket.fileno() >= _files_for_connections():
        await trio.aclose_forcefully(stream)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    if context is None:
        return stream
    secure = trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)
    try:
        await secure.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(secure)
        raise
    return secure


def _any_form_of(character: str) -> str:
    """Match a character of a key as it is, percent-encoded, or escaped as in JSON."""
    number = f"{ord(character):02x}"
    return rf"(?:\\?{re.escape(character)}|(?i:%{number}|\\u00{number}))"


def _files() -> int:
    """Give how many files, sockets among them, we may have open."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit if limit != resource.RLIM_INFINITY else 1 << 30


def _files_for_connections() -> int:
    """Give the first file descriptor that is kept for the disk.

    The lowest free number is always taken: a connection with a high one leaves too few to write
    down what is paid for. Without this, every second run under a low limit ended with EMFILE on
    its own files (measured).
    """
    kept = _FILES_A_CPU * (os.cpu_count() or 1) + _FILES_KEPT
    return _files() - min(kept, _files() // 3)


class Link:
    """All that sessions with one provider share: where it is, the key, the TLS context.

    One context for the run: a fresh one a connection costs 16 ms, twenty times the session.

    Args:
        provider: The provider.
        base_url: A checked URL, ``wss://HOST/api/v1``.
        key: The key; never shown.
        dial: How to connect; tests give memory streams.
    """

    def __init__(
        self, provider: Provider, *, base_url: str, key: str, dial: Dial = dial_tcp
    ) -> None:
        parts = urlsplit(base_url)
        self.provider = provider
        self.key = key
        self.host = parts.hostname or ""
        self.port = parts.port or _DEFAULT_PORTS[parts.scheme]
        self.path = parts.path.rstrip("/")
        self.host_header = parts.netloc
        self.context = ssl.create_default_context() if parts.scheme == "wss" else None
        self.dial = dial
        # Each may reach into the files kept for the disk before it sees that it is one too many.
        at_once = max(1, min(_HANDSHAKES_AT_ONCE, _files() // 8))
        self.handshakes = trio.CapacityLimiter(at_once)
        self._key_pattern = re.compile("".join(map(_any_form_of, key)))

    def __repr__(self) -> str:
        """Show where it leads, never the key."""
        return f"Link({self.provider.name!r}, {self.host!r}, {self.port})"

    def without_key(self, text: str) -> str:
        """Strike the key out of a text that a service may have put it into.

        Each of its characters may stand as it is, percent-encoded or escaped as in JSON; at the
        end of a text that was cut off (``…``), the key's beginning is struck out, too.
        """
        if not self.key:
            return text
        shown = self._key_pattern.sub(_STRUCK, text)
        for length in range(len(self.key) - 1, _KEY_PART_CHARACTERS - 1, -1):
            if shown.endswith(self.key[:length] + "…"):
                return shown[: -length - 1] + _STRUCK
        return shown

    @contextmanager
    def discreet(self) -> Iterator[None]:
        """Strike the key out of whatever error ends the block: a service may echo it."""
        try:
            yield
        except SessionError as error:
            error.message = self.without_key(error.message)
            error.hint = self.without_key(error.hint)
            error.code = self.without_key(error.code)
            error.args = (error.message,)
            raise

    def target(self, path: str, ways: tuple[str, ...], *, model: str = "") -> str:
        """Make the request target, with the key if it travels there."""
        fields = []
        if self.key and "query" in ways:
            fields.append(f"x-api-key={quote(self.key, safe='')}")
        if self.key and "token" in ways:
            fields.append(f"token={quote(self.key, safe='')}")
        if model:
            fields.append(f"model={quote(model, safe='')}")
        return self.path + path + ("?" + "&".join(fields) if fields else "")

    def headers(self, ways: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
        """Make the request's headers, with the key if it travels there."""
        headers = [(b"User-Agent", b"batchjobs")]
        if self.key and "header" in ways:
            headers.append((b"x-api-key", self.key.encode()))
        if self.key and "bearer" in ways:
            headers.append((b"Authorization", b"Bearer " + self.key.encode()))
        return headers


class _Exchange:
    """Drives one machine over one open connection."""

    def __init__(
        self,
        connection: WebSocketConnection,
        machine: TtsClient | SttClient,
        on_proven: Callable[[], None],
        shield: trio.CancelScope,
    ) -> None:
        self.connection = connection
        self.machine = machine
        self._on_proven = on_proven
        self._shield = shield
        self._scope = trio.CancelScope()
        self.wake = trio.Event()
        self.is_closed = False

    async def listen(self) -> None:
        """Feed the machine with messages and times until its outcome is decided."""
        machine = self.machine
        was_proven = False
        while not machine.ended:
            now = trio.current_time()
            if now >= machine.wait_until:
                machine.woken(now)
                self.wake.set()
                continue
            self._scope = trio.CancelScope(deadline=machine.wait_until)
            with self._scope:
                try:
                    payload = await self.connection.get_message()
                except ConnectionClosed as closed:
                    self.is_closed = True
                    code, reason = _close_of(closed)
                    machine.closed(code, reason, trio.current_time())
                    break
            if self._scope.cancelled_caught:
                continue
            machine.received(payload, trio.current_time())
            self.wake.set()
            if machine.proven and not was_proven:
                was_proven = True
                self._on_proven()
        self._keep_outcome()

    def sent(self) -> None:
        """Tell the machine that its message went out; its deadline may have moved either way."""
        self.machine.sent(trio.current_time())
        self.rearm()

    def rearm(self) -> None:
        """Let the listener wait for what the machine now waits for."""
        if self.machine.ended:
            self._keep_outcome()
            self._scope.cancel()
        else:
            self._scope.deadline = self.machine.wait_until

    def _keep_outcome(self) -> None:
        """Let no cancellation from outside take back what is decided, and paid for."""
        self._shield.shield = True


class SpeechSession:
    """Speaks one text through one connection.

    Args:
        link: The way to the provider.
        segment: The text and how to speak it.
        texts: The text, cut into messages.
        judge: Says whether the audio is plausible.
        on_proven: Called when the service first does useful work.
    """

    def __init__(
        self,
        link: Link,
        segment: Segment,
        *,
        texts: list[str],
        judge: Judge,
        on_proven: Callable[[], None] = lambda: None,
    ) -> None:
        self._link = link
        self._segment = segment
        self._texts = texts
        self._judge = judge
        self._on_proven = on_proven
        self._machine: TtsClient | None = None

    @property
    def was_connected(self) -> bool:
        """Whether the service took the connection, with the key if that travels in the request."""
        return self._machine is not None

    @property
    def sent_characters(self) -> int:
        """Characters sent, also of a session that failed or was cancelled."""
        return self._machine.sent_characters if self._machine else 0

    @property
    def sent_audio_seconds(self) -> float:
        """Always 0: a synthesis sends no audio."""
        return 0.0

    async def run(self) -> SpeechResult:
        """Open the connection, speak the text, close.

        Raises:
            SessionError: The attempt failed; the class says what to do about it.
        """
        link, provider = self._link, self._link.provider
        assert self._segment.speech is not None
        speech = self._segment.speech
        ways = provider.tts_auth

        def machine(now: float) -> TtsClient:
            return TtsClient(
                texts=self._texts,
                speech=speech,
                provider=provider,
                key=link.key if "init" in ways else "",
                judge=self._judge,
                now=now,
            )

        async def converse(exchange: _Exchange, spoken: TtsClient) -> None:
            self._machine = spoken
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_send_texts, exchange, spoken)
                await exchange.listen()
                nursery.cancel_scope.cancel()

        request = (link.target(provider.tts_path, ways), link.headers(ways))
        with link.discreet():
            await _connected(link, request, machine, converse, self._on_proven)
            assert self._machine is not None
            return self._machine.result()


class TranscriptSession:
    """Transcribes one recording through one connection.

    Args:
        link: The way to the provider.
        chunks: The recording's 16 kHz mono samples, in chunks of the provider's length.
        on_proven: Called when the service first does useful work.
    """

    def __init__(
        self,
        link: Link,
        *,
        chunks: AsyncGenerator[bytes, None],
        on_proven: Callable[[], None] = lambda: None,
    ) -> None:
        self._link = link
        self._chunks = chunks
        self._on_proven = on_proven
        self._machine: SttClient | None = None

    @property
    def was_connected(self) -> bool:
        """Whether the service took the connection, with the key if that travels in the request."""
        return self._machine is not None

    @property
    def sent_characters(self) -> int:
        """Always 0: a transcription sends no text."""
        return 0

    @property
    def sent_audio_seconds(self) -> float:
        """Seconds of audio sent, also of a session that failed or was cancelled."""
        return self._machine.sent_seconds if self._machine else 0.0

    async def run(self) -> TranscriptResult:
        """Open the connection, send the recording, wait for the transcript, close.

        Raises:
            SessionError: The attempt failed; the class says what to do about it.
        """
        link, provider = self._link, self._link.provider
        ways = provider.stt_auth
        failure: list[SessionError] = []

        def machine(now: float) -> SttClient:
            return SttClient(provider=provider, now=now)

        async def converse(exchange: _Exchange, heard: SttClient) -> None:
            self._machine = heard
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_send_audio, exchange, heard, self._chunks, failure, nursery)
                await exchange.listen()
                nursery.cancel_scope.cancel()

        target = link.target(provider.stt_path, ways, model=provider.stt_model)
        request = (target, link.headers(ways))
        with link.discreet():
            async with aclosing(self._chunks):
                await _connected(link, request, machine, converse, self._on_proven)
            if failure:
                raise failure[0]
            assert self._machine is not None
            return self._machine.result()


async def recording_chunks(path: Path, chunk_seconds: float) -> AsyncGenerator[bytes, None]:
    """Decode a recording as it is needed, in worker threads, a few chunks a hop.

    Yields:
        16 kHz mono 16-bit samples, `chunk_seconds` of them each.

    Raises:
        RecordingError: The recording is damaged.
    """
    chunks = audio.pcm_chunks(path, sample_rate=SAMPLE_RATE, chunk_seconds=chunk_seconds)
    while True:
        batch = await trio.to_thread.run_sync(_take, chunks, _CHUNKS_A_HOP)
        for chunk in batch:
            yield chunk
        if len(batch) < _CHUNKS_A_HOP:
            return


def _take(chunks: Iterator[bytes], count: int) -> list[bytes]:
    return [chunk for _, chunk in zip(range(count), chunks, strict=False)]


async def _send_texts(exchange: _Exchange, machine: TtsClient) -> None:
    while not machine.ended:
        exchange.wake = trio.Event()
        payload = machine.next_payload()
        if payload is None:
            await exchange.wake.wait()
            continue
        try:
            await exchange.connection.send_message(payload)
        except ConnectionClosed:
            return  # the listener sees it too, and with it what came before
        exchange.sent()


async def _send_audio(
    exchange: _Exchange,
    machine: SttClient,
    chunks: AsyncGenerator[bytes, None],
    failure: list[SessionError],
    nursery: trio.Nursery,
) -> None:
    try:
        async for pcm in chunks:
            await trio.sleep_until(machine.next_chunk_at)
            await exchange.connection.send_message(machine.payload_of(pcm))
            exchange.sent()
    except ConnectionClosed:
        return  # the listener sees it too
    except RecordingError as error:
        failure.append(PermanentError(error.message, code=RECORDING_CODE, hint=error.hint))
        nursery.cancel_scope.cancel()
        return
    machine.sent_all(trio.current_time())
    exchange.rearm()


async def _connected(
    link: Link,
    request: _Request,
    make_machine: Callable[[float], _Machine],
    converse: Callable[[_Exchange, _Machine], Awaitable[None]],
    on_proven: Callable[[], None],
) -> None:
    """Open a connection, converse over it, and close it; its failures become ours here.

    Once the machine has its outcome, nothing takes it back: no cancellation from outside, and
    nothing that the peer does while the connection closes.
    """
    streams: list[trio.abc.Stream] = []
    exchange: _Exchange | None = None
    error: SessionError | None = None
    with trio.CancelScope() as shield:
        try:
            async with trio.open_nursery() as nursery:
                connection = await _open(link, request, nursery, streams)
                machine = make_machine(trio.current_time())
                exchange = _Exchange(connection, machine, on_proven, shield)
                await converse(exchange, machine)
                if not exchange.is_closed:
                    with trio.move_on_after(_CLOSE_SECONDS):
                        await connection.aclose()
                nursery.cancel_scope.cancel()
        except* SessionError as group:
            error = _first_of(group, SessionError)
        except* _FOREIGN as group:
            error = error or _translated(_first_of(group, Exception), was_open=exchange is not None)
        finally:
            for stream in streams:
                await trio.aclose_forcefully(stream)
    if error is not None and not (exchange and exchange.machine.ended):
        raise error


async def _open(
    link: Link,
    request: _Request,
    nursery: trio.Nursery,
    streams: list[trio.abc.Stream],
) -> WebSocketConnection:
    """Dial and shake hands, within the provider's deadline.

    Raises:
        TimedOutError: The deadline passed.
    """
    seconds = link.provider.connect_seconds
    target, headers = request
    async with link.handshakes:
        with trio.move_on_after(seconds):
            stream = _GuardedStream(await link.dial(link.host, link.port, link.context))
            streams.append(stream)
            return await wrap_client_stream(
                nursery,
                stream,  # type: ignore[arg-type]  # any stream serves; the library names two
                link.host_header,
                target,
                extra_headers=headers,
                message_queue_size=_QUEUED_MESSAGES,
                max_message_size=_MESSAGE_LIMIT,
                receive_buffer_size=_RECEIVE_BYTES,
            )
    shown = f"{link.host} did not complete the handshake in {seconds:g} s"
    raise TimedOutError(shown, code=CONNECTION_CODE)


def _close_of(closed: ConnectionClosed) -> tuple[int, str]:
    """Give the close code and reason; without any close message the connection broke."""
    if closed.reason is None:  # a close without a code has 1005: this is a peer's broken framing
        return _BROKEN, "the service broke the WebSocket protocol"
    return int(closed.reason.code), closed.reason.reason or ""


_Found = TypeVar("_Found", bound=Exception)


def _first_of(group: BaseExceptionGroup[_Found], kind: type[_Found]) -> _Found:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, kind)
    return found


def _translated(error: Exception, *, was_open: bool) -> SessionError:
    """Turn a library's error into ours: the table of foreign errors."""
    if isinstance(error, ConnectionRejected):  # 1xx other than 101; the rest ends in the guard
        return codes.from_status(error.status_code)
    reasons = list(_chain(error))
    if any(getattr(reason, "errno", None) in _OUT_OF_FILES for reason in reasons):
        return ThrottledError(
            "this machine has no file descriptors left for another connection",
            code="EMFILE",
            hint="raise 'ulimit -n' or lower --concurrency",
        )
    for reason in reasons:
        if isinstance(reason, ssl.SSLCertVerificationError):
            shown = f"the service's certificate is not to be trusted: {reason.verify_message}"
            return StopError(shown, code="tls", hint="check --base-url and this machine's clock")
    if isinstance(error, h11.ProtocolError | wsproto.utilities.ProtocolError):
        return TransientError("the service does not speak HTTP or WebSocket", code="protocol")
    shown = str(reasons[-1]) or type(reasons[-1]).__name__
    if was_open:
        return TransientError(f"the connection broke: {shown}", code=str(_BROKEN))
    return TransientError(f"no connection: {shown}", code=CONNECTION_CODE)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Walk down an error's causes, and through all the members of groups."""
    found: list[BaseException | None] = [error]
    while found:
        seen = found.pop(0)
        if seen is None:
            continue
        yield seen
        if isinstance(seen, BaseExceptionGroup):
            found.extend(seen.exceptions)
        else:
            found.append(seen.__cause__ or seen.__context__)
