"""EPUB to chapters: what is to be read aloud, all of it, and nothing else."""

import zipfile
from pathlib import Path

import pytest

from batchjobs.book import Book, read_book
from batchjobs.errors import ManifestError
from tests.book.epubs import body, change_file, epub2, point
from tests.books import HEAD, alice, chapter_text, kalila, picture, write_epub


def test_a_whole_book_is_read_exactly(tmp_path: Path) -> None:
    """Every paragraph of thirteen chapters in two languages, and no note, picture or page number."""
    chapters = [*alice(), kalila()]
    book = read_book(write_epub(tmp_path / "a.epub", chapters))
    assert (book.title, book.authors, book.language) == ("Alice", ("Lewis Carroll",), "en")
    assert [c.title for c in book.chapters] == [title for title, _ in chapters]
    assert [c.text for c in book.chapters] == [chapter_text(*each) for each in chapters]
    assert sum(len(c.text) for c in book.chapters) > 100_000
    assert book.cover == picture()
    assert any("cover" in line for line in book.left_out)


def test_the_contents_of_an_epub_2_split_and_join_files(tmp_path: Path) -> None:
    """One file with two chapters, one chapter of two files; sections are no chapters."""
    pages = {
        "a.xhtml": body(
            '<h1 id="one">الأول</h1><p>نصّ أول.</p><h1 id="two">الثاني</h1><p>نصّ ثانٍ.</p>'
        ),
        "b.xhtml": body("<p>بقية الثاني.</p>"),
        "c.xhtml": body('<h1>الثالث</h1><p>نصّ ثالث.</p><h2 id="s">فرع</h2><p>تتمّة.</p>'),
    }
    ncx = point("١", "a.xhtml#one") + point("٢", "a.xhtml#two")
    ncx += point("٣", "c.xhtml", point("فرع", "c.xhtml#s"))
    book = read_book(epub2(tmp_path / "a.epub", pages, ncx, ["a.xhtml", "b.xhtml", "c.xhtml"]))
    assert [(c.title, c.text) for c in book.chapters] == [
        ("١", "الأول\n\nنصّ أول."),
        ("٢", "الثاني\n\nنصّ ثانٍ.\n\nبقية الثاني."),
        ("٣", "الثالث\n\nنصّ ثالث.\n\nفرع\n\nتتمّة."),
    ]
    assert book.authors == ("فلان", "علّان")
    assert book.cover == picture()


def test_parts_with_chapters_of_their_own_files_are_both(tmp_path: Path) -> None:
    """A part's own page, and each of its chapters."""
    pages = {n: body(f"<p>{n} text.</p>") for n in ("p.xhtml", "a.xhtml", "b.xhtml")}
    ncx = point("Part", "p.xhtml", point("A", "a.xhtml") + point("B", "b.xhtml"))
    book = read_book(epub2(tmp_path / "a.epub", pages, ncx, list(pages)))
    assert [c.title for c in book.chapters] == ["Part", "A", "B"]


def test_without_contents_every_file_is_a_chapter(tmp_path: Path) -> None:
    """Its first heading is its title."""
    pages = {"a.xhtml": body("<h2>Ein Titel</h2><p>x</p>"), "b.xhtml": body("<p>y</p>")}
    book = read_book(epub2(tmp_path / "a.epub", pages, "", ["a.xhtml", "b.xhtml"]))
    assert [c.title for c in book.chapters] == ["Ein Titel", "2"]


