"""Words found in texts with spaces and without."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchjobs.text import are_written_together, find_words, split_words, to_comparable


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" one, two\n", ["one,", "two"]),
        ("سلامٌ عليكم", ["سلامٌ", "عليكم"]),
        ("old tree.Please call", ["old", "tree.", "Please", "call"]),
        (
            "نعم.شكرا ق.م. U.S.A. ASP.NET e.g.this",
            ["نعم.", "شكرا", "ق.م.", "U.S.A.", "ASP.NET", "e.g.this"],
        ),
        ("한국어 말", ["한국어", "말"]),
        ("今天，讨论(好)。", ["今", "天，", "讨", "论", "(好)。"]),
        ("用iPhone拍 ok", ["用", "iPhone", "拍", "ok"]),
        ("ちょっと。データ", ["ちょっ", "と。", "デー", "タ"]),
        ("เก็บน้ำ", ["เก็", "บ", "น้ำ"]),
        ("ខ្មែរ។", ["ខ្មែ", "រ។"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    """Marks and vowels stay with their sign, punctuation with its word."""
    assert split_words(text) == words


@given(st.text("a1 .,<>()「」。今天ーっกาเ็ำខ្ម\u200b\u0301سل"))
def test_no_letter_is_lost(text: str) -> None:
    """All words together are the text without its white space."""
    words = find_words(text)
    assert "".join(text[begin:end] for begin, end in words) == "".join(text.split())


def test_texts_without_spaces_are_written_together() -> None:
    """Only where both sides of a seam have none."""
    assert are_written_together("好。", "「今天")
    assert are_written_together("เก็", "บ")
    assert not are_written_together("好", "ok")
    assert not are_written_together("word", "word")
    assert not are_written_together("", "好")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The", "the,"),
        ("السَّلامُ", "السلام"),
        ("الســـلام", "السلام"),
        ("إلى", "الي"),
        ("ٱلمدرسة", "المدرسه"),
        ("مسؤول", "مسوول"),
        ("می\u200cخواهم", "میخواهم"),
        ("٢٥", "٢٥."),
        ("ﷲ", "اللّٰه"),
        ("…", "…"),
    ],
)
def test_spellings_of_a_word_compare_equal(one: str, other: str) -> None:
    """Capitals, marks and forms of a letter apart; a word of marks alone is itself."""
    assert to_comparable(one) == to_comparable(other) != ""


def test_other_words_stay_others() -> None:
    """Letters and digits make a word."""
    words = ["the", "them", "من", "منا", "25", "٢٥", "—", "…"]
    assert len({to_comparable(word) for word in words}) == len(words)
