"""Failures that pass are tried again, throttling is waited out, the rest is not."""

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from batchjobs.checkpoint import Checkpoint
from batchjobs.jobs import Status
from batchjobs.options import Options
from batchjobs.progress import JobRetried, SessionDone, SessionLaunched, SlowedDown
from tests.builders import make_recording_job, write_recording
from tests.runner.runs import (
    OPTIONS,
    fails_with,
    job,
    jobs,
    obeys,
    query_database,
    run_rows,
    sometimes,
)
from tests.streams import Peer, Service, answers

# Deadlines of a few seconds and a disk in threads: on the machine's own clock it would depend on it.
pytestmark = pytest.mark.usefixtures("standing_clock")


async def test_passing_failures_are_tried_again(tmp_path: Path) -> None:
    """Transient and suspect results get another attempt; every attempt is paid and counted."""
    script: dict[str, list[Any]] = {
        "001": [50001, "silence"],
        "002": ["hang up"],
        "003": ["hang up"] * 3,
    }
    run = await run_rows(tmp_path, jobs(6), sometimes(script))
    assert run.end.error is None
    assert run.statuses == {"done": 5, "failed": 1}
    assert run.records["001"].attempts == 3
    assert run.records["001"].cost == 3 * len(job("001").text)
    failed = run.records["003"]
    assert (failed.error_class, failed.is_passing, failed.attempts) == ("transient", True, 3)
    assert {e.id for e in run.of(JobRetried)} == {"001", "002", "003"}
    assert Counter(name for name, *_ in run.attempts)["003"] == 3
    again = await run_rows(tmp_path, jobs(6))
    assert again.statuses == {"done": 6}
    assert len(again.service.streams) == 1


async def test_a_permanent_failure_is_not_tried_again(tmp_path: Path) -> None:
    """One session, one answer, and none in the next run either."""
    run = await run_rows(tmp_path, jobs(4), sometimes({"002": [40001]}))
    failed = run.records["002"]
    assert (failed.error_class, failed.error_code, failed.is_passing) == (
        "permanent",
        "40001",
        False,
    )
    assert len(run.service.streams) == 4
    again = await run_rows(tmp_path, jobs(4))
    assert not again.service.streams


async def test_a_recogniser_that_fails_twice_in_words_is_not_asked_again(tmp_path: Path) -> None:
    """Free text has no code: worth one more try."""
    source = tmp_path / "in.wav"
    write_recording(source, bytes(8_000))

    async def fails(peer: Peer) -> None:
        await peer.get()
        await peer.send({"event": "transcription_error", "data": "no"})
        await trio.sleep_forever()

    listen = make_recording_job(source)
    run = await run_rows(tmp_path / "o", [listen], fails)
    assert len(run.service.streams) == 2
    assert not run.records["t"].is_passing


@pytest.mark.parametrize("way", ["message", "handshake", "at once"])
async def test_throttling_uses_up_no_attempt(way: str, tmp_path: Path) -> None:
    """Refused for want of room, however often: it goes on, slower, and every row is done."""
    refusals = itertools.count()

    async def throttles(peer: Peer) -> None:
        if next(refusals) in range(1, 20):
            await fails_with(peer, 42901)
            return
        await obeys(peer)

    async def raw(stream: trio.abc.Stream) -> None:
        wait = "0" if way == "at once" else "later"
        if next(refusals) < 8:
            head = f"HTTP/1.1 429 Busy\r\nRetry-After: {wait}\r\n\r\n"
            await answers(head.encode())(stream)
            return
        await service_of[0]._converse(stream, 0, nurseries[0])

    service_of: list[Service] = []
    nurseries: list[trio.Nursery] = []
    async with trio.open_nursery() as nursery:
        nurseries.append(nursery)
        service_of.append(Service(nursery, talk=obeys))
        run = await run_rows(tmp_path, jobs(10), throttles, raw=None if way == "message" else raw)
        nursery.cancel_scope.cancel()
    assert run.end.error is None
    assert run.statuses == {"done": 10}
    assert all(record.attempts == 1 for record in run.records.values())
    assert run.of(SlowedDown)


