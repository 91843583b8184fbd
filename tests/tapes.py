"""Tapes whose sides are recordings of their own: texts that the tone engine hears exactly."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from batchjobs.jobs import SpeechSettings
from batchjobs.server.engines.tone import ToneSynthesiser
from tests.builders import write_recording

RATE = 16_000
SIDES = (
    "السَّلامُ عَلَيْكُمْ، بدأ الشريط ١.",
    "العربية لغةٌ جميـــلة في trio 2026!",
    "می\u200cخواهم لا\u200dإله إلا الله.",
)


def write_side(path: Path, text: str, *, silence_seconds: float = 0.0) -> float:
    """Write a recording of a text with silence behind it; gives its length in seconds."""
    settings = SpeechSettings(voice_id="v", model_id="m", output_format="pcm_16000")
    pcm = b"".join(ToneSynthesiser().synthesise(text, settings)) if text else b""
    pcm += bytes(2 * round(silence_seconds * RATE))
    write_recording(path, pcm, RATE)
    return len(pcm) / 2 / RATE


def write_tape_manifest(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Write a manifest with all columns that any of its rows has."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path
