"""Parts that overlap: each moment's words once, whatever either side has heard."""

import random
from collections.abc import Sequence

import pytest

from batchjobs.transcripts.joining import TranscriptPart, join_parts

Said = tuple[str, float]
"""A word, and when it ended in the recording."""

BEFORE: list[Said] = [("and", 57.2), ("so", 57.5), ("we", 57.9)]


def hear(start: float, words: Sequence[Said], overlap: float = 2.0) -> TranscriptPart:
    """What was heard in a minute from a moment on."""
    return TranscriptPart(
        start_seconds=start,
        seconds=60.0,
        overlap_seconds=overlap if start else 0.0,
        text=" ".join(word for word, _ in words),
        word_end_seconds=tuple(round(end - start, 3) for _, end in words),
    )


@pytest.mark.parametrize(
    ("left", "right", "wholes"),
    [
        (
            [("went", 58.4), ("to", 58.7), ("the", 58.9), ("big", 59.3), ("house", 59.9)],
            [("went", 58.4), ("to", 58.7), ("a", 58.9), ("big", 59.3), ("house", 59.9)],
            {"went to the big house", "went to a big house"},
        ),
        (
            [("paid", 58.4), ("twenty", 58.9), ("dollars", 59.6), ("each", 59.9)],
            [("paid", 58.4), ("20", 58.9), ("dollars", 59.6), ("each", 59.9)],
            {"paid twenty dollars each", "paid 20 dollars each"},
        ),
        (
            [("went", 58.4), ("to", 58.7), ("the", 58.9), ("house", 59.9)],
            [("went", 58.4), ("uh", 58.5), ("to", 58.7), ("the", 58.9), ("house", 59.9)],
            {"went to the house", "went uh to the house"},
        ),
        (
            [("absolutely", 58.6), ("marvellous", 59.2), ("house", 59.9)],
            [("looty", 58.5), ("marble", 59.2), ("house", 59.9)],
            {"absolutely marvellous house"},
        ),
        (
            [("a", 58.3), ("well", 58.7), ("known", 59.0), ("man", 59.8)],
            [("a", 58.3), ("well-known", 59.0), ("man", 59.8)],
            {"a well known man", "a well-known man"},
        ),
        (
            [("ذهبنا", 58.4), ("الى", 58.7), ("البيت", 59.3), ("الكبير", 59.9)],
            [("ذهبنا", 58.4), ("إلى", 58.7), ("بيت", 59.3), ("الكبير", 59.9)],
            {"ذهبنا الى البيت الكبير", "ذهبنا إلى بيت الكبير"},
        ),
        ([("yes", 58.9), ("sir", 59.5)], [("yester", 59.3)], {"yes sir"}),
        ([("no", 59.8)], [("nobody", 60.3)], {"nobody"}),
        ([("it", 58.2)], [("totally", 59.2), ("otherwise", 59.9)], {"totally otherwise"}),
    ],
)
def test_an_overlap_that_is_heard_otherwise_is_there_once(
    left: list[Said], right: list[Said], wholes: set[str]
) -> None:
    """As either side has heard it, not as both."""
    goes_on = [*right, ("then", 61.5)]
    found = join_parts([hear(0.0, BEFORE + left), hear(58.0, goes_on)])
    assert found.text in {f"and so we {whole} then" for whole in wholes}
    assert [word.text for word in found.words] == found.text.split()


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([(0.0, [("very", 59.1)]), (58.0, [("very", 60.1), ("good", 60.5)])], "very very good"),
        ([(0.0, [("amen", 30.0)]), (58.0, [("amen", 80.0), ("he", 81.0)])], "amen amen he"),
        (
            [(0.0, [("thank", 40.5), ("you", 41.0)]), (58.0, []), (116.0, [("you", 120.0)])],
            "thank you you",
        ),
    ],
)
def test_what_is_said_again_at_another_time_stays(
    parts: list[tuple[float, list[Said]]], whole: str
) -> None:
    """Words that were not said in the overlap are no repetition of it."""
    found = join_parts([hear(start, words) for start, words in parts])
    assert found.text.split() == whole.split()


def test_an_overlap_that_only_one_side_understood_is_kept() -> None:
    """Whichever side it is."""
    said = [("word", 58.9), ("for", 59.3), ("word", 59.8)]
    after = [("then", 62.0)]
    for left, right in ((BEFORE + said, after), (BEFORE, said + after)):
        assert (
            join_parts([hear(0.0, left), hear(58.0, right)]).text == "and so we word for word then"
        )


@pytest.mark.parametrize("late_seconds", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("words", ["lord have mercy", "one two three four"])
@pytest.mark.parametrize("seed", range(5))
def test_a_litany_loses_no_word(words: str, seed: int, late_seconds: float) -> None:
    """Said for five minutes without a pause, and answered once a second: each word as often."""
    parts, spoken = _recite(words.split(), seed, late_seconds)
    assert join_parts(parts).text.split() == spoken


@pytest.mark.parametrize("late_seconds", [0.0, 1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_service_that_answers_late_doubles_nothing(seed: int, late_seconds: float) -> None:
    """The last words of a part come all at once, when it has ended: they are put back in time."""
    dice = random.Random(seed)
    words = ["".join(dice.choices("abdeghiklmnorstuvz", k=dice.randint(2, 8))) for _ in range(997)]
    parts, spoken = _recite(words, seed, late_seconds)
    assert join_parts(parts).text.split() == spoken


def _recite(
    words: list[str], seed: int, late_seconds: float
) -> tuple[list[TranscriptPart], list[str]]:
    """Say words again and again, cut where no word is torn.

    Returns:
        The parts as they are heard, and what was said.
    """
    dice = random.Random(seed)
    said: list[tuple[float, float, str]] = []
    at = 0.0
    while at < 300:
        word = words[len(said) % len(words)]
        end = at + len(word) * 0.07 + dice.uniform(0.05, 0.15)
        said.append((at, end, word))
        at = end
    parts: list[TranscriptPart] = []
    start = overlap = stop = 0.0
    while stop < at:
        stop = min(at, start + dice.uniform(60, 90))
        heard = [one for one in said if one[0] >= start and one[1] <= stop]
        answers = [min(int(end - start + late_seconds) + 1, stop - start) for _, end, _ in heard]
        parts.append(
            TranscriptPart(
                start_seconds=start,
                seconds=stop - start,
                overlap_seconds=overlap,
                text=" ".join(word for _, _, word in heard),
                word_end_seconds=tuple(max(0.0, answer - 0.5) for answer in answers),
            )
        )
        following = start + int(stop - 2 - start)
        start, overlap = following, stop - following
    return parts, [word for _, _, word in said]


def test_without_times_an_overlap_holds_what_fits_into_it() -> None:
    """Two seconds of a litany are a few words, and not the longest match there is."""
    minute = " ".join(["mercy"] * 120)
    whole = TranscriptPart(start_seconds=0.0, seconds=60.0, text=minute)
    other = TranscriptPart(start_seconds=58.0, seconds=60.0, overlap_seconds=2.0, text=minute)
    assert 234 <= len(join_parts([whole, other]).text.split()) <= 236
