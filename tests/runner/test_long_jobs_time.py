"""Long jobs in virtual time: as fast as their sessions allow, and every cue where it was said.

The suite holds a small form; the full one is ``python -m tests.runner.test_long_jobs_time``: 200,000
characters at 32 sessions, three hours at 60.
"""

import argparse
import json
import math
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import srt
import trio

from batchjobs.audio import pauses
from batchjobs.limits import RetryPolicy
from batchjobs.options import Options
from batchjobs.server.engines.tone import ToneRecogniser, ToneSynthesiser
from batchjobs.server.engines.tone_signal import (
    HEADER_BYTES,
    HEADER_SYMBOL_SECONDS,
    PILOT_SECONDS,
    encode_text,
    split_text,
)
from batchjobs.text import split_sentences
from tests.books import PROSE
from tests.builders import (
    audio_message,
    make_recording_job,
    make_speech,
    make_tone,
    transcript_message,
)
from tests.clocks import make_clock
from tests.runner.runs import QUICK, RATE, RunOutcome, job, run_rows
from tests.streams import Peer

pytestmark = pytest.mark.unmeasured

SECONDS_A_CHARACTER = 0.02
SPEECH = make_speech(16_000)
SYMBOL_SECONDS = 0.05
SILENCE_SECONDS = 0.7
TTS = replace(QUICK, text_limit_characters=2_000, session_limit_seconds=3_600.0)
STT = replace(QUICK, pace=1.0, chunk_seconds=0.5)


# -- speech --------------------------------------------------------------------------------------


async def speaks(peer: Peer) -> None:
    """Speak a text in as much time as it takes, in ten messages."""
    await peer.begin()
    text = await peer.text()
    pcm = make_tone(len(text) / 12, RATE)
    step = 2 * math.ceil(len(pcm) / 20)
    for start in range(0, len(pcm), step):
        piece = pcm[start : start + step]
        await peer.send(audio_message(piece, RATE))
        await trio.sleep(SECONDS_A_CHARACTER * len(text) * len(piece) / len(pcm))
    await peer.until_asked_to_close()
    await peer.connection.aclose(1000)


async def one_text(folder: Path, characters: int, concurrency: int, limit: int) -> float:
    """Speak one long text; give the wall time over the ideal."""
    text = (PROSE / "alice.txt").read_text(encoding="utf-8")
    text = (text * math.ceil(characters / len(text)))[:characters]
    # Each copy its own: equal segments are bought once.
    text = "\n\n".join(f"{n}. {page}" for n, page in enumerate(text.split("\n\n")))[:characters]
    provider = replace(TTS, text_limit_characters=limit)
    began = trio.current_time()
    run = await run_rows(
        folder,
        [job("book", text)],
        speaks,
        provider=provider,
        run_options=Options(concurrency=concurrency),
        retries=RetryPolicy(attempts=5),
        patience=10**6,
    )
    assert run.statuses == {"done": 1}
    assert run.service.most_open == concurrency
    return (trio.current_time() - began) / (SECONDS_A_CHARACTER * characters / concurrency)


def test_one_text_fills_all_sessions_to_the_end(tmp_path: Path) -> None:
    """At most 15 % over the ideal, though nobody else has work for the last ones."""
    with make_clock() as clock:
        over = trio.run(one_text, tmp_path, 32_000, 32, 320, clock=clock)
    print(f"wall time over the ideal: {over:.3f}")
    assert over <= 1.15


# -- recordings ----------------------------------------------------------------------------------


@dataclass
class Talk:
    """A recording of the tone engine, and when each of its words is said."""

    path: Path
    text: str
    words: list[tuple[str, float, float]]
    seconds: float


def spoken_talk(path: Path, seconds: float) -> Talk:
    """Speak sentences in two languages, with pauses, until it is long enough."""
    engine = ToneSynthesiser()
    every = [
        " ".join(sentence.split())
        for name in ("kalila.txt", "news.txt", "moor.txt", "alice.txt")
        for sentence in split_sentences((PROSE / name).read_text(encoding="utf-8")[:20_000])
    ]
    every = [sentence for sentence in every if 10 < len(sentence) < 150 and "*" not in sentence]
    at, number = 0, 0
    said: list[str] = []
    words: list[tuple[str, float, float]] = []
    silence = np.zeros(round(SILENCE_SECONDS * 16_000), dtype="<i2")
    with soundfile.SoundFile(path, "w", 16_000, 1, "PCM_16", format="FLAC") as file:
        while at < seconds * 16_000:
            number += 1  # said as well: equal stretches would be bought once
            sentence = f"{number} {every[number % len(every)]}"
            for piece in split_text(f"{sentence} "):
                pcm = np.frombuffer(b"".join(engine.synthesise(piece, SPEECH)), dtype="<i2")
                file.write(pcm)
                words += _placed(piece, at / 16_000)
                at += len(pcm)
            file.write(silence)
            at += len(silence)
            said.append(sentence)
    return Talk(path, " ".join(said), words, at / 16_000)


