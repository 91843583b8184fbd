"""The tone engine gives back every text exactly, and nothing that it did not say."""

import itertools
import unicodedata
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.audio import decoding
from batchjobs.audio.pauses import split_at_pauses
from batchjobs.audio.pcm import ends_abruptly
from batchjobs.errors import EngineError
from batchjobs.jobs import SpeechSettings
from batchjobs.server.engines.espeak import EspeakSynthesiser
from batchjobs.server.engines.tone import ToneRecogniser, ToneSynthesiser
from batchjobs.server.engines.tone_signal import (
    PIECE_LIMIT_BYTES,
    decode_text,
    encode_text,
    split_text,
)
from batchjobs.text import speech_weight
from batchjobs.transcripts.joining import TranscriptPart, join_parts
from tests.builders import make_speech, write_recording

_PLAIN = "السلام عليكم ورحمة الله وبركاته، كيف حالك اليوم يا صديقي العزيز؟"
_VOWELLED = "السَّلامُ عَلَيْكُمْ وَرَحْمَةُ اللهِ وَبَرَكاتُهُ، كَيْفَ حالُكَ اليَوْمَ يا صَديقي؟"
_ENGLISH = "The quick brown fox jumps over the lazy dog, and then it sleeps for a while."
_TEXTS = [
    "a",
    "Hi.",
    _ENGLISH,
    _PLAIN,
    _VOWELLED,
    "مـــرحـــبا",
    "في عام ٢٠٢٤ بلغ العدد ١٢٣٬٤٥٦ أي نحو 12% من 1,000,000",
    "اشترى أحمد iPhone 15 من Apple بسعر $999.",
    "می‌خواهم\u200d\u200c\u200e\u202bنص\u202c",
    "é e\u0301 ﷺ ﻻ 中文 😀👩‍👩‍👧 \x1b\x00\x7f",
    " \n\t two  spaces \r\n",
    "\ud800 lone",
    "0" * 30 + "٩" * 30,
]
_RATES = [8_000, 16_000, 22_050, 24_000]


def _settings(rate: int = 24_000, speed: float = 1.0) -> SpeechSettings:
    return make_speech(rate, speed=speed)


def _say(text: str, rate: int = 24_000, speed: float = 1.0) -> bytes:
    return b"".join(ToneSynthesiser().synthesise(text, _settings(rate, speed)))


def _hear(pcm: bytes, rate: int, chunk_bytes: int = 32_000) -> str:
    stream = ToneRecogniser().start()
    text = ""
    for start in range(0, len(pcm), chunk_bytes):
        text = stream.accept(pcm[start : start + chunk_bytes], rate)
    stream.close()
    return text


def _through_a_file(pcm: bytes, rate: int, path: Path) -> str:
    write_recording(path, pcm, rate)
    stream = ToneRecogniser().start()
    return [stream.accept(chunk, 16_000) for chunk in decoding.pcm_chunks(path)][-1]


@pytest.mark.parametrize("text", _TEXTS)
@pytest.mark.parametrize("rate", _RATES)
@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_a_text_survives_every_rate_and_format(
    tmp_path: Path, text: str, rate: int, ending: str
) -> None:
    """A text spoken at any rate, written as any format and read at 16 kHz comes back exactly."""
    assert _through_a_file(_say(text, rate), rate, tmp_path / f"clip.{ending}") == text


@pytest.mark.parametrize("speed", [0.7, 0.83, 1.0, 1.2])
@pytest.mark.parametrize("rate", _RATES)
def test_a_text_survives_every_speed(tmp_path: Path, speed: float, rate: int) -> None:
    """A long text keeps its timing to the last letter at every speed the API allows."""
    text = " ".join([_VOWELLED, _ENGLISH] * 3)
    assert _through_a_file(_say(text, rate, speed), rate, tmp_path / "clip.wav") == text


@settings(max_examples=100, deadline=None)
@given(
    text=st.text(min_size=1, max_size=12),
    rate=st.sampled_from(_RATES),
    chunk_bytes=st.integers(1_000, 40_000),
)
def test_any_unicode_in_any_chunks(text: str, rate: int, chunk_bytes: int) -> None:
    """Any text at all comes back exactly, however its audio is cut, even inside a sample."""
    assert _hear(_say(text, rate), rate, chunk_bytes) == text


