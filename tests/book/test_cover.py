"""Covers are found by whatever names them, and followed to a picture; one that is lost is told."""

import base64
import zipfile
from pathlib import Path

import pytest

from batchjobs.book import read_book
from batchjobs.book.archive import Archive
from batchjobs.book.cover import read_cover
from tests.book.epubs import body
from tests.books import CONTAINER, picture, write_zip


def write_book(
    path: Path, *, meta: str = "", items: str = "", guide: str = "", **files: str
) -> Path:
    """Write an EPUB with a picture, `images/front.png`, that nothing in it names yet."""
    package = f"""<package xmlns="http://www.idpf.org/2007/opf" version="2.0"><metadata>
<title>كتاب</title>{meta}</metadata><manifest>
<item id="c" href="c.xhtml" media-type="application/xhtml+xml"/>
<item id="p" href="images/front.png" media-type="image/png"/>{items}</manifest>
<spine><itemref idref="c"/></spine><guide>{guide}</guide></package>"""
    contents: dict[str, str | bytes] = {
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": package,
        "OEBPS/c.xhtml": body("<p>نصّ.</p>"),
        "OEBPS/images/front.png": picture(),
        **{f"OEBPS/{name}": content for name, content in files.items()},
    }
    return write_zip(path, contents)


PAGE_ITEM = '<item id="t" href="t.xhtml" media-type="application/xhtml+xml"/>'
SVG_ITEM = '<item id="s" href="images/s.svg" media-type="image/svg+xml" properties="cover-image"/>'
IMAGE = '<image width="8" height="8" xlink:href="{}"/>'
SVG = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="x">{IMAGE}</svg>'
INLINE = f"data:image/png;base64,{base64.b64encode(picture()).decode()}"


@pytest.mark.parametrize(
    "book",
    [
        {"meta": '<meta name="cover" content="p"/>'},
        {"meta": '<meta content="p" name="Cover"/>'},
        {"meta": '<meta name="cover" content="images/front.png"/>'},
        {"meta": '<meta name="cover" content="images/Front%2Epng"/>'},
        {
            "meta": '<meta name="cover" content="t"/>',
            "items": PAGE_ITEM,
            "t.xhtml": body('<div><img alt="" src="images/front.png"/></div>'),
        },
        {"guide": '<reference type="cover" href="images/front.png"/>'},
        {
            "guide": '<reference type="cover" href="t.xhtml#x"/>',
            "t.xhtml": body(SVG.format("images/front.png")),
        },
        {
            "guide": '<reference type="cover" href="t.xhtml"/>',
            "t.xhtml": body('<svg:svg><svg:image xlink:href="images/front.png"/></svg:svg>'),
        },
        {"items": SVG_ITEM, "images/s.svg": SVG.format("front.png")},
        {"items": SVG_ITEM, "images/s.svg": SVG.format(INLINE)},
        {
            "items": '<item id="n" href="n.xhtml" media-type="x" properties="nav"/>',
            "n.xhtml": body(
                '<nav epub:type="landmarks"><a epub:type="cover" href="t.xhtml">x</a></nav>'
            ),
            "t.xhtml": body('<img src="images/front.png"/>'),
        },
        {"items": '<item id="cover-image" href="images/front.png" media-type="image/png"/>'},
    ],
    ids=[
        "id", "capital", "path", "escaped path", "id of a page", "guide", "guide to a page",
        "prefixed page", "drawing", "inline in a drawing", "landmarks", "id by custom",
    ],
)  # fmt: skip
def test_a_cover_is_found_by_whatever_names_it(tmp_path: Path, book: dict[str, str]) -> None:
    """By its id, its path, its page, the guide, the landmarks, a drawing around it, or by custom."""
    found = read_book(write_book(tmp_path / "a.epub", **book))
    assert found.cover == picture()
    assert not any("the cover" in line for line in found.left_out)


@pytest.mark.parametrize(
    ("book", "why"),
    [
        ({"meta": '<meta name="cover" content="gone.jpg"/>'}, "missing"),
        ({"items": SVG_ITEM, "images/s.svg": "<svg><path d='M0'/></svg>"}, "drawing"),
        ({"items": SVG_ITEM, "images/s.svg": SVG.format("s.svg")}, "drawing|no picture"),
        ({"items": SVG_ITEM, "images/s.svg": SVG.format("data:image/png;base64,A")}, "drawing"),
        ({"guide": '<reference type="cover" href="c.xhtml"/>'}, "a page without a picture"),
        ({"meta": '<meta name="cover" content="t"/>', "items": PAGE_ITEM, "t.xhtml": "\0"}, "pict"),
    ],
)
def test_a_cover_that_is_lost_is_told(tmp_path: Path, book: dict[str, str], why: str) -> None:
    """By name, with why, among what is left out."""
    found = read_book(write_book(tmp_path / "a.epub", **book))
    assert found.cover == b""
    lines = [line for line in found.left_out if line.startswith("the cover, ")]
    assert len(lines) == 1
    assert any(part in lines[0] for part in why.split("|"))
    assert "--cover" in lines[0]


def test_beside_a_publishers_mark_stands_the_cover(tmp_path: Path) -> None:
    """The larger picture of a page is taken."""
    marks = '<img src="images/mark.png"/><img src="images/front.png"/>'
    path = write_book(
        tmp_path / "a.epub",
        guide='<reference type="cover" href="t.xhtml"/>',
        **{"t.xhtml": body(marks)},
    )
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("OEBPS/images/mark.png", picture()[:40])
    assert read_book(path).cover == picture()


def test_a_page_that_names_itself_many_times_is_read_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a step, and not once for each of its pictures."""
    read: list[str] = []
    honest = Archive.text

    def count(archive: Archive, name: str) -> str:
        read.append(name)
        return honest(archive, name)

    monkeypatch.setattr(Archive, "text", count)
    path = tmp_path / "book.zip"
    with zipfile.ZipFile(path, "w") as book:
        book.writestr(
            "page.xhtml", "<html><body>" + '<img src="page.xhtml"/>' * 60 + "</body></html>"
        )
    with zipfile.ZipFile(path) as book:
        found, why = read_cover(Archive(path, book), ["page.xhtml"])
    assert (found, bool(why)) == (b"", True)
    assert len(read) <= 4
