"""The key that the tests use, and the search for it in everything that they write."""

import base64
import gzip
import os
import re
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["KEY", "key_with", "leaks_below", "place_in"]

# A session of tests inside of a session has a key of its own: see test_canary.py.
_HEAD, _TAIL = os.environ.get("TEST_KEY_ENDS", "cnry5f1c7e20 z7q4b81dyrnc").split()
_CONTEXT_BYTES: Final = 60
_LONGEST_KEY_FILE_BYTES: Final = 100


def key_with(middle: str) -> str:
    """Give a key with whatever characters inside: its two ends look the same in most encodings."""
    return _HEAD + middle + _TAIL


KEY: Final = key_with("-")


def _forms(part: str) -> Iterator[bytes]:
    """Give the ways in which a part of the key may stand in a file."""
    plain = part.encode()
    yield plain
    yield plain.upper()
    yield plain.hex().encode()
    yield part.encode("utf-16-le")
    yield "".join(f"%{byte:02X}" for byte in plain).encode()
    yield "".join(f"%{byte:02x}" for byte in plain).encode()
    yield "".join(f"\\u{byte:04x}" for byte in plain).encode()
    yield repr(list(plain)).encode()[1:-1]
    for shift in range(3):  # in base64 the same bytes look different at each place of three
        whole = (shift + len(plain)) // 3 * 3  # what a next byte changes is left out
        encoded = base64.b64encode((bytes(shift) + plain)[:whole])
        yield encoded[4 if shift else 0 :]


# A beginning or an end is enough: a message may be cut off, a prefix may be kept "to recognise it".
_SHORTEST: Final = 8
_PATTERN: Final = re.compile(
    b"|".join(
        re.escape(form) for part in (_HEAD[:_SHORTEST], _TAIL[-_SHORTEST:]) for form in _forms(part)
    )
)


def place_in(content: bytes | str) -> str:
    """Give the surroundings of the key, or of an end of it, in some form; empty if it is absent."""
    raw = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    found = _PATTERN.search(raw)
    if found is None:
        return ""
    return repr(raw[max(0, found.start() - _CONTEXT_BYTES) : found.end() + _CONTEXT_BYTES])


def leaks_below(folder: Path) -> list[str]:
    """Search every file below a folder, and its name; give what was found.

    A file that holds a key and nothing else is a key file: it is meant to.
    """
    found = []
    for parent, folders, names in os.walk(folder):
        found += [f"{parent}: {name}" for name in (*folders, *names) if place_in(name)]
        for name in names:
            place = _place_in_file(Path(parent, name))
            if place:
                found.append(f"{Path(parent, name)}: {place}")
    return found


def _place_in_file(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return ""
        content = path.read_bytes()
    except OSError:  # gone by now, or not to be read: so is what it holds
        return ""
    place = place_in(content) or place_in(_unpacked(content))
    return "" if place and _is_key_file(content) else place


def _is_key_file(content: bytes) -> bool:
    start = content.replace(b"\0", b"").lstrip(b"\xff\xfe\xef\xbb\xbf \t\r\n")
    return len(content) < _LONGEST_KEY_FILE_BYTES and start.startswith(_HEAD.encode())


def _unpacked(content: bytes) -> bytes:
    if not content.startswith(b"\x1f\x8b"):
        return b""
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return b""
