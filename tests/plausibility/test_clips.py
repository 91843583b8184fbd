"""Audio against its text: what is too short, too long, silent or cut off is not called done."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.jobs import Ending, Sign, sum_severity
from batchjobs.plausibility.clips import SpeechJudge, SpeechRates
from batchjobs.server.engines.tone import ToneSynthesiser
from tests.builders import make_speech
from tests.plausibility.clips import RATE, make_hum, receive

_ARABIC = "السَّلامُ عَلَيْكُمْ وَرَحْمَةُ اللهِ وَبَرَكاتُهُ، كَيْفَ حالُكُم اليَوْم؟"


def _judge(spoken: str, *, speed: float = 1.0, rates: SpeechRates | None = None) -> SpeechJudge:
    return (rates or SpeechRates()).make_judge(voice="v", spoken=spoken, speed=speed)


def _said(judge: SpeechJudge, sound: ReceivedAudio, ending: Ending) -> str:
    """Say what the judge holds against a sound; empty if nothing."""
    return "; ".join(doubt.message for doubt in judge.verdict(sound, RATE, ending).doubts)


def _taught(pace: float = 0.08, count: int = 20) -> SpeechRates:
    """Make rates that have heard a voice speak at so many seconds a letter."""
    rates = SpeechRates()
    for number in range(count):
        spoken = "abcde fghij " * (3 + number % 4)
        seconds = len(spoken.replace(" ", "")) * pace
        judge = _judge(spoken, rates=rates)
        assert _said(judge, make_hum(seconds), Ending.QUIET) == ""
    return rates


@pytest.mark.parametrize("pcm", [b"", b"\0" * 2, b"\0" * 160_000])
def test_silence_is_no_speech(pcm: bytes) -> None:
    """Not a sample, or only zeros, is doubted whatever the length."""
    assert "silent" in _said(_judge("a word"), receive(pcm), Ending.DRAINED)


def test_too_little_audio_is_not_all_of_the_text() -> None:
    """A hundred letters take four seconds at the very least."""
    judge = _judge("abcde" * 20)
    assert judge.minimum_seconds == pytest.approx(4.0)
    assert "too short for 100 letters" in _said(judge, make_hum(3.9), Ending.QUIET)
    assert _said(judge, make_hum(4.1), Ending.QUIET) == ""


def test_the_asked_speed_moves_the_bounds() -> None:
    """At 1.2 less audio will do, at 0.7 it takes more."""
    assert _judge("abcde" * 20, speed=1.2).minimum_seconds == pytest.approx(100 / 25 / 1.2)
    assert _judge("abcde" * 20, speed=0.7).minimum_seconds == pytest.approx(100 / 25 / 0.7)
    assert _said(_judge("abcde" * 20, speed=1.2), make_hum(3.5), Ending.QUIET) == ""


def test_too_much_audio_is_not_only_the_text() -> None:
    """A short text with twenty seconds of sound is somebody else's, or a loop."""
    judge = _judge("short text")
    assert "too long for 9 letters" in _said(judge, make_hum(20.0), Ending.QUIET)
    assert _said(judge, make_hum(18.0), Ending.QUIET) == ""


def test_signs_without_letters_may_take_their_time() -> None:
    """Where much can be said with few letters, no letter's time is the measure."""
    assert _said(_judge("100% " * 40), make_hum(60.0), Ending.QUIET) == ""
    assert "too long" in _said(_judge("% €"), make_hum(60.0), Ending.QUIET)


def test_what_was_stopped_in_the_middle_teaches_nothing() -> None:
    """Audio that ended by our decision may be any part of the text."""
    rates = SpeechRates()
    judge = _judge("abcde fghij " * 5, rates=rates)
    for _ in range(30):
        judge.verdict(make_hum(2.5), RATE, Ending.STOPPED)
        judge = _judge("abcde fghij " * 5, rates=rates)
    assert judge.verdict(make_hum(4.0), RATE, Ending.QUIET).support == ()


