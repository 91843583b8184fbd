"""The espeak engine speaks Arabic and English, the same each time, and outlives its helper."""

import hashlib
import os
import select
import signal
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import pytest

from batchjobs.audio.pcm import ends_abruptly
from batchjobs.errors import EngineError
from batchjobs.server.engines import espeak_helper
from batchjobs.server.engines.espeak import EspeakSynthesiser, choose_variant, split_scripts
from tests.server.engines.speaking import make_settings, say

# Forks of a process with threads; the child only calls what a fork may.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

_ARABIC = "السلام عليكم ورحمة الله وبركاته"

_VOWELLED = "السَّلامُ عَلَيْكُمْ وَرَحْمَةُ اللهِ وَبَرَكاتُهُ"

_ENGLISH = "The quick brown fox jumps over the lazy dog"

_LISTING = "بلغ العدد ١٢٣٤ في عام 2024 مع Windows 11، مـــرحبا\u200d\u200c"


@pytest.fixture(scope="module")
def engine() -> Iterator[EspeakSynthesiser]:
    """Give all tests one engine, as a server has."""
    synthesiser = EspeakSynthesiser()
    yield synthesiser
    synthesiser.close()


def _seconds(pcm: bytes, rate: int = 24_000) -> float:
    return len(pcm) / 2 / rate


@pytest.mark.parametrize("text", [_ARABIC, _VOWELLED, _ENGLISH, _LISTING, "١٢٣", "2024"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000])
def test_every_rate_is_the_same_speech(engine: EspeakSynthesiser, text: str, rate: int) -> None:
    """A text takes the same time and is as loud at every rate the API offers."""
    pcm, native = say(engine, text, make_settings(rate)), say(engine, text, make_settings(22_050))
    assert _seconds(pcm, rate) == pytest.approx(_seconds(native, 22_050), abs=0.002)
    levels = [np.frombuffer(each, "<i2").astype(float).std() for each in (pcm, native)]
    assert levels[0] > 500
    assert levels[0] == pytest.approx(levels[1], rel=0.15)


@pytest.mark.parametrize("text", [_ARABIC, _VOWELLED, _ENGLISH])
def test_a_longer_text_takes_longer(engine: EspeakSynthesiser, text: str) -> None:
    """The duration grows with the text, in both scripts, with and without diacritics."""
    once, thrice = (_seconds(say(engine, ". ".join([text] * count))) for count in (1, 3))
    assert 1.5 < once < 6
    assert 2.4 * once < thrice < 3.6 * once


@pytest.mark.parametrize("text", [_ARABIC, _ENGLISH])
def test_speed_is_honoured(engine: EspeakSynthesiser, text: str) -> None:
    """A lower speed takes longer, in about the proportion asked for."""
    slow, even, fast = (
        _seconds(say(engine, text * 3, make_settings(speed=speed))) for speed in (0.7, 1.0, 1.2)
    )
    assert slow / even == pytest.approx(1 / 0.7, rel=0.12)
    assert fast / even == pytest.approx(1 / 1.2, rel=0.12)


