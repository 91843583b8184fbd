"""Whether a transcript can be that of its audio: sound without words, and far too few of them."""

import math
from collections import deque
from dataclasses import replace
from statistics import median
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from batchjobs import text
from batchjobs.audio.voice_activity import (
    FRAME_SECONDS,
    find_silences,
    find_speech,
    frames_of,
    mean_squares,
    to_dbfs,
)
from batchjobs.jobs import Doubt, Sign, Verdict

_FRAME: Final = 512
"""Samples; `FRAME_SECONDS` at 16 kHz."""
_FRAME_BYTES: Final = 2 * _FRAME
_BLOCK_BYTES: Final = 32 * _FRAME_BYTES
"""Measured at once: a tenth of a second takes as long as a whole one."""
_LAG: Final = 8
"""Samples; half a millisecond, in which a tone of 500 Hz turns round by a quarter."""
_GROUP_FRAMES: Final = 31
"""A second of sound: speech never lasts so long without going from one sound to another."""
_LEAST_CHANGE: Final = 0.5
"""Of the colour within a group, from its 10th to its 95th percentile. Measured: espeak-ng in Arabic
and English at least 0.87, the tones of the tone engine about 0.8; white, brown, telephone and fan
noise, hum and a chord at most 0.26, pink noise 0.34 and in one group of 200 0.5."""
_LEAST_SECONDS: Final = 1.5
"""Of sound that can be speech; less may be a cough, a door, or one word that was not understood."""
_LEARNED_AFTER: Final = 20
_LEARNED_FROM_SECONDS: Final = 3.0
"""Shorter sound says little about how many letters a second has."""
_REMEMBERED: Final = 501
_FEW_RATIO: Final = math.log(4.0)
"""How far below the run's median is far too few. Between speakers and languages rates differ by
two; half of the sound may be music. Of 160 whole clips of espeak-ng (Arabic and English, speeds 0.7
to 1.2, in noise) none was doubted; with a tenth of their words 149, a fifth 112, half none."""
_DEVIATIONS: Final = 5.0
_DEVIATION_OF_MEDIAN: Final = 1.4826
"""Standard deviations in a median absolute deviation, of a normal distribution."""
_UNEXPLAINED_SECONDS: Final = 3.0
"""Sound beyond what the letters account for: a "Yes." after a cough and a laugh is no lost text."""


class TranscriptRates:
    """Learns how many letters a second of sound has at each service, and judges by it."""

    def __init__(self) -> None:
        self._rates: dict[str, deque[float]] = {}

    def make_judge(self, service: str) -> "TranscriptJudge":
        """Make the judge of one session."""
        rates = self._rates.setdefault(service, deque(maxlen=_REMEMBERED))
        return TranscriptJudge(rates)


class MeasuredSpeech(msgspec.Struct, frozen=True, array_like=True):
    """What a judge has to know of a recording's sound.

    Attributes:
        seconds: Of sound that can be speech.
        start_seconds: Where the first of it begins.
        end_seconds: Where the last of it ends.
        silences: Where there is none, in seconds: (begin, end).
    """

    seconds: float
    start_seconds: float
    end_seconds: float
    silences: tuple[tuple[float, float], ...]


