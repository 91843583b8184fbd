"""What is no prose is left out and told, and prose that only looks like it is read."""

from pathlib import Path

import pytest

from batchjobs.book import Book, read_book
from tests.book.epubs import body, epub2


def _read(tmp_path: Path, *pages: str, **extra: str) -> Book:
    named = {f"{n}.xhtml": body(page) for n, page in enumerate(pages)}
    return read_book(epub2(tmp_path / "a.epub", named, "", list(named), **extra))


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>a <span epub:type='pagebreak'>‘But</span> no.</p>", "a ‘But no."),
        ("<p>a</p><p epub:type='pagebreak'>He went round.</p><p>b</p>", "a\n\nHe went round.\n\nb"),
        ("<p>a</p><div role='doc-pagebreak'><p>12</p></div><p>b</p>", "a\n\nb"),
        ("<h2 role='doc-pagebreak'>The River</h2><p>b</p>", "The River\n\nb"),
        ("<p>End<span role='doc-pagebreak'>xvi</span>.</p>", "End."),
        ("<p>a <span class='pagenum'>{17}</span>so</p>", "a so"),
        ("<p>a <span class='page-number'>16</span>so</p>", "a so"),
        ("<p>a <a id='page_14' class='page'>14</a>so</p>", "a so"),
        ("<p>a <span class='pagenum'>ص ١٤</span>ثم</p>", "a ثم"),
        ("<p class='page'>A whole page of prose.</p>", "A whole page of prose."),
        ("<p>the <a epub:type='noteref' href='#n'>heath</a> is</p>", "the heath is"),
        ("<h2><a epub:type='backlink' href='#toc'>Chapter 1</a></h2><p>b</p>", "Chapter 1\n\nb"),
        (f"<section epub:type='cover'><p>{'word ' * 400}</p></section>", ("word " * 400).strip()),
        ("<h:p xmlns:h='x'>one</h:p><h:p>two</h:p>", "one\n\ntwo"),
        ("<p><img alt='O'/>nce upon</p>", "Once upon"),
        ("<p><img alt='Drop cap T'/> he man</p>", "The man"),
        ("<p><img alt='A'/></p><p>b</p>", "b"),
        ("<p><img alt='a house'/>b</p>", "b"),
        ("<p>is <math alttext='pi r squared'><mi>π</mi></math> for</p>", "is pi r squared for"),
        ("<p>If <math><mi>x</mi><mo>=</mo><mn>3</mn></math> then</p>", "If x = 3 then"),
        ("<p>is <img class='math' alt='x + 1'/> for</p>", "is x + 1 for"),
    ],
)
def test_no_prose_is_lost(tmp_path: Path, page: str, text: str) -> None:
    """An element's role is believed only if what it holds agrees."""
    assert _read(tmp_path, page).chapters[0].text == text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>equation (<a href='#e'>4</a>) and §<a href='#s'>3</a></p>", "equation (4) and §3"),
        ("<p>Figure 2-<a href='#f'>3</a>, John 3:<a href='#v'>16</a></p>", "Figure 2-3, John 3:16"),
        ("<p>“<a href='#a'>a</a>” is a letter</p>", "“a” is a letter"),
        ("<p>in 1969.<a href='#a'>3</a> He</p>", "in 1969. He"),
        ("<p>see 2.<a href='#a'>3</a></p>", "see 2.3"),
        ("<p>and [<a href='#a'>3</a>] came.<sup>4</sup> So</p>", "and came. So"),
        ("<p>10<sup>6</sup> km<sup>2</sup></p>", "10⁶ km2"),
        ("<p>in 1969<sup>3</sup> he</p>", "in 1969 he"),
        ("<p>10<sup>-3</sup> ١٠<sup>٦</sup></p>", "10⁻³ ١٠⁶"),
        ("<p>عام ١٩٦٩<sup>٣</sup> كان</p>", "عام ١٩٦٩ كان"),
        ("<p>word¹ said.² In 1969³ 2³ m²</p>", "word said. In 1969 2³ m²"),
        ("<p>{12} he {ii} ran [Pg 13] off {x, y} {}</p>", "he ran off {x, y} {}"),
        (
            "<p>T <a href='#d' id='e'>[1]</a> on.</p><table class='footnote' id='d'><tr><td>Note.</table>",
            "T on.",
        ),
        ("<p>the 1<sup>st</sup> of M<sup>me</sup></p>", "the 1st of Mme"),
        ("<p>last<a href='#f' class='x'><span class='sup'>6</span></a>.</p>", "last."),
        ("<p>text <a class='footnote-reference brackets' href='#f'>1</a> on</p>", "text on"),
        (
            "<p>in\u00adcom zero\u200bwid\u2060th\ufeff م\u200cن\u200d</p>",
            "incom zerowidth م\u200cن\u200d",
        ),
        ("<p>ﻣﺮﺣﺒﺎ ﷺ ﹰ</p>", "مرحبا صلى الله عليه وسلم \u064b"),
        (
            "<p>a <span style='display : none'>Z</span><b style='visibility:hidden'>Q</b>b</p>",
            "a b",
        ),
        (
            "<style>.x, p.y { display: none }</style><p class='y'>Z</p><p class='x'>Q</p><p>b</p>",
            "b",
        ),
        ("<style>.x{display:none} .x{display:block}</style><p class='x'>b</p>", "b"),
        ("<style>@media amzn-mobi { .x {display:none} }</style><p class='x'>b</p>", "b"),
        ("<style media='print'>.x{display:none}</style><p class='x'>b</p>", "b"),
    ],
)
def test_noise_is_not_bought(tmp_path: Path, page: str, text: str) -> None:
    """Marks, hidden text, letters for the eye; and what only looks like them."""
    assert _read(tmp_path, page).chapters[0].text == text


