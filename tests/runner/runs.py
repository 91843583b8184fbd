"""A run against a scripted service, and what came of it."""

import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trio

from batchjobs.checkpoint import Checkpoint, JobRecord
from batchjobs.errors import DiskError
from batchjobs.files.run_folder import CHECKPOINT
from batchjobs.files.shelf import Shelf
from batchjobs.jobs import BadRow, Job, Status
from batchjobs.limits import Budget, RetryPolicy
from batchjobs.options import Options
from batchjobs.outputs.reuse import find_changes
from batchjobs.planning.intact import is_intact
from batchjobs.planning.make_plan import make_plan
from batchjobs.process.signals import SignalNote
from batchjobs.progress import Event, JobFinished
from batchjobs.providers import BUILT_IN, Provider
from batchjobs.runner import RunEnd, Runner, RunState
from batchjobs.runner.service import OwnLimits
from batchjobs.session import Endpoint
from tests import tally
from tests.builders import audio_message, make_endpoint, make_job, make_speech, make_tone
from tests.canary import key_with
from tests.streams import Peer, Raw, Service, Talk

RATE = 8_000

SPEECH = make_speech(8_000)

QUICK = replace(
    BUILT_IN["munsit"],
    name="quick",
    stt_protocol="transcription",
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

OPTIONS = Options(concurrency=4, grace_seconds=5.0)

TEXT = "مَرْحَبًا بكم في البرنامج"


def job(name: str, text: str = TEXT, *, provider: str = "quick", **others: Any) -> Job:
    """Make a row that is to be spoken."""
    whole = f"{text} {name}" if text is TEXT else text
    return make_job(name, whole, provider=provider, speech=SPEECH, **others)


def jobs(count: int) -> list[Job]:
    """Make different rows."""
    return [job(f"{number:03}") for number in range(count)]


def speech_for(text: str) -> bytes:
    """Speak a text at an ordinary pace."""
    return make_tone(len(text) / 12, RATE)


async def answer(peer: Peer) -> str:
    """Take a text and send its audio."""
    await peer.begin()
    text = await peer.text()
    await peer.send(audio_message(speech_for(text), RATE))
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
class RunOutcome:
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


@dataclass
class Keyed:
    """A scripted service as one of several accounts has it.

    Attributes:
        talk: What it says.
        raw: What it does with a bare stream instead.
        dial: How it is reached instead.
        own: What the account may do by itself.
    """

    talk: Talk | None = obeys
    raw: Raw | None = None
    dial: Any = None
    own: OwnLimits = OwnLimits()  # noqa: RUF009  # it is frozen

    def make_endpoint(self, nursery: trio.Nursery, provider: Provider, name: str) -> Endpoint:
        """Make the way to it."""
        service = Service(nursery, talk=None if self.raw else self.talk, raw=self.raw)
        key = key_with(f"-{name}-")
        dial = self.dial or service.dial
        return make_endpoint(dial, provider, account=name, key=key)


def query_database(checkpoint: Checkpoint, query: str, *rows: Sequence[object]) -> list[Any]:
    """Look into, or change, the checkpoint's file by a connection of our own."""
    with closing(sqlite3.connect(checkpoint.folder / CHECKPOINT)) as database, database:
        if rows:
            return [database.execute(query, row) for row in rows]
        return database.execute(query).fetchall()


def attempts_of(checkpoint: Checkpoint) -> list[tuple[str, str, str, int]]:
    """Read the ledger: job, result, code, characters."""
    query = "SELECT job, result, code, characters FROM attempts ORDER BY number"
    return query_database(checkpoint, query)


async def run_rows(
    folder: Path,
    rows: Sequence[Job | BadRow],
    talk: Talk | None = obeys,
    *,
    raw: Raw | None = None,
    dial: Any = None,
    provider: Provider = QUICK,
    others: Mapping[str, tuple[Provider, Talk]] | None = None,
    accounts: Mapping[str, Keyed] | None = None,
    run_options: Options = OPTIONS,
    retries: RetryPolicy = RETRIES,
    budget: Budget | None = None,
    noted: SignalNote | None = None,
    observe: Callable[[Event], None] | None = None,
    opener: type[Checkpoint] = Checkpoint,
    plan_options: Options | None = None,
    during: Callable[[Runner], Any] | None = None,
    prepare: Callable[[Checkpoint], None] | None = None,
    patience: float = 30.0,
    elsewhere: Any = None,
) -> RunOutcome:
    """Plan rows, run them against a scripted service, and see that the books are in order."""
    events: list[Event] = []

    def told(event: Event) -> None:
        events.append(event)
        if observe is not None:
            observe(event)

    providers = {provider.name: provider} | {n: p for n, (p, _) in (others or {}).items()}
    plan_options = plan_options or Options(skip_bad_rows=True)
    with opener.open(folder) as checkpoint:
        make_plan(
            rows, checkpoint=checkpoint, providers=providers, options=plan_options, name="t.csv"
        )
        checkpoint.staging.adopt({})
        if prepare is not None:
            prepare(checkpoint)
        with trio.fail_after(patience):
            async with trio.open_nursery() as nursery:
                service = Service(nursery, talk=None if raw else talk, raw=raw)
                dial = dial or service.dial
                endpoints = {provider.name: make_endpoint(dial, provider)}
                if accounts:
                    endpoints = {
                        f"{provider.name}/{name}": keyed.make_endpoint(nursery, provider, name)
                        for name, keyed in accounts.items()
                    }
                for name, (other, other_talk) in (others or {}).items():
                    place = Service(nursery, talk=other_talk)
                    endpoints[name] = make_endpoint(place.dial, other)
                state = RunState(
                    checkpoint,
                    endpoints=endpoints,
                    options=run_options,
                    retries=retries,
                    budget=budget,
                    observe=told,
                    random_source=random.Random(7),
                    own_limits={
                        f"{provider.name}/{name}": keyed.own
                        for name, keyed in (accounts or {}).items()
                    },
                    elsewhere=elsewhere and elsewhere(folder, endpoints, dial, nursery),
                )
                runner = Runner(state)
                if during is not None:
                    nursery.start_soon(during, runner)
                end = await runner.run(noted)
                nursery.cancel_scope.cancel()
        assert all(stream.is_closed for stream in service.streams)
        records = {
            row.id: record
            for row, record in checkpoint.rows.stream_outcomes()
            if record is not None
        }
        total = checkpoint.totals.count_rows()
        done = [record for record in records.values() if record.status is not Status.FAILED]
        broken = [record.id for record in done if not is_intact(Shelf(folder), record)]
        answered = total.done + total.suspect + total.failed + total.not_run
        tally.count(runs=1, lost=total.rows - answered, corrupt=len(broken))
        assert not broken
        assert not [change for record in done for change in find_changes(folder, record.files)]
        assert answered == total.rows
        assert total.done + total.suspect + total.failed == len(records)
        query = "SELECT count(*) FROM attempts WHERE ended_at IS NULL"
        ((still_open,),) = query_database(checkpoint, query)
        told_done = {e.record.id for e in events if isinstance(e, JobFinished)}
        assert told_done <= set(records)
        return RunOutcome(
            end, events, service, records, attempts_of(checkpoint), still_open, total.rows
        )


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
            await peer.send(audio_message(bytes(len(speech_for(text))), RATE))
        elif step is not None:
            await peer.send({"type": "error", "errorCode": step})
            return
        else:
            await peer.send(audio_message(speech_for(text), RATE))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    return talk


class Failing(Checkpoint):
    """A checkpoint whose disk fails after some commits."""

    error: Exception = DiskError("the disk is gone")
    commits_left = 12

    def commit(self, **content: Sequence[Any]) -> list[int]:
        """Commit, or fail."""
        type(self).commits_left -= 1
        if type(self).commits_left < 0:
            raise type(self).error
        return super().commit(**content)
