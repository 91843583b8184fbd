"""EPUB archives of a few pages, for tests."""

import zipfile
from pathlib import Path

from tests.books import CONTAINER, HEAD, picture, write_zip


def epub2(path: Path, pages: dict[str, str], ncx: str, spine: list[str], **extra: str) -> Path:
    """Write an EPUB 2 of these pages, with its contents as NCX."""
    items = "".join(f'<item id="{n}" href="{n}" media-type="x"/>' for n in pages)
    refs = "".join(f'<itemref idref="{n}"/>' for n in spine)
    package = f"""<package xmlns="http://www.idpf.org/2007/opf" version="2.0"><metadata>
<title>كتاب</title><creator>فلان</creator><creator>علّان</creator><language>ar</language>
<meta name="cover" content="pic"/></metadata><manifest>
<item id="pic" href="pic.png" media-type="image/png"/>
<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>{items}</manifest>
<spine toc="ncx">{refs}</spine></package>"""
    contents: dict[str, str | bytes] = {
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": package,
        "OEBPS/toc.ncx": f'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>{ncx}</navMap></ncx>',
        "OEBPS/pic.png": picture(),
        **{f"OEBPS/{name}": page for name, page in pages.items()},
        **extra,
    }
    return write_zip(path, contents)


def point(title: str, source: str, inner: str = "") -> str:
    """A line of an NCX."""
    label = f"<navLabel><text>{title}</text></navLabel>"
    return f'<navPoint>{label}<content src="{source}"/>{inner}</navPoint>'


def body(content: str) -> str:
    """A page."""
    return f"{HEAD}<body>{content}</body></html>"


def change_file(path: Path, name: str, content: bytes | str) -> Path:
    """Write a book again with another file in it."""
    with zipfile.ZipFile(path) as archive:
        contents: dict[str, str | bytes] = {n: archive.read(n) for n in archive.namelist()}
    return write_zip(path.with_name("changed.epub"), contents | {name: content})
