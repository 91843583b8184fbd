"""Sound without words is noticed, and so are too few of them; what is no speech is left alone."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from batchjobs.jobs import Sign, Verdict
from batchjobs.plausibility.transcripts import TranscriptJudge, TranscriptRates
from batchjobs.server.engines.espeak import EspeakSynthesiser
from batchjobs.server.engines.tone import ToneSynthesiser
from tests.builders import make_speech

RATE = 16_000
_SETTINGS = make_speech(16_000)
_ARABIC = "السَّلامُ عليكـم ورحمة الله وبركاته، كيف حالك اليوم يا صديقي العزيز؟ عندي ١٢ كتابا."
_ENGLISH = "The quick brown fox jumps over the lazy dog, and then it sleeps for a while."
_Samples = NDArray[np.float64]


@pytest.fixture(scope="module")
def speech() -> dict[str, bytes]:
    """Give the two texts as espeak-ng speaks them."""
    engine = EspeakSynthesiser()
    spoken = {text: b"".join(engine.synthesise(text, _SETTINGS)) for text in (_ARABIC, _ENGLISH)}
    engine.close()
    return spoken


def _tones(text: str) -> bytes:
    return b"".join(ToneSynthesiser().synthesise(text, _SETTINGS))


def _hear(judge: TranscriptJudge, pcm: bytes, chunk_bytes: int = 32_000) -> TranscriptJudge:
    for start in range(0, len(pcm), chunk_bytes):
        judge.hear(pcm[start : start + chunk_bytes])
    return judge


def _verdict(pcm: bytes, text: str, rates: TranscriptRates | None = None) -> Verdict:
    return _hear((rates or TranscriptRates()).make_judge("service/model"), pcm).verdict(text)


def _signs(verdict: Verdict) -> list[Sign]:
    return [doubt.sign for doubt in verdict.doubts]


def _pcm(wave: _Samples, level_db: float = -30.0) -> bytes:
    wave = wave / np.sqrt(np.mean(wave**2)) * 10 ** (level_db / 20) * 32_768
    return wave.clip(-32_768, 32_767).astype("<i2").tobytes()


def _noise(seconds: float, slope: float, band: tuple[float, float] = (0, 8_000)) -> _Samples:
    """Noise whose amplitude falls with the frequency to a power, within a band of hertz."""
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(7).standard_normal(count))
    hertz = np.fft.rfftfreq(count, 1 / RATE)
    shape = np.maximum(hertz, 20.0) ** -slope * ((hertz >= band[0]) & (hertz <= band[1]))
    wave: _Samples = np.fft.irfft(spectrum * shape, count)
    return wave


def _chord(*pitches: float, seconds: float = 20.0) -> _Samples:
    times = np.arange(round(seconds * RATE)) / RATE
    wave: _Samples = np.sum([np.sin(2 * np.pi * pitch * times) for pitch in pitches], axis=0)
    return wave


_NO_SPEECH = {
    "digital silence": bytes(20 * 2 * RATE),
    "direct current": np.full(20 * RATE, 3_000, "<i2").tobytes(),
    "a quiet room": _pcm(_noise(20, 0.5), -80.0),
    "white noise": _pcm(_noise(20, 0.0)),
    "pink noise": _pcm(_noise(20, 0.5)),
    "brown noise": _pcm(_noise(20, 1.0)),
    "a telephone's noise": _pcm(_noise(20, 0.0, (300, 3_400))),
    "a fan": _pcm(_noise(20, 0.0, (0, 200))),
    "hum": _pcm(_chord(50, 150)),
    "a chord": _pcm(_chord(220, 277, 330)),
}


# -- sound without words -----------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["", " \n", "...", "\u200c؟"])
@pytest.mark.parametrize("text", [_ARABIC, _ENGLISH])
def test_speech_without_words_is_doubted(speech: dict[str, bytes], text: str, answer: str) -> None:
    """An answer that holds no word, where somebody speaks, is named with its place in time."""
    before, after = bytes(3 * 2 * RATE), bytes(2 * 2 * RATE)
    pcm = before + speech[text] + after
    [doubt] = _verdict(pcm, answer).doubts
    assert doubt.sign is Sign.UNHEARD
    assert doubt.severity == 1.0
    assert 2.9 < doubt.start_seconds < 3.5
    end = 3 + len(speech[text]) / 2 / RATE
    assert end - 1.0 < doubt.end_seconds < end + 0.1
    assert "no words" in doubt.message


@pytest.mark.parametrize("text", [_ARABIC * 20, _ENGLISH * 20])
def test_tones_without_words_are_doubted(text: str) -> None:
    """What the tone engine has spoken is sound that can be speech, however level it is."""
    pcm = _tones(text)
    [doubt] = _verdict(pcm, "").doubts
    assert doubt.end_seconds - doubt.start_seconds > 0.9 * len(pcm) / 2 / RATE
    unbroken = _tones(text.replace(" ", "")[:140])[: 2 * 6 * RATE]
    assert _signs(_verdict(unbroken, "")) == [Sign.UNHEARD]


@pytest.mark.parametrize("noise_db", [-70.0, -45.0, -35.0])
def test_speech_in_noise_is_sound_that_can_be_speech(
    speech: dict[str, bytes], noise_db: float
) -> None:
    """Fifteen decibels over the noise of its room, it is still told from it."""
    samples = np.frombuffer(speech[_ARABIC] * 3, "<i2")
    noise = np.frombuffer(_pcm(_noise(len(samples) / RATE, 0.5), noise_db), "<i2")
    both = (samples.astype(int) + noise).clip(-32_768, 32_767).astype("<i2")
    assert _signs(_verdict(both.tobytes(), "")) == [Sign.UNHEARD]


@pytest.mark.parametrize("sound", _NO_SPEECH.values(), ids=_NO_SPEECH)
@pytest.mark.parametrize("around_seconds", [0, 2])
def test_what_is_no_speech_may_have_no_words(sound: bytes, around_seconds: int) -> None:
    """Silence, hum and steady noise are done without words, also with digital silence around."""
    quiet = bytes(around_seconds * 2 * RATE)
    verdict = _verdict(quiet + sound + quiet, "")
    assert not verdict.doubts
    assert verdict.support == ("0.0 s of sound that can be speech",)


def test_a_word_or_a_cough_may_have_no_words(speech: dict[str, bytes]) -> None:
    """A second of sound in silence is not worth a doubt."""
    short = speech[_ENGLISH][2 * RATE : 2 * 2 * RATE]
    assert not _verdict(bytes(64_000) + short + bytes(64_000), "").doubts


def test_the_judge_says_where_nothing_is_said(speech: dict[str, bytes]) -> None:
    """Words of a short recording can then stand beside its silences, at no further reading."""
    pcm = bytes(32_000 * 20) + _tones("one two three. ") + bytes(32_000 * 9)
    silences = _verdict(pcm, "one two three.").silences
    assert silences[0] == pytest.approx((0.0, 20.0), abs=0.05)
    assert silences[-1][1] == pytest.approx(len(pcm) / 32_000, abs=0.05)
    assert _verdict(b"", "").silences == ()


def test_no_audio_is_not_doubted() -> None:
    """Nothing sent, or less than can be measured, is nothing unheard."""
    assert not TranscriptRates().make_judge("x").verdict("").doubts
    for size in (0, 1, 2, 1_023, 1_025):
        assert not _verdict(bytes(size), "").doubts


@given(st.lists(st.integers(0, 70_000), max_size=30), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_the_cuts_between_chunks_make_no_difference(sizes: list[int], seed: int) -> None:
    """However the audio comes, the verdict is the same."""
    pcm = np.random.default_rng(seed).integers(-9_000, 9_000, 40_000, "<i2").tobytes() + _tones(
        "ab"
    )
    whole = TranscriptRates().make_judge("x")
    whole.hear(pcm)
    pieces = TranscriptRates().make_judge("x")
    at = 0
    for size in [*(size // 2 * 2 for size in sizes), len(pcm)]:
        pieces.hear(pcm[at : at + size])
        at += size
    assert whole.verdict("") == pieces.verdict("")


# -- far too few words -------------------------------------------------------------------------


def _taught(speech: dict[str, bytes], count: int = 20) -> TranscriptRates:
    """Rates that know as many whole transcripts, in both languages."""
    rates = TranscriptRates()
    for text, _ in zip(itertools.cycle([_ARABIC, _ENGLISH]), range(count), strict=False):
        assert not _verdict(speech[text], text, rates).doubts
    return rates


def test_far_too_few_words_are_doubted_once_the_run_knows(speech: dict[str, bytes]) -> None:
    """A tenth of the words is noticed after twenty transcripts, and not before."""
    pcm = speech[_ARABIC] + bytes(RATE) + speech[_ENGLISH]
    assert not _verdict(pcm, "السلام", _taught(speech, 19)).doubts
    [doubt] = _verdict(pcm, "السلام", _taught(speech)).doubts
    assert doubt.sign is Sign.FEW_WORDS
    assert 0.9 < doubt.severity < 1.0
    assert doubt.start_seconds < 0.5
    assert doubt.end_seconds > len(pcm) / 2 / RATE - 1.0
    assert "6 letters" in doubt.message


def test_a_service_that_begins_to_drop_words_is_not_learnt(speech: dict[str, bytes]) -> None:
    """However many of its transcripts are doubted, the next one is too."""
    rates = _taught(speech)
    pcm = speech[_ARABIC] + bytes(RATE) + speech[_ENGLISH]
    verdicts = [_verdict(pcm, "السلام", rates) for _ in range(40)]
    assert all(_signs(verdict) == [Sign.FEW_WORDS] for verdict in verdicts)


def test_what_the_run_has_seen_supports_a_transcript(speech: dict[str, bytes]) -> None:
    """A whole transcript is not doubted, and it is said what there is of it."""
    verdict = _verdict(speech[_ENGLISH], _ENGLISH, _taught(speech))
    assert not verdict.doubts
    assert verdict.support[0].startswith("59 letters for ")


@pytest.mark.parametrize("share", [0.5, 0.75])
def test_half_of_the_words_may_do(speech: dict[str, bytes], share: float) -> None:
    """The rest may have been music, or slow: people differ by more than that."""
    rates = _taught(speech)
    for text in (_ARABIC, _ENGLISH):
        words = text.split()
        kept = " ".join(words[: round(share * len(words))])
        assert not _verdict(speech[text] * 3, f"{kept} " * 3, rates).doubts


def test_a_word_for_a_few_seconds_may_do(speech: dict[str, bytes]) -> None:
    """Somebody clears his throat and says yes."""
    short = speech[_ENGLISH][: 2 * 3 * RATE]
    assert not _verdict(short, "Yes.", _taught(speech)).doubts


def test_marks_and_tatweel_are_no_words(speech: dict[str, bytes]) -> None:
    """Diacritics and stretched letters do not make up for what is missing."""
    few = "سـَّـــُـٌ" + "ــــَ" * 40
    assert _signs(_verdict(speech[_ARABIC] * 2, few, _taught(speech))) == [Sign.FEW_WORDS]


def test_services_are_known_apart(speech: dict[str, bytes]) -> None:
    """What one model gives says nothing of another."""
    rates = _taught(speech)
    other = _hear(rates.make_judge("service/other"), speech[_ARABIC] * 2)
    assert not other.verdict("السلام").doubts


def test_a_run_of_sparse_transcripts_is_taken_as_it_is(speech: dict[str, bytes]) -> None:
    """Where few words are usual, as over music, they come to be expected."""
    rates = TranscriptRates()
    sparse = [_verdict(speech[_ENGLISH] * 2, "The dog.", rates) for _ in range(30)]
    assert not any(verdict.doubts for verdict in sparse)


def test_rates_that_are_all_over_the_place_lead_to_no_doubts(speech: dict[str, bytes]) -> None:
    """Where transcripts differ widely, none is far too short by what the run has shown."""
    rates = TranscriptRates()
    for length in [2, 8, 30, 60] * 10:
        _verdict(speech[_ENGLISH], _ENGLISH[:length], rates)
    assert not _verdict(speech[_ENGLISH], "Th", rates).doubts
