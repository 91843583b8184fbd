"""Chunks of RIFF, IFF and Wave64 files, and what stands behind the sound.

A claim is believed where what follows it bears it out: other chunks up to the file's end. Recorders
that break off leave old claims, sizes of 32 bits wrap around at 4 GiB, and `cat` joins whole files.
"""

import enum
import struct
from collections.abc import Callable, Iterator
from io import BufferedReader
from typing import Final, NamedTuple

from batchjobs.audio.source import read_at, size_of
from batchjobs.audio.trailers import skip_trailers

_CHUNKS_LOOKED_AT: Final = 1_000
"""Real files have a dozen; a file made of empty chunks must not take minutes."""
_LITTLE: Final = struct.Struct("<4sI")
_BIG: Final = struct.Struct(">4sI")
_WAVE64: Final = struct.Struct("<16sQ")
_WAVE64_TAILS: Final = frozenset(
    {bytes.fromhex("f3acd3118cd100c04f8edb8a"), bytes.fromhex("912ecf11a5d628db04c10000")}
)
_FILES: Final = frozenset({b"RIFF", b"RF64", b"BW64", b"RIFX", b"FORM", b"riff"})
"""What a file of chunks begins with."""
_NO_SOUND: Final = frozenset(
    b"LIST|id3 |ID3 |bext|iXML|_PMX|axml|chna|JUNK|junk|FLLR|PAD |cue |smpl|fact|PEAK|DISP|"
    b"NAME|AUTH|ANNO|(c) |COMT|MARK|INST|APPL|CHAN|AESD".split(b"|")
)
"""Chunks of which a part may be missing: the sound before them is whole."""


class Chunk(NamedTuple):
    """A part of a file that tells what it is and how long.

    Attributes:
        identity: Four letters.
        start: Where its body begins.
        length: Bytes of its body, as it claims.
        next: Where the next chunk begins.
    """

    identity: bytes
    start: int
    length: int
    next: int


Walk = Callable[[BufferedReader, int], Iterator[Chunk]]
"""Walks the chunks of a file from a position."""


class Rest(enum.Enum):
    """What stands behind the sound.

    Attributes:
        NOTHING: Chunks, tags and padding up to the end of the file, or nothing.
        FILE: Another whole file.
        SOUND: Another chunk of sound.
        UNKNOWN: Something else: the sound is longer than was claimed.
    """

    NOTHING = enum.auto()
    FILE = enum.auto()
    SOUND = enum.auto()
    UNKNOWN = enum.auto()


def walk_riff(file: BufferedReader, position: int) -> Iterator[Chunk]:
    """Walk chunks with little-endian sizes."""
    return _walk(file, position, _LITTLE)


def walk_iff(file: BufferedReader, position: int) -> Iterator[Chunk]:
    """Walk chunks with big-endian sizes."""
    return _walk(file, position, _BIG)


def walk_wave64(file: BufferedReader, position: int) -> Iterator[Chunk]:
    """Walk chunks named by GUIDs, with sizes of 64 bits that count the heads and end at eights."""
    for _ in range(_CHUNKS_LOOKED_AT):
        head = read_at(file, position, _WAVE64.size)
        if len(head) < _WAVE64.size:
            return
        identity, size = _WAVE64.unpack(head)
        if identity[4:] not in _WAVE64_TAILS or size < _WAVE64.size:
            return
        start = position + _WAVE64.size
        length = size - _WAVE64.size
        position += size + -size % 8
        yield Chunk(identity[:4], start, length, position)


def _walk(file: BufferedReader, position: int, shape: struct.Struct) -> Iterator[Chunk]:
    for _ in range(_CHUNKS_LOOKED_AT):
        head = read_at(file, position, shape.size)
        if len(head) < shape.size:
            return
        identity, size = shape.unpack(head)
        start = position + shape.size
        position = start + size + size % 2
        yield Chunk(identity, start, size, position)


def find_chunks(
    file: BufferedReader, walk: Walk, position: int, wanted: frozenset[bytes]
) -> dict[bytes, Chunk]:
    """Find chunks until all that are wanted are there.

    Args:
        file: The open file.
        walk: Walks its kind of chunks.
        position: Where the first one begins.
        wanted: Identities.

    Returns:
        The first of each identity that was met.
    """
    found: dict[bytes, Chunk] = {}
    for chunk in walk(file, position):
        found.setdefault(chunk.identity, chunk)
        if wanted <= found.keys():
            break
    return found


def find_rest(
    file: BufferedReader, walk: Walk, position: int, sound: bytes, *, align: int = 2
) -> tuple[Rest, int]:
    """Find what stands behind the sound.

    Args:
        file: The open file.
        walk: Walks its kind of chunks.
        position: Where the claim ends.
        sound: The identity of a chunk of sound.
        align: Chunks begin at multiples of so many bytes.

    Returns:
        What it is, and where it begins.
    """
    size = size_of(file)
    # Some writers leave out the byte that makes an odd chunk even.
    for start in (position + -position % align, position):
        found = _look_behind(file, walk, start, size, sound)
        if found[0] is not Rest.UNKNOWN:
            return found
    return Rest.UNKNOWN, position


def _look_behind(
    file: BufferedReader, walk: Walk, position: int, size: int, sound: bytes
) -> tuple[Rest, int]:
    for chunk in walk(file, position):
        if chunk.identity in _FILES:
            return Rest.FILE, position
        if chunk.identity == sound:
            return Rest.SOUND, position
        if chunk.next > size + 1 and chunk.identity in _NO_SOUND:
            return Rest.NOTHING, size
        if not all(0x20 <= byte < 0x7F for byte in chunk.identity) or chunk.next > size + 1:
            break
        position = chunk.next
    after = skip_trailers(file, position, size, are_zeros_sound=True)
    if after >= size:
        return Rest.NOTHING, size
    is_file = read_at(file, after, 4) in _FILES
    return (Rest.FILE, after) if is_file else (Rest.UNKNOWN, after)
