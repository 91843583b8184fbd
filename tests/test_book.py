"""Books to manifests: what is to be read aloud, all of it, and nothing else."""

import json
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from batchjobs.book import Book, Chapter, read_book, selected, write_manifest
from batchjobs.errors import ManifestError, MissingExtraError, OutputError, UsageError
from tests.books import CONTAINER, HEAD, alice, chapter_text, kalila, picture, write_epub, write_zip


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


# -- EPUB ----------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"META-INF/encryption.xml": "<a><EncryptedData /></a>"}, "protected"),
        (
            {
                "META-INF/encryption.xml": "<a xmlns:e='x'><e:EncryptedData>"
                "<e:EncryptionMethod Algorithm='aes'/></e:EncryptedData></a>"
            },
            "protected",
        ),
        ({"META-INF/encryption.xml": "<a"}, "damaged"),
        ({"META-INF/container.xml": CONTAINER.replace("OEBPS", "../..")}, "lacks its file"),
        ({"OEBPS/toc.ncx": "<ncx"}, "damaged"),
        ({"OEBPS/toc.ncx": "<!DOCTYPE x [<!ENTITY a 'aa'>]><ncx>&a;</ncx>"}, "damaged"),
        ({"META-INF/container.xml": "<a/>"}, "lacks its file"),
        ({"OEBPS/a.xhtml": body("<img src='x.png'/>")}, "holds no text"),
    ],
)
def test_what_is_no_readable_book_is_told(
    tmp_path: Path, change: dict[str, str], message: str
) -> None:
    """Protected, damaged, made to harm, or of pictures only."""
    path = epub2(
        tmp_path / "a.epub",
        {"a.xhtml": body("<p>x</p>")},
        point("A", "a.xhtml"),
        ["a.xhtml"],
        **change,
    )
    with pytest.raises(ManifestError, match=message):
        read_book(path)


def changed(path: Path, name: str, content: bytes | str) -> Path:
    """Write a book again with another file in it."""
    with zipfile.ZipFile(path) as archive:
        contents: dict[str, str | bytes] = {n: archive.read(n) for n in archive.namelist()}
    return write_zip(path.with_name("changed.epub"), contents | {name: content})


@pytest.mark.parametrize("encoding", ["windows-1256", "utf-16", "utf-8-sig"])
def test_pages_are_read_in_the_encoding_that_they_say(tmp_path: Path, encoding: str) -> None:
    """Old Arabic books are not in UTF-8."""
    path = epub2(tmp_path / "a.epub", {"a.xhtml": body("<p>x</p>")}, "", ["a.xhtml"])
    said = encoding.removesuffix("-sig")
    page = f'<?xml version="1.0" encoding="{said}"?><html><body><p>سلام</p></body></html>'
    book = read_book(changed(path, "OEBPS/a.xhtml", page.encode(encoding)))
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
        read_book(changed(path, "OEBPS/a.xhtml", page))


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

    def guided(*lines: str) -> Book:
        guide = "".join(f"<reference type='{k}' href='{f}'/>" for k, f in map(str.split, lines))
        with_guide = package.replace("</package>", f"<guide>{guide}</guide></package>")
        return read_book(changed(path, "OEBPS/book.opf", with_guide))

    book = guided("toc t.xhtml", "notes n.xhtml", "cover a.xhtml#x", "text t.xhtml")
    assert [c.title for c in book.chapters] == ["A"]
    assert len(book.left_out) == 2
    every = guided("toc t.xhtml", "notes n.xhtml", "cover a.xhtml")
    assert [c.title for c in every.chapters] == ["Contents", "A", "Notes"]


def test_landmarks_and_contents_of_epub_3(tmp_path: Path) -> None:
    """Landmarks name what is not read; a line without a link only groups those below it."""
    path = write_epub(tmp_path / "a.epub", [("A", ["a."]), ("B", ["b."])])
    nav = f"""{HEAD}<body><nav epub:type="toc"><ol><li><span>Part</span><ol>
<li><a href="c1.xhtml">A</a></li></ol></li><li><a href="c2.xhtml">B</a></li></ol></nav>
<nav epub:type="landmarks"><ol><li><a epub:type="endnotes" href="c2.xhtml">n</a></li></ol></nav>
</body></html>"""
    book = read_book(changed(path, "OEBPS/nav.xhtml", nav))
    assert [c.title for c in book.chapters] == ["A"]
    without = f"{HEAD}<body><nav epub:type='page-list'/></body></html>"
    assert len(read_book(changed(path, "OEBPS/nav.xhtml", without)).chapters) == 3


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
    book = read_book(changed(path, "OEBPS/book.opf", package))
    assert [c.title for c in book.chapters] == ["A"]
    assert book.facts == {"date": "1865"}


