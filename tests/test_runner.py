"""The runner against a scripted service: who goes when, what comes of it, and how it stops."""

import itertools
import os
import random
import signal
import sqlite3
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import soundfile
import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from batchjobs.checkpoint import FILE_NAME, Checkpoint, JobRecord, Row
from batchjobs.errors import (
    BatchjobsError,
    ConfigurationError,
    DiskError,
    InternalError,
    KeyRefusedError,
    OutputError,
    ServiceUnavailableError,
)
from batchjobs.jobs import BadRow, Job, Kind, SpeechSettings, Status
from batchjobs.limits import RetryPolicy
from batchjobs.outputs.writing import SEGMENTS_FOLDER, file_changes
from batchjobs.planning import PlanSettings, is_intact, make_plan
from batchjobs.progress import Event, JobFinished, JobRetried, RunStopping, SlowedDown
from batchjobs.providers import BUILT_IN, Provider
from batchjobs.runner import RunEnd, Runner, RunSettings
from batchjobs.session import Link
from tests import tally
from tests.canary import KEY
from tests.clocks import standing
from tests.streams import Peer, Raw, Service, Talk, answers, audio, tone

# Deadlines of a few seconds and a disk in threads: on the machine's own clock it would depend on it.
pytestmark = pytest.mark.usefixtures("standing_clock")

RATE = 8_000
SPEECH = SpeechSettings(voice_id="v", model_id="m", output_format="pcm_8000")
QUICK = replace(
    BUILT_IN["munsit"],
    name="quick",
    close_drains=True,
    transcript_per_chunk=True,
    pace=0.0,
    connect_seconds=5.0,
    ready_seconds=5.0,
    first_audio_seconds=5.0,
    drain_seconds=5.0,
    tts_price_per_million_characters=1_000_000.0,
)
RETRIES = RetryPolicy(attempts=3, base_seconds=0.02, limit_seconds=0.04, throttle_seconds=0.01)
SETTINGS = RunSettings(concurrency=4, retries=RETRIES, handles_signals=False, grace_seconds=5.0)
TEXT = "مَرْحَبًا بكم في البرنامج"


def job(name: str, text: str = TEXT, *, provider: str = "quick", **others: Any) -> Job:
    """Make a row that is to be spoken."""
    return Job(
        id=name,
        line=1,
        kind=Kind.TTS,
        provider=provider,
        text=f"{text} {name}" if text is TEXT else text,
        speech=SPEECH,
        **others,
    )


def jobs(count: int) -> list[Job]:
    """Make different rows."""
    return [job(f"{number:03}") for number in range(count)]


def speech_for(text: str) -> bytes:
    """Speak a text at an ordinary pace."""
    return tone(len(text) / 12, RATE)


async def answer(peer: Peer) -> str:
    """Take a text and send its audio."""
    await peer.begin()
    text = await peer.text()
    await peer.send(audio(speech_for(text), RATE))
    return text


async def obeys(peer: Peer) -> None:
    """Behave as a service should, for speech."""
    await answer(peer)
    await peer.until_asked_to_close()
    await peer.connection.aclose(1000)


async def fails_with(peer: Peer, code: int | str) -> None:
    """Take the text and answer with an error."""
    await peer.begin()
    await peer.text()
    await peer.send({"type": "error", "errorCode": code, "errorMessage": "لا"})
    await peer.connection.aclose(1000)


@dataclass
class Ran:
    """What came of a run."""

    end: RunEnd
    events: list[Event]
    service: Service
    records: dict[str, JobRecord]
    attempts: list[tuple[str, str, str, int]]
    open_attempts: int
    rows: int

    def of(self, kind: type[Event]) -> list[Any]:
        """Give the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def statuses(self) -> Counter[str]:
        """Count the rows by status."""
        return Counter(str(record.status) for record in self.records.values())


def asked(checkpoint: Checkpoint, query: str, *rows: Sequence[object]) -> list[Any]:
    """Look into, or change, the checkpoint's file by a connection of our own."""
    with closing(sqlite3.connect(checkpoint.folder / FILE_NAME)) as database, database:
        if rows:
            return [database.execute(query, row) for row in rows]
        return database.execute(query).fetchall()


def attempts_of(checkpoint: Checkpoint) -> list[tuple[str, str, str, int]]:
    """Read the ledger: job, result, code, characters."""
    query = "SELECT job, result, code, characters FROM attempts ORDER BY number"
    return asked(checkpoint, query)