@settings(max_examples=100, deadline=None)
@given(text=st.text())
def test_a_payload_stands_for_its_text_only(text: str) -> None:
    """Every text has its bytes, and they give it back."""
    assert decode_text(encode_text(text)) == text


@settings(max_examples=100, deadline=None)
@given(payload=st.binary(max_size=30))
def test_bytes_that_no_text_has_give_nothing(payload: bytes) -> None:
    """Bytes that nobody encoded are no text, rather than a wrong one."""
    text = decode_text(payload)
    assert text == "" or encode_text(text) == payload


def test_tiny_chunks_are_enough() -> None:
    """Audio that trickles in, a hundred bytes at a time, is heard all the same."""
    assert _hear(_say("سلام hi", 16_000), 16_000, 100) == "سلام hi"


@pytest.mark.parametrize("gap_seconds", [0.0, 0.0123, 0.5])
def test_utterances_are_heard_one_after_the_other(gap_seconds: float) -> None:
    """Texts spoken in a row come back joined as spoken, with or without silence between them."""
    gap = bytes(2 * int(16_000 * gap_seconds))
    pcm = gap + gap.join(_say(text, 16_000) for text in _TEXTS)
    assert _hear(pcm, 16_000) == "".join(_TEXTS)
    assert _hear(pcm, 16_000, len(pcm)) == "".join(_TEXTS)


def test_the_transcript_is_cumulative() -> None:
    """While utterances arrive the transcript only grows, by whole utterances."""
    pcm = _say("one ", 16_000) + _say("اثنان", 16_000)
    stream = ToneRecogniser().start()
    seen = [
        stream.accept(pcm[start : start + 3_200], 16_000) for start in range(0, len(pcm), 3_200)
    ]
    assert [text for text, _ in itertools.groupby(seen)] == ["", "one ", "one اثنان"]
    assert stream.accept(b"", 16_000) == "one اثنان"


def test_what_was_cut_off_is_no_text() -> None:
    """An utterance that ends early at any point is heard as nothing, never as a part of its text."""
    pcm = _say(_ENGLISH, 16_000)
    audible = len(pcm) - 2 * int(0.3 * 16_000)
    for end in range(0, audible - 320, 3_210):
        assert _hear(pcm[:end], 16_000) == ""


def test_a_cut_utterance_does_not_hide_the_next() -> None:
    """What follows an utterance that broke off anywhere is heard exactly."""
    pcm = _say(_PLAIN, 16_000)
    for end in range(0, len(pcm) - 2_000 - 2 * int(0.3 * 16_000), 4_444):
        assert _hear(pcm[:end] + _say("next", 16_000), 16_000) == "next"


def test_damage_is_noticed() -> None:
    """An utterance with a hole, a jump or a foreign symbol in it is not given as text."""
    pcm = _say(_ENGLISH, 16_000)
    for place in range(0, len(pcm) - 6_000, 5_000):
        hole = pcm[:place] + bytes(1_600) + pcm[place + 1_600 :]
        jump = pcm[:place] + pcm[place + 1_600 :]
        swap = pcm[:place] + pcm[place + 2_400 : place + 4_800] + pcm[place + 2_400 :]
        for damaged in (hole, jump, swap):
            assert _hear(damaged, 16_000) in {"", _ENGLISH}
    middle = len(pcm) // 2
    assert _hear(pcm[:middle] + bytes(1_600) + pcm[middle + 1_600 :], 16_000) == ""


def test_a_wrong_symbol_is_noticed() -> None:
    """One letter replaced by another, cleanly, is caught by the checksum."""
    first, second = _say("hello world", 16_000), _say("hellx world", 16_000)
    differing = np.flatnonzero(
        np.frombuffer(first, "<i2")[:19_000] != np.frombuffer(second, "<i2")[:19_000]
    )
    crossed = second[: 2 * 13_000] + first[2 * 13_000 :]
    assert differing[0] < 13_000
    assert _hear(crossed, 16_000) == ""