async def test_one_burst_of_refusals_cuts_once(tmp_path: Path) -> None:
    """Sessions that began before the cut do not cut again."""
    waiting = 0
    all_in = trio.Event()
    burst_over = False

    async def bursts(peer: Peer) -> None:
        nonlocal waiting, burst_over
        if peer.number == 1 or burst_over:
            await obeys(peer)
            return
        waiting += 1
        if waiting == 10:
            all_in.set()
        await all_in.wait()
        burst_over = True
        await fails_with(peer, 42901)

    run = await run_rows(tmp_path, jobs(30), bursts, run_options=replace(OPTIONS, concurrency=10))
    assert run.statuses == {"done": 30}
    assert {event.concurrency for event in run.of(SlowedDown)} == {7}


async def test_retries_fall_due_while_the_feeder_waits_for_room(tmp_path: Path) -> None:
    """With one slot the feeder nearly always waits: everything still gets its turn."""
    script: dict[str, list[Any]] = {f"{n:03}": [50001] for n in range(0, 12, 2)}
    run = await run_rows(
        tmp_path, jobs(12), sometimes(script), run_options=replace(OPTIONS, concurrency=1)
    )
    assert run.statuses == {"done": 12}
    assert len(run.service.streams) == 18
    assert run.service.most_open == 1


async def test_no_file_descriptors_left_is_waited_out(tmp_path: Path) -> None:
    """The machine's own limit slows down and fails no job."""
    left = 5

    async with trio.open_nursery() as nursery:
        service = Service(nursery, talk=obeys)

        async def scarce(host: str, port: int, context: object) -> trio.abc.Stream:
            nonlocal left
            left -= 1
            if left >= 0:
                raise OSError(24, "Too many open files")
            return await service.dial(host, port, context)

        run = await run_rows(tmp_path, jobs(5), dial=scarce)
        nursery.cancel_scope.cancel()
    assert run.statuses == {"done": 5}
    assert all(record.attempts == 1 for record in run.records.values())


async def test_a_job_that_kills_its_processes_is_set_aside(tmp_path: Path) -> None:
    """After as many lost attempts as it has, it fails; asked for again, it runs again."""

    def lose(checkpoint: Checkpoint) -> None:
        query = "INSERT INTO attempts (key, job, provider, started_at) VALUES (?, ?, ?, 1.0)"
        row = next(checkpoint.rows.stream_to_do(("new",)))
        query_database(checkpoint, query, *[(row.key, row.id, row.provider)] * 3)

    run = await run_rows(tmp_path, jobs(2), prepare=lose)
    assert run.records["000"].error_class == "crashed"
    assert run.records["001"].status is Status.DONE
    assert len(run.service.streams) == 1
    kept = await run_rows(tmp_path, jobs(2))
    assert not kept.service.streams
    retry = Options(retry_failed=True)
    again = await run_rows(tmp_path, jobs(2), plan_options=retry)
    assert again.statuses == {"done": 2}


async def test_each_session_is_told_of_twice_where_that_is_asked_for(tmp_path: Path) -> None:
    """Launched and done, by the ledger's number, failed ones too; nobody else hears of them."""
    script: dict[str, list[Any]] = {"001": [50001, "silence"], "002": [40001]}
    options = replace(OPTIONS, tell_sessions=True)
    run = await run_rows(tmp_path / "told", jobs(4), sometimes(script), run_options=options)
    launched, done = run.of(SessionLaunched), run.of(SessionDone)
    assert len(launched) == len(run.attempts) == 6
    assert {(e.number, e.id) for e in launched} == {(e.number, e.id) for e in done}
    by_number = sorted((e.number, e.id, e.result, e.code, e.characters) for e in done)
    told = [(name, result, code, sent) for _, name, result, code, sent in by_number]
    ends = [(n, "kept" if r == "suspect" else r, c, sent) for n, r, c, sent in run.attempts]
    assert told == ends
    assert all(1 <= e.sessions_open <= 4 for e in launched)
    for event in done:
        after = run.events.index(event)
        assert [e.number for e in run.events[:after] if isinstance(e, SessionLaunched)].count(
            event.number
        ) == 1
    quiet = await run_rows(tmp_path / "quiet", jobs(2))
    assert not quiet.of(SessionLaunched) + quiet.of(SessionDone)
