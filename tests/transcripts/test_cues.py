"""Transcripts with time: words at their places, doubled ones merged, cues that players take."""

import io
import random
import re
import unicodedata
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
import srt as srt_parser
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.text import split_words
from batchjobs.transcripts.cues import make_cues, to_srt, to_vtt
from batchjobs.transcripts.joining import Transcript, TranscriptPart, join_parts

ARABIC = (
    "وُلِدَ عام ١٩٤٨ في قريةٍ تبعد 25 كيلومترًا عن المدينة، ثم سافر إلى London؛ وهناك درس الطب. "
    "هل عاد بعد ذلك؟ نعم… عاد ومعه كتبٌ كثيرة، وقال: «لن أسافر مرةً أخرى!» ثم جلس يكتب عن رحلته."
)
ENGLISH = (
    "It was a bright day, and nobody in the house had anything to do but to wait for the post. "
    "Then the bell rang! Who could it be? A man with a <big> bag & a letter --> for me."
)
NASTY = st.text(
    "abc .!?,;:\n\t019مرحبا،؟؛ًٌَُِّْـ٠١\u200c\u200d\u200f\u2067\u2069&<>-é\u0301😀«»", max_size=300
)


def part(text: str, start: float = 0.0, seconds: float = 20.0, **others: Any) -> TranscriptPart:
    """One session's transcript, without known times."""
    return TranscriptPart(start_seconds=start, seconds=seconds, text=text, **others)


def parse(transcript: Transcript) -> tuple[list[srt_parser.Subtitle], list[webvtt.Caption]]:
    """Let libraries read the files."""
    return list(srt_parser.parse(to_srt(transcript))), webvtt.from_string(
        to_vtt(transcript)
    ).captions


def join_shown(lines: Sequence[str]) -> str:
    """What a viewer reads."""
    return " ".join(re.sub("[\u2060\u2067\u2069]", "", " ".join(lines)).split())


# -- words ---------------------------------------------------------------------------------------


def test_the_text_of_one_part_is_what_came_without_white_space_around_it() -> None:
    """Services begin their answers with a space; within, byte for byte."""
    found = join_parts([part(" سـلام\u200dم \n\n e\u0301 \u200c\n")])
    assert found.text == "سـلام\u200dم \n\n e\u0301 \u200c"
    assert [segment.text for segment in found.segments] == [found.text]
    assert join_parts([]).text == ""
    assert join_parts([part(" \n")]).text == ""


def test_parts_are_joined_with_the_white_space_that_came() -> None:
    """The end of one part has it or the beginning of the next; if neither, a space is put there."""
    pairs = {
        ("واحد", "اثنان"): "واحد اثنان",
        (" one", " two"): "one two",
        ("one\n\n", "two "): "one\n\ntwo",
        ("one", "\u3000two"): "one\u3000two",
        ("one \t", " two"): "one \ttwo",
        ("", " two"): "two",
        ("one\u200c", "two"): "one\u200c two",
    }
    for texts, whole in pairs.items():
        assert (
            join_parts([part(text, start=10.0 * at) for at, text in enumerate(texts)]).text == whole
        )
    silent = [part("one "), part(" \n", start=10.0), part("two", start=20.0)]
    assert join_parts(silent).text == "one two"


def test_words_stand_where_they_are_known_to_end() -> None:
    """Those that are known to end together share the time before."""
    ends = (0.5, 2.5, 2.5, 2.5, 9.0)
    words = join_parts([part("واحد اثنان ثلاثة أربعة خمسة", 10.0, word_end_seconds=ends)]).words
    assert [word.text for word in words] == ["واحد", "اثنان", "ثلاثة", "أربعة", "خمسة"]
    assert (words[0].end, words[3].end, words[4].end) == (10.5, 12.5, 19.0)
    assert words[1].end < words[2].end < words[3].end
    assert words[4].start > words[3].end + 5  # silence is before a word, not in it


@given(
    st.lists(
        st.tuples(NASTY, st.floats(0.01, 90), st.floats(0, 3), st.lists(st.floats(0, 90))),
        max_size=4,
    )
)
@settings(max_examples=200, deadline=None)
def test_words_never_overlap(
    given_parts: list[tuple[str, float, float, list[float]]],
) -> None:
    """Whatever the times that came with them; and no cue does."""
    parts: list[TranscriptPart] = []
    start = 0.0
    for text, seconds, shared, times in given_parts:
        overlap = min(shared, seconds / 2) if parts else 0.0
        ends = sorted(times)[: len(text.split())]
        parts.append(
            part(
                text,
                start - overlap,
                seconds,
                overlap_seconds=overlap,
                word_end_seconds=tuple(ends),
            )
        )
        start += seconds - overlap
    transcript = join_parts(parts)
    assert all(word.start <= word.end for word in transcript.words)
    assert all(a.end <= b.start for a, b in pairwise(transcript.words))
    found = make_cues(transcript.words)
    assert all(cue.start < cue.end or not cue.lines for cue in found)
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(found))
    titles, captions = parse(transcript)
    assert len(titles) == len(captions) == len(found)


