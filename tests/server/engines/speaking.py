"""Words for the espeak engine to say."""

from batchjobs.jobs import SpeechSettings
from batchjobs.server.engines.espeak import EspeakSynthesiser


def make_settings(
    rate: int = 24_000, speed: float = 1.0, voice_id: str = "ar-najdi-male-2"
) -> SpeechSettings:
    """Make settings for a voice of espeak."""
    return SpeechSettings(
        voice_id=voice_id, model_id="any", speed=speed, output_format=f"pcm_{rate}"
    )


def say(engine: EspeakSynthesiser, text: str, settings: SpeechSettings | None = None) -> bytes:
    """Speak a text."""
    return b"".join(engine.synthesise(text, settings or make_settings()))
