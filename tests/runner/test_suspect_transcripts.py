"""Sound without words is kept in doubt, in long recordings too."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

import batchjobs
from batchjobs.checkpoint import Checkpoint
from batchjobs.jobs import Sign, Status
from tests.builders import make_recording_job, transcript_message
from tests.runner.runs import OPTIONS, QUICK, RETRIES, run_rows
from tests.streams import Peer
from tests.suspects import AGAIN, kept_files


def words(seconds: float) -> bytes:
    """Make sound that can be speech, at 16 kHz: syllables of changing pitch with gaps."""
    times = np.arange(round(seconds * 16_000)) / 16_000
    pitch = 200 + 1_800 * (np.floor(times * 4) % 5) / 4
    wave = np.sin(2 * np.pi * np.cumsum(pitch) / 16_000) * (np.sin(2 * np.pi * 4 * times) > -0.5)
    return (wave * 8_000).astype("<i2").tobytes()


async def test_a_recording_of_sound_without_words_is_kept_in_doubt(tmp_path: Path) -> None:
    """Tried again, then kept: its empty transcript stands in no result, and its place is named."""
    source = tmp_path / "in.wav"
    soundfile.write(source, np.frombuffer(words(4.0), dtype=np.int16), 16_000)

    async def hears_nothing(peer: Peer) -> None:
        while True:
            await peer.get()
            await peer.send(transcript_message(" "))

    listen = make_recording_job(source)
    run = await run_rows(tmp_path / "o", [listen], hears_nothing)
    record = run.records["t"]
    assert record.status is Status.SUSPECT
    assert record.doubts[0].sign is Sign.UNHEARD
    assert 0.0 <= record.doubts[0].start_seconds < record.doubts[0].end_seconds <= 4.01
    assert len(run.service.streams) == 2
    assert kept_files(tmp_path / "o") == ["t.json", "t.srt", "t.txt", "t.vtt"]
    assert not (tmp_path / "o/transcripts").exists()
    assert batchjobs.accept(tmp_path / "o", every=True).accepted == ("t",)
    assert (tmp_path / "o/transcripts/t.txt").read_bytes() == b""
    with Checkpoint.read(tmp_path / "o") as checkpoint:
        assert checkpoint.totals.count_rows().no_speech == 1


async def test_a_stretch_without_words_makes_a_long_recording_suspect(tmp_path: Path) -> None:
    """The other stretches are there; the one that is missing is named with its place in time."""
    source = tmp_path / "in.wav"
    silence = bytes(2 * 16_000 * 6)
    pcm = words(8.0) + silence + words(8.0) + silence + words(8.0)
    soundfile.write(source, np.frombuffer(pcm, dtype=np.int16), 16_000)
    provider = replace(QUICK, audio_limit_seconds=12.0, audio_target_seconds=8.0)
    sessions: list[Peer] = []

    async def hears(peer: Peer) -> None:
        sessions.append(peer)
        heard = "" if len(sessions) == 1 else "كلمات كثيرة جدا هنا"
        while True:
            await peer.get()
            await peer.send(transcript_message(heard))

    listen = make_recording_job(source)
    once = replace(RETRIES, attempts=1)
    run = await run_rows(tmp_path / "o", [listen], hears, provider=provider, retries=once)
    record = run.records["t"]
    assert record.status is Status.SUSPECT
    assert len(sessions) == 3
    (doubt,) = record.doubts
    assert doubt.sign is Sign.UNHEARD
    assert 7.0 < doubt.end_seconds - doubt.start_seconds < 9.5
    assert "كلمات" in record.text
    again = replace(OPTIONS, retry_failed=True)
    run = await run_rows(
        tmp_path / "o",
        [listen],
        hears,
        provider=provider,
        run_options=again,
        retries=once,
        plan_options=AGAIN,
    )
    assert run.statuses == {"done": 1}
    assert len(run.service.streams) == 1
    assert not (tmp_path / "o/suspect").exists()