def test_the_same_request_gives_the_same_bytes_from_any_thread(engine: EspeakSynthesiser) -> None:
    """Fifty renderings from four threads, with other texts in between, are identical."""
    hashes: list[str] = []

    def speak(own: str) -> None:
        for _ in range(13):
            hashes.append(hashlib.sha256(say(engine, _LISTING)).hexdigest())
            say(engine, own, make_settings(speed=1.2, voice_id=own))

    threads = [
        threading.Thread(target=speak, args=(own,)) for own in (_ARABIC, _ENGLISH, "x", "ثلاثة")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(hashes) == 52
    assert len(set(hashes)) == 1


def test_different_voices_sound_different(engine: EspeakSynthesiser) -> None:
    """Every voice id gives its own audio, and always the same."""
    ids = ["ar-najdi-male-1", "ar-najdi-male-2", "ar-hijazi-female-1", "en-female-7", "Noura"]
    clips = {voice_id: say(engine, _ARABIC, make_settings(voice_id=voice_id)) for voice_id in ids}
    assert len(set(clips.values())) == len(ids)
    assert say(engine, _ARABIC, make_settings(voice_id="Noura")) == clips["Noura"]


def test_a_voice_id_that_says_so_is_female_or_male() -> None:
    """Ids that name a gender get such a voice; others any; the pitch stays near the usual."""
    assert choose_variant("ar-hijazi-FEMALE-1")[0][0] == "f"
    assert choose_variant("ar-najdi-male-2")[0][0] == "m"
    others = {choose_variant(f"voice {number}") for number in range(60)}
    assert {variant for variant, _ in others} == {
        *(f"f{number}" for number in range(1, 6)),
        *(f"m{number}" for number in range(1, 8)),
    }
    assert all(35 <= pitch <= 65 for _, pitch in others)


def test_blocks_are_short_and_whole(engine: EspeakSynthesiser) -> None:
    """Audio comes in blocks of whole samples and at most half a second, and ends in silence."""
    blocks = list(engine.synthesise(f"{_ARABIC}. {_ENGLISH}.", make_settings()))
    assert all(0 < len(block) <= 24_000 and len(block) % 2 == 0 for block in blocks)
    assert not ends_abruptly(b"".join(blocks), sample_rate=24_000)


def test_a_long_text_begins_before_it_is_finished(engine: EspeakSynthesiser) -> None:
    """Closing the iterator of a book after its first block leaves the rest unspoken."""
    blocks = engine.synthesise(f"{_ARABIC}. " * 20_000, make_settings())
    first = next(blocks)
    assert isinstance(blocks, Generator)
    blocks.close()
    assert 0 < len(first) <= 24_000
    assert say(engine, "نعم")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (_ARABIC, [("arabic", _ARABIC)]),
        ("Hello, world!", [("latin", "Hello, world!")]),
        (
            "أستخدم Windows 11 في العمل.",
            [("arabic", "أستخدم "), ("latin", "Windows 11 "), ("arabic", "في العمل.")],
        ),
        ("12 books", [("latin", "12 books")]),
        ("  12 كتاباً", [("arabic", "  12 كتاباً")]),
        ("I have ١٢ books", [("latin", "I have "), ("arabic", "١٢ "), ("latin", "books")]),
        ("الـiPhone جديد", [("arabic", "الـiPhone جديد")]),
        ("2024!", [("otherwise", "2024!")]),
        ("\n", [("otherwise", "\n")]),
        ("", []),
    ],
)
def test_runs_go_by_script(text: str, expected: list[tuple[str, str]]) -> None:
    """Words go to the voice of their script, numbers with their neighbours; nothing is lost."""
    assert split_scripts(text, otherwise="otherwise") == expected


def test_a_foreign_word_gets_its_own_voice(engine: EspeakSynthesiser) -> None:
    """An English word in an Arabic sentence is spoken as English, not spelt or skipped."""
    alone, mixed = (
        _seconds(say(engine, text)) for text in ("أعمل في اليوم", "أعمل في Microsoft اليوم")
    )
    assert 0.3 < mixed - alone < 1.5


@pytest.mark.parametrize(
    "text", ["\0 nul \0", "lone \ud800 half", "<b>&amp;</b> [[ph]]", "😀", "..."]
)
def test_odd_texts_do_no_harm(engine: EspeakSynthesiser, text: str) -> None:
    """What is no ordinary text is spoken somehow, without an error."""
    assert say(engine, text)


