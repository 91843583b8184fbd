"""Clips to judge: texts of every kind, spoken by espeak, with the silence off both ends."""

import random
import re
from dataclasses import dataclass

import numpy as np

from batchjobs.audio.pcm import ends_abruptly, window_frames, window_powers
from batchjobs.server.engines.espeak import EspeakSynthesiser
from tests.books import PROSE
from tests.builders import make_speech

__all__ = ["RATE", "SPEEDS", "VOICES", "Clip", "Speaker", "spoken_text"]

RATE = 8_000
SPEEDS = (0.7, 0.8, 0.9, 1.0, 1.0, 1.0, 1.1, 1.2)
VOICES = {
    "ar-male-1": ("arabic", 1.0),
    "ar-female-2": ("arabic", 0.85),
    "en-female-1": ("latin", 1.0),
    "en-male-2": ("latin", 1.15),
}
"""Each voice's language, and its own pace beside espeak's: no two voices speak alike fast."""
_SOUND_RMS = 0.05
"""Of the loudest 20 ms: what is below it at the ends is silence."""
_MOST_FADED = 6
"""So many times 20 ms of a last sound's fading may go as well."""
_ARABIC_TEMPLATES = (
    "عدد السكان {n} نسمة في عام {y}.",
    "بلغت النسبة {p}٪ هذا العام، وكانت {p}٪ قبله.",
    "السعر {n} ريالًا؟",
    "اجتمعوا في {d}/{m}/{y} عند الساعة {h}:{s}",
    "اتصل على {n} أو راسلنا: {w}!",
    "الـــرَّقْمُ {d} — {w}",
    "قال: «{w}»، ثم صمت…",
    "استخدم Bluetooth و WiFi في {w}",
    "{w}\n{w}\n{w}",
    "مـــرحـــبًا بِكُمْ فِي {w}‌؛ {w}",
    "{d}",
    "نعم",
    "لا، شكرًا.",
)
_LATIN_TEMPLATES = (
    "There were {n} people in {y}.",
    "It rose by {p}%, after {p}% last year.",
    "It costs ${n}; is that so?",
    "We met on {d}/{m}/{y} at {h}:{s}.",
    "Call {n} or write: {w}!",
    "The word سلام means peace — {w}",
    "NASA and the BBC said: {w}",
    "Version {d}.{m} of {w}",
    "{w}\n{w}\n{w}",
    "“{w}”, he said; (then: {w})…",
    "{d}",
    "Yes",
    "No, thank you.",
)


def _words(*names: str) -> list[str]:
    return [
        word
        for name in names
        for word in (PROSE / name).read_text(encoding="utf-8").split()
        if any(map(str.isalnum, word)) and (not word.isupper() or len(word) < 2)
    ]


_PROSE = {
    "arabic": ([_words("kalila.txt"), _words("muallaqa.txt"), _words("news.txt")], (6, 3, 1)),
    "latin": ([_words("alice.txt"), _words("moor.txt")], (9, 1)),
}
"""What is read, and how often: those that are full of abbreviations and signs, less."""


def spoken_text(language: str, dice: random.Random) -> str:
    """Make a text of 1 to about 60 words.

    Args:
        language: ``arabic`` or ``latin``.
        dice: Decides.

    Returns:
        Two thirds are a stretch of prose, one third a form with numbers, marks and both scripts.
    """
    if dice.random() < 2 / 3:
        return _stretch(language, dice, dice.randint(1, 60))
    form = dice.choice(_ARABIC_TEMPLATES if language == "arabic" else _LATIN_TEMPLATES)
    text = re.sub(r"\{w\}", lambda _: _stretch(language, dice, dice.randint(2, 15)), form)
    filled = text.format(
        n=dice.choice((dice.randrange(10**9), 10 ** dice.randint(2, 7), dice.randrange(1_000))),
        y=dice.randint(1900, 2030),
        p=dice.randint(1, 99),
        d=dice.randint(1, 28),
        m=dice.randint(1, 12),
        h=dice.randint(1, 23),
        s=dice.randint(10, 59),
    )
    if language == "arabic" and dice.random() < 0.5:
        filled = filled.translate({ord("0") + digit: 0x660 + digit for digit in range(10)})
    return filled


def _stretch(language: str, dice: random.Random, count: int) -> str:
    (words,) = dice.choices(*_PROSE[language])
    start = dice.randrange(max(1, len(words) - count))
    return " ".join(words[start : start + count])


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A text as one voice has spoken it: 16-bit samples of `RATE` hertz."""

    voice: str
    text: str
    speed: float
    pcm: bytes

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.pcm) / 2 / RATE

    def cut(self, share: float) -> "Clip":
        """Give it without so much of its end."""
        kept = 2 * round(len(self.pcm) // 2 * (1.0 - share))
        return Clip(voice=self.voice, text=self.text, speed=self.speed, pcm=self.pcm[:kept])


class Speaker:
    """Speaks texts with the voices of `VOICES`.

    Args:
        jitter: How far each clip's tempo may be from its voice's, as a neural voice's is; another
            sign gives other tempos.
        seed: Decides the texts and speeds.
    """

    def __init__(self, *, jitter: float = 0.0, seed: int = 0) -> None:
        self._engine = EspeakSynthesiser()
        self._jitter = jitter
        self._dice = random.Random(seed)
        self._tempo_dice = random.Random(f"{seed} {jitter}")

    def clip(self, voice: str) -> Clip:
        """Make a clip of a new text at one of `SPEEDS`."""
        language, pace = VOICES[voice]
        while True:
            text, speed = spoken_text(language, self._dice), self._dice.choice(SPEEDS)
            tempo = 1.0 + self._tempo_dice.uniform(-self._jitter, self._jitter)
            settings = make_speech(RATE, voice_id=voice, speed=pace * speed / tempo)
            pcm = trimmed(b"".join(self._engine.synthesise(text, settings)))
            if pcm:  # not a text of marks alone
                return Clip(voice=voice, text=text, speed=speed, pcm=pcm)

    def close(self) -> None:
        """End the engine."""
        self._engine.close()


def trimmed(pcm: bytes) -> bytes:
    """Take the silence off both ends, and then as much of the last sound's fading as ends loud."""
    powers = window_powers(pcm, sample_rate=RATE)
    if not len(powers) or not powers.any():
        return b""
    heard = np.nonzero(powers >= powers.max() * _SOUND_RMS**2)[0]
    width = window_frames(RATE)
    offset = len(pcm) // 2 - len(powers) * width
    start, end = (2 * (offset + edge * width) for edge in (heard[0], heard[-1] + 1))
    for faded in range(_MOST_FADED):
        loud = pcm[start : end - 2 * faded * width]
        if ends_abruptly(loud, sample_rate=RATE):
            return loud
    return pcm[start:end]
