"""Differences for the eye: whole words, and the texts to the letter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchjobs.quality.marks import mark_differences
from tests.builders import ARABIC


@pytest.mark.parametrize(
    ("text", "heard", "shown", "heard_shown"),
    [
        ("", "", [""], [""]),
        ("one two", "one two", ["one two"], ["one two"]),
        ("red green blue", "red blue", ["red ", "green", " blue"], ["red blue"]),
        ("one", "", ["", "one", ""], [""]),
        ("", "one", [""], ["", "one", ""]),
        ("a b c d", "a x y d", ["a ", "b c", " d"], ["a ", "x y", " d"]),
        ("One, two!", "one two", ["One, two!"], ["one two"]),
        (
            "It cost 25 dollars.",
            "it cost twenty five dollars",
            ["It cost 25 dollars."],
            ["it cost twenty five dollars"],
        ),
        ("السَّلامُ عَلَيْكُمْ", "السلام عليكم", ["السَّلامُ عَلَيْكُمْ"], ["السلام عليكم"]),
        (
            "السَّلامُ عَلَيْكُمْ يا أحمد",
            "السلام يا محمد",
            ["السَّلامُ ", "عَلَيْكُمْ", " يا ", "أحمد", ""],
            ["السلام يا ", "محمد", ""],
        ),
        ("عام ١٩٤٨ في", "عام 1948 في", ["عام ١٩٤٨ في"], ["عام 1948 في"]),
        ("مكتبة trio مع", "مكتبة تريو مع", ["مكتبة ", "trio", " مع"], ["مكتبة ", "تريو", " مع"]),
    ],
)
def test_the_words_that_differ_stand_apart(
    text: str, heard: str, shown: list[str], heard_shown: list[str]
) -> None:
    """And what only spelling has one way or the other does not."""
    assert mark_differences(text, heard) == (shown, heard_shown)


_words = st.lists(
    st.sampled_from(
        [*ARABIC.split(), "one", "two", "25", "ثلاثة", "—", "東京", "\u202e", "\n", "\t"]
    )
)


@given(_words, _words)
def test_nothing_of_a_text_is_lost(one: list[str], other: list[str]) -> None:
    """Joined, the pieces are the text, whatever stands in it; what differs is never empty."""
    texts = " ".join(one), "  ".join(other)
    for text, pieces in zip(texts, mark_differences(*texts), strict=True):
        assert "".join(pieces) == text
        assert all(pieces[1::2])
        assert len(pieces) % 2


def test_a_chapter_is_marked_too() -> None:
    """Thousands of words take no more than the library does."""
    words = [f"كلمة{number}" for number in range(4_000)]
    shown, _ = mark_differences(" ".join(words), " ".join(words[:2_000] + words[2_100:]))
    assert shown[1] == " ".join(words[2_000:2_100])
