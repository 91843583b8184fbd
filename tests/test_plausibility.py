"""Audio against its text: what is too short, too long, silent or cut off is not called done."""

import numpy as np
import pytest

from batchjobs.jobs import Ending, Sign, SpeechSettings
from batchjobs.plausibility import SpeechJudge, SpeechRates
from batchjobs.received import ReceivedAudio
from batchjobs.server.tone import ToneSynthesiser

_RATE = 8_000
_ARABIC = "السَّلامُ عَلَيْكُمْ وَرَحْمَةُ اللهِ وَبَرَكاتُهُ، كَيْفَ حالُكُم اليَوْم؟"


def _received(pcm: bytes) -> ReceivedAudio:
    audio = ReceivedAudio()
    audio.add(pcm)
    return audio


def _sound(seconds: float, *, fades: bool = True) -> ReceivedAudio:
    """Make a hum, which dies away at its end or breaks off."""
    count = round(seconds * _RATE)
    wave = 8_000 * np.sin(np.arange(count) * 0.3)
    if fades:
        edge = min(count, _RATE // 10)
        wave[count - edge :] *= np.linspace(1, 0, edge) ** 2
    return _received(bytes(wave.astype("<i2").tobytes()))


def _judge(spoken: str, *, speed: float = 1.0, rates: SpeechRates | None = None) -> SpeechJudge:
    return (rates or SpeechRates()).judge(voice="v", spoken=spoken, speed=speed)


def _said(judge: SpeechJudge, sound: ReceivedAudio, ending: Ending) -> str:
    """Say what the judge holds against a sound; empty if nothing."""
    return "; ".join(doubt.message for doubt in judge.verdict(sound, _RATE, ending).doubts)


def _taught(pace: float = 0.08, count: int = 20) -> SpeechRates:
    """Make rates that have heard a voice speak at so many seconds a letter."""
    rates = SpeechRates()
    for number in range(count):
        spoken = "abcde fghij " * (3 + number % 4)
        seconds = len(spoken.replace(" ", "")) * pace
        judge = _judge(spoken, rates=rates)
        assert _said(judge, _sound(seconds), Ending.QUIET) == ""
    return rates


@pytest.mark.parametrize("pcm", [b"", b"\0" * 2, b"\0" * 160_000])
def test_silence_is_no_speech(pcm: bytes) -> None:
    """Not a sample, or only zeros, is an objection whatever the length."""
    assert "silent" in _said(_judge("a word"), _received(pcm), Ending.DRAINED)


def test_too_little_audio_is_not_all_of_the_text() -> None:
    """A hundred letters take four seconds at the very least."""
    judge = _judge("abcde" * 20)
    assert judge.minimum_seconds == pytest.approx(4.0)
    assert "too short for 100 letters" in _said(judge, _sound(3.9), Ending.QUIET)
    assert _said(judge, _sound(4.1), Ending.QUIET) == ""


def test_the_asked_speed_moves_the_bounds() -> None:
    """At 1.2 less audio will do, at 0.7 it takes more."""
    assert _judge("abcde" * 20, speed=1.2).minimum_seconds == pytest.approx(100 / 25 / 1.2)
    assert _judge("abcde" * 20, speed=0.7).minimum_seconds == pytest.approx(100 / 25 / 0.7)
    assert _said(_judge("abcde" * 20, speed=1.2), _sound(3.5), Ending.QUIET) == ""


def test_too_much_audio_is_not_only_the_text() -> None:
    """A short text with twenty seconds of sound is somebody else's, or a loop."""
    judge = _judge("short text")
    assert "too long for 9 letters" in _said(judge, _sound(20.0), Ending.QUIET)
    assert _said(judge, _sound(18.0), Ending.QUIET) == ""


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
        assert _said(_judge(spoken), _sound(length), Ending.QUIET) == ""


def test_numbers_do_not_spoil_a_learned_pace() -> None:
    """A voice that is well known may still say a million in a second, or read out its digits."""
    rates = _taught()
    spoken = "there are 1000000000 of us"
    letters = 16
    for seconds in (letters * 0.08 + 0.7, letters * 0.08 + 3.5):
        judge = _judge(spoken, rates=rates)
        assert _said(judge, _sound(seconds), Ending.DRAINED) == ""
    digits = _judge("0123456789" * 3, rates=rates)
    assert _said(digits, _sound(30 * 0.45), Ending.DRAINED) == ""
    half = _judge("abcde fghij " * 4, rates=rates)
    assert "this voice needs about" in _said(half, _sound(1.7), Ending.DRAINED)


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
    settings = SpeechSettings(voice_id="v", model_id="m", speed=speed, output_format="pcm_8000")
    pcm = b"".join(ToneSynthesiser().synthesise(spoken, settings))
    for ending in (Ending.DRAINED, Ending.QUIET, Ending.CLOSED_BY_SERVER):
        assert _said(_judge(spoken, speed=speed), _received(pcm), ending) == ""


def test_a_truncated_clip_is_caught_once_the_voice_is_known() -> None:
    """Half of a text, above the bound for all voices, is caught after twenty samples, not before."""
    spoken = "abcde fghij " * 5
    half = _sound(50 * 0.08 / 2 + 0.05)
    assert _said(_judge(spoken, rates=_taught(count=19)), half, Ending.QUIET) == ""
    objection = _said(_judge(spoken, rates=_taught(count=20)), half, Ending.QUIET)
    assert "this voice needs about 4.0 s" in objection


def test_a_mere_close_is_doubted_more() -> None:
    """Two thirds of the usual length pass after a drained end, and not after a mere close."""
    spoken = "abcde fghij " * 5
    some = _sound(50 * 0.08 / 1.5)
    assert _said(_judge(spoken, rates=_taught()), some, Ending.DRAINED) == ""
    assert _said(_judge(spoken, rates=_taught()), some, Ending.CLOSED_BY_SERVER)


def test_a_voice_that_suddenly_takes_five_times_as_long_is_doubted() -> None:
    """Repetition and babble show in a length far beyond the voice's pace."""
    spoken = "abcde fghij " * 5
    assert "needs about" in _judge(spoken, rates=_taught()).objection(
        _sound(50 * 0.08 * 5), _RATE, Ending.DRAINED
    )


def test_what_is_doubted_teaches_nothing() -> None:
    """Truncated clips, however many, do not become the voice's pace."""
    rates = _taught()
    spoken = "abcde fghij " * 5
    for _ in range(200):
        assert _said(_judge(spoken, rates=rates), _sound(2.05), Ending.QUIET)
    assert _said(_judge(spoken, rates=rates), _sound(4.0), Ending.QUIET) == ""


def test_voices_are_learned_apart() -> None:
    """One voice's pace says nothing about another's."""
    rates = _taught()
    judge = rates.judge(voice="another", spoken="abcde fghij " * 5, speed=1.0)
    assert _said(judge, _sound(2.05), Ending.QUIET) == ""


@pytest.mark.parametrize(
    ("ending", "seconds", "is_cut"),
    [
        (Ending.CLOSED_BY_SERVER, 9.0, True),
        (Ending.DRAINED, 5.0, True),
        (Ending.DRAINED, 9.0, False),
        (Ending.QUIET, 5.0, False),
    ],
)
def test_audio_that_breaks_off(ending: Ending, seconds: float, *, is_cut: bool) -> None:
    """An abrupt end counts against a mere close, and against a drain if the pace was hurried."""
    judge = _judge("abcde" * 20)
    objection = _said(judge, _sound(seconds, fades=False), ending)
    assert ("breaks off in mid-sound" in objection) is is_cut
    assert _said(judge, _sound(seconds), ending) == ""


def test_a_text_with_nothing_to_weigh_has_no_least_length() -> None:
    """Fractions and signs weigh nothing, and any sound will do."""
    judge = _judge("½ ² …")
    assert judge.minimum_seconds == 0.0
    assert _said(judge, _sound(0.4), Ending.QUIET) == ""
