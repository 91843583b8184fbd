"""What the tone engine sends: how a text becomes bytes, and what the bytes sound like.

An utterance is two pilots, a header, the payload, a checksum and a pause::

    pilot A | pilot B | 6 header bytes | payload bytes | 4 checksum bytes | pause

It is heard whole or not at all. So a long text is spoken as several, each with the white space that
follows it: a recording cut at its pauses cuts none of them, and what was heard on either
side, put side by side, is the text.

Each byte is one symbol: a tone of the low group for its lower half and one of the high group for
its upper half, sounding together. All lie below 3.2 kHz, so 8 kHz output carries them too. The
header says how long a payload symbol is (in samples, at the rate it was made) and how many there
are; a CRC-32 covers header and payload, so what was cut or damaged is never given as text.

An ASCII or Arabic letter is one byte, so that both scripts speak at a person's pace; a digit is
four bytes long because its name is; any other character is an escape and its UTF-8.
"""

import functools
import re
import unicodedata
import zlib
from collections.abc import Iterator

import numpy as np

# -- the signal --------------------------------------------------------------------------------

TONES_HZ = 450.0 + 85.0 * np.arange(32)  # 16 low, 16 high
PILOT_A = (2, 9)  # two low tones at once: no symbol sounds like that
PILOT_B = (5, 13)
PILOT_SECONDS = 0.048
HEADER_SYMBOL_SECONDS = 0.030
SYMBOL_SECONDS_ALLOWED = (0.030, 0.100)

RATES = (8_000, 16_000, 22_050, 24_000, 11_025, 32_000, 44_100, 48_000)  # 4 bits: never reorder
HEADER_BYTES = 6
CHECK_BYTES = 4
PIECE_LIMIT_BYTES = 200
"""Of one utterance's payload: 10 s at speed 1, 14.3 s at 0.7. Stretches of a minute are cut at a
pause in any 36 s of them, shorter ones in proportion: down to 25 s there is always one."""

# -- text as bytes -----------------------------------------------------------------------------

_ESCAPE = 0x1B
_ARABIC = range(0x0600, 0x0680)
_DIGIT_SYMBOLS = 4
_CODED = re.compile(
    rb"\x1b([\x00-\x7f]|[\xc0-\xdf].|[\xe0-\xef]..|[\xf0-\xff]...)"
    rb"|([0-9\xe0-\xe9])\2{3}|([^\x1b])",
    re.DOTALL,
)


@functools.lru_cache(maxsize=4096)
def _character_code(character: str) -> bytes:
    point = ord(character)
    if point < 0x80 and point != _ESCAPE:
        code = bytes([point])
    elif point in _ARABIC:
        code = bytes([0x80 + point - _ARABIC.start])
    else:
        return bytes([_ESCAPE]) + character.encode("utf-8", "surrogatepass")
    return code * _DIGIT_SYMBOLS if character.isdecimal() else code


def encode_text(text: str) -> bytes:
    """Give the payload that stands for a text."""
    return b"".join(map(_character_code, text))


def _character(match: re.Match[bytes]) -> str:
    escaped, digit, plain = match.groups()
    if escaped is not None:
        return str(escaped.decode("utf-8", "surrogatepass"))
    point = (digit or plain)[0]
    return chr(point if point < 0x80 else _ARABIC.start + point - 0x80)


def decode_text(payload: bytes) -> str:
    """Give the text, or nothing for bytes that no text has."""
    try:
        text = "".join(map(_character, _CODED.finditer(payload)))
    except UnicodeDecodeError:
        return ""
    return text if encode_text(text) == payload else ""


def split_text(text: str) -> Iterator[str]:
    """Cut a text into what one utterance each speaks; together they are the text.

    After white space if there is any, else between two characters as a reader sees them.
    """
    start = end = after_space = size = 0
    while end < len(text):
        size += len(_character_code(text[end]))
        if size > PIECE_LIMIT_BYTES:
            cut = after_space if after_space > start else _between_characters(text, start, end)
            yield text[start:cut]
            start = end = cut
            size = 0
            continue
        end += 1
        if text[end - 1].isspace() and not text[end : end + 1].isspace():
            after_space = end
    if start < len(text):
        yield text[start:]


def _between_characters(text: str, start: int, end: int) -> int:
    """Find a place at or before `end` where no mark leaves its letter, and no joiner its word."""
    for cut in range(end, start, -1):
        is_mark = unicodedata.category(text[cut])[0] == "M"
        if not (is_mark or "Cf" in map(unicodedata.category, text[cut - 1 : cut + 1])):
            return cut
    return end


def make_header(rate_index: int, symbol_samples: int, length: int) -> bytes:
    """Give an utterance's header.

    Args:
        rate_index: Of `RATES`: the rate at which it was made.
        symbol_samples: Length of a payload symbol at that rate; less than 4,096.
        length: Bytes of payload.
    """
    fields = (rate_index << 12 | symbol_samples).to_bytes(2, "big") + length.to_bytes(3, "big")
    return fields + bytes([zlib.crc32(fields) & 0xFF])