def test_a_long_preface_is_kept_and_a_title_page_is_not(tmp_path: Path) -> None:
    """What the contents do not name is told, if it is left out."""
    for words, titles in ((1_000, ["كتاب", "A"]), (3, ["A"])):
        pages = {"f.xhtml": body(f"<p>{'word ' * words}</p>"), "a.xhtml": body("<p>text</p>")}
        book = read_book(epub2(tmp_path / "a.epub", pages, point("A", "a.xhtml"), list(pages)))
        assert [c.title for c in book.chapters] == titles
        assert bool(book.left_out) == (words == 3)


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>Ein<br/>Vers</p>", "Ein\nVers"),
        ("<p>a&nbsp;b &eacute; &#x645;&zwnj;</p>", "a\u00a0b é م\u200c"),
        ("<p>one\n  two\tthree</p>", "one two three"),
        ("<ul><li>one</li><li>two</li></ul>", "one\n\ntwo"),
        ("<table><tr><td>one</td><td>two</td></tr></table>", "one\ntwo"),
        (
            "<table><caption>c</caption><tr><td><p>one</p></td><td>two</td></tr></table>",
            "c\n\none\n\ntwo",
        ),
        ("<p>x <![CDATA[y < z]]></p><title/><script src='x'/><p>a</p>", "x y < z\n\na"),
        (
            "<p>see chapter <a href='c.xhtml#x'>3</a>, word<a href='#n3'>3</a>.</p>",
            "see chapter 3, word.",
        ),
        ("<p>كلمة <a href='#n'>(٣)</a> ثم<a href='#m'>٤</a>.</p>", "كلمة ثم."),
        (
            "<p>x<a class='fnanchor' href='n.xhtml'>[A]</a><span class='pagenum'>[Pg 3]</span></p>",
            "x",
        ),
        (
            "<div class='footnote'><p>no<br/></p></div><p>yes<span hidden=''>a<br/>b</span></p>",
            "yes",
        ),
        ("<section class='pg-boilerplate pgheader'><p>licence</p></section><p>x</p>", "x"),
        ("<figure><img alt='no'/><p>verse</p><figcaption>no</figcaption></figure>", "verse"),
        ("<p><ruby>漢<rt>kan</rt></ruby>字</p>", "漢字"),
        ("<p>x<script>1</script><style>2</style><!-- 3 --></p>", "x"),
        ("<p>x<a href='#n'><sup>*</sup></a> y<a href='n.xhtml#n'>[12]</a></p>", "x y"),
        (
            "<p>see <a href='c.xhtml#x'>chapter 3</a> and <a href='http://x'>here</a></p>",
            "see chapter 3 and here",
        ),
        ("<p>H<sub>2</sub>O and x<sup>2</sup></p>", "H2O and x2"),
        ("<pre>a\n  b</pre>", "a\nb"),
        ("<div>one<p>two</p>three</div>", "one\n\ntwo\n\nthree"),
        ("<p hidden=''>no</p><section epub:type='endnotes'><p>no</p></section><p>yes</p>", "yes"),
        ("<p role='doc-footnote'>no</p><p>سـلام\u200dم ٣٤ «abc»</p>", "سـلام\u200dم ٣٤ «abc»"),
    ],
)
def test_pages_are_read_as_a_person_would(tmp_path: Path, page: str, text: str) -> None:
    """Entities, line breaks, lists, notes."""
    book = read_book(epub2(tmp_path / "a.epub", {"a.xhtml": body(page)}, "", ["a.xhtml"]))
    assert book.chapters[0].text == text


@pytest.mark.parametrize("encoding", ["windows-1256", "utf-16", "utf-8-sig"])
def test_pages_are_read_in_the_encoding_that_they_say(tmp_path: Path, encoding: str) -> None:
    """Old Arabic books are not in UTF-8."""
    path = epub2(tmp_path / "a.epub", {"a.xhtml": body("<p>x</p>")}, "", ["a.xhtml"])
    said = encoding.removesuffix("-sig")
    page = f'<?xml version="1.0" encoding="{said}"?><html><body><p>سلام</p></body></html>'
    book = read_book(change_file(path, "OEBPS/a.xhtml", page.encode(encoding)))
    assert book.chapters[0].text == "سلام"


@pytest.mark.parametrize(
    "page", [b"<p>\xd3\xe1</p>", b"<?xml version='1.0' encoding='no'?><p>x</p>"]
)
def test_what_cannot_be_decoded_is_not_bought_as_question_marks(
    tmp_path: Path, page: bytes
) -> None:
    """The page is named."""
    path = epub2(tmp_path / "a.epub", {"a.xhtml": body("<p>x</p>")}, "", ["a.xhtml"])
    with pytest.raises(ManifestError, match=r"a\.xhtml"):
        read_book(change_file(path, "OEBPS/a.xhtml", page))


def test_named_characters_stand_in_contents_and_nothing_else_does(tmp_path: Path) -> None:
    """Those of HTML, which XML does not know; however deep the lines are."""
    pages = {"a.xhtml": body("<p>x</p>")}
    ncx = point("A&mdash;B&nbsp;&amp;&lt;", "a.xhtml")
    assert read_book(epub2(tmp_path / "a.epub", pages, ncx, list(pages))).chapters[0].title == (
        "A—B &<"
    )
    with pytest.raises(ManifestError, match="damaged"):
        read_book(epub2(tmp_path / "b.epub", pages, point("&nothing;", "a.xhtml"), list(pages)))
    deep = "<navPoint>" * 5_000 + "</navPoint>" * 5_000
    assert len(read_book(epub2(tmp_path / "c.epub", pages, deep, list(pages))).chapters) == 1


