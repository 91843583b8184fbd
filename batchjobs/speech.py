"""The terms of the services' APIs: the forms of audio, voices, how fast one may speak, hot words.

The command line's help needs them, and must not wait for more.
"""

import enum
from dataclasses import dataclass
from typing import Final

OUTPUT_FORMATS: Final = ("pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000")
"""Mono samples of 16 bits, little-endian, and their rate in hertz."""
HTTP_OUTPUT_FORMATS: Final = (*OUTPUT_FORMATS, "pcm_32000", "pcm_48000")
"""The same where speech comes over HTTP."""
DIALECTS: Final = ("auto", "emirati", "fusha")
"""What a voice may be asked to speak, over HTTP only."""
LOWEST_HZ: Final = 8_000
HIGHEST_HZ: Final = 48_000
"""Sample rates that speech over HTTP may be asked for."""
DEFAULT_OUTPUT_FORMAT: Final = "pcm_24000"
BYTES_PER_SAMPLE: Final = 2

DEFAULT_STABILITY: Final = 0.5
DEFAULT_SIMILARITY_BOOST: Final = 0.75
DEFAULT_SPEED: Final = 1.0

SLOWEST: Final = 0.7
"""The least and the highest speed; 1.0 is the voice's own pace."""
FASTEST: Final = 1.2

MOST_HOTWORDS: Final = 200
"""Words to expect that one transcription may be told, and the most characters of each."""
MOST_HOTWORD_CHARACTERS: Final = 40
MODEL_WITHOUT_HOTWORDS: Final = "munsit-en-ar"
"""The model of transcription that takes none."""


class Channels(enum.StrEnum):
    """Which channels of a recording are heard."""

    MIX = "mix"
    """All of them as one."""
    APART = "apart"
    """Each by itself: the sides of a call."""
    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """A voice, as far as whoever has it says something about it.

    Attributes:
        id: What `voice_id` takes.
        name: What it is called.
        gender: As they write it.
        language: The language or dialect, as they write it.
    """

    id: str
    name: str = ""
    gender: str = ""
    language: str = ""
