"""What the text module promises: exact pieces, whole characters, safe names."""

import itertools
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.text import (
    file_stem,
    script_of,
    speech_weight,
    split_messages,
    split_sentences,
    weigh_word,
)
from batchjobs.text.sentences import _locate

# What has gone wrong somewhere: diacritics, tatweel, joiners, marks of direction, odd white space.
_TRICKY = (
    "abcXYZ .!?,;:\n\r\t0123456789-_/\\'\"()مرحبا،؟؛ًٌٍَُِّْـ٠١٢٣٤۵\u200c\u200d\u200f\u202b\u202c\ufeff"
    "\u0085\u00a0\u2028\u2029\u3000é\u0301😀👩\u200d👧🇸🇦🇪🇬\ufe0f。、字カ한\u1112\u1161\u11abक्षि…—«»\x00\x1c"
)
_TEXTS = st.text(st.sampled_from(_TRICKY), max_size=120) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=60
)


def _breaks(text: str, pieces: list[str]) -> list[tuple[str, str]]:
    """Give the characters on both sides of every cut."""
    assert "".join(pieces) == text
    return [(before[-1], after[0]) for before, after in itertools.pairwise(pieces)]


@settings(max_examples=100, deadline=None)
@given(text=_TEXTS, language=st.sampled_from(["", "ar", "en", "fr", "zz"]))
def test_sentences_are_the_text(text: str, language: str) -> None:
    """No character is lost, added or changed, whatever the language is said to be."""
    assert "".join(split_sentences(text, language=language)) == text


@settings(max_examples=100, deadline=None)
@given(text=_TEXTS)
def test_no_sentence_is_blank(text: str) -> None:
    """Every piece speaks if the text has anything to speak, and none begins with white space."""
    pieces = split_sentences(text)
    for piece in pieces:
        assert len(pieces) == 1 or any(character.isalnum() for character in piece)
    assert all(not after.isspace() for _, after in _breaks(text, pieces))


@settings(max_examples=100, deadline=None)
@given(text=_TEXTS, limit=st.integers(1, 40))
def test_messages_are_the_text(text: str, limit: int) -> None:
    """Cut at any limit, the messages make up the text; none is blank, no mark loses its letter."""
    pieces = split_messages(text, limit_characters=limit)
    for before, after in _breaks(text, pieces):
        assert unicodedata.category(after)[0] != "M"
        assert "\u200d" not in (before, after)
        assert (before, after) != ("\r", "\n")
    assert not any(piece.isspace() for piece in pieces) or text.isspace()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n", [" \n"]),
        ("…", ["…"]),
        ("Hello there. How are you?", ["Hello there. ", "How are you?"]),
        ("مَرْحَبًا بِكُمْ. كَيْفَ الحال؟ أنا بخير.", ["مَرْحَبًا بِكُمْ. ", "كَيْفَ الحال؟ ", "أنا بخير."]),
        ("اشتريت iPhone 15. ثم عدتُ.", ["اشتريت iPhone 15. ", "ثم عدتُ."]),
        ("  First one.\n\n  Second one.\n", ["  First one.\n\n  ", "Second one.\n"]),
        ("Well?\u064b Yes.", ["Well?\u064b Yes."]),
        ("\u200fنعم. \u200fلا.", ["\u200fنعم. ", "\u200fلا."]),
        ("…\n\nAfter dots.", ["…\n\nAfter dots."]),
        ("السعر ١٢٫٥ ريال. انتهى.", ["السعر ١٢٫٥ ريال. ", "انتهى."]),
        ("سلامــــٌ عليكم! أهلاً.", ["سلامــــٌ عليكم! ", "أهلاً."]),
    ],
)
def test_sentences_of_known_texts(text: str, expected: list[str]) -> None:
    """Arabic, English and mixed texts are cut where a reader would."""
    assert split_sentences(text) == expected


@pytest.mark.parametrize("space", ["\u00a0", "\u0085", "\u2009", "\u2028", "\u2029", "\u3000"])
def test_white_space_that_is_not_ascii_is_survived_and_kept(space: str) -> None:
    """The splitter panics on a capital, such a space and a full stop; a text must not end a run."""
    text = f"Vitamin B{space}. Next one{space}here."
    assert "".join(split_sentences(text)) == text


def test_paragraph_breaks_of_a_long_text_are_kept() -> None:
    """The splitter loses some beyond 10,000 bytes: here every one is still there, in its place."""
    text = "A sentence of a book.\n\n" * 3000
    assert split_sentences(text) == ["A sentence of a book.\n\n"] * 3000


def test_a_piece_that_cannot_be_found_again_ends_the_cutting() -> None:
    """Should the splitter ever change a character, the rest stays whole and nothing is lost."""
    text = "Well. And so on."
    assert "".join(_locate(text, ["Well. ", "and so on."], text)) == text


