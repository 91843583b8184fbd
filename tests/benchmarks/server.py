"""The service that answers from the can, in a process of its own: made to be no bottleneck.

    python -m tests.benchmarks.server FOLDER

It prints one line of JSON, where it listens and the file of certificates to trust, and ends when
its standard input does. All it says was framed before; of what it hears it reads frame headers, and
unmasks the short messages only.
"""

import argparse
import asyncio
import base64
import functools
import gc
import hashlib
import http.client
import json
import resource
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests.benchmarks.wire import MESSAGE_SECONDS, SAMPLE_RATE, TRANSCRIPT, Kind, kind_of
from tests.benchmarks.wire import speech_messages as samples_of

__all__ = ["Canned", "Counters", "started"]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_HEAD_END: Final = b"\r\n\r\n"
_BACKLOG: Final = 4_096
_SHORT_BYTES: Final = 8_192
"""Longer messages are audio: counted, not read."""
_CLOSE: Final = b"\x88\x02" + struct.pack("!H", 1000)
_CLOSING, _PING, _PONG = 8, 9, 10


@dataclass(slots=True, kw_only=True)
class Counters:
    """What the server did since it began.

    Attributes:
        connections: WebSockets opened.
        sessions: Those of them closed in good order, by both sides.
        open: WebSockets open now.
        messages: Audio and transcripts sent.
        received_messages: Messages that came, control frames not counted.
        received_bytes: Their payload, as it came over the wire.
        cpu_seconds: Processor time used.
    """

    connections: int = 0
    sessions: int = 0
    open: int = 0
    messages: int = 0
    received_messages: int = 0
    received_bytes: int = 0
    cpu_seconds: float = 0.0


# -- what is said, framed ----------------------------------------------------------------------


def _framed(message: object) -> bytes:
    payload = json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return b"\x81\x7e" + struct.pack("!H", size) + payload
    return b"\x81\x7f" + struct.pack("!Q", size) + payload


_READY: Final = _framed({"type": "connectionInitialized"})
_TRANSCRIPTION: Final = _framed({"event": "transcription", "data": TRANSCRIPT})


@functools.cache
def _answers(name: str) -> tuple[bytes, ...]:
    """Give the audio messages of a kind of session."""
    return tuple(
        _framed({"audio": base64.b64encode(pcm).decode(), "sampleRate": SAMPLE_RATE})
        for pcm in samples_of(kind_of(name))
    )


# -- one connection ----------------------------------------------------------------------------


class _Connection(asyncio.Protocol):
    """One connection: shakes hands by hand, reads frame headers, answers as its kind does."""

    def __init__(self, counters: Counters, *, lossy: bool) -> None:
        self._counters = counters
        self._lossy = lossy
        self._transport: asyncio.Transport | None = None
        self._kind: Kind | None = None
        self._input = bytearray()
        self._header = bytearray()
        self._payload = bytearray()
        self._left = 0  # bytes of the frame's payload still to come
        self._to_say: tuple[bytes, ...] = ()
        self._said = 0
        self._next_at = 0.0
        self._is_short = self._is_paused = self._is_asked_to_close = self._has_closed = False

    @property
    def _out(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._kind is not None:
            self._counters.open -= 1
        self._said = len(self._to_say)

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        if self._kind is not None and not self._kind.is_paced:
            self._speak()

    def data_received(self, data: bytes) -> None:
        if self._kind is None:
            data = self._shake_hands(data)
        position = 0
        while position < len(data):
            if self._left:
                position = self._read_payload(data, position)
            else:
                position = self._read_header(data, position)

    # -- the handshake

    def _shake_hands(self, data: bytes) -> bytes:
        """Answer the request once it is whole; give what follows it."""
        self._input += data
        head, end, rest = bytes(self._input).partition(_HEAD_END)
        if not end:
            return b""
        lines = head.decode("latin-1").split("\r\n")
        fields = {
            name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines[1:])
        }
        target = lines[0].split(" ")[1]
        if "sec-websocket-key" not in fields:
            self._tell_counters()
            return b""
        self._kind = kind_of(target.split("/")[1])
        accept = base64.b64encode(
            hashlib.sha1(fields["sec-websocket-key"].encode() + _GUID).digest()
        )
        self._out.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + _HEAD_END
        )
        counters = self._counters
        counters.connections += 1
        counters.open += 1
        return rest

    def _tell_counters(self) -> None:
        counters = self._counters
        used = resource.getrusage(resource.RUSAGE_SELF)
        counters.cpu_seconds = used.ru_utime + used.ru_stime
        body = json.dumps(asdict(counters)).encode()
        self._out.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        self._out.close()

    # -- what comes

    def _read_header(self, data: bytes, position: int) -> int:
        header = self._header
        while (missing := _header_bytes(header) - len(header)) and position < len(data):
            header += data[position : position + missing]
            position = min(position + missing, len(data))
        if not missing:
            size = header[1] & 0x7F
            if size == 126:
                size = int.from_bytes(header[2:4], "big")
            elif size == 127:
                size = int.from_bytes(header[2:10], "big")
            self._left, self._is_short = size, size <= _SHORT_BYTES
            if not size:
                self._end_of_frame()
        return position

    def _read_payload(self, data: bytes, position: int) -> int:
        step = min(self._left, len(data) - position)
        if self._is_short:
            self._payload += data[position : position + step]
        self._left -= step
        self._counters.received_bytes += step
        if not self._left:
            self._end_of_frame()
        return position + step

    def _end_of_frame(self) -> None:
        header, payload = self._header, self._payload
        mask = bytes(header[-4:])
        self._header, self._payload = bytearray(), bytearray()
        opcode, is_last = header[0] & 0x0F, header[0] & 0x80
        match opcode:
            case 8:
                self._heard_close()
            case 9:
                content = _unmasked(payload, mask)
                self._out.write(bytes((0x80 | _PONG, len(content))) + content)
            case 10:
                pass
            case _:
                if is_last:
                    self._counters.received_messages += 1
                    self._heard(payload, mask)

    def _heard_close(self) -> None:
        if not self._has_closed:
            self._out.write(_CLOSE)
        self._counters.sessions += 1
        self._out.close()

    def _heard(self, payload: bytearray, mask: bytes) -> None:
        """Answer a message."""
        assert self._kind is not None
        if not self._kind.is_speech:
            self._counters.messages += 1
            self._out.write(_TRANSCRIPTION)
            return
        message = json.loads(_unmasked(payload, mask))
        match message["type"]:
            case "initConnection":
                self._out.write(_READY)
            case "text" if message.get("flush"):
                self._begin()
            case "closeConnection":
                self._is_asked_to_close = True
                self._close_if_said()
            case _:
                pass

    # -- what is said

    def _begin(self) -> None:
        assert self._kind is not None
        self._to_say = _answers(self._kind.name)
        if self._lossy:
            self._to_say = self._to_say[:-1]
        if self._kind.is_paced:
            self._next_at = asyncio.get_running_loop().time()
            self._speak_later()
        else:
            self._speak()

    def _speak(self) -> None:
        """Say all there is, as fast as the client takes it."""
        while self._said < len(self._to_say) and not self._is_paused:
            self._say_one()
        self._close_if_said()

    def _speak_later(self) -> None:
        self._next_at += MESSAGE_SECONDS
        asyncio.get_running_loop().call_at(self._next_at, self._speak_in_time)

    def _speak_in_time(self) -> None:
        """Say what is due, and go on if there is more."""
        if self._said < len(self._to_say):
            self._say_one()
        if self._said < len(self._to_say):
            self._speak_later()
        else:
            self._close_if_said()

    def _say_one(self) -> None:
        self._out.write(self._to_say[self._said])
        self._said += 1
        self._counters.messages += 1

    def _close_if_said(self) -> None:
        assert self._kind is not None
        waits = self._kind.name == "idle" or self._has_closed or not self._is_asked_to_close
        if not waits and self._said == len(self._to_say):
            self._has_closed = True
            self._out.write(_CLOSE)


