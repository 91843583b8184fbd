"""Whether audio can be what its text sounds like: length by the voice's pace, silence, a cut end."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple, Protocol

import msgspec
import numpy as np

from batchjobs import text
from batchjobs.audio import pcm as samples
from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.jobs import Doubt, Ending, Sign, Verdict
from batchjobs.plausibility.pace import KNOWN_AFTER, Expected, Pace

_FASTEST_LETTERS_PER_SECOND: Final = 25.0
"""No voice is faster at speed 1: fluent Arabic and English are at 10 to 16 letters a second."""
_SLOWEST_LETTERS_PER_SECOND: Final = 1.0
_SLOWEST_SHARE: Final = 4.0
"""Of what is expected: a text of signs and numbers has few letters, and much to say."""
_MARGIN_SECONDS: Final = 10.0
_DIGIT_LETTERS: Final = 4.0
"""What `text.speech_weight` counts for a digit."""
SHORT_DEVIATIONS: Final = 4.2
"""So many below what is expected are doubted: of espeak's whole clips, two in a thousand."""
_DOUBTED_DEVIATIONS: Final = 3.4
"""The same if all that showed the end is a close, or a short silence, that need not be the end."""
_DRAINED_RATIO: Final = math.log(1.8)
"""The same where the service was asked for all that is pending, and closed of itself after it, or
marked the end: what is left to doubt is that it lost a part, and of texts of signs no voice's length
is foreseen well."""
_MARKED: Final = frozenset({Ending.DRAINED, Ending.WHOLE_BODY})
"""Endings where that is all that is left to doubt."""
_HEARD_TO_THE_END: Final = _MARKED | {Ending.CLOSED_BY_SERVER}
"""Endings after which it matters how the audio ends."""
_SHORT_RATIO: Final = math.log(1.12)
"""So much less than expected is never doubted, however alike a voice's clips are."""
_LONG_DEVIATIONS: Final = 7.0
_LONG_RATIO: Final = math.log(2.0)
"""Both: pauses and breath may take long, and nothing that was asked for is missing."""
_ALIKE_DEVIATIONS: Final = 1.5
"""By how much the distances of doubted clips may vary that are another voice's."""
_LEAST_VARIETY: Final = 0.25
"""How far texts' lengths, as logarithms, have to vary for a common fault to show."""
_ALIKE_RATIO: Final = 0.12
"""The same, as logarithms of lengths, where the voice's own deviations are not known yet."""
_AMPLE_DEVIATION: Final = 0.2
"""Where less is known of a text's length, only the whole quiet time shows its end."""
_ABRUPT_SEVERITY: Final = 0.05
_HURRIED_RATIO: Final = -math.log(0.7)
_HURRIED_DEVIATIONS: Final = 1.8
"""So much faster than expected, also of a voice that is not known yet, no loud end is natural. Of
verse, prices and one voice in two languages whole clips come near it, none of 200 goes beyond."""
_LEAST_SECONDS: Final = 0.02
"""What any sound takes."""


class _Clip(NamedTuple):
    """A clip that was doubted: its length, the distance from what was expected, and its deviation."""

    sounds: text.Sounds
    speed: float
    seconds: float
    ratio: float
    deviation: float


@dataclass(slots=True)
class _Voice:
    """What is known of a voice.

    Attributes:
        pace: How long it takes.
        abrupt_doubted: Whether an abrupt end alone was ever held against it.
        doubted: The newest clips, if all of them were doubted for their length.
    """

    pace: Pace = field(default_factory=Pace)
    abrupt_doubted: bool = False
    doubted: list[_Clip] = field(default_factory=list)

    def reconsider(self) -> None:
        """Learn the pace anew, if the voice has become another one.

        What is doubted teaches nothing. But if the newest clips were doubted one and all, and are
        wrong alike, they are the voice: places where clips are cut do not agree with each other.
        Unless all texts are as long as each other: then nothing tells a cap from a faster voice.
        """
        if len(self.doubted) < KNOWN_AFTER:
            return
        newest, self.doubted = self.doubted, []
        if self._are_alike(newest):
            self.pace = Pace()
            for clip in newest:
                self.pace.add(clip.sounds, speed=clip.speed, seconds=clip.seconds)

    def _are_alike(self, clips: list[_Clip]) -> bool:
        expected = [math.log(clip.seconds) - clip.ratio for clip in clips]
        if float(np.std(expected)) < _LEAST_VARIETY:
            return False
        if not self.pace.is_known:  # of such a voice everything may be expected
            return float(np.std([clip.ratio for clip in clips])) < _ALIKE_RATIO
        distances = [clip.ratio / clip.deviation for clip in clips]
        return float(np.std(distances)) < _ALIKE_DEVIATIONS


