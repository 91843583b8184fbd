"""A run folder's life as a state machine: edits, kills, damage; what is bought is counted elsewhere.

The model is a list of rows and what was bought for them; the server's ledger tells what was bought
in truth, the tones in the files what they say. The long form prints a table::

    python -m tests.faults.state --seconds 300 --seed 1
"""

import argparse
import functools
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import trio
from hypothesis import HealthCheck, Phase, core, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

import batchjobs
from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import DiskError, NoRunError, OutputError, RunLockedError
from batchjobs.files.run_folder import CHECKPOINT, CONTROL
from batchjobs.jobs import Status
from batchjobs.progress import Event, JobFinished
from tests.faults.state_edits import Edited
from tests.faults.state_model import trace
from tests.faults.state_world import (
    ATTEMPTS,
    FAULTS,
    TEXTS,
    World,
    digest_of,
    hear_tones,
    hurry_retries,
    world_of,
)

__all__ = ["FAULTS", "TEXTS", "RunFolder", "World", "live", "world_of"]


class RunFolder(Edited):
    """One run folder, from its first run to its last."""

    def make_work(self) -> None:
        """Let three rows be purchases of their own: who stops a run that has nothing to do?"""
        for row in self.rows[:3]:
            self.names += 1
            if "id" in row:
                row["take"] = 10 + self.names

    @initialize(texts=st.lists(st.sampled_from(TEXTS), min_size=2, max_size=5))
    @trace
    def begin(self, texts: list[str]) -> None:
        """Begin with some rows."""
        for words in texts:
            self.add(words)

    @rule()
    @trace
    def run(self) -> None:
        """Run to the end."""
        self.settle()

    @rule(retries=st.booleans())
    @trace
    def run_with_one_attempt(self, retries: bool) -> None:
        """Run to the end with one attempt a job: much of it fails, or is in doubt."""
        self.make_work()
        self.settle(attempts=1, retries=retries)

    @rule()
    @trace
    def retry_failed(self) -> None:
        """Buy again what has failed or is in doubt; the better is kept."""
        self.settle(retries=True)

    @rule(which=st.integers(-1, 9))
    @trace
    def accept(self, which: int) -> None:
        """Accept what is in doubt, one or all of it: its very bytes are the result, for nothing."""
        try:
            self.accept_now(which)
        except NoRunError:  # not begun yet, or killed before there was anything in it
            self.hold("a run that has not begun has bought nothing", holds=not self.held)

    def accept_now(self, which: int = -1) -> None:
        """Accept all that is in doubt, or one of it, and check what became of that."""
        with Checkpoint.read(self.folder) as checkpoint:
            found = list(checkpoint.rows.stream_records(Status.SUSPECT))
        if which >= 0 and found:
            found = [found[which % len(found)]]
        asked = [row.id for row, _ in found] if which >= 0 else []
        self.expect_accepted()
        if which < 0 or asked:
            report = batchjobs.accept(self.folder, asked, every=which < 0)
            unlike = tuple(row.id for row, kept in found if not kept.can_become(row.output))
            found = [(row, kept) for row, kept in found if row.id not in unlike]
            names = tuple(row.id for row, _ in found)
            told = report.accepted, report.other_format, report.damaged
            self.hold("what was asked is accepted", holds=told == (names, unlike, ()), why=report)
            self.world.counts["accepted"] += len(names)
        self.hold("accept buys nothing", holds=not self.world.sold() and not self.world.opened)
        self.learn()
        for row, kept in found:
            was = self.accepted[kept.evidence]
            path = self.folder / row.output
            self.hold("it has its place", holds=path.is_file() and row.id in self.current, why=row)
            if path.suffix == Path(was.output).suffix:
                is_same = digest_of(path, 0) == was.sha256
                self.hold("these very bytes are the result", holds=is_same, why=(row, was))
        if which < 0 or asked:
            self.check_kept()
        if found:
            lines = (self.folder / "results.jsonl").read_bytes().splitlines()
            done = {json.loads(line)["id"] for line in lines}
            self.hold("it is told as done", holds={row.id for row, _ in found} <= done, why=done)

    def expect_accepted(self) -> None:
        """From now on what is in doubt may be a result, as it is."""
        for known in self.unsettled.values():
            if known.is_suspect:
                self.accepted[known.evidence] = known

    @rule(milliseconds=st.integers(0, 25))
    @precondition(lambda self: self.kills < 4)
    @trace
    def kill_accept(self, milliseconds: int) -> None:
        """Accept all in a process of its own, and kill it some time later."""
        self.kills += 1
        if not any(known.is_suspect for known in self.unsettled.values()):
            return
        self.expect_accepted()
        fork = self.world.forks[0]
        pid = fork.start(self.manifest, self.request_for() | {"command": "accept"})
        time.sleep(milliseconds / 1_000)
        os.kill(pid, signal.SIGKILL)
        killed = fork.wait() < 0
        self.world.counts["accepts killed" if killed else "accepts not killed in time"] += 1
        self.after_a_kill()

    @rule(milliseconds=st.integers(0, 130), attempts=st.sampled_from([1, ATTEMPTS]))
    @precondition(lambda self: self.kills < 4)
    @trace
    def kill(self, milliseconds: int, attempts: int) -> None:
        """Run in a process of its own, and kill it some time later."""
        self.kills += 1
        self.make_work()
        self.write()
        fork = self.world.forks[0]
        pid = fork.start(self.manifest, self.request_for(attempts=attempts))
        time.sleep(milliseconds / 1_000)
        os.kill(pid, signal.SIGKILL)
        self.world.counts["killed" if fork.wait() < 0 else "not killed in time"] += 1
        self.after_a_kill()

    @rule(milliseconds=st.integers(0, 90))
    @trace
    def cancel(self, milliseconds: int) -> None:
        """Run within somebody's event loop, and cancel it some time later."""
        self.make_work()
        self.write()

        async def cancelled() -> bool:
            with trio.move_on_after(milliseconds / 1_000) as scope:
                await batchjobs.run_async(self.manifest, self.options)
            return scope.cancelled_caught

        with hurry_retries():
            was_cancelled = trio.run(cancelled)
        self.world.counts["cancelled" if was_cancelled else "not cancelled in time"] += 1
        self.after_a_kill()

    @rule(at_end=st.booleans())
    @trace
    def run_twice_at_once(self, at_end: bool) -> None:
        """While a run goes on, a second one is refused at once, and opens no session."""
        refused: list[bool] = []

        def intrude(event: Event) -> None:
            if refused and not at_end:
                return
            try:
                batchjobs.run(self.manifest, self.options)
            except RunLockedError:  # and at once: the run that it might wait for waits for this
                refused.append(True)
            except BaseException:  # the observer's own failures are kept from the run
                refused.append(False)

        self.settle(intrude)
        self.world.counts["second runs refused"] += len(refused)
        self.hold(
            "a second run is refused at once", holds=bool(refused) and all(refused), why=refused
        )

    @rule()
    @trace
    def start_two_processes(self) -> None:
        """Two processes begin at the same time: together they buy what is missing once."""
        self.write()
        least, most = self.purchases(), self.purchases(most=True)
        for fork in self.world.forks:
            fork.start(self.manifest, self.request_for())
        codes = sorted(fork.wait() for fork in self.world.forks)
        self.world.counts["pairs of processes"] += 1
        self.compare(least, most)
        self.learn()
        good = int(len(self.good_rows) < len(self.rows) or bool(self.open_rows))
        self.hold("one runs", holds=good in codes and {*codes} <= {good, 75}, why=codes)

    @rule(
        after=st.integers(0, 3), share=st.floats(0, 1), how=st.sampled_from(["cut", "flip", "drop"])
    )
    @trace
    def damage_copied_log(self, after: int, share: float, how: str) -> None:
        """Copy the folder in mid-run, damage the copy's log, and run it: right, or refused."""
        copy = self.place / "copies" / str(self.copies)
        self.copies += 1
        finished = 0

        def snap(event: Event) -> None:
            nonlocal finished
            if isinstance(event, JobFinished):
                finished += 1
                if finished == after + 1:
                    shutil.copytree(self.folder, copy, ignore=shutil.ignore_patterns(f"{CONTROL}*"))

        self.settle(snap)
        log = copy / f"{CHECKPOINT}-wal"
        if not log.exists() or not log.stat().st_size:
            return
        content = bytearray(log.read_bytes())
        place = min(int(share * len(content)), len(content) - 1)
        match how:
            case "cut":
                log.write_bytes(content[:place])
            case "flip":
                content[place] ^= 0xFF
                log.write_bytes(content)
            case _:
                log.unlink()
        options = self.options
        try:
            with hurry_retries():
                report = batchjobs.run(self.manifest, replace(options, output=copy))
        except (DiskError, OutputError) as error:
            self.world.counts[f"damaged logs: refused with {error.exit_code}"] += 1
        else:
            self.world.counts["damaged logs: continued"] += 1
            self.hold(
                "it ends", holds=report.exit_code in {0, 1} and report.error is None, why=report
            )
            with Checkpoint.read(copy) as checkpoint:
                outcomes = checkpoint.rows.find_outcomes(
                    [self.id_of(row) for row in self.good_rows]
                )
            for row in self.good_rows:
                record = outcomes[self.id_of(row)][1]
                assert record is not None
                if record.status is not Status.DONE or record.evidence in self.accepted:
                    continue
                words = hear_tones(copy / self.place_of(row))
                silent = self.id_of(row) in self.silently_damaged()
                self.hold(
                    "the copy is right", holds=words == row["text"] or silent, why=(row, words)
                )
        self.world.sold()

    def teardown(self) -> None:
        """Run to the end; a run after that buys nothing."""
        try:
            if self.rows:
                self.settle()
                if self.distrusted:  # what `verify` has found changed is made again
                    self.settle()
                self.hold("nothing is missing", holds=not self.purchases())
                self.settle()
                self.accept_now()
                self.settle(retries=True)  # what has failed for good, or is of the wrong format
                self.accept_now()
                self.hold("nothing is in doubt for ever", holds=not self.open_rows)
                asked = [held for held in self.held if self.is_asked_for(held)]
                changed = [held for held in asked if not self.stands(held, exactly=True)]
                self.hold("all files are as they were", holds=not changed, why=changed)
        finally:
            shutil.rmtree(self.place, ignore_errors=True)


