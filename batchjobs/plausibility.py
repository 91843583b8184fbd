"""Whether audio can be what its text sounds like: length by the voice's pace, silence, a cut end."""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from batchjobs import audio, text
from batchjobs.jobs import Doubt, Ending, Sign, Verdict
from batchjobs.pace import KNOWN_AFTER, Expected, Pace
from batchjobs.received import ReceivedAudio

__all__ = ["SHORT_DEVIATIONS", "SpeechJudge", "SpeechRates"]

_FASTEST_LETTERS_PER_SECOND: Final = 25.0
"""Nobody speaks faster at speed 1: fluent Arabic and English are at 10 to 16 letters a second."""
_SLOWEST_LETTERS_PER_SECOND: Final = 1.0
_MARGIN_SECONDS: Final = 10.0
_DIGIT_LETTERS: Final = 4.0
"""What `text.spoken_weight` counts for a digit."""
SHORT_DEVIATIONS: Final = 4.0
_DOUBTED_DEVIATIONS: Final = 3.0
"""The same if all that showed the end is a close, or a short silence, that need not be the end."""
_SHORT_RATIO: Final = math.log(1.12)
"""So much less than expected is never doubted, however alike a voice's clips are."""
_LONG_DEVIATIONS: Final = 6.0
_LONG_RATIO: Final = math.log(2.0)
_AMPLE_DEVIATION: Final = 0.2
"""Where less is known of a text's length, only the whole quiet time shows its end."""
_ABRUPT_SEVERITY: Final = 0.05


@dataclass(slots=True)
class _Voice:
    """What is known of a voice.

    Attributes:
        pace: How long it takes.
        abrupt_doubted: Whether an abrupt end alone was ever held against it.
        doubted: Whether the length of each of its newest clips was doubted.
    """

    pace: Pace = field(default_factory=Pace)
    abrupt_doubted: bool = False
    doubted: deque[bool] = field(default_factory=lambda: deque(maxlen=KNOWN_AFTER))


class SpeechRates:
    """Learns each voice's pace as the run goes, and judges new audio by it."""

    def __init__(self) -> None:
        self._voices: dict[str, _Voice] = {}

    def judge(self, *, voice: str, spoken: str, speed: float) -> "SpeechJudge":
        """Make the judge of one text.

        Args:
            voice: Whose pace it is judged by.
            spoken: The text.
            speed: The asked speed; 1.0 is the voice's own.
        """
        known = self._voices.setdefault(voice, _Voice())
        return SpeechJudge(spoken=spoken, speed=speed, voice=known)


