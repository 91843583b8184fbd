"""Chapters begin where the contents say, also where the contents are poor."""

import zipfile
from pathlib import Path

from batchjobs.book import Book, read_book
from tests.book.epubs import body, change_file, epub2, point
from tests.books import HEAD, write_epub

LONG = "<p>" + "A sentence of some length. " * 20 + "</p>"


def _titles(book: Book) -> list[str]:
    return [chapter.title for chapter in book.chapters]


def _starts(book: Book) -> list[tuple[str, str]]:
    return [(chapter.title, chapter.text) for chapter in book.chapters]


def test_a_chapter_whose_opener_is_a_picture_begins_with_the_next_text(tmp_path: Path) -> None:
    """The picture's page stands before it; or its place at the end of the page before."""
    pages = {
        "t.xhtml": body("<img src='x'/>"),
        "a.xhtml": body("<p>One.</p><div id='two'><img src='y'/></div>"),
        "b.xhtml": body("<p>Two.</p>"),
        "p.xhtml": body("<img src='x'/>"),
        "c.xhtml": body("<p>Three.</p>"),
    }
    ncx = point("1", "t.xhtml") + point("2", "a.xhtml#two") + point("Part", "p.xhtml")
    book = read_book(epub2(tmp_path / "a.epub", pages, ncx + point("3", "c.xhtml"), list(pages)))
    assert _starts(book) == [("1", "One."), ("2", "Two."), ("3", "Three.")]
    assert "'Part': a line of the contents without text of its own" in book.left_out


def test_a_chapter_begins_after_the_paragraph_that_holds_its_anchor_at_its_end(
    tmp_path: Path,
) -> None:
    """As editors set it; an anchor in the middle begins with its paragraph."""
    page = "<p>One.<a id='two'></a></p><h2>Two</h2><p>x</p><p><a id='three'></a>Three.</p>"
    ncx = point("1", "a.xhtml") + point("2", "a.xhtml#two") + point("3", "a.xhtml#three")
    book = read_book(epub2(tmp_path / "a.epub", {"a.xhtml": body(page)}, ncx, ["a.xhtml"]))
    assert _starts(book) == [("1", "One."), ("2", "Two\n\nx"), ("3", "Three.")]


def test_lines_without_a_label_have_the_heading_or_the_pictures_words(tmp_path: Path) -> None:
    """An empty title is an empty mark in a player."""
    pages = {n: body(f"<h1>{n[0]} storm</h1><p>x</p>") for n in ("a.xhtml", "b.xhtml")}
    ncx = point("", "a.xhtml") + point(" ", "b.xhtml")
    assert _titles(read_book(epub2(tmp_path / "a.epub", pages, ncx, list(pages)))) == [
        "a storm",
        "b storm",
    ]
    path = write_epub(tmp_path / "b.epub", [("A", ["a."]), ("B", ["b."])])
    nav = f"""{HEAD}<body><nav epub:type="toc"><ol><li><a href="c1.xhtml"><img alt="The Calm"/></a>
</li><li><p><a href="c2.xhtml">In a paragraph</a></p></li></ol></nav></body></html>"""
    assert _titles(read_book(change_file(path, "OEBPS/nav.xhtml", nav))) == [
        "The Calm",
        "In a paragraph",
    ]


def test_chapters_under_a_part_on_one_page_are_chapters(tmp_path: Path) -> None:
    """Sections of a chapter are not."""
    page = body(
        "<h1 id='p'>Part One</h1><h2 id='a'>A</h2><p>x</p><h2 id='b'>B</h2><p>y</p>"
        "<h3 id='s'>S</h3><p>z</p>"
    )
    ncx = point(
        "Part One",
        "a.xhtml#p",
        point("A", "a.xhtml#a") + point("B", "a.xhtml#b", point("S", "a.xhtml#s")),
    )
    ncx += point("End", "e.xhtml")
    pages = {"a.xhtml": page, "e.xhtml": body("<p>e</p>")}
    book = read_book(epub2(tmp_path / "a.epub", pages, ncx, list(pages)))
    assert _titles(book) == ["Part One", "A", "B", "End"]


def test_a_damaged_ncx_is_read_as_far_as_it_is_whole(tmp_path: Path) -> None:
    """An ampersand, a tag that is not closed."""
    pages = {n: body(f"<p>{n}</p>") for n in ("a.xhtml", "b.xhtml")}
    for ncx in (
        point("A & B", "a.xhtml") + point("C", "b.xhtml"),
        point("A & B", "a.xhtml").replace("</navPoint>", "") + point("C", "b.xhtml"),
    ):
        book = read_book(epub2(tmp_path / "a.epub", pages, ncx, list(pages)))
        assert _titles(book) == ["A & B", "C"]


def test_contents_that_name_one_page_only_leave_the_chapters_to_the_headings(
    tmp_path: Path,
) -> None:
    """Such as "Start" of some converters."""
    pages = {"t.xhtml": body("<p>Title</p>")}
    pages |= {f"{n}.xhtml": body(f"<h1>{n}</h1><p>x</p>") for n in ("One", "Two")}
    book = read_book(epub2(tmp_path / "a.epub", pages, point("Start", "t.xhtml"), list(pages)))
    assert _titles(book) == ["Start", "One", "Two"]


def test_a_prologue_before_the_contents_is_read_and_a_copyright_page_is_not(
    tmp_path: Path,
) -> None:
    """One has a heading of its own, the other says what it is."""
    pages = {
        "c.xhtml": body(f"<h1>Copyright</h1>{LONG}"),
        "p.xhtml": body(f"<h1>Prologue</h1>{LONG}"),
        "a.xhtml": body("<p>x</p>"),
    }
    book = read_book(epub2(tmp_path / "a.epub", pages, point("A", "a.xhtml"), list(pages)))
    assert _titles(book) == ["Prologue", "A"]
    assert len(book.left_out) == 1


def test_a_chapter_that_the_guide_calls_the_cover_is_read(tmp_path: Path) -> None:
    """Converters call the first page so."""
    pages = {n: body(f"<p>{n}</p>") for n in ("a.xhtml", "b.xhtml")}
    path = epub2(
        tmp_path / "a.epub", pages, point("One", "a.xhtml") + point("Two", "b.xhtml"), list(pages)
    )
    package = zipfile.ZipFile(path).read("OEBPS/book.opf").decode()
    guide = "<guide><reference type='cover' href='a.xhtml'/></guide></package>"
    changed = package.replace("</package>", guide)
    assert _titles(read_book(change_file(path, "OEBPS/book.opf", changed))) == ["One", "Two"]


def test_a_part_that_begins_with_its_first_chapter_is_the_chapter(tmp_path: Path) -> None:
    """It has no text of its own."""
    page = body("<h2 id='x'>I</h2><p>y</p><h2 id='z'>II</h2><p>w</p>")
    ncx = point("Book One", "a.xhtml", point("I", "a.xhtml#x") + point("II", "a.xhtml#z"))
    book = read_book(epub2(tmp_path / "a.epub", {"a.xhtml": page}, ncx, ["a.xhtml"]))
    assert _starts(book) == [("I", "I\n\ny"), ("II", "II\n\nw")]