def test_pages_that_the_guide_calls_something_else_are_not_read(tmp_path: Path) -> None:
    """Contents and notes of EPUB 2; but not the page of a whole book that it calls a cover."""
    pages = {n: body(f"<p>{n} text.</p>") for n in ("t.xhtml", "a.xhtml", "n.xhtml")}
    ncx = point("Contents", "t.xhtml") + point("A", "a.xhtml") + point("Notes", "n.xhtml")
    path = epub2(tmp_path / "a.epub", pages, ncx, list(pages))
    package = zipfile.ZipFile(path).read("OEBPS/book.opf").decode()

    def read_with_guide(*lines: str) -> Book:
        guide = "".join(f"<reference type='{k}' href='{f}'/>" for k, f in map(str.split, lines))
        with_guide = package.replace("</package>", f"<guide>{guide}</guide></package>")
        return read_book(change_file(path, "OEBPS/book.opf", with_guide))

    book = read_with_guide("toc t.xhtml", "notes n.xhtml", "cover a.xhtml#x", "text t.xhtml")
    assert [c.title for c in book.chapters] == ["A"]
    assert len(book.left_out) == 2
    every = read_with_guide("toc t.xhtml", "notes n.xhtml", "cover a.xhtml")
    assert [c.title for c in every.chapters] == ["Contents", "A", "Notes"]


def test_landmarks_and_contents_of_epub_3(tmp_path: Path) -> None:
    """Landmarks name what is not read; a line without a link only groups those below it."""
    path = write_epub(tmp_path / "a.epub", [("A", ["a."]), ("B", ["b."])])
    nav = f"""{HEAD}<body><nav epub:type="toc"><ol><li><span>Part</span><ol>
<li><a href="c1.xhtml">A</a></li></ol></li><li><a href="c2.xhtml">B</a></li></ol></nav>
<nav epub:type="landmarks"><ol><li><a epub:type="endnotes" href="c2.xhtml">n</a></li></ol></nav>
</body></html>"""
    book = read_book(change_file(path, "OEBPS/nav.xhtml", nav))
    assert [c.title for c in book.chapters] == ["A"]
    without = f"{HEAD}<body><nav epub:type='page-list'/></body></html>"
    assert len(read_book(change_file(path, "OEBPS/nav.xhtml", without)).chapters) == 3


def test_a_book_in_one_page_is_split_below_its_title(tmp_path: Path) -> None:
    """And as deep as a person asks for."""
    page = body(
        "<h1>B</h1><p>b</p><h2 id='p'>P</h2><p>p</p><h3 id='c'>C</h3><p>c</p><h2 id='q'>Q</h2><p>q</p>"
    )
    inner = point("P", "a.xhtml#p", point("C", "a.xhtml#c")) + point("Q", "a.xhtml#q")
    path = epub2(tmp_path / "a.epub", {"a.xhtml": page}, point("B", "a.xhtml", inner), ["a.xhtml"])
    for depth, titles in ((None, "BPQ"), (1, "B"), (2, "BPQ"), (3, "BPCQ")):
        assert "".join(c.title for c in read_book(path, depth=depth).chapters) == titles


def test_what_is_no_page_is_not_read(tmp_path: Path) -> None:
    """A picture in the reading order, or a page that is not there."""
    path = write_epub(tmp_path / "a.epub", [("A", ["a."])])
    package = zipfile.ZipFile(path).read("OEBPS/book.opf").decode()
    package = package.replace("</spine>", "<itemref idref='pic'/><itemref idref='no'/></spine>")
    package = package.replace("</metadata>", "<dc:date>1865</dc:date></metadata>")
    package = package.replace("<spine>", "<spine><itemref idref='gone'/>")
    package = package.replace("</manifest>", "<item id='gone' href='gone.xhtml'/></manifest>")
    book = read_book(change_file(path, "OEBPS/book.opf", package))
    assert [c.title for c in book.chapters] == ["A"]
    assert book.facts == {"date": "1865"}