def _placed(piece: str, start: float) -> list[tuple[str, float, float]]:
    """When each word of an utterance is said: every byte of the code takes as long as any other."""
    start += 2 * PILOT_SECONDS + HEADER_BYTES * HEADER_SYMBOL_SECONDS
    return [
        (
            word[0],
            start + len(encode_text(piece[: word.start()])) * SYMBOL_SECONDS,
            start + len(encode_text(piece[: word.end()])) * SYMBOL_SECONDS,
        )
        for word in re.finditer(r"\S+", piece)
    ]


async def hears(peer: Peer) -> None:
    """Recognise what comes, and answer every chunk."""
    recogniser = ToneRecogniser()
    stream = recogniser.start()
    while True:
        message = await peer.get()
        content = bytes(message["data"]["audioBuffer"])
        text = await trio.to_thread.run_sync(stream.accept, content[44:], 16_000)
        await peer.send(transcript_message(text))


async def one_talk(folder: Path, talk: Talk, concurrency: int) -> tuple[RunOutcome, float]:
    """Transcribe a talk; give what came of it and the time it took."""
    row = make_recording_job(talk.path, "talk")
    began = trio.current_time()
    run = await run_rows(
        folder,
        [row],
        hears,
        provider=STT,
        run_options=Options(concurrency=concurrency),
        retries=RetryPolicy(attempts=5),
        patience=10**6,
    )
    return run, trio.current_time() - began


def checked(folder: Path, talk: Talk, concurrency: int, clock: Any) -> str:
    """Run it, and see that the text is whole, the cues are right, and the time is well used."""
    run, wall = trio.run(one_talk, folder, talk, concurrency, clock=clock)
    assert run.statuses == {"done": 1}
    assert " ".join(run.records["talk"].text.split()) == talk.text
    sent = sum(len(s.pcm) / 32_000 for s in pauses.split_at_pauses(talk.path))
    longest = max(len(s.pcm) / 32_000 for s in pauses.split_at_pauses(talk.path))
    allowed = 1.1 * talk.seconds / concurrency + longest
    assert wall <= allowed
    details = json.loads((folder / "transcripts" / "talk.json").read_bytes())
    off = [
        max(abs(word["start"] - start), abs(word["end"] - end))
        for word, (_, start, end) in zip(details["words"], talk.words, strict=True)
    ]
    cues = list(srt.parse((folder / "transcripts" / "talk.srt").read_text(encoding="utf-8")))
    assert all(one.end <= other.start for one, other in pairwise(cues))
    worst = worst_cue(cues, talk.words)
    assert worst <= 0.5
    return (
        f"{talk.seconds:,.0f} s of talk, {sent:,.0f} s sent in {run.records['talk'].segments} parts "
        f"at {concurrency}: {wall:.1f} s, allowed {allowed:.1f} s; cues off by at most {worst:.2f} s, "
        f"words by {max(off):.2f} s"
    )


def worst_cue(cues: Sequence[srt.Subtitle], words: Sequence[tuple[str, float, float]]) -> float:
    """How far the worst cue begins from where its first word does."""
    worst, place = 0.0, 0
    for cue in cues:
        shown = cue.content.replace("\u2067", "").replace("\u2069", "").split()
        assert shown == [word for word, _, _ in words[place : place + len(shown)]]
        worst = max(worst, abs(cue.start.total_seconds() - words[place][1]))
        place += len(shown)
    assert place == len(words)
    return worst


def test_a_talk_is_heard_side_by_side_and_every_cue_is_in_its_place(tmp_path: Path) -> None:
    """At real-time pace; the text is exact, and no cue is half a second off."""
    talk = spoken_talk(tmp_path / "talk.flac", 300.0)
    with make_clock() as clock:
        print(checked(tmp_path / "run", talk, 4, clock))


def main() -> int:
    """Run the full form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=3.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        began = time.monotonic()
        with make_clock() as clock:
            over = trio.run(one_text, place / "book", 200_000, 32, 2_000, clock=clock)
        print(
            f"200,000 characters at 32: {over:.3f} of the ideal ({time.monotonic() - began:.0f} s)"
        )
        began = time.monotonic()
        talk = spoken_talk(place / "talk.flac", given.hours * 3_600)
        with make_clock() as clock:
            print(checked(place / "run", talk, 60, clock), f"({time.monotonic() - began:.0f} s)")
    return int(over > 1.15)


if __name__ == "__main__":
    sys.exit(main())
