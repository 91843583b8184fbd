"""Measures what a session brings for a judge who is elsewhere; nothing is judged or learnt here."""

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.jobs import Ending, Verdict
from batchjobs.plausibility import clips
from batchjobs.plausibility.clips import MeasuredSound, measure_sound
from batchjobs.plausibility.transcripts import MeasuredSpeech, SpeechMeter


class ClipMeter:
    """Stands in the place of a text's judge.

    Args:
        spoken: The text.
        speed: The asked speed.
        ample_seconds: So much audio is about what the voice takes for it.

    Attributes:
        sound: What was measured, once it has ended.
        judged_as: The ending, as far as a judge may trust it.
    """

    def __init__(self, *, spoken: str, speed: float, ample_seconds: float) -> None:
        self.minimum_seconds = clips.minimum_seconds(spoken, speed)
        self._ample_seconds = ample_seconds
        self.sound = MeasuredSound(is_silent=False, seconds=0.0, is_abrupt=False)
        self.judged_as = Ending.STOPPED

    def is_ample(self, pcm: ReceivedAudio, sample_rate: int) -> bool:
        """Say whether a short silence after this audio may mean the end."""
        is_known = self._ample_seconds < float("inf")
        return is_known and clips.is_ample(pcm, sample_rate, self._ample_seconds)

    def verdict(self, pcm: ReceivedAudio, sample_rate: int, ending: Ending) -> Verdict:
        """Measure audio that has ended; nothing speaks against it yet."""
        self.sound, self.judged_as = measure_sound(pcm, sample_rate, ending), ending
        return Verdict()


class RecordingMeter:
    """Stands in the place of a transcript's judge.

    Attributes:
        speech: What was measured, once the transcript stands.
    """

    def __init__(self) -> None:
        self._meter = SpeechMeter()
        self.speech = MeasuredSpeech(seconds=0.0, start_seconds=0.0, end_seconds=0.0, silences=())

    def hear(self, pcm: bytes) -> None:
        """Take the next 16 kHz mono samples that are sent."""
        self._meter.hear(pcm)

    def verdict(self, _text: str) -> Verdict:
        """Measure all that was heard; nothing speaks against the transcript yet."""
        self.speech = self._meter.measure()
        return Verdict(silences=self.speech.silences)