# -- cuts in continuous speech -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "whole"),
    [
        ("في البيت الكبير نام", "الكبير نام الطفل", "في البيت الكبير نام الطفل"),
        ("في البيت الكبير نا", "الكبير نامَ الطفل", "في البيت الكبير نامَ الطفل"),
        ("في البيت الكبير نام", "بير نام الطفل", "في البيت الكبير نام الطفل"),
        ("ذهبَ إلى المدرسةِ", "الى المدرسه ثم عاد", "ذهبَ إلى المدرسةِ ثم عاد"),
        ("the very, very end", "Very end of it", "the very, very end of it"),
        ("nothing in common", "at all here", "nothing in common at all here"),
        ("", "only this", "only this"),
        ("only this", "", "only this"),
        ("all of it", "all of it", "all of it"),
        ("na", "name it", "name it"),
        ("we went to the big house", "went to a big house", "we went to the big house"),
        ("今天我们来讨论", "讨论录音", "今天我们来讨论录音"),
        ("今天我们来。 ", " 讨论", "今天我们来。讨论"),
    ],
)
def test_double_words_are_merged(one: str, other: str, whole: str) -> None:
    """What both sides of a cut have heard is there once; a torn word gives way to the whole one."""
    parts = [part(one, 0.0, 10.0), part(other, 8.0, 10.0, overlap_seconds=2.0)]
    transcript = join_parts(parts)
    assert transcript.text == whole
    assert [word.text for word in transcript.words] == split_words(whole)
    texts = [segment.text for segment in transcript.segments]
    assert "".join(" ".join(texts).split()) == "".join(whole.split())


def test_without_an_overlap_nothing_is_merged() -> None:
    """Who says it twice has said it twice."""
    assert join_parts([part("نعم نعم", 0.0), part("نعم", 20.0)]).text == "نعم نعم نعم"


# -- cues ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [ARABIC, ENGLISH, f"{ENGLISH} {ARABIC}"])
def test_cues_are_as_players_want_them(text: str) -> None:
    """At most 7 s and two lines of 42 characters; all words in order; the parsers agree."""
    transcript = join_parts([part(text, 3_600.0 * 99 + 59 * 60 + 50, 40.0)])
    titles, captions = parse(transcript)
    assert join_shown([title.content for title in titles]) == " ".join(text.split())
    for title, caption, cue in zip(titles, captions, make_cues(transcript.words), strict=True):
        assert title.end - title.start <= timedelta(seconds=7)
        assert len(cue.lines) <= 2
        assert all(
            len([c for c in line if not 0x64B <= ord(c) <= 0x652]) <= 42 for line in cue.lines
        )
        assert title.start == timedelta(seconds=round(cue.start, 3))
        assert title.end == timedelta(seconds=round(cue.end, 3))
        assert caption.start.startswith(("99:59", "100:00"))
    assert join_shown([c.text for c in captions]).replace("&lt;", "<").replace("&gt;", ">").replace(
        "&amp;", "&"
    ) == " ".join(text.split())


def test_cues_end_with_sentences_and_clauses() -> None:
    """Not in the middle of one, if they can."""
    found = make_cues(join_parts([part(ARABIC, 0.0, 30.0)]).words)
    endings = [cue.lines[-1][-1] for cue in found]
    assert endings.count(".") == 2
    assert sum(ending in ".؟…!،؛»" for ending in endings) > len(endings) / 2


def test_arabic_is_isolated_and_english_is_not() -> None:
    """A line of Arabic says so itself, whatever numbers and Latin words stand in it."""
    lines = to_srt(join_parts([part(f"{ARABIC} {ENGLISH}", 0.0, 60.0)])).splitlines()
    arabic = [line for line in lines if any("\u0621" <= c <= "\u064a" for c in line)]
    assert all(line.startswith("\u2067") and line.endswith("\u2069") for line in arabic)
    assert not any("\u2067" in line for line in lines if line not in arabic)


@pytest.mark.parametrize(
    ("cue", "is_isolated"),
    [
        ("تخرج في كلية الطب الملكية وعمل طبيبا في Saint Mary Hospital, London", True),
        ("The Royal College of Physicians كما قال", True),
        ("١٩٤٨ - 25.", True),
        ("And he said so in English.", False),
    ],
)
def test_a_cue_goes_one_way_with_all_its_lines(cue: str, *, is_isolated: bool) -> None:
    """A line of Latin words within an Arabic cue too, and numbers in an Arabic transcript."""
    transcript = join_parts([part(cue, 0.0, 7.0), part(ARABIC, 60.0, 30.0)])
    first = make_cues(transcript.words)[0].lines
    lines = to_srt(transcript).splitlines()[2 : 2 + len(first)]
    assert [line.strip("\u2067\u2069") for line in lines] == list(first)
    assert {line.startswith("\u2067") for line in lines} == {is_isolated}