def test_harmed_books_are_told(tmp_path: Path) -> None:
    """Whatever bytes are wrong: our errors only."""
    rng = np.random.default_rng(1)
    whole = write_epub(tmp_path / "a.epub", [("A", ["b c d"] * 20), ("B", ["x"] * 5)]).read_bytes()
    told = 0
    for _ in range(400):
        harmed = bytearray(whole)
        for place in rng.integers(0, len(harmed), rng.integers(1, 6)):
            harmed[place] = rng.integers(0, 256)
        (tmp_path / "b.epub").write_bytes(harmed[: rng.integers(1, 2 * len(harmed))])
        try:
            read_book(tmp_path / "b.epub")
        except ManifestError:
            told += 1
    assert told > 100


def test_a_page_without_end_is_told(tmp_path: Path) -> None:
    """It is not even parsed."""
    path = epub2(tmp_path / "a.epub", {"a.xhtml": body("<p>x</p>")}, "", ["a.xhtml"])
    with pytest.raises(ManifestError, match="longer than any book"):
        read_book(changed(path, "OEBPS/a.xhtml", b" " * (33 << 20)))


def test_a_locked_archive_is_told(tmp_path: Path) -> None:
    """With a password, or packed as no EPUB is."""
    path = epub2(tmp_path / "a.epub", {"a.xhtml": body("<p>x</p>")}, "", ["a.xhtml"])
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1
    content[content.index(b"PK\x03\x04") + 6] |= 1
    path.write_bytes(content)
    with pytest.raises(ManifestError, match="cannot be unpacked"):
        read_book(path)


def test_scrambled_fonts_are_no_protection(tmp_path: Path) -> None:
    """The text is readable."""
    scrambling = (
        '<encryption><EncryptedData><EncryptionMethod Algorithm="http://www.idpf.org/2008/embedding"/>'
        "</EncryptedData></encryption>"
    )
    path = epub2(
        tmp_path / "a.epub",
        {"a.xhtml": body("<p>x</p>")},
        "",
        ["a.xhtml"],
        **{"META-INF/encryption.xml": scrambling},
    )
    assert read_book(path).chapters[0].text == "x"


def test_a_bomb_and_no_archive_are_told(tmp_path: Path) -> None:
    """Neither is unpacked."""
    bomb = write_zip(tmp_path / "bomb.epub", {"x": "y"})
    content = bytearray(bomb.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 600 * 1024 * 1024)
    bomb.write_bytes(content)
    with pytest.raises(ManifestError, match="more than any book"):
        read_book(bomb)
    (tmp_path / "no.epub").write_bytes(b"no")
    with pytest.raises(ManifestError, match="is no EPUB"):
        read_book(tmp_path / "no.epub")
    with pytest.raises(ManifestError, match="cannot be read"):
        read_book(tmp_path / "none.epub")


def test_a_torn_file_in_an_epub_is_told(tmp_path: Path) -> None:
    """Its checksum says so."""
    path = tmp_path / "a.epub"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("META-INF/container.xml", CONTAINER)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"<rootfiles>", b"<rootfilez>", 1))
    with pytest.raises(ManifestError, match="cannot be unpacked"):
        read_book(path)


# -- text and Markdown ---------------------------------------------------------------------------


def test_a_text_has_chapters_where_it_says_so(tmp_path: Path) -> None:
    """By lines of their own, in Arabic and English, or by form feeds."""
    path = tmp_path / "a.txt"
    path.write_text(
        "\ufeffكلمة قبل كل شيء.\n\nالفصل الأول: البداية\n\nنصّ.\nسطر ثانٍ.\n\nChapter 2\n\nText.\n\fThe next\n\npage.\n"
    )
    assert [(c.title, c.text) for c in read_book(path).chapters] == [
        ("1", "كلمة قبل كل شيء."),
        ("الفصل الأول: البداية", "الفصل الأول: البداية\n\nنصّ.\nسطر ثانٍ."),
        ("Chapter 2", "Chapter 2\n\nText."),
        ("The next", "The next\n\npage."),
    ]


@pytest.mark.parametrize(
    ("line", "is_heading"),
    [
        ("CHAPTER I. Down the Rabbit-Hole", True),
        ("Part the First", True),
        ("Chapter Nineteen", True),
        ("الفَصْلُ الأَوَّلُ", True),
        ("الفصل ١٢: العودة", True),
        ("الباب الحادي عشر", True),
        ("باب الأسد والثور", True),
        ("تمهيد", True),
        ("Part of me wanted to go.", False),
        ("الفصل بين القوات ضروري.", False),
        ("Book the tickets", False),
        ("Chapters are long", False),
    ],
)
def test_a_heading_is_no_sentence(tmp_path: Path, line: str, *, is_heading: bool) -> None:
    """With or without diacritics."""
    path = tmp_path / "a.txt"
    path.write_text(f"قبل.\n\n{line}\n\nبعد.\n")
    assert [c.title for c in read_book(path).chapters] == ["1", *([line] if is_heading else [])]


def test_markdown_has_facts_notes_and_html(tmp_path: Path) -> None:
    """As Pandoc writes them."""
    path = tmp_path / "a.md"
    path.write_text(
        "---\ntitle: 'كتاب'\nauthor: فلان\nlang: ar\n---\n\n# A\n\nText[^1] <b>bold</b>.\n<!-- no -->\n"
        "\n[^1]: A note of many words.\n\n    An indented line.\n\n~~~\nopen code\n"
    )
    book = read_book(path)
    assert (book.title, book.authors, book.language) == ("كتاب", ("فلان",), "ar")
    assert [c.text for c in book.chapters] == ["A\n\nText bold."]


