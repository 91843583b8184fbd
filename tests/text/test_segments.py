"""Long texts in segments: whole sentences, exact text, and cuts that an edit does not move."""

import random
import time
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.text import split_segments, split_sentences
from tests.books import PROSE

NASTY = st.text(
    "abXY .!?,;:\n\r\t019'\"()مرحبا،؟؛ًٌٍَُِّْـ٠١٢\u200c\u200d\u200f\u0085\u00a0\u2028\u2029é\u0301😀🇸🇦…—«»“”",
    max_size=400,
)


def prose(name: str) -> str:
    """A text of somebody who has been dead for long."""
    return (PROSE / name).read_text(encoding="utf-8")


def book() -> str:
    """A hundred thousand characters in two languages."""
    return prose("alice.txt")[:97_000] + "\n\n" + prose("kalila.txt")


def pieces(text: str, limit: int) -> list[str]:
    """The texts of the segments."""
    return [segment.text for segment in split_segments(text, limit_characters=limit)]


# -- what is promised of every text --------------------------------------------------------------


@given(NASTY, st.integers(1, 60))
@settings(max_examples=300, deadline=None)
def test_no_character_is_lost_or_added(text: str, limit: int) -> None:
    """Joined, the segments are the text, byte for byte; none is empty."""
    found = pieces(text, limit)
    assert "".join(found) == text
    assert all(found)


@pytest.mark.parametrize("limit", [300, 700, 2_000])
@pytest.mark.parametrize("name", ["alice.txt", "kalila.txt", "muallaqa.txt", "news.txt"])
def test_no_segment_is_longer_than_the_limit(name: str, limit: int) -> None:
    """And of a long text, those that a sentence can fill are at least half as long."""
    found = pieces(prose(name), limit)
    assert max(len(piece.rstrip()) for piece in found) <= limit
    longest = max(map(len, split_sentences(prose(name))))
    if longest < limit / 2:
        assert all(2 * len(piece) >= limit for piece in found[:-1])


def test_a_short_text_is_one_segment() -> None:
    """Whatever stands in it; an empty one is none."""
    assert pieces("مرحبًا.\n\nWorld.", 15) == ["مرحبًا.\n\nWorld."]
    assert split_segments("") == []


def test_half_a_million_characters_are_cut_at_once() -> None:
    """The time grows with the length, not with its square."""
    text = book()
    began = time.process_time()
    split_segments(text)
    once = time.process_time() - began
    began = time.process_time()
    split_segments("\n\n".join([text] * 5))
    assert time.process_time() - began < 12 * once


# -- where it is cut -----------------------------------------------------------------------------


def test_paragraphs_are_preferred() -> None:
    """A paragraph that ends in the second half of a segment ends it, wherever it is there."""
    sentence = "كان يا ما كان في قديم الزمان. "
    for filled in (6, 8):
        text = sentence * filled + "\n\n" + sentence * 20
        first, second, *_ = split_segments(text, limit_characters=10 * len(sentence))
        assert first.text == sentence * filled + "\n\n"
        assert first.ends_paragraph
        assert not second.ends_paragraph
    assert split_segments("ا.\u2029ب.", limit_characters=3)[0].ends_paragraph


def test_verse_is_cut_after_a_line() -> None:
    """No line is torn, though none ends with a full stop."""
    found = pieces(prose("muallaqa.txt"), 200)
    assert len(found) == 3
    lines = prose("muallaqa.txt").splitlines()
    assert [line for piece in found for line in piece.splitlines()] == lines


GOLDEN: dict[tuple[str, int], Sequence[str]] = {
    ("kalila.txt", 500): (
        "شيخٌ، وكان له ثلاثةُ بنين.",
        "الناس، والزادُ للآخرة.",
        "أن يفنى ويبقى مُعدِمًا.",
        "فلم يقدروا على إخراجه.",
        "توقيه وحذرِه وبالًا عليه».",
    ),
    ("news.txt", 260): (
        "وهو أعلى رقم منذ عام ١٩٩٨م.",
        "فهل يستمر هذا الاتجاه؟",
        "في الظل، و-2 في القمم.",
    ),
    ("moor.txt", 130): (
        'cost me £4.50," he said.',
        "on the 3rd of March.",
        "Yet he went on.",
    ),
}


@pytest.mark.parametrize(("name", "limit"), GOLDEN)
def test_prose_is_cut_where_a_reader_would(name: str, limit: int) -> None:
    """Pinned: the last words of every segment."""
    found = pieces(prose(name), limit)
    assert len(found) == len(GOLDEN[name, limit])
    for piece, ending in zip(found, GOLDEN[name, limit], strict=True):
        assert piece.rstrip().endswith(ending)


def test_numbers_abbreviations_and_quotations_stay_whole() -> None:
    """As long as there is another place."""
    news = prose("news.txt")
    for limit in range(240, 420, 20):
        for before, after in pairwise(pieces(news, limit)):
            assert not before.rstrip().endswith((" د.", " م.", " ن.", "ص.ب.", "ق.م."))
            assert before.count("«") == before.count("»")
            assert not (before[-1].isdigit() and after[0].isdigit())
    for limit in range(110, 200, 10):
        for piece in pieces(prose("moor.txt"), limit)[:-1]:
            assert not piece.rstrip().endswith(
                ("Dr.", "J.", "H.", "No.", "St.", "vs.", "i.e.", "e.g.")
            )
            assert piece.count('"') % 2 == 0


# -- what an edit moves --------------------------------------------------------------------------


@pytest.mark.unmeasured
def test_an_edit_changes_its_own_segment() -> None:
    """Of a hundred edits of one sentence, few change more than the segment that holds it."""
    dice = random.Random(11)
    text = book()
    before = pieces(text, 2_000)
    every = [part for part in split_sentences(text) if len(part) > 20]
    changed = []
    for _ in range(100):
        old = dice.choice(every)
        new = {
            0: "",
            1: old[: len(old) // 2] + "، نعم، " + old[len(old) // 2 :],
            2: old + "وهذه جملة أخرى جديدة. ",
        }[dice.randrange(3)]
        after = pieces(text.replace(old, new, 1), 2_000)
        changed.append(len([piece for piece in after if piece not in set(before)]))
    assert sum(changed) / len(changed) <= 1.5
    assert max(changed) <= 6
