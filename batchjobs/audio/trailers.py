"""What may stand behind a recording without being sound: tags, and zeros that fill up a block."""

from io import BufferedReader
from typing import Final

from batchjobs.audio.source import read_at

_PADDING_BYTES: Final = 65_536
"""The most that file systems and recorders fill up: more zeros are silence, or sound not written."""
_TAGS_LOOKED_AT: Final = 10_000
_APE_IS_HEADER: Final = 1 << 29
_LYRICS_BYTES: Final = 100_000
"""More than any text of Lyrics3 that a reader accepts."""
_LYRICS_ENDS: Final = (b"LYRICS200", b"LYRICSEND")


def skip_trailers(
    file: BufferedReader, position: int, size: int, *, are_zeros_sound: bool = False
) -> int:
    """Find where the tags and the padding end that begin at a position.

    Args:
        file: The open file.
        position: Behind the sound.
        size: Bytes of the file.
        are_zeros_sound: Whether more zeros than padding would be silence.

    Returns:
        The first position that holds something else; the size if nothing does.
    """
    for _ in range(_TAGS_LOOKED_AT):
        if position >= size:
            break
        head = read_at(file, position, 32)
        length = _measure_tag(head) or _measure_lyrics(file, head, position)
        if not length:
            length = _count_zeros(file, position, size)
            if not length or (are_zeros_sound and length > _PADDING_BYTES):
                return position
        position += length
    return min(position, size)


def _measure_tag(head: bytes) -> int:
    """Measure the tag that begins here, in bytes; 0 if none does."""
    if head.startswith(b"ID3") and len(head) >= 10 and max(head[6:10]) <= 0x7F:
        footer = 10 if head[5] & 0x10 else 0
        return 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]) + footer
    if head.startswith(b"3DI"):
        return 10
    if head.startswith(b"TAG+"):
        return 227
    if head.startswith(b"TAG"):
        return 128
    if head.startswith(b"APETAGEX") and len(head) >= 24:
        # The size counts the footer; a header stands before what it counts.
        is_header = int.from_bytes(head[20:24], "little") & _APE_IS_HEADER
        return (int.from_bytes(head[12:16], "little") if is_header else 0) + 32
    return 0


def _measure_lyrics(file: BufferedReader, head: bytes, position: int) -> int:
    """Measure a Lyrics3 tag, which only its end tells; 0 if none begins here."""
    if not head.startswith(b"LYRICSBEGIN"):
        return 0
    text = read_at(file, position, _LYRICS_BYTES)
    ends = [text.find(end) + len(end) for end in _LYRICS_ENDS if end in text]
    return min(ends, default=0)


def _count_zeros(file: BufferedReader, position: int, size: int) -> int:
    """Count zeros, but no further than one beyond padding."""
    data = read_at(file, position, min(size - position, _PADDING_BYTES + 1))
    return len(data) - len(data.lstrip(b"\0"))
