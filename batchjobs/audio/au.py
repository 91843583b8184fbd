"""Sun and NeXT audio (``.au``, ``.snd``): where the samples lie."""

import struct
from collections.abc import Iterator
from io import BufferedReader
from typing import Final

from batchjobs.audio.source import CONVERT_HINT, check_shape, read_at, size_of
from batchjobs.audio.trailers import skip_trailers
from batchjobs.audio.uncompressed import (
    Layout,
    SampleFormat,
    Samples,
    check_claim,
    join_samples,
)
from batchjobs.errors import RecordingError

_MAGIC: Final = b".snd"
_HEAD: Final = struct.Struct(">4sIIIII")
_UNKNOWN_LENGTH: Final = 0xFFFF_FFFF
_FORMATS: Final = {
    1: SampleFormat.MU_LAW,
    2: SampleFormat.S8,
    3: SampleFormat.S16,
    4: SampleFormat.S24,
    5: SampleFormat.S32,
    6: SampleFormat.F32,
    7: SampleFormat.F64,
    27: SampleFormat.A_LAW,
}


def read_au(file: BufferedReader, _offset: int) -> Samples:
    """Read the header, and those of others that were joined to it.

    Raises:
        RecordingError: It is cut off, or its samples need a decoder.
    """
    return join_samples(file, _read_files(file))


def _read_files(file: BufferedReader) -> Iterator[Samples]:
    """Read one file after the other."""
    position = 0
    size = size_of(file)
    while position < size:
        head = read_at(file, position, _HEAD.size)
        if len(head) < _HEAD.size:
            raise RecordingError(f"{file.name} is cut off in its header", hint="copy it again")
        _, skip, claimed, encoding, sample_rate, channels = _HEAD.unpack(head)
        if encoding not in _FORMATS:
            raise RecordingError(f"{file.name} is an AU of type {encoding}", hint=CONVERT_HINT)
        check_shape(file.name, sample_rate=sample_rate, channels=channels)
        layout = Layout(
            sample_rate=sample_rate,
            channels=channels,
            format=_FORMATS[encoding],
            is_big_endian=True,
        )
        start = position + max(skip, _HEAD.size)
        length, position = _find_end(file, layout, start, claimed)
        span = check_claim(file, layout, start=start, claimed=length, held=size - start)
        yield Samples(layout=layout, spans=(span,))


def _find_end(file: BufferedReader, layout: Layout, start: int, claimed: int) -> tuple[int, int]:
    """Find how many bytes of samples there are, and where another file begins."""
    size = size_of(file)
    end = start + claimed
    if claimed != _UNKNOWN_LENGTH and end < size:
        after = skip_trailers(file, end, size, are_zeros_sound=True)
        if after >= size or read_at(file, after, 4) == _MAGIC:
            return claimed, after
        if layout.is_no_sound(size - end):
            return claimed, size
    return (size - start if claimed == _UNKNOWN_LENGTH or end < size else claimed), size