def test_notes_are_known_by_their_links_in_both_directions(tmp_path: Path) -> None:
    """Whatever they are called, on the page or on another; contents and chapters are none."""
    book = _read(
        tmp_path,
        "<h1 id='c'><a href='1.xhtml#t'>1</a></h1><p>He wept<a id='r1' href='#f1'>1</a> and"
        "<a id='r2' href='1.xhtml#f2'>2</a> slept.</p><div class='odd' id='f1'><p>"
        "<a href='#r1'>1</a> See the ledger.</p><p>More of it.</p></div>",
        "<p>Of chapter <a id='t' href='0.xhtml#c'>1</a></p>"
        "<p><a id='f2' href='0.xhtml#r2'>2</a> A note.</p><p>Prose.</p>",
    )
    assert [c.text for c in book.chapters] == ["1\n\nHe wept and slept.", "Of chapter 1\n\nProse."]
    assert "notes: 2 (39 characters)" in book.left_out


def test_what_is_left_out_of_pages_is_told_with_a_count(tmp_path: Path) -> None:
    """By its kind."""
    book = _read(
        tmp_path,
        "<p>a<span class='pagenum'>12</span><span hidden=''>Z</span></p><aside class='footnote'>"
        "A note.</aside><p><math><mfrac><mi>a</mi><mi>b</mi></mfrac></math></p>",
        "<p>* * *</p>",
        "<p>b</p>",
    )
    assert set(book.left_out) == {
        "page numbers: 1 (2 characters)",
        "hidden texts: 1 (1 character)",
        "notes: 1 (7 characters)",
        "formulas without words for them: 1 (3 characters)",
        "OEBPS/1.xhtml: nothing to read aloud (* * *)",
    }
    assert [c.text for c in book.chapters] == ["a", "b"]


def test_what_a_style_sheet_hides_is_not_read(tmp_path: Path) -> None:
    """Also one in a file of its own."""
    page = body("<p class='x'>Z</p><p>b</p>").replace(
        "<head>", "<head><link rel='stylesheet' href='s.css'/>"
    )
    path = epub2(
        tmp_path / "a.epub",
        {"a.xhtml": page},
        "",
        ["a.xhtml"],
        **{"OEBPS/s.css": ".x{display:none}"},
    )
    assert read_book(path).chapters[0].text == "b"
