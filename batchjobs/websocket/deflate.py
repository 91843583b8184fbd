"""permessage-deflate at level 1 for trio-websocket, which offers none: a small hook, and bounds."""

import dataclasses
import logging
import zlib
from collections.abc import Awaitable, Callable
from typing import Final

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Event, Request
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits
from wsproto.utilities import RemoteProtocolError

from batchjobs.websocket.hooks import replace_machine

_logger = logging.getLogger(__name__)
_LEVEL: Final = 1
"""A second of audio in 0.7 ms and 37 kB; wsproto's level 6 takes nine times that for 31 kB."""
_SYNC_MARK: Final = b"\x00\x00\xff\xff"
"""What a sender leaves out at the end of a message, and a receiver puts back (RFC 7692, 7.2)."""


class Deflate(PerMessageDeflate):
    """The extension as wsproto negotiates it, with a level of our own and a limit to inflation.

    Every message is compressed by itself, which any receiver reads: between two of them a session
    then holds none of the 256 KiB that a compressor needs. What comes may refer to earlier messages.

    Args:
        limit_bytes: A message that inflates to more ends the connection with 1009.
    """

    def __init__(self, limit_bytes: int) -> None:
        super().__init__()
        self._limit_bytes = limit_bytes
        self._room_bytes = limit_bytes
        self._message_is_packed = False
        self._frame_is_packed = False
        self._inflater: zlib._Decompress | None = None

    def accept(self, offer: str) -> bool | str | None:
        """Answer a client's offer; one that makes no sense is declined."""
        try:
            return super().accept(offer)
        except ValueError:
            return None

    def finalize(self, offer: str) -> None:
        """Take the server's answer.

        Raises:
            RemoteProtocolError: It makes no sense, or asks for a window that zlib cannot do.
        """
        try:
            super().finalize(offer)
        except (ValueError, IndexError) as error:
            raise RemoteProtocolError(f"unusable extension: {offer}") from error

    def frame_inbound_header(
        self,
        proto: FrameDecoder | FrameProtocol,  # noqa: ARG002  # the library's signature
        opcode: Opcode,
        rsv: RsvBits,
        payload_length: int,  # noqa: ARG002
    ) -> CloseReason | RsvBits:
        """Look at a frame's head, perhaps more than once: it may come in pieces."""
        is_first = opcode in {Opcode.TEXT, Opcode.BINARY}
        if rsv.rsv1 and not is_first:
            return CloseReason.PROTOCOL_ERROR
        if is_first:
            self._message_is_packed = rsv.rsv1
            self._room_bytes = self._limit_bytes
        self._frame_is_packed = self._message_is_packed and not opcode.iscontrol()
        return RsvBits(is_first, rsv2=False, rsv3=False)

    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        """Inflate a piece of a frame."""
        if not self._frame_is_packed:
            return data
        inflated = self._inflate(proto, data)
        if self._inflater is not None and self._inflater.unused_data.strip(b"\0"):
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA  # more, after a block marked as the last
        return inflated

    def frame_inbound_complete(
        self,
        proto: FrameDecoder | FrameProtocol,
        fin: bool,  # noqa: FBT001  # the library's signature
    ) -> bytes | CloseReason | None:
        """Inflate what the end of a message brings out."""
        if not fin or not self._frame_is_packed:
            return None
        inflated = self._inflate(proto, _SYNC_MARK)
        forgets = (
            self.server_no_context_takeover if proto.client else self.client_no_context_takeover
        )
        if forgets or (self._inflater is not None and self._inflater.eof):
            self._inflater = None
        return inflated

    def _inflate(self, proto: FrameDecoder | FrameProtocol, data: bytes) -> bytes | CloseReason:
        """Inflate within what is left of the message's limit."""
        if self._inflater is None:
            bits = self.server_max_window_bits if proto.client else self.client_max_window_bits
            self._inflater = zlib.decompressobj(-bits)
        try:
            inflated = self._inflater.decompress(data, self._room_bytes + 1)
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        if len(inflated) > self._room_bytes:
            return CloseReason.MESSAGE_TOO_BIG
        self._room_bytes -= len(inflated)
        return inflated

    def frame_outbound(
        self,
        proto: FrameDecoder | FrameProtocol,
        opcode: Opcode,
        rsv: RsvBits,
        data: bytes,
        fin: bool,  # noqa: FBT001
    ) -> tuple[RsvBits, bytes]:
        """Compress a frame of a message, which is forgotten at its end."""
        is_control = opcode.iscontrol()
        if self._compressor is None and not is_control:
            bits = self.client_max_window_bits if proto.client else self.server_max_window_bits
            self._compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -bits)
        framed = super().frame_outbound(proto, opcode, rsv, data, fin)
        if fin and not is_control:
            self._compressor = None
        return framed


class _Negotiating(WSConnection):
    """wsproto's connection, with one extension in the request, or in its acceptance."""

    def __init__(self, connection_type: ConnectionType, extension: Deflate) -> None:
        super().__init__(connection_type)
        self._extension = extension

    def send(self, event: Event) -> bytes:
        """Make the bytes for an event."""
        if isinstance(event, Request | AcceptConnection):
            event = dataclasses.replace(event, extensions=[self._extension])
        return super().send(event)


def negotiate(reader: Callable[[], Awaitable[None]], extension: Deflate) -> bool:
    """Let a connection of trio-websocket offer or accept the extension.

    Args:
        reader: The library's task, as for `hooks.replace_machine`.
        extension: Ours, for this connection alone.

    Returns:
        Whether it will be negotiated; if not, the library has changed and goes on without.
    """
    return replace_machine(reader, lambda kind: _Negotiating(kind, extension))