def test_marks_tatweel_and_punctuation_need_no_time() -> None:
    """Diacritics, tatweel, joiners and punctuation are not letters to be heard."""
    plain = _judge("سلام عليكم").minimum_seconds
    dressed = _judge("سَـــلامٌ‍ عَلَيْكُمْ ‌…!؟ ، ؛ — «»").minimum_seconds
    assert dressed == plain


@pytest.mark.parametrize(
    ("spoken", "seconds"),
    [
        ("1000000", 0.6),
        ("١٬٠٠٠٬٠٠٠", 0.6),
        ("2000000000", 0.8),
        ("7", 0.2),
        ("٧", 0.2),
        ("1984", 1.0),
        ("عدد السكان 1000000 نسمة", 1.6),
    ],
)
def test_a_long_number_may_be_a_short_word(spoken: str, seconds: float) -> None:
    """A million is two words: its seven digits are not called too short, nor two seconds too long."""
    for length in (seconds, seconds + 2.0):
        assert _said(_judge(spoken), make_hum(length), Ending.QUIET) == ""


def test_numbers_do_not_spoil_a_learned_pace() -> None:
    """A voice that is well known may still say a million in a second, or read out its digits."""
    rates = _taught()
    spoken = "there are 1000000000 of us"
    letters = 16
    for seconds in (letters * 0.08 + 0.7, letters * 0.08 + 3.5):
        judge = _judge(spoken, rates=rates)
        assert _said(judge, make_hum(seconds), Ending.DRAINED) == ""
    digits = _judge("0123456789" * 3, rates=rates)
    assert _said(digits, make_hum(30 * 0.45), Ending.DRAINED) == ""
    half = _judge("abcde fghij " * 4, rates=rates)
    assert "this voice needs about" in _said(half, make_hum(1.7), Ending.DRAINED)


@pytest.mark.parametrize("speed", [0.7, 1.0, 1.2])
@pytest.mark.parametrize(
    "spoken",
    [
        "7",
        "٧",
        "1234567890" * 5,
        "٠١٢٣٤٥٦٧٨٩" * 5,
        _ARABIC,
        "Call 0800 123 456 at 10:30, room ٤٥!",
        "ـــــ ا ‍ ‌ ب",
        "word",
        "The quick brown fox jumps over the lazy dog. " * 4,
    ],
)
def test_the_tone_engine_is_never_objected_to(spoken: str, speed: float) -> None:
    """What the rehearsal voice makes of any text passes, however the session ended."""
    settings = make_speech(8_000, speed=speed)
    pcm = b"".join(ToneSynthesiser().synthesise(spoken, settings))
    for ending in (Ending.DRAINED, Ending.QUIET, Ending.CLOSED_BY_SERVER):
        assert _said(_judge(spoken, speed=speed), receive(pcm), ending) == ""


def test_a_truncated_clip_is_caught_once_the_voice_is_known() -> None:
    """Half of a text, above the bound for all voices, is caught after twenty samples, not before."""
    spoken = "abcde fghij " * 5
    half = make_hum(50 * 0.08 / 2 + 0.05)
    assert _said(_judge(spoken, rates=_taught(count=19)), half, Ending.QUIET) == ""
    objection = _said(_judge(spoken, rates=_taught(count=20)), half, Ending.QUIET)
    assert "this voice needs about 4.0 s" in objection


def test_a_mere_close_is_doubted_more() -> None:
    """A little less than usual passes after a whole quiet time, and not after a mere close."""
    spoken = "abcde fghij " * 5
    some = make_hum(50 * 0.08 * 0.75)
    for ending in (Ending.DRAINED, Ending.QUIET):
        assert _said(_judge(spoken, rates=_taught()), some, ending) == ""
    assert "needs about" in _said(_judge(spoken, rates=_taught()), some, Ending.CLOSED_BY_SERVER)


