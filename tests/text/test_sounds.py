"""What is to be heard of a text: each letter, mark, number and pause counted for what it is."""

import pytest

from batchjobs.text import Sounds, count_sounds

_MARKED = "السَّلامُ عَلَيْكُمْ وَرَحْمَةُ اللهِ"
_PLAIN = "السلام عليكم ورحمة الله"


def test_written_vowels_are_heard_beside_the_letters() -> None:
    """Diacritics add vowels and doubled letters; the letters are the same."""
    marked, plain = count_sounds(_MARKED), count_sounds(_PLAIN)
    assert plain.marks == 0.0
    assert marked == plain._replace(marks=11.0)  # ten vowels and a shadda; a sukun is none


def test_a_long_vowel_is_longer_than_a_consonant() -> None:
    """Alif, waw and ya stand for vowels that take their time."""
    assert count_sounds("باب").arabic > count_sounds("بتب").arabic


@pytest.mark.parametrize("nothing", ["\u0640\u0640\u0640", "\u200c", "\u200d", "\u200f", "\u0652"])
@pytest.mark.parametrize("text", [_MARKED, "hello there", "عدد 12 word"])
def test_what_makes_no_sound_counts_nothing(text: str, nothing: str) -> None:
    """Tatweel, joiners, direction marks and sukun, wherever they stand in a word."""
    inside = " ".join(word[:1] + nothing + word[1:] for word in text.split())
    if "12" in text:
        inside = inside.replace(f"1{nothing}2", "12")
    assert count_sounds(inside) == count_sounds(text)


@pytest.mark.parametrize(
    ("number", "other"),
    [("7", "٧"), ("1984", "١٩٨٤"), ("1000000", "١٠٠٠٠٠٠"), ("1,000,000", "١٬٠٠٠٬٠٠٠"), ("7", "۷")],
)
def test_digits_are_the_same_in_every_script(number: str, other: str) -> None:
    """Arabic-Indic and Persian digits are read as ASCII's, alone and in a sentence."""
    assert count_sounds(number) == count_sounds(other)
    assert count_sounds(f"عام {number} تقريبا") == count_sounds(f"عام {other} تقريبا")


def test_a_number_is_as_long_as_its_words() -> None:
    """A million is two words, and eight hundred million and so on are many."""

    def sounds_of(text: str) -> float:
        return count_sounds(text).numbers

    assert sounds_of("7") < sounds_of("1000000") < 3 * sounds_of("7")
    assert sounds_of("1000000") == sounds_of("1,000,000")
    assert sounds_of("1000000") < sounds_of("1234567") / 4
    assert sounds_of("1984") < sounds_of("2984")  # a year is read in two halves
    assert sounds_of("05012345") == 8 * sounds_of("7")  # digit by digit, as a telephone number
    assert sounds_of("0") == sounds_of("7")
    assert sounds_of("9" * 400) == 400 * sounds_of("7")
    assert sounds_of("عام 100") < sounds_of("year 100")  # Arabic has no "one" before it


def test_pauses_are_where_a_sentence_goes_on() -> None:
    """Marks of both scripts make pauses, but not the last of a text."""
    assert count_sounds("one two")[-2:] == (0.0, 0.0)
    for mark in ".!?:؟۔…":
        assert count_sounds(f"one{mark} two").stops == 1.0, mark
    for mark in ",;،؛":
        assert count_sounds(f"one{mark} two").breaks == 1.0, mark
    assert count_sounds("“one.” two").stops == 1.0
    assert count_sounds("one\n\ntwo").stops == 1.0
    assert count_sounds("one\ntwo").breaks == 1.0
    for text in ("3.14", "1,000", "10:30", "a-b", "one two.", "one two…»", "٣٫١٤", "at 9 a.m. we"):
        assert count_sounds(text)[-2:] == (0.0, 0.0), text


def test_marks_do_not_make_letters_into_initials() -> None:
    """The last letter of a word is no abbreviation because a mark stands before it."""
    assert count_sounds("كَتَب. ثُم").numbers == 0.0
    assert count_sounds("كَتَب. ثُم").stops == 1.0
    assert count_sounds("كَتَبَ\nثُم").breaks == 1.0


def test_composed_and_presentation_forms_are_the_same() -> None:
    """NFC and NFD, letters in the forms of old files, and a phrase in one character."""
    assert count_sounds("café") == count_sounds("cafe\u0301")
    assert count_sounds("\ufefb") == count_sounds("لا")
    assert count_sounds("\ufdfa") == count_sounds("صلى الله عليه وسلم")
    assert count_sounds("７") == count_sounds("7")


def test_a_long_text_of_marks_takes_no_time_to_count() -> None:
    """No pattern runs away over what is between the words."""
    assert count_sounds("a" + " .,;\n" * 20_000 + "b").words == 2.0


def test_signs_and_initials_are_words() -> None:
    """A percent sign and an abbreviation spelt out may take as long as a word."""
    assert count_sounds("7%").signs == count_sounds("٧٪").signs == count_sounds("$7").signs == 1.0
    assert count_sounds("the BBC said").numbers > 0.0
    assert count_sounds("أ.د. ليلى").numbers > 0.0
    assert count_sounds("the cat said").numbers == 0.0


@pytest.mark.parametrize("text", ["", " \n", "…", "«»", "ـــ", "\u200c\u200d", "\x00", "\ud800"])
def test_nothing_to_be_heard_is_nothing(text: str) -> None:
    """Blank texts, marks alone and broken characters are no sounds and no error."""
    assert count_sounds(text) == Sounds(*([0.0] * len(Sounds._fields)))


def test_other_scripts_are_heard() -> None:
    """Cyrillic, Greek, Chinese and accents composed or not."""
    assert count_sounds("привет").latin == 6.0
    assert count_sounds("你好").latin > count_sounds("ab").latin
