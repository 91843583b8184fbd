"""Titles are cut between whole letters, and only if they have to be."""

import pytest
from grapheme import graphemes

from batchjobs.audiobook.titles import MOST_TITLE_BYTES, cut_title, is_too_long

FAMILY = "👨\u200d👩\u200d👧\u200d👦"


@pytest.mark.parametrize(
    "title",
    [
        "ا" * 128,
        "مُقَدِّمَةٌ " * 30,
        "كتـــاب می\u200cخواهم " * 12,
        FAMILY * 20,
        "e\u0301\u0323" * 90,
        "Chapter: " + "ـ" * 200,
        "x" * 256,
        "🇸🇦" * 40,
    ],
)
def test_a_title_is_cut_between_letters(title: str) -> None:
    """With all their marks and joiners; as much of it as fits, and an ellipsis."""
    cut = cut_title(title)
    assert is_too_long(title)
    assert len(cut.encode()) <= MOST_TITLE_BYTES
    assert cut.endswith("…")
    line = " ".join(title.split())
    whole = list(graphemes(line))
    shown = list(graphemes(cut.removesuffix("…")))
    assert whole[: len(shown)] == shown
    following = "".join(whole[len(shown) : len(shown) + 2])
    assert len((cut + following).encode()) > MOST_TITLE_BYTES


@pytest.mark.parametrize("title", ["", "الفصل الأوّل", "ا" * 127 + "x"])
def test_a_title_that_fits_stays(title: str) -> None:
    """To the byte."""
    assert not is_too_long(title)
    assert cut_title(title) == title


def test_a_title_stands_on_one_line() -> None:
    """Whatever a manifest has between its words."""
    assert cut_title(" a\n\tb  c ") == "a b c"
