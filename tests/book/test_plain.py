"""Texts and Markdown to chapters, without their marks."""

from pathlib import Path

import pytest

from batchjobs.book import read_book
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
