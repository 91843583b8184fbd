"""Recordings of calls: a channel a side, each spoken by the tone engine."""

from pathlib import Path
from typing import TypeAlias

import numpy as np
import soundfile
from numpy.typing import NDArray

from batchjobs.jobs import SpeechSettings
from batchjobs.server.engines.tone import ToneSynthesiser

__all__ = ["RATE", "Samples", "rest", "speak", "write_channels"]

RATE = 16_000
Samples: TypeAlias = NDArray[np.int16]


def speak(text: str) -> Samples:
    """Speak a text as tones."""
    speech = SpeechSettings(voice_id="v", model_id="m", output_format=f"pcm_{RATE}")
    return np.frombuffer(b"".join(ToneSynthesiser().synthesise(text, speech)), "<i2")


def rest(seconds: float) -> Samples:
    """Say nothing for so long."""
    return np.zeros(round(seconds * RATE), np.int16)


def write_channels(path: Path, *channels: Samples) -> Path:
    """Write a recording; shorter channels end in silence."""
    length = max(map(len, channels))
    padded = [np.pad(channel, (0, length - len(channel))) for channel in channels]
    soundfile.write(path, np.stack(padded, axis=1), RATE, subtype="PCM_16")
    return path
