"""JSON that stands in a page and cannot leave its place there."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

_ESCAPES: Final = {
    "<": "\\u003c",  # ends a script, or begins a comment in it
    ">": "\\u003e",
    "&": "\\u0026",  # a page that is read as XHTML would take it for a reference
    "\u2028": "\\u2028",  # line ends of JavaScript, should anybody read it as that
    "\u2029": "\\u2029",
}
_TABLE: Final = str.maketrans(_ESCAPES)
"""In JSON these stand within strings only, where they may be written so."""
_AT_ONCE: Final = 500


def embed(value: object) -> str:
    """Write a value as JSON that may stand within a script element."""
    return msgspec.json.encode(value).decode().translate(_TABLE)


def embed_each(values: Iterable[object]) -> Iterator[str]:
    """Write a list of values, in pieces."""
    yield "["
    page: list[str] = []
    separator = "\n"
    for value in values:
        page.append(embed(value))
        if len(page) == _AT_ONCE:
            yield separator + ",\n".join(page)
            separator = ",\n"
            page.clear()
    if page:
        yield separator + ",\n".join(page)
    yield "\n]"