class SpeechRates:
    """Learns each voice's pace as the run goes, and judges new audio by it."""

    def __init__(self) -> None:
        self._voices: dict[str, _Voice] = {}

    def make_judge(self, *, voice: str, spoken: str, speed: float) -> "SpeechJudge":
        """Make the judge of one text.

        Args:
            voice: Whose pace it is judged by.
            spoken: The text.
            speed: The asked speed; 1.0 is the voice's own.
        """
        known = self._voices.setdefault(voice, _Voice())
        return SpeechJudge(spoken=spoken, speed=speed, voice=known)


class Sound(Protocol):
    """What a judge has to know of audio that has ended."""

    @property
    def is_silent(self) -> bool:
        """Whether no sample is other than zero."""

    @property
    def seconds(self) -> float:
        """From the first sound to the last: services put any silence around it."""

    @property
    def is_abrupt(self) -> bool:
        """Whether it ends in mid-sound."""


class ReceivedSound:
    """Measures audio as far as a judge asks for it.

    Args:
        pcm: 16-bit mono samples, wherever they are: what is in no memory is not read.
        sample_rate: In hertz.
    """

    def __init__(self, pcm: ReceivedAudio, sample_rate: int) -> None:
        self._pcm = pcm
        self._sample_rate = sample_rate

    @cached_property
    def is_silent(self) -> bool:
        """Whether no sample is other than zero."""
        return not self._pcm.moved_sound and samples.is_silent(self._pcm.rest)

    @cached_property
    def seconds(self) -> float:
        """From the first sound to the last."""
        return _measure_seconds(self._pcm, self._sample_rate)

    @cached_property
    def is_abrupt(self) -> bool:
        """Whether it ends in mid-sound."""
        return _has_abrupt_end(self._pcm, self._sample_rate)


class MeasuredSound(msgspec.Struct, frozen=True, array_like=True):
    """The same, of audio that is somewhere else.

    Attributes:
        is_silent: Whether no sample is other than zero.
        seconds: From the first sound to the last.
        is_abrupt: Whether it ends in mid-sound, if a judge may ask for that.
    """

    is_silent: bool
    seconds: float
    is_abrupt: bool


def measure_sound(pcm: ReceivedAudio, sample_rate: int, ending: Ending) -> MeasuredSound:
    """Measure what a judge elsewhere has to know.

    Args:
        pcm: 16-bit mono samples.
        sample_rate: In hertz.
        ending: What showed the end: only after some does it matter how the audio ends.
    """
    sound = ReceivedSound(pcm, sample_rate)
    if sound.is_silent:
        return MeasuredSound(is_silent=True, seconds=0.0, is_abrupt=False)
    is_abrupt = ending in _HEARD_TO_THE_END and sound.is_abrupt
    return MeasuredSound(is_silent=False, seconds=sound.seconds, is_abrupt=is_abrupt)


def minimum_seconds(spoken: str, speed: float) -> float:
    """Give the least length that can be all of a text.

    Args:
        spoken: The text.
        speed: The asked speed.
    """
    letters = _least_letters(spoken, text.speech_weight(spoken))
    return letters / (_FASTEST_LETTERS_PER_SECOND * speed)


def is_ample(pcm: ReceivedAudio, sample_rate: int, ample_seconds: float) -> bool:
    """Say whether a short silence after this audio may mean the end.

    Args:
        pcm: 16-bit mono samples.
        sample_rate: In hertz.
        ample_seconds: `SpeechJudge.ample_seconds`.
    """
    is_much = _measure_seconds(pcm, sample_rate) >= ample_seconds
    return is_much and not _has_abrupt_end(pcm, sample_rate)


