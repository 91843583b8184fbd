"""Chapters to the rows of a manifest."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from batchjobs.book import Book, Chapter, read_book, select_chapters, write_manifest
from batchjobs.errors import MissingExtraError, OutputError, UsageError
from tests.books import write_epub

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
    write_manifest(BOOK, [1], str(tmp_path / "b.jsonl"))
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
    assert select_chapters(BOOK, "") == [1, 2, 3]
    assert select_chapters(BOOK, "3, 1-2") == [1, 2, 3]
    for wrong in ("0", "4", "2-1", "x", "1-", "1-9"):
        with pytest.raises(UsageError, match="there are 1 to 3"):
            select_chapters(BOOK, wrong)


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
