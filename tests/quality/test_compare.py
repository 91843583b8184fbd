"""What is missing, and where; and error rates that are the field's own."""

import builtins
import random
from typing import Any

import jiwer
import pytest

from batchjobs.errors import MissingExtraError
from batchjobs.quality.compare import compare
from batchjobs.quality.normalize import normalize

TEXT = "قالت الجدة إن السوق القديم كان يعج بالناس صباح كل يوم قبل أن تشرق الشمس على البيوت"
WORDS = TEXT.split()


def _missing(heard: str) -> tuple[str, int, int]:
    found = compare(TEXT, heard).missing
    assert found is not None
    return found.words, found.count, found.first


def test_the_same_words_are_faultless_however_they_are_spelt() -> None:
    """No spelling that the steps leave out counts."""
    found = compare("أنتَ في الـمدرسة، ١٢ سنة!", "انت في المدرسه اثنتا عشرة سنه")
    assert (found.cer, found.wer, found.unheard, found.unexpected) == (0, 0, 0, 0)
    assert found.missing is None
    assert found.foreign is None


def test_a_lost_clause_is_found_where_it_stood() -> None:
    """In the middle, at the end, at the beginning: its words, how many, and from which on."""
    assert _missing(" ".join(WORDS[:5] + WORDS[9:])) == (" ".join(WORDS[5:9]), 4, 5)
    assert _missing(" ".join(WORDS[:12])) == (" ".join(WORDS[12:]), 5, 12)
    assert _missing(" ".join(WORDS[4:])) == (" ".join(WORDS[:4]), 4, 0)
    assert _missing("") == (TEXT, 17, 0)


def test_a_repeated_clause_is_foreign() -> None:
    """Nothing is missing, and what came twice is told."""
    found = compare(TEXT, " ".join(WORDS[:9] + WORDS[5:]))
    assert found.missing is None
    assert found.foreign is not None
    assert found.foreign.count == 4
    assert sorted(found.foreign.words.split()) == sorted(WORDS[5:9])


def test_a_misheard_word_is_not_a_lost_one() -> None:
    """Letters more, less or other, a space too many: the recogniser's, and no run of them counts."""
    heard = TEXT.replace("السوق القديم كان", "السوك القديمه كانا").replace("بالناس", "بال ناس")
    found = compare(TEXT, heard)
    assert found.wer > 0.2
    assert (found.unheard, found.unexpected) == (0, 0)


def test_a_short_word_that_fits_by_chance_ends_no_run() -> None:
    """A wrong sentence has an "in" and an "on", too."""
    found = compare("the cat sat on the mat by a door", "one bird flew on over seven hills")
    assert found.missing_count >= 7


def test_numbers_that_are_read_otherwise_are_nobodys_fault() -> None:
    """A price has more words than a text shows: neither lost nor foreign."""
    found = compare("it costs $3.50 today", "it costs three dollars and fifty cents today")
    assert (found.missing, found.foreign) == (None, None)


def test_a_long_clip_is_compared_soon() -> None:
    """A chapter that is another one altogether: no word is compared with every other."""
    dice = random.Random(1)
    one, other = ([f"{dice.randrange(10**6):x}q" for _ in range(5_000)] for _ in range(2))
    found = compare(" ".join(one), " ".join(other))
    assert found.missing_count > 10


def test_error_rates_are_those_of_jiwer() -> None:
    """Another program counts the same errors, for texts of any likeness."""
    dice = random.Random(2)
    for _ in range(200):
        said = dice.choices([*WORDS, "run", "it"], k=dice.randint(1, 30))
        heard = [word for word in said if dice.random() < 0.9]
        heard += dice.choices(WORDS, k=dice.randint(0, 3))
        found = compare(" ".join(said), " ".join(heard))
        one, other = normalize(" ".join(said)), normalize(" ".join(heard))
        assert found.wer == pytest.approx(jiwer.wer(one, other))
        assert found.cer == pytest.approx(jiwer.cer(one, other))


def test_a_missing_library_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what to install."""
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("rapidfuzz"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match="check") as caught:
        compare("a", "b")
    assert "check" in caught.value.hint
