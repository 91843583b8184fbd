"""Whether audio can be what its text sounds like: length by the voice's pace, silence, a cut end."""

import math
from dataclasses import dataclass
from typing import Final

from batchjobs import audio, text
from batchjobs.jobs import Ending
from batchjobs.received import ReceivedAudio

__all__ = ["SpeechJudge", "SpeechRates"]

_FASTEST_LETTERS_PER_SECOND: Final = 25.0
"""Nobody speaks faster at speed 1: fluent Arabic and English are at 10 to 16 letters a second."""
_HURRIED_LETTERS_PER_SECOND: Final = 16.0
_SLOWEST_LETTERS_PER_SECOND: Final = 1.0
_MARGIN_SECONDS: Final = 10.0
_LEARNED_AFTER: Final = 20
_DIGIT_LETTERS: Final = 4.0
"""What `text.spoken_weight` counts for a digit."""
_LEARNED_SHARE: Final = 0.8
"""A text of which digits are more than the rest of this says as little."""
_SHORT_LETTERS: Final = 12
"""Shorter texts say little about a voice's pace."""
_TRUSTED_RATIO: Final = math.log(1.8)
"""How much faster than the voice's mean a text may seem, if silence or drain showed the end."""
_DOUBTED_RATIO: Final = math.log(1.3)
"""The same if all that showed the end is a close that could also be a dropped connection."""
_AMPLE_SHARE: Final = 1.0
"""Of the voice's mean: half the texts wait less, and a cut is at most what is above the mean."""
_SLOW_RATIO: Final = math.log(4.0)
_DEVIATIONS: Final = 5.0


@dataclass(slots=True)
class _Pace:
    """Running mean and spread of the logarithm of seconds a letter (Welford's method)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        delta = value - self.mean
        self.mean += delta / self.count
        self.squares += delta * (value - self.mean)

    @property
    def deviation(self) -> float:
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else 0.0


class SpeechRates:
    """Learns each voice's pace as the run goes, and judges new audio by it."""

    def __init__(self) -> None:
        self._paces: dict[str, _Pace] = {}

    def judge(self, *, voice: str, spoken: str, speed: float) -> "SpeechJudge":
        """Make the judge of one text.

        Args:
            voice: Whose pace it is judged by.
            spoken: The text.
            speed: The asked speed; 1.0 is the voice's own.
        """
        pace = self._paces.setdefault(voice, _Pace())
        letters = text.spoken_weight(spoken)
        digits = sum(map(str.isdecimal, spoken))
        least = min(letters, letters - digits * (_DIGIT_LETTERS - 1.0))
        return SpeechJudge(letters=letters, speed=speed, pace=pace, least_letters=least)


class SpeechJudge:
    """Judges the audio of one text.

    Args:
        letters: How much there is to say, in letters.
        speed: The asked speed.
        pace: What is known of the voice; learns from what is accepted.
        least_letters: How little it may be: "7" is a word, but so is "1000000", nearly.
    """

    def __init__(
        self, *, letters: float, speed: float, pace: _Pace, least_letters: float | None = None
    ) -> None:
        self._letters = letters
        self._least_letters = letters if least_letters is None else least_letters
        self._speed = speed
        self._pace = pace

    @property
    def minimum_seconds(self) -> float:
        """Less audio than this cannot be all of the text."""
        return self._least_letters / (_FASTEST_LETTERS_PER_SECOND * self._speed)

    def is_ample(self, pcm: ReceivedAudio, sample_rate: int) -> bool:
        """Say whether a short silence after this audio may mean the end.

        Not in mid-sound, and not before there is about as much as the voice takes for such a text:
        what a service that pauses would still send is then little, and most pauses are noticed as
        such, because they come earlier.

        Args:
            pcm: The 16-bit mono samples so far.
            sample_rate: In hertz.
        """
        pace = self._pace
        if pace.count < _LEARNED_AFTER or self._least_letters < _SHORT_LETTERS:
            return False
        seconds = len(pcm) / 2 / sample_rate
        expected = math.exp(pace.mean) * self._letters / self._speed
        return seconds >= _AMPLE_SHARE * expected and not audio.ends_abruptly(
            pcm.rest, sample_rate=sample_rate, earlier_powers=pcm.moved_powers
        )

    def objection(self, pcm: ReceivedAudio, sample_rate: int, ending: Ending) -> str:
        """Say what is wrong with complete audio; empty if nothing is.

        Args:
            pcm: 16-bit mono samples, wherever they are: what is in no memory is not read.
            sample_rate: In hertz.
            ending: What showed the end; a mere close is trusted less.
        """
        seconds = len(pcm) / 2 / sample_rate
        if not pcm.moved_sound and audio.is_silent(pcm.rest):
            return "the audio is silent throughout"
        if self._breaks_off(pcm, sample_rate, seconds, ending):
            return f"the audio breaks off in mid-sound after {seconds:.2f} s"
        if seconds < self.minimum_seconds:
            return f"{seconds:.2f} s of audio is too short for {self._least_letters:.0f} letters"
        if seconds > self._letters / (_SLOWEST_LETTERS_PER_SECOND * self._speed) + _MARGIN_SECONDS:
            return f"{seconds:.2f} s of audio is too long for {self._letters:.0f} letters"
        return self._compared(seconds, ending)

    def _breaks_off(
        self, pcm: ReceivedAudio, sample_rate: int, seconds: float, ending: Ending
    ) -> bool:
        """Whether the audio ends in the middle of a sound for no good reason.

        Some whole utterances do end loudly (one in eight of a synthetic voice's): where the end was
        shown by more than a close, a hurried pace has to speak against them too.
        """
        hurried = seconds < self._least_letters / (_HURRIED_LETTERS_PER_SECOND * self._speed)
        doubted = ending is Ending.CLOSED_BY_SERVER or (ending is Ending.DRAINED and hurried)
        return doubted and audio.ends_abruptly(
            pcm.rest, sample_rate=sample_rate, earlier_powers=pcm.moved_powers
        )

    def _compared(self, seconds: float, ending: Ending) -> str:
        """Compare with the voice's own pace, and learn from what fits."""
        if self._least_letters < _SHORT_LETTERS:
            return ""
        longest = math.log(seconds * self._speed / self._least_letters)
        shortest = math.log(seconds * self._speed / self._letters)
        pace = self._pace
        if pace.count >= _LEARNED_AFTER:
            spread = _DEVIATIONS * pace.deviation
            fast = _DOUBTED_RATIO if ending is Ending.CLOSED_BY_SERVER else _TRUSTED_RATIO
            slow = max(spread, _SLOW_RATIO)
            if longest < pace.mean - max(spread, fast) or shortest > pace.mean + slow:
                expected = math.exp(pace.mean) * self._letters / self._speed
                return f"{seconds:.2f} s of audio where this voice needs about {expected:.1f} s"
        if self._least_letters > _LEARNED_SHARE * self._letters:
            pace.add(shortest)
        return ""
