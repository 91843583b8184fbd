"""One connection of the benchmark's service: a WebSocket by hand, with answers that were framed before."""

import asyncio
import base64
import functools
import hashlib
import json
import resource
import struct
from dataclasses import asdict, dataclass
from typing import Final

from tests.benchmarks.wire import (
    FINAL_BYTES,
    MESSAGE_SECONDS,
    SAMPLE_RATE,
    TRANSCRIPT,
    Kind,
    kind_of,
)
from tests.benchmarks.wire import speech_messages as samples_of

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_HEAD_END: Final = b"\r\n\r\n"
_SHORT_BYTES: Final = 8_192
"""Longer messages are audio: counted, not read."""
_CLOSE: Final = b"\x88\x02" + struct.pack("!H", 1000)
_BINARY: Final = 2
_PONG: Final = 10
_BYTES_PER_SECOND: Final = 32_000
_FINAL_SECONDS: Final = FINAL_BYTES / _BYTES_PER_SECOND


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


def _framed(message: object) -> bytes:
    payload = json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return b"\x81\x7e" + struct.pack("!H", size) + payload
    return b"\x81\x7f" + struct.pack("!Q", size) + payload


_READY: Final = _framed({"type": "connectionInitialized"})
_OPENED: Final = _framed({"type": "Metadata", "session_id": "s", "model": "munsit"})
_TRANSCRIPTION: Final = _framed({"event": "transcription", "data": TRANSCRIPT})


@functools.cache
def answers_of(name: str) -> tuple[bytes, ...]:
    """Give the audio messages of a kind of session."""
    return tuple(
        _framed({"audio": base64.b64encode(pcm).decode(), "sampleRate": SAMPLE_RATE})
        for pcm in samples_of(kind_of(name))
    )


@functools.cache
def answer_over_http(name: str) -> bytes:
    """Give the whole answer over HTTP of a kind of session."""
    chunks = [b"%x\r\n%b\r\n" % (len(pcm), pcm) for pcm in samples_of(kind_of(name))]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\nTransfer-Encoding: chunked" + _HEAD_END
    return b"".join([head, *chunks, b"0" + _HEAD_END])


@functools.cache
def _growing_transcript(seconds: int) -> bytes:
    """Give the transcript of so much talk: two words a second."""
    words = TRANSCRIPT.split()
    said = " ".join(words[number % len(words)] for number in range(2 * seconds))
    return _framed({"event": "transcription", "data": said})


@functools.cache
def _final(number: int) -> bytes:
    """Give what is said of five seconds of talk on the newer socket: two words a second, timed."""
    words, begin = TRANSCRIPT.split(), _FINAL_SECONDS * number
    timed = [
        {"word": word, "start": begin + place / 2, "end": begin + place / 2 + 0.4}
        for place, word in enumerate(words)
    ]
    results = {"type": "Results", "transcript": TRANSCRIPT, "is_final": True, "speech_final": True}
    results |= {"words": timed, "confidence": 0.94, "language": "ar"}
    events = ({"type": "SpeechStarted"}, results, {"type": "UtteranceEnd"})
    return b"".join(map(_framed, events))


class Connection(asyncio.Protocol):
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
        self._heard_bytes = 0
        self._is_short = self._is_paused = self._is_asked_to_close = self._has_closed = False

    @property
    def _out(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of it."""
        if self._kind is not None:
            self._counters.open -= 1
        self._said = len(self._to_say)

    def pause_writing(self) -> None:
        """Say no more for now."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Go on."""
        self._is_paused = False
        if self._kind is not None and not self._kind.is_paced:
            self._speak()

    def data_received(self, data: bytes) -> None:
        """Read what came."""
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
        if self._input.startswith(b"POST"):
            self._answer_posts()
            return b""
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
        if self._kind.name == "listen":
            self._out.write(_OPENED)
        return rest

    def _answer_posts(self) -> None:
        """Speak over HTTP, a chunk a message, once a request is whole; the connection is kept."""
        head, end, rest = bytes(self._input).partition(_HEAD_END)
        if not end:
            return
        fields = head.lower().partition(b"content-length:")[2]
        size = int(fields.partition(b"\r\n")[0])
        if len(rest) < size:
            return
        self._input = bytearray(rest[size:])
        kind = head.split(b"/")[1].decode()
        self._out.write(answer_over_http(kind))
        self._counters.sessions += 1
        self._counters.messages += kind_of(kind).messages

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
                    if self._kind is not None and self._kind.name == "listen":
                        self._listen(payload, mask, is_audio=opcode == _BINARY)
                    else:
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
            self._said += 1
            is_growing = self._kind.name == "talk"
            self._out.write(_growing_transcript(self._said) if is_growing else _TRANSCRIPTION)
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

    def _listen(self, payload: bytearray, mask: bytes, *, is_audio: bool) -> None:
        """Take a frame of the newer socket: a final for every five seconds, and at the end the receipt."""
        if is_audio:
            before = self._heard_bytes // FINAL_BYTES
            self._heard_bytes += len(payload)
            for number in range(before, self._heard_bytes // FINAL_BYTES):
                self._counters.messages += 1
                self._out.write(_final(number))
        elif json.loads(_unmasked(payload, mask))["type"] == "CloseStream":
            billed = self._heard_bytes / _BYTES_PER_SECOND
            receipt = {"type": "Metadata", "audio_seconds_billed": billed, "turn_count": 1}
            self._has_closed = True
            self._out.write(_framed(receipt) + _CLOSE)

    # -- what is said

    def _begin(self) -> None:
        assert self._kind is not None
        self._to_say = answers_of(self._kind.name)
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