class SpeechMeter:
    """Measures the sound of one session's recording as it is sent.

    It holds 8 bytes for every 32 ms of audio.
    """

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._powers: list[NDArray[np.float32]] = []
        self._colours: list[NDArray[np.float32]] = []

    def hear(self, pcm: bytes) -> None:
        """Take the next 16 kHz mono samples that are sent."""
        self._waiting.append(pcm)
        self._waiting_bytes += len(pcm)
        if self._waiting_bytes < _BLOCK_BYTES:
            return
        pcm = b"".join(self._waiting)
        whole = len(pcm) // _FRAME_BYTES * _FRAME_BYTES
        self._waiting = [pcm[whole:]]
        self._waiting_bytes = len(pcm) - whole
        self._measure(pcm[:whole])

    def _measure(self, pcm: bytes) -> None:
        samples = frames_of(pcm, _FRAME)
        power = mean_squares(samples)
        self._powers.append(power)
        self._colours.append(_measure_colours(samples, power))

    def measure(self) -> MeasuredSpeech:
        """Measure all that was heard."""
        speech = self._find_speech()
        sounding = self._find_sounding(speech)
        start, end = (sounding[0], sounding[-1] + 1) if len(sounding) else (0, 0)
        return MeasuredSpeech(
            seconds=len(sounding) * FRAME_SECONDS,
            start_seconds=float(start * FRAME_SECONDS),
            end_seconds=float(end * FRAME_SECONDS),
            silences=find_silences(speech),
        )

    def _find_speech(self) -> NDArray[np.bool_]:
        """Find the frames that are louder than the noise."""
        rest, self._waiting = b"".join(self._waiting), []
        if rest := rest[: len(rest) // 2 * 2]:
            self._measure(rest)
        if not self._powers:
            return np.zeros(0, dtype=np.bool_)
        return find_speech(to_dbfs(np.concatenate(self._powers)))

    def _find_sounding(self, speech: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Find the frames of sound that can be speech: louder than the noise, and changing."""
        loud = np.flatnonzero(speech)
        if not len(loud):
            return loud
        colours = np.concatenate(self._colours)
        groups = np.array_split(loud, max(1, len(loud) // _GROUP_FRAMES))
        changing = [group for group in groups if _measure_change(colours[group]) >= _LEAST_CHANGE]
        return np.concatenate([loud[:0], *changing])


class TranscriptJudge:
    """Judges one session's transcript.

    Args:
        rates: Logarithms of letters a second, as known so far; this session's is added.
    """

    def __init__(self, rates: deque[float]) -> None:
        self._rates = rates
        self._meter = SpeechMeter()

    def hear(self, pcm: bytes) -> None:
        """Take the next 16 kHz mono samples that are sent."""
        self._meter.hear(pcm)

    def verdict(self, text_heard: str) -> Verdict:
        """Judge a transcript of all that was heard, and learn from it; say where nothing is said."""
        return self.judge(text_heard, self._meter.measure())

    def judge(self, text_heard: str, speech: MeasuredSpeech) -> Verdict:
        """Judge a transcript by what was measured of the recording, and learn from it."""
        return replace(self._judge(text_heard, speech), silences=speech.silences)

    def _judge(self, text_heard: str, speech: MeasuredSpeech) -> Verdict:
        seconds = speech.seconds
        letters = text.speech_weight(text_heard)
        if seconds <= _LEAST_SECONDS:
            shown = f"{seconds:.1f} s of sound that can be speech"
            return Verdict(support=() if letters else (shown,))
        span = (speech.start_seconds, speech.end_seconds)
        if not letters:
            message = f"no words for {seconds:.1f} s of sound that can be speech"
            return _doubt(Sign.UNHEARD, message, 1.0, span)
        expected = self._expect_letters(letters, seconds)
        if expected:
            message = (
                f"{letters:.0f} letters for {seconds:.1f} s of sound that can be speech, "
                f"where this run has heard about {expected:.0f}"
            )
            return _doubt(Sign.FEW_WORDS, message, 1.0 - letters / expected, span)
        return Verdict(support=(f"{letters:.0f} letters for {seconds:.1f} s of sound",))

    def _expect_letters(self, letters: float, seconds: float) -> float:
        """Give how many letters were to be expected, if there are far too few; else 0.

        What is doubted teaches nothing: a service that begins to drop words must not be learnt.
        """
        rate = math.log(letters / seconds)
        expected = self._doubt_rate(rate, letters, seconds)
        if not expected and seconds >= _LEARNED_FROM_SECONDS:
            self._rates.append(rate)
        return expected

    def _doubt_rate(self, rate: float, letters: float, seconds: float) -> float:
        """Compare a rate with those of the run: the letters expected, or 0."""
        if len(self._rates) < _LEARNED_AFTER:
            return 0.0
        middle = median(self._rates)
        spread = _DEVIATION_OF_MEDIAN * median(abs(each - middle) for each in self._rates)
        is_few = rate < middle - max(_FEW_RATIO, _DEVIATIONS * spread)
        unexplained = seconds - letters / math.exp(middle)
        is_many = unexplained > _UNEXPLAINED_SECONDS
        return math.exp(middle) * seconds if is_few and is_many else 0.0


def _doubt(sign: Sign, message: str, severity: float, span: tuple[float, float]) -> Verdict:
    start, end = round(span[0], 3), round(span[1], 3)
    doubt = Doubt(
        sign=sign, message=message, severity=severity, start_seconds=start, end_seconds=end
    )
    return Verdict(doubts=(doubt,))


def _measure_colours(
    samples: NDArray[np.float32], power: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Measure the colour of each frame: how alike it is to itself half a millisecond later.

    From 1, a low hum, to -1; about 0 for noise. It goes up and down with every sound of speech.
    """
    alike: NDArray[np.float32] = np.einsum("ij,ij->i", samples[:, _LAG:], samples[:, :-_LAG])
    return alike / (power * np.float32(_FRAME) + np.float32(1e-9))


def _measure_change(colours: NDArray[np.float32]) -> float:
    low, high = np.percentile(colours, [10, 95])
    return float(high - low)