def test_a_word_without_end_has_a_line_of_its_own() -> None:
    """It is not torn."""
    long = "ا" * 60
    found = make_cues(join_parts([part(f"قبل {long} بعد", 0.0, 10.0)]).words)
    assert [long] in [list(cue.lines) for cue in found]


@pytest.mark.parametrize(
    "text",
    [
        "今天我们来讨论一下档案馆的录音应该怎样保存才能够让以后的人听得清楚。" * 4,
        "今天我们来讨论一下档案馆的录音应该怎样保存才能够让以后的人听得清楚" * 4,
        "きょうは、デジタルアーカイブについてはなしましょう" * 5,
        "วันนี้เราจะมาพูดถึงการเก็บรักษาเสียงบันทึก" * 4,
        "ຍິນດີຕ້ອນຮັບສູ່ຫໍສະໝຸດ" * 6,
        "សូមស្វាគមន៍មកកាន់បណ្ណាល័យ" * 6,
        "see https://example.org/" + "a" * 80 + " please",
    ],
)
def test_text_without_spaces_is_cut_into_cues(text: str) -> None:
    """Two lines of 42 columns, of which an East Asian letter takes two, for as long as it lasts."""
    found = make_cues(join_parts([part(text, 0.0, 40.0)]).words)
    assert "".join(line for cue in found for line in cue.lines) == text.replace(" ", "")
    for cue in found:
        assert len(cue.lines) <= 2
        assert all(_columns(line) <= 42 for line in cue.lines)
        assert cue.end - cue.start <= 7
        assert all(unicodedata.category(line[0])[0] != "M" for line in cue.lines)
    assert (found[0].start, found[-1].end) == (0.0, 40.0)
    assert all(a.end >= b.start - 0.1 for a, b in pairwise(found))


def _columns(line: str) -> int:
    wide = [
        unicodedata.east_asian_width(c) in "WF" for c in line if unicodedata.category(c) != "Mn"
    ]
    return len(wide) + sum(wide)


@pytest.mark.parametrize(
    "text",
    [
        "MyValue<String> and <b> or </i>",
        "{\\an8} up {b}",
        "x<y, a --> b.",
        "C:\\New a\\hb",
        "&lt; AT&T",
    ],
)
def test_what_players_take_for_markup_is_shown(text: str) -> None:
    """Each word of it, as FFmpeg reads the file, which most players do."""
    av = pytest.importorskip("av")
    file = io.BytesIO(to_srt(join_parts([part(text, 0.0, 5.0)])).encode())
    with av.open(file, format="srt") as container:
        shown = [event.ass.decode() for packet in container.demux() for event in packet.decode()]
    assert [join_shown([each.split(",", 8)[-1]]) for each in shown] == [text]
    assert not re.search(r"<[a-z/]|{[\\b]|-->|\\[Nh]|&lt;", shown[0])


@pytest.mark.parametrize("word", ["שלום London שלום", "ܫܠܡܐ 25", "ދިވެހި", "ߒߞߏ", "𞤀𞤣𞤤𞤢𞤥", "سلام"])
def test_every_script_from_right_to_left_is_isolated(word: str) -> None:
    """Hebrew, Syriac, Thaana, N'Ko and Adlam as Arabic."""
    lines = to_srt(join_parts([part(f"{word} {word}", 0.0, 3.0)])).splitlines()[2:]
    assert all(line.startswith("\u2067") and line.endswith("\u2069") for line in lines if line)


def test_long_silence_is_not_shown_over() -> None:
    """A cue ends with what was said, and the next begins when it goes on."""
    parts = [part("قبل الصمت", 0.0, 2.0), part("بعده", 30.0, 2.0)]
    first, second = make_cues(join_parts(parts).words)
    assert first.end <= 3.0
    assert second.start >= 30.0


def test_nothing_said_is_a_valid_file() -> None:
    """An empty one."""
    assert to_srt(join_parts([part("")])) == ""
    assert to_vtt(join_parts([part("")])) == "WEBVTT\n"
    assert parse(join_parts([part(" \n ")])) == ([], [])


@pytest.mark.unmeasured
def test_a_talk_of_hours_is_in_order() -> None:
    """Hundreds of parts, with times as a service gives them."""
    dice = random.Random(3)
    parts = []
    for number in range(200):
        count = dice.randrange(0, 120)
        ends = tuple(sorted(dice.uniform(0, 60) for _ in range(count)))
        text = " ".join(dice.choice(ARABIC.split()) for _ in range(count))
        parts.append(part(text, number * 61.0, 60.0, word_end_seconds=ends))
    titles, _ = parse(join_parts(parts))
    assert all(a.end <= b.start for a, b in pairwise(titles))
    assert all(title.start < title.end for title in titles)