@pytest.mark.parametrize(
    ("written", "read"),
    [("سعره ٢٫٥ دينار", "سعره 2.5 دينار"), ("وزنه ١٬٠٠٠ رطل", "وزنه 1,000 رطل")],
)
def test_arabic_separators_are_read_as_such(
    engine: EspeakSynthesiser, written: str, read: str
) -> None:
    """Two and a half is not two and five, and a thousand not one and three noughts."""
    assert say(engine, written) == say(engine, read)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (unicodedata.normalize("NFC", "مدر\u0651\u0650س"), "مدر\u0651\u0650س"),
        ("كت\u0640\u0640اب", "كتاب"),
        ("ه\u0640\u0670ذا مر\u064e\u0651ة", "ه\u0670ذا مر\u0651\u064eة"),
    ],
)
def test_what_looks_the_same_sounds_the_same(
    engine: EspeakSynthesiser, written: str, read: str
) -> None:
    """Neither normalizing, which puts a vowel before its shadda, nor tatweel changes a word."""
    assert say(engine, written) == say(engine, read)


def test_a_question_does_not_begin_with_a_kilometre(engine: EspeakSynthesiser) -> None:
    """The word for "how many" is a unit only behind a number."""
    assert say(engine, "كم الساعة؟") == say(engine, "ك\u064eم الساعة؟")
    assert say(engine, "قل: كم") == say(engine, "قل: ك\u064eم")


@pytest.mark.parametrize(
    "distance",
    [
        "٥ كم",
        "5 كم",
        "٥كم",
        "٥  كم",
        "٥ \u200fكم",
        "سباق ٥-كم",
        "مئة كم",
        "خمسون كم",
        "كم/ساعة",
        "الطول (كم)",
    ],
)
def test_a_distance_is_one_of_kilometres(engine: EspeakSynthesiser, distance: str) -> None:
    """However its number is written, and as the unit of a table."""
    assert say(engine, distance) != say(engine, distance.replace("كم", "ك\u064eم"))


def test_the_mark_of_a_year_keeps_its_tatweel(engine: EspeakSynthesiser) -> None:
    """It is no letter that is spelt."""
    assert say(engine, "سنة ١٤٤٠ ه\u0640") != say(engine, "سنة ١٤٤٠ ه")


@pytest.mark.parametrize(
    "text", ["قالت د. سلمى نعم", "راجع ص. ١٢ من ج. ٢", "See vol. 2 of it", "Louis XIV. was king"]
)
def test_an_abbreviation_is_no_pause(engine: EspeakSynthesiser, text: str) -> None:
    """It is spoken as without its full stop."""
    assert say(engine, text) == say(engine, text.replace(". ", " "))


def test_nothing_to_say_is_no_audio(engine: EspeakSynthesiser) -> None:
    """An empty text gives no audio."""
    assert say(engine, "") == b""


def _helper_pid(engine: EspeakSynthesiser) -> int:
    assert engine._helper is not None
    return engine._helper._process.pid


def test_a_killed_helper_is_replaced(engine: EspeakSynthesiser) -> None:
    """After a SIGKILL of the helper the next text is spoken as before, by a new helper."""
    before, killed = say(engine, _ARABIC), _helper_pid(engine)
    os.kill(killed, signal.SIGKILL)
    assert say(engine, _ARABIC) == before
    assert _helper_pid(engine) != killed


def test_a_closed_engine_says_so() -> None:
    """A closed engine refuses to speak instead of starting a new helper; closing twice is fine."""
    engine = EspeakSynthesiser()
    assert say(engine, "نعم")
    pid = _helper_pid(engine)
    engine.close()
    engine.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(EngineError, match="closed"):
        say(engine, "نعم")


def test_no_helper_outlives_its_server() -> None:
    """When the server is killed outright, its helper ends too."""
    program = (
        "from batchjobs.jobs import SpeechSettings\n"
        "from batchjobs.server.engines.espeak import EspeakSynthesiser\n"
        "engine = EspeakSynthesiser()\n"
        "list(engine.synthesise('hi', SpeechSettings(voice_id='v', model_id='m')))\n"
        "print(engine._helper._process.pid, flush=True)\n"
        "input()\n"
    )
    root = str(Path(espeak_helper.__file__).parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    ) as server:
        assert server.stdout is not None
        helper = os.pidfd_open(int(server.stdout.readline()))
        server.kill()
        ended, _, _ = select.select([helper], [], [], 20)
        os.close(helper)
    assert ended
