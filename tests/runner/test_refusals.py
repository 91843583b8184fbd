"""A service that refuses, is not there or is mute ends the run at little cost."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import KeyRefusedError, ServiceUnavailableError
from batchjobs.progress import RunStopping
from tests.builders import audio_message, make_recording_job, write_recording
from tests.runner.runs import QUICK, RATE, TEXT, fails_with, job, jobs, obeys, run_rows, speech_for
from tests.streams import Peer, answers

# Deadlines of a few seconds and a disk in threads: on the machine's own clock it would depend on it.
pytestmark = pytest.mark.usefixtures("standing_clock")


@pytest.mark.parametrize("way", ["handshake", "message", "endless handshake"])
async def test_a_wrong_key_costs_one_connection(way: str, tmp_path: Path) -> None:
    """The run stops with the key's own error and nothing is recorded as failed."""

    async def refuses(peer: Peer) -> None:
        await peer.get()
        await peer.send({"type": "error", "errorCode": 40101, "errorMessage": "bad key"})
        await peer.connection.aclose(1008)

    length = "Content-Length: 0" if way == "handshake" else "Connection: close"
    raw = answers(f"HTTP/1.1 401 Unauthorized\r\n{length}\r\n\r\n".encode())
    run = await run_rows(tmp_path, jobs(20), refuses, raw=None if way == "message" else raw)
    assert isinstance(run.end.error, KeyRefusedError)
    assert run.end.error.exit_code == 77
    assert len(run.service.streams) == 1
    assert not run.records
    assert [result for _, result, _, _ in run.attempts] == ["refused"]
    assert len(run.of(RunStopping)) == 1


async def test_an_empty_wallet_stops_and_what_is_open_finishes(tmp_path: Path) -> None:
    """402 in mid-run: exit 69, done work stays done, the rest is not run."""
    number = itertools.count(1)

    async def runs_dry(peer: Peer) -> None:
        if next(number) == 8:
            await fails_with(peer, 40201)
            return
        await obeys(peer)

    run = await run_rows(tmp_path, jobs(40), runs_dry)
    assert isinstance(run.end.error, ServiceUnavailableError)
    assert run.end.error.exit_code == 69
    assert run.statuses.keys() == {"done"}
    assert 7 <= run.statuses["done"] <= 12
    assert run.open_attempts == 0


async def test_nobody_there_from_the_start_is_no_jobs_fault(tmp_path: Path) -> None:
    """A refused connection is tried again, by the first job alone, and then ends the run."""
    calls = 0

    async def refused(host: str, port: int, context: object) -> trio.abc.Stream:
        nonlocal calls
        calls += 1
        raise ConnectionRefusedError(111, "Connection refused")

    run = await run_rows(tmp_path, jobs(50), dial=refused)
    assert isinstance(run.end.error, ServiceUnavailableError)
    assert not run.records
    assert calls == 3


async def test_a_service_that_takes_text_and_never_speaks_ends_the_run_at_once(
    tmp_path: Path,
) -> None:
    """Connected, initialised, text taken, no audio ever: one session, named, and what to try."""

    async def mute(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await trio.sleep_forever()

    provider = replace(QUICK, first_audio_seconds=0.2)
    run = await run_rows(tmp_path, jobs(20), mute, provider=provider)
    assert isinstance(run.end.error, ServiceUnavailableError)
    assert "no audio came" in run.end.error.message
    assert "batchjobs probe quick" in run.end.error.hint
    assert len(run.service.streams) == 1
    assert not run.records
    assert "'000'" in run.end.error.message
    # Of dots alone no service makes a sound: that says nothing of the service.
    run = await run_rows(tmp_path / "dots", [job("dots", "... !؟")], mute, provider=provider)
    assert run.end.error is None
    assert run.statuses == {"failed": 1}


async def test_a_text_without_audio_ends_no_run_of_a_service_that_has_spoken(
    tmp_path: Path,
) -> None:
    """In a folder where it has done jobs, silence is the row's; the others are not kept waiting."""

    async def dumb_to_one(peer: Peer) -> None:
        await peer.begin()
        text = await peer.text()
        if text.endswith("dumb"):
            await trio.sleep_forever()
        await peer.send(audio_message(speech_for(text), RATE))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    provider = replace(QUICK, first_audio_seconds=0.2)
    await run_rows(tmp_path, jobs(2), dumb_to_one, provider=provider)
    rows = [job("dumb"), *jobs(4)]
    run = await run_rows(tmp_path, rows, dumb_to_one, provider=provider)
    assert run.end.error is None
    assert run.statuses == {"done": 4, "failed": 1}
    assert run.records["dumb"].error_class == "timeout"
    rows = [job("dumb2", f"{TEXT} again dumb"), job("dumb3", f"{TEXT} once more dumb"), *jobs(9)]
    run = await run_rows(tmp_path, rows, dumb_to_one, provider=provider)
    assert isinstance(run.end.error, ServiceUnavailableError)
    assert run.statuses == {"done": 4, "failed": 1}


async def test_a_service_that_closes_without_any_audio_is_mute_too(tmp_path: Path) -> None:
    """It took the text and said goodbye: no other session of the run would fare better."""

    async def closes(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.connection.aclose(1000)

    run = await run_rows(tmp_path, jobs(20), closes)
    assert isinstance(run.end.error, ServiceUnavailableError)
    assert "closed without any audio" in run.end.error.message
    assert len(run.service.streams) == 1


@pytest.mark.parametrize("status", [500, 503])
async def test_a_service_that_is_down_from_the_start_is_no_jobs_fault(
    status: int, tmp_path: Path
) -> None:
    """A gateway with nobody behind it is asked by the first job alone, and then ends the run."""
    run = await run_rows(tmp_path, jobs(20), raw=answers(f"HTTP/1.1 {status} No\r\n\r\n".encode()))
    assert isinstance(run.end.error, ServiceUnavailableError)
    assert len(run.service.streams) == 3
    assert not run.records


@pytest.mark.parametrize("status", [302, 404, 400])
async def test_a_wrong_address_fails_no_job(status: int, tmp_path: Path) -> None:
    """Every row's handshake is the same: the first refusal says it all."""
    raw = answers(f"HTTP/1.1 {status} No\r\nLocation: ws://x/\r\n\r\n".encode())
    run = await run_rows(tmp_path, jobs(20), raw=raw)
    assert isinstance(run.end.error, ServiceUnavailableError)
    assert "--base-url" in run.end.error.hint
    assert len(run.service.streams) == 1
    assert not run.records


async def test_a_damaged_recording_proves_no_key(tmp_path: Path) -> None:
    """The first row's damage lets nobody out before the key is known to be good."""
    source = tmp_path / "in.wav"
    write_recording(source, bytes(800_000))

    async def refuses(peer: Peer) -> None:
        if "speech-to-text" in peer.request.path:
            await trio.sleep_forever()
        await peer.get()
        await peer.send({"type": "error", "errorCode": 40101})

    def damage(_: Checkpoint) -> None:
        source.write_bytes(source.read_bytes()[:500])

    listen = make_recording_job(source)
    run = await run_rows(tmp_path / "o", [listen, *jobs(20)], refuses, prepare=damage)
    assert isinstance(run.end.error, KeyRefusedError)
    assert run.records["t"].error_code == "recording"
    assert not run.records["t"].is_passing
    assert len(run.service.streams) == 2