def test_a_short_sentence_is_one_message() -> None:
    """Sentences within the limit are not cut or joined."""
    assert split_messages("One. Two is here.") == split_sentences("One. Two is here.")


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("one two, three four five", 14, ["one two, ", "three four ", "five"]),
        ("قال لي، ثم ذهب بعيدا", 11, ["قال لي، ", "ثم ذهب ", "بعيدا"]),
        ("costs 1,000,000 exactly", 10, ["costs ", "1,000,000 ", "exactly"]),
        ("第一、第二第三", 4, ["第一、", "第二第三"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("abc    def", 3, ["abc    ", "def"]),
        ("    abcdef", 3, ["    abc", "def"]),
        ("abc   ", 3, ["abc   "]),
        ("abc\r\ndef", 4, ["abc\r\n", "def"]),
        ("ab\u0301\u0302cd", 2, ["a", "b\u0301\u0302", "cd"]),
        ("كَكَكَ", 3, ["كَ", "كَ", "كَ"]),
        ("ab \u0301cd", 2, ["ab", " \u0301", "cd"]),
        ("a👩\u200d👧b", 2, ["a", "👩\u200d👧", "b"]),
        ("a👋🏽b", 2, ["a", "👋🏽", "b"]),
        ("x🇸🇦🇪🇬", 4, ["x🇸🇦", "🇪🇬"]),
        ("\u1112\u1161\u11ab\u1112\u1161\u11ab", 4, ["\u1112\u1161\u11ab", "\u1112\u1161\u11ab"]),
        ("कक्षा", 2, ["क", "क्षा"]),
        ("a" + "\u064e" * 9, 4, ["a" + "\u064e" * 9]),
        ("b" * 4 + "\u064e" * 9 + "cd", 4, ["bbb", "b" + "\u064e" * 9, "cd"]),
    ],
)
def test_long_sentences_are_cut_at_the_best_place(
    text: str, limit: int, expected: list[str]
) -> None:
    """After a clause, else after a word, else between characters as a reader sees them."""
    assert split_messages(text, limit_characters=limit) == expected


def test_a_cluster_longer_than_the_limit_stays_whole_and_the_rest_is_cut() -> None:
    """A letter with a thousand marks is one character still."""
    cluster = "a" + "\u0301" * 1000
    assert split_messages(f"{cluster}bcd", limit_characters=2) == [cluster, "bc", "d"]


@pytest.mark.parametrize(
    "job_id",
    ["a", "row-1", "A_b.c", "0", "_x", "a..b", "console", "com10", "x" * 100],
)
def test_a_safe_id_is_its_own_name(job_id: str) -> None:
    """Letters, digits, hyphens, underscores and dots need no change."""
    assert file_stem(job_id) == job_id


@pytest.mark.parametrize(
    ("job_id", "slug"),
    [
        ("", "id"),
        (".", "id"),
        ("..", "id"),
        (".hidden", "hidden"),
        ("-rf", "rf"),
        ("a.", "a"),
        ("../../etc/passwd", "etc-passwd"),
        ("a b", "a-b"),
        ("a\n", "a"),
        ("con", "con"),
        ("NUL.txt", "NUL-txt"),
        ("lpt1", "lpt1"),
        ("الدرس الأول", "الدرس-الأول"),
        ("٣", "٣"),
        ("e\u0301", "é"),
        ("\u0301a", "a"),
        ("\u202egnp", "gnp"),
        ("x" * 101, "x" * 80),
        ("ع" * 60, "ع" * 40),
        ("a\0b", "a-b"),
        ("\ud800", "id"),
    ],
)
def test_any_other_id_is_a_slug_and_a_hash(job_id: str, slug: str) -> None:
    """The name stays readable, in its own script, and cannot collide."""
    stem, _, digest = file_stem(job_id).rpartition("-")
    assert stem == slug
    assert len(digest) == 10
    assert int(digest, 16) >= 0


@settings(max_examples=100, deadline=None)
@given(ids=st.sets(_TEXTS, max_size=20))
def test_ids_become_distinct_safe_names(ids: set[str]) -> None:
    """Names hold no separator, fit every file system, and differ where the ids do."""
    stems = {job_id: file_stem(job_id) for job_id in ids}
    assert len(set(stems.values())) == len(ids)
    for job_id, stem in stems.items():
        assert stem == file_stem(job_id)
        assert 1 <= len(stem.encode()) <= 100
        assert not set(stem) & set('/\\:*?"<>|\0\n\r ')
        assert stem[0] not in ".-"
        assert stem[-1] != "."


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("", 0),
        ("abc", 3),
        ("مرحبا", 5),
        ("مَرْحَبًا", 5),
        ("مرحـــبا", 5),
        ("7", 4),
        ("٤٢", 8),
        ("a, b!\n", 2),
        ("½", 0),
    ],
)
def test_spoken_weight_counts_what_is_said(text: str, weight: float) -> None:
    """Letters count one, digits four; marks, tatweel, punctuation and space nothing."""
    assert speech_weight(text) == weight
    assert weigh_word(text) == max(1, weight)  # also a mark takes its moment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "latin"),
        ("123 ٤٥٦ …", "latin"),
        ("hello", "latin"),
        ("مرحبا", "arabic"),
        ("مرحبا hi", "arabic"),
        ("hello يا", "latin"),
        ("ab يا", "latin"),
        ("abc ــــــــ يا", "latin"),
        ("ﷲ", "arabic"),
        ("سلام و پارسی", "arabic"),
    ],
)
def test_script_is_that_of_most_letters(text: str, expected: str) -> None:
    """Digits, marks and tatweel have no vote, and a tie is Latin."""
    assert script_of(text) == expected