async def ran(
    folder: Path,
    rows: Sequence[Job | BadRow],
    talk: Talk | None = obeys,
    *,
    raw: Raw | None = None,
    dial: Any = None,
    provider: Provider = QUICK,
    others: dict[str, tuple[Provider, Talk]] | None = None,
    run_settings: RunSettings = SETTINGS,
    observe: Callable[[Event], None] | None = None,
    opener: type[Checkpoint] = Checkpoint,
    plan_settings: PlanSettings | None = None,
    during: Callable[[Runner], Any] | None = None,
    prepare: Callable[[Checkpoint], None] | None = None,
    patience: float = 30.0,
) -> Ran:
    """Plan rows, run them against a scripted service, and see that the books are in order."""
    events: list[Event] = []

    def told(event: Event) -> None:
        events.append(event)
        if observe is not None:
            observe(event)

    providers = {provider.name: provider} | {n: p for n, (p, _) in (others or {}).items()}
    plan_settings = plan_settings or PlanSettings(name="t.csv", skip_bad_rows=True)
    with opener.open(folder) as checkpoint:
        make_plan(rows, checkpoint=checkpoint, providers=providers, settings=plan_settings)
        checkpoint.adopt_staged({})
        if prepare is not None:
            prepare(checkpoint)
        with trio.fail_after(patience):
            async with trio.open_nursery() as nursery:
                service = Service(nursery, talk=None if raw else talk, raw=raw)
                dial = dial or service.dial
                links = {
                    provider.name: Link(provider, base_url="ws://127.0.0.1:9", key=KEY, dial=dial)
                }
                for name, (other, other_talk) in (others or {}).items():
                    place = Service(nursery, talk=other_talk)
                    links[name] = Link(other, base_url="ws://127.0.0.1:9", key=KEY, dial=place.dial)
                runner = Runner(
                    checkpoint,
                    links=links,
                    settings=run_settings,
                    observe=told,
                    random_source=random.Random(7),
                )
                if during is not None:
                    nursery.start_soon(during, runner)
                end = await runner.run()
                nursery.cancel_scope.cancel()
        assert all(stream.is_closed for stream in service.streams)
        records = {row.id: record for row, record in checkpoint.outcomes() if record is not None}
        total = checkpoint.totals()
        done = [record for record in records.values() if record.status is not Status.FAILED]
        broken = [record.id for record in done if not is_intact(folder, record)]
        answered = total.done + total.suspect + total.failed + total.not_run
        tally.count(runs=1, lost=total.rows - answered, corrupt=len(broken))
        assert not broken
        assert not [change for record in done for change in file_changes(folder, record.files)]
        assert answered == total.rows
        assert total.done + total.suspect + total.failed == len(records)
        query = "SELECT count(*) FROM attempts WHERE ended_at IS NULL"
        ((still_open,),) = asked(checkpoint, query)
        told_done = {e.record.id for e in events if isinstance(e, JobFinished)}
        assert told_done <= set(records)
        return Ran(end, events, service, records, attempts_of(checkpoint), still_open, total.rows)


# -- what goes well ----------------------------------------------------------------------------


async def test_every_row_is_spoken_once(tmp_path: Path) -> None:
    """Twenty rows, twenty sessions, twenty files; and a second run has nothing to do."""
    run = await ran(tmp_path, jobs(20))
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
    again = await ran(tmp_path, jobs(20))
    assert not again.service.streams
    assert again.statuses == {"done": 20}


