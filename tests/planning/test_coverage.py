"""Which texts hold as much as all of them do."""

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from batchjobs.planning.coverage import (
    Candidate,
    choose_texts,
    find_pairs,
    find_spoken_words,
)


def _candidates(texts: Sequence[str], voice: str = "v") -> list[Candidate]:
    return [Candidate(at, voice, text, float(len(text))) for at, text in enumerate(texts, 1)]


def _pairs_of(*texts: str) -> set[str]:
    return {pair for text in texts for pair in find_pairs(find_spoken_words(text))}


def test_letters_are_paired_with_their_marks() -> None:
    """A vowel mark makes another letter; a word's edges are neighbours; words stay apart."""
    assert list(find_pairs(find_spoken_words("دَرس"))) == [" دَ", "دَر", "رس", "س "]
    assert _pairs_of("درس") != _pairs_of("دَرس")
    assert "سم" not in _pairs_of("درس مهم")


def test_what_is_spoken_alike_is_the_same() -> None:
    """Tatweel, joiners, capitals and the two ways to write a letter make no pairs of their own."""
    assert _pairs_of("جميـــلة") == _pairs_of("جميلة")
    assert _pairs_of("می\u200cخواهم") == _pairs_of("میخواهم")
    assert _pairs_of("ا\u0653من Café") == _pairs_of("آمن cafe\u0301")
    assert list(find_spoken_words("في ١٩٤٨، he said: «لن»")) == ["في", "١٩٤٨", "he", "said", "لن"]


@given(st.lists(st.text("abcد َرس", min_size=1, max_size=12), min_size=1, max_size=12))
def test_a_choice_holds_every_pair_of_all(texts: list[str]) -> None:
    """Without a limit nothing that is there is missing, and nothing taken is of no use."""
    chosen, coverage = choose_texts(_candidates(texts))
    taken = [texts[at - 1] for at in chosen]
    assert _pairs_of(*taken) == _pairs_of(*texts)
    assert coverage.pairs == coverage.of_pairs == len(_pairs_of(*texts))
    assert (coverage.rows, coverage.of_rows) == (len(taken), len(texts))
    assert chosen == sorted(set(chosen))


@given(
    st.lists(st.text("abcde ", min_size=1, max_size=9), min_size=1, max_size=10),
    st.integers(1, 30),
)
def test_a_choice_is_the_greedy_one_and_can_be_paid(texts: list[str], most: int) -> None:
    """Counting every gain anew at every step would take texts of the same worth."""
    chosen, coverage = choose_texts(_candidates(texts), most_cost=float(most))
    assert coverage.rows == len(chosen)
    assert sum(len(texts[at - 1]) for at in chosen) <= most
    held, spent, units = set[str](), 0, [_pairs_of(text) for text in texts]
    while True:
        payable = [
            (len(units[at] - held) / len(text), at)
            for at, text in enumerate(texts)
            if units[at] - held and spent + len(text) <= most
        ]
        if not payable:
            break
        # Of equal worth the earlier one is taken.
        at = min(payable, key=lambda found: (-found[0], found[1]))[1]
        assert at + 1 in chosen
        held |= units[at]
        spent += len(texts[at])


def test_what_money_is_left_goes_to_words() -> None:
    """Once every pair is there, texts with new words are worth having; without a limit they are not."""
    texts = ["ab ba", "abab", "baba", "ab"]
    few, _ = choose_texts(_candidates(texts))
    many, coverage = choose_texts(_candidates(texts), most_cost=1_000.0)
    assert set(few) < set(many)
    assert coverage.words == coverage.of_words == 4


def test_what_is_bought_need_not_be_chosen_and_a_voice_covers_only_itself() -> None:
    """Clips that are there count; another voice's say nothing of how this one speaks."""
    assert choose_texts(_candidates(["abc"]), bought=[("v", "abc")])[0] == []
    assert choose_texts(_candidates(["abc"]), bought=[("other", "abc")])[0] == [1]
    both = [*_candidates(["abc"]), Candidate(2, "w", "abc", 3.0)]
    assert choose_texts(both)[0] == [1, 2]


def test_a_fraction_of_a_library_holds_what_all_of_it_holds() -> None:
    """Of all words of four letters out of six, each pair is in far fewer."""
    texts = ["".join(word) for word in itertools.product("ابتثجح", repeat=4)]
    chosen, coverage = choose_texts(_candidates(texts))
    assert coverage.pairs == coverage.of_pairs == 36 + 12
    assert len(chosen) < len(texts) / 50
