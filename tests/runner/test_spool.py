"""The account of all sessions' audio: bounded, nothing lost, no file left behind."""

import contextlib
import resource
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio
import trio.testing

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import BatchjobsError, DiskFullError, OutputError
from batchjobs.jobs import Ending
from batchjobs.plausibility.clips import SpeechRates
from batchjobs.runner import Runner
from batchjobs.runner.spool import AudioSpool
from tests.builders import audio_message
from tests.clocks import until_soon
from tests.runner.runs import RETRIES, jobs, run_rows
from tests.streams import Peer

RATE = 8_000
KEY = "a" * 64
LIMIT = 100_000


@asynccontextmanager
async def spooling(
    folder: Path, errors: list[BatchjobsError] | None = None
) -> AsyncIterator[AudioSpool]:
    """Run a spool for as long as the block lasts."""
    seen: list[BatchjobsError] = []
    spool = AudioSpool(folder, limit_bytes=LIMIT, on_error=seen.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spool.run)
        yield spool
        nursery.cancel_scope.cancel()
    assert seen == [] or errors is not None
    if errors is not None:
        errors.extend(seen)


async def until_it_fits(spool: AudioSpool) -> None:
    """Wait for as much to be moved as is needed."""
    await until_soon(lambda: spool.held_bytes <= LIMIT)