class SpeechJudge:
    """Judges the audio of one text.

    Args:
        spoken: The text.
        speed: The asked speed.
        voice: What is known of the voice; it learns from what is judged.
    """

    def __init__(self, *, spoken: str, speed: float, voice: _Voice) -> None:
        self._sounds = text.sounds(spoken)
        self._letters = text.spoken_weight(spoken)
        digits = sum(map(str.isdecimal, spoken))
        self._least_letters = self._letters - digits * (_DIGIT_LETTERS - 1.0)
        self._speed = speed
        self._voice = voice

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
        if not self._voice.pace.is_known:
            return False
        expected = self._expected()
        is_much = _seconds(pcm, sample_rate) >= expected.seconds
        is_certain = expected.deviation <= _AMPLE_DEVIATION
        return is_certain and is_much and not _ends_abruptly(pcm, sample_rate)

    def verdict(self, pcm: ReceivedAudio, sample_rate: int, ending: Ending) -> Verdict:
        """Say what speaks for and against complete audio, and learn from it.

        Args:
            pcm: 16-bit mono samples, wherever they are: what is in no memory is not read.
            sample_rate: In hertz.
            ending: What showed the end; a mere close is trusted less.
        """
        if not pcm.moved_sound and audio.is_silent(pcm.rest):
            doubt = Doubt(sign=Sign.SILENT, message="the audio is silent throughout")
            return Verdict(doubts=(doubt,))
        seconds = _seconds(pcm, sample_rate)
        is_trusted = ending in {Ending.QUIET, Ending.DRAINED}
        doubts, support = self._by_length(seconds, is_trusted=is_trusted)
        if not doubts and _ends_abruptly(pcm, sample_rate):
            doubts += self._by_end(seconds, ending)
        return Verdict(doubts=doubts, support=support)

    def _by_end(self, seconds: float, ending: Ending) -> tuple[Doubt, ...]:
        """Doubt an end in mid-sound, if a close that came by itself is all that showed the end.

        Once: if it is all that speaks against a clip, the voice may well end so, as many do.
        """
        if ending is not Ending.CLOSED_BY_SERVER or self._voice.abrupt_doubted:
            return ()
        self._voice.abrupt_doubted = True
        message = f"the audio breaks off in mid-sound after {seconds:.2f} s"
        return (Doubt(sign=Sign.ABRUPT, message=message, severity=_ABRUPT_SEVERITY),)

    def _by_length(
        self, seconds: float, *, is_trusted: bool
    ) -> tuple[tuple[Doubt, ...], tuple[str, ...]]:
        """Compare with what is possible, and with the voice's own pace; learn from it."""
        doubts = self._by_limits(seconds)
        support: tuple[str, ...] = ()
        pace = self._voice.pace
        if pace.is_known and not doubts:
            expected = self._expected()
            doubts = self._by_pace(seconds, expected, is_trusted=is_trusted)
            clips = f"{pace.count:,} clips of this voice are known"
            support = (f"{clips}: it takes about {expected.seconds:.1f} s for this text",)
            support = () if doubts else support
        self._learn(seconds, is_doubted=bool(doubts))
        return doubts, support

    def _by_limits(self, seconds: float) -> tuple[Doubt, ...]:
        least = self.minimum_seconds
        if seconds < least:
            shown = f"{seconds:.2f} s of audio is too short for {self._least_letters:.0f} letters"
            return (Doubt(sign=Sign.SHORT, message=shown, severity=1.0 - seconds / least),)
        most = self._letters / (_SLOWEST_LETTERS_PER_SECOND * self._speed) + _MARGIN_SECONDS
        if seconds > most:
            shown = f"{seconds:.2f} s of audio is too long for {self._letters:.0f} letters"
            return (Doubt(sign=Sign.LONG, message=shown, severity=_excess(seconds, most)),)
        return ()

    def _by_pace(
        self, seconds: float, expected: Expected, *, is_trusted: bool
    ) -> tuple[Doubt, ...]:
        ratio = math.log(seconds / expected.seconds)
        shown = f"{seconds:.2f} s of audio where this voice needs about {expected.seconds:.1f} s"
        deviations = SHORT_DEVIATIONS if is_trusted else _DOUBTED_DEVIATIONS
        if ratio < -max(deviations * expected.deviation, _SHORT_RATIO):
            severity = 1.0 - seconds / expected.seconds
            return (Doubt(sign=Sign.SHORT, message=shown, severity=severity),)
        if ratio > max(_LONG_DEVIATIONS * expected.deviation, _LONG_RATIO):
            severity = _excess(seconds, expected.seconds)
            return (Doubt(sign=Sign.LONG, message=shown, severity=severity),)
        return ()

    def _learn(self, seconds: float, *, is_doubted: bool) -> None:
        """Hear a clip, and see whether the voice has become another one.

        What is doubted is learnt like the rest: as long as it disagrees with the rest it weighs
        nothing. If the newest clips were doubted one and all and agree with each other, they
        are the voice, and what was before them is not.
        """
        voice = self._voice
        voice.pace.add(self._sounds, speed=self._speed, seconds=seconds)
        voice.doubted.append(is_doubted)
        if len(voice.doubted) == KNOWN_AFTER and all(voice.doubted):
            voice.doubted.clear()
            if float(np.std(voice.pace.ratios(KNOWN_AFTER))) < _AMPLE_DEVIATION:
                voice.pace.forget(KNOWN_AFTER)

    def _expected(self) -> Expected:
        return self._voice.pace.expected(self._sounds, speed=self._speed)


def _seconds(pcm: ReceivedAudio, sample_rate: int) -> float:
    return len(pcm) / 2 / sample_rate


def _ends_abruptly(pcm: ReceivedAudio, sample_rate: int) -> bool:
    return audio.ends_abruptly(pcm.rest, sample_rate=sample_rate, earlier_powers=pcm.moved_powers)


def _excess(seconds: float, expected: float) -> float:
    return min(1.0, seconds / expected - 1.0)