def _header_bytes(header: bytearray) -> int:
    """Say how long a client's frame header is, as far as is known: it always has a mask."""
    if len(header) < 2:
        return 2
    return 6 + {126: 2, 127: 8}.get(header[1] & 0x7F, 0)


def _unmasked(payload: bytearray, mask: bytes) -> bytes:
    size = len(payload)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")


# -- the process -------------------------------------------------------------------------------


def _certified(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Make an ECDSA certificate, and a file to trust: the system's authorities and ours.

    With ours alone a context would be made in no time; users load some 150 authorities.
    """
    import trustme

    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    trusted = folder / "trusted.pem"
    system = ssl.get_default_verify_paths().cafile
    known = Path(system).read_bytes() if system else b""
    trusted.write_bytes(known + b"\n" + authority.cert_pem.bytes())
    return context, trusted


async def _serve(folder: Path, *, lossy: bool) -> None:
    loop = asyncio.get_running_loop()
    counters = Counters()
    context, trusted = _certified(folder)
    ports = []
    for security in (None, context):
        server = await loop.create_server(
            lambda: _Connection(counters, lossy=lossy),
            "127.0.0.1",
            backlog=_BACKLOG,
            ssl=security,
        )
        ports.append(server.sockets[0].getsockname()[1])
    for name in ("tts", "tiny"):
        _answers(name)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    where = Canned(
        ws=f"ws://127.0.0.1:{ports[0]}", wss=f"wss://127.0.0.1:{ports[1]}", ca=str(trusted)
    )
    print(json.dumps(asdict(where)), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


@dataclass(frozen=True, slots=True, kw_only=True)
class Canned:
    """Where a canned server is.

    Attributes:
        ws: Its base URL without TLS; the kind of session follows as the path's first part.
        wss: The same with TLS.
        ca: The file of certificates to trust.
    """

    ws: str
    wss: str
    ca: str

    def counters(self) -> Counters:
        """Ask the server what it has done so far.

        Raises:
            OSError: It is gone.
        """
        parts = urlsplit(self.ws)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        with closing(connection):
            connection.request("GET", "/counters")
            return Counters(**json.loads(connection.getresponse().read()))


@contextmanager
def started(folder: Path, *, lossy: bool = False) -> Iterator[Canned]:
    """Run a canned server while the block lasts.

    Args:
        folder: Where its certificate goes.
        lossy: Whether it keeps the last audio message of every session to itself.
    """
    command = [sys.executable, "-m", __name__, str(folder)] + ["--lossy"] * lossy
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        where = Canned(**json.loads(process.stdout.readline()))
        try:
            yield where
        finally:
            process.stdin.close()
            Path(where.ca).unlink()


def main() -> None:
    """Serve until the standard input ends."""
    parser = argparse.ArgumentParser(description="Answer speech sessions from the can.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lossy", action="store_true", help="lose each session's last message")
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.folder, lossy=arguments.lossy))


if __name__ == "__main__":
    main()