def hum(seconds: float, *, fades: bool = False) -> bytes:
    """Make a hum that dies away at its end or breaks off."""
    wave = 8_000 * np.sin(np.arange(round(seconds * RATE)) * 0.3)
    if fades:
        wave[-RATE // 10 :] *= np.linspace(1, 0, RATE // 10) ** 2
    return bytes(wave.astype("<i2").tobytes())


def given(audio: ReceivedAudio, pcm: bytes) -> None:
    """Let audio come."""
    audio.sample_rate = RATE
    audio.add(pcm)


async def test_memory_is_bounded_over_all_sessions_and_nothing_is_lost(tmp_path: Path) -> None:
    """Ten times the limit comes in ten sessions; all of it is given back, and no file stays."""
    folder = tmp_path / "segments"
    most = 0
    async with spooling(folder) as spool:
        with contextlib.ExitStack() as stack:
            audios = [stack.enter_context(spool.open_buffer(KEY)) for _ in range(10)]
            expected = [bytearray() for _ in audios]
            for step in range(100):
                for number, audio in enumerate(audios):
                    pcm = bytes([step, number]) * 500
                    given(audio, pcm)
                    expected[number] += pcm
                most = max(most, spool.held_bytes)
                await until_it_fits(spool)
            assert most <= LIMIT + 10 * 1_000
            assert any(audio.moved_bytes for audio in audios)
            assert [bytes(audio) for audio in audios] == expected
            assert list(folder.iterdir())
        assert spool.held_bytes == 0
        await until_soon(lambda: not any(folder.iterdir()))


async def test_below_the_limit_no_file_is_made(tmp_path: Path) -> None:
    """The disk is not touched for what fits."""
    async with spooling(tmp_path / "segments") as spool:
        with spool.open_buffer(KEY) as audio:
            given(audio, bytes(LIMIT))
            await trio.testing.wait_all_tasks_blocked()
            assert audio.moved_bytes == 0
    assert not (tmp_path / "segments").exists()


async def test_a_cancelled_run_leaves_no_file(tmp_path: Path) -> None:
    """What is done with is removed even if nothing else ever happens."""
    folder = tmp_path / "segments"
    async with spooling(folder) as spool:
        with spool.open_buffer(KEY) as audio:
            given(audio, bytes(2 * LIMIT))
            await until_it_fits(spool)
        assert list(folder.iterdir())
    assert not list(folder.iterdir())


async def test_many_small_sessions_do_not_make_files_of_nothing(tmp_path: Path) -> None:
    """Where nobody holds much, memory is what it is, and nobody looks again at every message."""
    async with spooling(tmp_path / "segments") as spool:
        with contextlib.ExitStack() as stack:
            for _ in range(120):
                given(stack.enter_context(spool.open_buffer(KEY)), bytes(1_000))
            await trio.testing.wait_all_tasks_blocked()
            assert spool.held_bytes == 120_000
    assert not (tmp_path / "segments").exists()


@pytest.mark.parametrize("ending", [Ending.CLOSED_BY_SERVER, Ending.QUIET])
@pytest.mark.parametrize("fades", [True, False])
async def test_the_judge_says_the_same_of_what_was_moved(
    tmp_path: Path, ending: Ending, *, fades: bool
) -> None:
    """A cut end is seen by the loudness of what is not in memory any more."""
    pcm = hum(10.0, fades=fades)
    at_once = ReceivedAudio()
    given(at_once, pcm)
    async with spooling(tmp_path / "segments") as spool:
        with spool.open_buffer(KEY) as audio:
            given(audio, pcm[:120_000])
            await until_it_fits(spool)
            given(audio, pcm[120_000:])
            assert len(audio.rest) < len(pcm)
            said = [
                SpeechRates()
                .make_judge(voice="v", spoken="a" * 100, speed=1.0)
                .verdict(a, RATE, ending)
                for a in (at_once, audio)
            ]
    assert said[0] == said[1]
    assert bool(said[0].doubts) == (ending is Ending.CLOSED_BY_SERVER and not fades)


async def test_moved_silence_is_still_silence(tmp_path: Path) -> None:
    """No sample other than zero: not in the file, not in memory."""
    async with spooling(tmp_path / "segments") as spool:
        with spool.open_buffer(KEY) as audio:
            given(audio, bytes(2 * LIMIT))
            await until_it_fits(spool)
            judge = SpeechRates().make_judge(voice="v", spoken="a" * 100, speed=1.0)
            assert "silent" in judge.verdict(audio, RATE, Ending.DRAINED).doubts[0].message


@pytest.mark.parametrize("kind", ["file", "link", "full"])
async def test_a_disk_that_fails_is_told_once_and_loses_nothing(tmp_path: Path, kind: str) -> None:
    """The run is to stop; what came stays in memory, also what was on its way."""
    folder, errors = tmp_path / "segments", list[BatchjobsError]()
    if kind == "file":
        folder.write_text("not a folder")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if kind == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, limits[1]))
    try:
        async with spooling(folder, errors) as spool:
            with spool.open_buffer(KEY) as audio:
                given(audio, bytes(range(200)) * 1_000)
                await until_soon(lambda: bool(spool._has_failed))
                given(audio, bytes(2 * LIMIT))
                await trio.testing.wait_all_tasks_blocked()
                assert bytes(audio) == bytes(range(200)) * 1_000 + bytes(2 * LIMIT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [type(error) for error in errors] == [DiskFullError if kind == "full" else OutputError]
    assert not folder.is_dir() or not list(folder.iterdir())


async def test_a_failed_session_s_audio_is_let_go_before_the_disk_hears_of_it(
    tmp_path: Path,
) -> None:
    """A thousand sessions that break in mid-audio do not fill the disk as well."""
    held: list[int] = []
    runners: list[Runner] = []

    class Watched(Checkpoint):
        def commit(self, **content: Sequence[Any]) -> list[int]:
            if any(end.result == "transient" for end in content["ends"]):
                held.append(runners[0]._state.spool.held_bytes)
            return super().commit(**content)

    async def break_off(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send(audio_message(hum(1.0), RATE))
        await peer.send({"type": "error", "errorCode": 50001})

    async def watch(runner: Runner) -> None:
        runners.append(runner)

    run = await run_rows(tmp_path, jobs(1), break_off, opener=Watched, during=watch)
    assert run.statuses == {"failed": 1}
    assert held == [0] * RETRIES.attempts