def test_markdown_is_read_without_its_marks(tmp_path: Path) -> None:
    """Headings make chapters; code, pictures and the marks are not spoken."""
    path = tmp_path / "a.md"
    path.write_text(
        "# عنوان\n\nنصّ **مهم** و[رابط](http://x).\n\n### فرع\n\n- one\n- two\n\n```\ncode\n```\n"
        "\n## Zwei\n\n![alt](x.png)\n\nText &amp; `name`.\n"
    )
    assert [(c.title, c.text) for c in read_book(path).chapters] == [
        ("عنوان", "عنوان\n\nنصّ مهم ورابط.\n\nفرع\n\none\n\ntwo"),
        ("Zwei", "Zwei\n\nText & name."),
    ]


def test_texts_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    """Empty, not UTF-8, missing, or of another kind."""
    (tmp_path / "a.txt").write_bytes(b" \n")
    (tmp_path / "b.txt").write_bytes("é".encode("latin-1"))
    for name, message in (("a.txt", "no text"), ("b.txt", "UTF-8"), ("none.txt", "cannot be read")):
        with pytest.raises(ManifestError, match=message):
            read_book(tmp_path / name)
    with pytest.raises(UsageError, match="is no book"):
        read_book(tmp_path / "a.pdf")


# -- manifests -----------------------------------------------------------------------------------

BOOK = Book(
    title="كتاب",
    authors=("فلان",),
    language="ar",
    chapters=(
        Chapter(title="Down the Rabbit-Hole!", text="Text.\n\nمَتن."),
        Chapter(title="الثاني", text="نصّ"),
        Chapter(title="الثالث", text="x"),
    ),
    cover=b"\xff\xd8jpeg",
    facts={"publisher": "ناشر", "title": "not ours"},
)


def test_a_manifest_has_a_row_a_chapter_with_all_that_is_known(tmp_path: Path) -> None:
    """And a text file a chapter, exactly; the cover beside them."""
    total = write_manifest(BOOK, [1, 2], tmp_path / "b.jsonl", voice="v")
    rows = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["001-down-the-rabbit-hole", "002-الثاني"]
    assert rows[1] == {
        "id": "002-الثاني",
        "text_file": "b/002-الثاني.txt",
        "title": "الثاني",
        "chapter": 2,
        "book": "كتاب",
        "author": "فلان",
        "language": "ar",
        "cover": "b/cover.jpg",
        "publisher": "ناشر",
        "voice_id": "v",
    }
    assert (tmp_path / rows[0]["text_file"]).read_text() == BOOK.chapters[0].text
    assert (tmp_path / "b" / "cover.jpg").read_bytes() == BOOK.cover
    assert total == len("Text.\n\nمَتن.نصّ")


def test_what_somebody_has_edited_is_not_overwritten(tmp_path: Path) -> None:
    """Unless that is asked for."""
    write_manifest(BOOK, [1], tmp_path / "b.jsonl")
    (tmp_path / "b.jsonl").unlink()
    edited = tmp_path / "b" / "001-down-the-rabbit-hole.txt"
    edited.write_text("mine")
    with pytest.raises(OutputError, match="is there already"):
        write_manifest(BOOK, [1], tmp_path / "b.jsonl")
    assert edited.read_text() == "mine"
    assert not (tmp_path / "b.jsonl").exists()
    write_manifest(BOOK, [1], tmp_path / "b.jsonl", overwrite=True)
    assert edited.read_text() != "mine"
    with pytest.raises(OutputError, match="needs an ending"):
        write_manifest(BOOK, [1], tmp_path / "b")


def test_a_picture_that_no_player_shows_is_no_cover(tmp_path: Path) -> None:
    """Such as a drawing."""
    write_manifest(replace(BOOK, cover=b"<svg/>"), [1], tmp_path / "b.jsonl")
    assert json.loads((tmp_path / "b.jsonl").read_text())["cover"] == ""
    assert len(list((tmp_path / "b").iterdir())) == 1


def test_chapters_are_chosen_by_number() -> None:
    """Ranges and single ones, in the book's order; others are told."""
    assert selected(BOOK, "") == [1, 2, 3]
    assert selected(BOOK, "3, 1-2") == [1, 2, 3]
    for wrong in ("0", "4", "2-1", "x", "1-", "1-9"):
        with pytest.raises(UsageError, match="there are 1 to 3"):
            selected(BOOK, wrong)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    import sys

    path = write_epub(tmp_path / "a.epub", [("A", ["b."])])
    (tmp_path / "a.md").write_text("# x")
    monkeypatch.setitem(sys.modules, "defusedxml", None)
    monkeypatch.setitem(sys.modules, "markdown_it", None)
    for name in (path, tmp_path / "a.md"):
        with pytest.raises(MissingExtraError) as caught:
            read_book(name)
        assert "batchjobs[book]" in caught.value.hint
