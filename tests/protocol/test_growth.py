"""Words keep their times when a later transcript spells them otherwise."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchjobs.protocol.growth import Growth

WORDS = (
    "one day the old ferry left the island with twenty five goats and a priest who sang all the "
    "way over to the other side where nobody was waiting"
).split()


def hear_words(revise: Callable[[str], str]) -> Growth:
    """A word a second, and at the end the whole of it once more, revised."""
    growth = Growth()
    for count in range(1, len(WORDS) + 1):
        growth.note(" ".join(WORDS[:count]), float(count))
    growth.note(revise(" ".join(WORDS)), 99.0)
    return growth


@pytest.mark.parametrize(
    "revise",
    [
        str.capitalize,
        str.upper,
        lambda text: text + ".",
        lambda text: text.replace("the old", "the, old"),
        lambda text: text.replace("ferry", "fairy"),
    ],
)
def test_a_revision_of_spelling_changes_no_time(revise: Callable[[str], str]) -> None:
    """A capital, a comma, a word heard better."""
    assert hear_words(revise).ends == [float(count) for count in range(1, len(WORDS) + 1)]


def test_arabic_spelt_otherwise_keeps_its_times() -> None:
    """Marks, tatweel, hamza and the letters that are often taken for each other."""
    growth = Growth()
    plain = ["ذهب", "الى", "المدرسه", "الجديده"]
    for count in range(1, len(plain) + 1):
        growth.note(" ".join(plain[:count]), float(count))
    growth.note("ذَهَبَ إلى المدرسة الجـديدة،", 9.0)
    assert growth.ends == [1.0, 2.0, 3.0, 4.0]


def test_a_number_ends_where_its_words_did() -> None:
    """And what follows it stays in its place."""
    ends = hear_words(lambda text: text.replace("twenty five", "25")).ends
    assert ends == [*map(float, range(1, 10)), *map(float, range(11, len(WORDS) + 1))]


def test_a_word_put_in_stands_beside_the_one_before() -> None:
    """Not at the time of the revision."""
    ends = hear_words(lambda text: text.replace("old ferry", "old red ferry")).ends
    assert ends[3:6] == [4.0, 4.0, 5.0]


def test_what_is_new_was_said_now() -> None:
    """Also if the last word has changed as it grew."""
    growth = Growth()
    growth.note("we go", 1.0)
    growth.note("We going home now.", 2.0)
    assert growth.ends == [1.0, 1.0, 2.0, 2.0]


def test_signs_of_scripts_without_spaces_have_times_of_their_own() -> None:
    """Where a language puts no space, each sign is a word."""
    growth = Growth()
    growth.note("今天", 1.0)
    growth.note("今天，我们", 2.0)
    assert growth.ends == [1.0, 1.0, 2.0, 2.0]


@given(st.lists(st.lists(st.sampled_from("a b B c, d 25 今天".split()), max_size=12), max_size=8))
def test_each_word_has_a_time_and_none_goes_back(answers: list[list[str]]) -> None:
    """Whatever a service makes of what it said."""
    growth = Growth()
    for number, words in enumerate(answers):
        growth.note(" ".join(words), float(number))
        assert all(a <= b for a, b in pairwise(growth.ends))
        assert len(growth.ends) == len(" ".join(words).replace("今天", "今 天").split())
