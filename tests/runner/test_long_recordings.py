"""Long recordings are heard in parts, and go on where they were."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from batchjobs.jobs import Job, Status
from tests.builders import make_recording_job, transcript_message
from tests.runner.books import PLAN, RUN, run_book
from tests.runner.runs import RETRIES
from tests.streams import Peer

pytestmark = pytest.mark.usefixtures("standing_clock")


def spoken_stretches(path: Path, count: int) -> None:
    """Write a recording of so many noises of two seconds with pauses of one between them."""
    dice = np.random.default_rng(5)
    noise = (dice.standard_normal((count, 32_000)) * 3_000).astype("<i2")
    silence = np.zeros((count, 16_000), dtype="<i2")
    soundfile.write(path, np.concatenate([noise, silence], axis=1).ravel(), 16_000)


class Listener:
    """A service that transcribes, numbering what it hears by its first samples."""

    def __init__(self, *, fails_at: int = 0) -> None:
        self.sessions = 0
        self.seconds = 0.0
        self.fails_at = fails_at

    async def __call__(self, peer: Peer) -> None:
        """Hear one stretch."""
        self.sessions += 1
        number = self.sessions
        while True:
            message = await peer.get()
            self.seconds += (len(message["data"]["audioBuffer"]) - 44) / 32_000
            if number == self.fails_at:
                await peer.send({"event": "transcription_error", "data": "لا"})
                return
            await peer.send(transcript_message(f"كلام {number}"))


def listen(path: Path) -> Job:
    """Make the row of a recording."""
    return make_recording_job(path)


async def test_a_long_recording_is_heard_in_parts(tmp_path: Path) -> None:
    """Each part once; the text has them all, in their order; nothing is left behind."""
    spoken_stretches(tmp_path / "in.wav", 6)
    listener = Listener()
    run = await run_book(tmp_path / "run", [listen(tmp_path / "in.wav")], listener)
    assert run.statuses == {"done": 1}
    record = run.records["t"]
    assert record.segments == listener.sessions > 3
    words = record.text.split()
    assert sorted(words[1::2], key=int) == [str(n + 1) for n in range(listener.sessions)]
    assert not (tmp_path / "run" / "segments").exists()
    again = Listener()
    await run_book(tmp_path / "run", [listen(tmp_path / "in.wav")], again)
    assert not again.sessions


async def test_a_recording_goes_on_where_it_was(tmp_path: Path) -> None:
    """A failed part is heard again; the others are not."""
    spoken_stretches(tmp_path / "in.wav", 6)
    rows = [listen(tmp_path / "in.wav")]
    once = replace(RETRIES, attempts=1)
    first = Listener(fails_at=3)
    run = await run_book(
        tmp_path / "run", rows, first, run_options=replace(RUN, concurrency=1), retries=once
    )
    assert run.records["t"].status is Status.FAILED
    second = Listener()
    retry = replace(PLAN, retry_failed=True)
    run = await run_book(tmp_path / "run", rows, second, plan_options=retry)
    assert run.statuses == {"done": 1}
    assert first.sessions - 1 + second.sessions == run.records["t"].segments
