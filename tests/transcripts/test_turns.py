"""The sides of a call in the order of time, with who says what."""

import io

import pytest
import srt as srt_parser
import webvtt

from batchjobs.text import split_words
from batchjobs.transcripts.cues import to_srt, to_vtt
from batchjobs.transcripts.joining import Transcript, TranscriptPart, join_parts
from batchjobs.transcripts.turns import join_sides, remove_names

ARABIC = ("مَرْحَبًا بِكُـــم‍ ٤٥", "لا\u200dإله می\u200cخواهم OK!", "نعم.")


def side(*said: tuple[float, float, str]) -> Transcript:
    """What one side says: when, for how long, and what."""
    return join_parts(
        [TranscriptPart(start_seconds=at, seconds=seconds, text=text) for at, seconds, text in said]
    )


def timed(text: str, *starts: float) -> Transcript:
    """What one side says, with when each word begins; each takes 0.3 s."""
    ends = tuple(start + 0.3 for start in starts)
    return join_parts(
        [
            TranscriptPart(
                start_seconds=0.0,
                seconds=60.0,
                text=text,
                word_start_seconds=starts,
                word_end_seconds=ends,
            )
        ]
    )


def test_turns_stand_in_the_order_in_which_they_begin() -> None:
    """A line each; what overlaps keeps its words together."""
    left = timed("how are you today good bye", 0.0, 0.4, 0.8, 1.2, 9.0, 9.4)
    right = timed("fine thanks see you", 0.9, 1.4, 6.0, 6.4)
    found = join_sides([("Left", left), ("Right", right)])
    assert found.text.splitlines() == [
        "Left: how are you today",
        "Right: fine thanks see you",
        "Left: good bye",
    ]
    assert [(turn.speaker, turn.start) for turn in found.segments] == [
        ("Left", 0.0),
        ("Right", 0.9),
        ("Left", 9.0),
    ]
    assert [word.text for word in found.words][:5] == ["how", "are", "you", "fine", "today"]
    assert {word.speaker for word in found.words} == {"Left", "Right"}


def test_an_answer_in_a_pause_divides_a_turn() -> None:
    """And two that begin at once stand as the channels do."""
    left = timed("one two three four", 1.0, 1.5, 4.0, 4.4)
    right = timed("yes sir", 1.0, 2.5)
    found = join_sides([("A", left), ("B", right)])
    assert found.text == "A: one two\nB: yes sir\nA: three four"


@pytest.mark.parametrize("names", [("Left", "Right"), ("الموظّف", "Customer"), ("A", "A: b")])
def test_what_is_said_is_exact_whatever_who_is_called(names: tuple[str, str]) -> None:
    """With marks, tatweel, joiners and digits of two scripts; a line break in it ends no turn."""
    left = side((0, 3, ARABIC[0]), (20, 3, f" {ARABIC[2]}\nA: b \n"))
    right = side((8, 4, ARABIC[1]))
    found = join_sides(list(zip(names, (left, right), strict=True)))
    assert found.text.splitlines() == [
        f"{names[0]}: {ARABIC[0]}",
        f"{names[1]}: {ARABIC[1]}",
        f"{names[0]}: {ARABIC[2]} A: b",
    ]
    assert remove_names(found.text, names) == f"{ARABIC[0]} {ARABIC[1]} {ARABIC[2]} A: b"
    assert remove_names(found.text, ()) == found.text
    said = " ".join(word.text for word in found.words)
    assert split_words(said) == split_words(remove_names(found.text, names))


def test_a_script_without_spaces_is_divided_between_its_signs() -> None:
    """Nothing is put between what is written together."""
    found = join_sides([("L", side((0, 9, "今日は"), (9, 9, "良い天気です。")))])
    assert found.text == "L: 今日は良い天気です。"


def test_a_side_without_words_has_no_turn() -> None:
    """Nor have two of them a text."""
    assert join_sides([("L", side((0, 1, " "))), ("R", side())]).text == ""
    assert join_sides([("L", side((0, 1, " "))), ("R", side((2, 1, "ok")))]).text == "R: ok"


def test_cues_say_who_speaks() -> None:
    """Each with its own, also while another speaks; an Arabic line goes from the right, name and all."""
    left = side((0, 4, ARABIC[0]), (9, 4, "Hello."))
    right = side((1, 4, ARABIC[1] + " وأريد أن أسأل عن الفاتورة من فضلكم اليوم"))
    found = join_sides([("الموظّف", left), ("<b> & -->", right)])
    shown = [each.content for each in srt_parser.parse(to_srt(found))]
    assert shown[0] == f"\u2067الموظّف: {ARABIC[0]}\u2069"
    assert shown[1].replace("\u2060", "").startswith("\u2067<b> & -->: لا")
    assert shown[-1] == "\u2066الموظّف: Hello.\u2069", "else its full stop stands before it"
    file = to_vtt(found)
    assert f"<v الموظّف>\u2067{ARABIC[0]}\u2069" in file
    assert "<v &lt;b&gt; &amp; --&gt;>\u2067لا" in file
    captions = webvtt.from_buffer(io.StringIO(file)).captions
    assert len(captions) == len(shown)
    starts = [caption.start_in_seconds for caption in captions]
    assert starts == sorted(starts)


def test_a_name_takes_room_in_its_line() -> None:
    """No line is longer than a player shows, and every word is there."""
    words = " ".join(f"word{number}" for number in range(40))
    found = join_sides([("A very long name of a person", side((0, 60, words)))])
    shown = list(srt_parser.parse(to_srt(found)))
    assert all(len(line) <= 42 for each in shown for line in each.content.splitlines())
    assert all(each.content.startswith("A very long name of a person: ") for each in shown)
    said = " ".join(each.content.removeprefix("A very long name of a person: ") for each in shown)
    assert said.split() == words.split()


@pytest.mark.parametrize(
    "name", ["خدمة العملاء — قسم المبيعات والاشتراكات", "Customer service, second floor", "N" * 60]
)
def test_a_long_name_stands_on_a_line_of_its_own(name: str) -> None:
    """However long it is, a cue has as many words as a line holds, and no more."""
    said = "والاستفسارات المستعجلة تُكتـــب هنا می\u200cخواهم ١٢ " * 9
    found = join_sides([(name, side((0, 60, said)))])
    shown = [each.content for each in srt_parser.parse(to_srt(found))]
    lines = [line.strip("\u2067\u2069") for each in shown for line in each.splitlines()]
    spoken = [line.removeprefix(f"{name}:").strip() for line in lines]
    assert " ".join(filter(None, spoken)).split() == said.split()
    assert all(len(line) <= 50 for line in spoken)
    assert all(each.strip("\u2067").startswith(f"{name}:") for each in shown)
    assert len(shown) < len(said.split()) / 2
    captions = webvtt.from_string(to_vtt(found)).captions
    assert [caption.voice for caption in captions] == [name] * len(shown)
    assert all("" not in caption.text.splitlines() for caption in captions)
