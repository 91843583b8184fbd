"""A book's cover: found by whatever names it, and followed to a picture that players show."""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final, Protocol

from batchjobs.book.archive import Archive, all_below, attribute_of
from batchjobs.book.links import locate
from batchjobs.errors import ManifestError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_PICTURES: Final = (
    (b"\x89PNG", "png"),
    (b"\xff\xd8", "jpg"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
)
_WEBP: Final = re.compile(rb"RIFF....WEBP", re.DOTALL)
_NAMES: Final = re.compile(
    r"(?:front[-_ ]?)?cover(?:[-_ ]?(?:image|img|pic(?:ture)?))?", re.IGNORECASE
)
"""Ids and file names that converters give a cover."""
_SOURCES: Final = {"img": "src", "image": "href", "object": "data", "embed": "src"}
_DATA: Final = re.compile(r"data:image/[\w.+-]+;base64,(.*)", re.DOTALL | re.IGNORECASE)
_UNSHOWN: Final = "no picture that players show"
_MOST_STEPS: Final = 3
"""From a page to a drawing in it, and to the picture in that."""


class _Item(Protocol):
    """What is used of a file that the package lists."""

    @property
    def file(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def properties(self) -> frozenset[str]: ...


def picture_kind(content: bytes) -> str:
    """Say what kind of picture this is by its first bytes: an ending without its dot, or nothing."""
    if _WEBP.match(content):
        return "webp"
    return next((ending for mark, ending in _PICTURES if content.startswith(mark)), "")


def list_covers(
    archive: Archive, package: "Element", base: str, items: Mapping[str, _Item]
) -> Iterator[str]:
    """List the files that may be the cover or hold it, those that say so themselves first.

    Args:
        archive: The book's.
        package: Its package document.
        base: The package document's name.
        items: The files that it lists, by id.
    """
    yield from (item.file for item in items.values() if "cover-image" in item.properties)
    for meta in all_below(package, "meta"):
        if meta.get("name", "").lower() == "cover":
            named = meta.get("content", "").strip()  # an id by the rule; many write the path
            yield items[named].file if named in items else locate(archive, base, named)[0]
    for reference in all_below(package, "reference"):
        if "cover" in attribute_of(reference, "type").lower():
            yield locate(archive, base, reference.get("href", ""))[0]
    for name, item in items.items():
        stem = item.file.rpartition("/")[2].rpartition(".")[0]
        if item.kind.startswith("image/") and any(map(_NAMES.fullmatch, (name, stem))):
            yield item.file
    first = next((e.get("idref", "") for e in all_below(package, "itemref")), "")
    if first in items and _NAMES.match(items[first].file.rpartition("/")[2]):
        yield items[first].file


def read_cover(archive: Archive, files: Iterable[str]) -> tuple[bytes, str]:
    """Read the cover.

    Args:
        archive: The book's.
        files: Those that may be the cover, or be a page or a drawing that holds it.

    Returns:
        The picture, and empty; or nothing, and why the cover that is named is not to be had.
    """
    lost = ""
    for file in dict.fromkeys(files):
        picture, why = _follow(archive, file, _MOST_STEPS)
        if picture:
            return picture, ""
        lost = lost or f"the cover, {file}: {why}; bind takes another one (--cover)"
    return b"", lost


def _follow(archive: Archive, file: str, steps: int) -> tuple[bytes, str]:
    """Give the picture that a file is, or holds; else why there is none."""
    if file not in archive.names:
        return b"", "missing in the book's file"
    try:
        content = archive.read(file)
        page = "" if picture_kind(content) or not steps else archive.text(file)
    except ManifestError:
        content, page = b"", ""
    if picture_kind(content):
        return content, ""
    return _look_into(archive, file, page, steps) if page else (b"", _UNSHOWN)


def _look_into(archive: Archive, file: str, page: str, steps: int) -> tuple[bytes, str]:
    """Give the largest picture of a page or a drawing: beside a publisher's mark stands the cover."""
    finder = _Finder()
    finder.feed(page)
    finder.close()
    sources = dict.fromkeys(finder.sources)  # a page may name itself, or a picture, many times
    found = [_fetch(archive, file, source, steps) for source in sources]
    largest = max((picture for picture, _ in found), key=len, default=b"")
    if largest:
        return largest, ""
    if finder.is_drawing:
        return b"", "a drawing (SVG) without a photograph in it, which no player shows"
    return b"", next((why for _, why in found), "a page without a picture")


def _fetch(archive: Archive, base: str, source: str, steps: int) -> tuple[bytes, str]:
    inline = _DATA.fullmatch(source.strip())
    if inline is None:
        return _follow(archive, locate(archive, base, source)[0], steps - 1)
    try:
        content = base64.b64decode(inline[1])
    except binascii.Error:
        return b"", "a picture written into it that is damaged"
    return (content, "") if picture_kind(content) else (b"", _UNSHOWN)


class _Finder(HTMLParser):
    """Finds the pictures of a page or a drawing, however its elements are prefixed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.sources: list[str] = []
        self.is_drawing = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name = tag.rpartition(":")[2]
        self.is_drawing = self.is_drawing or name == "svg"
        wanted = _SOURCES.get(name)
        given = {key.rpartition(":")[2]: value or "" for key, value in attrs}
        if wanted and given.get(wanted):
            self.sources.append(given[wanted])
