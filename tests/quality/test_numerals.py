"""Numbers are found by their value, however they are written."""

import random

import pytest

from batchjobs.quality.normalize import normalize

VALUES = {
    "three": "3",
    "ثلاثة": "3",
    "٣": "3",
    "3": "3",
    "nineteen ninety-eight": "1998",
    "one thousand nine hundred and ninety eight": "1998",
    "ألف وتسعمئة وثمانية وتسعون": "1998",
    "ألفٌ وتسعُ مائةٍ وثمانيةٌ وتسعين": "1998",
    "خمسة وعشرون": "25",
    "twenty five": "25",
    "أحد عشر": "11",
    "اثنتا عشرة": "12",
    "ثلاثة عشر ألفا": "13000",
    "مئتان وواحد": "201",
    "ثلاثمائة وخمسة وستون": "365",
    "ألفان وستة وعشرون": "2026",
    "two thousand and twenty six": "2026",
    "مليونان وخمسمئة ألف": "2500000",
    "five hundred thousand and one": "500001",
    "twelve hundred": "1200",
    "zero five five": "055",
    "صفر خمسة خمسة": "055",
    "عشرة آلاف": "10000",
    "bread and three": "bread and 3",
    "خبز و ثلاثة": "خبز و 3",
    "واحد وعشرون كتابا": "21 كتابا",
    "hundreds of thousands": "hundreds of thousands",
    "and": "and",
    "و": "و",
    "وألف ليلة وليلة": "1000 ليله وليله",
}


@pytest.mark.parametrize("text", VALUES)
def test_numbers_have_one_form(text: str) -> None:
    """In words, Arabic and English, in digits of any script, alone and within a sentence."""
    assert normalize(text) == VALUES[text]
    assert normalize(f"قال {text} نعم") == f"قال {VALUES[text]} نعم"


def test_any_words_of_numbers_come_to_an_end() -> None:
    """Words in an order that nobody says give digits all the same, and no word is lost."""
    words = "ثلاثة عشر وعشرون مئة ألف ألفان مليون five hundred and ten thousand و twenty".split()
    dice = random.Random(4)
    for _ in range(2_000):
        text = " ".join(dice.choices(words, k=dice.randint(1, 8)))
        found = normalize(f"x {text} y").split()
        assert (found[0], found[-1]) == ("x", "y")
        assert all(word.isdecimal() or word in {"and", "و"} for word in found[1:-1])