def test_a_voice_that_suddenly_takes_five_times_as_long_is_doubted() -> None:
    """Repetition and babble show in a length far beyond the voice's pace."""
    judge = _judge("abcde fghij " * 5, rates=_taught())
    (doubt,) = judge.verdict(make_hum(50 * 0.08 * 5), RATE, Ending.DRAINED).doubts
    assert doubt.sign is Sign.LONG
    assert "needs about" in doubt.message


def test_of_two_takes_the_one_with_more_of_the_text_has_less_against_it() -> None:
    """Doubts can be compared: silence is the worst, an abrupt end alone the least."""
    spoken = "abcde fghij " * 5

    def weight(sound: ReceivedAudio, ending: Ending = Ending.QUIET, count: int = 20) -> float:
        judge = _judge(spoken, rates=_taught(count=count))
        return sum_severity(judge.verdict(sound, RATE, ending).doubts)

    abrupt = weight(make_hum(4.0, fades=False), Ending.CLOSED_BY_SERVER)
    shorter = [weight(make_hum(4.0 * kept)) for kept in (0.7, 0.5, 0.3, 0.1)]
    silent = weight(receive(bytes(80_000)))
    assert 0.0 < abrupt < shorter[0]
    assert sorted(shorter) == shorter
    assert shorter[-1] < silent == 1.0
    assert 0.0 < weight(make_hum(60.0)) <= 1.0
    assert weight(make_hum(4.0)) == 0.0


def test_clips_cut_anywhere_do_not_become_the_voice() -> None:
    """Truncated clips, however many, do not agree with each other: they teach nothing."""
    rates, dice = _taught(), random.Random(5)
    spoken = "abcde fghij " * 5
    for _ in range(100):
        cut = make_hum(4.0 * dice.uniform(0.35, 0.65))
        assert _said(_judge(spoken, rates=rates), cut, Ending.QUIET)
    assert _said(_judge(spoken, rates=rates), make_hum(4.0), Ending.QUIET) == ""


def test_a_voice_may_become_another_one() -> None:
    """Clips that are doubted one and all, and agree with each other, are the voice after all."""
    rates = _taught(pace=0.08)
    doubted = 0
    for number in range(60):
        spoken = "abcde fghij " * (3 + number % 4)
        seconds = (6 + 2 * (number % 4)) * 5 * 0.05
        doubted += bool(_said(_judge(spoken, rates=rates), make_hum(seconds), Ending.QUIET))
    assert 15 <= doubted <= 20
    assert _said(_judge("abcde fghij " * 5, rates=rates), make_hum(2.5), Ending.QUIET) == ""
    assert _said(_judge("abcde fghij " * 5, rates=rates), make_hum(1.2), Ending.QUIET)


def test_a_bad_beginning_is_not_the_voice() -> None:
    """If half of the first clips were cut, whole ones are not doubted, then or later."""
    rates, dice = SpeechRates(), random.Random(9)
    noticed = []
    for number in range(200):
        spoken = "abcde fghij " * (3 + number % 4)
        whole = (6 + 2 * (number % 4)) * 5 * 0.08 * dice.uniform(0.96, 1.04)
        kept = dice.uniform(0.4, 0.7) if number % 2 else 1.0
        said = _said(_judge(spoken, rates=rates), make_hum(whole * kept), Ending.QUIET)
        assert not (said and kept == 1.0)
        noticed.append(bool(said) if kept < 1.0 else None)
    late = [one for one in noticed[60:] if one is not None]
    assert sum(late) >= 0.9 * len(late)


def test_voices_are_learned_apart() -> None:
    """One voice's pace says nothing about another's."""
    rates = _taught()
    judge = rates.make_judge(voice="another", spoken="abcde fghij " * 5, speed=1.0)
    assert _said(judge, make_hum(2.05), Ending.QUIET) == ""


def test_an_abrupt_end_alone_is_doubted_once_in_a_voices_life() -> None:
    """After a mere close it may be a cut; a voice that ends loud is then known for it."""
    rates = SpeechRates()
    said = [
        _said(
            _judge("abcde" * 20, rates=rates), make_hum(9.0, fades=False), Ending.CLOSED_BY_SERVER
        )
        for _ in range(100)
    ]
    assert "breaks off in mid-sound" in said[0]
    assert not any(said[1:])


