"""Books for tests: real prose as EPUB 3 and EPUB 2, with all that is not to be read aloud."""

import html
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

PROSE = Path(__file__).parent / "prose"
CONTAINER = """<?xml version="1.0"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles>
</container>"""
HEAD = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops">
<head><title>not read</title><style>p { color: red }</style></head>"""


def picture() -> bytes:
    """A small PNG."""
    import struct
    import zlib

    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def alice() -> list[tuple[str, list[str]]]:
    """The chapters of Carroll's book: title and paragraphs, without the typesetter's line ends."""
    text = (PROSE / "alice.txt").read_text(encoding="utf-8").split("THE END")[0]
    parts = re.split(r"(?m)^(CHAPTER [IVX]+\. .*)$", text)[1:]
    chapters = []
    for title, body in zip(parts[::2], parts[1::2], strict=True):
        paragraphs = [" ".join(each.split()) for each in body.split("\n\n") if each.strip()]
        spoken = [each for each in paragraphs if any(c.isalpha() for c in each)]
        chapters.append((title.removeprefix("CHAPTER "), spoken))
    return chapters


def kalila() -> tuple[str, list[str]]:
    """A chapter of Arabic prose."""
    text = (PROSE / "kalila.txt").read_text(encoding="utf-8")
    return "باب الأسد والثور", text.strip().split("\n\n")


def chapter_text(title: str, paragraphs: Sequence[str]) -> str:
    """What is to be read aloud of a chapter."""
    return "\n\n".join([title, *paragraphs])


def page(title: str, paragraphs: Sequence[str], *, notes: bool = True) -> str:
    """A chapter as XHTML, with notes, a picture and a page break among it."""
    body = [f'<h1 id="top">{html.escape(title)}</h1>']
    for number, paragraph in enumerate(paragraphs):
        shown = html.escape(paragraph)
        if notes and number % 5 == 0:
            mark = f'<a epub:type="noteref" href="#n{number}">{number}</a>'
            body.append(f"<p>{shown}{mark}</p>")
        elif notes and number % 5 == 1:
            body.append(f'<p>{shown}<sup><a href="notes.xhtml#n{number}">[{number}]</a></sup></p>')
        else:
            body.append(f'<p>{shown}<span epub:type="pagebreak" title="{number}"/></p>')
    if notes:
        body.append('<figure><img src="cover.png" alt="not read"/></figure>')
        body.append('<aside epub:type="footnote" id="n0"><p>Not to be read aloud.</p></aside>')
    return f"{HEAD}<body>{''.join(body)}</body></html>"


def write_epub(path: Path, chapters: Sequence[tuple[str, Sequence[str]]], **facts: str) -> Path:
    """Write an EPUB 3 with a cover, a title page, contents and notes."""
    pages = {f"c{n}.xhtml": page(title, text) for n, (title, text) in enumerate(chapters, 1)}
    lines = "".join(
        f'<li><a href="c{n}.xhtml">{html.escape(title)}</a>'
        f'<ol><li><a href="c{n}.xhtml#top">a section</a></li></ol></li>'
        for n, (title, _) in enumerate(chapters, 1)
    )
    nav = f'{HEAD}<body><nav epub:type="toc"><ol>{lines}</ol></nav></body></html>'
    cover = f'{HEAD}<body epub:type="cover"><img src="cover.png"/></body></html>'
    front = f"{HEAD}<body><p>The title page</p></body></html>"
    items = "".join(f'<item id="{n}" href="{n}" media-type="x"/>' for n in pages)
    spine = "".join(f'<itemref idref="{n}"/>' for n in pages)
    package = f"""<package xmlns="http://www.idpf.org/2007/opf" version="3.0">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{facts.get("title", "Alice")}</dc:title>
<dc:creator>{facts.get("author", "Lewis Carroll")}</dc:creator>
<dc:language>{facts.get("language", "en")}</dc:language></metadata>
<manifest><item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="cov" href="cover.xhtml" media-type="application/xhtml+xml"/>
<item id="front" href="front.xhtml" media-type="application/xhtml+xml"/>
<item id="pic" href="cover.png" media-type="image/png" properties="cover-image"/>{items}</manifest>
<spine><itemref idref="cov"/><itemref idref="front"/><itemref idref="nav"/>{spine}</spine></package>"""
    contents: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": package,
        "OEBPS/nav.xhtml": nav,
        "OEBPS/cover.xhtml": cover,
        "OEBPS/front.xhtml": front,
        "OEBPS/cover.png": picture(),
        **{f"OEBPS/{name}": content for name, content in pages.items()},
    }
    return write_zip(path, contents)


def write_zip(path: Path, contents: Mapping[str, str | bytes]) -> Path:
    """Write an archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path
