"""Every page that a book has is found, in the encoding that it is in; what is not there is told."""

import zipfile
from pathlib import Path

import pytest

from batchjobs.book import Book, read_book
from tests.book.epubs import body, change_file, epub2, point


def _change_package(path: Path, old: str, new: str) -> Book:
    package = zipfile.ZipFile(path).read("OEBPS/book.opf").decode()
    assert old in package
    return read_book(change_file(path, "OEBPS/book.opf", package.replace(old, new)))


@pytest.mark.parametrize(
    ("stored", "named"),
    [
        ("نهاي\u0654ي.xhtml", "نها\u0626ي.xhtml"),
        ("Caf\u00e9.xhtml", "Cafe\u0301.xhtml"),
        ("Page.XHTML", "page.xhtml"),
        ("a%20b.xhtml", "a%20b.xhtml"),
        ("a b.xhtml", "a%20b.xhtml"),
        ("a.xhtml", "/OEBPS/a.xhtml"),
        ("a.xhtml", "/a.xhtml"),
        ("é.xhtml".encode().decode("cp437"), "é.xhtml"),
    ],
)
def test_a_page_is_found_however_its_name_is_written(
    tmp_path: Path, stored: str, named: str
) -> None:
    """Unicode form, case, escapes, slashes, an archive without its UTF-8 flag."""
    pages = {stored: body("<p>text</p>"), "z.xhtml": body("<p>other</p>")}
    ncx = point("A", named) + point("Z", "z.xhtml")
    path = epub2(tmp_path / "a.epub", pages, ncx, list(pages))
    book = _change_package(path, f'href="{stored}"', f'href="{named}"')
    assert [(c.title, c.text) for c in book.chapters] == [("A", "text"), ("Z", "other")]


def test_a_page_that_is_not_there_is_told(tmp_path: Path) -> None:
    """In the archive, in the list of files, in the reading order."""
    pages = {n: body(f"<p>{n}</p>") for n in ("a.xhtml", "b.xhtml")}
    ncx = point("A", "a.xhtml") + point("B", "b.xhtml") + point("C", "c.xhtml")
    path = epub2(tmp_path / "a.epub", pages, ncx, [*pages, "gone"])
    book = _change_package(path, 'href="b.xhtml"', 'href="d.xhtml"')
    assert [c.title for c in book.chapters] == ["A"]
    assert set(book.left_out) == {
        "gone: missing in the book's list of files",
        "OEBPS/d.xhtml: missing in the book's file",
        "OEBPS/b.xhtml: in the contents, but not in the reading order",
        "OEBPS/c.xhtml: in the contents, but not in the reading order",
    }


def test_a_page_beside_the_reading_order_is_read_if_the_contents_list_it(tmp_path: Path) -> None:
    """Else it is told."""
    pages = {n: body(f"<p>{n}</p>") for n in ("a.xhtml", "b.xhtml")}
    both = point("A", "a.xhtml") + point("B", "b.xhtml")
    for ncx, titles in ((both, ["A", "B"]), (point("A", "a.xhtml"), ["A"])):
        path = epub2(tmp_path / "a.epub", pages, ncx, list(pages))
        book = _change_package(path, 'idref="b.xhtml"', 'idref="b.xhtml" linear="no"')
        assert [c.title for c in book.chapters] == titles
        assert len(book.left_out) == 2 - len(titles)


@pytest.mark.parametrize(
    ("said", "encoding"),
    [
        ("utf-16", "utf-8"),
        ("iso-8859-1", "utf-8"),
        ("windows-1252", "utf-8"),
        ("us-ascii", "utf-8"),
        ("iso-8859-1", "windows-1252"),
        ("utf-16", "utf-16-le"),
        ("utf-8", "utf-16-be"),
    ],
)
def test_an_encoding_that_cannot_be_is_not_believed(
    tmp_path: Path, said: str, encoding: str
) -> None:
    """What the bytes prove goes before what the page declares."""
    path = epub2(tmp_path / "a.epub", {"a.xhtml": body("<p>x</p>")}, "", ["a.xhtml"])
    page = f'<?xml version="1.0" encoding="{said}"?><html><body><p>“née”</p></body></html>'
    book = read_book(change_file(path, "OEBPS/a.xhtml", page.encode(encoding)))
    assert book.chapters[0].text == "“née”"


def test_a_page_may_say_its_encoding_as_html_does(tmp_path: Path) -> None:
    """In a ``meta`` element."""
    path = epub2(tmp_path / "a.epub", {"a.xhtml": body("<p>x</p>")}, "", ["a.xhtml"])
    page = "<html><head><meta charset='windows-1256'/></head><body><p>سلام</p></body></html>"
    book = read_book(change_file(path, "OEBPS/a.xhtml", page.encode("windows-1256")))
    assert book.chapters[0].text == "سلام"