@pytest.mark.parametrize("level", [0.0, 0.0001, 0.01, 0.5])
def test_silence_and_noise_say_nothing(level: float) -> None:
    """Ten seconds of silence or noise are heard as nothing."""
    noise = np.random.default_rng(3).standard_normal(160_000) * level * 32767
    assert _hear(noise.clip(-32768, 32767).astype("<i2").tobytes(), 16_000) == ""


def test_human_speech_says_nothing() -> None:
    """Speech is no tone: it is heard as nothing."""
    engine = EspeakSynthesiser()
    pcm = b"".join(engine.synthesise(f"{_PLAIN} {_ENGLISH}", _settings(16_000)))
    engine.close()
    assert _hear(pcm, 16_000) == ""


def test_tones_are_heard_through_noise() -> None:
    """A text survives hiss at a tenth of its level and a quarter of the volume."""
    samples = np.frombuffer(_say(_VOWELLED, 16_000), "<i2") * 0.25
    noisy = samples + np.random.default_rng(5).standard_normal(len(samples)) * 300
    assert _hear(noisy.astype("<i2").tobytes(), 16_000) == _VOWELLED


@pytest.mark.parametrize("text", [_PLAIN, _VOWELLED, _ENGLISH, "١٢٣٤٥ 67890 " * 4])
def test_it_speaks_at_a_persons_pace(text: str) -> None:
    """Letters and digits take about as long as a person needs, in both scripts alike."""
    seconds = len(_say(text)) / 48_000
    assert 8 <= speech_weight(text) / seconds <= 20


def test_speed_changes_the_duration() -> None:
    """Speaking faster or slower changes the length as it would with a voice."""
    slow, even, fast = (len(_say(_ENGLISH * 3, speed=speed)) for speed in (0.7, 1.0, 1.2))
    assert slow / even == pytest.approx(1 / 0.7, rel=0.05)
    assert fast / even == pytest.approx(1 / 1.2, rel=0.05)


def test_the_audio_is_fit_to_be_played() -> None:
    """Blocks are short and whole, the level is moderate, and the end is silent."""
    blocks = list(ToneSynthesiser().synthesise(_ENGLISH, _settings()))
    assert all(len(block) % 2 == 0 and len(block) <= 24_000 for block in blocks)
    samples = np.frombuffer(b"".join(blocks), "<i2")
    assert 5_000 < np.abs(samples.astype(int)).max() < 16_000
    assert not samples[-int(0.03 * 24_000) :].any()
    assert not ends_abruptly(b"".join(blocks), sample_rate=24_000)


def test_the_same_text_gives_the_same_bytes() -> None:
    """Synthesis is deterministic."""
    assert _say(_VOWELLED) == _say(_VOWELLED)


def test_an_empty_text_is_no_audio() -> None:
    """Nothing to say gives nothing."""
    assert _say("") == b""


def test_what_it_cannot_speak_is_an_error() -> None:
    """A sample rate it has no tables for is an engine error."""
    with pytest.raises(EngineError, match="12345 Hz"):
        _say("hi", 12_345)


_LONG_TEXTS = {
    "english": f"{_ENGLISH} " * 40,
    "vowelled": f"{_VOWELLED}\n" * 30,
    "digits": "في عام ٢٠٢٤ بلغ العدد ١٢٣٬٤٥٦ أي نحو 12% من 1,000,000.  " * 25,
    "joiners": "می\u200cخواهم كتـــاب \u202bنص\u202c 👩\u200d👩\u200d👧 e\u0301 " * 40,
    "one word": "abcdefghij" * 500,
    "one arabic word": "كتابمدرسة" * 400,
    "marks": "بَِّ" * 800,
    "emoji": "👩\u200d👩\u200d👧" * 200,
    "spaces": "one" + " " * 1_500 + "two\n\n\tthree",
    "surrogates": "\ud800" * 600,
}


@pytest.mark.parametrize("text", _LONG_TEXTS.values(), ids=_LONG_TEXTS)
def test_a_long_text_is_heard_exactly(text: str) -> None:
    """A text of any length and kind comes back exactly in one session, white space and all."""
    assert _hear(_say(text, 16_000), 16_000) == text