class SpeechJudge:
    """Judges the audio of one text.

    Args:
        spoken: The text.
        speed: The asked speed.
        voice: What is known of the voice; it learns from what is judged.
    """

    def __init__(self, *, spoken: str, speed: float, voice: _Voice) -> None:
        self._sounds = text.count_sounds(spoken)
        self._letters = text.speech_weight(spoken)
        self._least_letters = _least_letters(spoken, self._letters)
        self._speed = speed
        self._voice = voice

    @property
    def minimum_seconds(self) -> float:
        """The least length that can be all of the text."""
        return self._least_letters / (_FASTEST_LETTERS_PER_SECOND * self._speed)

    @property
    def ample_seconds(self) -> float:
        """So much audio is about what the voice takes for such a text; infinity if that is not known.

        What a service that pauses would still send after it is little, and most pauses are noticed
        as such, because they come earlier.
        """
        if not self._voice.pace.is_known:
            return math.inf
        expected = self._voice.pace.predict(self._sounds, speed=self._speed)
        return expected.seconds if expected.deviation <= _AMPLE_DEVIATION else math.inf

    def is_ample(self, pcm: ReceivedAudio, sample_rate: int) -> bool:
        """Say whether a short silence after this audio may mean the end, and is not in mid-sound."""
        ample_seconds = self.ample_seconds
        return ample_seconds < math.inf and is_ample(pcm, sample_rate, ample_seconds)

    def verdict(self, pcm: ReceivedAudio, sample_rate: int, ending: Ending) -> Verdict:
        """Judge whether audio is complete, and learn from it.

        Args:
            pcm: 16-bit mono samples, wherever they are: what is in no memory is not read.
            sample_rate: In hertz.
            ending: What showed the end; a mere close is trusted less.
        """
        return self.judge(ReceivedSound(pcm, sample_rate), ending)

    def judge(self, sound: Sound, ending: Ending) -> Verdict:
        """Judge by what was measured of the audio, and learn from it.

        Args:
            sound: What is known of it.
            ending: What showed the end.
        """
        if sound.is_silent:
            silent = Doubt(sign=Sign.SILENT, message="the audio is silent throughout")
            return Verdict(doubts=(silent,))
        seconds = sound.seconds
        expected = self._voice.pace.predict(self._sounds, speed=self._speed)
        doubt = self._doubt_length(seconds, expected, ending)
        support = self._describe_pace(expected)
        hurry = math.log(seconds / expected.seconds)
        is_hurried = hurry < -max(_HURRIED_RATIO, _HURRIED_DEVIATIONS * expected.deviation)
        # A close may be a dropped connection, or a part may be lost: how the audio ends tells, too.
        is_mere = ending is Ending.CLOSED_BY_SERVER
        may_be_cut = doubt is None and (is_mere or (ending in _MARKED and is_hurried))
        is_cut = may_be_cut and sound.is_abrupt
        is_hurried = is_hurried and is_cut
        if ending is not Ending.STOPPED:
            self._learn(seconds, expected, is_doubted=doubt is not None or is_hurried)
        if is_hurried or (is_cut and self._take_first_abrupt()):
            message = f"the audio breaks off in mid-sound after {seconds:.2f} s"
            lost = max(0.0, 1.0 - seconds / expected.seconds) if is_hurried else 0.0
            severity = max(_ABRUPT_SEVERITY, lost)
            doubt = Doubt(sign=Sign.ABRUPT, message=message, severity=severity)
        return Verdict(doubts=(doubt,)) if doubt else Verdict(support=support)

    def _take_first_abrupt(self) -> bool:
        """Say whether an abrupt end at a natural length is the voice's first, and remember it.

        Only that one is doubted: many voices end so. The second attempt shows it, and to doubt
        every clip would cost as much again.
        """
        is_first = not self._voice.abrupt_doubted
        self._voice.abrupt_doubted = True
        return is_first

    def _describe_pace(self, expected: Expected) -> tuple[str, ...]:
        """Say what the length is supported by, once the voice is known."""
        pace = self._voice.pace
        if not pace.is_known:
            return ()
        known = f"{pace.count:,} clips of this voice are known"
        return (f"{known}: it takes about {expected.seconds:.1f} s for this text",)

    def _doubt_length(self, seconds: float, expected: Expected, ending: Ending) -> Doubt | None:
        """Doubt a length by the voice's own pace, once that is known, and by what is possible."""
        is_known = self._voice.pace.is_known
        by_pace = self._doubt_by_pace(seconds, expected, ending) if is_known else None
        return by_pace or self._doubt_by_limits(seconds, expected)

    def _learn(self, seconds: float, expected: Expected, *, is_doubted: bool) -> None:
        """Add a clip to what is known of the voice; a doubted one may show that it has changed."""
        voice = self._voice
        if not is_doubted:
            voice.doubted.clear()
            voice.pace.add(self._sounds, speed=self._speed, seconds=seconds)
            return
        ratio = math.log(seconds / expected.seconds)
        clip = _Clip(self._sounds, self._speed, seconds, ratio, expected.deviation)
        if voice.doubted and voice.doubted[-1][:2] == clip[:2]:
            voice.doubted[-1] = clip  # another take of the same text is not another witness
            return
        voice.doubted.append(clip)
        voice.reconsider()

    def _doubt_by_limits(self, seconds: float, expected: Expected) -> Doubt | None:
        """Doubt a length that no voice could reach."""
        if seconds < self.minimum_seconds:
            shown = f"{seconds:.2f} s of audio is too short for {self._least_letters:.0f} letters"
            return _doubt(Sign.SHORT, shown, seconds, max(self.minimum_seconds, expected.seconds))
        slowest = self._letters / (_SLOWEST_LETTERS_PER_SECOND * self._speed)
        if seconds > max(slowest, _SLOWEST_SHARE * expected.seconds) + _MARGIN_SECONDS:
            shown = f"{seconds:.2f} s of audio is too long for {self._letters:.0f} letters"
            return _doubt(Sign.LONG, shown, seconds, expected.seconds)
        return None

    def _doubt_by_pace(self, seconds: float, expected: Expected, ending: Ending) -> Doubt | None:
        """Doubt a length that is far from this voice's."""
        is_trusted = ending is Ending.QUIET or ending in _MARKED
        least_ratio = _DRAINED_RATIO if ending in _MARKED else _SHORT_RATIO
        ratio = math.log(seconds / expected.seconds)
        shown = f"{seconds:.2f} s of audio where this voice needs about {expected.seconds:.1f} s"
        deviations = SHORT_DEVIATIONS if is_trusted else _DOUBTED_DEVIATIONS
        if ratio < -max(deviations * expected.deviation, least_ratio):
            return _doubt(Sign.SHORT, shown, seconds, expected.seconds)
        if ratio > max(_LONG_DEVIATIONS * expected.deviation, _LONG_RATIO):
            return _doubt(Sign.LONG, shown, seconds, expected.seconds)
        return None


def _least_letters(spoken: str, letters: float) -> float:
    """Count the letters of a text whose digits are letters, and not words."""
    digits = sum(map(str.isdecimal, spoken))
    return letters - digits * (_DIGIT_LETTERS - 1.0)


def _measure_seconds(pcm: ReceivedAudio, sample_rate: int) -> float:
    """Measure from the first sound to the last: services put any silence around it."""
    edges = samples.silent_edges_seconds(
        pcm.rest, sample_rate=sample_rate, earlier_powers=pcm.moved_powers
    )
    return max(len(pcm) / 2 / sample_rate - edges, _LEAST_SECONDS)


def _has_abrupt_end(pcm: ReceivedAudio, sample_rate: int) -> bool:
    return samples.ends_abruptly(pcm.rest, sample_rate=sample_rate, earlier_powers=pcm.moved_powers)


def _doubt(sign: Sign, message: str, seconds: float, expected: float) -> Doubt:
    return Doubt(sign=sign, message=message, severity=min(1.0, abs(1.0 - seconds / expected)))
