"""How a run stops: signals, grace, cancellation, and the books closed."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trio

from batchjobs.checkpoint import Checkpoint
from batchjobs.options import Options
from batchjobs.outputs.sweep import sweep
from batchjobs.planning.make_plan import make_plan
from batchjobs.process.signals import SignalNote, note_first
from batchjobs.progress import Event, RunStopping
from batchjobs.runner import RunEnd, Runner, RunState, runner
from tests.builders import audio_message, make_endpoint
from tests.runner.books import LONG, run_book
from tests.runner.runs import (
    OPTIONS,
    QUICK,
    RATE,
    RETRIES,
    attempts_of,
    job,
    jobs,
    obeys,
    run_rows,
    speech_for,
)
from tests.streams import Peer, Service, Talk

# Deadlines of a few seconds and a disk in threads: on the machine's own clock it would depend on it.
pytestmark = pytest.mark.usefixtures("standing_clock")


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

    run = await run_rows(
        tmp_path,
        jobs(40),
        patient,
        noted=SignalNote(),
        during=strikes,
        observe=listen,
    )
    assert run.end == RunEnd(signal_number=number)
    assert run.statuses == {"done": 5}
    assert len(run.service.streams) == 5
    assert run.open_attempts == 0


async def test_a_signal_before_we_listen_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While an old run's files are swept away, say: it is told, and nothing is bought."""

    def sweep_and_strike(checkpoint: Checkpoint) -> None:
        sweep(checkpoint)
        os.kill(os.getpid(), signal.SIGTERM)
        monkeypatch.setattr(runner, "sweep", sweep)

    monkeypatch.setattr(runner, "sweep", sweep_and_strike)
    stopping: list[Event] = []

    def listen(event: Event) -> None:
        if isinstance(event, RunStopping):
            stopping.append(event)

    with note_first() as noted:
        run = await run_rows(tmp_path, jobs(40), noted=noted, observe=listen)
    assert run.end == RunEnd(signal_number=signal.SIGTERM)
    assert run.statuses == {}
    assert run.service.streams == []
    [told] = stopping
    assert "SIGTERM" in str(told)


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
            await peer.send(audio_message(speech_for(text), RATE))
            await peer.until_asked_to_close()
            return
        await trio.sleep_forever()

    async def strikes(_: Runner) -> None:
        await opened.reaches(5)
        await strike(signals)

    grace = 0.05 if len(signals) == 1 else 60.0
    began = trio.current_time()
    run = await run_rows(
        tmp_path,
        jobs(20),
        sometimes_first(stuck),
        noted=SignalNote(),
        run_options=replace(OPTIONS, grace_seconds=grace),
        during=strikes,
    )
    assert trio.current_time() - began < 10
    assert run.end == RunEnd(signal_number=signals[0])
    assert run.statuses == {"done": 1}
    assert run.open_attempts == 0
    cut = [entry for entry in run.attempts if entry[1] == "cancelled"]
    assert len(cut) == 4
    assert all(characters == len(job("000").text) for *_, characters in cut)
    again = await run_rows(tmp_path, jobs(20))
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

    def commit(self, **content: Sequence[Any]) -> list[int]:
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

    run = await run_rows(
        tmp_path,
        jobs(3),
        stuck,
        opener=Struck,
        noted=SignalNote(),
        run_options=replace(OPTIONS, grace_seconds=60.0),
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
        plan_options = Options()
        make_plan(
            jobs(9),
            checkpoint=checkpoint,
            providers={"quick": QUICK},
            options=plan_options,
            name="t.csv",
        )
        checkpoint.staging.adopt({})
        async with trio.open_nursery() as nursery:
            service = Service(nursery, talk=stuck)
            endpoint = make_endpoint(service.dial, QUICK)
            state = RunState(
                checkpoint,
                endpoints={"quick": endpoint},
                options=OPTIONS,
                retries=RETRIES,
                observe=lambda _: None,
            )
            runner = Runner(state)
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


class Grouped(Checkpoint):
    """A checkpoint on a slow disk that counts the commits that close what was cut off."""

    closing: ClassVar[Counter[str]] = Counter()

    def commit(self, **content: Sequence[Any]) -> list[int]:
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
    wide = replace(OPTIONS, concurrency=40)
    await run_rows(tmp_path, jobs(60), stuck, opener=Grouped, run_options=wide, during=stop)
    assert Grouped.closing["attempts"] >= 29
    assert Grouped.closing["commits"] <= 3


async def test_a_book_that_is_being_published_is_not_taken_back(tmp_path: Path) -> None:
    """Cut off between the two commits of its end it is done all the same: it may have taken hours."""
    runners: list[Runner] = []

    class Struck(Checkpoint):
        def commit(self, **content: Sequence[Any]) -> list[int]:
            numbers = super().commit(**content)
            if any(changes.assembling for changes in content["changes"]):
                trio.from_thread.run_sync(runners[0]._work_scope.cancel)
            return numbers

    async def watch(runner: Runner) -> None:
        runners.append(runner)

    run = await run_book(tmp_path, [job("b", LONG)], obeys, opener=Struck, during=watch)
    assert run.statuses == {"done": 1}
    assert not (tmp_path / "segments").exists()