@pytest.mark.parametrize("text", _LONG_TEXTS.values(), ids=_LONG_TEXTS)
def test_a_long_text_is_spoken_in_short_pieces(text: str) -> None:
    """No piece is longer than a cut can wait for, and words, letters and their marks stay whole."""
    cut = list(split_text(text))
    assert "".join(cut) == text
    assert len(cut) > 2
    assert max(len(encode_text(piece)) for piece in cut) <= PIECE_LIMIT_BYTES
    assert not any(unicodedata.category(piece[0])[0] == "M" for piece in cut)
    assert not any({piece[-1], after[0]} & set("\u200c\u200d") for piece, after in pairwise(cut))
    words = text.split()
    if max(map(len, words)) < 50 and "   " not in text:
        assert [word for piece in cut for word in piece.split()] == words


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("ab7٣ \n\u200d\u0301ب中"), max_size=900))
def test_the_pieces_of_any_text_are_the_text(text: str) -> None:
    """Nothing is lost between split_text, and none is empty or too long."""
    cut = list(split_text(text))
    assert "".join(cut) == text
    assert all(0 < len(encode_text(piece)) <= PIECE_LIMIT_BYTES for piece in cut)


@pytest.mark.parametrize(
    ("ending", "target", "longest", "speed"),
    [
        ("wav", 60.0, 90.0, 0.7),
        ("mp3", 25.0, 40.0, 0.7),
        ("mp3", 60.0, 90.0, 1.2),
        ("ogg", 25.0, 40.0, 1.2),
    ],
)
def test_a_long_recording_is_cut_between_its_pieces(
    tmp_path: Path, ending: str, target: float, longest: float, speed: float
) -> None:
    """Stretches heard by themselves and joined are the text, whatever the format and the speed."""
    text = _LONG_TEXTS["english"] + _LONG_TEXTS["digits"] + "x" * 150 + _LONG_TEXTS["vowelled"]
    path = tmp_path / f"long.{ending}"
    pcm = _say(text.strip(), 16_000, speed)
    write_recording(path, pcm)
    stretches = list(split_at_pauses(path, target_seconds=target, longest_seconds=longest))
    parts = [
        TranscriptPart(
            start_seconds=stretch.first_frame / 16_000,
            seconds=len(stretch.pcm) / 32_000,
            text=_hear(stretch.pcm, 16_000),
        )
        for stretch in stretches
    ]
    assert len(parts) > 3
    assert not any(stretch.overlap_frames for stretch in stretches)
    assert join_parts(parts).text == text.strip()


def test_texts_spoken_back_to_back_can_be_cut_between(tmp_path: Path) -> None:
    """Short texts one after the other, as the segments of a long job, leave pauses to cut at."""
    texts = [f"no {number} {_VOWELLED} no" for number in range(40)]
    pcm = b"".join(_say(text, 16_000) for text in texts)
    path = tmp_path / "long.wav"
    write_recording(path, pcm)
    heard = [_hear(stretch.pcm, 16_000) for stretch in split_at_pauses(path)]
    assert len(heard) > 3
    assert "".join(heard) == "".join(texts)


@pytest.mark.parametrize("rate", [0, 4_000, 2**31])
def test_what_it_cannot_hear_is_an_error(rate: int) -> None:
    """A rate too low for the tones, or absurd, is an engine error."""
    with pytest.raises(EngineError, match=str(rate)):
        ToneRecogniser().start().accept(bytes(100), rate)


def test_a_change_of_rate_begins_anew() -> None:
    """A stream may change its rate between utterances and keeps what it heard."""
    stream = ToneRecogniser().start()
    stream.accept(_say("one ", 16_000), 16_000)
    assert stream.accept(_say("two", 8_000), 8_000) == "one two"


def test_engines_can_be_closed() -> None:
    """Closing is allowed at any time, more than once."""
    synthesiser, recogniser = ToneSynthesiser(), ToneRecogniser()
    for _ in range(2):
        synthesiser.close()
        recogniser.close()
