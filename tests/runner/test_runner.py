"""The runner against a scripted service: who goes when, and what comes of it."""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile
import trio

from batchjobs.checkpoint import Checkpoint
from batchjobs.runner import RunEnd
from tests.builders import audio_message, make_recording_job, transcript_message, write_recording
from tests.runner.runs import OPTIONS, QUICK, RATE, TEXT, job, jobs, obeys, run_rows, speech_for
from tests.streams import Peer, Talk

# Deadlines of a few seconds and a disk in threads: on the machine's own clock it would depend on it.
pytestmark = pytest.mark.usefixtures("standing_clock")


async def test_every_row_is_spoken_once(tmp_path: Path) -> None:
    """Twenty rows, twenty sessions, twenty files; and a second run has nothing to do."""
    run = await run_rows(tmp_path, jobs(20))
    assert run.end == RunEnd()
    assert run.statuses == {"done": 20}
    assert len(run.service.streams) == 20
    assert run.service.most_open <= 4
    record = run.records["007"]
    assert record.attempts == 1
    assert record.cost == len(job("007").text)
    pcm, rate = soundfile.read(tmp_path / record.output, dtype="int16")
    assert rate == RATE
    assert pcm.tobytes() == speech_for(job("007").text)
    again = await run_rows(tmp_path, jobs(20))
    assert not again.service.streams
    assert again.statuses == {"done": 20}


async def test_both_kinds_run_in_one_manifest(tmp_path: Path) -> None:
    """A recording becomes a transcript, by the same workers."""
    source = tmp_path / "in.wav"
    write_recording(source, bytes(80_000))

    async def either(peer: Peer) -> None:
        if "speech-to-text" not in peer.request.path:
            await obeys(peer)
            return
        while True:
            await peer.get()
            await peer.send(transcript_message("" if silent else TEXT))

    silent = False
    listen = make_recording_job(source)
    run = await run_rows(tmp_path / "a", [job("s"), listen], either)
    assert run.statuses == {"done": 2}
    assert (tmp_path / "a" / run.records["t"].output).read_text(encoding="utf-8") == TEXT
    assert run.records["t"].error_class == ""
    silent = True
    run = await run_rows(tmp_path / "b", [listen], either)
    assert run.records["t"].error_class == "no_speech"


async def test_concurrency_is_reached_and_never_exceeded(tmp_path: Path) -> None:
    """After the first session the others open up to the limit."""
    full = trio.Event()
    opened = 0

    async def waits_for_company(peer: Peer) -> None:
        nonlocal opened
        opened += 1
        await peer.begin()
        text = await peer.text()
        if opened > 1:
            if opened >= 6:
                full.set()
            with trio.move_on_after(5):
                await full.wait()
        await peer.send(audio_message(speech_for(text), RATE))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    run = await run_rows(
        tmp_path, jobs(30), waits_for_company, run_options=replace(OPTIONS, concurrency=5)
    )
    assert run.statuses == {"done": 30}
    assert run.service.most_open == 5


async def test_the_first_session_of_a_provider_goes_alone(tmp_path: Path) -> None:
    """Nobody follows before it has brought audio, for each provider by itself."""
    alone: dict[str, int] = {}
    count: Counter[str] = Counter()

    def first_slow(name: str) -> Talk:
        async def talk(peer: Peer) -> None:
            count[name] += 1
            await peer.begin()
            text = await peer.text()
            if name not in alone:
                await trio.sleep(0.05)
                alone[name] = count[name]
            await peer.send(audio_message(speech_for(text), RATE))
            await peer.until_asked_to_close()
            await peer.connection.aclose(1000)

        return talk

    other = replace(QUICK, name="other")
    rows = [job(f"{n}{p}", provider=p) for n in range(6) for p in ("quick", "other")]
    run = await run_rows(
        tmp_path, rows, first_slow("quick"), others={"other": (other, first_slow("other"))}
    )
    assert run.statuses == {"done": 12}
    assert alone == {"quick": 1, "other": 1}


async def test_the_rate_of_starts_holds(tmp_path: Path) -> None:
    """Sessions start no faster than told."""
    times: list[float] = []

    async def timed(peer: Peer) -> None:
        times.append(trio.current_time())
        await obeys(peer)

    began = trio.current_time()
    run = await run_rows(
        tmp_path, jobs(6), timed, run_options=replace(OPTIONS, starts_per_second=50.0)
    )
    assert run.statuses == {"done": 6}
    assert times[-1] - began >= 5 / 50


class Slow(Checkpoint):
    """A checkpoint on a slow disk that counts the jobs it has made durable."""

    durable = 0

    def commit(self, **content: Sequence[Any]) -> list[int]:
        """Commit, late."""
        threading.Event().wait(0.01)
        numbers = super().commit(**content)
        type(self).durable += len(content.get("records", ()))
        return numbers


async def test_no_session_opens_before_the_result_before_it_is_durable(tmp_path: Path) -> None:
    """Sessions begun and not yet durable are never more than the concurrency."""
    Slow.durable = 0
    begun = 0
    ahead: list[int] = []

    async def counted(peer: Peer) -> None:
        nonlocal begun
        begun += 1
        ahead.append(begun - Slow.durable)
        await obeys(peer)

    run = await run_rows(tmp_path, jobs(30), counted, opener=Slow)
    assert run.statuses == {"done": 30}
    assert max(ahead) <= 4