async def test_both_kinds_run_in_one_manifest(tmp_path: Path) -> None:
    """A recording becomes a transcript, by the same workers."""
    source = tmp_path / "in.wav"
    soundfile.write(source, np.zeros(40_000, dtype=np.int16), 16_000)

    async def either(peer: Peer) -> None:
        if "speech-to-text" not in peer.request.path:
            await obeys(peer)
            return
        while True:
            await peer.get()
            await peer.send({"event": "transcription", "data": "" if silent else TEXT})

    silent = False
    listen = Job(id="t", line=2, kind=Kind.STT, provider="quick", audio=str(source))
    run = await ran(tmp_path / "a", [job("s"), listen], either)
    assert run.statuses == {"done": 2}
    assert (tmp_path / "a" / run.records["t"].output).read_text(encoding="utf-8") == TEXT
    assert run.records["t"].error_class == ""
    silent = True
    run = await ran(tmp_path / "b", [listen], either)
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
        await peer.send(audio(speech_for(text), RATE))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    run = await ran(
        tmp_path, jobs(30), waits_for_company, run_settings=replace(SETTINGS, concurrency=5)
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
            await peer.send(audio(speech_for(text), RATE))
            await peer.until_asked_to_close()
            await peer.connection.aclose(1000)

        return talk

    other = replace(QUICK, name="other")
    rows = [job(f"{n}{p}", provider=p) for n in range(6) for p in ("quick", "other")]
    run = await ran(
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
    run = await ran(
        tmp_path, jobs(6), timed, run_settings=replace(SETTINGS, starts_per_second=50.0)
    )
    assert run.statuses == {"done": 6}
    assert times[-1] - began >= 5 / 50


class Slow(Checkpoint):
    """A checkpoint on a slow disk that counts the jobs it has made durable."""

    durable = 0

    def commit(self, **content: Sequence[Any]) -> list[int]:  # type: ignore[override]
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

    run = await ran(tmp_path, jobs(30), counted, opener=Slow)
    assert run.statuses == {"done": 30}
    assert max(ahead) <= 4


# -- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["handshake", "message", "endless handshake"])
async def test_a_wrong_key_costs_one_connection(way: str, tmp_path: Path) -> None:
    """The run stops with the key's own error and nothing is recorded as failed."""

    async def refuses(peer: Peer) -> None:
        await peer.get()
        await peer.send({"type": "error", "errorCode": 40101, "errorMessage": "bad key"})
        await peer.connection.aclose(1008)

    length = "Content-Length: 0" if way == "handshake" else "Connection: close"
    raw = answers(f"HTTP/1.1 401 Unauthorized\r\n{length}\r\n\r\n".encode())
    run = await ran(tmp_path, jobs(20), refuses, raw=None if way == "message" else raw)
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

    run = await ran(tmp_path, jobs(40), runs_dry)
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

    run = await ran(tmp_path, jobs(50), dial=refused)
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
    run = await ran(tmp_path, jobs(20), mute, provider=provider)
    assert isinstance(run.end.error, ServiceUnavailableError)
    assert "no audio came" in run.end.error.message
    assert "batchjobs probe quick" in run.end.error.hint
    assert len(run.service.streams) == 1
    assert not run.records
    assert "'000'" in run.end.error.message
    # Of dots alone no service makes a sound: that says nothing of the service.
    run = await ran(tmp_path / "dots", [job("dots", "... !؟")], mute, provider=provider)
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
        await peer.send(audio(speech_for(text), RATE))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    provider = replace(QUICK, first_audio_seconds=0.2)
    await ran(tmp_path, jobs(2), dumb_to_one, provider=provider)
    rows = [job("dumb"), *jobs(4)]
    run = await ran(tmp_path, rows, dumb_to_one, provider=provider)
    assert run.end.error is None
    assert run.statuses == {"done": 4, "failed": 1}
    assert run.records["dumb"].error_class == "timeout"
    rows = [job("dumb2", f"{TEXT} again dumb"), job("dumb3", f"{TEXT} once more dumb"), *jobs(9)]
    run = await ran(tmp_path, rows, dumb_to_one, provider=provider)
    assert isinstance(run.end.error, ServiceUnavailableError)
    assert run.statuses == {"done": 4, "failed": 1}


async def test_a_service_that_closes_without_any_audio_is_mute_too(tmp_path: Path) -> None:
    """It took the text and said goodbye: no other session of the run would fare better."""

    async def closes(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.connection.aclose(1000)

    run = await ran(tmp_path, jobs(20), closes)
    assert isinstance(run.end.error, ServiceUnavailableError)
    assert "closed without any audio" in run.end.error.message
    assert len(run.service.streams) == 1


@pytest.mark.parametrize("status", [500, 503])
async def test_a_service_that_is_down_from_the_start_is_no_jobs_fault(
    status: int, tmp_path: Path
) -> None:
    """A gateway with nobody behind it is asked by the first job alone, and then ends the run."""
    run = await ran(tmp_path, jobs(20), raw=answers(f"HTTP/1.1 {status} No\r\n\r\n".encode()))
    assert isinstance(run.end.error, ServiceUnavailableError)
    assert len(run.service.streams) == 3
    assert not run.records


@pytest.mark.parametrize("status", [302, 404, 400])
async def test_a_wrong_address_fails_no_job(status: int, tmp_path: Path) -> None:
    """Every row's handshake is the same: the first refusal says it all."""
    raw = answers(f"HTTP/1.1 {status} No\r\nLocation: ws://x/\r\n\r\n".encode())
    run = await ran(tmp_path, jobs(20), raw=raw)
    assert isinstance(run.end.error, ServiceUnavailableError)
    assert "--base-url" in str(run.end.error)
    assert len(run.service.streams) == 1
    assert not run.records


async def test_a_damaged_recording_proves_no_key(tmp_path: Path) -> None:
    """The first row's damage lets nobody out before the key is known to be good."""
    source = tmp_path / "in.wav"
    soundfile.write(source, np.zeros(400_000, dtype=np.int16), 16_000)

    async def refuses(peer: Peer) -> None:
        if "speech-to-text" in peer.request.path:
            await trio.sleep_forever()
        await peer.get()
        await peer.send({"type": "error", "errorCode": 40101})

    def damage(_: Checkpoint) -> None:
        source.write_bytes(source.read_bytes()[:500])

    listen = Job(id="t", line=2, kind=Kind.STT, provider="quick", audio=str(source))
    run = await ran(tmp_path / "o", [listen, *jobs(20)], refuses, prepare=damage)
    assert isinstance(run.end.error, KeyRefusedError)
    assert run.records["t"].error_code == "recording"
    assert not run.records["t"].is_passing
    assert len(run.service.streams) == 2


# -- retries -----------------------------------------------------------------------------------


def sometimes(script: dict[str, list[Any]]) -> Talk:
    """Make a service that goes through a list of error codes for a text before it obeys."""

    async def talk(peer: Peer) -> None:
        await peer.begin()
        text = await peer.text()
        steps = script.get(text.rsplit(" ", 1)[-1], [])
        step = steps.pop(0) if steps else None
        if step == "hang up":
            return
        if step == "silence":
            await peer.send(audio(bytes(len(speech_for(text))), RATE))
        elif step is not None:
            await peer.send({"type": "error", "errorCode": step})
            return
        else:
            await peer.send(audio(speech_for(text), RATE))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    return talk


async def test_passing_failures_are_tried_again(tmp_path: Path) -> None:
    """Transient and suspect results get another attempt; every attempt is paid and counted."""
    script = {"001": [50001, "silence"], "002": ["hang up"], "003": ["hang up"] * 3}
    run = await ran(tmp_path, jobs(6), sometimes(script))
    assert run.end.error is None
    assert run.statuses == {"done": 5, "failed": 1}
    assert run.records["001"].attempts == 3
    assert run.records["001"].cost == 3 * len(job("001").text)
    failed = run.records["003"]
    assert (failed.error_class, failed.is_passing, failed.attempts) == ("transient", True, 3)
    assert {e.id for e in run.of(JobRetried)} == {"001", "002", "003"}
    assert Counter(name for name, *_ in run.attempts)["003"] == 3
    again = await ran(tmp_path, jobs(6))
    assert again.statuses == {"done": 6}
    assert len(again.service.streams) == 1


async def test_a_permanent_failure_is_not_tried_again(tmp_path: Path) -> None:
    """One session, one answer, and none in the next run either."""
    run = await ran(tmp_path, jobs(4), sometimes({"002": [40001]}))
    failed = run.records["002"]
    assert (failed.error_class, failed.error_code, failed.is_passing) == (
        "permanent",
        "40001",
        False,
    )
    assert len(run.service.streams) == 4
    again = await ran(tmp_path, jobs(4))
    assert not again.service.streams


async def test_a_recogniser_that_fails_twice_in_words_is_not_asked_again(tmp_path: Path) -> None:
    """Free text has no code: worth one more try."""
    source = tmp_path / "in.wav"
    soundfile.write(source, np.zeros(4_000, dtype=np.int16), 16_000)

    async def fails(peer: Peer) -> None:
        await peer.get()
        await peer.send({"event": "transcription_error", "data": "no"})
        await trio.sleep_forever()

    listen = Job(id="t", line=2, kind=Kind.STT, provider="quick", audio=str(source))
    run = await ran(tmp_path / "o", [listen], fails)
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
        await service_of[0]._converse(stream, 0, nurseries[0])  # type: ignore[arg-type]

    service_of: list[Service] = []
    nurseries: list[trio.Nursery] = []
    async with trio.open_nursery() as nursery:
        nurseries.append(nursery)
        service_of.append(Service(nursery, talk=obeys))
        run = await ran(tmp_path, jobs(10), throttles, raw=None if way == "message" else raw)
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

    run = await ran(tmp_path, jobs(30), bursts, run_settings=replace(SETTINGS, concurrency=10))
    assert run.statuses == {"done": 30}
    assert {event.concurrency for event in run.of(SlowedDown)} == {7}


async def test_retries_fall_due_while_the_feeder_waits_for_room(tmp_path: Path) -> None:
    """With one slot the feeder nearly always waits: everything still gets its turn."""
    script: dict[str, list[Any]] = {f"{n:03}": [50001] for n in range(0, 12, 2)}
    run = await ran(
        tmp_path, jobs(12), sometimes(script), run_settings=replace(SETTINGS, concurrency=1)
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

        run = await ran(tmp_path, jobs(5), dial=scarce)
        nursery.cancel_scope.cancel()
    assert run.statuses == {"done": 5}
    assert all(record.attempts == 1 for record in run.records.values())


async def test_a_job_that_kills_its_processes_is_set_aside(tmp_path: Path) -> None:
    """After as many lost attempts as it has, it fails; asked for again, it runs again."""

    def lose(checkpoint: Checkpoint) -> None:
        query = "INSERT INTO attempts (key, job, provider, started_at) VALUES (?, ?, ?, 1.0)"
        row = next(checkpoint.rows_to_do(("new",)))
        asked(checkpoint, query, *[(row.key, row.id, row.provider)] * 3)

    run = await ran(tmp_path, jobs(2), prepare=lose)
    assert run.records["000"].error_class == "crashed"
    assert run.records["001"].status is Status.DONE
    assert len(run.service.streams) == 1
    kept = await ran(tmp_path, jobs(2))
    assert not kept.service.streams
    retry = PlanSettings(name="t.csv", retry_failed=True)
    again = await ran(tmp_path, jobs(2), plan_settings=retry)
    assert again.statuses == {"done": 2}


# -- copies and bad rows -----------------------------------------------------------------------


async def test_equal_rows_are_bought_once(tmp_path: Path) -> None:
    """The first is bought, the others are copies: no session, no slot, no rate."""
    rows = [job("a", "same words here"), *[job(f"b{n}", "same words here") for n in range(20)]]
    began = trio.current_time()
    slow = replace(SETTINGS, starts_per_second=2.0)
    run = await ran(tmp_path, rows, run_settings=slow)
    assert run.statuses == {"done": 21}
    assert len(run.service.streams) == 1
    assert run.records["b7"].copied_from == "a"
    assert run.records["b7"].cost == 0.0
    assert trio.current_time() - began < 5


async def test_followers_fail_as_their_leader_did(tmp_path: Path) -> None:
    """What was refused for one is refused for its equals, without asking again."""

    async def refuses(peer: Peer) -> None:
        await fails_with(peer, 40001)

    rows = [job("a", "same words here"), job("b", "same words here")]
    run = await ran(tmp_path, rows, refuses)
    assert run.statuses == {"failed": 2}
    assert len(run.service.streams) == 1
    assert run.records["b"].error_code == "40001"
    assert "'a'" in run.records["b"].error_message


async def test_a_copy_whose_original_is_damaged_is_bought(tmp_path: Path) -> None:
    """A name that changed is copied; if the file is not what it was, it is made anew."""
    await ran(tmp_path, [job("a", "same words here"), job("z")])
    renamed = [job("b", "same words here"), job("y")]
    run = await ran(tmp_path, [job("c", "same words here")])
    assert not run.service.streams
    for name in ("a", "c"):
        path = tmp_path / f"audio/{name}.wav"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    again = await ran(tmp_path, renamed)
    assert again.statuses == {"done": 2}
    assert len(again.service.streams) == 2


async def test_a_follower_that_cannot_copy_is_bought(tmp_path: Path) -> None:
    """No loss-free way leads from OGG to MP3; an old failure of its own is no reason."""
    first = job("a", "same words here", output="a.ogg")
    second = job("b", "same words here", output="b.mp3")

    async def hangs_up(peer: Peer) -> None:
        await peer.begin()

    run = await ran(tmp_path, [first, second], hangs_up)
    assert run.statuses == {"failed": 2}
    run = await ran(tmp_path, [first, second])
    assert run.statuses == {"done": 2}
    assert len(run.service.streams) == 2


async def test_a_follower_whose_leader_left_nothing_is_bought(tmp_path: Path) -> None:
    """With neither a result nor a failure to go by, it asks for itself."""

    def drop(checkpoint: Checkpoint) -> None:
        asked(checkpoint, "DELETE FROM rows WHERE id = ?", ("a",))

    rows = [job("a", "same words here"), job("b", "same words here")]
    run = await ran(tmp_path, rows, prepare=drop)
    assert run.statuses == {"done": 1}
    assert len(run.service.streams) == 1


async def test_bad_rows_are_recorded(tmp_path: Path) -> None:
    """They have their answer too, with the place and what to do."""
    bad = BadRow(line=7, column="text", message="is blank", hint="write something", id="bad")
    run = await ran(tmp_path, [job("a"), bad])
    assert run.statuses == {"done": 1, "failed": 1}
    record = run.records["bad"]
    assert record.error_class == "bad_row"
    assert "7" in record.error_message
    assert "is blank" in record.error_message


async def test_a_row_without_a_way_to_its_provider_asks_for_the_key(tmp_path: Path) -> None:
    """What was to be copied and must be bought after all needs a key: the run stops with 78."""
    with Checkpoint.open(tmp_path) as checkpoint:
        providers = {"quick": QUICK}
        plan_settings = PlanSettings(name="t.csv")
        make_plan(jobs(3), checkpoint=checkpoint, providers=providers, settings=plan_settings)
        checkpoint.adopt_staged({})
        runner = Runner(checkpoint, links={}, settings=SETTINGS, observe=lambda _: None)
        end = await runner.run()
    assert isinstance(end.error, ConfigurationError)


# -- stopping ----------------------------------------------------------------------------------


class Count:
    """A number that others can wait for."""

    def __init__(self) -> None:
        self.value = 0
        self._changed = trio.Event()

    def up(self) -> int:
        """Add one."""
        self.value += 1
        self._changed.set()
        self._changed = trio.Event()
        return self.value

    async def reaches(self, value: int) -> None:
        """Wait until it is as high."""
        while self.value < value:
            await self._changed.wait()


async def strike(numbers: Sequence[int]) -> None:
    """Send signals to this process, each once the one before has been heard."""
    for number in numbers:
        signal.raise_signal(number)
        await trio.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_the_first_signal_lets_open_sessions_finish(number: int, tmp_path: Path) -> None:
    """No new ones start; those that are open are brought home."""
    opened = Count()
    asked = trio.Event()

    async def patient(peer: Peer) -> None:
        opened.up()
        if opened.value > 1:
            await asked.wait()
        await obeys(peer)

    def listen(event: Event) -> None:
        if isinstance(event, RunStopping):
            asked.set()

    async def strikes(_: Runner) -> None:
        await opened.reaches(5)
        await strike([number])

    run = await ran(
        tmp_path,
        jobs(40),
        patient,
        run_settings=replace(SETTINGS, handles_signals=True),
        during=strikes,
        observe=listen,
    )
    assert run.end == RunEnd(signal_number=number)
    assert run.statuses == {"done": 5}
    assert len(run.service.streams) == 5
    assert run.open_attempts == 0


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGINT]])
async def test_after_the_grace_or_a_second_signal_sessions_are_cut(
    signals: list[int], tmp_path: Path
) -> None:
    """They are recorded as cancelled with what was sent, and count as no failure."""
    opened = Count()

    async def stuck(peer: Peer) -> None:
        await peer.begin()
        text = await peer.text()
        opened.up()
        if opened.value == 1:
            await peer.send(audio(speech_for(text), RATE))
            await peer.until_asked_to_close()
            return
        await trio.sleep_forever()

    async def strikes(_: Runner) -> None:
        await opened.reaches(5)
        await strike(signals)

    grace = 0.05 if len(signals) == 1 else 60.0
    began = trio.current_time()
    run = await ran(
        tmp_path,
        jobs(20),
        sometimes_first(stuck),
        run_settings=replace(SETTINGS, handles_signals=True, grace_seconds=grace),
        during=strikes,
    )
    assert trio.current_time() - began < 10
    assert run.end == RunEnd(signal_number=signals[0])
    assert run.statuses == {"done": 1}
    assert run.open_attempts == 0
    cut = [entry for entry in run.attempts if entry[1] == "cancelled"]
    assert len(cut) == 4
    assert all(characters == len(job("000").text) for *_, characters in cut)
    again = await ran(tmp_path, jobs(20))
    assert again.statuses == {"done": 20}


def sometimes_first(stuck: Talk) -> Talk:
    """Make the first session obey, the others do as given."""

    async def talk(peer: Peer) -> None:
        await (obeys_and_counts(peer, stuck) if peer.number == 1 else stuck(peer))

    async def obeys_and_counts(peer: Peer, other: Talk) -> None:
        with trio.move_on_after(5):
            await other(peer)
        await peer.connection.aclose(1000)

    return talk


class Struck(Checkpoint):
    """A checkpoint that is struck by more signals while it closes what was cut off."""

    strikes = 0

    def commit(self, **content: Sequence[Any]) -> list[int]:  # type: ignore[override]
        """Be struck, and commit."""
        if any(end.result == "cancelled" for end in content.get("ends", ())):
            for number in (signal.SIGHUP, signal.SIGINT):
                os.kill(os.getpid(), number)
            type(self).strikes += 1
        return super().commit(**content)


async def test_a_third_signal_strikes_no_commit(tmp_path: Path) -> None:
    """An impatient user loses nothing that was brought home."""
    opened = Count()
    Struck.strikes = 0

    async def stuck(peer: Peer) -> None:
        opened.up()
        await trio.sleep_forever()

    async def strikes(_: Runner) -> None:
        await opened.reaches(1)
        await strike([signal.SIGINT, signal.SIGTERM])

    run = await ran(
        tmp_path,
        jobs(3),
        stuck,
        opener=Struck,
        run_settings=replace(SETTINGS, handles_signals=True, grace_seconds=60.0),
        during=strikes,
    )
    assert Struck.strikes
    assert run.end.signal_number == signal.SIGINT
    assert run.open_attempts == 0


async def test_cancelled_from_outside_the_books_are_closed(tmp_path: Path) -> None:
    """Somebody else's cancel scope ends a run as cleanly as a signal; nothing counts as lost."""
    opened = Count()

    async def stuck(peer: Peer) -> None:
        if peer.number == 1:
            await obeys(peer)
        await peer.begin()
        await peer.text()  # sent once the attempt is on the disk, and the first one's result is
        opened.up()
        await trio.sleep_forever()

    with Checkpoint.open(tmp_path) as checkpoint:
        plan_settings = PlanSettings(name="t.csv")
        make_plan(
            jobs(9), checkpoint=checkpoint, providers={"quick": QUICK}, settings=plan_settings
        )
        checkpoint.adopt_staged({})
        async with trio.open_nursery() as nursery:
            service = Service(nursery, talk=stuck)
            link = Link(QUICK, base_url="ws://127.0.0.1:9", key=KEY, dial=service.dial)
            runner = Runner(
                checkpoint, links={"quick": link}, settings=SETTINGS, observe=lambda _: None
            )
            with trio.CancelScope() as scope:

                async def stop() -> None:
                    await opened.reaches(4)
                    scope.cancel()

                nursery.start_soon(stop)
                with trio.fail_after(10):
                    await runner.run()
            assert scope.cancelled_caught
            nursery.cancel_scope.cancel()
        results = Counter(result for _, result, _, _ in attempts_of(checkpoint))
        assert results == {"done": 1, "cancelled": 4}
        assert checkpoint.recover(1.0) == {}


async def test_a_target_that_cannot_be_replaced_stops_the_run(tmp_path: Path) -> None:
    """What the disk refuses is told as an error, and never as done."""

    def block(event: Event) -> None:
        if isinstance(event, JobFinished) and event.record.id == "000":
            (tmp_path / "audio/003.wav").mkdir()

    run = await ran(tmp_path, jobs(30), observe=block)
    assert isinstance(run.end.error, OutputError)
    assert "003" not in run.records
    assert len(run.service.streams) < 20
    assert len(run.of(RunStopping)) == 1


class Grouped(Checkpoint):
    """A checkpoint on a slow disk that counts the commits that close what was cut off."""

    closing: ClassVar[Counter[str]] = Counter()

    def commit(self, **content: Sequence[Any]) -> list[int]:  # type: ignore[override]
        """Commit, late."""
        cut = sum(end.result == "cancelled" for end in content.get("ends", ()))
        self.closing.update(commits=bool(cut), attempts=cut)
        threading.Event().wait(0.05)
        return super().commit(**content)


async def test_what_was_cut_off_is_written_down_at_once(tmp_path: Path) -> None:
    """Whoever presses Ctrl-C twice does not wait for a commit a session."""
    opened = Count()

    async def stuck(peer: Peer) -> None:
        opened.up()
        if opened.value == 1:
            await obeys(peer)
        await peer.begin()
        await trio.sleep_forever()

    async def stop(runner: Runner) -> None:
        await opened.reaches(30)
        await trio.sleep(0.1)
        runner._work_scope.cancel()

    Grouped.closing.clear()
    wide = replace(SETTINGS, concurrency=40)
    await ran(tmp_path, jobs(60), stuck, opener=Grouped, run_settings=wide, during=stop)
    assert Grouped.closing["attempts"] >= 29
    assert Grouped.closing["commits"] <= 3


class Failing(Checkpoint):
    """A checkpoint whose disk fails after some commits."""

    error: Exception = DiskError("the disk is gone")
    commits_left = 12

    def commit(self, **content: Sequence[Any]) -> list[int]:  # type: ignore[override]
        """Commit, or fail."""
        type(self).commits_left -= 1
        if type(self).commits_left < 0:
            raise type(self).error
        return super().commit(**content)


@pytest.mark.parametrize(
    ("error", "told"), [(DiskError("gone"), DiskError), (ZeroDivisionError(), InternalError)]
)
@pytest.mark.parametrize("commits", [0, 1, 2, 5, 9])
async def test_a_failed_commit_stops_the_run(
    commits: int, error: Exception, told: type[BatchjobsError], tmp_path: Path
) -> None:
    """Wherever it strikes: the run returns with the error, and tells nothing as done after it."""
    Failing.commits_left, Failing.error = commits, error
    run = await ran(tmp_path, jobs(30), opener=Failing)
    assert type(run.end.error) is told
    assert set(run.records) == {e.record.id for e in run.of(JobFinished)}
    again = await ran(tmp_path, jobs(30))
    assert again.statuses == {"done": 30}


class ReadOnly(Checkpoint):
    """A checkpoint that cannot be written."""

    def recover(self, now: float) -> dict[str, int]:
        """Fail."""
        raise OutputError("it is read-only")


async def test_a_checkpoint_that_cannot_be_written_is_told_before_anything_is_spent(
    tmp_path: Path,
) -> None:
    """A read-only checkpoint ends the run with no connection."""
    run = await ran(tmp_path, jobs(3), opener=ReadOnly)
    assert isinstance(run.end.error, OutputError)
    assert not run.service.streams


class Unreadable(Checkpoint):
    """A checkpoint whose rows cannot be read beyond the first page."""

    def rows_to_do(self, actions: Any) -> Any:
        """Give rows, then fail."""
        rows: list[Row] = list(itertools.islice(super().rows_to_do(actions), 200))
        yield from rows
        if rows:
            raise DiskError("the disk is gone")


async def test_rows_that_cannot_be_read_stop_the_run_and_what_is_open_finishes(
    tmp_path: Path,
) -> None:
    """The feeder's disk error is the run's end, not its crash."""
    run = await ran(tmp_path, jobs(205), opener=Unreadable)
    assert type(run.end.error) is DiskError
    assert run.statuses["done"] >= 195
    assert run.open_attempts == 0


# -- mistakes of ours --------------------------------------------------------------------------


class Clumsy:
    """A `dial` that raises something unforeseen for some connections."""

    def __init__(self, service: Service, strikes: Callable[[int], Exception | None]) -> None:
        self.service = service
        self.strikes = strikes
        self.calls = 0

    async def __call__(self, host: str, port: int, context: object) -> trio.abc.Stream:
        """Connect or raise."""
        self.calls += 1
        error = self.strikes(self.calls)
        if error is not None:
            raise error
        return await self.service.dial(host, port, context)


@pytest.mark.parametrize("error", [ZeroDivisionError("ours"), InternalError("ours")])
async def test_a_surprise_fails_one_job(
    error: Exception, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its record names the mistake, the log has the traceback, the others go on."""
    async with trio.open_nursery() as nursery:
        service = Service(nursery, talk=obeys)
        clumsy = Clumsy(service, lambda call: error if call == 3 else None)
        run = await ran(tmp_path, jobs(10), dial=clumsy)
        nursery.cancel_scope.cancel()
    assert run.end.error is None
    assert run.statuses == {"done": 9, "failed": 1}
    (failed,) = [r for r in run.records.values() if r.status is Status.FAILED]
    assert failed.error_class == "internal"
    assert failed.error_message == f"{type(error).__name__}: ours"
    assert "Traceback" in caplog.text
    assert [r for _, r, _, _ in run.attempts].count("internal") == 1
    assert run.open_attempts == 0


async def test_five_surprises_alike_stop_the_run(tmp_path: Path) -> None:
    """Exit 70, before a manifest is burnt; different ones do not add up."""
    async with trio.open_nursery() as nursery:
        service = Service(nursery, talk=obeys)
        clumsy = Clumsy(service, lambda call: ZeroDivisionError() if call > 4 else None)
        run = await ran(tmp_path / "alike", jobs(40), dial=clumsy)
        assert isinstance(run.end.error, InternalError)
        # Each of the four that work may end between two of the others, and begin the count anew.
        assert run.statuses["failed"] in range(5, 5 * 5 + 5)
        kinds = [ZeroDivisionError, ValueError]
        mixed = Clumsy(service, lambda call: kinds[call % 2]() if call > 4 else None)
        one = replace(SETTINGS, concurrency=1)
        run = await ran(tmp_path / "mixed", jobs(40), dial=mixed, run_settings=one)
        assert run.end.error is None
        assert run.statuses == {"done": 4, "failed": 36}
        nursery.cancel_scope.cancel()


async def test_a_surprise_that_cannot_be_written_down_stops_the_run(tmp_path: Path) -> None:
    """The disk's error is the greater one."""
    Failing.commits_left, Failing.error = 1, DiskError("gone")

    async def clumsy(host: str, port: int, context: object) -> trio.abc.Stream:
        raise ZeroDivisionError

    run = await ran(tmp_path, jobs(3), dial=clumsy, opener=Failing)
    assert type(run.end.error) is DiskError
    assert not run.records


async def test_a_surprise_while_a_result_is_written_closes_the_attempt(tmp_path: Path) -> None:
    """What was sent is in the ledger, once."""
    broken = [job("a", output="a.xyz")]
    run = await ran(tmp_path, [*broken, job("b")])
    assert run.open_attempts == 0
    assert run.rows == 2
    if run.end.error is None:
        assert run.records["a"].status is Status.FAILED
        assert run.records["a"].cost == len(job("a").text)


async def test_an_observer_that_fails_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Paid work goes on without it, and no done job turns into a failed one."""

    def broken(event: Event) -> None:
        raise BrokenPipeError("stdout is gone")

    run = await ran(tmp_path, jobs(8), observe=broken)
    assert run.end == RunEnd()
    assert run.statuses == {"done": 8}
    assert "observer" in caplog.text


# -- anything at all ---------------------------------------------------------------------------

FAULTS = [None, "hang up", "silence", 50001, 40001, 42901, "50202", "first"]


@pytest.mark.unmeasured
@given(
    steps=st.dictionaries(
        st.integers(0, 11), st.lists(st.sampled_from(FAULTS[1:7]), max_size=5), max_size=12
    ),
    concurrency=st.integers(1, 6),
    equal=st.sets(st.integers(0, 11), max_size=4),
)
@settings(
    max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)
def test_every_row_has_its_answer_whatever_the_service_does(
    steps: dict[int, list[Any]], concurrency: int, equal: set[int]
) -> None:
    """Done, suspect and failed add up to all rows, each as its script says; no attempt stays open."""
    script = {f"{number:03}": list(codes) for number, codes in steps.items()}
    rows = [job(f"e{n}", f"{TEXT} 000") if n in equal else job(f"{n:03}") for n in range(12)]

    async def main() -> Ran:
        with tempfile.TemporaryDirectory() as folder:
            return await ran(
                Path(folder),
                rows,
                sometimes(script),
                run_settings=replace(SETTINGS, concurrency=concurrency),
            )

    with standing() as clock:
        run = trio.run(main, clock=clock)
    assert run.end.error is None
    assert sum(run.statuses.values()) == 12
    assert run.open_attempts == 0
    assert run.service.most_open <= concurrency
    for number in set(range(12)) - equal:
        expected = _verdict(steps.get(number, []))
        if number or not equal:
            assert str(run.records[f"{number:03}"].status) == expected


def _verdict(codes: list[Any]) -> str:
    """Say what a job comes to that meets these faults, with three attempts."""
    failures, silences = 0, 0
    for code in codes:
        failures += code != 42901
        silences += code == "silence"
        if silences == 2:  # the same twice: a third would say no more
            return "suspect"
        if failures == 3 or code == 40001:
            return "suspect" if silences else "failed"
    return "done"


# -- received audio ----------------------------------------------------------------------------


async def streams_slowly(peer: Peer) -> None:
    """Send the audio in pieces, with time in between for a disk to follow."""
    await peer.begin()
    pcm = speech_for(await peer.text())
    for start in range(0, len(pcm), 4_000):
        await peer.send(audio(pcm[start : start + 4_000], RATE))
        await trio.sleep(0.002)
    await peer.until_asked_to_close()
    await peer.connection.aclose(1000)


@pytest.mark.parametrize("ending", ["wav", "flac"])
async def test_a_run_with_little_memory_for_audio_brings_all_of_it_home(
    tmp_path: Path, ending: str
) -> None:
    """Most of the audio goes through scratch files; the results are exact and nothing is left."""
    seen: set[int] = set()

    def spools() -> int:
        return len(list(tmp_path.glob(f"{SEGMENTS_FOLDER}/*.spool")))

    async def look(_: Runner) -> None:
        while True:
            seen.add(spools())
            await trio.sleep(0.001)

    leftover = tmp_path / SEGMENTS_FOLDER / f"{'a' * 64}.1.spool"
    leftover.parent.mkdir()
    leftover.write_bytes(b"of a run that was killed")
    rows = [job(f"{n}", TEXT * 4 + f" {n}", output=f"{n}.{ending}") for n in range(8)]
    run = await ran(
        tmp_path,
        rows,
        streams_slowly,
        run_settings=replace(SETTINGS, audio_memory_bytes=40_000),
        during=look,
    )
    assert run.statuses == {"done": 8}
    assert max(seen) > 1
    assert not (tmp_path / SEGMENTS_FOLDER).exists()
    for row in rows:
        pcm, _ = soundfile.read(tmp_path / row.output, dtype="int16")
        assert pcm.tobytes() == speech_for(row.text)


async def test_a_disk_that_is_full_of_received_audio_stops_the_run(tmp_path: Path) -> None:
    """74 and room to make, and the sessions that are open come home."""
    (tmp_path / SEGMENTS_FOLDER).symlink_to(tmp_path / "nowhere")
    run = await ran(
        tmp_path,
        [job(f"{n}", TEXT * 4 + f" {n}") for n in range(12)],
        streams_slowly,
        run_settings=replace(SETTINGS, audio_memory_bytes=40_000),
    )
    assert isinstance(run.end.error, BatchjobsError)
    assert "segments" in run.end.error.message
    assert 1 <= run.statuses["done"] < 12
    assert run.statuses.keys() == {"done"}
