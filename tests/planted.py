"""Runs whose clips have faults that are known: as a service would have sent them, and unnoticed."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from batchjobs.checkpoint import Settled
from batchjobs.custody.checkpoint import open_run
from batchjobs.outputs.writing import write_speech
from batchjobs.server.engines.interface import Synthesiser
from tests.books import PROSE
from tests.builders import make_speech

FAULTS: Final = ("cut", "repeated", "wrong", "garbled", "silent")
"""What can be wrong with a clip, apart from whose voice it is."""
_GARBLED_SECONDS: Final = 3.0


def make_texts(count: int, *, seed: int = 1, words: tuple[int, int] = (12, 30)) -> list[str]:
    """Make Arabic texts of prose, with marks, digits and both directions now and then."""
    dice = random.Random(seed)
    prose = (PROSE / "kalila.txt").read_text(encoding="utf-8").split()
    extras = ("١٩٤٨", "مـــرحـــبًا", "WebSocket", "می\u200cخواهم", "25", "لا\u200dإله")
    texts = []
    for _ in range(count):
        size = dice.randint(*words)
        start = dice.randrange(len(prose) - size)
        chosen = prose[start : start + size]
        chosen.insert(dice.randrange(size), dice.choice(extras))
        texts.append(" ".join(chosen))
    return texts


def say_with_fault(
    fault: str,
    text: str,
    speaker: Synthesiser,
    *,
    other: str,
    rate: int,
    voice: str,
    wrong_voice: str = "",
) -> bytes:
    """Say a text wrongly.

    Args:
        fault: One of `FAULTS`, or ``voice``.
        text: The text.
        speaker: Speaks it.
        other: Another text.
        rate: In hertz.
        voice: Who is to speak.
        wrong_voice: Who speaks instead.
    """
    settings = make_speech(rate, voice_id=wrong_voice if fault == "voice" else voice)
    words = text.split()
    third = len(words) // 3
    match fault:
        case "cut":
            spoken = " ".join(words[: 2 * third])
        case "repeated":
            spoken = " ".join((*words[: 2 * third], *words[third:]))
        case "wrong":
            spoken = other
        case _:
            spoken = text
    pcm = b"".join(speaker.synthesise(spoken, settings))
    if fault == "silent":
        return bytes(len(pcm))
    if fault == "garbled":
        return _garble(pcm, rate)
    return pcm


def _garble(pcm: bytes, rate: int) -> bytes:
    """Put noise over three seconds in the middle, or a third of a short clip."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    size = min(round(_GARBLED_SECONDS * rate), len(samples) // 3)
    start = (len(samples) - size) // 2
    level = float(np.std(samples))
    noise = np.random.default_rng(5).normal(0, level, size)
    samples[start : start + size] = noise
    return bytes(samples.clip(-32_768, 32_767).astype("<i2").tobytes())


def plant(folder: Path, clips: Mapping[str, tuple[bytes, int]]) -> None:
    """Put other sound in the place of clips, as if it was what the service had sent.

    Args:
        folder: The run folder.
        clips: By id: the samples and their rate.
    """
    with open_run(folder) as checkpoint:
        outcomes = checkpoint.rows.find_outcomes(list(clips))
        for name, (pcm, rate) in clips.items():
            row, record = outcomes[name]
            assert record is not None
            written = write_speech(folder, row.output, pcm, rate)
            sent = replace(
                record,
                files=written.files,
                frames=len(pcm) // 2,
                audio_seconds=len(pcm) / 2 / rate,
                pcm_sha256=written.pcm_sha256,
            )
            outcome = Settled(record=sent, targets=written.targets)
            checkpoint.settle(starts=(), outcomes=[outcome])


def choose_faults(
    names: Sequence[str], faults: Sequence[str], seed: int = 7
) -> Iterator[tuple[str, str]]:
    """Choose which clips get which fault: one each."""
    yield from zip(random.Random(seed).sample(list(names), len(faults)), faults, strict=True)