def machine_settings(examples: int, steps: int) -> settings:
    """Settings of so many examples of at most so many steps.

    Nothing is shrunk: a kill strikes elsewhere the next time, and then all that shrinks is luck.
    """
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )


def live(world: World, examples: int, *, number: int, steps: int = 8) -> None:
    """Live through so many examples; the number decides which.

    Raises:
        AssertionError: An invariant broke; `World.breaches` has it with all steps.
        Flaky: One broke that did not the next time, when a kill struck elsewhere.
    """
    machine = cast("type[RunFolder]", functools.partial(RunFolder, world))  # it is only called
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "global_force_seed", number)  # as --hypothesis-seed does
        run_state_machine_as_test(machine, settings=machine_settings(examples, steps))


def main() -> int:
    """Run examples until the time is over; print what was done and found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    from tests.faults.crash import commit_id

    print(f"seed {given.seed}, commit {commit_id()}", flush=True)
    began = time.monotonic()
    number = 0
    failures = 0
    with tempfile.TemporaryDirectory() as name, world_of(Path(name), *FAULTS) as world:
        while time.monotonic() - began < given.seconds:
            try:
                live(world, 20, number=given.seed + number, steps=12)
            except Exception as error:
                failures += 1
                found = world.breaches[:1] or traceback.format_exception(error)
                print(f"seed {given.seed + number}: {''.join(found)}", flush=True)
                world.breaches.clear()
            number += 1
            if number % 50 == 0:
                elapsed = time.monotonic() - began
                print(f"{world.counts['examples']:,} sequences in {elapsed:.0f} s", flush=True)
        for what, count in sorted(world.counts.items()):
            print(f"{count:>8,}  {what}")
    print(f"{failures} of {number} series of 20 failed in {time.monotonic() - began:.0f} s")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
