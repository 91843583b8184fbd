"""Titles that fit: cut to so many bytes between whole letters, marks and all."""

from typing import Final

MOST_TITLE_BYTES: Final = 255
"""An M4B's list of chapters has one byte for a title's length. FFmpeg's muxer cuts there, also in
the middle of a letter, and readers then refuse the file."""
_CUT: Final = "…"


def is_too_long(title: str, most_bytes: int = MOST_TITLE_BYTES) -> bool:
    """Whether a title has to be cut."""
    return len(" ".join(title.split()).encode()) > most_bytes


def cut_title(title: str, most_bytes: int = MOST_TITLE_BYTES) -> str:
    """Write a title on one line, in so many bytes of UTF-8 at most, with an ellipsis if it is cut."""
    from grapheme import graphemes

    line = " ".join(title.split())
    if not is_too_long(line, most_bytes):
        return line
    left = most_bytes - len(_CUT.encode())
    whole = []
    for letter in graphemes(line):
        left -= len(letter.encode())
        if left < 0:
            break
        whole.append(letter)
    return "".join(whole).rstrip() + _CUT
