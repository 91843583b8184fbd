"""The samples in the body of an HTTP answer: unpacked, and taken out of a WAV if it is one."""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from batchjobs.errors import WrongFormatError
from batchjobs.jobs import Doubt, Sign
from batchjobs.protocol.codec import check_wav_format

_MOST_HEADER_BYTES: Final = 65_536
_MOST_UNPACKED_BYTES: Final = 1_048_576
"""At once: packed silence takes a thousandth of its size."""
_GZIP_OR_ZLIB: Final = 47
_GZIP_BEGIN: Final = b"\x1f"
"""Of gzip's members: there may be several, as of a service that packs each piece by itself."""
_UNKNOWN_BYTES: Final = 0x7FFF_0000
"""Sizes from here on, and 0, are what writers put that do not know the length beforehand."""
_SHORT_SEVERITY: Final = 0.5


class SpeechBody:
    """Reads 16-bit mono samples out of a body, piece by piece.

    Asked for samples, a service may send a WAV all the same; its first bytes tell. None of its lengths
    is trusted to be right, but less audio than it says is a doubt.

    Args:
        is_packed: Whether the body is gzip or deflate.

    Attributes:
        sample_rate: What a WAV says, in hertz; 0 if it is none.
    """

    def __init__(self, *, is_packed: bool) -> None:
        self.sample_rate = 0
        self._unpacker = zlib.decompressobj(_GZIP_OR_ZLIB) if is_packed else None
        self._head: bytearray | None = bytearray()
        self._bytes_left: int | None = None

    def read(self, data: bytes) -> Iterator[bytes]:
        """Take bytes of the body, and give the samples in them, however they are cut.

        Raises:
            WrongFormatError: It cannot be unpacked, or is a WAV of another kind.
        """
        unpacker = self._unpacker
        if unpacker is None:
            yield from self._take(data)
            return
        try:
            while data:
                if unpacker.eof:
                    if not data.startswith(_GZIP_BEGIN):  # padding
                        return
                    self._unpacker = unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
                yield from self._take(unpacker.decompress(data, _MOST_UNPACKED_BYTES))
                data = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
        except zlib.error as error:
            raise WrongFormatError(f"the audio cannot be unpacked: {error}") from error

    def end(self) -> tuple[bytes, tuple[Doubt, ...]]:
        """End it: give what was too short to tell, and say what is missing."""
        rest, self._head = bytes(self._head or b""), None
        if rest.startswith(b"RIFF"):
            rest = b""  # a header that breaks off holds no samples
        shown = ""
        if self._unpacker is not None and not self._unpacker.eof:
            shown = "the packed audio breaks off"
        elif self._bytes_left:
            shown = f"the WAV lacks {self._bytes_left:,} of the bytes that it says it has"
        if not shown:
            return rest, ()
        return rest, (Doubt(sign=Sign.BROKEN, message=shown, severity=_SHORT_SEVERITY),)

    def _take(self, data: bytes) -> Iterator[bytes]:
        if self._head is not None:
            self._head += data
            if not self._has_begun():
                return
            data, self._head = bytes(self._head), None
        if self._bytes_left is not None:  # what comes behind the samples is no sound
            data = data[: self._bytes_left]
            self._bytes_left -= len(data)
        if data:
            yield data

    def _has_begun(self) -> bool:
        """Whether the samples begin: at once, or behind a WAV's header, which is cut off."""
        head = self._head
        assert head is not None
        if len(head) < 12:
            return not b"RIFF".startswith(head[:4])
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            return True
        position = 12
        while position + 8 <= len(head):
            name, size = struct.unpack_from("<4sI", head, position)
            position += 8
            if name == b"data":
                self._begin_samples(position, size)
                return True
            if name == b"fmt ":
                if position + 16 > len(head):
                    return False
                self._read_format(position)
            position += size + (size & 1)
        if len(head) > _MOST_HEADER_BYTES:
            raise WrongFormatError("the service sends a WAV without samples")
        return False

    def _read_format(self, position: int) -> None:
        assert self._head is not None
        try:
            self.sample_rate = check_wav_format(bytes(self._head), position)
        except ValueError as error:
            raise WrongFormatError(f"the service sends a WAV that is {error}") from error

    def _begin_samples(self, position: int, size: int) -> None:
        assert self._head is not None
        if not self.sample_rate:
            raise WrongFormatError("the service sends a WAV whose format is missing")
        if 0 < size < _UNKNOWN_BYTES:
            self._bytes_left = size
        del self._head[:position]
