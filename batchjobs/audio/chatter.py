"""Keeps what decoders write past us off the terminal.

libsndfile's MP3 decoder writes warnings to the C library's ``stderr``, and has no switch. That stream is
exchanged for one to nowhere while it works; Python's own messages do not go through it.
"""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

_NAMES: Final = ("stderr", "__stderrp")
"""Of the variable, in glibc and musl, and in macOS."""
_lock = threading.Lock()
_users = 0
_usual: int | None = None


@contextmanager
def quiet_decoder() -> Iterator[None]:
    """Let nothing that C code writes to ``stderr`` reach the terminal meanwhile."""
    global _users, _usual  # noqa: PLW0603
    stream, nowhere = _find_stream(), _open_nowhere()
    if stream is None or nowhere is None:
        yield
        return
    with _lock:
        if not _users:
            _usual, stream.value = stream.value, nowhere
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                stream.value = _usual


@cache
def _find_stream() -> ctypes.c_void_p | None:
    """Find the variable that holds the stream; None where there is none of these names."""
    if os.name != "posix":
        return None
    library = ctypes.CDLL(None)
    for name in _NAMES:
        try:
            return ctypes.c_void_p.in_dll(library, name)
        except ValueError:
            continue
    return None


@cache
def _open_nowhere() -> int | None:
    if os.name != "posix":
        return None
    open_stream = ctypes.CDLL(None).fopen
    open_stream.restype = ctypes.c_void_p
    opened: int | None = open_stream(os.fsencode(os.devnull), b"w")
    return opened