@pytest.mark.parametrize("ending", [Ending.QUIET, Ending.DRAINED])
def test_an_abrupt_end_that_was_shown_to_be_the_end_is_no_doubt(ending: Ending) -> None:
    """A whole quiet time or a drain says that nothing was lost."""
    judge = _judge("abcde" * 20)
    for seconds in (5.0, 9.0):
        assert _said(judge, make_hum(seconds, fades=False), ending) == ""


def test_silence_around_the_sound_is_no_part_of_its_length() -> None:
    """Half of a text is not all of it because a second of silence follows."""
    spoken = "abcde fghij " * 5
    half = bytes(RATE) + bytes(make_hum(2.5)) + bytes(4 * RATE)
    assert "2.4" in _said(_judge(spoken, rates=_taught()), receive(half), Ending.QUIET)
    whole = bytes(4 * RATE) + bytes(make_hum(4.0)) + bytes(4 * RATE)
    assert _said(_judge(spoken, rates=_taught()), receive(whole), Ending.QUIET) == ""


def test_a_known_voice_speaks_for_a_result() -> None:
    """What is plausible says by how much it is known to be."""
    judge = _judge("abcde fghij " * 5, rates=_taught(count=36))
    support = judge.verdict(make_hum(4.0), RATE, Ending.QUIET).support
    assert support == ("36 clips of this voice are known: it takes about 4.0 s for this text",)


def test_a_short_silence_may_mean_the_end_only_where_the_length_is_known() -> None:
    """Not for a new voice, not below what it takes, not in mid-sound, not of numbers alone."""
    spoken = "abcde fghij " * 5
    assert not _judge(spoken, rates=_taught(count=19)).is_ample(make_hum(9.0), RATE)
    judge = _judge(spoken, rates=_taught(count=20))
    assert judge.is_ample(make_hum(4.2), RATE)
    assert not judge.is_ample(make_hum(3.6), RATE)
    assert not judge.is_ample(make_hum(4.2, fades=False), RATE)
    assert not judge.is_ample(receive(bytes(make_hum(2.0)) + bytes(6 * RATE)), RATE)
    assert not _judge("90210", rates=_taught()).is_ample(make_hum(4.2), RATE)


def test_a_text_with_nothing_to_weigh_has_no_least_length() -> None:
    """Fractions and signs weigh nothing, and any sound will do."""
    judge = _judge("½ ² …")
    assert judge.minimum_seconds == 0.0
    assert _said(judge, make_hum(0.4), Ending.QUIET) == ""


_ANY_CLIP = st.tuples(
    st.text(max_size=40) | st.sampled_from([_ARABIC, "1 000 000", "word", "\ud800", ""]),
    st.sampled_from([0.7, 1.0, 1.2]),
    st.binary(min_size=1, max_size=40).map(lambda data: data + data) | st.just(b"\x00\x20" * 9_000),
    st.integers(0, 40_000),
    st.sampled_from(list(Ending)),
)


@given(st.lists(_ANY_CLIP, min_size=1, max_size=8), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_any_text_with_any_audio_gets_a_verdict(
    clips: list[tuple[str, float, bytes, int, Ending]], rounds: int
) -> None:
    """Nothing crashes a judge, known or new, and every doubt has a weight between 0 and 1."""
    rates = SpeechRates()
    for spoken, speed, sound, silence, ending in clips * rounds:
        judge = _judge(spoken, speed=speed, rates=rates)
        pcm = receive(bytes(2 * (silence // 3)) + sound + bytes(2 * silence))
        judge.is_ample(pcm, RATE)
        for doubt in judge.verdict(pcm, RATE, ending).doubts:
            assert 0.0 <= doubt.severity <= 1.0
            assert doubt.message
        assert judge.minimum_seconds >= 0.0
