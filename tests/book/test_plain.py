"""Texts and Markdown to chapters, without their marks."""

from pathlib import Path

import pytest

from batchjobs.book import Book, read_book
from batchjobs.errors import ManifestError, UsageError


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


def _read(tmp_path: Path, text: str) -> Book:
    path = tmp_path / "a.txt"
    path.write_text(text)
    return read_book(path)


def test_a_heading_is_a_line_whether_blank_lines_are_about_it_or_not(tmp_path: Path) -> None:
    """In both scripts; a line that goes on with a sentence is none."""
    book = _read(
        tmp_path,
        "Chapter 1\nAlpha.\nMore.\nchapter.002\nBravo went to\nChapter 2 of the book.\n"
        "الفصل الثالث\nكان الليل.\nChapter 4: The End\n\nDelta.\n",
    )
    assert [(c.title, c.text) for c in book.chapters] == [
        ("Chapter 1", "Chapter 1\n\nAlpha.\nMore."),
        ("chapter.002", "chapter.002\n\nBravo went to\nChapter 2 of the book."),
        ("الفصل الثالث", "الفصل الثالث\n\nكان الليل."),
        ("Chapter 4: The End", "Chapter 4: The End\n\nDelta."),
    ]


def test_lines_broken_to_fit_a_page_are_joined_and_verse_is_not(tmp_path: Path) -> None:
    """With the words that were broken; one that has its hyphen elsewhere keeps it."""
    prose = (
        "Alice was begin-\nning to get very tired of sit-\nting by her much and well-\nknown sister on the\n"
        "bank, a well-known one, of\nhaving nothing to do."
    )
    verse = "How doth the little\nCrocodile\nImprove his\nshining tail"
    assert _read(tmp_path, f"{prose}\n").chapters[0].text == (
        "Alice was beginning to get very tired of sitting by her much and well-known sister on the bank, "
        "a well-known one, of having nothing to do."
    )
    assert _read(tmp_path, f"{verse}\n").chapters[0].text == verse
    mixed = "It was a long line of prose, as long\nas the page is wide and wider, so that\n"
    mixed = f"{mixed * 10}it ended.\n\n{verse}\n"
    assert _read(tmp_path, mixed).chapters[0].text.split("\n\n")[1] == verse
    lines = "Every line is a paragraph here.\nAnd so is the next one of it.\nAnd the third too."
    assert _read(tmp_path, lines).chapters[0].text == lines


def test_the_licence_and_the_contents_of_a_plain_book_are_left_out(tmp_path: Path) -> None:
    """And told."""
    book = _read(
        tmp_path,
        "A licence.\n\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\nCONTENTS\n\n"
        "CHAPTER I. Down\nCHAPTER II. Up\n\n\nCHAPTER I.\nDown\n\nAlpha.\n\nCHAPTER II.\nUp\n\n"
        "Bravo.\n\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\n\nMore licence.\n",
    )
    assert [(c.title, c.text) for c in book.chapters] == [
        ("CHAPTER I. Down", "CHAPTER I.\nDown\n\nAlpha."),
        ("CHAPTER II. Up", "CHAPTER II.\nUp\n\nBravo."),
    ]
    assert book.left_out == (
        "the licence about the book: 121 characters",
        "a table of contents: 3 lines",
    )


def test_a_text_is_without_letters_for_the_eye_and_chapters_of_signs(tmp_path: Path) -> None:
    """Neither can be said."""
    book = _read(tmp_path, "ﻣﺮﺣﺒﺎ so\u00adft\n\f* * *\n\f\nmo{12}re\n")
    assert [c.text for c in book.chapters] == ["مرحبا soft", "more"]
    assert book.left_out == (
        "page numbers: 1",
        "'* * *': nothing to read aloud (* * *)",
    )


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
        ("Chapter Twenty-One", True),
        ("Chapter 1 The Beginning", True),
        ("الفصل الثاني عشر", True),
        ("Part of me wanted to go.", False),
        ("Chapter 2 was the one that he liked best.", False),
        ("الفصل الأول من الكتاب كان طويلا.", False),
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
    assert book.left_out[0] == "blocks of code: 1"
    assert any(line.startswith("notes: 1 ") for line in book.left_out)


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


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# كتاب\n\n## أول\n\nنصّ.\n\n## ثانٍ\n\nنصّ.\n", "كتاب"),
        ("# Book\n\n# One\n\ntext\n\n# Two\n\ntext\n", "Book"),
        ("# Only\n\ntext\n", "Only"),
        ("---\ntitle: Facts\n---\n\n# Book\n\n## One\n\ntext\n", "Facts"),
        ("# One\n\ntext\n\n# Two\n\ntext\n", "file"),
        ("## Before\n\ntext\n\n# After\n\ntext\n", "file"),
        ("text\n", "file"),
    ],
)
def test_a_markdown_books_title_is_its_first_heading(tmp_path: Path, text: str, title: str) -> None:
    """If it is the only one of its level or stands bare; chapters are no title."""
    (tmp_path / "file.md").write_text(text)
    assert read_book(tmp_path / "file.md").title == title
