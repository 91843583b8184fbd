"""Words for the espeak engine to say."""

from batchjobs.jobs import SpeechSettings
from batchjobs.server.engines.espeak import EspeakSynthesiser
from tests.builders import make_speech


def make_settings(
    rate: int = 24_000, speed: float = 1.0, voice_id: str = "ar-najdi-male-2"
) -> SpeechSettings:
    """Make settings for a voice of espeak."""
    return make_speech(rate, voice_id=voice_id, speed=speed)


def say(engine: EspeakSynthesiser, text: str, settings: SpeechSettings | None = None) -> bytes:
    """Speak a text."""
    return b"".join(engine.synthesise(text, settings or make_settings()))
