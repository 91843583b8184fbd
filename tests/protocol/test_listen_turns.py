"""What was heard on `/listen`: texts joined, words placed in time, traits given to their turns."""

import pytest

from batchjobs.jobs import SpeakerTrait
from batchjobs.protocol.listen_messages import (
    HeardWord,
    Results,
    SpeechStarted,
    Trait,
    UtteranceEnd,
)
from batchjobs.protocol.listen_turns import HeardTurns

_SILENCES = ((0.0, 1.0), (3.0, 3.3), (4.0, 6.0), (8.0, 10.0))
"""Sound from 1 to 4 and from 6 to 8; the pause between 3 and 3.3 ends no turn."""


def _final(text: str, *times: float, ends: bool = False) -> Results:
    """Make a final whose words are so long as it is to the next."""
    words = tuple(
        HeardWord(word, start, start + 0.4)
        for word, start in zip(text.split(), times, strict=False)
    )
    return Results(transcript=text, is_final=True, speech_final=ends, words=words)


def _heard(*messages: Results | SpeechStarted | UtteranceEnd | Trait) -> HeardTurns:
    heard = HeardTurns()
    for message in messages:
        if isinstance(message, Results):
            heard.take(message)
        else:
            heard.note(message)
    return heard


def _place(
    heard: HeardTurns, times: str
) -> tuple[list[tuple[str, float]], tuple[SpeakerTrait, ...]]:
    words, traits = heard.place(times, _SILENCES, 10.0, 0.8)
    return [(word.word, round(word.start, 3)) for word in words], traits


def test_traits_belong_to_the_turn_that_goes_on_or_was_last() -> None:
    """Whether they come before its end or behind it; with the time of its words."""
    female = Trait(kind="gender", label="أنثى", score=0.9)
    calm = Trait(kind="sentiment", label="neutral", score=0.5)
    angry = Trait(kind="sentiment", label="غاضب", score=0.75)
    heard = _heard(
        SpeechStarted(),
        _final("السَّلامُ", 1.0),
        calm,
        _final("عليكـم", 2.0, ends=True),
        UtteranceEnd(),
        female,
        SpeechStarted(),
        _final("می\u200cخواهم", 6.0),
        angry,
    )
    words, traits = _place(heard, "session")
    assert words == [("السَّلامُ", 1.0), ("عليكـم", 2.0), ("می\u200cخواهم", 6.0)]
    assert [(each.label, each.start, each.end) for each in traits] == [
        ("neutral", 1.0, 2.4),
        ("أنثى", 1.0, 2.4),
        ("غاضب", 6.0, 6.4),
    ]


def test_traits_without_times_stay() -> None:
    """Of a turn whose words have none, or that has no words."""
    trait = Trait(kind="gender", label="male", score=0.5)
    for messages in ((trait,), (_final("one two", 1.0), trait)):
        words, traits = _place(_heard(*messages), "session")
        assert words == []
        assert traits == (SpeakerTrait(kind="gender", label="male", score=0.5),)


def test_times_of_turns_are_put_where_the_sound_is() -> None:
    """By the silences that end turns; short pauses are within one."""
    heard = _heard(_final("a b", 0.0, 1.0), UtteranceEnd(), _final("c d", 0.2, 1.0))
    assert _place(heard, "turn")[0] == [("a", 1.0), ("b", 2.0), ("c", 6.2), ("d", 7.0)]
    assert heard.go_back
    assert _place(heard, "session")[0] == []


@pytest.mark.parametrize(
    "messages",
    [
        (_final("a", 0.0),),
        (_final("a", 0.0), UtteranceEnd(), _final("b", 0.0), UtteranceEnd(), _final("c", 0.0)),
        (_final("a", 0.0), UtteranceEnd(), _final("b", 5.0)),
        (_final("a b", 1.0, 0.0), UtteranceEnd(), _final("c", 0.0)),
    ],
    ids=["too few turns", "too many", "beyond its sound", "out of order"],
)
def test_times_of_turns_that_fit_no_sound_are_not_taken(
    messages: tuple[Results | UtteranceEnd, ...],
) -> None:
    """The words are laid out by the sound then."""
    assert _place(_heard(*messages), "turn")[0] == []


def test_a_forced_split_is_no_turn() -> None:
    """Unbroken speech goes on behind it; its times do, too."""
    heard = _heard(_final("a b", 1.0, 2.0), _final("c", 3.4), UtteranceEnd(), _final("d", 6.0))
    assert _place(heard, "session")[0] == [("a", 1.0), ("b", 2.0), ("c", 3.4), ("d", 6.0)]
    assert not heard.go_back
    assert heard.text == "a b c d"
